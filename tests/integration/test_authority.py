"""Who may decide, checked where people come in and again where the decision becomes a fact; and whose name is kept."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_fixtures import MODEL, an_operator, challenger, champion, promote, roll_back, trained

from include.cli import main
from include.domain.authority import Person

# Airflow and FastAPI warn about their own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore")
REASON = "The outage of 12 March explains it"
RETRAIN, ROLLBACK = f"dags/retrain_{MODEL}", f"dags/rollback_{MODEL}"


def live(pages: Any, run_id: str = "one") -> Any:
    return pages.ledger.candidates.get(trained(pages.ledger, run_id).candidate_id)


def test_f179_the_actor_of_a_rollback_is_who_is_signed_in_and_the_claim_is_kept_beside(pages, capsys) -> None:
    champion(pages.ledger, "one")
    promote(pages.ledger, challenger(pages.ledger, "two"), days=1)
    roll_back(pages.ledger, "back", by=an_operator("ada").claiming("the boss"))
    head = pages.ledger.deployments.champion(MODEL)
    assert (head.actor, head.claimed) == ("ada", "the boss")
    assert main(["history", MODEL]) == 0
    assert "by ada (who says: the boss): late flights missed" in capsys.readouterr().out
    assert "ada (who says: the boss)" in pages.page(f"/candidates/{head.from_candidate}").text


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

    from include.config.declared import BadDeclaration
    from include.config.loader import ROOT

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
