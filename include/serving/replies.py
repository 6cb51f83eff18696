"""What a worker says over HTTP, and the replies of the last minutes: the same request gets the same answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from include.domain.serving.requests import NotAnswered

AskedKey = tuple[str, str, str]
"""Protocol, model and request id."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole reply."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    kind: bytes = b"application/json"


def shown_as_json(data: Any, status: int = 200) -> Reply:
    """The reply that shows a value."""
    return Reply(status, json.dumps(data, default=str).encode())


def refused(error: NotAnswered, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    """The reply to a request that is not answered."""
    said: dict[str, Any] = {"error": error.message}
    if error.details:
        said["details"] = error.details
    if error.status == 401:
        headers = (*headers, (b"www-authenticate", b"Bearer"))
    if error.status in (429, 503):
        headers = (*headers, (b"retry-after", b"1"))
    return Reply(error.status, json.dumps(said).encode(), headers)


class Remembered:
    """The replies of the last minutes by request id, with a bound, and the answers that are under way."""

    def __init__(self, most: int, most_bytes: int, seconds: float) -> None:
        self._most, self._most_bytes, self._seconds = most, most_bytes, seconds
        self._kept: OrderedDict[AskedKey, tuple[float, bytes, Reply]] = OrderedDict()
        self._bytes = 0
        self._under_way: dict[AskedKey, tuple[bytes, asyncio.Future[Reply]]] = {}
        self._tasks: set[asyncio.Future[Reply]] = set()
        """All of them, also those without an id: the loop itself holds none."""

    def reply_to(self, key: AskedKey, body: bytes) -> Reply | None:
        """What was replied to the same request; None for a new one.

        Raises:
            NotAnswered: when the id was used for another content.
        """
        found = self._kept.get(key)
        if found is None or time.monotonic() - found[0] > self._seconds:
            return None
        if found[1] != body:
            raise NotAnswered(409, "this request_id was answered for another content a moment ago")
        return found[2]

    def keep(self, key: AskedKey, body: bytes, reply: Reply) -> None:
        """Remember a reply; the oldest are forgotten where there are too many."""
        self._forget(key)
        self._kept[key] = (time.monotonic(), body, reply)
        self._bytes += len(body) + len(reply.body)
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            self._forget(next(iter(self._kept)))

    async def once(
        self, key: AskedKey | None, body: bytes, answered: Callable[[], Coroutine[Any, Any, Reply]]
    ) -> Reply:
        """The reply of ``answered``, which is asked once where the same request comes again before it is there; a
        request without an id is no other's. It goes on when whoever asked is told that it is late: what was written
        down is what is said later.

        Raises:
            NotAnswered: as ``answered``; and when another content is being answered by the same id.
        """
        known = None if key is None else self.reply_to(key, body)
        if known is not None:
            return known
        first = None if key is None else self._under_way.get(key)
        if first is None:
            first = body, asyncio.ensure_future(answered())
            self._tasks.add(first[1])
            if key is not None:
                self._under_way[key] = first
            first[1].add_done_callback(lambda done: self._ended(key, done))
        elif first[0] != body:
            raise NotAnswered(409, "this request_id is being answered for another content")
        return await asyncio.shield(first[1])

    def _ended(self, key: AskedKey | None, done: asyncio.Future[Reply]) -> None:
        self._tasks.discard(done)
        if key is not None:
            del self._under_way[key]
        if not done.cancelled():
            done.exception()  # whoever still waits is told; where all have left, it is no unseen failure

    def _forget(self, key: AskedKey) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= len(gone[1]) + len(gone[2].body)
