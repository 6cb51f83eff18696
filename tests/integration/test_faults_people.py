"""What a person on call does to a run in Airflow while it promotes: mark it, delete it, clear it.

Airflow then ends the task's process wherever it is. Promotion is killed at each of its crash points, and what the click
lets run afterwards is run: ``close_journey`` after a mark, nothing after a deletion, everything after a clear (which
``test_f061`` sweeps).
"""

from __future__ import annotations

from typing import Any

import pytest
from forking import KILLED, Forking
from invariants import check_invariants
from journey_world import NOW, at
from release_story import Story

from include.adapters.ledger import JourneyUnderWay, Ledger
from include.adapters.registry import CHALLENGER, CHAMPION
from include.config.settings import settings
from include.domain.lifecycle import State
from include.domain.promotion import Epoch
from include.workflows import tasks
from include.workflows.release import reconcile

pytestmark = pytest.mark.slow

PROMOTE = "include.workflows.tasks:promote"
TASK_ENDED_BY_A_PERSON = ("step.begun", "release.checked", "release.promoted", "release.tagged")


@pytest.fixture(scope="module")
def points(story: Story, forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every crash point that an undisturbed promotion passes, each with how often it was passed before."""
    story.back_to("promotion")
    trace = tmp_path_factory.mktemp("trace") / "trace"
    pid = forking.start(PROMOTE, story.references["second"], NOW, FAULT_TRACE=str(trace))
    assert forking.wait(pid) == 0, forking.said(pid)
    names = [line for line in trace.read_text().splitlines() if not line.startswith("write ")]
    assert set(TASK_ENDED_BY_A_PERSON) <= set(names)
    return [f"{name}:{names[: i + 1].count(name)}" for i, name in enumerate(names)]


def killed_at(story: Story, forking: Forking, point: str) -> dict[str, Any]:
    story.back_to("promotion")
    reference = story.references["second"]
    pid = forking.start(PROMOTE, reference, NOW, FAULT_CRASH=point)
    assert forking.wait(pid) == KILLED, f"{point}: {forking.said(pid)}"
    return reference


def head(story: Story) -> Epoch:
    with Ledger.open(settings().ledger_url) as ledger:
        found = ledger.deployments.champion(story.world.model)
    assert found is not None
    return found


def test_f125_a_run_marked_failed_or_success_mid_promotion_leaves_one_champion_and_no_challenger(
    story, forking, points
):
    promoted = set()
    for point in points:
        reference = killed_at(story, forking, point)
        closed = tasks.close_journey(reference)
        candidate = story.world.candidate(reference)
        serves = head(story)
        assert (serves.to_candidate == candidate.candidate_id) == (candidate.state is State.CHAMPION), point
        assert closed["outcome"], point
        assert story.world.registry.alias(story.world.model, CHALLENGER) is None, point
        assert story.world.registry.alias(story.world.model, CHAMPION) == int(serves.model_version), point
        promoted.add(candidate.state is State.CHAMPION)
        check_invariants(story.world)
    assert promoted == {True, False}, "some points lie before the epoch and some behind it"


def test_f125_a_run_marked_mid_promotion_and_then_cleared_promotes_once_or_says_that_it_is_over(story, forking, points):
    for point in points:
        reference = killed_at(story, forking, point)
        tasks.close_journey(reference)
        before = head(story)
        was_promoted = before.to_candidate == reference["candidate_id"]
        # A clear of the whole run opens the journey again, or finds it promoted.
        story.world.open("second", 17)
        tasks.promote(reference, NOW)
        tasks.close_journey(reference)
        after = head(story)
        assert after.to_candidate == reference["candidate_id"], point
        assert after.revision == before.revision + (0 if was_promoted else 1), point
        check_invariants(story.world)


def test_f125_a_run_deleted_mid_promotion_is_settled_by_the_nightly_check_and_blocks_nobody_for_good(story, forking):
    for point in TASK_ENDED_BY_A_PERSON:
        reference = killed_at(story, forking, point)
        reconcile.reconcile(None)
        check_invariants(story.world)
        candidate = story.world.candidate(reference)
        conf = {"as_of": at(17).isoformat(), "reason": "newer data"}
        if candidate.is_live:
            with pytest.raises(JourneyUnderWay, match=reference["run_id"]):
                tasks.open_journey(story.world.model, "third", "manual", conf, NOW, "ada")
        tasks.open_journey(story.world.model, "third", "manual", {**conf, "supersede": True}, NOW, "ada")
        assert not story.world.candidate(reference).is_live, point
        reconcile.reconcile(None)
        check_invariants(story.world)
