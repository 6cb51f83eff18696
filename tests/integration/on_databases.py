"""A world's ledger and online store on either database: told once on SQLite, filled into Postgres for each moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from databases import empty_postgres
from sqlalchemy import Engine, MetaData, create_engine, insert, make_url, select, text

from include.adapters.ledger import Ledger, tables
from include.adapters.online_store import METADATA as ONLINE
from include.config.settings import settings

BOTH = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))


@contextmanager
def kept_on(database: str) -> Iterator[str]:
    """Ledger and online store of this process and its children are on this database while the block lasts."""
    if database == "sqlite":
        home = settings().home
        with pytest.MonkeyPatch.context() as patch:
            # Said aloud: what a child was once told by its environment it keeps.
            patch.setenv("SLIPWAY_LEDGER_URL", f"sqlite:///{home / 'ledger.db'}")
            patch.setenv("SLIPWAY_ONLINE_URL", f"sqlite:///{home / 'online.db'}")
            yield database
        return
    with empty_postgres() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_LEDGER_URL", url)
        patch.setenv("SLIPWAY_ONLINE_URL", url)
        yield database


def follow(home: Path) -> None:
    """Where ledger and online store are not files of the home, they hold what the home's files hold from now on, and
    the files are gone, so that nobody reads them."""
    for url, name, metadata in (
        (settings().ledger_url, "ledger.db", tables.metadata),
        (settings().online_url, "online.db", ONLINE),
    ):
        if make_url(url).get_backend_name() == "sqlite":
            continue
        if metadata is tables.metadata:
            Ledger.open(url).close()
        engine = create_engine(url)
        metadata.create_all(engine)
        _fill(engine, home / name, metadata)
        engine.dispose()
        for file in home.glob(f"{name}*"):
            file.unlink()


def _fill(engine: Engine, file: Path, metadata: MetaData) -> None:
    source = create_engine(f"sqlite:///{file}")
    with source.connect() as old, engine.begin() as new:
        # Here the rows of another ledger come in with its chain; the triggers that refuse it are left out.
        new.execute(text("SET LOCAL session_replication_role = replica"))
        new.execute(text(f"TRUNCATE {', '.join(t.name for t in metadata.sorted_tables)}"))
        for table in metadata.sorted_tables:
            rows = [dict(row._mapping) for row in old.execute(select(table))]
            if rows:
                new.execute(insert(table), rows)
    source.dispose()
