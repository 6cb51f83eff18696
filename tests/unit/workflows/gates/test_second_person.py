"""Who may let a candidate past a gate: with a reason, for a time, once, and not always the one who asked for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from journey_world import MODEL, NOW
from light_world import LightWorld

from include.adapters.ledger import NotCleared, OverrideStands, RequesterMayNotDecide
from include.domain.authority import Person
from include.domain.errors import Refusal
from include.workflows import stores, tasks
from include.workflows.gates import overrides

HOPELESS = {
    **MODEL["gates"],
    "threshold_gate": {"min_rows": 100, "criteria": [{"metric": "roc_auc", "at_least": 0.999}]},
}
UNSURE = {**MODEL["gates"], "threshold_gate": {"min_rows": 5000, "criteria": [{"metric": "roc_auc", "at_least": 0.5}]}}
"""More rows are asked for than there are, so the gate is INCONCLUSIVE."""
REASON = "The sensors were being replaced that week"


def judged(
    world: LightWorld, gates: dict[str, Any], *, tier: str = "critical", run_id: str = "asked", **request: Any
) -> dict[str, Any]:
    """A candidate as far as its offline gates; ada started its run unless ``user`` says otherwise."""
    tasks.close_journey(world.references["r"])
    world.declare(world.model, gates=gates, tier=tier)
    reference = world.evaluated(run_id, **request)
    world.judge_offline(reference)
    return reference


def person(name: str) -> Person:
    """An operator; the name after a slash is what they say they are."""
    signed_in, _, claimed = name.partition("/")
    return Person(signed_in, operator=True).claiming(claimed)


def override(reference: dict[str, Any], who: str, at: datetime = NOW, **until: Any) -> None:
    end = at + timedelta(**(until or {"days": 2}))
    overrides.override(reference["candidate_id"], "threshold_gate", person(who), REASON, end, at)


def approve(reference: dict[str, Any], who: str) -> dict[str, Any]:
    return dict(tasks.approve(reference, "threshold_gate", who, REASON, NOW))


def decisions(reference: dict[str, Any]) -> list[str]:
    with stores.open_ledger() as ledger:
        return [o.who for o in ledger.gates.overrides(reference["candidate_id"])]


# --- the person who asked --------------------------------------------------------------------------------------------


def test_who_asked_for_a_retrain_may_not_override_its_gates_where_the_tier_says_so(world):
    reference = judged(world, HOPELESS)
    with pytest.raises(RequesterMayNotDecide) as refused:
        override(reference, "ada")
    assert str(refused.value) == (
        f"ada asked for {reference['candidate_id']} and may not override threshold_gate for it: the tier of its model "
        "needs a second person (requester_may_override in include/models/tiers.yaml). Ask another approver to decide."
    )
    assert decisions(reference) == []
    override(reference, "eve")
    assert world.judge("threshold_gate", reference)["passed"]


def test_f060_who_asked_may_not_approve_an_inconclusive_gate_either(world):
    reference = judged(world, UNSURE)
    with pytest.raises(RequesterMayNotDecide, match="ada asked for"):
        approve(reference, "ada")
    assert not world.judge("threshold_gate", reference)["passed"]
    assert approve(reference, "eve")["passed"]
    assert decisions(reference) == ["eve"]


def test_who_says_they_are_the_requester_is_held_to_it(world):
    reference = judged(world, HOPELESS)
    with pytest.raises(RequesterMayNotDecide, match=r"eve \(who says: Ada\) asked for"):
        override(reference, "eve/Ada ")
    override(reference, "eve/bob")
    assert decisions(reference) == ["eve"]


def test_naming_somebody_else_as_the_requester_does_not_free_who_started_the_run(world):
    reference = judged(world, HOPELESS, user="ada", requested_by="bob")
    for who in ("ada", "bob", "ADA"):
        with pytest.raises(RequesterMayNotDecide):
            override(reference, who)
    override(reference, "eve")


def test_calling_it_a_drift_does_not_free_who_started_the_run(world):
    reference = judged(world, HOPELESS, user="ada", trigger="drift", requested_by="drift sensor")
    with pytest.raises(RequesterMayNotDecide):
        override(reference, "ada")
    override(reference, "eve")


def test_a_name_in_a_request_counts_though_no_user_sent_it(world):
    reference = judged(world, HOPELESS, user=None, trigger="drift", requested_by="ada")
    with pytest.raises(RequesterMayNotDecide):
        override(reference, "ada")
    override(reference, "eve")


@pytest.mark.parametrize("tier", ["standard", "experimental"])
def test_other_tiers_let_the_requester_decide_and_record_who_did(world, tier):
    reference = judged(world, HOPELESS, tier=tier)
    override(reference, "ada")
    assert decisions(reference) == ["ada"]


# --- one decision ----------------------------------------------------------------------------------------------------


def test_f060_of_two_answers_the_first_stands_and_there_is_one_decision(world):
    reference = judged(world, UNSURE)
    first = approve(reference, "eve")
    with pytest.raises(OverrideStands, match="is already overridden by eve until"):
        approve(reference, "bob")
    assert approve(reference, "eve") == first, "the same answer delivered twice is one answer"
    assert decisions(reference) == ["eve"]


def test_f060_an_answer_to_a_gate_that_was_cleared_and_passed_meanwhile_decides_nothing(world):
    reference = judged(world, UNSURE)
    world.declare(world.model, tier="critical")
    assert world.judge("threshold_gate", reference)["verdict"] == "PASS"
    with pytest.raises(Refusal, match=r"is PASS; only an INCONCLUSIVE gate can be approved\. Clear"):
        approve(reference, "eve")
    assert decisions(reference) == []


def test_f060_an_answer_to_a_gate_that_was_cleared_and_failed_meanwhile_is_no_way_past_it(world):
    reference = judged(world, UNSURE)
    world.declare(world.model, gates=HOPELESS, tier="critical")
    assert world.judge("threshold_gate", reference)["verdict"] == "FAIL"
    with pytest.raises(Refusal, match="is FAIL; only an INCONCLUSIVE gate can be approved"):
        approve(reference, "eve")
    assert decisions(reference) == []


# --- for a time ------------------------------------------------------------------------------------------------------


def test_an_override_that_expired_before_the_promotion_is_refused_there(world):
    reference = judged(world, HOPELESS)
    override(reference, "eve", hours=1)
    green = world.judge("threshold_gate", reference)
    assert green["passed"]
    assert f"overridden by eve until {(NOW + timedelta(hours=1)).isoformat()}: {REASON}" in green["table"]
    tasks.register_challenger(reference, NOW)
    tasks.open_shadow_window(reference)
    assert world.judge("shadow_gate", reference)["passed"]
    later = NOW + timedelta(hours=1)
    with pytest.raises(NotCleared, match="threshold_gate is FAIL and the override by eve expired at"):
        tasks.promote(reference, later)
    with stores.open_ledger() as ledger:
        assert ledger.deployments.champion(world.model) is None
    override(reference, "eve", at=later, hours=1)
    assert tasks.promote(reference, later)["revision"] == 1
    tasks.close_journey(reference)


def test_an_override_lets_one_candidate_past_one_gate_and_mlflow_says_so(world):
    gates = {**HOPELESS, "champion_gate": {**MODEL["gates"]["champion_gate"], "min_rows": 5000}}
    reference = judged(world, gates)
    override(reference, "eve")
    assert world.judge("threshold_gate", reference)["passed"]
    assert not world.judge("champion_gate", reference)["passed"], "the other gate is as closed as before"
    tags = world.tags_of(reference)
    assert tags["slipway.override.threshold_gate"].startswith("by eve until 2026-01-03")
    assert "slipway.override.champion_gate" not in tags
    tasks.close_journey(reference)
    other = judged(world, HOPELESS, run_id="another", day=14)
    assert not world.judge("threshold_gate", other)["passed"], "another candidate has nothing of it"
