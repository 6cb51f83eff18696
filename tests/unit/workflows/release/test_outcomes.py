"""How a journey ended: the cause of this lap, in the ledger, whatever colour its run has."""

from __future__ import annotations

import pytest
from journey_world import NOW
from light_world import LightWorld

from include.adapters.ledger import Conflict, NotCleared
from include.domain.errors import Refusal
from include.domain.lifecycle import Event, State
from include.workflows import stores, tasks
from include.workflows.evidence import training

IMPOSSIBLE = {
    "threshold_gate": {"min_rows": 100, "criteria": [{"metric": "roc_auc", "at_least": 0.999}]},
    "champion_gate": {
        "min_rows": 100,
        "comparisons": [{"metric": "brier", "margin": 0.05}],
        "beat_baseline_on": "brier",
    },
}
POSSIBLE = {**IMPOSSIBLE, "threshold_gate": {"min_rows": 100, "criteria": [{"metric": "roc_auc", "at_least": 0.6}]}}


def to_shadow(world: LightWorld, reference: dict) -> None:
    assert all(world.judge_offline(reference))
    tasks.register_challenger(reference, NOW)
    tasks.open_shadow_window(reference)


@pytest.mark.moment("third judged")
def test_a_rollback_during_promote_is_the_cause_that_is_told(world):
    first, reference = world.references["r"], world.references["third"]
    tasks.roll_back(world.model, "rollback-1", {"reason": "wrong since Monday"}, "ada")
    with pytest.raises(Conflict) as conflict:
        tasks.promote(reference, NOW)
    closed = tasks.close_journey(reference)
    assert closed["state"] == "failed"
    assert closed["outcome"] == f"Failed at promote: {conflict.value}"
    assert "made by run rollback-1" in closed["outcome"]
    assert first["candidate_id"] in closed["outcome"]


def test_a_second_lap_that_breaks_does_not_name_the_gate_of_the_first(world, monkeypatch):
    world.declare(world.model, gates=IMPOSSIBLE)
    reference = world.references["r"]
    assert world.judge_offline(reference) == [True, False, True]
    assert tasks.close_journey(reference)["outcome"].startswith("Rejected: threshold_gate: ")
    reference = world.open("r", 13)  # cleared and run again

    def broken(*_, **__):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(training.recording, "keep_training_sets", broken)
        with pytest.raises(OSError, match="No space left"):
            tasks.build_training_set(reference)
    closed = tasks.close_journey(reference)
    assert (closed["state"], closed["outcome"]) == (
        "failed",
        "Failed at build_training_set: OSError: No space left on device",
    )


def test_a_second_lap_names_its_own_gate_and_a_step_that_went_through_since_is_no_cause(world, monkeypatch):
    world.declare(world.model, gates=IMPOSSIBLE)
    reference = world.references["r"]
    with monkeypatch.context() as patch:
        patch.setattr(training.recording, "keep_training_sets", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tasks.build_training_set(reference)
    tasks.build_training_set(reference)  # the retry went through
    assert world.judge_offline(reference) == [True, False, True]
    assert tasks.close_journey(reference)["outcome"].startswith("Rejected: threshold_gate: ")
    world.declare(world.model, gates=POSSIBLE)
    reference = world.open("r", 13)
    to_shadow(world, reference)
    with pytest.raises(NotCleared, match="shadow_gate has not judged"):
        tasks.promote(reference, NOW)
    closed = tasks.close_journey(reference)
    assert closed["state"] == "failed", "a gate that never judged rejects nobody"
    assert closed["outcome"].startswith("Failed at promote: ")
    assert "shadow_gate has not judged the candidate" in closed["outcome"]
    assert "threshold_gate" not in closed["outcome"]


def test_a_lap_that_leaves_no_word_says_how_far_it_came(world):
    reference = world.references["r"]
    assert tasks.close_journey(reference)["outcome"] == (
        "Failed before every gate had judged it; the red task of its run says why."
    )
    reference = world.open("r", 13)
    to_shadow(world, reference)
    assert world.judge("shadow_gate", reference)["passed"]
    assert tasks.close_journey(reference)["outcome"] == (
        "Failed after every gate had judged it and before it was promoted; the red task of its run says why."
    )


def test_f059_a_red_gate_marked_green_ends_as_a_rejection_that_names_it(world):
    world.declare(world.model, gates=IMPOSSIBLE)
    reference = world.references["r"]
    world.judge_offline(reference)
    with pytest.raises(NotCleared, match="is not registered: threshold_gate is FAIL"):
        tasks.register_challenger(reference, NOW)
    closed = tasks.close_journey(reference)
    assert closed["state"] == "rejected"
    assert closed["outcome"].startswith("Rejected: threshold_gate: ")


@pytest.mark.moment("second judged")
def test_a_journey_that_was_ended_by_somebody_keeps_that_outcome(world):
    reference = world.references["second"]
    with stores.open_ledger() as ledger:
        ledger.candidates.close(reference["candidate_id"], Event.REJECT, outcome="Rejected by eve: no", actor="eve")
    with pytest.raises(Refusal, match="is over: Rejected by eve: no"):
        tasks.promote(reference, NOW)
    assert tasks.close_journey(reference)["outcome"] == "Rejected by eve: no"
    assert world.candidate(reference).state is State.REJECTED
