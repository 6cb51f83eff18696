"""The replay window in whole journeys: a candidate fitted to a passing event is stopped by the days before it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from invariants import check_invariants
from journey_world import MODEL, JourneyWorld

from include.adapters.ledger import Ledger
from include.config import BadDeclaration, loader, read_declarations
from include.config.gates import JudgedGates
from include.config.settings import settings
from include.domain.gates import GateResult
from include.domain.verdicts import Verdict
from include.workflows import tasks
from include.workflows.journey import step
from include.workflows.journey.fact_files import F
from include.workflows.journey.facts import Evaluated, TrainingSets

pytestmark = pytest.mark.light

EVENT = -2.0
"""The effect of the order turned around: what made late makes punctual."""


def with_replay(world: JourneyWorld, days: int = 3, window_days: int = 4) -> None:
    gates = copy.deepcopy(MODEL["gates"])
    gates["champion_gate"]["replay"] = {"days": days}
    world.declare(world.model, gates=gates, training={**MODEL["training"], "window_days": window_days})


def evaluated(world: JourneyWorld, run_id: str, day: int) -> dict[str, Any]:
    reference = world.open(run_id, day)
    world.train(reference)
    tasks.evaluate(reference)
    return reference


def champion_gate_of(reference: dict[str, Any]) -> GateResult:
    with Ledger.open(settings().ledger_url) as ledger:
        return ledger.gates.latest(reference["candidate_id"])["champion_gate"].result


def verdicts(reference: dict[str, Any]) -> dict[str, Verdict]:
    return {c.criterion: c.verdict for c in champion_gate_of(reference).criteria}


def kept(reference: dict[str, Any], kind: type[F]) -> F:
    with Ledger.open(settings().ledger_url) as ledger:
        candidate = ledger.candidates.get(reference["candidate_id"])
        return step.Journey(loader.declarations().model(candidate.model), candidate, ledger).kept(kind)


def test_a_candidate_fitted_to_a_passing_event_is_stopped_by_the_days_before_it(world):
    with_replay(world)
    champion = world.first_champion()
    for day in range(16, 24):
        world.next_day(day, score=False, effect=EVENT)
    reference = evaluated(world, "event", 24)
    assert not world.judge("champion_gate", reference)["passed"]
    assert verdicts(reference) == {
        "brier": Verdict.PASS,
        "replay brier": Verdict.FAIL,
        "baseline brier": Verdict.PASS,
    }
    result = champion_gate_of(reference)
    window = result.notes["replay"]
    assert {name: window[name][:10] for name in ("start", "end")} == {"start": "2024-03-02", "end": "2024-03-05"}
    assert window["learned"] == {
        "candidate": "[2024-03-16, 2024-03-20)",
        "champion": "[2024-03-05, 2024-03-09)",
    }
    [line] = [c for c in result.criteria if c.criterion == "replay brier"]
    assert line.champion is not None
    assert line.measured > line.champion
    assert line.rows == window["rows"] == 324

    replayed = kept(reference, Evaluated).replay
    assert (replayed.champion_id, replayed.missing) == (champion.candidate_id, None)
    page = world.page_of("event")
    assert page.metrics["replay_candidate_brier"] == pytest.approx(line.measured)
    assert page.tags["slipway.gate.champion_gate"].startswith("FAIL: replay brier")
    assert tasks.close_journey(reference)["outcome"].startswith("Rejected: champion_gate: replay brier")
    check_invariants(world)


def test_neither_model_has_learned_from_a_row_of_the_window(world):
    with_replay(world)
    first = world.open("first", 13)
    assert world.to_shadow(first)
    world.to_the_end(first)
    world.next_day(16)
    second = evaluated(world, "second", 17)
    assert world.judge("champion_gate", second)["passed"]
    assert verdicts(second)["replay brier"] is Verdict.PASS
    window = kept(second, Evaluated).replay
    for reference in (first, second):
        assert window.end <= kept(reference, TrainingSets).train.start


def test_data_that_do_not_reach_so_far_back_leave_the_gate_to_a_person(world):
    with_replay(world, window_days=8)  # the champion learned from the first published day on
    world.first_champion()
    world.next_day(16)
    reference = evaluated(world, "second", 17)
    judged = world.judge("champion_gate", reference)
    assert (judged["verdict"], judged["passed"]) == ("INCONCLUSIVE", False)
    assert "there is no labelled row that old" in judged["table"]
    check_invariants(world)


def test_a_champion_whose_training_window_is_not_known_leaves_the_gate_to_a_person(world):
    with_replay(world)
    champion = world.first_champion()
    (step.journey_folder(champion.candidate_id) / TrainingSets.FILE).unlink()
    world.next_day(16)
    reference = evaluated(world, "second", 17)
    judged = world.judge("champion_gate", reference)
    assert judged["verdict"] == "INCONCLUSIVE"
    assert "which days the champion learned from is not known" in judged["table"]


def test_declared_after_the_evaluation_it_is_asked_for_and_not_passed_over(world):
    world.declare(world.model, training={**MODEL["training"], "window_days": 4})
    world.first_champion()
    world.next_day(16)
    reference = evaluated(world, "second", 17)
    with_replay(world)
    judged = world.judge("champion_gate", reference)
    assert judged["verdict"] == "INCONCLUSIVE"
    assert "clear the run from evaluate on" in judged["table"]
    tasks.evaluate(reference)
    assert world.judge("champion_gate", reference)["verdict"] == "PASS"


def test_a_first_deployment_has_nothing_to_be_replayed_against(world):
    with_replay(world)
    reference = evaluated(world, "first", 13)
    assert world.judge("champion_gate", reference)["passed"]
    assert list(verdicts(reference)) == ["first_deployment", "baseline brier"]


def test_each_candidate_judged_on_the_same_window_counts_as_an_attempt(world):
    with_replay(world)
    world.first_champion()
    world.next_day(16)
    one = evaluated(world, "one", 17)
    world.judge("champion_gate", one)
    tasks.close_journey(one)
    other = evaluated(world, "other", 17)
    world.judge("champion_gate", other)
    assert champion_gate_of(one).notes["replay"]["attempts"] == 1
    assert champion_gate_of(other).notes["replay"]["attempts"] == 2
    budget = champion_gate_of(other).notes["budget"]
    assert (budget["attempt"], budget["earlier"]) == (2, [one["candidate_id"]])
    assert champion_gate_of(one).notes["budget"]["attempt"] == 1, "the first champion was judged against none"


@pytest.mark.parametrize(
    ("replay", "line"),
    [
        pytest.param({}, "gates.champion_gate.replay.days is missing; it has no default.", id="no days"),
        pytest.param({"days": 2}, "gates.champion_gate.replay.days is 2; input should be greater", id="too few"),
        pytest.param({"dys": 3}, "Did you mean 'days'?", id="a typing error"),
    ],
)
def test_a_window_declared_wrongly_is_named(world, replay, line):
    gates = copy.deepcopy(MODEL["gates"])
    gates["champion_gate"]["replay"] = replay
    world.declare(world.model, gates=gates)
    broken = read_declarations(world.root / "declared").broken
    assert line in str(next(iter(broken.values())))


def test_predictions_of_one_window_cannot_be_asked_for_another(tmp_path):
    file = tmp_path / "gates.yaml"
    file.write_text(
        "champion_gate: {comparisons: [{metric: brier, margin: 0.1}], beat_baseline_on: brier, replay: {days: 7}}"
    )
    with pytest.raises(BadDeclaration, match=r"champion_gate\.replay is declared; it needs rows of an earlier window"):
        loader.read_declaration(file, JudgedGates)
