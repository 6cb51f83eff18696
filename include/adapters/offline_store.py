"""The offline store: Delta Lake tables on disk or in an object store.

One table per version of a feature view, one partition per UTC day; one prediction log per model, one partition per day
and candidate. A partition is replaced as a whole, in one commit, by rows in a fixed order, and not at all when it
already holds the same content: so a rerun leaves even the table's version alone.

Object stores are addressed by URL (``s3://bucket/prefix``); ``deltalake`` takes their credentials from the environment.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from include.config.types import FeatureView
from include.domain.errors import Refusal
from include.domain.intervals import Interval

DAY = "day"
ATTEMPTS = 12
TIMESTAMP = pa.timestamp("us", tz="UTC")


class StoreConflict(RuntimeError):
    """Other writers replaced the same partitions again and again, and this write never got its turn."""

    def __init__(self, path: str, attempts: int) -> None:
        super().__init__(
            f"{path} could not be committed in {attempts} attempts: others were writing the same partitions. "
            "Nothing of this write is visible; clear the task when they are done."
        )


class TableMissing(Refusal, LookupError):
    """A table that nobody has published to yet."""

    def __init__(self, path: str, version: int | None = None) -> None:
        at = "" if version is None else f" in version {version}"
        super().__init__(f"There is no table at {path}{at}. Materialize the view's days first.")


class RowsOutsidePartitions(Refusal, ValueError):
    """Rows that belong to none of the partitions that are being replaced."""

    def __init__(self, path: str, count: int, example: object) -> None:
        super().__init__(f"{count} rows for {path} lie outside the partitions being replaced, for example {example}.")


class SchemaChanged(Refusal, TypeError):
    """Rows whose columns or types differ from those of the table they should go into."""

    def __init__(self, path: str, differences: list[str]) -> None:
        super().__init__(
            f"{path} has other columns than the rows: {'; '.join(differences)}. "
            "A changed definition needs a new version in its declaration, which gets its own table."
        )


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a replacement did. ``version`` is the table's version that holds the content; None when there is no table
    yet."""

    version: int | None
    changed: tuple[str, ...]
    """The partitions whose content was not already there, as ``day`` or ``day/candidate``."""


# --- feature views ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfflineStore:
    """The tables below ``root``, a folder or an object store's URL."""

    root: str

    def view_path(self, view: FeatureView) -> str:
        return f"{self.root.rstrip('/')}/features/{view.name}/v{view.version}"

    def log_path(self, model: str) -> str:
        return f"{self.root.rstrip('/')}/predictions/{model}"

    def replace_partitions(self, view: FeatureView, interval: Interval, rows: pa.Table) -> Replaced:
        """Make ``rows`` (with their ``day``) the content of every day of ``interval``; a day without rows is cleared.

        Raises:
            RowsOutsidePartitions: when a row's day is not in the interval.
            StoreConflict: when other writers never let it through.
        """
        slots = [(day,) for day in interval.days]
        return _replace(self.view_path(view), rows, (DAY,), slots, [*view.keys, "event_time"])

    def current_version(self, view: FeatureView) -> int | None:
        """The version of the view's table; None before its first publish."""
        table = _open(self.view_path(view))
        return None if table is None else table.version()

    def dataset(self, view: FeatureView, interval: Interval, version: int | None = None) -> pyarrow.dataset.Dataset:
        """The rows with an event time in ``interval``, to be streamed; as of the table's ``version``, by default the
        newest.

        Raises:
            TableMissing: when there is no such table or version.
        """
        path = self.view_path(view)
        table = _open(path, version)
        if table is None:
            raise TableMissing(path, version)
        days, moment = pc.field(DAY), pc.field("event_time")
        within = (days >= interval.days[0]) & (days <= interval.days[-1])
        within &= (moment >= _scalar(interval.start)) & (moment < _scalar(interval.end))
        return table.to_pyarrow_dataset().filter(within)

    def read(self, view: FeatureView, interval: Interval, version: int | None = None) -> pa.Table:
        """The rows with an event time in ``interval``, ordered by event time, then keys, without the partition column.

        Raises:
            TableMissing: when there is no such table or version.
        """
        rows = _plain(self.dataset(view, interval, version).to_table().drop_columns([DAY]))
        return ordered(rows, ["event_time", *view.keys])

    # --- the prediction log -------------------------------------------------------------------------------------------

    def write_predictions(self, model: str, day: str, candidate_id: str, rows: pa.Table) -> Replaced:
        """Make ``rows`` all that ``candidate_id`` answered for ``day``.

        Columns: prediction_id, candidate_id, model_version, role (served or shadow), the entity's keys, event_time,
        prediction_time, score (the probability, or the value), predicted, error (None where it answered). The features
        are not kept: they are read again from their views as of the prediction time.
        """
        rows = rows.append_column(DAY, pa.array([day] * rows.num_rows, pa.string()))
        return _replace(
            self.log_path(model), rows, (DAY, "candidate_id"), [(day, candidate_id)], ["event_time", "prediction_id"]
        )

    def last_predicted_day(self, model: str) -> str | None:
        """The newest day with predictions, ``YYYY-MM-DD``; None before the first."""
        table = _open(self.log_path(model))
        return None if table is None else max((p[DAY] for p in table.partitions()), default=None)

    def read_predictions(self, model: str, interval: Interval, candidate_id: str | None = None) -> pa.Table | None:
        """The log's rows with an event time in ``interval``, of one candidate or of all, ordered by event time, then
        prediction and candidate; None before the first prediction was logged."""
        table = _open(self.log_path(model))
        if table is None:
            return None
        days, moment = pc.field(DAY), pc.field("event_time")
        within = (days >= interval.days[0]) & (days <= interval.days[-1])
        within &= (moment >= _scalar(interval.start)) & (moment < _scalar(interval.end))
        if candidate_id is not None:
            within &= pc.field("candidate_id") == candidate_id
        rows = _plain(table.to_pyarrow_dataset().to_table(filter=within).drop_columns([DAY]))
        return ordered(rows, ["event_time", "prediction_id", "candidate_id"])


# --- replacing partitions --------------------------------------------------------------------------------------------


def _replace(
    path: str, rows: pa.Table, partition_by: tuple[str, ...], slots: Sequence[tuple[str, ...]], order: Sequence[str]
) -> Replaced:
    rows = ordered(_plain(rows), [*partition_by, *order])
    wanted = _split(rows, partition_by)
    outside = sorted(set(wanted) - set(slots))
    if outside:
        raise RowsOutsidePartitions(path, sum(wanted[s].num_rows for s in outside), outside[0])
    hashes = {slot: content_hash(part) for slot, part in wanted.items()}
    for attempt in range(ATTEMPTS):
        table = _open(path)
        if table is None and rows.num_rows == 0:
            return Replaced(None, ())
        stored = {} if table is None else _stored_hashes(path, table, rows.schema, partition_by, slots, order)
        changed = [slot for slot in slots if stored.get(slot) != hashes.get(slot)]
        if table is not None and not changed:
            return Replaced(table.version(), ())
        try:
            if table is None:
                table = _create(path, rows.schema, partition_by)
            parts = [wanted[slot] for slot in changed if slot in wanted]
            write_deltalake(
                table,
                pa.concat_tables(parts) if parts else rows.schema.empty_table(),
                mode="overwrite",
                predicate=_predicate(partition_by, changed),
            )
            return Replaced(table.version(), tuple("/".join(slot) for slot in changed))
        except CommitFailedError:
            # Somebody else committed first. What they wrote may be the very same content: look again.
            time.sleep(random.uniform(0.01, 0.05) * 2 ** min(attempt, 5))
    raise StoreConflict(path, ATTEMPTS)


def _stored_hashes(
    path: str,
    table: DeltaTable,
    schema: pa.Schema,
    partition_by: tuple[str, ...],
    slots: Sequence[tuple[str, ...]],
    order: Sequence[str],
) -> dict[tuple[str, ...], str]:
    dataset = table.to_pyarrow_dataset()
    _same_schema(path, dataset.schema, schema)
    first = [slot[0] for slot in slots]
    within = (pc.field(partition_by[0]) >= min(first)) & (pc.field(partition_by[0]) <= max(first))
    for position, name in enumerate(partition_by[1:], start=1):
        within &= pc.field(name).isin(sorted({slot[position] for slot in slots}))
    rows = _plain(dataset.to_table(filter=within).select(schema.names))
    parts = _split(ordered(rows, [*partition_by, *order]), partition_by)
    return {slot: content_hash(parts[slot]) for slot in slots if slot in parts}


def _same_schema(path: str, stored: pa.Schema, given: pa.Schema) -> None:
    has = {f.name: _plain_type(f.type) for f in stored}
    gets = {f.name: f.type for f in given}
    differences = [f"{n} is not in the table" for n in gets if n not in has]
    differences += [f"{n} is not in the rows" for n in has if n not in gets]
    differences += [
        f"{n} is {has[n]} in the table and {t} in the rows" for n, t in gets.items() if n in has and has[n] != t
    ]
    if differences:
        raise SchemaChanged(path, differences)


def _predicate(partition_by: tuple[str, ...], slots: Sequence[tuple[str, ...]]) -> str:
    """Delta's own text form of "exactly these partitions"; deltalake takes no other."""

    def quoted(value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    terms = []
    for position, name in enumerate(partition_by):
        values = sorted({slot[position] for slot in slots})
        terms.append(name + " IN (" + ", ".join(quoted(v) for v in values) + ")")
    return " AND ".join(terms)


def _create(path: str, schema: pa.Schema, partition_by: tuple[str, ...]) -> DeltaTable:
    """A new, empty table; or the one that another writer made of the same path in this moment."""
    try:
        return DeltaTable.create(path, schema, mode="error", partition_by=list(partition_by))
    except DeltaError:
        table = _open(path)
        if table is None:
            raise
        return table


def _open(path: str, version: int | None = None) -> DeltaTable | None:
    """The table, at ``version`` or at its newest; None when there is no such table or version."""
    try:
        table = DeltaTable(path)
    except TableNotFoundError:
        return None
    if version is not None and version != table.version():
        if version > table.version():
            return None
        table.load_as_version(version)
    return table


# --- canonical rows --------------------------------------------------------------------------------------------------


def ordered(rows: pa.Table, by: Sequence[str]) -> pa.Table:
    """The rows sorted by ``by``, ascending, missing values last; equal ones keep their order."""
    if rows.num_rows < 2:
        return rows.combine_chunks()
    keys = [(name, "ascending", "at_end") for name in by]
    return rows.take(pc.sort_indices(rows, sort_keys=keys)).combine_chunks()


def content_hash(rows: pa.Table) -> str:
    """A sha256 of names, types and values, in the rows' order. Chunks, file layout and the order of columns do not
    count.

    All NaN are one NaN, and -0.0 is 0.0; NaN and missing stay two things.
    """
    digest = hashlib.sha256(str(rows.num_rows).encode())
    for name in sorted(rows.column_names):
        column = rows.column(name)
        digest.update(f"|{name}|{column.type}|".encode())
        digest.update(np.packbits(column.is_valid().to_numpy()).tobytes())
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            filled = pc.fill_null(column, "")
            digest.update(pc.binary_length(filled).to_numpy().astype(np.int32).tobytes())
            for chunk in filled.chunks:
                # The texts one after the other, as Arrow already holds them.
                bounds = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
                if len(chunk):
                    digest.update(memoryview(chunk.buffers()[2])[bounds[0] : bounds[-1]])
        elif pa.types.is_floating(column.type):
            values = pc.fill_null(column, 0.0).to_numpy() + 0.0
            digest.update(np.where(np.isnan(values), np.nan, values).tobytes())
        elif pa.types.is_boolean(column.type):
            digest.update(np.packbits(pc.fill_null(column, False).to_numpy()).tobytes())
        else:
            width = pa.int32() if pa.types.is_date32(column.type) else pa.int64()
            digest.update(pc.fill_null(column.cast(width), 0).to_numpy().tobytes())
    return digest.hexdigest()


def split_by_day(rows: pa.Table) -> dict[str, pa.Table]:
    """The rows of each day that has any, in their order; ``rows`` has the column ``day``."""
    return {day: part for (day,), part in _split(ordered(rows, [DAY]), (DAY,)).items()}


def with_day(rows: pa.Table) -> pa.Table:
    """The rows with the UTC day of their event time as the partition column."""
    return rows.append_column(DAY, pc.strftime(rows.column("event_time"), format="%Y-%m-%d"))


def _split(rows: pa.Table, by: tuple[str, ...]) -> dict[tuple[str, ...], pa.Table]:
    """Slices of rows that are sorted by ``by``."""
    groups = rows.group_by(list(by), use_threads=False).aggregate([([], "count_all")])
    parts, start = {}, 0
    for group in groups.to_pylist():
        parts[tuple(group[name] for name in by)] = rows.slice(start, group["count_all"])
        start += group["count_all"]
    return parts


def _plain(rows: pa.Table) -> pa.Table:
    return rows.cast(pa.schema([pa.field(f.name, _plain_type(f.type)) for f in rows.schema]))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """One Arrow type per kind of value: engines and files hand out views, large and dictionary types as they like."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return TIMESTAMP
    return kind


def _scalar(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, TIMESTAMP)
