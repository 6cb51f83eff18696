"""Brings the database to this release's schema, once, however many open it at the same time.

A task process opens the ledger every time, so usually only the version table is read. Alembic is imported only
when there is something to upgrade. There is no downgrade: an older release refuses a newer ledger.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, func, inspect, select

from include.adapters.ledger.chain_rows import begin, leave_out_in
from include.adapters.ledger.database import Database
from include.adapters.ledger.errors import LedgerTooNew, LedgerUnavailable
from include.config import bounds

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "ledger_version"
"""Not Alembic's default name, so that the ledger may share a Postgres database with Airflow or MLflow."""
REVISIONS = (
    "0001",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
    "0018",
    "0019",
    "0020",
    "0021",
)
"""Every migration this release knows, oldest first."""

CHAINED_SINCE = "0021"
"""What a ledger of an earlier schema holds is chained when it is upgraded."""

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String))


def ensure(engine: Engine) -> None:
    """Create or upgrade the schema if it is not this release's.

    Raises:
        LedgerTooNew: when a newer release upgraded it.
        LedgerUnavailable: when the database cannot be reached.
    """
    database = Database(engine)
    with database.reading() as connection:
        found = _current(connection)
    if found == REVISIONS[-1]:
        return
    if engine.dialect.name == "sqlite":
        _write_ahead(engine)
    with database.writing("schema") as connection:
        found = _current(connection)
        if found != REVISIONS[-1]:  # else another opener was first
            leave_out_in(connection)
            _upgrade(connection)
            if found is None or found < CHAINED_SINCE:
                begin(connection)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(select(_version.c.version_num)).scalar()
    if found is not None and found not in REVISIONS:
        where = connection.engine.url.render_as_string(hide_password=True)
        raise LedgerTooNew(
            f"The ledger at {where} has schema {found}; this release knows up to {REVISIONS[-1]}. "
            "Install the newer release."
        )
    return None if found is None else str(found)


def _write_ahead(engine: Engine) -> None:
    """Turn on WAL. The mode stays with the file; changing it does not wait for other openers by itself."""
    wait_s = bounds.database_s()
    give_up = time.monotonic() + wait_s
    connection = engine.raw_connection()
    try:
        while True:
            try:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
                return
            except engine.dialect.loaded_dbapi.OperationalError as error:
                if time.monotonic() > give_up:
                    raise LedgerUnavailable(f"The ledger at {engine.url} stayed locked for {wait_s} s.") from error
                time.sleep(0.02)
    finally:
        connection.close()


def _upgrade(connection: Connection) -> None:
    from alembic import command

    if connection.dialect.name == "postgresql":
        # Copying a large table has no time limit; a process that waits for it has its own.
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(select(func.set_config(name, "0", True)))
    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for an open connection, without an ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
