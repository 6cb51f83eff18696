"""Who may decide, checked where people come in and again where the decision becomes a fact; and whose name is kept."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from invariants import check_invariants
from journey_world import MODEL as DECLARED
from journey_world import NOW, JourneyWorld, at
from ledger_fixtures import MODEL, an_operator, challenger, champion, promote, request, roll_back, trained
from ledger_fixtures import NOW as LONG_AGO

from include.adapters.ledger import JourneyUnderWay, Ledger, RequesterMayNotDecide, RetrainAction
from include.cli import main
from include.config.settings import settings
from include.domain.authority import OPERATORS, Approvers, MayNotDecide, Person
from include.domain.journey import Trigger, drift_run_id
from include.domain.lifecycle import Event, State
from include.workflows import tasks
from include.workflows.drift import sensor
from include.workflows.gates import overrides

# Airflow and FastAPI warn about their own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore")
REASON = "The outage of 12 March explains it"
RETRAIN, ROLLBACK = f"dags/retrain_{MODEL}", f"dags/rollback_{MODEL}"


def live(pages: Any, run_id: str = "one") -> Any:
    return pages.ledger.candidates.get(trained(pages.ledger, run_id).candidate_id)


# --- the asker comes from the platform --------------------------------------------------------------------------------

TRIGGERS = (None, "drift", "schedule", "api")
NAMES = (None, "ada", "bob", "drift_m", "drift sensor", " ADA ")
USERS = (None, "ada")
RUN_TYPES = ("manual", "operator_triggered")


def test_f177_no_request_frees_whoever_started_its_run_from_having_asked(world: JourneyWorld) -> None:
    """All combinations: the user is always among those who asked, and nothing but the ledger makes it a drift."""
    world.declare(world.model, tier="critical")
    combinations = itertools.product(TRIGGERS, NAMES, USERS, RUN_TYPES, (None, "made-up"))
    with Ledger.open(settings().ledger_url) as ledger:
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
        candidate_id, "slice_gate", by=by, approvers=OPERATORS, why="a test", expires_at=ends, now=NOW
    )


def decision(world: JourneyWorld, day: str) -> dict[str, Any]:
    """A decision to retrain, and the conf the sensor sends."""
    with Ledger.open(settings().ledger_url) as ledger:
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


def test_f177_only_the_drift_sensors_own_run_counts_as_drift(world: JourneyWorld) -> None:
    day = at(12).date().isoformat()
    conf = decision(world, day)
    own = drift_run_id(world.model, day)
    by_hand = tasks.open_journey(world.model, own, "manual", conf, NOW, "ada")
    other_run = tasks.begin_journey(world.model, "elsewhere", "operator_triggered", conf, NOW, None)
    assert "has a journey under way" in other_run["refused"]
    tasks.close_journey(by_hand)
    with Ledger.open(settings().ledger_url) as ledger:
        assert ledger.candidates.get(by_hand["candidate_id"]).request.trigger is Trigger.API
        from include.config import declarations

        history = sensor._history(ledger, declarations().model(world.model), at(20).date().isoformat())
        assert [j.by_drift for j in history.journeys] == [False], "no journey of the sensor is in its budget"


def test_the_sensors_own_run_is_drift_and_no_person_asked_for_it(world: JourneyWorld) -> None:
    day = at(12).date().isoformat()
    conf = decision(world, day)
    reference = tasks.open_journey(
        world.model, f"{drift_run_id(world.model, day)}__2", "operator_triggered", conf, NOW, None
    )
    with Ledger.open(settings().ledger_url) as ledger:
        opened = ledger.candidates.get(reference["candidate_id"])
        assert (opened.request.trigger, opened.request.user) == (Trigger.DRIFT, None)
        overridden(ledger, opened.candidate_id, an_operator("ada"))


def test_f206_decisions_of_several_days_at_once_make_one_journey_and_nothing_red(world: JourneyWorld) -> None:
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
    with Ledger.open(settings().ledger_url) as ledger:
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
    with Ledger.open(settings().ledger_url) as ledger:
        assert ledger.candidates.of(world.model) == []


# --- who may decide: the writer --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("approvers", "allowed", "refused"),
    [
        (OPERATORS, Person("otto", operator=True), Person("uma", frozenset({"user"}))),
        (Approvers.of(["ada"]), Person("ada"), Person("otto", frozenset({"op"}), operator=True)),
        (Approvers.of(roles=["Admin"]), Person("ann", frozenset({"admin"})), Person("otto", frozenset({"op"}), True)),
    ],
)
def test_f178_the_ledgers_writer_takes_each_decision_from_an_approver_alone(
    ledger, approvers, allowed, refused
) -> None:
    champion(ledger, "one")
    second = champion(ledger, "two", days=1)
    third = trained(ledger, "three")
    before = ledger.history(MODEL), ledger.explain(third.candidate_id)
    ends = LONG_AGO + timedelta(days=1)
    decisions = {
        "override": lambda by: ledger.gates.override(
            third.candidate_id, "slice_gate", by=by, approvers=approvers, why="w", expires_at=ends, now=LONG_AGO
        ),
        "supersede": lambda by: ledger.candidates.open(request("four"), supersede=True, by=by, approvers=approvers),
        "rollback": lambda by: ledger.deployments.rollback(
            MODEL, by=by, approvers=approvers, reason="w", run_id="back", effective_from=LONG_AGO
        ),
        "reject": lambda by: ledger.candidates.reject(
            ledger.candidates.live(MODEL).candidate_id, by=by, approvers=approvers, why="w"
        ),
    }
    for name, decide in decisions.items():
        with pytest.raises(MayNotDecide, match=rf"^{refused.name}.* may not .*Nothing was changed") as said:
            decide(refused)
        assert "\n" not in str(said.value), name
    assert (ledger.history(MODEL), ledger.explain(third.candidate_id)) == before
    for decide in decisions.values():
        decide(allowed)
    assert ledger.candidates.get(second.candidate_id).state is State.ROLLED_BACK
    assert ledger.deployments.champion(MODEL).actor == allowed.name


def test_f178_a_run_that_no_user_started_replaces_nobodys_journey(ledger) -> None:
    trained(ledger, "one")
    with pytest.raises(MayNotDecide, match="A run that no user started may not replace"):
        ledger.candidates.open(request("two"), supersede=True)


def test_whoever_was_the_only_one_to_ask_may_replace_their_own_journey(ledger) -> None:
    from dataclasses import replace

    mine = replace(request("one"), requested_by="uma", user="uma")
    ledger.candidates.open(mine)
    newer = ledger.candidates.open(replace(mine, run_id="two"), supersede=True, by=Person("uma"), approvers=OPERATORS)
    assert newer.is_live
    shared = replace(mine, run_id="three", requested_by="ada")
    ledger.candidates.open(shared, supersede=True, by=an_operator("otto"), approvers=OPERATORS)
    with pytest.raises(MayNotDecide, match="which others asked for"):
        ledger.candidates.open(replace(mine, run_id="four"), supersede=True, by=Person("uma"), approvers=OPERATORS)


def test_f178_a_task_takes_an_approval_and_a_rollback_only_from_somebody_of_whom_the_platform_said_so(world) -> None:
    world.first_champion()
    for who in ("mallory", "uma"):
        with pytest.raises(MayNotDecide, match=f"{who}.* may not roll it back"):
            tasks.roll_back(world.model, "back", {"reason": "late flights missed", "requested_by": "ada"}, who)
    with pytest.raises(MayNotDecide, match="A run that no user started"):
        tasks.roll_back(world.model, "back", {"reason": "late flights missed", "requested_by": "ada"}, None)
    unsure = {"min_rows": 5000, "criteria": [{"metric": "roc_auc", "at_least": 0.5}]}
    world.declare(world.model, gates={**DECLARED["gates"], "threshold_gate": unsure})
    reference = world.open("second", 14)
    world.train(reference)
    tasks.evaluate(reference)
    assert world.judge("threshold_gate", reference)["verdict"] == "INCONCLUSIVE"
    with pytest.raises(MayNotDecide, match="mallory may not let"):
        tasks.approve(reference, "threshold_gate", "mallory", REASON, NOW)
    said = tasks.refusal_to_answer(reference, "threshold_gate", "mallory")
    assert said.startswith(f"mallory may not answer threshold_gate: for {world.model} that is for its operators")
    assert tasks.refusal_to_answer(reference, "threshold_gate", "eve") is None
    assert tasks.approve(reference, "threshold_gate", "eve", REASON, NOW)["passed"]
    check_invariants(world)


def test_f179_the_actor_of_a_rollback_is_who_is_signed_in_and_the_claim_is_kept_beside(pages, capsys) -> None:
    champion(pages.ledger, "one")
    promote(pages.ledger, challenger(pages.ledger, "two"), days=1)
    roll_back(pages.ledger, "back", by=an_operator("ada").claiming("the boss"))
    head = pages.ledger.deployments.champion(MODEL)
    assert (head.actor, head.claimed) == ("ada", "the boss")
    assert main(["history", MODEL]) == 0
    assert "by ada (who says: the boss): late flights missed" in capsys.readouterr().out
    assert "ada (who says: the boss)" in pages.page(f"/candidates/{head.from_candidate}").text


def test_f181_a_rollback_takes_out_the_champion_that_was_meant_and_no_later_one(world) -> None:
    world.first_champion()
    why = {"reason": "late flights missed"}
    with pytest.raises(overrides.Refusal, match=r"was asked for at .* the champion is .* Nothing was changed"):
        tasks.roll_back(world.model, "old", why, "ada", datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(overrides.Refusal, match="was asked to take out revision 7, and since"):
        tasks.roll_back(world.model, "old", {**why, "revision": 7}, "ada")
    check_invariants(world)


# --- who may decide: the door -----------------------------------------------------------------------------------------


def forbidden(run_id: str) -> list[tuple[str, str, Any]]:
    """What role ``user`` may do to any other Dag's runs, on those of a journey and of a rollback."""
    hitl = f"{RETRAIN}/dagRuns/{run_id}/taskInstances/approval/-1/hitlDetails"
    return [
        ("PATCH", hitl, {"chosen_options": ["Approve"], "params_input": {}}),
        ("PATCH", hitl, {"chosen_options": ["Reject"], "params_input": {}}),
        ("POST", f"{ROLLBACK}/dagRuns", {"logical_date": None, "conf": {"reason": "late flights missed"}}),
        ("POST", f"{RETRAIN}/clearTaskInstances", {"dag_run_id": run_id, "dry_run": False}),
        ("POST", f"{RETRAIN}/dagRuns/{run_id}/clear", {"dry_run": False}),
        ("POST", f"{ROLLBACK}/clearDagRuns", {}),
        ("PATCH", f"{RETRAIN}/dagRuns/{run_id}", {"state": "failed"}),
        ("PATCH", f"{RETRAIN}/dagRuns/{run_id}", {"note": "n", "state": "success"}),
        ("PATCH", f"{RETRAIN}/dagRuns/{run_id}/taskInstances/promote", {"new_state": "success"}),
        ("PATCH", "dags/~/dagRuns/~/taskInstances", {"actions": [{"entities": [{"dag_id": f"retrain_{MODEL}"}]}]}),
        ("DELETE", f"{RETRAIN}/dagRuns/{run_id}", None),
        ("DELETE", RETRAIN, None),
    ]


def test_f178_role_user_decides_nothing_over_airflows_own_rest(pages) -> None:
    candidate = live(pages)
    before = pages.ledger.explain(candidate.candidate_id)
    for method, path, body in forbidden(candidate.run_id):
        answer = pages.rest(method, path, body, "uma")
        assert answer.status_code == 403, (method, path)
        assert answer.json() == {"detail": f"uma may read {MODEL} but not act on it: only an operator may."}
    assert pages.airflow.changes() == []
    assert pages.ledger.explain(candidate.candidate_id) == before
    assert not pages.ledger.rights.person(MODEL, "uma").operator
    for method, path, body in forbidden(candidate.run_id)[:3]:
        pages.airflow.waits.add("approval")
        assert pages.rest(method, path, {"dag_run_id": "r", **(body or {})}, "otto").status_code == 200, (method, path)
    assert pages.ledger.rights.person(MODEL, "otto") == Person("otto", frozenset({"op"}), operator=True)


def test_role_user_still_does_what_is_no_decision(pages) -> None:
    pages.publish("2013-06-30")
    conf = {"as_of": "2013-06-01", "reason": REASON}
    for method, path, body in [
        ("POST", f"{RETRAIN}/dagRuns", {"dag_run_id": "r", "logical_date": None, "conf": conf}),
        ("POST", f"{RETRAIN}/dagRuns/list", {}),
        ("PATCH", f"{RETRAIN}/dagRuns/r", {"note": "look at this"}),
        ("POST", f"dags/score_{MODEL}/dagRuns", {"dag_run_id": "s", "logical_date": None, "conf": {}}),
        ("POST", "dags/retrain_of_somebody_elses/clearTaskInstances", {}),
    ]:
        assert pages.rest(method, path, body, "uma").status_code == 200, (method, path)


def test_f178_role_user_replaces_nobodys_journey(pages) -> None:
    pages.publish("2013-06-30")
    candidate = live(pages)
    conf = {"as_of": "2013-06-01", "reason": REASON, "supersede": True}
    body = {"dag_run_id": "r", "logical_date": None, "conf": conf}
    answer = pages.rest("POST", f"{RETRAIN}/dagRuns", body, "uma")
    assert answer.status_code == 403
    assert f"may not replace {candidate.candidate_id}, which others asked for" in answer.json()["detail"]
    assert pages.rest("POST", f"{RETRAIN}/dagRuns", body, "otto").status_code == 200


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"as_of": "2013-07-02", "reason": REASON}, "the latest allowed is 2013-07-01T00:00:00+00:00"),
        ({"as_of": "the day before", "reason": REASON}, "as_of is 'the day before'"),
        ({"as_of": "2013-06-01"}, "reason is missing"),
        ({"as_of": "2013-06-01", "reason": REASON, "supercede": True}, "Did you mean 'supersede'?"),
    ],
)
def test_a_typed_mistake_leaves_no_run_over_airflows_rest_or_slipways(pages, conf, said) -> None:
    pages.publish("2013-06-30")
    answer = pages.rest("POST", f"{RETRAIN}/dagRuns", {"dag_run_id": "r", "logical_date": None, "conf": conf}, "otto")
    assert (answer.status_code, said in answer.json()["detail"]) == (400, True), answer.text
    ours = pages.post(f"/api/v1/models/{MODEL}/retrain", conf, **{"idempotency-key": "k"})
    assert ours.status_code == 422
    assert pages.airflow.runs == {}


def test_a_rollback_that_says_no_reason_leaves_no_run(pages) -> None:
    for conf, said in (({}, "reason is missing"), ({"reason": REASON, "revison": 2}, "there is no such field")):
        body = {"dag_run_id": "r", "logical_date": None, "conf": conf}
        answer = pages.rest("POST", f"{ROLLBACK}/dagRuns", body, "otto")
        assert (answer.status_code, said in answer.json()["detail"]) == (400, True), answer.text
    assert pages.airflow.runs == {}


def test_what_is_no_call_at_all_is_left_to_airflow(pages) -> None:
    for body in ({"conf": {}}, {"logical_date": None, "bogus": 1}, ["x"]):
        pages.rest("POST", f"{RETRAIN}/dagRuns", body, "otto")
        assert pages.airflow.asked[-1].body == body


def test_slipways_rest_refuses_at_once_what_could_not_begin(pages) -> None:
    path, key = "/api/v1/models/{}/retrain", {"idempotency-key": "k"}
    body = {"as_of": "2013-06-01", "reason": REASON}
    nothing = pages.post(path.format(MODEL), body, **key)
    assert (nothing.status_code, nothing.json()["error"]) == (409, "NoData")
    pages.publish("2013-06-30")
    assert pages.post(path.format("nobody"), body, **key).status_code == 404
    assert pages.post(path.format(MODEL), body).status_code == 422, "without a key"
    candidate = live(pages)
    busy = pages.post(path.format(MODEL), body, **key)
    assert (busy.status_code, busy.json()["error"]) == (409, "JourneyUnderWay")
    assert candidate.candidate_id in busy.json()["message"]
    assert pages.airflow.runs == {}


def test_f181_a_key_that_somebody_else_used_is_noticed(pages) -> None:
    pages.publish("2013-06-30")
    conf = {"as_of": "2013-06-01", "reason": REASON}
    taken = {"dag_run_id": "api__deploy-7", "logical_date": None, "conf": conf}
    assert pages.rest("POST", f"{RETRAIN}/dagRuns", taken, "uma").status_code == 200
    answer = pages.post(f"/api/v1/models/{MODEL}/retrain", conf, **{"idempotency-key": "deploy-7"})
    assert (answer.status_code, answer.json()["error"]) == (409, "KeyReused")
    assert "which uma used for run api__deploy-7" in answer.json()["message"]


@pytest.mark.parametrize("taken", [{"conf": {}, "state": "queued"}, {"conf": {"revision": 2}, "state": "failed"}])
def test_f181_a_rollbacks_run_id_that_somebody_took_is_noticed_and_another_is_used(pages, taken) -> None:
    champion(pages.ledger, "one")
    promote(pages.ledger, challenger(pages.ledger, "two"), days=1)
    pages.airflow.runs["rollback_of_revision_2"] = taken
    path, body = f"/api/v1/models/{MODEL}/rollback", {"reason": REASON, "revision": 2}
    answer = pages.post(path, body)
    assert (answer.status_code, answer.json()["run_id"]) == (202, "rollback_of_revision_2__2")
    again = pages.post(path, body)
    assert (again.status_code, again.json()["error"]) == (409, "AlreadyUnderWay")


# --- declared approvers -----------------------------------------------------------------------------------------------


def test_declared_approvers_decide_and_operators_who_are_none_do_not(pages, monkeypatch) -> None:
    candidate = live(pages)
    declared = pages.declared.models[MODEL]
    only_ann = declared.model_copy(update={"approvers": type(declared.approvers)(users=["ann"], roles=[])})
    monkeypatch.setitem(pages.declared.models, MODEL, only_ann)
    path = f"/api/v1/candidates/{candidate.candidate_id}/reject"
    refused = pages.post(path, {"reason": REASON}, "otto")
    assert refused.status_code == 403
    assert refused.json()["message"] == f"otto may read {MODEL} but not act on it: only ann may."
    assert pages.ledger.candidates.get(candidate.candidate_id).is_live
    assert pages.post(path, {"reason": REASON}, "ann").status_code == 200
    assert pages.ledger.candidates.get(candidate.candidate_id).outcome == f"Rejected by ann: {REASON}"


def test_airflows_own_form_takes_answers_of_the_approvers_alone(pages) -> None:
    from slipway_airflow import approvers

    model = pages.declared.models[MODEL]
    named = lambda **who: model.model_copy(update={"approvers": type(model.approvers)(**who)})  # noqa: E731
    ids = lambda each: [user["id"] for user in approvers.assigned(each)]  # noqa: E731
    assert ids(model) == ["ann", "otto"], "the operators"
    assert ids(named(users=["zoe"], roles=[])) == ["zoe"]
    assert ids(named(users=["zoe"], roles=["Admin"])) == ["ann", "zoe"]


# --- whose names are kept ---------------------------------------------------------------------------------------------


def test_f179_the_command_line_decides_as_whoever_is_signed_in(pages, monkeypatch, capsys) -> None:
    from include.commands import airflow

    champion(pages.ledger, "one")
    promote(pages.ledger, challenger(pages.ledger, "two"), days=1)
    monkeypatch.setattr(airflow, "airflow_api", lambda: pages.airflow_api("otto"))
    monkeypatch.setattr(type(pages.airflow_api("otto")), "close", lambda self: None)
    monkeypatch.setattr(type(pages.airflow_api("otto")), "dags", lambda self: {})
    started = []

    def shown(self: Any, dag_id: str, run_id: str) -> Any:
        started.append((dag_id, run_id))
        raise TimeoutError("the run is not looked at here")

    monkeypatch.setattr(type(pages.airflow_api("otto")), "dag_run", shown)
    main(["rollback", MODEL, "--reason", REASON, "--requested-by", "the boss"])
    assert started == [(f"rollback_{MODEL}", "rollback_of_revision_2")]
    run = pages.airflow.runs["rollback_of_revision_2"]
    assert run["triggering_user_name"] == "otto"
    assert run["conf"] == {"reason": REASON, "revision": 2, "requested_by": "the boss"}
    monkeypatch.setattr(airflow, "airflow_api", lambda: pages.airflow_api("uma"))
    capsys.readouterr()
    assert main(["rollback", MODEL, "--reason", REASON, "--requested-by", "otto"]) != 0
    assert "uma may read flight_delay but not act on it" in capsys.readouterr().err


# --- what a team may see ----------------------------------------------------------------------------------------------


def test_a_broken_declaration_is_named_to_those_who_may_see_its_dag(pages, monkeypatch) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    from include.config.loader import ROOT, BadDeclaration

    for kind, name, file in (
        ("models", "ours", "model.yaml"),
        ("models", "theirs", "model.yaml"),
        ("features", "seen", "view.yaml"),
    ):
        path = ROOT / kind / name / file
        monkeypatch.setitem(pages.declared.broken, path, BadDeclaration(path, [f"{name} is broken"]))
    theirs = "retrain_theirs"
    hidden = lambda *, dag_ids, **_: set(dag_ids) - {theirs}  # noqa: E731
    assert pages.get("/api/v1/models").json()["broken"] == ["ours is broken", "theirs is broken", "seen is broken"]
    monkeypatch.setattr(get_auth_manager(), "filter_authorized_dag_ids", hidden)
    assert pages.get("/api/v1/models").json()["broken"] == ["ours is broken", "seen is broken"]
    page = pages.page("/").text
    assert "ours is broken" in page
    assert "theirs is broken" not in page


# --- the table of answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="no token"),
        pytest.param({"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, 403, id="a token that is none of ours"),
    ],
)
def test_the_readmes_table_of_answers_is_true_of_who_is_not_signed_in(pages, headers, status) -> None:
    for path in ("/slipway/api/v1/models", "/api/v2/dags/retrain_x/dagRuns"):
        assert pages.client.get(path, headers=headers).status_code == status, path


def test_a_journey_under_way_is_named_to_a_request_that_comes_meanwhile(ledger) -> None:
    trained(ledger, "one")
    with pytest.raises(JourneyUnderWay, match="recorded as one of its causes"):
        ledger.candidates.open(request("two"))
