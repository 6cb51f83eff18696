"""A power cut: what the disk has not been waited for is gone. What then is left of what was answered."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from app_world import FEATURES, NOON, AppWorld
from waiting import eventually

from include.adapters.journal import Journal, JournalReader, SegmentLimits
from include.adapters.journal import writer as writing
from include.domain.journal.records import AnswerRecord


class Disk:
    """What a power cut leaves: of each file as much as was there when a sync of it began that has ended, and a file's
    name only when its folder was synced after it was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: dict[Path, int] = {}
        self.names: set[Path] = set()
        self.syncs = 0
        self.free = threading.Event()
        self.free.set()
        self.begun = threading.Event()
        self.broken = False
        monkeypatch.setattr(writing, "_to_disk", self.sync)
        monkeypatch.setattr(writing, "_names_to_disk", self.sync_names)

    def sync(self, handle: int) -> None:
        path, size = Path(os.readlink(f"/proc/self/fd/{handle}")), os.fstat(handle).st_size
        self.begun.set()
        self.free.wait(60)
        if self.broken:
            raise OSError(5, "Input/output error")
        self.syncs += 1
        self.sizes[path] = size

    def sync_names(self, folder: Path) -> None:
        found = set(folder.glob("*.journal"))
        self.names = self.names | found  # a new one: another thread may be reading the one of before

    def after_a_cut(self, folder: Path) -> set[str]:
        """The ids of the answers that are there when the power is back."""
        folder.mkdir(parents=True)
        for path in self.names:
            (folder / path.name).write_bytes(path.read_bytes()[: self.sizes.get(path, 0)])
        found = {e.record.asked_id for e in JournalReader(folder).all() if isinstance(e.record, AnswerRecord)}
        for each in folder.iterdir():
            each.unlink()
        folder.rmdir()
        return found


class WorldOnDisk:
    """One worker's application that writes a real journal to a disk whose power can be cut."""

    def __init__(self, world: AppWorld, disk: Disk, **limits: float) -> None:
        self.world, self.disk = world, disk
        self.folder = world.folder / "journal"
        self.journal = Journal(self.folder, "here", NOON, lambda: NOON, SegmentLimits(**limits))  # type: ignore[arg-type]
        world.journal = self.journal  # type: ignore[assignment]
        world.app = world.new_app()
        self.lost: dict[str, bool] = {}
        """By id of each answer, whether a cut at the moment of its reply would have cost it."""
        self.statuses: dict[str, int] = {}

    def until_on_disk(self) -> None:
        done = threading.Event()
        self.journal.when_on_disk(lambda kept: done.set())
        assert done.wait(60)

    async def ask(self, name: str, **headers: str) -> None:
        body = json.dumps({"features": FEATURES, "request_id": name}).encode()

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses[name] = message["status"]
                self.lost[name] = name not in self.disk.after_a_cut(self.world.folder / "after")

        given = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
        scope = {"type": "http", "method": "POST", "path": "/v1/models/trip_late/predict", "headers": given}
        await self.world.app(scope, receive, send)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def new_world(new_app_world: Callable[..., AppWorld], disk: Disk) -> Iterator[Callable[..., WorldOnDisk]]:
    made: list[WorldOnDisk] = []

    def new(durability: str, **limits: float) -> WorldOnDisk:
        world = new_app_world()
        world.publish(2, durability=durability, on_journal_full="refuse")
        made.append(WorldOnDisk(world, disk, **limits))
        return made[-1]

    yield new
    disk.free.set()
    for each in made:
        each.journal.close()


async def all_of(world: WorldOnDisk, names: list[str]) -> None:
    await asyncio.gather(*(world.ask(name) for name in names))


def test_f139_with_durability_power_no_answer_that_was_given_is_lost(new_world):
    world = new_world("power", bytes=2_000)  # over several segments
    for begin in range(0, 40, 8):
        asyncio.run(all_of(world, [f"r{i}" for i in range(begin, begin + 8)]))
    assert set(world.statuses.values()) == {200}
    assert [name for name, lost in world.lost.items() if lost] == []
    assert len(list(world.folder.glob("*.journal"))) > 3


def test_f139_without_it_a_cut_costs_what_was_answered_since_the_last_sync_began_and_no_more(new_world, disk):
    world = new_world("process", group_s=3600.0)
    world.until_on_disk()  # the opening
    asyncio.run(all_of(world, ["r1", "r2"]))
    assert world.lost == {"r1": True, "r2": True}, "this disk does lose what was not synced"
    world.until_on_disk()
    asyncio.run(world.ask("r3"))
    assert disk.after_a_cut(world.folder / "cut") == {"r1", "r2"}


def test_f139_the_disk_is_waited_for_without_being_asked(new_world, disk):
    world = new_world("process", group_s=0.001)
    assert disk.begun.wait(60)
    disk.begun.clear()
    asyncio.run(world.ask("r1"))
    assert disk.begun.wait(60)


def test_all_who_wait_meanwhile_wait_for_one_sync_and_other_requests_go_on(new_world, disk):
    world = new_world("power", group_s=3600.0)

    async def run() -> None:
        disk.free.clear()
        first = asyncio.create_task(world.ask("first"))
        await asyncio.to_thread(disk.begun.wait, 60)
        others = [asyncio.create_task(world.ask(f"r{i}")) for i in range(20)]
        while world.journal.rows < 21:
            await asyncio.sleep(0)
        assert world.statuses == {}, "no reply before the disk has it"
        alive = await world.world.sent("GET", "/livez", b"", {})
        assert alive.status == 200, "the disk holds no other request"
        disk.free.set()
        await asyncio.gather(first, *others)

    asyncio.run(run())
    assert disk.syncs == 2
    assert not any(world.lost.values())
    waited = 'slipway_disk_wait_seconds_count{model="trip_late"}'
    assert world.world.counted()[waited] == 21


def test_a_disk_that_is_later_than_the_deadline_is_a_504_and_the_same_request_then_gets_the_answer_that_was_written(
    new_world, disk
):
    world = new_world("power")

    async def run() -> None:
        disk.free.clear()
        await world.ask("r1", x_slipway_deadline_ms="20")
        assert world.statuses == {"r1": 504}
        world.world.publish(3, seed=2, durability="power")
        again = asyncio.create_task(world.ask("r1"))
        for _ in range(10):
            await asyncio.sleep(0)
        disk.free.set()
        await again

    asyncio.run(run())
    assert world.statuses == {"r1": 200}
    entries = [e.record for e in JournalReader(world.folder).all() if isinstance(e.record, AnswerRecord)]
    assert [(each.asked_id, each.revision) for each in entries] == [("r1", 2)]


def test_f140_a_disk_that_fails_refuses_the_answer_or_says_that_it_does_not_count(new_world, disk):
    world = new_world("power")
    disk.broken = True
    asyncio.run(world.ask("r1"))
    assert world.statuses == {"r1": 503}
    world.world.publish(3, durability="power", on_journal_full="serve_uncounted")
    asyncio.run(world.ask("r2"))
    assert world.statuses["r2"] == 200
    assert world.world.counted()['slipway_journal_failed_total{model="trip_late"}'] == 2
    disk.broken = False
    asyncio.run(world.ask("r3"))
    assert (world.statuses["r3"], world.lost["r3"]) == (200, False)


def test_a_sync_that_fails_after_a_record_was_written_is_no_word_for_it(disk, tmp_path):
    """The system may have dropped its pages with the failure, and the next sync would not say so."""
    journal = Journal(tmp_path, "here", NOON, lambda: NOON, SegmentLimits(group_s=3600.0))
    done, kept = threading.Event(), list[bool]()

    def told(known: bool) -> None:
        kept.append(known)
        done.set()

    disk.free.clear()
    journal.when_on_disk(lambda known: None)
    assert disk.begun.wait(60)
    journal.append([AnswerRecord("r1", "r1", "trip_late", NOON, "c", "d", 1, 1)])
    disk.broken = True
    disk.free.set()
    eventually(lambda: journal.unsynced > 0, every_s=0.001)
    disk.broken = False
    journal.when_on_disk(told)
    assert done.wait(60)
    assert kept == [False]
    journal.close()
