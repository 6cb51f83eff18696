"""The route in a file that every worker has in its memory: written by one keeper, read without waiting by many.

A sequence number is odd while the content changes. A reader that meets an odd number, another number after reading than
before, or a crc that does not fit, reads again: so it never has half of one route and half of another.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zlib import crc32

from include.domain.serving.route import (
    NO_ROUTE,
    CanaryArm,
    Route,
    ServedModel,
    following,
    route_bytes,
    route_of,
    without_share,
)

_HEAD = struct.Struct("<QII")
SIZE = 1024 * 1024
_MOST_TRIES = 10_000


class RouteUnreadable(OSError):
    """The route's file cannot be read."""


class RouteReader:
    """One worker's look at the route."""

    def __init__(self, file: Path) -> None:
        """
        Raises:
            RouteUnreadable: when there is no such file.
        """
        try:
            with file.open("rb") as opened:
                self._map = mmap.mmap(opened.fileno(), SIZE, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise RouteUnreadable(f"the route {file} cannot be read: {error}") from error
        self._seen = -1
        self._route = NO_ROUTE

    def number(self) -> int:
        """Changes when the route does; for a look at each request."""
        return int.from_bytes(self._map[:8], "little")

    def route(self) -> Route:
        """The route in force. The same object while nothing changes.

        Raises:
            RouteUnreadable: when its writer died while it wrote; the keeper repairs it when it starts.
        """
        if self.number() == self._seen:
            return self._route
        for attempt in range(_MOST_TRIES):
            sequence, length, check = _HEAD.unpack_from(self._map)
            data = self._map[_HEAD.size : _HEAD.size + min(length, SIZE)]
            if sequence % 2 == 0 and self.number() == sequence and (length == 0 or crc32(data) == check):
                self._route = route_of(data) if length else NO_ROUTE
                self._seen = sequence
                return self._route
            if attempt > 100:
                time.sleep(0.0001)
        raise RouteUnreadable("the route is half written, and no one finishes it")


class RouteWriter:
    """The one who publishes. Another one waits for the lock, and then finds what the first wrote."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self._handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o640)
        if os.fstat(self._handle).st_size < SIZE:
            os.ftruncate(self._handle, SIZE)
        self._map = mmap.mmap(self._handle, SIZE)

    def current(self) -> Route:
        """The route that is published; none before the first, and where the last writer died while writing."""
        sequence, length, check = _HEAD.unpack_from(self._map)
        data = self._map[_HEAD.size : _HEAD.size + min(length, SIZE)]
        if sequence % 2 or not length or crc32(data) != check:
            return NO_ROUTE
        return route_of(data)

    def publish(
        self, models: dict[str, ServedModel], at: datetime, arms: Mapping[str, CanaryArm] | None = None
    ) -> Route:
        """Serve these models from now on, and these candidates beside them.

        Raises:
            RouteBehind: when one of them is older than what is published.
        """
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            route = following(self.current(), models, at, arms)
            self.write(route)
            return route
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def end_share(self, model: str, number: int, why: str, at: datetime) -> bool:
        """Take the model's canary out on this host for the rest of this rollout, whatever the ledger says; whether it
        was in."""
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            route = without_share(self.current(), model, number, why, at)
            if route is not None:
                self.write(route)
            return route is not None
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def write(self, route: Route) -> None:
        """Write as it is: for ``publish``, and for tests."""
        data = route_bytes(route)
        if len(data) > SIZE - _HEAD.size:
            raise ValueError(f"the route has {len(data):,} bytes; at most {SIZE - _HEAD.size:,} can be published")
        sequence = _HEAD.unpack_from(self._map)[0]
        writing = sequence | 1
        self._map[:8] = writing.to_bytes(8, "little")
        self._map[_HEAD.size : _HEAD.size + len(data)] = data
        self._map[8:16] = struct.pack("<II", len(data), crc32(data))
        self._map[:8] = (writing + 1).to_bytes(8, "little")
