"""A ledger in this process's memory: the same code on the same SQL as the one in a file, without the file.

The schema is made once by the migrations and copied for each ledger, which takes less than a millisecond. Every
connection sees one database, with SQLite's own locks, so that what runs in two threads waits as it does on a file. What
no other process can see, no test of several processes can use.
"""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool

from include.adapters.ledger import Ledger
from include.adapters.ledger.database import Database, on_sqlite

_numbers = itertools.count()


_COMPILED: dict[Any, Any] = {}
"""Statements as text, by what was asked: one ledger needs not compile what another has, which takes longer than to run
it."""


@cache
def first_engine() -> Engine:
    """An engine that has connected once, whose dialect all ledgers in memory share."""
    made = create_engine("sqlite://", json_serializer=partial(json.dumps, allow_nan=False))
    made.connect().close()
    made.dispose()
    return made


@cache
def empty() -> bytes:
    """A ledger with this release's schema and nothing in it, as the bytes of its database."""
    with tempfile.TemporaryDirectory(prefix="slipway-ledger-") as folder:
        file = Path(folder) / "ledger.db"
        Ledger.open(f"sqlite:///{file}").close()
        return content_of(file)


def content_of(file: Path) -> bytes:
    """What a ledger's file holds, to begin one in memory with. It must not be open elsewhere."""
    with closing(sqlite3.connect(file)) as made:
        # In memory there is no second file to write ahead to.
        made.execute("PRAGMA journal_mode = DELETE")
        content: bytes = made.serialize()
        return content


class MemoryLedger:
    """One database in memory, and the ledger on it; it is gone when it is closed."""

    def __init__(self, content: bytes | None = None) -> None:
        self._url = f"file:/slipway-{os.getpid()}-{next(_numbers)}?vfs=memdb"
        # As long as one connection is open, the database is there.
        self._holds = self._connected()
        with closing(sqlite3.connect(":memory:")) as source:
            source.deserialize(empty() if content is None else content)
            source.backup(self._holds)
        first = first_engine()
        engine = Engine(QueuePool(self._connected, pool_size=5, max_overflow=25), first.dialect, first.url)
        engine.update_execution_options(compiled_cache=_COMPILED)
        self.ledger = Ledger(Database(on_sqlite(engine)))

    def content(self) -> bytes:
        """What it holds now, to begin another one with."""
        held: bytes = self._holds.serialize()
        return held

    @contextmanager
    def opened(self) -> Iterator[Ledger]:
        """The ledger as a workflow opens it; closing what a workflow opened leaves the database as it is."""
        yield Ledger(self.ledger.database)

    def close(self) -> None:
        self.ledger.close()
        self._holds.close()

    def __enter__(self) -> MemoryLedger:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _connected(self) -> Any:
        return sqlite3.connect(self._url, uri=True, timeout=10, check_same_thread=False)
