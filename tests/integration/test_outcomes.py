"""How a journey ended: the cause of this lap, in the ledger, whatever colour its run has."""

from __future__ import annotations

import pytest
from invariants import check_invariants
from journey_world import NOW, JourneyWorld

from include.adapters.ledger import Conflict, Ledger, NotCleared
from include.config.settings import settings
from include.domain.errors import Refusal
from include.domain.lifecycle import Event, State
from include.workflows import tasks
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


def full(world: JourneyWorld) -> dict:
    """A champion that serves, and a second one whose shadow window is full and judged."""
    world.first_champion()
    world.next_day(16)
    reference = world.open("second", 17)
    assert world.to_shadow(reference)
    for day in (17, 18):
        world.next_day(day)
    assert world.judge("shadow_gate", reference)["passed"]
    return reference


def test_a_rollback_during_promote_is_the_cause_that_is_told(world):
    first = world.first_champion()
    world.next_day(16)
    middle = world.open("middle", 17)
    assert world.to_shadow(middle)
    for day in (17, 18):
        world.next_day(day)
    assert world.to_the_end(middle)["state"] == "champion"
    world.next_day(19)
    reference = world.open("second", 20)
    assert world.to_shadow(reference)
    for day in (20, 21):
        world.next_day(day)
    assert world.judge("shadow_gate", reference)["passed"]
    tasks.roll_back(world.model, "rollback-1", {"reason": "wrong since Monday"}, "ada")
    with pytest.raises(Conflict) as conflict:
        tasks.promote(reference, NOW)
    closed = tasks.close_journey(reference)
    assert closed["state"] == "failed"
    assert closed["outcome"] == f"Failed at promote: {conflict.value}"
    assert "made by run rollback-1" in closed["outcome"]
    assert first.candidate_id in closed["outcome"]
    check_invariants(world)


def test_a_second_lap_that_breaks_does_not_name_the_gate_of_the_first(world, monkeypatch):
    world.declare(world.model, gates=IMPOSSIBLE)
    reference = world.open("r", 13)
    assert not world.to_shadow(reference)
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
    reference = world.open("r", 13)
    with monkeypatch.context() as patch:
        patch.setattr(training.recording, "keep_training_sets", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tasks.build_training_set(reference)
    assert not world.to_shadow(reference)  # the retry went through
    assert tasks.close_journey(reference)["outcome"].startswith("Rejected: threshold_gate: ")
    world.declare(world.model, gates=POSSIBLE)
    reference = world.open("r", 13)
    assert world.to_shadow(reference)
    with pytest.raises(NotCleared, match="shadow_gate has not judged"):
        tasks.promote(reference, NOW)
    closed = tasks.close_journey(reference)
    assert closed["state"] == "failed", "a gate that never judged rejects nobody"
    assert closed["outcome"].startswith("Failed at promote: ")
    assert "shadow_gate has not judged the candidate" in closed["outcome"]
    assert "threshold_gate" not in closed["outcome"]


def test_a_lap_that_leaves_no_word_says_how_far_it_came(world):
    reference = world.open("r", 13)
    assert tasks.close_journey(reference)["outcome"] == (
        "Failed before every gate had judged it; the red task of its run says why."
    )
    reference = world.open("r", 13)
    assert world.to_shadow(reference)
    assert world.judge("shadow_gate", reference)["passed"]
    assert tasks.close_journey(reference)["outcome"] == (
        "Failed after every gate had judged it and before it was promoted; the red task of its run says why."
    )


def test_f059_a_red_gate_marked_green_ends_as_a_rejection_that_names_it(world):
    world.declare(world.model, gates=IMPOSSIBLE)
    reference = world.open("r", 13)
    assert not world.to_shadow(reference)
    with pytest.raises(NotCleared, match="is not registered: threshold_gate is FAIL"):
        tasks.register_challenger(reference, NOW)
    closed = tasks.close_journey(reference)
    assert closed["state"] == "rejected"
    assert closed["outcome"].startswith("Rejected: threshold_gate: ")


def test_a_journey_that_was_ended_by_somebody_keeps_that_outcome(world):
    reference = full(world)
    with Ledger.open(settings().ledger_url) as ledger:
        ledger.candidates.close(reference["candidate_id"], Event.REJECT, outcome="Rejected by eve: no", actor="eve")
    with pytest.raises(Refusal, match="is over: Rejected by eve: no"):
        tasks.promote(reference, NOW)
    assert tasks.close_journey(reference)["outcome"] == "Rejected by eve: no"
    assert world.candidate(reference).state is State.REJECTED
