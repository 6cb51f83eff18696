"""Reads an interval of one table: all of it or nothing, tried again when the error may be temporary."""

from __future__ import annotations

import json
import re
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import URL, Connection, Date, Engine, Select, create_engine, func, inspect, make_url, or_, select
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SAWarning,
    SQLAlchemyError,
)

from include.adapters.source import times
from include.adapters.source.columns import Read, SourceLayout, layout, may_go_otherwise, split_name
from include.adapters.source.errors import ColumnUnreadable, SourceRefused, SourceUnreachable
from include.adapters.source.values import Reading, one_line, refused_by_driver
from include.config import bounds
from include.config.types import SourceTable
from include.domain.intervals import Interval

T = TypeVar("T")
LOCK_TIMEOUT_S = 30
"""How long a read waits for a statement that alters the table."""


NO_TEXT = re.compile(r"Could not decode to UTF-8 column '(?P<column>.*?)' with text '(?P<text>.*)'", re.DOTALL)
"""How SQLite's driver says that a text column holds bytes that are no text."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a table is read: in pages of ``batch_rows`` rows, tried ``attempts`` times (at least 1) with a pause between
    that doubles from ``pause_s`` seconds."""

    attempts: int = 4
    pause_s: float = 0.5
    batch_rows: int = 50_000


USUAL = Pace()


def extract(
    url: str,
    source: SourceTable,
    interval: Interval,
    as_of: datetime,
    *,
    what: str | None = None,
    named: Collection[str] | None = None,
    pace: Pace = USUAL,
) -> pa.Table:
    """The table's rows with ``start - lookback <= time < end + lookahead`` that were known at ``as_of``.

    ``what`` begins a message about a value that cannot be read: who asked, and for which interval. ``named`` are the
    words, in lower case, that the SQL over the rows uses for columns, and ``*`` where it takes all; None is all too.

    A table declared without ``time`` is read whole. Timestamps come as ``timestamp[us, tz=UTC]``, and so do ``time``
    and ``known`` in whatever form the source keeps them (see ``times``); one without an offset is taken as UTC. Columns
    of types that have no place in Arrow are left out, and so are those that are not needed and hold a value that cannot
    be read; ``left_out`` says which. Errors that may be temporary (a lost connection, a bad page) are tried again from
    the first row, at the given pace: either all the rows come back or none do.

    Raises:
        SourceUnreachable: when no attempt succeeded.
        TableVanished, ColumnVanished: naming what is missing and what is there.
        SourceRefused: when the source denies the query.
        ColumnUnreadable: when a needed column's type, or a value, has no exact place in Arrow.
    """
    return _extracted(url, source, AskedRows(interval, as_of), what, named, pace)


def news(
    url: str,
    source: SourceTable,
    interval: Interval,
    since: datetime,
    as_of: datetime,
    *,
    what: str | None = None,
    named: Collection[str] | None = None,
) -> pa.Table:
    """The rows of ``extract`` that the source learned after ``since``; ``source`` has a ``time`` and a ``known``.

    Raises:
        As ``extract``.
    """
    return _extracted(url, source, AskedRows(interval, as_of, since), what, named, USUAL)


def identity(url: str, name: str) -> list[str]:
    """The columns of the table's primary key; empty where it has none.

    Raises:
        SourceUnreachable, SourceRefused: as ``extract``.
    """

    def key(connection: Connection) -> list[str]:
        schema, bare = split_name(name)
        return list(inspect(connection).get_pk_constraint(bare, schema=schema)["constrained_columns"])

    return tried(url, name, key, USUAL)


@dataclass(frozen=True, slots=True)
class AskedRows:
    """Which rows of a table: those of an interval that were known ``as_of``, and ``after``, where that is given."""

    interval: Interval
    as_of: datetime
    after: datetime | None = None


def _extracted(
    url: str, source: SourceTable, asked: AskedRows, what: str | None, named: Collection[str] | None, pace: Pace
) -> pa.Table:
    def rows(connection: Connection) -> pa.Table:
        doubted: dict[str, str] = {}
        while True:
            try:
                return once(connection, doubted)
            except ColumnUnreadable as error:
                if error.column in doubted or not may_go_otherwise(connection, source, named, error.column):
                    raise
                doubted[error.column] = error.reason
                connection.rollback()

    def once(connection: Connection, doubted: Mapping[str, str]) -> pa.Table:
        found = layout(connection, source, named, doubted)
        read = as_stored(connection, found, asked, what, pace.batch_rows)
        return exactly(read, found, asked).replace_schema_metadata(_noted(found))

    return tried(url, source.table, rows, pace)


def as_stored(
    connection: Connection, found: SourceLayout, asked: AskedRows, what: str | None, batch_rows: int = USUAL.batch_rows
) -> pa.Table:
    """What the query gives: more than was asked for where the database has no type for times; ``exactly`` cuts it."""
    statement = _statement(connection, found, asked)
    batches = _batches(connection, statement, Reading(found, what), batch_rows)
    try:
        return pa.Table.from_batches(batches, found.arrow)
    except DataError as error:
        raise refused_by_driver(connection, found, statement, error, what) from error


def left_out(rows: pa.Table) -> dict[str, str]:
    """The columns of an extracted table that were not read, and why."""
    found: dict[str, str] = json.loads((rows.schema.metadata or {}).get(LEFT_OUT, b"{}"))
    return found


def daily_counts(
    url: str, source: SourceTable, interval: Interval, as_of: datetime, *, pace: Pace = USUAL
) -> dict[str, tuple[int, datetime | None]]:
    """How many rows known at ``as_of`` each UTC day of the interval has, and when the newest of them was known. A day
    without rows is not in the answer. ``source`` has a ``time``. One grouped query, where the database has a type for
    times; else the two columns are read.

    Raises:
        SourceUnreachable, SourceRefused, TableVanished, ColumnVanished, ColumnUnreadable: as ``extract``.
    """
    both = [name for name in dict.fromkeys((source.time, source.known)) if name is not None]
    alone = source.model_copy(update={"lookback": timedelta(0), "lookahead": timedelta(0), "columns": both})
    asked = AskedRows(interval, as_of)

    def grouped(connection: Connection) -> dict[str, tuple[int, datetime | None]] | None:
        found = layout(connection, alone, None)
        if not all(found.read(name).is_native_time for name in both):
            return None
        rows = _statement(connection, found, asked).order_by(None).subquery()
        moment, known = rows.c[both[0]], rows.c[both[-1]]
        zoned = getattr(moment.type, "timezone", False)
        day = func.date(func.timezone("UTC", moment) if zoned else moment)
        answer = select(day, func.count(), func.max(known)).group_by(day)
        try:
            counted = connection.execute(answer).all()
        except DataError as error:
            raise refused_by_driver(connection, found, _statement(connection, found, asked), error, None) from error
        return {str(each): (int(count), latest and _in_utc(latest)) for each, count, latest in counted}

    counted = tried(url, source.table, grouped, pace)
    if counted is not None:
        return counted
    rows = extract(url, alone, interval, as_of, pace=pace)
    days = rows.append_column(_DAY, rows.column(both[0]).cast(pa.timestamp("us")).cast(pa.date32()))
    each = days.group_by(_DAY).aggregate([([], "count_all"), (both[-1], "max")]).to_pylist()
    return {str(day[_DAY]): (day["count_all"], day[f"{both[-1]}_max"]) for day in each}


def tried(url: str, name: str, action: Callable[[Connection], T], pace: Pace) -> T:
    """The action's answer; the whole action is tried again when the error may be temporary."""
    engine = engine_of(url)
    try:
        for attempt in range(1, pace.attempts + 1):
            try:
                with engine.connect() as connection:
                    return action(connection)
            except ProgrammingError as error:
                raise SourceRefused(engine.url, name, one_line(error)) from error
            except (DBAPIError, OSError) as error:
                if attempt == pace.attempts:
                    raise SourceUnreachable(engine.url, attempt, one_line(error)) from error
                time.sleep(pace.pause_s * 2 ** (attempt - 1))
        raise SourceUnreachable(engine.url, pace.attempts, "no attempt was allowed")
    finally:
        engine.dispose()


def columns_of(url: str, name: str) -> list[str]:
    """The table's column names, for a message that says what is there; empty when it cannot be asked."""
    try:
        engine = engine_of(url)
        try:
            schema, bare = split_name(name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SAWarning)
                return [c["name"] for c in inspect(engine).get_columns(bare, schema=schema)]
        finally:
            engine.dispose()
    except (SQLAlchemyError, SourceUnreachable):
        return []


def engine_of(url: str) -> Engine:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if (
            backend == "sqlite"
            and parsed.database
            and parsed.database != ":memory:"
            and not Path(parsed.database).is_file()
        ):
            # SQLite would make an empty database of a mistyped path, and the first error would be about a missing
            # table.
            raise SourceUnreachable(parsed, 1, f"there is no file {parsed.database}")
        options: dict[str, Any] = {}
        if backend == "postgresql":
            limit = bounds.source_s()
            options = bounds.of_postgres(parsed.query, limit, min(limit, LOCK_TIMEOUT_S))
            # In another zone the last day of the year 9999, which people write for "never", has no place in Python.
            options["options"] += " -c timezone=UTC"
        return create_engine(parsed, connect_args=options)
    except ImportError as error:
        missing = error.name or str(error)
        way = "say postgresql+psycopg://" if backend == "postgresql" else "install the package that has it"
        raise SourceUnreachable(parsed, 1, f"its driver {missing} is not installed; {way}") from None
    except (ArgumentError, NoSuchModuleError) as error:
        raise SourceUnreachable(URL.create("unknown"), 1, f"its URL is not usable ({type(error).__name__})") from None


def _statement(connection: Connection, found: SourceLayout, asked: AskedRows) -> Select[Any]:
    """The query. Where the database has no type for times it gives a few rows more than were asked for."""
    interval, as_of = asked.interval, asked.as_of
    source, is_sqlite = found.source, connection.dialect.name == "sqlite"
    statement = select(*(each.asked for each in found.reads)).select_from(found.table)
    if source.time is not None:
        start, end = interval.start - source.lookback, interval.end + source.lookahead
        when = found.read(source.time)
        if when.is_native_time:
            statement = statement.where(when.raw >= _bound(when, start), when.raw < _bound(when, end))
            statement = statement.order_by(when.raw)
        else:
            window, strange = times.may_be_within(connection.dialect.name, when, start, end)
            if is_sqlite and _is_indexed(connection, found, when):
                _refuse_strange(connection, found, when)
            else:
                window = or_(window, strange)
            statement = statement.where(window)
    if source.known is not None and found.read(source.known).is_native_time:
        known = found.read(source.known)
        statement = statement.where(known.raw <= _bound(known, as_of))
    elif source.known is not None and isinstance(found.read(source.known).kind, Date) and not is_sqlite:
        statement = statement.where(found.read(source.known).raw <= as_of.astimezone(UTC).date())
    if source.known is not None and asked.after is not None:
        known = found.read(source.known)
        if known.is_native_time:
            return statement.where(known.raw > _bound(known, asked.after))
        within, strange = times.may_be_within(connection.dialect.name, known, asked.after, as_of + timedelta(days=1))
        statement = statement.where(or_(within, strange))
    return statement


def _bound(when: Read, moment: datetime) -> datetime:
    utc = moment.astimezone(UTC)
    return utc if getattr(when.kind, "timezone", False) else utc.replace(tzinfo=None)


def _is_indexed(connection: Connection, found: SourceLayout, when: Read) -> bool:
    """Whether SQLite uses an index for a range of the column instead of reading the whole table."""
    between = select(when.raw).select_from(found.table).where(when.raw >= "a", when.raw < "b")
    query = between.compile(connection, compile_kwargs={"literal_binds": True})
    plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + str(query)).all()
    return all(str(row[-1]).startswith("SEARCH") for row in plan)


def _refuse_strange(connection: Connection, found: SourceLayout, when: Read) -> None:
    strange = times.strange_in_index(connection, when.raw, found.table, not times.is_text_only(when))
    if strange:
        shown = repr(strange[0])[:40]
        reason = f"it must be a timestamp, and {shown} is none. {times.WHAT_WOULD_DO}"
        raise ColumnUnreadable(found.source.table, when.name, reason)


def exactly(rows: pa.Table, found: SourceLayout, asked: AskedRows) -> pa.Table:
    """The rows that were asked for, in the order of their time, where the query could not say it exactly."""
    interval, as_of = asked.interval, asked.as_of
    source, keep = found.source, None
    if source.time is not None and not found.read(source.time).is_native_time:
        moment = rows.column(source.time)
        start, end = (
            pa.scalar(m, times.TIMES) for m in (interval.start - source.lookback, interval.end + source.lookahead)
        )
        keep = pc.and_(pc.greater_equal(moment, start), pc.less(moment, end))
    if source.known is not None and not found.read(source.known).is_native_time:
        was_known = pc.less_equal(rows.column(source.known), pa.scalar(as_of, times.TIMES))
        if asked.after is not None:
            is_news = pc.greater(rows.column(source.known), pa.scalar(asked.after, times.TIMES))
            was_known = pc.and_(was_known, is_news)
        keep = was_known if keep is None else pc.and_(keep, was_known)
    if keep is None:
        return rows
    if not pc.all(pc.fill_null(keep, False)).as_py():
        rows = rows.filter(keep)
    if source.time is None or found.read(source.time).is_native_time:
        return rows
    moments = rows.column(source.time).cast(pa.int64()).to_numpy()
    return rows if (moments[1:] >= moments[:-1]).all() else rows.take(np.argsort(moments, kind="stable"))


LEFT_OUT = b"slipway_left_out"
_DAY = "slipway_day"


def _noted(found: SourceLayout) -> dict[bytes, bytes] | None:
    return {LEFT_OUT: json.dumps(found.left_out).encode()} if found.left_out else None


def _batches(
    connection: Connection, statement: Select[Any], reading: Reading, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    source, what = reading.layout.source, reading.what
    pages: Iterator[Sequence[Any]] | None = None
    while True:
        try:
            if pages is None:
                options = connection.execution_options(stream_results=True, yield_per=batch_rows)
                pages = options.execute(statement).partitions()
            page = next(pages, None)
        except OperationalError as error:
            # SQLite hands out any bytes as text; half of a surrogate pair is none in any encoding.
            broken = NO_TEXT.search(one_line(error))
            if broken is None:
                raise
            shown = broken["text"].encode("unicode_escape").decode()[:40]
            raise ColumnUnreadable(
                source.table, broken["column"], f"a value is no UTF-8 text: {shown}", what
            ) from error
        except (ValueError, TypeError) as error:  # the driver's own reading of a date or a number
            raise ColumnUnreadable(source.table, source.time or "*", one_line(error), what) from error
        if page is None:
            return
        columns = zip(*page, strict=True)
        reads, schema = reading.layout.reads, reading.layout.arrow
        arrays = [reading.array(read, values, page) for read, values in zip(reads, columns, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _in_utc(moment: Any) -> datetime:
    value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)
