"""The drift sensor on scored days: what it measures, what it decides, and the journey that a decision starts."""

from __future__ import annotations

import pytest
from invariants import check_invariants
from journey_world import NOW, JourneyWorld, key

from include.adapters.ledger import JourneyUnderWay, Ledger
from include.config.settings import settings
from include.domain.errors import Refusal
from include.domain.journey import Trigger
from include.workflows import tasks

pytestmark = pytest.mark.light


def watch(world: JourneyWorld, day: int) -> tuple[dict, dict]:
    """Report and decision of one scored day."""
    report = tasks.measure_drift(world.model, key(day), f"drift-{day}")
    return dict(report), dict(tasks.decide(report))


@pytest.fixture(scope="module")
def drifting(shared_world: JourneyWorld) -> tuple[JourneyWorld, list[tuple[dict, dict]]]:
    """Two quiet days, then days on which the order no longer makes late but early, to the first that is not logged."""
    world = shared_world
    world.first_champion()
    for day in (13, 14, 15):
        world.score(day)
    seen = []
    for day in range(16, 27):
        world.next_day(day, effect=2.0 if day < 18 else -2.0)
        seen.append(watch(world, day))
        if seen[-1][1]["action"] != "log":
            break
    return world, seen


def test_quiet_days_are_logged_and_start_nothing(drifting):
    _, seen = drifting
    for _, decision in seen[:2]:
        assert (decision["action"], decision["journey_run_id"], decision["conf"]) == ("log", "", {})


def test_a_champion_that_is_wrong_on_matured_labels_is_retrained_by_a_deterministic_run_id(drifting):
    world, seen = drifting
    report, decision = seen[-1]
    assert decision["action"] == "retrain", decision
    assert report["flags"]["realised"] is True
    assert decision["journey_run_id"] == f"drift__{world.model}__{report['day']}"
    assert (decision["conf"]["report_id"], decision["conf"]["trigger"]) == (report["report_id"], "drift")
    assert decision["conf"]["reason"] == decision["reason"][:500]
    check_invariants(world)


def test_a_day_judged_again_finds_its_report_and_its_decision(drifting):
    world, seen = drifting
    before = world.rows_of_ledger()
    for report, decision in seen:
        day = int(report["day"][-2:])
        assert watch(world, day) == (report, decision)
    assert world.rows_of_ledger() == before


def test_f103_a_decision_triggered_again_opens_the_one_journey_that_names_its_report(drifting):
    world, seen = drifting
    _, decision = seen[-1]
    reference = tasks.open_journey(
        world.model, decision["journey_run_id"], "operator_triggered", decision["conf"], NOW, None
    )
    request = world.candidate(reference).request
    assert (request.trigger, request.report_id) == (Trigger.DRIFT, decision["conf"]["report_id"])
    assert request.requested_by == f"drift_{world.model}"
    assert reference["as_of"] == decision["conf"]["as_of"]
    again = tasks.open_journey(
        world.model, decision["journey_run_id"], "operator_triggered", decision["conf"], NOW, None
    )
    assert again == reference
    with pytest.raises(JourneyUnderWay):
        world.open("by-hand", 16)
    tasks.close_journey(reference)
    with Ledger.open(settings().ledger_url) as ledger:
        assert len(ledger.candidates.of(world.model)) == 2
    check_invariants(world)


def test_a_day_nobody_scored_has_nothing_to_judge(world):
    with pytest.raises(Refusal) as refused:
        watch(world, 14)
    assert str(refused.value) == (
        f"2024-03-14 has no predictions served by a champion of {world.model}. Run score_{world.model} for it first."
    )
