"""Single rows of the online store, for a request that waits: without SQLAlchemy, some 20 µs a row on SQLite.

A store that does not answer is left alone for a while, because whoever waits for it holds the other requests.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from include.domain.entity_names import entity_of, spelled_otherwise

_COLUMNS = "SELECT features, event_time, available_time, run_id FROM online_features "
_ON_SQLITE = _COLUMNS + "WHERE view = ? AND view_version = ? AND entity = ?"
_ON_POSTGRES = _COLUMNS + "WHERE view = %s AND view_version = %s AND entity = %s"
_SQLITE, _POSTGRES = "sqlite:///", "postgresql"


class FeaturesUnreachable(Exception):
    """The online store does not answer now."""


@dataclass(frozen=True, slots=True)
class HotRow:
    """The newest row of one entity. Times are UTC."""

    features: Mapping[str, Any]
    event_time: datetime
    available_time: datetime
    run_id: str


class _OnSqlite:
    def __init__(self, path: str, wait_s: float) -> None:
        self._path, self._wait_s = path, wait_s
        self._connection: sqlite3.Connection | None = None
        self._file = 0

    def found(self, view: str, version: int, entity: str) -> tuple[Any, ...] | None:
        file = os.stat(self._path).st_ino
        if self._connection is None or file != self._file:
            self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=self._wait_s)
            self._file = file
        row: tuple[Any, ...] | None = self._connection.execute(_ON_SQLITE, (view, version, entity)).fetchone()
        return row

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class _OnPostgres:
    def __init__(self, url: str, wait_s: float) -> None:
        scheme, _, rest = url.partition("://")
        self._url, self._wait_s = f"{scheme.partition('+')[0]}://{rest}", wait_s
        self._connection: Any = None

    def found(self, view: str, version: int, entity: str) -> tuple[Any, ...] | None:
        import psycopg

        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=2)
                self._connection.execute(f"SET statement_timeout = {round(self._wait_s * 1000)}")
            row: tuple[Any, ...] | None = self._connection.execute(_ON_POSTGRES, (view, version, entity)).fetchone()
            return row
        except psycopg.Error as error:
            raise OSError(" ".join(str(error).split())) from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class HotFeatures:
    """Point reads by one thread. After a failure the store is left alone for a while: requests do not pile up."""

    def __init__(self, url: str, *, wait_s: float = 0.05, rest_s: float = 1.0) -> None:
        """
        Args:
            url: of the online store; one of neither SQLite nor Postgres never answers.
            wait_s: how long a read may take.
            rest_s: how long it is not asked after a failure; ten times as long on Postgres, where a connection to a
                machine that is gone takes two seconds to fail.
        """
        self._store: _OnSqlite | _OnPostgres | None = None
        self._rest_s, self._not_before = rest_s, 0.0
        if url.startswith(_SQLITE):
            self._store = _OnSqlite(url.removeprefix(_SQLITE).partition("?")[0], wait_s)
        elif url.startswith(_POSTGRES):
            self._store, self._rest_s = _OnPostgres(url, wait_s), 10 * rest_s

    def row(self, view: str, version: int, keys: Sequence[Any]) -> HotRow | None:
        """The newest row of the entity; None for one that was never seen.

        Raises:
            FeaturesUnreachable: when the store does not answer in time.
        """
        if self._store is None:
            raise FeaturesUnreachable("only an online store on SQLite or Postgres is read here")
        if time.monotonic() < self._not_before:
            raise FeaturesUnreachable("the online store did not answer a moment ago")
        try:
            found = self._store.found(view, version, entity_of(keys))
            if found is None:
                others = (self._store.found(view, version, name) for name in spelled_otherwise(keys))
                found = next((row for row in others if row is not None), None)
            if found is None:
                return None
            return HotRow(json.loads(found[0]), _moment(found[1]), _moment(found[2]), str(found[3]))
        except (sqlite3.Error, OSError, ValueError) as error:
            self.close()
            self._not_before = time.monotonic() + self._rest_s
            raise FeaturesUnreachable(f"the online store does not answer: {error}") from error

    def close(self) -> None:
        """Give the connection back; the next read makes another one."""
        if self._store is not None:
            self._store.close()


def _moment(stored: str | datetime) -> datetime:
    """SQLite's text, or the driver's own."""
    moment = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return moment.replace(tzinfo=UTC)
