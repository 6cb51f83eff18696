"""What is offered to the online store, and how what it keeps differs from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.config.types import FeatureView
from include.domain.entity_names import entities_of

Kept = dict[str, tuple[datetime, datetime, str]]
"""By entity: event time and available time, in UTC without a time zone, and the features as JSON."""

ROWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Differences:
    """How the stored rows differ from the published ones, by entity."""

    entities: int
    """How many were published."""
    missing: tuple[str, ...]
    older: tuple[str, ...]
    other: tuple[str, ...]
    """Of the same times, with other values."""
    ahead: Mapping[str, tuple[datetime, datetime]]
    """Newer than every published row: event time and available time, in UTC without a time zone."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.older or self.other or self.ahead)

    @property
    def sentence(self) -> str:
        """How many of each kind, with an example."""
        kinds = (
            ("missing", self.missing),
            ("older than what was published", self.older),
            ("of other values", self.other),
            ("newer than anything published", tuple(self.ahead)),
        )
        told = [f"{len(which):,} {kind} (for example {which[0]})" for kind, which in kinds if which]
        return f"of {self.entities:,} entities, {', '.join(told)}"


def offers_of(view: FeatureView, rows: pa.Table, run_id: str) -> dict[str, dict[str, Any]]:
    """The newest row of each entity as it is kept, by entity."""
    offers: dict[str, dict[str, Any]] = {}
    same = {"view": view.name, "view_version": view.version, "run_id": run_id}
    for batch in _finite(_newest(rows, view.keys)).to_batches(max_chunksize=ROWS_AT_ONCE):
        entities = entities_of(list(zip(*(batch.column(key).to_pylist() for key in view.keys), strict=True)))
        features = [_json(row).decode() for row in batch.select([*view.features, *view.carries]).to_pylist()]
        times = batch.column("event_time").to_pylist(), batch.column("available_time").to_pylist()
        for entity, known, event_time, available in zip(entities, features, *times, strict=True):
            offers[entity] = {
                **same,
                "entity": entity,
                "event_time": event_time,
                "available_time": available,
                "features": known,
            }
    return offers


def compared(view: FeatureView, kept: Kept, rows: pa.Table) -> Differences:
    """The stored rows compared with the newest row of each entity of ``rows``. ``rows`` are read after ``kept``, so
    rows that are ``ahead`` do not come from a publish under way, which writes to the online store last."""
    wanted = {entity: _facts(offer) for entity, offer in offers_of(view, rows, "").items()}
    both = {entity: (facts, kept[entity]) for entity, facts in wanted.items() if entity in kept}
    return Differences(
        entities=len(wanted),
        missing=tuple(entity for entity in wanted if entity not in kept),
        older=tuple(entity for entity, (facts, has) in both.items() if has[:2] < facts[:2]),
        other=tuple(entity for entity, (facts, has) in both.items() if has[:2] == facts[:2] and has != facts),
        ahead={
            entity: (has[0], has[1])
            for entity, has in kept.items()
            if entity not in wanted or has[:2] > wanted[entity][:2]
        },
    )


def _facts(offer: Mapping[str, Any]) -> tuple[datetime, datetime, str]:
    return offer["event_time"], offer["available_time"], offer["features"]


def _newest(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The newest row of each entity: the latest event time, then available time, then the last one offered."""
    if rows.num_rows < 2:
        return rows
    by = [(name, "ascending") for name in (*keys, "event_time", "available_time")]
    rows = rows.take(pc.sort_indices(rows, sort_keys=by))
    is_last = np.zeros(rows.num_rows, bool)
    is_last[-1] = True
    for name in keys:
        codes = pc.fill_null(pc.dictionary_encode(rows.column(name)).combine_chunks().indices, -1).to_numpy()
        is_last[:-1] |= codes[1:] != codes[:-1]
    return rows.filter(pa.array(is_last))


def _finite(rows: pa.Table) -> pa.Table:
    """The rows as they are stored: times in UTC without a time zone, and NaN as missing, because JSON has no NaN."""
    columns = []
    for column in rows.columns:
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
        elif pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us"))
        columns.append(column)
    return pa.table(columns, names=rows.column_names)


_json = msgspec.json.Encoder().encode
