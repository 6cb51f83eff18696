"""Who asked for a journey, and who may decide about it, where a task is called: the platform and the ledger say so."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from journey_world import MODEL as DECLARED
from journey_world import NOW, at
from ledger_fixtures import an_operator
from light_world import LightWorld

from include.adapters.ledger import Ledger, OverrideRequest, RequesterMayNotDecide, RetrainAction
from include.domain.authority import OPERATORS, MayNotDecide, Person
from include.domain.journey import Trigger, drift_run_id
from include.domain.lifecycle import Event
from include.workflows import stores, tasks
from include.workflows.drift import rule_inputs
from include.workflows.gates import overrides

REASON = "The outage of 12 March explains it"
TRIGGERS = (None, "drift", "schedule", "api")
NAMES = (None, "ada", "bob", "drift_m", "drift sensor", " ADA ")
USERS = (None, "ada")
RUN_TYPES = ("manual", "operator_triggered")


pytestmark = pytest.mark.moment("published")


def test_f177_no_request_frees_whoever_started_its_run_from_having_asked(world: LightWorld) -> None:
    """All combinations: the user is always among those who asked, and nothing but the ledger makes it a drift."""
    world.declare(world.model, tier="critical")
    combinations = itertools.product(TRIGGERS, NAMES, USERS, RUN_TYPES, (None, "made-up"))
    with stores.open_ledger() as ledger:
        for i, (trigger, name, user, run_type, report) in enumerate(combinations):
            if name is None and user is None:
                continue  # nobody says who asks, which is refused
            sent = {"trigger": trigger, "requested_by": name, "report_id": report}
            conf = {"as_of": at(13).isoformat(), "reason": "a test asks", **{k: v for k, v in sent.items() if v}}
            reference = tasks.open_journey(world.model, f"run-{i}", run_type, conf, NOW, user)
            opened = ledger.candidates.get(reference["candidate_id"])
            assert opened.request.trigger is Trigger.API, (trigger, name, user, run_type)
            for asked in filter(None, (user, name)):
                with pytest.raises(RequesterMayNotDecide):
                    overridden(ledger, opened.candidate_id, an_operator(asked))
                with pytest.raises(RequesterMayNotDecide):
                    overridden(ledger, opened.candidate_id, an_operator("eve").claiming(asked))
            overridden(ledger, opened.candidate_id, an_operator("eve"))
            ledger.candidates.close(opened.candidate_id, Event.FAIL, outcome="over", actor="test")


def overridden(ledger: Ledger, candidate_id: str, by: Person) -> None:
    ends = NOW + timedelta(days=1)
    ledger.gates.override(
        OverrideRequest(candidate_id, "slice_gate", "a test", ends), by=by, approvers=OPERATORS, now=NOW
    )


def decision(world: LightWorld, day: str) -> dict[str, Any]:
    """A decision to retrain, and the conf the sensor sends."""
    with stores.open_ledger() as ledger:
        report = ledger.drift.report(world.model, "v1", day, {}, run_id=f"drift-{day}")
        ledger.drift.decide(
            report.report_id,
            RetrainAction.RETRAIN,
            rule="7 drift",
            reason="inputs drifted",
            numbers={},
            journey_run_id=drift_run_id(world.model, day),
        )
    sent = {"reason": "inputs drifted", "requested_by": f"drift_{world.model}", "trigger": "drift"}
    return {**sent, "as_of": at(13).isoformat(), "report_id": report.report_id}


def test_f177_only_the_drift_sensors_own_run_counts_as_drift(world: LightWorld) -> None:
    day = at(12).date().isoformat()
    conf = decision(world, day)
    own = drift_run_id(world.model, day)
    by_hand = tasks.open_journey(world.model, own, "manual", conf, NOW, "ada")
    other_run = tasks.begin_journey(world.model, "elsewhere", "operator_triggered", conf, NOW, None)
    assert "has a journey under way" in other_run["refused"]
    tasks.close_journey(by_hand)
    with stores.open_ledger() as ledger:
        assert ledger.candidates.get(by_hand["candidate_id"]).request.trigger is Trigger.API
        from include.config import declarations

        day = at(20).date().isoformat()
        seen = ledger.incidents.before(world.model, day)
        history = rule_inputs._history(ledger, declarations().model(world.model), day, seen)
        assert [j.by_drift for j in history.journeys] == [False], "no journey of the sensor is in its budget"


def test_the_sensors_own_run_is_drift_and_no_person_asked_for_it(world: LightWorld) -> None:
    day = at(12).date().isoformat()
    conf = decision(world, day)
    reference = tasks.open_journey(
        world.model, f"{drift_run_id(world.model, day)}__2", "operator_triggered", conf, NOW, None
    )
    with stores.open_ledger() as ledger:
        opened = ledger.candidates.get(reference["candidate_id"])
        assert (opened.request.trigger, opened.request.user) == (Trigger.DRIFT, None)
        overridden(ledger, opened.candidate_id, an_operator("ada"))


def test_f206_decisions_of_several_days_at_once_make_one_journey_and_nothing_red(world: LightWorld) -> None:
    days = [at(n).date().isoformat() for n in (9, 10, 11, 12)]
    confs = {day: decision(world, day) for day in days}
    begin = lambda day: tasks.begin_journey(  # noqa: E731 - one call, four times
        world.model, drift_run_id(world.model, day), "operator_triggered", confs[day], NOW, None
    )
    first, second, third = begin(days[0]), begin(days[1]), begin(days[2])
    assert first["refused"] is None
    for other in (second, third):
        assert other["reference"] is None
        assert "has a journey under way" in other["refused"]
    tasks.close_journey(first["reference"])
    late = begin(days[3])
    assert "had a journey since this was decided" in late["refused"], "it ended before the fourth run began"
    with stores.open_ledger() as ledger:
        assert len(ledger.candidates.of(world.model)) == 1
        found = ledger.explain(first["reference"]["candidate_id"])
        assert [c.request.report_id for c in found.causes] == [confs[day]["report_id"] for day in days]
        joined = ledger.candidates.joined_by(world.model, drift_run_id(world.model, days[3]))
        assert joined is not None
        assert joined.candidate_id == first["reference"]["candidate_id"]
    assert begin(days[0])["refused"] is None, "the journey's own run may be cleared and goes on"


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"as_of": "2099-01-01", "reason": "x"}, "as_of is '2099-01-01'; it is after the newest data"),
        ({"as_of": "soon", "reason": "x"}, "as_of is 'soon'"),
        ({"as_of": "2024-01-01"}, "reason is missing"),
        ({"as_of": "2024-01-01", "reason": "x", "resaon": "y"}, "there is no such field"),
    ],
)
def test_a_typed_mistake_that_reaches_the_first_task_begins_nothing_and_is_not_red(world, conf, said) -> None:
    begun = tasks.begin_journey(world.model, "r", "manual", conf, NOW, "ada")
    assert begun["reference"] is None
    assert said in begun["refused"]
    with stores.open_ledger() as ledger:
        assert ledger.candidates.of(world.model) == []


@pytest.mark.moment("first champion")
def test_f178_a_task_takes_an_approval_and_a_rollback_only_from_somebody_of_whom_the_platform_said_so(world) -> None:
    for who in ("mallory", "uma"):
        with pytest.raises(MayNotDecide, match=f"{who}.* may not roll it back"):
            tasks.roll_back(world.model, "back", {"reason": "late flights missed", "requested_by": "ada"}, who)
    with pytest.raises(MayNotDecide, match="A run that no user started"):
        tasks.roll_back(world.model, "back", {"reason": "late flights missed", "requested_by": "ada"}, None)
    unsure = {"min_rows": 5000, "criteria": [{"metric": "roc_auc", "at_least": 0.5}]}
    world.declare(world.model, gates={**DECLARED["gates"], "threshold_gate": unsure})
    reference = world.evaluated("second", day=14)
    assert world.judge("threshold_gate", reference)["verdict"] == "INCONCLUSIVE"
    with pytest.raises(MayNotDecide, match="mallory may not let"):
        tasks.approve(reference, "threshold_gate", "mallory", REASON, NOW)
    said = tasks.refusal_to_answer(reference, "threshold_gate", "mallory")
    assert said.startswith(f"mallory may not answer threshold_gate: for {world.model} that is for its operators")
    assert tasks.refusal_to_answer(reference, "threshold_gate", "eve") is None
    assert tasks.approve(reference, "threshold_gate", "eve", REASON, NOW)["passed"]


@pytest.mark.moment("first champion")
def test_f181_a_rollback_takes_out_the_champion_that_was_meant_and_no_later_one(world) -> None:
    why = {"reason": "late flights missed"}
    with pytest.raises(overrides.Refusal, match=r"was asked for at .* the champion is .* Nothing was changed"):
        tasks.roll_back(world.model, "old", why, "ada", datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(overrides.Refusal, match="was asked to take out revision 7, and since"):
        tasks.roll_back(world.model, "old", {**why, "revision": 7}, "ada")
