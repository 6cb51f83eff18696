"""Whether the ledger may have changed: by SQLite's counter of changes, by Postgres' word, and once a second anyway."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any

AGAIN_S = 1.0
"""How often the ledger is read whatever else is known."""
REST_S = 5.0
"""How long Postgres is not asked for its word after a connection failed; a connection that is refused takes time."""
CHANNEL = "slipway_routes"


class Changes:
    """Asked by one thread, many times a second."""

    def __init__(self, url: str) -> None:
        self._source: _OfSqlite | _OfPostgres | None = None
        if url.startswith("sqlite:///"):
            self._source = _OfSqlite(url.removeprefix("sqlite:///"))
        elif url.startswith("postgresql"):
            self._source = _OfPostgres(url)
        self._due = 0.0

    def looked(self) -> bool:
        """Whether it is worth reading the ledger now."""
        changed = self._source is not None and self._source.changed()
        now = time.monotonic()
        if now >= self._due or changed:
            self._due = now + AGAIN_S
            return True
        return False

    def close(self) -> None:
        """Give the connection back."""
        if self._source is not None:
            self._source.close()


class _OfSqlite:
    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._file = 0

    def changed(self) -> bool:
        try:
            file = os.stat(self._path).st_ino
            if self._connection is None or file != self._file:
                self.close()
                self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=0.05)
                self._file = file
            version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except (sqlite3.Error, OSError):
            self.close()
            return False
        changed, self._version = version != self._version, version
        return changed

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class _OfPostgres:
    """Listens to what the trigger of the table of routes tells."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        self._url = f"{scheme.partition('+')[0]}://{rest}"
        self._connection: Any = None
        self._not_before = 0.0

    def changed(self) -> bool:
        import psycopg

        if time.monotonic() < self._not_before:
            return False
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=2)
                self._connection.execute(f"LISTEN {CHANNEL}")
                return True  # what changed before it listened is not told
            return bool(list(self._connection.notifies(timeout=0)))
        except psycopg.Error:
            self.close()
            self._not_before = time.monotonic() + REST_S
            return False

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
