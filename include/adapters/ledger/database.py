"""One engine, two databases: short transactions that write one after the other, and reads that see one moment."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from include.adapters.ledger import tables
from include.adapters.ledger.chain_rows import begin_in, close_in, watch
from include.adapters.ledger.errors import BadLedgerUrl, BadValue, Fenced, LedgerDamaged, LedgerUnavailable
from include.adapters.ledger.locks import one_after_the_other
from include.adapters.ledger.records import Attempt
from include.config import bounds
from include.domain.intervals import BadInstant, BadInterval, Interval

DAMAGED = ("file is not a database", "disk image is malformed")
"""What SQLite says of a file that is damaged, so that waiting does not help."""
MAX_TEXT = 4000
"""Longest text a person or a service may leave in one field, in characters."""


def make_engine(url: str) -> Engine:
    """An engine on SQLite (a file) or Postgres, set up for short transactions.

    Raises:
        BadLedgerUrl: for anything else.
    """
    allowed = "use sqlite:///path/to/ledger.db or postgresql+psycopg://user@host/database"
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadLedgerUrl(f"The ledger's URL cannot be read as a database URL; {allowed}.") from None
    dialect, shown = parsed.get_backend_name(), parsed.render_as_string(hide_password=True)
    if dialect not in ("sqlite", "postgresql"):
        raise BadLedgerUrl(f"The ledger's URL {shown} is for {dialect}; {allowed}.")
    serializer = partial(json.dumps, allow_nan=False)
    if dialect == "postgresql":
        return create_engine(
            parsed,
            json_serializer=serializer,
            pool_size=5,
            max_overflow=25,
            pool_pre_ping=True,
            connect_args=bounds.of_postgres(parsed.query, bounds.database_s()),
        )
    if parsed.database in (None, "", ":memory:"):
        raise BadLedgerUrl(f"The ledger's URL {shown} is in memory, where no other process sees it; {allowed}.")
    Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed, json_serializer=serializer, pool_size=5, max_overflow=25, connect_args={"timeout": bounds.database_s()}
    )
    return on_sqlite(engine)


def on_sqlite(engine: Engine) -> Engine:
    """The engine, whose transactions on SQLite begin as readers or as writers from now on."""
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transactions begin late and let two readers both become writers; ours begin as reader or writer.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


class Database:
    """Transactions on the ledger. With an ``attempt``, every write is fenced by it."""

    def __init__(self, engine: Engine, attempt: Attempt | None = None) -> None:
        self.engine = engine
        self.attempt = attempt
        self._writes = engine.execution_options(writes=True)
        watch(engine)
        on_postgres = engine.dialect.name == "postgresql"
        # A read of several tables must show one moment, which SQLite's WAL gives by itself.
        self._reads = engine.execution_options(isolation_level="REPEATABLE READ") if on_postgres else engine

    def fenced(self, attempt: Attempt) -> Database:
        return Database(self.engine, attempt)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._translated(), self._reads.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *keys: str) -> Iterator[Connection]:
        """One transaction, committed at the end of the block; writers of the same key go one after the other.

        Raises:
            Fenced: when the attempt is not the newest of its scope.
            LedgerUnavailable: when the database cannot be reached or stays locked.
        """
        with self._translated(), self._writes.begin() as connection:
            began = time.monotonic()
            if self.attempt is not None:
                _check_fence(connection, self.attempt)
            for key in sorted(keys):
                _wait_for_the_rest(connection, time.monotonic() - began)
                one_after_the_other(connection, key)
            begin_in(connection)
            yield connection
            close_in(connection)

    def require_newest(self) -> None:
        """Nothing when this may still write.

        Raises:
            Fenced: when the attempt is not the newest of its scope.
        """
        if self.attempt is not None:
            with self.reading() as connection:
                _check_fence(connection, self.attempt, lock=False)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DatabaseError, PoolTimeout) as error:
            if isinstance(error, IntegrityError | ProgrammingError | DataError):
                raise  # a mistake of ours, not of the database
            cause = error.orig if isinstance(error, DatabaseError) else error
            where = self.engine.url.render_as_string(hide_password=True)
            line = " ".join(str(cause).split())
            if any(said in line for said in DAMAGED):
                raise LedgerDamaged(
                    f"The ledger at {where} cannot be read: {line}. Nothing was changed. Stop the services, move the "
                    "file away with what lies beside it (-wal, -shm), put the newest backup in its place, and run "
                    "`slipway reconcile`, which says what the backup does not know."
                ) from error
            raise LedgerUnavailable(
                f"The ledger at {where} did not answer within {bounds.database_s()} s or failed: {line}. "
                "It can be tried again as it is."
            ) from error


def _wait_for_the_rest(connection: Connection, waited_s: float) -> None:
    """Subtract the time spent on one lock from the wait for the next: the promised limit is for all of them
    together."""
    if waited_s > 1 and connection.dialect.name == "postgresql":
        left_ms = max(1, round(1000 * (bounds.database_s() - waited_s)))
        connection.execute(select(func.set_config("lock_timeout", f"{left_ms}ms", True)))


def _check_fence(connection: Connection, attempt: Attempt, *, lock: bool = True) -> None:
    query = select(tables.attempts.c.token).where(tables.attempts.c.scope == attempt.scope)
    # FOR UPDATE (ignored by SQLite, which is locked already): no newer attempt is handed out until this write is done.
    newest = connection.execute(query.with_for_update() if lock else query).scalar() or 0
    if attempt.token != newest:
        raise Fenced(attempt.scope, attempt.token, newest)


def upsert(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Insert the row, or replace ``values`` in the one that has the key."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(
        insert(table).values(**key, **values).on_conflict_do_update(index_elements=list(key), set_=dict(values))
    )


def next_number(connection: Connection, table: Table, column: str, key: Mapping[str, Any]) -> int:
    """One more than the largest number under the key; call it while holding the key. A tuple means any of its
    values."""
    mine = (
        table.c[name].in_(value) if isinstance(value, tuple) else table.c[name] == value for name, value in key.items()
    )
    query = select(func.max(table.c[column])).where(*mine)
    return int(connection.execute(query).scalar() or 0) + 1


def clock() -> datetime:
    """The time of an audit stamp. Never a data time: those are passed in."""
    return datetime.now(UTC)


def later_than(now: datetime, *recorded: datetime | None) -> datetime:
    """``now``, or just after the recorded stamps: for stamps whose order matters, so that it does not change when the
    machine's clock is set back.

    >>> noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    >>> later_than(noon, None, noon - timedelta(hours=1)) == noon
    True
    >>> later_than(noon, noon + timedelta(hours=1)).isoformat()
    '2024-01-01T13:00:00.000001+00:00'
    """
    return max([now, *(moment + timedelta(microseconds=1) for moment in recorded if moment is not None)])


def utc(field: str, moment: datetime) -> datetime:
    """The moment in UTC.

    Raises:
        BadValue: without a time zone.
    """
    if moment.tzinfo is None:
        raise BadValue(f"{field} {moment.isoformat()} has no time zone; give it in UTC.")
    return moment.astimezone(UTC)


def day_key(day: str | date) -> str:
    """``YYYY-MM-DD`` of a day or of a partition key.

    Raises:
        BadValue: when it is not the start of a UTC day.
    """
    try:
        return Interval.of_day(day).start.date().isoformat()
    except (BadInterval, BadInstant) as error:
        raise BadValue(str(error)) from None


def words(field: str, text: str) -> str:
    """The text without surrounding blanks.

    Raises:
        BadValue: when it is empty, too long, or has a character that a database cannot keep.
    """
    text = text.strip()
    if not text:
        raise BadValue(f"{field} is empty; say it in a few words.")
    if len(text) > MAX_TEXT:
        raise BadValue(f"{field} has {len(text)} characters; at most {MAX_TEXT} are kept. Shorten it.")
    if "\x00" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise BadValue(f"{field} has a NUL or half a character pair in it; send plain Unicode text.")
    return text


def plain(field: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """The value as JSON that reads back equal on either database.

    Raises:
        BadValue: when it holds NaN, infinity, a NUL, or something that is no JSON.
    """
    try:
        text = json.dumps(value, allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise BadValue(f"{field} is not plain JSON: {error}. NaN and infinity are stored as null.") from None
    return dict(json.loads(text))


def days_between(column: Any, start: str | date | None, end: str | date | None) -> Sequence[Any]:
    """Conditions for days in ``[start, end)``; None leaves that side open."""
    conditions = []
    if start is not None:
        conditions.append(column >= day_key(start))
    if end is not None:
        conditions.append(column < day_key(end))
    return conditions
