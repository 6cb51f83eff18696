"""The source system: a SQL database somebody else owns. Read only, an interval at a time, in Arrow batches.

Nothing here knows the demonstration's tables. Names are quoted by SQLAlchemy, so a column may be called ``order``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Connection,
    Date,
    DateTime,
    Engine,
    Float,
    Integer,
    Numeric,
    Select,
    SmallInteger,
    String,
    column,
    create_engine,
    func,
    inspect,
    make_url,
    select,
    table,
)
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.types import TypeEngine

from include.config import bounds
from include.config.types import SourceTable
from include.domain.errors import Refusal
from include.domain.intervals import Interval

T = TypeVar("T")
LOCK_TIMEOUT_S = 30
"""How long a read waits for somebody who alters the table."""


class SourceUnreachable(ConnectionError):
    """The source did not answer, or broke off, in every attempt."""

    def __init__(self, url: URL, attempts: int, reason: str) -> None:
        super().__init__(
            f"The source {_shown(url)} could not be read in {attempts} attempt(s): {reason}. Nothing was kept. "
            "Check that it runs and that SLIPWAY_SOURCE_URL is right, then clear the task."
        )


NO_TEXT = re.compile(r"Could not decode to UTF-8 column '(?P<column>.*?)' with text '(?P<text>.*)'", re.DOTALL)
"""How SQLite's driver says that a text column holds bytes that are no text."""


class SourceRefused(Refusal, PermissionError):
    """The source answered, and refused the query."""

    def __init__(self, url: URL, name: str, reason: str) -> None:
        super().__init__(
            f"The source {_shown(url)} refused to give table {name!r}: {reason}. "
            "Ask its owner for the right to read it."
        )


class TableVanished(Refusal, LookupError):
    """A declared table is not in the source."""

    def __init__(self, url: URL, name: str, has: list[str]) -> None:
        super().__init__(
            f"The source {_shown(url)} has no table {name!r}; it has: {', '.join(has) or 'no tables'}. "
            "Restore it, or change the declaration that reads it."
        )


class ColumnVanished(Refusal, LookupError):
    """A declared column is not in its table."""

    def __init__(self, name: str, missing: str, has: list[str]) -> None:
        super().__init__(
            f"The source's table {name!r} has no column {missing!r}; it has: {', '.join(has)}. "
            "Restore it, or raise the view's version with SQL that does without."
        )


class ColumnUnreadable(Refusal, TypeError):
    """A column's type, or a value in it, cannot be carried over without loss."""

    def __init__(self, name: str, which: str, reason: str, what: str | None = None) -> None:
        asked = f"{what}: the" if what else "The"
        super().__init__(f"{asked} source's column {name}.{which} cannot be read: {reason}.")


def extract(
    url: str,
    source: SourceTable,
    interval: Interval,
    as_of: datetime,
    *,
    attempts: int = 4,
    pause_s: float = 0.5,
    batch_rows: int = 50_000,
    what: str | None = None,
) -> pa.Table:
    """The table's rows with ``start - lookback <= time < end + lookahead`` that were known at ``as_of``.

    ``what`` begins a message about a value that cannot be read: who asked, and for which interval.

    A table declared without ``time`` is read whole. Timestamps come as ``timestamp[us, tz=UTC]``; a naive one is taken
    as UTC. Errors that may pass (a lost connection, a bad page) are tried again from the first row, at most
    ``attempts`` times with a pause that doubles from ``pause_s``: either all the rows come back or none do.

    Raises:
        SourceUnreachable: when no attempt came through.
        TableVanished, ColumnVanished: naming what is missing and what is there.
        SourceRefused: when the source denies the query.
        ColumnUnreadable: when a column's type or value has no exact place in Arrow.
    """

    def rows(connection: Connection) -> pa.Table:
        statement, schema, zoned = _statement(connection, source, interval, as_of)
        read = _Reading(source, schema, zoned, what)
        return pa.Table.from_batches(_batches(connection, statement, read, batch_rows), schema)

    return _tried(url, source.table, rows, attempts, pause_s)


def daily_counts(
    url: str, source: SourceTable, interval: Interval, as_of: datetime, *, attempts: int = 4, pause_s: float = 0.5
) -> dict[str, tuple[int, datetime | None]]:
    """How many rows known at ``as_of`` each UTC day of the interval has, and when the newest of them was known: one
    grouped query. A day without rows is not in the answer. ``source`` has a ``time``.

    Raises:
        SourceUnreachable, SourceRefused, TableVanished, ColumnVanished: as ``extract``.
    """

    def counts(connection: Connection) -> dict[str, tuple[int, datetime | None]]:
        alone = source.model_copy(update={"lookback": timedelta(0), "lookahead": timedelta(0)})
        rows = _statement(connection, alone, interval, as_of)[0].order_by(None).subquery()
        moment, known = rows.c[str(source.time)], rows.c[source.known or str(source.time)]
        zoned = getattr(moment.type, "timezone", False)
        day = func.date(func.timezone("UTC", moment) if zoned else moment)
        found = connection.execute(select(day, func.count(), func.max(known)).group_by(day))
        return {str(each): (int(count), latest and _in_utc(latest)) for each, count, latest in found}

    return _tried(url, source.table, counts, attempts, pause_s)


def _tried(url: str, name: str, action: Callable[[Connection], T], attempts: int, pause_s: float) -> T:
    """The action's answer, tried again as a whole where the trouble may pass."""
    engine = _engine(url)
    try:
        for attempt in range(1, attempts + 1):
            try:
                with engine.connect() as connection:
                    return action(connection)
            except ProgrammingError as error:
                raise SourceRefused(engine.url, name, _one_line(error)) from error
            except (DBAPIError, OSError) as error:
                if attempt == attempts:
                    raise SourceUnreachable(engine.url, attempts, _one_line(error)) from error
                time.sleep(pause_s * 2 ** (attempt - 1))
        raise SourceUnreachable(engine.url, attempts, "no attempt was allowed")
    finally:
        engine.dispose()


def columns_of(url: str, name: str) -> list[str]:
    """The table's column names, for a message that says what is there; empty when it cannot be asked."""
    try:
        engine = _engine(url)
        try:
            return [c["name"] for c in inspect(engine).get_columns(name)]
        finally:
            engine.dispose()
    except (SQLAlchemyError, SourceUnreachable):
        return []


def _engine(url: str) -> Engine:
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
        return create_engine(parsed, connect_args=options)
    except (ArgumentError, NoSuchModuleError) as error:
        raise SourceUnreachable(URL.create("unknown"), 1, f"its URL is not usable ({type(error).__name__})") from None


def _statement(
    connection: Connection, source: SourceTable, interval: Interval, as_of: datetime
) -> tuple[Select[Any], pa.Schema, frozenset[str]]:
    """The query, the columns' types in Arrow, and the names of the timestamps that carry their time zone."""
    inspector = inspect(connection)
    if not (inspector.has_table(source.table) or source.table in inspector.get_view_names()):
        raise TableVanished(connection.engine.url, source.table, sorted(inspector.get_table_names()))
    found = inspector.get_columns(source.table)
    has = [c["name"] for c in found]
    for needed in (source.time, source.known):
        if needed is not None and needed not in has:
            raise ColumnVanished(source.table, needed, has)
    typed = {c["name"]: _readable(source.table, c["name"], c["type"]) for c in found}
    columns: dict[str, ColumnClause[Any]] = {name: column(name, kind) for name, (kind, _) in typed.items()}
    statement = select(*columns.values()).select_from(table(source.table, *columns.values()))
    if source.time is not None:
        when = columns[source.time]
        statement = statement.where(
            when >= _bound(source.table, when, interval.start - source.lookback),
            when < _bound(source.table, when, interval.end + source.lookahead),
        ).order_by(when)
    if source.known is not None:
        known = columns[source.known]
        statement = statement.where(known <= _bound(source.table, known, as_of))
    zoned = frozenset(name for name, (kind, _) in typed.items() if isinstance(kind, DateTime) and kind.timezone)
    return statement, pa.schema([(name, arrow) for name, (_, arrow) in typed.items()]), zoned


def _readable(name: str, which: str, kind: TypeEngine[Any]) -> tuple[TypeEngine[Any], pa.DataType]:
    """How a reflected type is asked for, and what it becomes."""
    match kind:
        case DateTime():
            return kind, pa.timestamp("us", tz="UTC")
        case Date():
            return kind, pa.date32()
        case Boolean():
            return kind, pa.bool_()
        case Integer() | BigInteger() | SmallInteger():
            return kind, pa.int64()
        case Float():
            return kind, pa.float64()
        case Numeric():
            return Numeric(asdecimal=False), pa.float64()
        case String():
            return kind, pa.string()
        case _:
            raise ColumnUnreadable(
                name, which, f"its type {kind!r} is none of text, integer, number, boolean, date and timestamp"
            )


def _bound(name: str, when: ColumnClause[Any], moment: datetime) -> datetime:
    if not isinstance(when.type, DateTime):
        raise ColumnUnreadable(
            name, when.name, f"it is compared with a time and must be a timestamp, not {when.type!r}"
        )
    utc = moment.astimezone(UTC)
    return utc if when.type.timezone else utc.replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is being read, for messages about its values."""

    source: SourceTable
    schema: pa.Schema
    zoned: frozenset[str]
    what: str | None

    def array(self, field: pa.Field, values: Sequence[Any], page: Sequence[Any]) -> pa.Array:
        if pa.types.is_timestamp(field.type):
            # SQLite takes any text for a time; one with a zone was compared as text, so its interval is not sure.
            zoned = field.name in self.zoned
            strange = [i for i, v in enumerate(values) if v is not None and (v.tzinfo is None) is zoned]
            if strange:
                has = (
                    "without a time zone where the others have one" if zoned else "with a time zone, the others without"
                )
                raise self.unreadable(field, strange, values, page, has)
        try:
            return pa.array(values, type=field.type)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            bad = [i for i, value in enumerate(values) if not _fits(value, field.type)]
            raise self.unreadable(field, bad, values, page, f"no {field.type} ({_one_line(error)})") from error

    def unreadable(
        self, field: pa.Field, rows: Sequence[int], values: Sequence[Any], page: Sequence[Any], problem: str
    ) -> ColumnUnreadable:
        first = rows[0] if rows else 0
        when = ""
        if self.source.time is not None and self.source.time != field.name:
            when = f" in the row of {page[first][self.schema.get_field_index(self.source.time)]}"
        shown = repr(values[first])[:40]
        reason = f"{len(rows) or 'some'} of {len(values)} values read at once are {problem}, the first {shown}{when}"
        return ColumnUnreadable(self.source.table, field.name, reason, self.what)


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([value], type=kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return False
    return True


def _batches(
    connection: Connection, statement: Select[Any], reading: _Reading, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    source, what = reading.source, reading.what
    pages: Iterator[Sequence[Any]] | None = None
    while True:
        try:
            if pages is None:
                options = connection.execution_options(stream_results=True, yield_per=batch_rows)
                pages = options.execute(statement).partitions()
            page = next(pages, None)
        except OperationalError as error:
            # SQLite hands out any bytes as text; half of a surrogate pair is none in any encoding.
            broken = NO_TEXT.search(_one_line(error))
            if broken is None:
                raise
            shown = broken["text"].encode("unicode_escape").decode()[:40]
            raise ColumnUnreadable(
                source.table, broken["column"], f"a value is no UTF-8 text: {shown}", what
            ) from error
        except (ValueError, TypeError) as error:  # the driver's own reading of a date or a number
            raise ColumnUnreadable(source.table, source.time or "*", _one_line(error), what) from error
        if page is None:
            return
        columns = zip(*page, strict=True)
        arrays = [reading.array(field, values, page) for field, values in zip(reading.schema, columns, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=reading.schema)


def _in_utc(moment: Any) -> datetime:
    value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _one_line(error: BaseException) -> str:
    text = str(error.orig if isinstance(error, DBAPIError) and error.orig is not None else error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)
