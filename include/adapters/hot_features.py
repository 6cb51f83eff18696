"""Single rows of the online store, for a request that waits: without SQLAlchemy, 20 µs a row on SQLite.

Only SQLite is read so far; another online store counts as one that cannot be reached, and each view's policy decides.
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

_QUERY = (
    "SELECT features, event_time, available_time, run_id FROM online_features "
    "WHERE view = ? AND view_version = ? AND entity = ?"
)
_SQLITE = "sqlite:///"


class FeaturesUnreachable(Exception):
    """The online store does not answer now."""


@dataclass(frozen=True, slots=True)
class HotRow:
    """The newest row of one entity. Times are UTC."""

    features: Mapping[str, Any]
    event_time: datetime
    available_time: datetime
    run_id: str


class HotFeatures:
    """Point reads by one thread. After a failure the store is left alone for a second: requests do not pile up."""

    def __init__(self, url: str, *, wait_s: float = 0.05, rest_s: float = 1.0) -> None:
        self._path = url.removeprefix(_SQLITE).partition("?")[0] if url.startswith(_SQLITE) else ""
        self._wait_s, self._rest_s = wait_s, rest_s
        self._connection: sqlite3.Connection | None = None
        self._file = 0
        self._not_before = 0.0

    def row(self, view: str, version: int, keys: Sequence[Any]) -> HotRow | None:
        """The newest row of the entity; None for one that was never seen.

        Raises:
            FeaturesUnreachable: when the store does not answer in time.
        """
        if time.monotonic() < self._not_before:
            raise FeaturesUnreachable("the online store did not answer a moment ago")
        try:
            connection = self._connected()
            for entity in (entity_of(keys), None):
                names = [entity] if entity is not None else spelled_otherwise(keys)
                for name in names:
                    found = connection.execute(_QUERY, (view, version, name)).fetchone()
                    if found is not None:
                        return HotRow(json.loads(found[0]), _moment(found[1]), _moment(found[2]), str(found[3]))
            return None
        except (sqlite3.Error, OSError, ValueError) as error:
            self._connection = None
            self._not_before = time.monotonic() + self._rest_s
            raise FeaturesUnreachable(f"the online store does not answer: {error}") from error

    def _connected(self) -> sqlite3.Connection:
        if not self._path:
            raise OSError("only an online store on SQLite is read here")
        file = os.stat(self._path).st_ino
        if self._connection is None or file != self._file:
            self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=self._wait_s)
            self._file = file
        return self._connection


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
