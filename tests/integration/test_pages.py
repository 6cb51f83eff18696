"""The pages and their REST: who may do what, what a button does, one shape for every error, and nothing unescaped."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from invariants import check_invariants
from ledger_fixtures import (
    MODEL,
    NOW,
    an_open_incident,
    an_operator,
    challenger,
    champion,
    judged,
    promote,
    request,
    trained,
)
from markupsafe import escape

from include.adapters.ledger import Facts, OverrideRequest, RetrainAction
from include.domain.authority import OPERATORS
from include.domain.journey import Trigger, drift_run_id
from include.domain.lifecycle import Event, State
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound
from include.workflows.journey import causes, fact_files
from include.workflows.journey.facts import RecipeRace
from include.workflows.journey.step import journey_folder
from include.workflows.pages import release

pytestmark = [
    # Airflow and FastAPI warn about their own dependencies.
    pytest.mark.filterwarnings("ignore"),
]
REASON = "The outage of 12 March explains it"
INCIDENT = f"{MODEL}-performance-20130601"


def stopped(world, run_id: str = "r1", verdict: Verdict = Verdict.FAIL, *, live: bool = False):
    """A candidate whose threshold gate did not pass."""
    candidate = trained(world.ledger, run_id)
    digest = candidate.facts.artifact_digest
    world.ledger.gates.record(candidate.candidate_id, judged(verdict=verdict), digest=digest, run_id=run_id)
    if not live:
        outcome = "Rejected: threshold_gate: roc_auc 0.55 is outside its bound >= 0.65 on 12,000 rows."
        world.ledger.candidates.close(candidate.candidate_id, Event.REJECT, outcome=outcome, actor="close_journey")
    return world.ledger.candidates.get(candidate.candidate_id)


def routes() -> list[tuple[str, str]]:
    """Every (method, path) of the application, with names for its parameters."""
    from slipway_airflow.pages.mount import late_app

    known = {"name": MODEL, "model": MODEL, "action": "override", "candidate_id": "CANDIDATE", "dag_id": "retrain_x"}
    known["incident_id"] = INCIDENT
    found = []
    for route in late_app.load().routes:
        path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda m: known.get(m[1], "x"), route.path)
        found += [(method, path) for method in sorted(route.methods - {"HEAD"})]
    return found


# --- who may ---------------------------------------------------------------------------------------------------------


def test_f108_without_a_token_every_page_and_route_answers_401(pages):
    candidate = stopped(pages)
    before = pages.ledger.explain(candidate.candidate_id)
    tried = [(m, p.replace("CANDIDATE", candidate.candidate_id)) for m, p in routes()]
    assert len(tried) > 25
    for method, path in tried:
        for headers in ({}, {"accept": "text/html"}):
            answer = pages.client.request(method, f"/slipway{path}", headers=headers)
            assert answer.status_code == 401, (method, path)
            assert MODEL not in answer.text
    assert pages.ledger.explain(candidate.candidate_id) == before
    assert pages.airflow.asked == []
    check_invariants(pages)


@pytest.mark.parametrize(
    ("token", "status"),
    [
        pytest.param("garbage", 403, id="no token at all"),
        pytest.param("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4iLCJyb2xlIjoiYWRtaW4ifQ.", 403, id="unsigned"),
    ],
)
def test_f108_a_forged_token_is_refused(pages, token, status):
    answer = pages.client.get("/slipway/api/v1/models", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == status


def test_f108_an_expired_token_is_refused(pages):
    expired = pages.token("ann", expiration_time_in_seconds=-60)
    answer = pages.client.get("/slipway/api/v1/models", headers={"Authorization": f"Bearer {expired}"})
    assert answer.status_code == 401
    assert answer.json()["message"] == "Token Expired"


@pytest.mark.parametrize("user", ["vera", "uma"])
def test_f136_only_an_operator_acts(pages, user):
    candidate = stopped(pages)
    an_open_incident(pages.ledger)
    before = pages.ledger.explain(candidate.candidate_id)
    for path, body in acts(candidate.candidate_id):
        answer = pages.post(path, body, user, **{"idempotency-key": "k"})
        assert answer.status_code == 403, path
        assert answer.json()["message"] == f"{user} may read {MODEL} but not act on it: only an operator may."
    for action in ("override", "clear", "approve", "reject", "rollback"):
        path = f"/slipway/candidates/{candidate.candidate_id}/{action}"
        form = {"gate": "threshold_gate", "reason": REASON, "expires": "2d"}
        assert pages.client.post(path, data=form, headers=pages.headers(user)).status_code == 403
    assert pages.ledger.explain(candidate.candidate_id) == before
    assert pages.airflow.changes() == []
    check_invariants(pages)


def acts(candidate_id: str):
    """Every REST route that changes something, with a body that would do."""
    of_gate = {"gate": "threshold_gate", "reason": REASON}
    return [
        (f"/api/v1/candidates/{candidate_id}/overrides", {**of_gate, "expires": "2d"}),
        (f"/api/v1/candidates/{candidate_id}/clear", {"gate": "threshold_gate"}),
        (f"/api/v1/candidates/{candidate_id}/approve", of_gate),
        (f"/api/v1/candidates/{candidate_id}/reject", {"reason": REASON}),
        (f"/api/v1/incidents/{INCIDENT}/ack", {"reason": REASON}),
        (f"/api/v1/incidents/{INCIDENT}/snooze", {"reason": REASON, "until": "2013-06-20"}),
        (f"/api/v1/incidents/{INCIDENT}/accept", {"reason": REASON}),
        (f"/api/v1/models/{MODEL}/rollback", {"reason": REASON, "revision": 1}),
        (f"/api/v1/models/{MODEL}/retrain", {"as_of": "2013-06-01", "reason": REASON}),
        *((f"/api/v1/models/{MODEL}/rollout/{action}", {"reason": REASON}) for action in ("hold", "resume", "abort")),
    ]


def test_every_route_that_writes_is_tried_by_these_tests():
    """A new route without a test of its permission fails here."""
    tried = {re.sub(rf"/(CANDIDATE|{INCIDENT}|{MODEL})/", "/x/", path) for path, _ in acts("CANDIDATE")}
    written = {
        re.sub(rf"/(CANDIDATE|{INCIDENT}|{MODEL})/", "/x/", p) for m, p in routes() if m == "POST" and "/api/v1/" in p
    }
    assert written == tried


@pytest.mark.parametrize("user", ["vera", "uma", "otto", "ann"])
def test_everybody_with_a_role_reads(pages, user):
    candidate = stopped(pages)
    for path in ("/", f"/models/{MODEL}", f"/candidates/{candidate.candidate_id}", "/api", "/runbook/champion_gate"):
        assert pages.page(path, user).status_code == 200, path
    for path in ("/models", f"/models/{MODEL}", f"/models/{MODEL}/candidates", f"/models/{MODEL}/decisions"):
        assert pages.get(f"/api/v1{path}", user).status_code == 200, path
    run_id = candidate.run_id
    assert pages.get(f"/api/v1/runs/retrain_{MODEL}/{run_id}", user).json()["candidate_id"] == candidate.candidate_id
    missing = pages.get(f"/api/v1/runs/retrain_{MODEL}/nowhere", user)
    assert missing.status_code == 404
    assert "knows no journey and no rollback of the run nowhere" in missing.text


def test_a_viewer_sees_no_buttons_and_an_operator_does(pages):
    path = f"/candidates/{stopped(pages).candidate_id}"
    assert "<form" not in pages.page(path, "vera").text
    assert "Acting on it is for the model's approvers." in pages.page(path, "vera").text
    assert f'action="/slipway{path}/override"' in pages.page(path, "otto").text


def test_f136_a_form_sent_by_another_site_does_nothing(pages):
    candidate = stopped(pages)
    path = f"/slipway/candidates/{candidate.candidate_id}/override"
    form = {"gate": "threshold_gate", "reason": REASON, "expires": "2d"}
    pages.client.cookies.set("_token", pages.token("otto"))
    try:
        shown = pages.client.get(f"/slipway/candidates/{candidate.candidate_id}", headers={"accept": "text/html"})
        good = re.search(r'name="csrf" value="(\w+)"', shown.text)[1]
        for headers, csrf in (
            ({}, None),
            ({}, "0" * 64),
            ({"origin": "https://evil.example"}, good),
            ({"origin": "null"}, good),
            ({"sec-fetch-site": "cross-site"}, good),
        ):
            sent = {**form, **({"csrf": csrf} if csrf else {})}
            assert pages.client.post(path, data=sent, headers=headers).status_code == 403
        assert pages.ledger.gates.overrides(candidate.candidate_id) == []
        ours = {"origin": "http://testserver"}
        done = pages.client.post(path, data={**form, "csrf": good}, headers=ours, follow_redirects=False)
        assert (done.status_code, done.headers["location"]) == (303, f"{path.removesuffix('/override')}?done=override")
    finally:
        pages.client.cookies.clear()
    assert [o.who for o in pages.ledger.gates.overrides(candidate.candidate_id)] == ["otto"]
    check_invariants(pages)


# --- what a button does ----------------------------------------------------------------------------------------------


def test_an_override_names_the_airflow_user_and_shows_on_the_page(pages):
    candidate = stopped(pages)
    made = pages.post(acts(candidate.candidate_id)[0][0], acts(candidate.candidate_id)[0][1])
    assert made.status_code == 201
    assert (made.json()["who"], made.json()["why"]) == ("otto", REASON)
    shown = pages.page(f"/candidates/{candidate.candidate_id}").text
    assert "Overridden, not yet judged again" in shown
    assert REASON in shown
    again = pages.post(acts(candidate.candidate_id)[0][0], acts(candidate.candidate_id)[0][1], "ann")
    assert (again.status_code, again.json()["error"]) == (409, "OverrideStands")
    check_invariants(pages)


def test_f059_clearing_a_gate_asks_airflow_as_the_same_user_and_promotes_nothing_by_itself(pages):
    candidate = stopped(pages)
    answer = pages.post(f"/api/v1/candidates/{candidate.candidate_id}/clear", {"gate": "threshold_gate"})
    assert answer.json()["run_id"] == "r1"
    cleared = next(a for a in pages.airflow.asked if a.path.endswith("clearTaskInstances"))
    assert (cleared.who, cleared.body["task_ids"], cleared.body["include_downstream"]) == (
        "otto",
        ["threshold_gate"],
        True,
    )
    assert pages.ledger.deployments.champion(MODEL) is None
    check_invariants(pages)


def lacking(world, run_id: str = "r1", bound: float | None = None):
    """A journey that was stopped because a feature has no value at all."""
    candidate = world.ledger.candidates.open(request(run_id))
    wanted = world.declared.models[MODEL].training.min_rows if bound is None else bound
    rows = against_bound("rows", 98_200, Direction.AT_LEAST, wanted, rows=98_200)
    why = "No value at all in wind_speed (weather has no published day from 2013-05-24 on)."
    empty = CriterionResult("empty features", Verdict.FAIL, 1.0, "<= 0", 98_200, why)
    result = GateResult("training_data_gate", Mode.BLOCKING, (rows, empty))
    world.ledger.gates.record(candidate.candidate_id, result, digest=None, run_id=run_id)
    closed = {"outcome": f"Rejected: training_data_gate: {why}", "actor": "close_journey"}
    world.ledger.candidates.close(candidate.candidate_id, Event.REJECT, **closed)
    return candidate


def test_where_data_is_missing_the_page_says_the_cause_then_what_helps_and_judging_again_is_not_offered(pages):
    candidate = lacking(pages)
    shown = pages.page(f"/candidates/{candidate.candidate_id}", "otto").text
    cause = shown.index("No value at all in wind_speed (weather has no published day from 2013-05-24 on).")
    helps = shown.index("Publish the days that its views lack, in bulk")
    assert cause < helps < shown.index("<form")
    assert "`slipway why flight_delay --as-of 2013-06-01T00:00Z` shows" in shown
    assert re.findall(r'data-action="(\w+)"', shown) == ["retrain", "override"]
    assert shown.index("<td>empty features</td>") < shown.index("<td>rows</td>"), "what did not pass comes first"


def test_where_the_bounds_were_declared_anew_it_may_be_judged_again(pages):
    candidate = lacking(pages, bound=77)
    shown = pages.page(f"/candidates/{candidate.candidate_id}", "otto").text
    assert re.findall(r'data-action="(\w+)"', shown) == ["override", "clear"]


def test_a_new_journey_is_started_from_the_page_of_one_that_ended_once_for_each_as_of_time(pages):
    candidate = lacking(pages)
    path = f"/slipway/candidates/{candidate.candidate_id}/retrain"
    headers = pages.headers("otto", accept="text/html")

    def sent(as_of: str):
        form = {"reason": "The days of weather are there now", "as_of": as_of}
        return pages.client.post(path, data=form, headers=headers, follow_redirects=False)

    for day in ("2013-05-30", "2013-05-31", "2013-06-01"):
        pages.publish(day)
    assert sent("2013-06-02").status_code == 303
    (run,) = pages.airflow.runs.values()
    assert run["conf"] == {"as_of": "2013-06-02", "reason": "The days of weather are there now"}
    assert run["triggering_user_name"] == "otto"
    again = sent("2013-06-02")
    assert (again.status_code, len(pages.airflow.runs)) == (409, 1)
    assert "was started from here before, as run api__after_" in again.text
    for wrong, said in (("soon", "as_of is"), ("", "as_of is")):
        refused = sent(wrong)
        assert (refused.status_code, said in refused.text, len(pages.airflow.runs)) == (422, True, 1)


def test_f060_an_approval_is_an_answer_to_the_gate_that_waits_and_a_second_one_finds_no_question(pages):
    candidate = stopped(pages, verdict=Verdict.INCONCLUSIVE, live=True)
    from slipway_airflow.gates import ANSWER  # the name of the field that the gate reads

    pages.airflow.waits.add("threshold_gate")
    path, body = acts(candidate.candidate_id)[2]
    assert "Threshold gate waits for a person" in pages.page(f"/candidates/{candidate.candidate_id}").text
    assert pages.post(path, body).status_code == 200
    answered = pages.airflow.asked[-1]
    assert (answered.who, answered.body) == (
        "otto",
        {"chosen_options": ["Approve"], "params_input": {ANSWER: REASON}},
    )
    second = pages.post(path, body)
    assert second.status_code == 404
    assert second.json()["message"].startswith("Airflow did not answer threshold_gate (404): ")
    check_invariants(pages)


def test_f060_a_rejection_ends_the_journey_under_the_persons_name_and_answers_the_gate(pages):
    candidate = stopped(pages, verdict=Verdict.INCONCLUSIVE, live=True)
    pages.airflow.waits.add("threshold_gate")
    path, body = acts(candidate.candidate_id)[3]
    assert pages.post(path, body).status_code == 200
    now = pages.ledger.candidates.get(candidate.candidate_id)
    assert (now.state, now.outcome) == (State.REJECTED, f"Rejected by otto: {REASON}")
    assert pages.airflow.asked[-1].body["chosen_options"] == ["Reject"]
    again = pages.post(path, body)
    assert (again.status_code, again.json()["error"]) == (422, "Refusal")
    check_invariants(pages)


def test_a_rollback_is_one_run_however_often_the_button_is_pressed(pages):
    champion(pages.ledger, "one")
    second = challenger(pages.ledger, "two")
    promote(pages.ledger, second, days=1)
    path = f"/api/v1/models/{MODEL}/rollback"
    first = pages.post(path, {"reason": REASON, "revision": 2})
    assert (first.status_code, first.json()["run_id"]) == (202, "rollback_of_revision_2")
    again = pages.post(path, {"reason": REASON, "revision": 2})
    assert (again.status_code, again.json()["error"]) == (409, "AlreadyUnderWay")
    old = pages.post(path, {"reason": REASON, "revision": 1})
    assert (old.status_code, old.json()["error"]) == (409, "ChampionChanged")
    started = [a for a in pages.airflow.asked if a.path.endswith("dagRuns") and a.who == "otto"]
    assert [a.body["conf"] for a in started] == [{"reason": REASON, "revision": 2}] * 2
    assert len(pages.airflow.runs) == 1
    check_invariants(pages)


def test_f113_a_key_starts_one_journey_and_another_body_under_it_is_refused(pages):
    pages.publish("2013-06-30")
    path, key = f"/api/v1/models/{MODEL}/retrain", {"idempotency-key": "deploy-7"}
    body = {"as_of": "2013-06-01", "reason": REASON}
    first, second = pages.post(path, body, **key), pages.post(path, body, **key)
    assert (first.json()["started"], second.json()["started"]) == (True, False)
    other = pages.post(path, {**body, "as_of": "2013-06-02"}, **key)
    assert (other.status_code, other.json()["error"]) == (409, "KeyReused")
    assert len(pages.airflow.runs) == 1


def test_f120_without_a_scheduler_a_retrain_is_refused_and_not_swallowed(pages):
    pages.publish("2013-06-30")
    pages.airflow.scheduler = "unhealthy"
    path = f"/api/v1/models/{MODEL}/retrain"
    answer = pages.post(path, {"as_of": "2013-06-01", "reason": REASON}, **{"idempotency-key": "k"})
    assert (answer.status_code, answer.json()["error"]) == (503, "NothingStarts")
    assert pages.airflow.runs == {}


def form_of(pages, path: str, **fields: str) -> dict[str, str]:
    """A form of the page at ``path`` as otto's browser would send it."""
    csrf = re.search(r'name="csrf" value="(\w+)"', pages.page(path, "otto").text)[1]
    return {**fields, "csrf": csrf}


def send(pages, path: str, form: dict[str, str]):
    return pages.client.post(
        f"/slipway{path}", data=form, headers=pages.headers("otto", accept="text/html"), follow_redirects=False
    )


@pytest.mark.parametrize(
    ("wrong", "field", "line"),
    [
        pytest.param(
            {"expires": "soon"}, "expires", "expires is &#39;soon&#39;; give a duration (2d, 12h)", id="no time"
        ),
        pytest.param({"expires": "91d"}, "expires", "an override is an exception, so it ends within 90 days", id="far"),
        pytest.param({"reason": "<b>no</b>"}, "reason", "say why, in 10 to 500 characters", id="too short"),
    ],
)
def test_a_form_that_is_refused_comes_back_with_what_was_typed_and_the_line_beside_its_field(pages, wrong, field, line):
    candidate = stopped(pages)
    path = f"/candidates/{candidate.candidate_id}"
    typed = {"gate": "threshold_gate", "reason": "An outage, <script>twice</script>", "expires": "3d", **wrong}
    answer = send(pages, f"{path}/override", form_of(pages, path, **typed))
    assert answer.status_code == 422
    form = re.search(r'<details[^>]*data-action="override" open>.*?</form>', answer.text, re.DOTALL)[0]
    assert re.search(rf'name="{field}"[^>]*aria-invalid="true" aria-describedby="{field}-1-wrong" autofocus', form)
    beside = re.search(rf'<p class="wrong" id="{field}-1-wrong">(.*?)</p>', form)[1]
    assert line in beside
    assert f">{escape(typed['reason'])}</textarea>" in form
    assert f'value="{typed["expires"]}"' in form
    assert '<p class="banner bad small" role="alert"><b>Nothing was done.</b>' in answer.text
    assert "<script>twice" not in answer.text
    assert pages.ledger.gates.overrides(candidate.candidate_id) == []


def test_a_form_about_what_has_changed_meanwhile_comes_back_with_what_is_so_now(pages):
    candidate = stopped(pages)
    path = f"/candidates/{candidate.candidate_id}"
    form = form_of(pages, path, gate="threshold_gate", reason=REASON, expires="2d")
    assert send(pages, f"{path}/override", form).headers["location"].endswith("?done=override")
    answer = send(pages, f"{path}/override", form)
    assert answer.status_code == 409
    assert "Nothing was done." in answer.text
    assert "Overridden, not yet judged again" in answer.text
    assert len(pages.ledger.gates.overrides(candidate.candidate_id)) == 1


@pytest.mark.parametrize("where", ["model", "candidate"])
def test_the_rollback_form_starts_one_run_and_says_so_when_it_is_refused(pages, where):
    champion(pages.ledger, "one")
    second = challenger(pages.ledger, "two")
    promote(pages.ledger, second, days=1)
    path = f"/models/{MODEL}" if where == "model" else f"/candidates/{second.candidate_id}"
    shown = pages.page(path, "otto").text
    assert "is taken out for good" in shown
    assert 'name="revision" value="2"' in shown
    short = send(pages, f"{path}/rollback", form_of(pages, path, reason="bad", revision="2"))
    assert (short.status_code, pages.airflow.runs) == (422, {})
    assert ">bad</textarea>" in short.text
    form = form_of(pages, path, reason=REASON, revision="2")
    done = send(pages, f"{path}/rollback", form)
    assert (done.status_code, done.headers["location"]) == (303, f"/slipway{path}?done=rollback")
    assert "The rollback has started." in pages.page(f"{path}?done=rollback", "otto").text
    again = send(pages, f"{path}/rollback", form)
    assert again.status_code == 409
    assert "was started before, as run rollback_of_revision_2" in again.text
    assert list(pages.airflow.runs) == ["rollback_of_revision_2"]
    old = send(pages, f"{path}/rollback", {**form, "revision": "1"})
    assert (old.status_code, len(pages.airflow.runs)) == (409, 1)
    check_invariants(pages)


# --- one shape for every error ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        pytest.param("/models/nobody", 404, "There is no model 'nobody'; declared are: ", id="model"),
        pytest.param("/candidates/nothing", 404, "There is no candidate 'nothing' in the ledger", id="candidate"),
        pytest.param("/drift/nothing", 404, "There is no drift report 'nothing'", id="report"),
        pytest.param("/nowhere", 404, "There is no page 'api/v1/nowhere'", id="route"),
    ],
)
def test_f110_what_does_not_exist_is_404_in_one_shape(pages, path, status, message):
    answer = pages.get(f"/api/v1{path}")
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "what", "value", "allowed", "message"}
    assert answer.json()["message"].startswith(message)


@pytest.mark.parametrize(
    ("change", "what", "allowed"),
    [
        pytest.param({"reason": "short"}, "reason", "say why, in 10 to 500 characters", id="short reason"),
        pytest.param({"reason": "x" * 501}, "reason", "say why, in 10 to 500 characters", id="long reason"),
        pytest.param({"expires": "soon"}, "expires", "give a duration (2d, 12h) or a time in ISO 8601", id="no time"),
        pytest.param({"expires": "99999999999d"}, "expires", None, id="a time that cannot be"),
        pytest.param({"expires": "91d"}, "expires", None, id="too far"),
        pytest.param({"expires": "2001-01-01"}, "expires", "which is past: give a later time", id="past"),
        pytest.param({"reason": 3}, "reason", None, id="a number for a text"),
        pytest.param({"reasn": REASON}, "reasn", "there is no such field", id="a misspelt field"),
    ],
)
def test_f110_a_bad_field_is_named_with_its_value_and_what_is_allowed(pages, change, what, allowed):
    candidate = stopped(pages)
    path, body = acts(candidate.candidate_id)[0]
    answer = pages.post(path, {**body, **change})
    assert (answer.status_code, answer.json()["what"]) == (422, what)
    if allowed:
        assert answer.json()["allowed"] == allowed
    assert pages.ledger.gates.overrides(candidate.candidate_id) == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(b'{"reason": "' + b"x" * 10_000_000 + b'"}', 413, id="10 MB"),
        pytest.param(b'{"reason":' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400, id="20,000 deep"),
        pytest.param(b'{"reason": "\xff\xfe"}', 400, id="no UTF-8"),
        pytest.param(b"{", 422, id="no JSON"),
    ],
)
def test_f110_a_body_that_is_no_body_is_refused(pages, content, status):
    candidate = stopped(pages)
    headers = pages.headers("otto", **{"content-type": "application/json"})
    path = f"/slipway/api/v1/candidates/{candidate.candidate_id}/overrides"
    assert pages.client.post(path, content=content, headers=headers).status_code == status


# --- markup from data ------------------------------------------------------------------------------------------------

EVIL = "<script>alert(1)</script>{{ 7*7 }} ' OR 1=1 -- $(rm -rf /) =cmd()"


def drift_report_of(name: str) -> dict:
    """A drift report whose every text is ``name``."""
    feature = {
        "name": name,
        "drifted": True,
        "reason": name,
        "effect": 0.3,
        "importance": 1.0,
        "missing_share": 0.1,
        "reference_missing_share": 0.0,
        "new_categories": [name],
    }
    histogram = {"kind": "categorical", "missing": [0, 1], "categories": [name], "reference": [9], "current": [8]}
    realised = {"metric": name, "reason": name, "recent_risk": 0.2, "reference_risk": 0.1, "tolerance": 0.01}
    return {
        "rows": 10,
        "realised": realised,
        "predictions": {"reason": name},
        "flags": {"realised": True},
        "inputs": {"reason": name, "features": [feature, feature | {"name": f"tail{name}", "drifted": None}]},
        "broken": [{"reason": name}],
        "outside": [],
        "histograms": {name: histogram, f"score{name}": histogram},
    }


def test_f111_f132_what_looks_like_markup_or_code_is_shown_as_it_is(pages):
    """Names of models are checked long before; everything else a person or a source may write comes this far."""
    opened = pages.ledger.candidates.open(replace(request("run/../<b>x"), reason=EVIL, requested_by=EVIL, issue=EVIL))
    criterion = CriterionResult(EVIL, Verdict.FAIL, 0.1, EVIL, 5, EVIL, bound=0.2, low=0.1, high=0.3)
    for gate in ("<img src=x onerror=alert(2)>", "slice_gate"):
        result = GateResult(gate, Mode.BLOCKING, (criterion,))
        pages.ledger.gates.record(opened.candidate_id, result, digest="d", run_id="r")
    ends = NOW + timedelta(days=4000)
    pages.ledger.gates.override(
        OverrideRequest(opened.candidate_id, "slice_gate", EVIL, ends),
        by=an_operator(EVIL),
        approvers=OPERATORS,
        now=NOW,
        requester_may=True,
    )
    for model in ("<script>x</script>", MODEL):
        for day in ("2013-06-01", "2013-06-02"):
            report = pages.ledger.drift.report(model, "<b>1", day, drift_report_of(EVIL), run_id="<i>")
            pages.ledger.drift.decide(report.report_id, RetrainAction.ESCALATE, rule=EVIL, reason=EVIL, numbers={})
    for path in (
        "/",
        f"/models/{MODEL}",
        f"/candidates/{opened.candidate_id}",
        f"/drift/{quote(report.report_id, safe='')}",
        f"/runs/retrain_{MODEL}/{quote('run/../<b>x', safe='')}",
    ):
        for user in ("vera", "otto"):
            answer = pages.page(path, user)
            assert answer.status_code == 200, path
            text = answer.text.replace('<script src="/slipway/static/slipway.js"></script>', "")
            assert not re.search(r"<(script|img|b>1|i>|b>x)", text), path
            assert "&lt;script&gt;" in text, path
            assert "49 &#39; OR" not in text
    check_invariants(pages)


@pytest.mark.parametrize("suffix", ["", "__2", "__5"])
def test_a_drift_report_is_linked_to_the_journey_it_started_whatever_run_id_was_free(pages, suffix):
    day = "2013-06-01"
    report = pages.ledger.drift.report(MODEL, "1", day, drift_report_of("x"), run_id="r")
    path = f"/drift/{quote(report.report_id, safe='')}"
    asked = replace(request(drift_run_id(MODEL, day) + suffix), trigger=Trigger.DRIFT, report_id=report.report_id)
    stranger = pages.ledger.candidates.open(replace(asked, run_id="by-hand", trigger=Trigger.API))
    pages.ledger.candidates.close(stranger.candidate_id, Event.FAIL, outcome="It failed.", actor="close_journey")
    pages.ledger.drift.decide(
        report.report_id, RetrainAction.RETRAIN, rule="5 x", reason="x", numbers={}, journey_run_id=asked.run_id
    )
    assert "The journey it" not in pages.page(path, "vera").text
    journey = pages.ledger.candidates.open(asked)
    shown = pages.page(path, "vera").text
    assert f'<a href="/slipway/candidates/{quote(journey.candidate_id)}">The journey it started</a>' in shown


def test_a_drift_report_is_linked_to_the_journey_under_way_that_it_joined(pages):
    journey = pages.ledger.candidates.open(request("first"))
    report = pages.ledger.drift.report(MODEL, "1", "2013-06-01", drift_report_of("x"), run_id="r")
    pages.ledger.drift.decide(report.report_id, RetrainAction.SUPPRESS, rule="6 x", reason="x", numbers={})
    asks = replace(request("drift"), trigger=Trigger.DRIFT, report_id=report.report_id)
    causes.join(pages.ledger, "first", asks)
    shown = pages.page(f"/drift/{quote(report.report_id, safe='')}", "vera").text
    assert f'<a href="/slipway/candidates/{quote(journey.candidate_id)}">The journey it joined</a>' in shown


def test_a_feature_that_was_not_judged_is_named_on_the_report_and_on_the_models_page(pages):
    why = "Drift of one column says nothing."
    report = pages.ledger.drift.report(MODEL, "1", "2013-06-01", drift_report_of(why), run_id="r")
    pages.ledger.drift.decide(report.report_id, RetrainAction.LOG, rule="0 x", reason=why, numbers={})
    shown = pages.page(f"/drift/{quote(report.report_id, safe='')}", "vera").text
    assert '<span class="verdict NONE">not judged</span>' in shown
    model = pages.page(f"/models/{MODEL}", "vera").text
    assert "Not judged on 2013-06-01:" in model
    assert f"<li><b>tail{why}</b>: " in model


def test_on_the_drift_page_what_drifted_comes_first_then_effect_times_importance(pages):
    def feature(name: str, drifted: bool | None, effect: float, importance: float) -> dict:
        like = drift_report_of("x")["inputs"]["features"][0]
        usual = {"drifted": drifted, "effect": effect, "importance": importance, "usual_high": 0.12}
        return like | usual | {"name": name, "reason": "as measured"}

    kept = drift_report_of("x")
    kept["inputs"]["features"] = [
        feature("calm_and_weighty", False, 0.9, 9.0),
        feature("blind", None, 0.5, 1.0),
        feature("drifted_little", True, 0.2, 0.1),
        feature("drifted_much", True, 0.3, 3.0),
    ]
    report = pages.ledger.drift.report(MODEL, "1", "2013-06-01", kept, run_id="r")
    shown = pages.page(f"/drift/{quote(report.report_id, safe='')}").text
    order = re.findall(r'<td class="key"><b>(\w+)</b>', shown)
    assert order == ["drifted_much", "drifted_little", "blind", "calm_and_weighty"]
    assert shown.count("usual to 0.1200") == 4


@pytest.mark.parametrize(
    ("realised", "colour", "word"),
    [(False, "good", "in its band"), (True, "waits", "out of its band"), (None, "", "not judged")],
)
def test_a_page_is_green_only_where_performance_was_judged(pages, realised, colour, word):
    kept = drift_report_of("why") | {"flags": {"realised": realised}}
    champion(pages.ledger, "one")
    report = pages.ledger.drift.report(MODEL, "1", "2013-06-01", kept, run_id="r")
    pages.ledger.drift.decide(report.report_id, RetrainAction.LOG, rule="0 x", reason="why", numbers={})
    for path in (f"/drift/{quote(report.report_id, safe='')}", f"/models/{MODEL}"):
        shown = pages.page(path, "vera").text
        assert f'<section class="banner {colour}">' in shown
        assert f">{word}</span>" in shown


def _reported(pages, model: str, day: str, risk: float | None, flag: bool | None, metric: str = "brier") -> str:
    realised = {"metric": metric, "recent_risk": risk, "reference_risk": 0.11, "tolerance": 0.01, "reason": f"of {day}"}
    kept = drift_report_of("why") | {"flags": {"realised": flag}, "realised": realised}
    report = pages.ledger.drift.report(model, "1", day, kept, run_id=f"r-{model}-{day}")
    pages.ledger.drift.decide(report.report_id, RetrainAction.LOG, rule="0 x", reason="why", numbers={})
    return report.report_id


@pytest.mark.parametrize(
    ("risk", "flag", "state", "verdict"),
    [
        pytest.param(0.115, False, "in its band", "PASS", id="in its band"),
        pytest.param(0.19, True, "out of its band", "FAIL", id="out of its band"),
        pytest.param(0.19, None, "not judged", "NONE", id="measured on too little"),
        pytest.param(None, None, "not judged", "NONE", id="not measured"),
    ],
)
def test_the_models_page_shows_how_each_model_does_in_three_states(pages, risk, flag, state, verdict):
    champion(pages.ledger, "one")
    for day, earlier in (("2013-05-29", 0.10), ("2013-05-30", None), ("2013-05-31", 0.12)):
        _reported(pages, MODEL, day, earlier, False)
    _reported(pages, MODEL, "2013-06-01", risk, flag)
    shown = pages.page("/").text
    assert f'title="of 2013-06-01"><span class="verdict {verdict}">{state}</span>' in shown
    assert bool(re.search(r"brier 0\.\d+, reference 0\.11", shown)) is (risk is not None)
    assert 'class="recent"' in shown
    assert "nothing started" in shown
    (row,) = (r for r in pages.get("/api/v1/models").json()["models"] if r["model"] == MODEL)
    assert row["performance"]["state"] == state
    assert row["performance"]["recent"] == [0.10, None, 0.12, risk]
    assert row["performance"]["limit"] == pytest.approx(0.12)
    assert pages.get(f"/api/v1/models/{MODEL}").json()["performance"] == row["performance"]


def test_a_model_that_no_report_is_about_is_not_judged_and_never_green(pages):
    champion(pages.ledger, "one")
    shown = pages.page("/").text
    assert 'title="No day was judged yet."><span class="verdict NONE">not judged</span>' in shown
    assert "verdict PASS" not in shown


def test_the_small_picture_shows_no_loss_of_another_metric(pages):
    _reported(pages, MODEL, "2013-05-31", 7.5, False, metric="mae")
    _reported(pages, MODEL, "2013-06-01", 0.115, False)
    (row,) = (r for r in pages.get("/api/v1/models").json()["models"] if r["model"] == MODEL)
    assert row["performance"]["recent"] == [None, 0.115]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("find=DELAY", {MODEL}),
        ("find=ml-on-call", {MODEL, "air_time"}),
        ("find=nothing+like+it", set()),
        ("state=out+of+its+band", {MODEL}),
        ("state=not+judged", {"air_time"}),
        ("state=waits+for+a+person", set()),
        ("owner=flight-operations-science&find=air", {"air_time"}),
        ("owner=somebody+else", set()),
    ],
)
def test_the_models_page_can_be_narrowed(pages, asked, found):
    _reported(pages, MODEL, "2013-06-01", 0.19, True)
    shown = pages.page(f"/?sort=model&{asked}").text
    assert {name for name in (MODEL, "air_time") if f"<b>{name}</b>" in shown} == found
    kept = re.search(r'href="\?sort=drift([^"]*)"', shown)
    assert kept is not None
    assert {part.partition("=")[0] for part in kept[1].split("&amp;")[1:]} == {
        part.partition("=")[0] for part in asked.split("&")
    }
    assert ("No model is like that." in shown) is (not found)
    assert "2 models" in shown if len(found) == 2 else f"{len(found)} of 2 models." in shown


def test_each_day_of_the_performance_chart_says_its_numbers_and_leads_to_its_report(pages):
    _reported(pages, MODEL, "2013-05-31", 0.115, None)
    last = _reported(pages, MODEL, "2013-06-01", 0.19, True)
    shown = pages.page(f"/models/{MODEL}").text
    said = "2013-06-01: brier 0.19, out of its band; allowed up to 0.12"
    assert f'<a class="day" href="/slipway/drift/{last}" aria-label="{said}"><title>{said}</title>' in shown
    assert "<title>2013-05-31: brier 0.115, not judged; allowed up to 0.12</title>" in shown


def test_f111_names_from_the_address_are_never_a_path_or_a_query(pages):
    stopped(pages)
    for path in (
        "/static/../../app.py",
        "/static/..%2f..%2fapp.py",
        "/runbook/..%2f..%2f..%2fREADME",
        "/candidates/x'%20OR%20'1'='1",
        "/runs/retrain_%3Cscript%3E/x",
        "/models/%00",
        "/?sort=%3Cscript%3E",
        "/nowhere%3Cscript%3E",
    ):
        answer = pages.page(path)
        assert answer.status_code in (200, 403, 404, 422), path
        assert "<script>" not in answer.text.replace('<script src="/slipway/static/slipway.js"></script>', ""), path
        assert "FastAPI(" not in answer.text


def test_pages_ask_nothing_of_another_host_and_allow_no_inline_script(pages):
    candidate = stopped(pages)
    for path in ("/", f"/models/{MODEL}", f"/candidates/{candidate.candidate_id}", "/api"):
        answer = pages.page(path, "otto")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        loaded = re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="([^"]+)"', answer.text)
        assert loaded
        assert all(url.startswith("/slipway/static/") for url in loaded)
        assert not re.search(r"\son\w+=|style=|javascript:", answer.text)


def test_f132_a_data_docs_page_is_shown_and_nothing_in_it_can_run_or_be_sent(pages):
    from include.domain.intervals import Interval
    from include.workflows.features import data_docs

    run, day = "partition__2013-06-01", Interval.of_day("2013-06-01")
    data_docs.keep("origin_weather", day, run, "<html><head></head><body><b onclick=x()>wind</b></body></html>")
    (kept,) = data_docs.pages(["origin_weather"])
    path = f"/data-docs/origin_weather/{kept.name}"
    assert path in pages.page("/data-docs").text
    assert path in pages.page(f"/runs/features_origin_weather/{run}").text
    answer = pages.page(path)
    assert "wind" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-same-origin; default-src 'none'; style-src 'self'; form-action 'none'")
    assert "allow-scripts" not in policy
    for elsewhere in ("..%2f..%2fledger.db", "x.html", kept.name.replace("2013", "2014")):
        assert pages.page(f"/data-docs/origin_weather/{elsewhere}").status_code == 404
    data_docs.keep("origin_weather", day, run, None)
    assert pages.page(path).status_code == 404


def test_f131_the_token_and_the_secrets_of_the_server_are_on_no_page(pages):
    candidate = stopped(pages)
    for path in ("/", f"/models/{MODEL}", f"/candidates/{candidate.candidate_id}", "/api", "/openapi.json"):
        text = pages.page(path, "ann").text
        for secret in ("k" * 32, "j" * 64, pages.token("ann")[:40]):
            assert secret not in text


# --- what the page says ----------------------------------------------------------------------------------------------


def test_the_first_thing_said_is_what_failed_by_how_much_and_that_the_champion_serves(pages):
    champion(pages.ledger, "one")
    candidate = stopped(pages, "two")
    text = pages.page(f"/candidates/{candidate.candidate_id}").text
    banner = text[text.index('class="banner') : text.index("</section>")]
    assert "Stopped at threshold gate: FAIL" in banner
    assert "roc_auc 0.55 is outside its bound &gt;= 0.65 on 12,000 rows." in banner
    assert "Version 1 still serves. This candidate was never served." in banner


def test_a_champion_that_was_let_past_a_gate_stays_explained_after_the_override_expired(pages):
    candidate = stopped(pages, live=True)
    key, now = candidate.candidate_id, datetime.now(UTC)
    ends = now + timedelta(hours=1)
    pages.ledger.gates.override(
        OverrideRequest(key, "threshold_gate", REASON, ends), by=an_operator("ann"), approvers=OPERATORS, now=now
    )
    registered = pages.ledger.candidates.advance(
        key, Event.REGISTER, actor="t", reason="registered", facts=Facts(model_version="1")
    )
    promote(pages.ledger, registered, now=now)
    view = release.release(key, now + timedelta(days=400))
    assert (view.headline, [g.in_the_way for g in view.gates]) == ("Promoted", [False])
    assert view.gates[0].override.who == "ann"
    check_invariants(pages)


def test_the_tab_on_a_run_shows_its_candidate_and_says_so_when_there_is_none(pages):
    candidate = stopped(pages)
    assert candidate.candidate_id in pages.page(f"/runs/retrain_{MODEL}/r1").text
    assert "No candidate yet" in pages.page(f"/runs/retrain_{MODEL}/r99").text
    assert "It publishes days of a feature view." in pages.page("/runs/features_flight_schedule/r1").text
    assert "This run releases nothing" in pages.page("/runs/housekeeping/r1").text


def test_the_race_of_recipes_is_shown_with_its_losses_winner_and_change(pages):
    candidate = stopped(pages)
    assert "Race of recipes" not in pages.page(f"/candidates/{candidate.candidate_id}").text
    losses = {"window": 0.2317, "since_change": 0.1904}
    said = "since_change won the race on 700 rows after the change of 2013-05-30."
    fact_files.write(
        journey_folder(candidate.candidate_id),
        RecipeRace("since_change", losses, 700, 1400, "2013-05-30", said, "brier"),
    )
    shown = pages.page(f"/candidates/{candidate.candidate_id}").text
    for words in (said, "Loss (brier)", "0.2317", "since_change: 1,400 rows, change of 2013-05-30"):
        assert words in shown
    assert shown.index("0.1904</td><td><b>won</b>") < shown.index("0.2317</td><td></td>"), "the winner first"
    race = pages.get(f"/api/v1/candidates/{candidate.candidate_id}").json()["race"]
    assert (race["winner"], race["losses"], race["since"]) == ("since_change", losses, "2013-05-30")


def test_a_race_that_cannot_be_read_is_said(pages):
    candidate = stopped(pages)
    (journey_folder(candidate.candidate_id) / RecipeRace.FILE).write_text('{"version": 99}')
    shown = pages.page(f"/candidates/{candidate.candidate_id}").text
    assert "was written in version 99 of its form" in shown
    assert "Race of recipes" not in shown


def test_the_evidence_is_the_same_as_json(pages):
    candidate = stopped(pages)
    gate = pages.get(f"/api/v1/candidates/{candidate.candidate_id}/evidence").json()["gates"][0]
    assert (gate["gate"], gate["verdict"], gate["in_the_way"]) == ("threshold_gate", "FAIL", True)
    assert gate["criteria"][0]["measured"] == 0.55


def test_the_models_page_puts_what_waits_for_a_person_first(pages):
    stopped(pages, verdict=Verdict.INCONCLUSIVE, live=True)
    rows = pages.get("/api/v1/models").json()["models"]
    assert (rows[0]["model"], rows[0]["waits"]) == (MODEL, "Threshold gate asks for a decision")
    assert "air_time" in [r["model"] for r in rows], "declared, and no journey yet"


def test_of_models_that_wait_for_no_one_the_worst_comes_first(pages):
    _reported(pages, "a_calm_one", "2013-06-01", 0.115, False)
    _reported(pages, "b_not_judged", "2013-06-01", None, None)
    an_open_incident(pages.ledger)
    rows = [r["model"] for r in pages.get("/api/v1/models").json()["models"]]
    assert rows[0] == MODEL
    assert 'title="Open since 2013-06-01.">incident open</span>' in pages.page("/").text
    _reported(pages, "c_out_of_band", "2013-06-01", 0.19, True)
    rows = [r["model"] for r in pages.get("/api/v1/models").json()["models"]]
    assert rows[:2] == [MODEL, "c_out_of_band"]


def test_a_declaration_that_changes_is_read_again(pages, tmp_path, monkeypatch):
    import shutil

    from include.config import loader
    from include.config.settings import PROJECT

    root = tmp_path / "declared"
    for kind in ("models", "features"):
        shutil.copytree(PROJECT / "include" / kind, root / kind)
    monkeypatch.setattr(loader, "ROOT", root)
    loader.declarations.cache_clear()
    assert "air_time" in pages.page("/").text
    shutil.rmtree(root / "models" / "air_time")
    assert "air_time" not in pages.page("/").text


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        pytest.param('{"version": 99}', "It comes from a newer Slipway", id="of a newer release"),
        pytest.param('{"metrics": {}}', "is of a release before versions, and this release cannot read it", id="older"),
        pytest.param("{", "is damaged", id="damaged"),
    ],
)
def test_facts_that_this_release_cannot_read_are_named_on_the_page_and_not_shown_as_nothing(pages, kept, says):
    from include.workflows.journey import step

    made = champion(pages.ledger, "r1")
    (step.journey_folder(made.candidate_id) / "evaluation.json").write_text(kept)
    text = pages.page(f"/candidates/{made.candidate_id}").text
    assert "evaluation.json" in text
    assert says in text


def test_the_rows_that_disagree_most_are_named_by_entity_and_time(pages):
    """And those that were kept before a request's name said when, as they were."""
    from include.workflows.journey import step

    champ = champion(pages.ledger, "r1")
    shadowed = challenger(pages.ledger, "r2")
    pages.ledger.shadow.open(
        shadowed.candidate_id, champion_id=champ.candidate_id, opened_from=NOW, min_days=2, min_rows=10, actor="test"
    )
    row = {"event_time": NOW.isoformat(), "champion": 0.2, "challenger": 0.9, "features": {"level": 3.5}}
    kept = {
        "rows": 2,
        "mean": 0.4,
        "quantiles": {"0.5": 0.4},
        "of_class": None,
        "points": [[0.2, 0.9]],
        "most": [{**row, "request_id": "north|2024-03-14T05:00:00Z"}, {**row, "request_id": "14-050"}],
    }
    (step.journey_folder(shadowed.candidate_id) / "disagreement.json").write_text(json.dumps(kept))
    text = pages.page(f"/candidates/{shadowed.candidate_id}").text
    assert ">north<br>2024-03-14T05:00:00Z</th>" in text
    assert ">14-050</th>" in text
