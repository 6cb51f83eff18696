"""An incident on its page, over REST and on the command line: what people see of it and do about it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from invariants import check_invariants
from ledger_fixtures import AN_INCIDENT, AS_OF, MODEL, an_open_incident, digest_of, judged

from include.adapters.ledger import Facts, IncidentSteps, RetrainAction
from include.domain.data_incident import DataIncident
from include.domain.incident import Incident, Stage
from include.domain.incident_log import IncidentCause, data_step_of
from include.domain.journey import Trigger
from include.domain.lifecycle import Event, JourneyRequest
from include.domain.verdicts import Verdict

pytestmark = [pytest.mark.filterwarnings("ignore")]
REASON = "The timetable of June is here to stay"
INCIDENT = f"{MODEL}-performance-20130601"
PATH = f"/api/v1/incidents/{INCIDENT}"


def test_the_page_says_what_since_when_what_it_costs_and_what_is_next(pages):
    an_open_incident(pages.ledger)
    shown = pages.page(f"/incidents/{INCIDENT}").text
    for said in (
        "Open: flight_delay, brier",
        "brier was 0.11 before 2013-05-24, is in its band up to 0.12, and is 0.19 now. The alarm is of 2013-06-01.",
        "0.08 more brier a row than before the change, with 900 rows a day: 72 brier a day.",
        "A journey starts on 2013-06-09, when enough labels since the change have matured to learn from.",
        "No journey yet.",
        "brier of a is out of its band",
    ):
        assert said in shown
    assert "<form" not in shown
    assert f'action="/slipway/incidents/{INCIDENT}/accept"' in pages.page(f"/incidents/{INCIDENT}", "otto").text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"risk": None}, "What it costs a day is not known", id="not judged"),
        pytest.param({"risk": 0.10}, "It costs nothing now", id="below the anchor"),
        pytest.param({"metric": "error"}, "About 72 more wrong answers a day, of 900 rows a day.", id="error"),
        pytest.param({"metric": "rmse"}, "0.024 more squared error a row", id="rmse"),
    ],
)
def test_what_it_costs_is_said_in_the_metrics_unit(pages, change, said):
    an_open_incident(pages.ledger, replace(AN_INCIDENT, **change))
    assert said in pages.get(PATH).json()["cost"]


@pytest.mark.parametrize(
    ("rule", "numbers", "said"),
    [
        ("6 in_flight", {"in_flight": "run-7"}, "The journey run-7 is under way."),
        ("6 recovering", {}, "its matured labels close the incident or not"),
        (
            "6 cooldown",
            {"cooldown_ends": "2013-06-12T00:00:00+00:00"},
            "A journey starts on 2013-06-12, after",
        ),
        ("6 budget", {}, "when the declared number in 30 days is not used up"),
        ("5 realised_out_of_band", {}, "A journey was started for 2013-06-01."),
        ("1 data_broke", {}, "The next judged day decides."),
    ],
)
def test_what_happens_next_follows_from_the_newest_decision(pages, rule, numbers, said):
    an_open_incident(pages.ledger, rule=rule, **numbers)
    found = pages.get(PATH).json()
    assert said in found["next_step"]
    assert found["next_on"] is None


@pytest.mark.parametrize("rule", ["7 not_helped", "6 helps_no_more"])
def test_where_journeys_did_not_help_a_person_decides_and_the_day_of_the_next_one_is_named(pages, rule):
    an_open_incident(pages.ledger, rule=rule)
    found = pages.get(PATH).json()
    assert "A person decides: accept the new level" in found["next_step"]
    assert found["next_step"].endswith("The next journey starts on 2013-06-09.")
    assert found["next_on"] == "2013-06-09"


def test_a_journey_that_waits_for_a_person_is_what_happens_next(pages):
    an_open_incident(pages.ledger, rule="5 realised_out_of_band")
    asked = JourneyRequest(MODEL, "d1", AS_OF, Trigger.DRIFT, "out of band", "drift", report_id=f"{MODEL}-v1-20130601")
    opened = pages.ledger.candidates.open(asked)
    assert "A journey was started" in pages.get(PATH).json()["next_step"]
    facts = Facts(digest_of("d1"), digest_of("training set of d1"), mlflow_run_id="mlflow-d1")
    candidate = pages.ledger.candidates.advance(
        opened.candidate_id, Event.TRAIN, actor="test", reason="trained", facts=facts
    )
    unsure = judged("champion_gate", Verdict.INCONCLUSIVE)
    pages.ledger.gates.record(candidate.candidate_id, unsure, digest=candidate.facts.artifact_digest, run_id="d1")
    said = f"A person decides: Champion gate of {candidate.candidate_id} could not tell"
    assert said in pages.get(PATH).json()["next_step"]
    assert said in pages.page(f"/incidents/{INCIDENT}").text


def test_the_journeys_of_the_incident_are_what_was_tried(pages):
    an_open_incident(pages.ledger)

    asked = JourneyRequest(MODEL, "d1", AS_OF, Trigger.DRIFT, "out of band", "drift", report_id=f"{MODEL}-v1-20130601")
    tried = pages.ledger.candidates.open(asked)
    (found,) = pages.get(PATH).json()["tried"]
    assert (found["candidate_id"], found["outcome"]) == (tried.candidate_id, "Under way: opened.")
    assert tried.candidate_id in pages.page(f"/incidents/{INCIDENT}").text


def test_people_act_over_rest_under_their_own_name(pages):
    an_open_incident(pages.ledger)
    made = pages.post(f"{PATH}/ack", {"reason": REASON, "requested_by": "the team"})
    assert (made.status_code, made.json()["acknowledged_by"]) == (200, "otto")
    made = pages.post(f"{PATH}/snooze", {"reason": REASON, "until": "2013-06-20"}, "ann")
    assert (made.json()["snoozed_until"], made.json()["acknowledged_by"]) == ("2013-06-20", "ann")
    made = pages.post(f"{PATH}/accept", {"reason": REASON})
    assert made.json()["stage"] == "closed"
    assert made.json()["state"]["note"] == f"otto accepted brier 0.19 as the new level: {REASON}"
    events = [(e["kind"], e["who"], e["claimed"]) for e in made.json()["events"]]
    assert events[1:] == [("acknowledged", "otto", "the team"), ("snoozed", "ann", None), ("accepted", "otto", None)]
    again = pages.post(f"{PATH}/accept", {"reason": REASON})
    assert (again.status_code, again.json()["error"]) == (409, "IncidentOver")
    assert Incident.from_json(pages.ledger.incidents.get(INCIDENT).state).stage is Stage.CLOSED
    check_invariants(pages)


@pytest.mark.parametrize(
    ("action", "body", "status", "what"),
    [
        ("ack", {"reason": "short"}, 422, "reason"),
        ("snooze", {"reason": REASON}, 422, "until"),
        ("snooze", {"reason": REASON, "until": "2013-06-01"}, 422, "until"),
        ("snooze", {"reason": REASON, "until": "soon"}, 422, "until"),
        ("accept", {"reason": REASON, "why": "x"}, 422, "why"),
        ("forget", {"reason": REASON}, 404, None),
    ],
)
def test_a_request_that_is_wrong_names_the_field_and_changes_nothing(pages, action, body, status, what):
    an_open_incident(pages.ledger)
    before = pages.ledger.incidents.get(INCIDENT)
    answer = pages.post(f"{PATH}/{action}", body)
    assert (answer.status_code, answer.json().get("what")) == (status, what)
    assert pages.ledger.incidents.get(INCIDENT) == before


def test_a_level_that_is_not_known_has_no_button_and_is_refused(pages):
    an_open_incident(pages.ledger, replace(AN_INCIDENT, risk=None))
    assert f"{INCIDENT}/accept" not in pages.page(f"/incidents/{INCIDENT}", "otto").text
    answer = pages.post(f"{PATH}/accept", {"reason": REASON})
    assert (answer.status_code, answer.json()["error"]) == (409, "NothingToAccept")


def test_a_form_that_is_refused_comes_back_with_what_was_typed(pages):
    an_open_incident(pages.ledger)

    pages.client.cookies.set("_token", pages.token("otto"))
    try:
        shown = pages.page(f"/incidents/{INCIDENT}", None).text
        csrf = re.search(r'name="csrf" value="(\w+)"', shown)[1]
        path, typed = f"/slipway/incidents/{INCIDENT}/snooze", {"csrf": csrf, "reason": REASON, "until": "2013-05-01"}
        headers = {"accept": "text/html", "origin": "http://testserver"}
        refused = pages.client.post(path, data=typed, headers=headers)
        assert refused.status_code == 422
        assert "give a day after 2013-06-01, the newest judged one" in refused.text
        assert 'value="2013-05-01"' in refused.text
        done = pages.client.post(path, data=typed | {"until": "2013-06-20"}, headers=headers, follow_redirects=False)
        assert (done.status_code, done.headers["location"]) == (303, f"/slipway/incidents/{INCIDENT}?done=snooze")
    finally:
        pages.client.cookies.clear()
    assert pages.ledger.incidents.get(INCIDENT).snoozed_until == "2013-06-20"


def test_an_unknown_incident_is_404_and_lists_name_what_is_open(pages):
    assert pages.get("/api/v1/incidents/nothing").status_code == 404
    assert pages.get("/api/v1/incidents").json() == {"incidents": []}
    an_open_incident(pages.ledger)
    for path in ("/api/v1/incidents", f"/api/v1/models/{MODEL}/incidents"):
        (found,) = pages.get(path).json()["incidents"]
        assert found["incident_id"] == INCIDENT
    pages.post(f"{PATH}/accept", {"reason": REASON})
    assert pages.get("/api/v1/incidents").json() == {"incidents": []}
    assert len(pages.get("/api/v1/incidents?all=true").json()["incidents"]) == 1


# --- broken data ------------------------------------------------------------------------------------------------------


def broken_data(ledger, day: str = "2013-06-01") -> str:
    found = DataIncident(day, "a", Stage.OPEN, ("wind_gust missing",), "wind_gust is missing in 90.0% of rows.", day)
    report = {"flags": {"day": day}, "realised": {}, "inputs": {"features": []}}
    kept = ledger.drift.report(MODEL, "1", day, report, run_id=f"drift-{day}")
    step = data_step_of(IncidentCause.DATA, None, found)
    ledger.drift.decide(
        kept.report_id,
        RetrainAction.ESCALATE,
        rule="1 data_broke",
        reason="The data broke.",
        numbers={},
        incidents=IncidentSteps(ledger.incidents.before(MODEL, day), [step], AS_OF),
    )
    return ledger.incidents.of(MODEL)[0].incident_id


def test_broken_data_is_an_incident_that_waits_until_somebody_acknowledges_it(pages):
    key = broken_data(pages.ledger)
    shown = pages.page(f"/incidents/{key}", "otto").text
    assert "Open: flight_delay, broken data" in shown
    assert "wind_gust is missing in 90.0% of rows. Since 2013-06-01, last found on 2013-06-01." in shown
    assert "A retrain is held back before 2013-06-15, no longer." in shown
    row = next(r for r in pages.get("/api/v1/models").json()["models"] if r["model"] == MODEL)
    assert row["waits"] == "Drift asks for a person"
    quiet = pages.ledger.drift.report(MODEL, "1", "2013-06-02", {"flags": {}}, run_id="drift-2")
    pages.ledger.drift.decide(quiet.report_id, RetrainAction.LOG, rule="1 data_suspect", reason="Asked.", numbers={})
    row = next(r for r in pages.get("/api/v1/models").json()["models"] if r["model"] == MODEL)
    assert row["waits"] == "Broken data asks for a person"
    pages.post(f"/api/v1/incidents/{key}/ack", {"reason": REASON})
    row = next(r for r in pages.get("/api/v1/models").json()["models"] if r["model"] == MODEL)
    assert row["waits"] == ""


def test_what_was_found_is_accepted_with_a_reason(pages):
    key = broken_data(pages.ledger)
    made = pages.post(f"/api/v1/incidents/{key}/accept", {"reason": REASON}).json()
    assert (made["stage"], made["next_step"], made["actions"]) == ("closed", "", [])
    assert made["state"]["note"] == f"otto accepted wind_gust missing of a: {REASON}"
