"""The slow path: a model that has no packed form is answered by its pipeline's process, and holds nobody else."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from app_world import FEATURES, KINDS, NOON, AppWorld
from waiting import eventually

from include.adapters.route_file import RouteReader
from include.adapters.scorer_process import Scorer
from include.domain.packed.reader import Packed
from include.serving.answering import Answerer
from include.serving.app import App
from include.serving.models import Models
from include.serving.outcomes import Books
from include.serving.shown import View
from include.serving.slow import SlowModel

SCRIPT = """
import os, sys, time
from pathlib import Path
from include.workflows.scoring.shadow_child import _own_output, _say, serve

def answer(rows):
    for row in rows:
        did = row["station"]
        if did == "abort":
            os.abort()
        while did == "hang" and not Path(FOLDER, "over").exists():
            time.sleep(0.005)
        if did == "raise":
            raise ValueError("no such station")
    Path(FOLDER, "batches").open("a").write(f"{len(rows)}\\n")
    while Path(FOLDER, "hold").exists():
        time.sleep(0.005)
    return [(row["order"] or 0.0) / 2 for row in rows]

FOLDER = os.path.dirname(os.path.abspath(__file__))
out = _own_output()
if Path(FOLDER, "broken").exists():
    _say(out, {"error": "ValueError: it is broken"})
    sys.exit()
_say(out, {"ready": True})
serve(answer, out)
"""
"""A pipeline's process that does what the station says."""


class SlowWorld(AppWorld):
    """A worker's application whose routes may name a pipeline."""

    def new_app(self) -> App:
        (self.folder / "slow.py").write_text(SCRIPT)
        self.made: list[SlowModel] = []
        models = Models(RouteReader(self.folder / "route.bin"), self.new_slow)
        answerer = Answerer(self.store, self.journal, self.counters, lambda: self.now)
        books = Books(self.journal, self.outcomes, lambda: self.now)
        return App(models, answerer, books, self.counters, self.tokens, View(), self.limits)

    def new_slow(self, served: Any) -> SlowModel:
        scorer = Scorer({}, (sys.executable, str(self.folder / "slow.py")))
        self.made.append(SlowModel(scorer, list(KINDS), hang_s=30.0, again_s=0.01))
        return self.made[-1]

    def publish_slow(self, revision: int, **changes: Any) -> None:
        by = {"by": "pipeline", "pipeline": "/m.skops", "packed": "", "packed_sha256": "", "digest": f"d{revision}"}
        self.publish(revision, **{**by, "why_pipeline": "It has no packed form.", "deadline_s": 60.0, **changes})

    def until_loaded(self) -> None:
        eventually(lambda: not self.app.models.waiting(), every_s=0.01)

    def body(self, station: str = "north", order: float = 0.5, **more: Any) -> dict[str, Any]:
        return {"features": {**FEATURES, "station": station, "order": order}, **more}

    def batches(self) -> list[int]:
        return [int(line) for line in (self.folder / "batches").read_text().split()]


@pytest.fixture
def slow(tmp_path: Path, packed_bytes: dict[int, bytes]) -> Iterator[SlowWorld]:
    world = SlowWorld(tmp_path, packed_bytes)
    yield world
    (tmp_path / "over").touch()
    world.app.models.end()
    for each in world.made:
        each._thread.join(60)


async def posted(world: SlowWorld, body: Any, **headers: str) -> Any:
    return await world.sent("POST", "/v1/models/trip_late/predict", json.dumps(body).encode(), headers)


def test_a_model_without_a_packed_form_is_answered_by_its_pipeline_and_says_so(slow):
    slow.publish_slow(2)
    slow.until_loaded()
    reply = slow.ask(slow.body(order=3.0))
    assert (reply.status, reply.json["revision"], reply.json["predictions"][0]["score"]) == (200, 2, 1.5)
    (record,) = slow.journal.records
    assert (record.by, record.score, record.features["order"]) == ("pipeline", 1.5, 3.0)
    said = slow.get("/v1/status").json["served"]["trip_late"]
    assert (said["by"], said["why"]) == ("pipeline", "It has no packed form.")


def test_f146_while_the_pipeline_is_loaded_the_champion_before_answers(slow):
    slow.ask(slow.body())
    (slow.folder / "broken").touch()
    slow.publish_slow(2)
    eventually(lambda: "it is broken" in str(slow.ask(slow.body()) and slow.app.models.problems), every_s=0.01)
    assert slow.ask(slow.body()).json["revision"] == 1
    (slow.folder / "broken").unlink()
    slow.until_loaded()
    assert slow.ask(slow.body()).json["revision"] == 2
    assert slow.app.models.problems == {}
    slow.publish(3)
    assert slow.ask(slow.body()).json["revision"] == 3
    slow.publish_slow(4, digest="d2")
    assert slow.ask(slow.body()).json["revision"] == 4, "the one before was not ended, so a rollback starts no process"
    assert len(slow.made) == 1


def test_f147_a_pipeline_that_hangs_is_a_504_in_time_and_other_requests_are_answered_meanwhile(slow):
    slow.publish_slow(2)
    slow.until_loaded()

    async def both() -> tuple[Any, float, Any]:
        began = time.perf_counter()
        hangs = asyncio.ensure_future(posted(slow, slow.body("hang"), x_slipway_deadline_ms="200"))
        await asyncio.sleep(0)
        other = await slow.sent("GET", "/v1/status", b"", {})
        assert not hangs.done()
        return await hangs, time.perf_counter() - began, other

    late, took, other = asyncio.run(both())
    assert (late.status, other.status) == (504, 200)
    assert took < 20
    assert slow.journal.records == []
    assert slow.app.in_flight == 0


def test_requests_that_wait_together_are_answered_together_and_a_bad_row_costs_only_its_own(slow):
    slow.publish_slow(2)
    slow.until_loaded()
    (slow.folder / "hold").touch()

    async def several() -> list[Any]:
        first = asyncio.ensure_future(posted(slow, slow.body()))
        while len(slow.batches()) < 2:
            await asyncio.sleep(0.005)
        rest = [asyncio.ensure_future(posted(slow, slow.body(s, o))) for s, o in (("a", 1), ("raise", 2), ("b", 3))]
        while slow.app.in_flight < 4:
            await asyncio.sleep(0.005)
        (slow.folder / "hold").unlink()
        return await asyncio.gather(first, *rest)

    replies = asyncio.run(several())
    assert [each.status for each in replies] == [200, 200, 422, 200]
    assert "ValueError: no such station" in replies[2].json["error"]
    assert [each.json["predictions"][0]["score"] for each in replies if each.status == 200] == [0.25, 0.5, 1.5]


def test_f077_a_row_that_ends_the_pipeline_s_process_costs_only_itself(slow):
    slow.publish_slow(2)
    slow.until_loaded()

    async def several() -> list[Any]:
        return await asyncio.gather(*(posted(slow, slow.body(each)) for each in ("a", "abort", "b")))

    first, poison, last = asyncio.run(several())
    assert (first.status, poison.status, last.status) == (200, 503, 200)
    assert "SIGABRT" in poison.json["error"]


def test_two_requests_of_one_id_at_once_are_one_answer_and_one_record(slow):
    slow.publish_slow(2)
    slow.until_loaded()

    async def twice() -> list[Any]:
        one, other = slow.body(request_id="r1"), slow.body(order=9.0, request_id="r1")
        return await asyncio.gather(posted(slow, one), posted(slow, one), posted(slow, other))

    first, again, other = asyncio.run(twice())
    assert (first.status, again.body, other.status) == (200, first.body, 409)
    assert slow.ask(slow.body(request_id="r1")).body == first.body
    assert len(slow.journal.records) == 1


def test_a_mark_says_nothing_of_an_answer_that_is_still_under_way(slow):
    slow.publish_slow(2)
    slow.until_loaded()
    (slow.folder / "hold").touch()
    later = NOON + timedelta(minutes=1)

    async def marked() -> Any:
        asked = asyncio.ensure_future(posted(slow, slow.body()))
        while len(slow.batches()) < 2:
            await asyncio.sleep(0.005)
        until = slow.app.answerer.written_until(later)
        (slow.folder / "hold").unlink()
        await asked
        return until

    assert asyncio.run(marked()) == NOON
    assert slow.app.answerer.written_until(later) == later


def test_a_packed_model_waits_for_no_process(slow):
    made: Callable[[], Any] = slow.app.models.current
    assert isinstance(made()["trip_late"].form, Packed)
    assert slow.made == []
