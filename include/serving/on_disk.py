"""Waiting until what was written down survives a power cut, without holding other requests."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from include.domain.journal.records import Record
from include.serving.counters import Counters, bucket_of, labelled

WAITS = "slipway_disk_wait_seconds"
"""How long replies waited for the disk, a histogram."""


class KeepsRecords(Protocol):
    """A journal that can say when its records are on the disk."""

    def append(self, records: Sequence[Record]) -> None: ...

    def when_on_disk(self, told: Callable[[bool], None]) -> None: ...


async def on_disk(journal: KeepsRecords, model: str, counters: Counters) -> bool:
    """Wait until everything that was appended is on the disk; False where the disk failed, so that no one knows.
    Requests that wait at the same time wait for one sync."""
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bool] = loop.create_future()

    def settle(kept: bool) -> None:
        if not done.done():
            done.set_result(kept)

    def told(kept: bool) -> None:
        with contextlib.suppress(RuntimeError):  # the worker has ended meanwhile
            loop.call_soon_threadsafe(settle, kept)

    journal.when_on_disk(told)
    kept = await done
    seconds = time.perf_counter() - began
    counters.add(labelled(f"{WAITS}_bucket", model=model, le=bucket_of(seconds)))
    counters.add(labelled(f"{WAITS}_sum", model=model), seconds)
    counters.add(labelled(f"{WAITS}_count", model=model))
    return kept
