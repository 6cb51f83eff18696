"""Journeys whose run is over or deleted are ended by housekeeping, with the reason, and their owner is told."""

from __future__ import annotations

import pytest
from journey_world import NOW, at
from light_world import LightWorld

from include.adapters.ledger import LedgerUnavailable
from include.adapters.registry import CHALLENGER
from include.config import loader
from include.domain.lifecycle import Event, State
from include.workflows import stores, tasks
from include.workflows.drift import rule_inputs
from include.workflows.pages import notices
from include.workflows.release import stranded

pytestmark = pytest.mark.moment("second in shadow")
IMPOSSIBLE = {
    "threshold_gate": {"min_rows": 100, "criteria": [{"metric": "roc_auc", "at_least": 0.999}]},
    "champion_gate": {
        "min_rows": 100,
        "comparisons": [{"metric": "brier", "margin": 0.05}],
        "beat_baseline_on": "brier",
    },
}


def says(what: str):
    """An Airflow that says so of every run."""
    return lambda dag_id, run_id: what


def told_by_file(world: LightWorld, found) -> list[str]:
    """Tells as the Dag does; the sentences that were sent."""
    sent: list[str] = []
    for each in found["tell"]:
        notices.tell(
            each["model"],
            notices.STRANDED,
            each["run_id"],
            "end_stranded_journeys",
            lambda notice, model: sent.append(f"{notice.told}: {notice.sentence}"),
            NOW,
        )
    return sent


@pytest.fixture
def shadowing(world: LightWorld) -> dict:
    return world.references["second"]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ("gone", "is gone from Airflow, so nothing else would have ended it. Housekeeping closed it."),
        ("over", "is over and did not close it; the run's close_journey says why. Housekeeping closed it."),
    ],
)
def test_f188_a_candidate_whose_run_is_gone_is_closed_with_the_reason_and_drift_is_free_again(
    world, shadowing, found, why
):
    done = tasks.end_stranded_journeys(says(found))
    candidate = world.candidate(shadowing)
    assert (candidate.state, candidate.outcome) == (State.FAILED, f"Its run retrain_{world.model} second {why}")
    owner = loader.declarations().model(world.model).owners.model
    assert told_by_file(world, done) == [
        f"{owner}: {world.model}: {candidate.candidate_id} was closed. {candidate.outcome}"
    ]
    assert told_by_file(world, tasks.end_stranded_journeys(says("gone"))) == [], "once"
    assert world.registry.alias(world.model, CHALLENGER) is None
    with stores.open_ledger() as ledger:
        seen = ledger.incidents.before(world.model, "2024-03-17")
        history = rule_inputs._history(ledger, loader.declarations().model(world.model), "2024-03-17", seen)
    assert history.in_flight is None
    assert world.open("third", 17)["run_id"] == "third"
    assert world.next_day(17)["facts"]["shadow"] == []


def test_f188_a_run_under_way_keeps_its_candidate(world, shadowing):
    done = tasks.end_stranded_journeys(says("under way"))
    assert (done["tell"], done["not_asked"]) == ([], [])
    assert world.candidate(shadowing).state is State.SHADOWING


def test_f188_where_airflow_cannot_be_asked_nothing_is_closed_and_that_is_said(world, shadowing):
    def silent(dag_id, run_id):
        raise ConnectionError("nothing listens there")

    done = tasks.end_stranded_journeys(silent)
    assert world.candidate(shadowing).state is State.SHADOWING
    with pytest.raises(stranded.NotAsked) as said:
        tasks.require_every_run_asked(done)
    assert str(said.value) == (
        f"Airflow did not say what became of retrain_{world.model} second, so {shadowing['candidate_id']} was not "
        "closed: nothing listens there."
    )


@pytest.mark.moment("evaluated")
def test_f188_a_gate_that_was_red_is_why_and_the_run_is_named_beside_it(world):
    world.declare(world.model, gates=IMPOSSIBLE)
    reference = world.references["r"]
    world.judge_offline(reference)
    tasks.end_stranded_journeys(says("gone"))
    candidate = world.candidate(reference)
    assert candidate.state is State.REJECTED
    assert candidate.outcome.startswith("Rejected: threshold_gate: ")
    assert candidate.outcome.endswith(
        f"Its run retrain_{world.model} r is gone from Airflow, so nothing else would have ended it. "
        "Housekeeping closed it."
    )


def test_f188_mlflow_being_down_keeps_no_candidate_open(world, shadowing):
    world.registry.down = True
    tasks.end_stranded_journeys(says("gone"))
    assert world.candidate(shadowing).state is State.FAILED
    world.registry.down = False
    tasks.reconcile_aliases()


def test_f188_the_first_outcome_stands_when_the_run_closes_its_journey_at_the_same_time(world, shadowing):
    def closing(dag_id, run_id):
        with stores.open_ledger() as ledger:
            ledger.candidates.close(
                shadowing["candidate_id"], Event.REJECT, outcome="Rejected by eve: enough", actor="eve"
            )
        return "over"

    done = tasks.end_stranded_journeys(closing)
    assert world.candidate(shadowing).outcome == "Rejected by eve: enough"
    assert done["tell"] == []


def test_f188_an_outage_that_ended_the_closing_step_is_made_up_for_at_night(world, shadowing, monkeypatch):
    def away(*_):
        raise LedgerUnavailable("the ledger is away for 8 minutes")

    with monkeypatch.context() as patch:
        patch.setattr(stores, "open_ledger", away)
        with pytest.raises(LedgerUnavailable):
            tasks.close_journey(shadowing)
    assert world.candidate(shadowing).is_live
    tasks.end_stranded_journeys(says("over"))
    assert not world.candidate(shadowing).is_live


def test_a_closed_journey_that_is_cleared_goes_on_where_it_was(world, shadowing):
    tasks.end_stranded_journeys(says("over"))
    again = world.open("second", 17)
    assert (again["candidate_id"], world.candidate(again).state) == (shadowing["candidate_id"], State.SHADOWING)
    world.next_day(17)
    assert world.to_the_end(again)["state"] == "champion"
    assert tasks.end_stranded_journeys(says("gone"))["tell"] == []
    assert at(18).isoformat() == promoted_from(world)


def promoted_from(world: LightWorld) -> str:
    with stores.open_ledger() as ledger:
        return ledger.deployments.champion(world.model).effective_from.isoformat()
