"""The point-in-time join over Arrow: the history is streamed, whatever its size, and only rows that may be an answer
are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

from include.domain.ordering import Ints
from include.domain.point_in_time import NEVER, NewestKnown

ROWS_AT_ONCE = 1 << 18
"""Rows of the history that are looked at together: enough that looking up keys costs little, few enough for a
processor's cache; 20 MB for ten columns of numbers."""
TIMES = pa.timestamp("us", tz="UTC")


def point_in_time(
    requests: pa.Table,
    history: pa.Table | pyarrow.dataset.Dataset,
    *,
    keys: Sequence[str],
    features: Sequence[str],
    ttl: timedelta,
    asked_at: str = "prediction_time",
    known_as: str | None = None,
) -> pa.Table:
    """For each request the features as they were known when it was asked: shape (requests, features), in the requests'
    order.

    ``requests`` has the keys and ``asked_at``; ``history`` has the keys, the features, ``event_time`` and
    ``available_time``. A row answers if ``available_time <= asked_at`` and ``event_time > asked_at - ttl``; of several,
    the latest ``available_time`` wins, then the latest ``event_time``, then the one that stands first in the history.
    No answer, or a key that is NULL, gives missing values. ``known_as`` names a further column of the answer: the
    ``available_time`` of the row that answered.

    Memory: the requests, one row of the history for each, and ``ROWS_AT_ONCE`` rows more.
    """
    known = _Keys(requests, keys)
    newest = NewestKnown(known.codes, _integers(requests.column(asked_at)), ttl // timedelta(microseconds=1))
    needed = list(dict.fromkeys([*keys, "available_time", "event_time", *features]))
    wanted = list(dict.fromkeys([*features, *(["available_time"] if known_as is not None else [])]))
    kept: list[pa.Table] = []
    rows = 0
    for part in _parts(history, needed):
        positions = newest.offer(
            known.of(part), _integers(part.column("available_time")), _integers(part.column("event_time"))
        )
        if not len(positions):
            continue
        kept.append(part.select(wanted).take(positions))
        rows += len(positions)
        if rows > 2 * requests.num_rows + ROWS_AT_ONCE:
            in_use = newest.in_use()
            kept, rows = [_taken(kept, in_use)], len(in_use)
    if not kept:
        kept = [history.schema.empty_table().select(wanted)]
    answers = newest.answers()
    answer = _taken(kept, pa.array(answers, mask=answers < 0))
    columns = {name: answer.column(name) for name in features}
    if known_as is not None:
        columns[known_as] = answer.column("available_time")
    return pa.table(columns)


class _Keys:
    """The requests' keys as integers from 0, whatever their number and types; -1 where one is missing."""

    def __init__(self, requests: pa.Table, keys: Sequence[str]) -> None:
        self._names = list(keys)
        self._values: list[pa.Array] = []
        self._pairs: list[Ints | None] = []
        codes = np.zeros(requests.num_rows, np.int64)
        for name in keys:
            column = requests.column(name)
            self._values.append(pc.unique(column).drop_null())
            codes = self._combined(codes, column, self._values[-1])
            self._pairs.append(np.unique(codes[codes >= 0]) if len(self._values) > 1 else None)
            codes = _ranks(codes, self._pairs[-1])
        self.codes = codes

    def of(self, rows: pa.Table) -> Ints:
        """The same codes for other rows; -1 for a key that no request has."""
        codes = np.zeros(rows.num_rows, np.int64)
        for name, values, pairs in zip(self._names, self._values, self._pairs, strict=True):
            codes = _ranks(self._combined(codes, rows.column(name), values), pairs)
        return codes

    @staticmethod
    def _combined(codes: Ints, column: pa.ChunkedArray, values: pa.Array) -> Ints:
        column = column if column.type == values.type else column.cast(values.type)
        own = pc.index_in(column, values, skip_nulls=True).fill_null(-1).to_numpy().astype(np.int64)
        return np.where((codes < 0) | (own < 0), -1, codes * max(len(values), 1) + own)


def _ranks(codes: Ints, pairs: Ints | None) -> Ints:
    """Where each code stands in the sorted ``pairs``; -1 for one that does not. None: the codes are their own ranks."""
    if pairs is None:
        return codes
    if not len(pairs):
        return np.full(len(codes), -1, np.int64)
    at = np.minimum(np.searchsorted(pairs, codes), len(pairs) - 1)
    return np.where(pairs[at] == codes, at, -1)


def _parts(history: pa.Table | pyarrow.dataset.Dataset, columns: list[str]) -> Iterator[pa.Table]:
    """The history, in its order, in tables of about ``ROWS_AT_ONCE`` rows."""
    source = pa.dataset.dataset(history) if isinstance(history, pa.Table) else history
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in source.scanner(columns=columns, batch_size=ROWS_AT_ONCE // 8).to_batches():
        held.append(batch)
        rows += batch.num_rows
        if rows >= ROWS_AT_ONCE:
            yield pa.Table.from_batches(held)
            held, rows = [], 0
    if rows:
        yield pa.Table.from_batches(held)


def _integers(column: pa.ChunkedArray) -> Ints:
    """Moments as microseconds since 1970; a missing one is ``NEVER``."""
    moments: Ints = column.cast(TIMES).cast(pa.int64()).fill_null(NEVER).to_numpy()
    return moments


def _taken(tables: list[pa.Table], positions: Any) -> pa.Table:
    return pa.concat_tables(tables).combine_chunks().take(positions)
