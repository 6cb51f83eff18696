"""A journey that a release before the gate's new name began: it goes on, and its page shows what the gate said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from invariants import check_invariants
from journey_world import NOW, JourneyWorld

from include.adapters.ledger import Ledger
from include.config.settings import settings
from include.domain.gate_names import FORMER
from include.workflows import tasks
from include.workflows.gates import training_data
from include.workflows.gates.journey_subject import JourneySubject
from include.workflows.journey import step
from include.workflows.journey.facts import TrainingSets
from include.workflows.pages import release

OLD = "data_quality_gate"


def judged_by_a_former_release(reference) -> None:
    """The gate's verdict on the training set, written as before it was renamed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(FORMER, OLD)
        patch.setitem(FORMER, "a_name_that_was_never_used", "another")
        with step.step_of(reference, OLD, judges=True) as journey:
            result = replace(training_data.judge(journey.model, JourneySubject(journey)), gate=OLD)
            seen = journey.kept(TrainingSets).train.content_hash
            journey.ledger.gates.record(journey.candidate_id, result, digest=seen, run_id=journey.candidate.run_id)
        with Ledger.open(settings().ledger_url) as ledger:
            assert OLD in ledger.gates.latest(reference["candidate_id"])


def test_a_journey_under_way_when_the_gate_was_renamed_goes_on_and_is_promoted(world: JourneyWorld):
    reference = world.open("first", 13)
    tasks.build_training_set(reference)
    judged_by_a_former_release(reference)
    tasks.train(reference)
    tasks.evaluate(reference)
    assert world.judge_after("evaluate", reference)
    tasks.register_challenger(reference, NOW)
    tasks.open_shadow_window(reference)
    assert world.to_the_end(reference)["state"] == "champion"
    page = release.release(reference["candidate_id"], NOW)
    data = next(phase for phase in page.phases if phase.name == "Data")
    assert [(gate.title, gate.verdict) for gate in data.gates] == [("Training data gate", "PASS")]
    check_invariants(world)


def test_the_gate_judges_such_a_journey_again_as_its_next_attempt(world: JourneyWorld):
    reference = world.open("first", 13)
    tasks.build_training_set(reference)
    judged_by_a_former_release(reference)
    assert world.judge("training_data_gate", reference)["passed"]
    with Ledger.open(settings().ledger_url) as ledger:
        [record] = ledger.gates.latest(reference["candidate_id"]).values()
    assert (record.gate, record.attempt) == ("training_data_gate", 1)
