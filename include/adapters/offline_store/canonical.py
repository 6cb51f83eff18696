"""Rows in one form, whatever program made them: one type per kind of value, one order, one hash of their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.domain.ordering import Ints, order_of, ranks

DAY = "day"
DAYS = pa.dictionary(pa.int32(), pa.string())
TIMESTAMP = pa.timestamp("us", tz="UTC")
MANY = 8
"""So many parts are worth threads of their own."""
MANY_ROWS = 100_000
"""From this many rows on each column is processed by its own thread."""
K = TypeVar("K")
T = TypeVar("T")
_MOST = 1 << 62
_DAY_US = 86_400_000_000


def ordered(rows: pa.Table, by: Sequence[str]) -> pa.Table:
    """The rows sorted by ``by``, ascending, missing values last; equal ones keep their order."""
    if rows.num_rows < 2 or not by or _is_in_order(rows, by):
        return rows.combine_chunks()
    order = _order([rows.column(name) for name in by])
    if order is None:
        return rows.combine_chunks()
    chosen = pa.array(order)

    return pa.table(_each(lambda column: column.combine_chunks().take(chosen), rows.columns), schema=rows.schema)


def content_hash(rows: pa.Table) -> str:
    """A sha256 of names, types and values, in the rows' order. Chunks, file layout and the order of columns do not
    count.

    All NaN are one NaN, and -0.0 is 0.0; NaN and missing stay different.
    """
    count = rows.num_rows
    digest = hashlib.sha256(str(count).encode())
    complete = np.packbits(np.ones(count, bool))
    for name in sorted(rows.column_names):
        column = rows.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(plain_type(column.type))
        digest.update(f"|{name}|{column.type}|".encode())
        has_missing = column.null_count > 0
        digest.update(np.packbits(column.is_valid().to_numpy()).data if has_missing else complete.data)
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            filled = pc.fill_null(column, "") if has_missing else column
            digest.update(pc.binary_length(filled).to_numpy().astype(np.int32).data)
            for chunk in filled.chunks:
                # The texts one after the other, as Arrow stores them.
                bounds = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
                if len(chunk):
                    digest.update(memoryview(chunk.buffers()[2])[bounds[0] : bounds[-1]])
        elif pa.types.is_floating(column.type):
            values = (pc.fill_null(column, 0.0) if has_missing else column).to_numpy() + 0.0
            is_nan = np.isnan(values)
            if is_nan.any():
                values[is_nan] = np.nan
            digest.update(values.data)
        elif pa.types.is_boolean(column.type):
            digest.update(np.packbits((pc.fill_null(column, False) if has_missing else column).to_numpy()).data)
        else:
            whole = column.cast(pa.int32() if pa.types.is_date32(column.type) else pa.int64())
            digest.update(np.ascontiguousarray((pc.fill_null(whole, 0) if has_missing else whole).to_numpy()).data)
    return digest.hexdigest()


def content_hashes(parts: Mapping[K, pa.Table]) -> dict[K, str]:
    """The content hash of each part; many parts on all processors."""
    if len(parts) < MANY:
        return {name: content_hash(part) for name, part in parts.items()}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(parts, pool.map(content_hash, parts.values()), strict=True))


def with_day(rows: pa.Table, time: str = "event_time") -> pa.Table:
    """The rows with the UTC day of their ``time`` as the partition column: a dictionary of few days in their order,
    which ``plain`` spells out."""
    column = rows.column(time).cast(TIMESTAMP)
    if not rows.num_rows or column.null_count == rows.num_rows:
        return rows.append_column(DAY, pa.nulls(rows.num_rows, DAYS))
    days = column.cast(pa.int64()).fill_null(pc.min(column).cast(pa.int64())).to_numpy() // _DAY_US
    first = int(days.min())
    known, places = np.arange(first, int(days.max()) + 1), days - first
    if len(known) > len(days) + 1000:
        known, places = np.unique(days, return_inverse=True)
    names = pc.strftime(pa.array(known * _DAY_US, pa.int64()).cast(TIMESTAMP), format="%Y-%m-%d")
    missing = ~column.is_valid().to_numpy() if column.null_count else None
    return rows.append_column(
        DAY, pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32), mask=missing), names)
    )


def split_by_day(rows: pa.Table) -> dict[str | None, pa.Table]:
    """The rows of each day that has any, in their order, and of None where the day is missing; ``rows`` has the column
    ``day``."""
    return {day: part for (day,), part in split(rows, (DAY,)).items()}


def split(rows: pa.Table, by: Sequence[str]) -> dict[tuple[str, ...], pa.Table]:
    """The rows of each combination of ``by``, in their order: slices where the rows are sorted by it, as they mostly
    are."""
    if not rows.num_rows:
        return {}
    differs = np.zeros(rows.num_rows - 1, bool)
    for name in by:
        codes = pc.fill_null(_encoded(rows.column(name)).indices, -1).to_numpy()
        differs |= codes[1:] != codes[:-1]
    starts = [0, *(np.flatnonzero(differs) + 1).tolist()]
    ends = [*starts[1:], rows.num_rows]
    parts = {
        tuple(rows.column(name)[start].as_py() for name in by): rows.slice(start, end - start)
        for start, end in zip(starts, ends, strict=True)
    }
    # Fewer parts than slices: one is in several places.
    return parts if len(parts) == len(starts) else split(ordered(rows, by), by)


def each_once(rows: pa.Table) -> pa.Table:
    """The rows, which are sorted by all their columns, without those equal to the one before."""
    same = _same_as_before(rows, rows.column_names)
    return rows.filter(pa.array(np.concatenate([[True], ~same]))) if same.any() else rows


def are_distinct(rows: pa.Table, by: Sequence[str]) -> bool:
    """Whether no two rows, which are sorted by them, agree in all of ``by``."""
    return not _same_as_before(rows, by).any()


def are_among(rows: pa.Table, others: pa.Table, by: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Of each row: whether one of ``others`` agrees with it in all of ``by``; missing agrees with missing."""
    if not rows.num_rows or not others.num_rows:
        return np.zeros(rows.num_rows, bool)
    both = pa.concat_tables([rows.select(by), others.select(by)])
    codes, size = np.zeros(both.num_rows, np.int64), 1
    for more, span in _each(_codes, both.columns):
        if size * span >= _MOST:
            codes, size = ranks(codes)
        codes, size = codes * span + more, size * span
    return np.isin(codes[: rows.num_rows], codes[rows.num_rows :])


def _same_as_before(rows: pa.Table, by: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Of every row but the first: whether it agrees with the one before it; missing agrees with missing."""
    same = np.ones(max(rows.num_rows - 1, 0), bool)
    for name in by:
        if not same.any():
            return same
        column = rows.column(name).combine_chunks()
        first, second = column.slice(0, len(column) - 1), column.slice(1)
        equal = pc.fill_null(pc.equal(first, second), False)
        both_missing = pc.and_(pc.is_null(first), pc.is_null(second))
        same &= pc.or_(equal, both_missing).to_numpy(zero_copy_only=False)
    return same


def plain(rows: pa.Table) -> pa.Table:
    """The rows in the types of ``plain_type``."""
    schema = pa.schema([pa.field(f.name, plain_type(f.type)) for f in rows.schema])
    return rows if rows.schema == schema else rows.cast(schema)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """One Arrow type per kind of value, because engines and files return views, large and dictionary types."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return TIMESTAMP
    return kind


def _is_in_order(rows: pa.Table, by: Sequence[str]) -> bool:
    """Whether the rows are known to be sorted already. Columns of numbers with a fraction are not looked at."""
    equal = np.ones(rows.num_rows - 1, bool)
    for name in by:
        column = rows.column(name)
        if not _is_cheap(column.type) or column.null_count:
            return False
        column = column.combine_chunks()
        first, second = column.slice(0, len(column) - 1), column.slice(1)
        if pc.any(pc.and_(pc.greater(first, second), pa.array(equal))).as_py():
            return False
        equal &= pc.equal(first, second).to_numpy(zero_copy_only=False)
        if not equal.any():
            return True
    return True


# --- sorting ---------------------------------------------------------------------------------------------------------


def _order(columns: Sequence[pa.ChunkedArray], group: Ints | None = None) -> Ints | None:
    """The indices that sort by the columns, within each ``group`` if given; None when the rows are sorted. A column
    counts only among the rows that are equal in those before it, and only there it is compared."""
    codes, size = _codes(columns[0])
    if group is None and np.all(codes[1:] > codes[:-1]):
        return None
    if group is not None:
        (group, groups), (codes, size) = ranks(group), ranks(codes)
        codes, size = group * size + codes, groups * size
    used = 1
    for more, span in _each(_codes, list(takewhile(lambda column: _is_cheap(column.type), columns[1:]))):
        if size * span >= _MOST:
            break
        codes, size, used = codes * span + more, size * span, used + 1
    is_sorted = bool(np.all(codes[1:] >= codes[:-1]))
    order = np.arange(len(codes)) if is_sorted else order_of(codes)
    unchanged = None if is_sorted else order
    if used == len(columns):
        return unchanged
    codes = codes[order]
    equal = codes[1:] == codes[:-1]
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    if not len(tied):
        return unchanged
    among = pa.array(order[tied])
    within = _order([column.take(among) for column in columns[used:]], codes[tied])
    if within is None:
        return unchanged
    order[tied] = order[tied][within]
    return order


def _each(function: Callable[[pa.ChunkedArray], T], columns: Sequence[pa.ChunkedArray]) -> list[T]:
    """``function`` of each column; of long ones on all processors."""
    if len(columns) < 2 or len(columns[0]) < MANY_ROWS:
        return [function(column) for column in columns]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, columns))


def _is_cheap(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def _codes(column: pa.ChunkedArray) -> tuple[Ints, int]:
    """Integers from 0 that compare as the column's values do, missing ones last, and one more than the largest."""
    missing = ~column.is_valid().to_numpy() if column.null_count else None
    if missing is not None and missing.all():
        return np.zeros(len(column), np.int64), 1
    kind = column.type
    if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
        codes, size = _counted(pc.fill_null(column, pc.min(column)).to_numpy().astype(np.int64))
    elif pa.types.is_temporal(kind):
        whole = column.cast(pa.int32()).cast(pa.int64()) if kind.bit_width == 32 else column.cast(pa.int64())
        codes, size = _counted(pc.fill_null(whole, pc.min(whole)).to_numpy())
    else:
        # Texts and all others: each distinct value once, in Arrow's order. Adding zero makes -0.0 the same as 0.0.
        distinct = pc.add(column, 0.0) if pa.types.is_floating(kind) else column
        encoded = _encoded(distinct)
        place = np.empty(len(encoded.dictionary), np.int64)
        place[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(place))
        codes, size = place[pc.fill_null(encoded.indices, 0).to_numpy()], len(place)
    if missing is not None:
        codes = np.where(missing, size, codes)
        size += 1
    return codes, size


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Each distinct value once, and each row as a place among them."""
    is_encoded = pa.types.is_dictionary(column.type)
    return (column.unify_dictionaries() if is_encoded else pc.dictionary_encode(column)).combine_chunks()


def _counted(values: Ints) -> tuple[Ints, int]:
    """From the smallest, in the coarsest unit all are in; as ranks where they are too far apart."""
    first, last = int(values.min()), int(values.max())
    if last - first >= _MOST:
        return ranks(values)
    values = values - first
    for unit in (1_000_000, 1_000):
        if last - first >= unit and not np.any(values % unit):
            return values // unit, (last - first) // unit + 1
    return values, last - first + 1
