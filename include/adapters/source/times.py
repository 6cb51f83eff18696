"""Times in every form in which databases and people keep them, as moments in UTC.

A column declared as a timestamp with a database that has such a type needs none of this. SQLite has none, and other
databases keep times as text or numbers too. Understood are ISO 8601 texts (``2024-03-10``, a blank or ``T``, with or
without seconds, fractions and an offset; without one it is UTC) and whole or broken numbers since 1970 in seconds,
milliseconds, microseconds or nanoseconds, which are distinguished by their size. Nothing else is guessed: it is refused
by name.

The query reads a little more than the interval, with a condition that an index on the column can answer; rows outside
the interval are removed afterwards, by their moments. The query also reads times in an unknown form, so that they are
reported and not silently left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Connection, Date, String, and_, false, func, literal, not_, or_, select
from sqlalchemy.sql.elements import ColumnClause

from include.adapters.source.columns import Read

TIMES = pa.timestamp("us", tz="UTC")
ISO = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|z|UTC|[+-]\d\d(:?\d\d)?))?)?$"
ZONED = r"(Z|[+-]\d\d(:?\d\d)?)$"
UNITS = ((10**8, 10**10, 1_000_000.0), (10**11, 10**13, 1_000.0), (10**14, 10**16, 1.0), (10**17, 9 * 10**18, 0.001))
"""From where to where a number counts seconds, milliseconds, microseconds or nanoseconds, and the microseconds in one:
the years 1973 to 2286 in each. Other numbers are ambiguous: a day as 20240310, a Julian day, a year, a zero."""
NEVER_S = (253_402_214_400, 253_402_300_800)
"""The last day of the year 9999 in seconds, which people write for "never", and has no other meaning here: no day
of January 1978 in milliseconds."""
WHAT_WOULD_DO = (
    "Understood are ISO 8601 texts such as 2024-03-10 05:00:00 or 2024-03-10T05:00:00+01:00, and numbers of seconds, "
    "milliseconds, microseconds or nanoseconds since 1970. Make a database view that gives the time in one of these "
    "forms, and read that"
)
FIRST_YEAR, LAST_YEAR = 1900, 2200
_DAY_PATTERN = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]*"
_DAY_REGEX = r"^\d{4}-[01]\d-[0-3]\d"
_WIDEST_OFFSET = timedelta(hours=16)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# --- values ----------------------------------------------------------------------------------------------------------


def moments(values: Sequence[Any]) -> tuple[pa.Array, list[int]]:
    """The values as moments, and the positions of those that are none; a missing one is missing."""
    try:
        # Nearly every column has texts without an offset.
        return pa.array(values, pa.string()).cast(pa.timestamp("us")).cast(TIMES), []
    except (pa.ArrowException, TypeError, OverflowError):
        pass
    texts = pa.array([v if isinstance(v, str) else None for v in values], pa.string())
    found = _from_texts(texts)
    others = [i for i, v in enumerate(values) if v is not None and not isinstance(v, str)]
    if others:
        plain: list[Any] = found.cast(pa.int64()).to_pylist()
        for i in others:
            plain[i] = _microseconds(values[i])
        found = pa.array(plain, pa.int64()).cast(TIMES)
    missing = found.is_null().to_pylist() if found.null_count else []
    return found, [i for i, is_missing in enumerate(missing) if is_missing and values[i] is not None]


def _from_texts(texts: pa.Array) -> pa.Array:
    """Missing for what is no time."""
    texts = pc.if_else(pc.match_substring_regex(texts, ISO), texts, pa.scalar(None, pa.string()))
    # A microsecond is the finest there is here; finer digits are cut off.
    texts = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")
    texts = pc.replace_substring_regex(texts, r" ?(Z|z|UTC)$", "Z")
    texts = pc.replace_substring_regex(texts, r" ([+-]\d\d(:?\d\d)?)$", r"\1")
    # Behind the date a sign is that of an offset.
    zoned = pc.fill_null(pc.match_substring_regex(pc.utf8_slice_codeunits(texts, 10), ZONED), False)
    nothing = pa.scalar(None, pa.string())
    local = _cast(pc.if_else(zoned, nothing, texts), pa.timestamp("us")).cast(TIMES)
    return pc.if_else(zoned, _cast(pc.if_else(zoned, texts, nothing), TIMES), local)


def _cast(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return texts.cast(kind)
    except pa.ArrowException:
        return pa.array([_one(text, kind) for text in texts], kind)


def _one(text: pa.StringScalar, kind: pa.DataType) -> Any:
    """A time, or None for one that no calendar has: the 13th month, the 30th of February."""
    try:
        return text.cast(kind).as_py()
    except pa.ArrowException:
        return None


def _microseconds(value: Any) -> int | None:
    """Since 1970; None for what is no time."""
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value
        return (moment - _EPOCH) // timedelta(microseconds=1)
    if isinstance(value, date):
        return (value - _EPOCH.date()).days * 86_400_000_000
    if isinstance(value, Decimal):
        value = int(value) if value == int(value) else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if NEVER_S[0] <= value < NEVER_S[1]:
        return int(value) * 1_000_000
    for first, past, each in UNITS:
        if first <= value < past:
            if isinstance(value, int):
                return value * int(each) if each >= 1 else value // 1000
            return round(value * each)
    return None


# --- conditions ------------------------------------------------------------------------------------------------------


def texts_between(when: ColumnElement[Any], start: datetime, end: datetime, offset: ColumnElement[bool]) -> Any:
    """Whether a text may be a moment of ``[start, end)``; always true for one that is. ``offset`` says whether it has
    one.

    Texts without an offset order as their times do, down to the day in every spelling. A blank comes before ``T``, so
    the lower bound has one and the upper bound the other.
    """
    narrow = and_(when >= _minute(start, " "), when < _minute(_up_to_minute(end), "T"))
    wide_start, wide_end = _minute(start - _WIDEST_OFFSET, " "), _minute(end + _WIDEST_OFFSET, "T")
    return and_(when >= wide_start, when < wide_end, or_(narrow, offset))


def _up_to_minute(moment: datetime) -> datetime:
    floor = moment.replace(second=0, microsecond=0)
    return floor if floor == moment else floor + timedelta(minutes=1)


def _minute(moment: datetime, between: str) -> str:
    # A bound of midnight is the date alone, which comes before every time of that day.
    at = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return (
        f"{at:%Y-%m-%d}" if (at.hour, at.minute) == (0, 0) and between == " " else f"{at:%Y-%m-%d}{between}{at:%H:%M}"
    )


def numbers_between(when: ColumnElement[Any], start: datetime, end: datetime) -> Any:
    """Whether a number may be a moment of ``[start, end)`` in one of the units; always true for one that is."""
    low, high = ((m - _EPOCH) / timedelta(microseconds=1) for m in (start - _SECOND, end + _SECOND))
    spans = []
    for first, past, each in UNITS:
        lowest, highest = max(low / each, first), min(high / each, float(past))
        if lowest < highest:
            spans.append(and_(when >= int(lowest), when < int(highest) + 1))
    return or_(*spans) if spans else false()


_SECOND = timedelta(seconds=1)


def no_number_of_a_time(when: ColumnElement[Any]) -> Any:
    """Whether a number's size fits none of the units since 1970."""
    between = (and_(when >= past, when < first) for (_, past, _), (first, _, _) in pairwise(UNITS))
    return or_(when < UNITS[0][0], *between)


def may_be_within(dialect: str, read: Read, start: datetime, end: datetime) -> tuple[Any, Any]:
    """Whether a value may be a moment of ``[start, end)``, which an index can answer; and whether it is no time at all,
    which it cannot."""
    when = read.raw
    if dialect == "sqlite":
        window = texts_between(when, start, end, func.substr(when, 11).op("GLOB")("*[+-]*"))
        strange = no_text_of_a_time_in_sqlite(when)
        if is_text_only(read):
            return window, strange
        return or_(window, numbers_between(when, start, end)), or_(strange, no_number_of_a_time(when))
    if isinstance(read.kind, Date):
        return and_(when >= start.date(), when < end.date() + timedelta(days=1)), false()
    if isinstance(read.kind, String):
        # Ordered by its characters, independent of the database's collation.
        window = texts_between(when.collate("C"), start, end, func.substr(when, 11).op("~")("[+-]"))
        return window, when.op("!~")(_DAY_REGEX)
    return numbers_between(when, start, end), no_number_of_a_time(when)


def is_text_only(read: Read) -> bool:
    """Whether a SQLite column keeps numbers as text, and compares them so."""
    return isinstance(read.kind, String)


def no_text_of_a_time_in_sqlite(when: ColumnElement[Any]) -> Any:
    return and_(when >= "", not_(when.op("GLOB")(_DAY_PATTERN)))


def strange_in_index(connection: Connection, when: ColumnClause[Any], table: Any, has_numbers: bool) -> list[Any]:
    """Some of an indexed SQLite column's values that are no times, without reading the column: the index is searched
    between the months, month by month, as far as there are values."""
    months = _months()
    lowest, highest = connection.execute(
        select(
            *(select(end(when)).select_from(table).where(when >= "").scalar_subquery() for end in (func.min, func.max))
        )
    ).one()
    # Behind all that begins with a month, before the next: '.' follows '-'.
    gaps = [[this[:-1] + ".", after] for this, after in pairwise(months) if _meets(lowest, highest, this, after)]
    each = func.json_each(literal(json.dumps(gaps))).table_valued("value")
    low, high = (func.json_extract(each.c.value, f"$[{side}]") for side in (0, 1))
    inside = select(when).select_from(table).where(when >= low, when < high).limit(1)
    found = select(inside.correlate(each).scalar_subquery().label("value")).select_from(each).subquery()
    queries = [
        select(found.c.value).where(found.c.value.is_not(None)).limit(1),
        _some(when, table, and_(when < months[0], no_text_of_a_time_in_sqlite(when))),
        _some(when, table, and_(when >= months[-1][:-1] + ".", no_text_of_a_time_in_sqlite(when))),
    ]
    if has_numbers:
        queries.append(_some(when, table, and_(when < "", no_number_of_a_time(when))))
    return [value for query in queries for value in connection.execute(query).scalars()]


@cache
def _months() -> list[str]:
    return [f"{year}-{month:02d}-" for year in range(FIRST_YEAR, LAST_YEAR) for month in range(1, 13)]


def _meets(lowest: Any, highest: Any, low: str, high: str) -> bool:
    """Whether a text of ``[low, high)`` may lie between the first and the last of the column; bytes come after all
    texts, and of a column without texts there is no first."""
    return isinstance(lowest, str) and lowest < high and (not isinstance(highest, str) or low <= highest)


def _some(when: ColumnClause[Any], table: Any, condition: Any) -> Any:
    return select(when).select_from(table).where(condition).limit(1)
