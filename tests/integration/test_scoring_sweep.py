"""Scoring and the nightly closing of a journey without a run, killed at every crash point and run again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from forking import KILLED, Forking
from invariants import check_invariants
from journey_world import at, key
from release_story import Story, left

from include.adapters.offline_store import OfflineStore, content_hash
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows import tasks

pytestmark = pytest.mark.slow
SCORE, END = "include.workflows.tasks:score", "test_scoring_sweep:end_stranded"


def end_stranded() -> Any:
    """Housekeeping, where Airflow has no such run."""
    return tasks.end_stranded_journeys(lambda dag_id, run_id: "gone")


@pytest.fixture
def published(story: Story) -> str:
    """A moment at which the 18th is published and not scored."""
    if "scoring" not in story.moments:
        story.back_to("promotion")
        story.world.next_day(18, score=False)
        story.keep("scoring")
    return "scoring"


def points_of(story: Story, forking: Forking, moment: str, trace: Path, call: str, *args: Any) -> list[str]:
    """Every crash point the call passes, each with how often it was passed before; it has run to its end then."""
    story.back_to(moment)
    pid = forking.start(call, *args, FAULT_TRACE=str(trace))
    assert forking.wait(pid) == 0, forking.said(pid)
    passed: Counter[str] = Counter()
    points = []
    for name in (line for line in trace.read_text().splitlines() if not line.startswith("write ")):
        passed[name] += 1
        points.append(f"{name}:{passed[name]}")
    return points


def answers(story: Story) -> tuple[str, dict[str, int]]:
    rows = OfflineStore(settings().store).read_predictions(story.world.model, Interval(at(18), at(19)))
    return content_hash(rows), dict(Counter(rows.column("role").to_pylist()))


def test_f183_a_scoring_killed_at_any_point_is_taken_over_by_its_retry(story, forking, published, tmp_path):
    args = [story.world.model, key(18), "score-18"]
    points = points_of(story, forking, published, tmp_path / "trace", SCORE, *args)
    names = {point.rpartition(":")[0] for point in points}
    assert {"ledger.claim.committed", "scoring.claimed", "scoring.served.kept", "scoring.served.written"} <= names
    expected, found = left(story.world), answers(story)
    assert found[1] == {"served": 120}
    for point in points:
        story.back_to(published)
        pid = forking.start(SCORE, *args, FAULT_CRASH=point)
        assert forking.wait(pid) == KILLED, f"{point}: {forking.said(pid)}"
        pid = forking.start(SCORE, *args)
        assert forking.wait(pid) == 0, f"{point}: {forking.said(pid)}"
        assert (left(story.world), answers(story)) == (expected, found), point
        check_invariants(story.world)


def test_f188_housekeeping_killed_at_any_point_closes_the_journey_at_its_next_run(story, forking, published, tmp_path):
    points = points_of(story, forking, published, tmp_path / "trace", END)
    assert "stranded.closed:1" in points
    expected = left(story.world)
    for point in points:
        story.back_to(published)
        pid = forking.start(END, FAULT_CRASH=point)
        assert forking.wait(pid) == KILLED, f"{point}: {forking.said(pid)}"
        pid = forking.start(END)
        assert forking.wait(pid) == 0, f"{point}: {forking.said(pid)}"
        tasks.reconcile_aliases()  # the same night's other task
        assert left(story.world)["candidates"] == expected["candidates"], point
        check_invariants(story.world)
