"""Killed at every point between two writes of publishing, scoring, deciding, judging, telling and housekeeping.

As the sweep of the journey: each step runs once in a child that notes every crash point it passes; then it is killed
once at each of them, run again as Airflow would, and must leave what the undisturbed run left, on both databases.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from crash_steps import MOMENTS, NOT_REPEATED, STEPS, THEN
from feature_world import day as feature_day
from forking import KILLED, Forking
from invariants import check_invariants
from on_databases import BOTH, kept_on
from release_story import Story, left
from sqlalchemy import select
from swept import PASSED

from include.adapters.ledger import Ledger, tables
from include.adapters.offline_store import OfflineStore, content_hash
from include.adapters.online_store import OnlineStore
from include.config.settings import settings
from include.domain.intervals import Interval

LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
MARCH = Interval(datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC))
CLOCK = {"recorded_at", "opened_at", "first_at", "last_at"}
"""When something was written, which no two runs share."""
OF_A_TRY = {
    "notices": {"tries", "due_at", "sent_at"},  # a try that was killed counts
    "partitions": {"files"},  # named at random; that they are the promised ones is an invariant
    "partition_history": {"files"},
}
OF_A_STEP = {
    # Killed before it was recorded, a restored day is found whole by the next comparison, which records it instead.
    "repair view": {
        "partitions": {"files", "run_id", "table_version"},
        "partition_history": {"files", "run_id", "table_version"},
    },
}


@pytest.fixture(scope="module", params=BOTH)
def stores(request: pytest.FixtureRequest, story: Story) -> Iterator[str]:
    with kept_on(request.param) as database:
        yield database


def everything(story: Story, name: str) -> dict[str, Any]:
    """All that the stores hold, but when it was written."""
    found, world = left(story.world), story.world
    found["ledger"] = rows_of_the_ledger(name)
    if name == "train":
        found = without_drawn_names(found)
    store, online = OfflineStore(settings().store), OnlineStore(settings().online_url)
    for view in world.declared.views.values():
        found[f"online {view.name}"] = online.kept(view, LONG_AGO)
        found[f"offline {view.name}"] = content_hash(store.read(view, MARCH))
    answers = store.read_predictions(world.model, MARCH)
    found["answers"] = None if answers is None else content_hash(answers)
    told = settings().home / "notices.jsonl"
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    found["told"] = sorted({json.loads(line)["key"] for line in lines})
    return found


def without_drawn_names(found: dict[str, Any]) -> dict[str, Any]:
    """As one text, in which what each candidate was trained to has the candidate's name: MLflow draws that of the run,
    and a model's file holds the time at which it was written."""
    text = repr(found)
    for candidate, _, _, facts, _ in found["candidates"]:
        digest = str(facts.artifact_digest)
        for drawn, what in ((str(facts.mlflow_run_id), "run"), (digest, "file"), (digest[:12], "file")):
            text = text.replace(drawn, f"{what} of {candidate}")
    return {"all": text}


def rows_of_the_ledger(name: str) -> dict[str, list[str]]:
    found, apart = {}, OF_A_TRY | OF_A_STEP.get(name, {})
    with Ledger.open(settings().ledger_url) as ledger, ledger.database.engine.connect() as connection:
        for table in tables.metadata.sorted_tables:
            if table.name not in ("attempts", "beats"):  # those count each try
                kept = [c for c in table.c if c.name not in CLOCK | apart.get(table.name, set())]
                found[table.name] = sorted(repr(tuple(row)) for row in connection.execute(select(*kept)))
    return found


def run(forking: Forking, told: tuple[str, list[Any]], **environment: str) -> int | str:
    call, args = told
    pid = forking.start(call, *args, **environment)
    ended = forking.wait(pid)
    assert ended in (0, KILLED), f"{environment}: {forking.said(pid)}"
    return ended


def roles_of(story: Story, day: int) -> set[str]:
    """In which roles the day was answered."""
    rows = OfflineStore(settings().store).read_predictions(story.world.model, feature_day(day))
    return set(rows.column("role").to_pylist())


def points_of(trace: Path) -> list[str]:
    """Every crash point that was passed, each with how often it was by then."""
    passed: Counter[str] = Counter()
    points = []
    for name in (line for line in trace.read_text(encoding="utf-8").splitlines() if not line.startswith("write ")):
        passed[name] += 1
        points.append(f"{name}:{passed[name]}")
    return points


def sweep(name: str, story: Story, forking: Forking, trace: Path) -> None:
    moment, told = STEPS[name]
    if moment not in story.moments:
        with kept_on("sqlite"):
            MOMENTS[moment](story)
            story.keep(moment)
    story.back_to(moment)
    assert run(forking, told(story), FAULT_TRACE=str(trace)) == 0
    points = points_of(trace)
    assert {point.rpartition(":")[0] for point in points} == PASSED[name]
    if name in THEN:
        assert run(forking, THEN[name](story)) == 0
    expected = everything(story, name)
    check_invariants(story.world)
    for point in points:
        story.back_to(moment)
        assert run(forking, told(story), FAULT_CRASH=point) == KILLED, point
        if name not in NOT_REPEATED:
            assert run(forking, told(story)) == 0, point
        if name in THEN:
            assert run(forking, THEN[name](story)) == 0, point
        found = everything(story, name)
        assert found == expected, point
        check_invariants(story.world)


NAMES = [*STEPS]
PUBLISHING, SCORING, TELLING = NAMES[:3], NAMES[3:5], ["tell", "send what is due", "repair notices"]
PEOPLE = ["override", "withdraw", "clear", "approve"]
NIGHTLY = ["end a stranded journey", "reconcile the aliases", "repair online", "repair view", "repair predictions"]
OTHERS = [n for n in NAMES if n not in (*PUBLISHING, *SCORING, *TELLING, *PEOPLE, *NIGHTLY)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHING)
def test_f027_a_publish_killed_at_any_point_is_finished_by_its_retry(name, stores, story, forking, tmp_path):
    sweep(name, story, forking, tmp_path / "trace")


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORING)
def test_f183_a_scoring_killed_at_any_point_is_taken_over_by_its_retry(name, stores, story, forking, tmp_path):
    sweep(name, story, forking, tmp_path / "trace")
    assert roles_of(story, 18 if name == "score" else 17) == ({"served"} if name == "score" else {"served", "shadow"})


@pytest.mark.slow
@pytest.mark.parametrize("name", NIGHTLY)
def test_f188_housekeeping_killed_at_any_point_ends_its_work_the_next_time(name, stores, story, forking, tmp_path):
    sweep(name, story, forking, tmp_path / "trace")


@pytest.mark.slow
@pytest.mark.parametrize("name", TELLING)
def test_f189_a_notice_whose_sender_is_killed_at_any_point_is_told(name, stores, story, forking, tmp_path):
    sweep(name, story, forking, tmp_path / "trace")


@pytest.mark.slow
@pytest.mark.parametrize("name", PEOPLE)
def test_what_a_person_decides_is_kept_once_wherever_it_was_killed(name, stores, story, forking, tmp_path):
    sweep(name, story, forking, tmp_path / "trace")


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_any_other_step_killed_at_any_point_is_finished_by_its_retry(name, stores, story, forking, tmp_path):
    sweep(name, story, forking, tmp_path / "trace")
