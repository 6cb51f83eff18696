"""The point-in-time join over Arrow: the history is streamed, whatever its size, and only rows that may be an answer
are kept."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset

from include.adapters.point_in_time.keys import TIMES, Keys, KeysTold
from include.domain.ordering import Ints
from include.domain.point_in_time import NEVER, NewestKnown

ROWS_AT_ONCE = 1 << 19
"""Rows of the history that are processed together: the more, the fewer of them have to be kept; 40 MB for ten columns
of numbers."""
KEPT_BYTES = 256 << 20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""


def point_in_time(
    requests: pa.Table,
    history: pa.Table | pyarrow.dataset.Dataset,
    *,
    keys: Sequence[str],
    features: Sequence[str],
    ttl: timedelta,
    known_as: str | None = None,
    told: list[KeysTold] | None = None,
) -> pa.Table:
    """For each request the features as they were known when it was asked: shape (requests, features), in the requests'
    order.

    ``requests`` has the keys and ``prediction_time``; ``history`` has the keys, the features, ``event_time`` and
    ``available_time``. A row answers if ``available_time <= prediction_time`` and ``event_time > prediction_time -
    ttl``; of several, the latest ``available_time`` wins, then the latest ``event_time``, then the one that comes
    first in the history. No answer, or a key that is NULL, gives missing values. ``known_as`` names a further column of
    the answer: the ``available_time`` of the row that answered. ``told`` gets the remarks about keys whose types
    differ (``keys`` says when two are the same).

    Raises:
        KeysOfTwoKinds: when a key is of types that have no value in common.

    Memory: the requests, one row of the history for each, and ``ROWS_AT_ONCE`` rows more.
    """
    _keep_freed_memory()
    known = Keys(requests, keys)
    newest = NewestKnown(known.codes, _integers(requests.column("prediction_time")), ttl // timedelta(microseconds=1))
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
        kept += _picked(part.select(wanted), positions)
        rows += len(positions)
        if rows > 2 * requests.num_rows + ROWS_AT_ONCE:
            in_use = newest.in_use()
            kept, rows = [_taken(kept, in_use)], len(in_use)
    if told is not None:
        told += known.told
    if not kept:
        kept = [history.schema.empty_table().select(wanted)]
    answers = newest.answers()
    answer = _taken(kept, pa.array(answers, mask=answers < 0))
    columns = {name: answer.column(name) for name in features}
    if known_as is not None:
        columns[known_as] = answer.column("available_time")
    return pa.table(columns)


@lru_cache(maxsize=1)
def _keep_freed_memory() -> None:
    """From now on, memory that this process frees is kept for its next need, up to ``KEPT_BYTES``.

    Each part of the history takes a dozen arrays for a moment. By default glibc hands such back to the system, which
    clears them before the next: a fifth of the join's time (a million requests by four views: 3.8 s, with this 3.1 s).
    Other C libraries have no such setting, and are left as they are.
    """
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for setting in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
        adjust(setting, KEPT_BYTES)


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
    whole = column.cast(TIMES).cast(pa.int64())
    moments: Ints = (whole.fill_null(NEVER) if whole.null_count else whole).to_numpy()
    return moments


def _picked(rows: pa.Table, positions: Ints) -> Iterator[pa.Table]:
    """The rows at ascending positions, from each piece on its own: a table of many pieces would be copied whole."""
    first = 0
    for piece in rows.to_batches():
        low, high = np.searchsorted(positions, [first, first + piece.num_rows])
        if low < high:
            yield pa.Table.from_batches([piece.take(pa.array(positions[low:high] - first))])
        first += piece.num_rows


def _taken(tables: list[pa.Table], positions: Any) -> pa.Table:
    return pa.concat_tables(tables).combine_chunks().take(positions)
