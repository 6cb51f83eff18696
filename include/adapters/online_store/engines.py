"""The online store's table, and one engine for each database that holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    make_url,
)
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError, OperationalError, ProgrammingError

from include.config import bounds

METADATA = MetaData()
ONLINE = Table(
    "online_features",
    METADATA,
    Column("view", String(63), primary_key=True),
    Column("view_version", Integer, primary_key=True),
    Column("entity", String(500), primary_key=True),
    Column("event_time", DateTime, nullable=False),
    Column("available_time", DateTime, nullable=False),
    Column("features", Text, nullable=False),
    Column("run_id", String(250), nullable=False),
    Index("online_features_by_age", "view", "view_version", "event_time"),
)


class OnlineStoreUnusable(ConnectionError):
    """The online store cannot be reached, or its database is of a kind without a guarded upsert."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"The online store {url} cannot be used: {reason}. Check SLIPWAY_ONLINE_URL; "
            "the offline store is unaffected."
        )


ENGINES: dict[tuple[str, int], Engine] = {}
MOST_ENGINES = 8
# Postgres names it by a code, SQLite only in words.
UNDEFINED_TABLE, NO_SUCH_TABLE = "42P01", "no such table"


def engine_of(url: str, process: int) -> Engine:
    """One engine for each address and process: making one takes longer than reading a thousand keys. A connection must
    not be shared with a forked child, hence the process; the child leaves the parent's connections alone."""
    if (url, process) not in ENGINES:
        while len(ENGINES) >= MOST_ENGINES:
            oldest = next(iter(ENGINES))
            ENGINES.pop(oldest).dispose(close=oldest[1] == process)
        ENGINES[url, process] = new_engine(url)
    return ENGINES[url, process]


def new_engine(url: str) -> Engine:
    """An engine whose waits are bounded; of SQLite, one that notices when its file was replaced.

    Raises:
        OnlineStoreUnusable: for a database without a guarded upsert.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        shown = parsed.render_as_string(hide_password=True)
        raise OnlineStoreUnusable(shown, f"{backend} is neither sqlite nor postgresql")
    if backend == "postgresql":
        limits = bounds.of_postgres(parsed.query, bounds.database_s())
        return create_engine(parsed, pool_pre_ping=True, connect_args=limits)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    event.listen(engine, "connect", _as_wal)
    if parsed.database and parsed.database != ":memory:":
        file = Path(parsed.database)

        def remember(_: Any, record: Any) -> None:
            record.info["file"] = file.stat().st_ino

        def check(_: Any, record: Any, __: Any) -> None:
            # A file that was removed or replaced must not be read on through the old handle.
            if not file.exists() or file.stat().st_ino != record.info["file"]:
                raise DisconnectionError

        event.listen(engine, "connect", remember)
        event.listen(engine, "checkout", check)
    return engine


def make_tables(engine: Engine) -> None:
    """Make what is missing; another process may do so in the same moment."""
    try:
        METADATA.create_all(engine)
    except (OperationalError, ProgrammingError, IntegrityError):
        # Another writer was making them in the same moment.
        if not inspect(engine).has_table(ONLINE.name):
            raise


def table_was_missing(error: DBAPIError) -> bool:
    """Whether a statement failed because its table did not exist in that moment."""
    return getattr(error.orig, "sqlstate", None) == UNDEFINED_TABLE or NO_SUCH_TABLE in str(error.orig)


def _as_wal(driver: Any, _: Any) -> None:
    driver.execute(f"PRAGMA busy_timeout = {1000 * bounds.database_s()}")
    driver.execute("PRAGMA journal_mode = WAL")
