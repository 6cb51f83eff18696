"""Incidents in the ledger: written with the decision, once, in any order of days; what happened stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from ledger_fixtures import AN_INCIDENT, MODEL, NOW, an_incident_step, an_operator

from include.adapters.ledger import (
    IncidentChanged,
    IncidentOver,
    IncidentRequest,
    IncidentsSeen,
    IncidentSteps,
    Ledger,
    RetrainAction,
    UnknownIncident,
)
from include.domain.authority import OPERATORS, MayNotDecide, Person
from include.domain.errors import BadField
from include.domain.incident import Closing, Incident, Stage
from include.domain.incident_acts import DOING, AcceptedLevel, NothingToAccept
from include.domain.incident_log import IncidentCause, IncidentEventKind
from include.domain.intervals import Interval

KEY = "flight_delay-performance-20130601"
RECOVERING = replace(AN_INCIDENT, stage=Stage.RECOVERING, serving="b", risk=None)
BACK = replace(RECOVERING, risk=0.11).closed("2013-06-20", Closing.RECOVERED, "Back in the band.")


def decide(
    ledger: Ledger,
    day: str,
    before: Incident | None,
    after: Incident | None,
    *,
    seen: IncidentsSeen | None = None,
    version: str = "1",
) -> None:
    """One judged day that leaves the incident as ``after``."""
    report = ledger.drift.report(MODEL, version, day, {"share": 0.4}, run_id=f"drift-{day}")
    ledger.drift.decide(
        report.report_id,
        RetrainAction.LOG,
        rule="0 nothing_out_of_band",
        reason="quiet",
        numbers={},
        incidents=IncidentSteps(
            seen or ledger.incidents.before(MODEL, day),
            [an_incident_step(before, after)] if after is not None else [],
            Interval.of_day(day).end,
        ),
    )


def opened(ledger: Ledger) -> None:
    decide(ledger, "2013-06-01", None, AN_INCIDENT)


def happened(ledger: Ledger) -> list[tuple[str, str]]:
    return [(e.kind.value, e.day) for e in ledger.incidents.events(KEY)]


def state(ledger: Ledger, day: str) -> Any:
    kept = ledger.incidents.before(MODEL, day).states.get(IncidentCause.PERFORMANCE)
    return Incident.from_json(kept) if kept else None


def test_an_incident_comes_back_as_the_rules_left_it(ledger: Ledger) -> None:
    opened(ledger)
    found = ledger.incidents.get(KEY)
    assert Incident.from_json(found.state) == AN_INCIDENT
    assert (found.model, found.cause, found.opened_on) == (MODEL, IncidentCause.PERFORMANCE, "2013-06-01")
    assert (found.stage, found.judged_on, found.candidate_id) == (Stage.OPEN, "2013-06-01", "a")
    (event,) = ledger.incidents.events(KEY)
    assert (event.kind, event.who, event.at) == (
        IncidentEventKind.OPENED,
        "drift_flight_delay",
        datetime.fromisoformat("2013-06-02T00:00:00+00:00"),
    )
    assert "brier of a is out of its band: 0.11 before, up to 0.12 is in the band" in event.why


def test_the_day_that_opens_it_does_not_see_it_and_the_next_one_does(ledger: Ledger) -> None:
    opened(ledger)
    assert state(ledger, "2013-06-01") is None
    assert state(ledger, "2013-06-02") == AN_INCIDENT


def test_its_way_is_kept_event_by_event(ledger: Ledger) -> None:
    opened(ledger)
    dated = replace(AN_INCIDENT, changed_on="2013-05-25")
    decide(ledger, "2013-06-02", AN_INCIDENT, dated)
    decide(ledger, "2013-06-03", dated, dated)
    decide(ledger, "2013-06-10", dated, RECOVERING)
    decide(ledger, "2013-06-11", RECOVERING, AN_INCIDENT)
    decide(ledger, "2013-06-12", AN_INCIDENT, replace(AN_INCIDENT, asked=True))
    decide(ledger, "2013-06-20", RECOVERING, BACK)
    kinds = [kind for kind, _ in happened(ledger)]
    assert kinds == ["opened", "dated", "dated", "recovering", "reopened", "asked", "closed"]
    assert ledger.incidents.of(MODEL, only_open=True) == []
    assert Incident.from_json(ledger.incidents.get(KEY).state).closing is Closing.RECOVERED


def test_a_day_that_is_decided_again_writes_nothing(ledger: Ledger) -> None:
    opened(ledger)
    once = ledger.incidents.get(KEY), ledger.incidents.events(KEY)
    opened(ledger)
    decide(ledger, "2013-06-01", None, replace(AN_INCIDENT, changed_on="2013-05-01"))
    assert (ledger.incidents.get(KEY), ledger.incidents.events(KEY)) == once


def test_a_day_that_is_judged_late_sees_what_was_before_it_and_changes_nothing(ledger: Ledger) -> None:
    opened(ledger)
    decide(ledger, "2013-06-10", AN_INCIDENT, RECOVERING)
    decide(ledger, "2013-06-20", RECOVERING, BACK)
    assert state(ledger, "2013-06-05") == AN_INCIDENT
    assert state(ledger, "2013-06-15") == RECOVERING
    before = ledger.incidents.get(KEY), ledger.incidents.events(KEY)
    decide(ledger, "2013-06-15", RECOVERING, replace(RECOVERING, changed_on="2013-06-14"))
    decide(ledger, "2013-05-20", None, replace(AN_INCIDENT, opened_on="2013-05-20"))
    assert (ledger.incidents.get(KEY), ledger.incidents.events(KEY)) == before
    assert [i.incident_id for i in ledger.incidents.of(MODEL)] == [KEY]


def test_the_same_day_of_another_version_opens_no_second_one(ledger: Ledger) -> None:
    opened(ledger)
    decide(ledger, "2013-06-01", None, replace(AN_INCIDENT, version="b"), version="2")
    assert [(i.incident_id, i.candidate_id) for i in ledger.incidents.of(MODEL)] == [(KEY, "a")]


def test_days_in_any_order_leave_one_open_incident_at_most(ledger: Ledger) -> None:
    days = [(date(2013, 6, 1) + timedelta(days=d)).isoformat() for d in (4, 1, 6, 0, 3, 5, 2)]
    for day in days:
        before = state(ledger, day)
        decide(ledger, day, before, before or replace(AN_INCIDENT, opened_on=day))
    (found,) = ledger.incidents.of(MODEL, only_open=True)
    assert (found.opened_on, found.judged_on) == ("2013-06-05", "2013-06-07")


def test_a_decision_on_what_has_changed_meanwhile_is_refused_and_leaves_no_trace(ledger: Ledger) -> None:
    opened(ledger)
    seen = ledger.incidents.before(MODEL, "2013-06-03")
    decide(ledger, "2013-06-02", AN_INCIDENT, RECOVERING)
    with pytest.raises(IncidentChanged, match="flight_delay was changed while 2013-06-03 was decided about"):
        decide(ledger, "2013-06-03", AN_INCIDENT, AN_INCIDENT, seen=seen)
    assert [d.day for d in ledger.drift.decisions(MODEL)] == ["2013-06-01", "2013-06-02"]
    decide(ledger, "2013-06-03", RECOVERING, RECOVERING)
    assert ledger.incidents.get(KEY).judged_on == "2013-06-03"


def test_the_next_alarm_after_a_closed_one_is_another_incident(ledger: Ledger) -> None:
    opened(ledger)
    decide(ledger, "2013-06-20", RECOVERING, BACK)
    decide(ledger, "2013-07-01", BACK, replace(AN_INCIDENT, opened_on="2013-07-01"))
    assert [(i.opened_on, i.is_open) for i in ledger.incidents.of(MODEL)] == [
        ("2013-07-01", True),
        ("2013-06-01", False),
    ]
    assert [i.opened_on for i in ledger.incidents.of(only_open=True)] == ["2013-07-01"]
    assert ledger.incidents.of("another") == []


def test_an_unknown_one_is_refused_with_the_way_out(ledger: Ledger) -> None:
    with pytest.raises(UnknownIncident, match="There is no incident 'nothing' in the ledger; `slipway incidents`"):
        ledger.incidents.get("nothing")


# --- what people do ---------------------------------------------------------------------------------------------------


def act(ledger: Ledger, kind: IncidentEventKind, *, who: str = "ada", why: str = "Known", until: str | None = None):
    asked = IncidentRequest(KEY, kind, why, until)
    return ledger.incidents.act(asked, by=an_operator(who), approvers=OPERATORS, now=NOW)


def test_an_acknowledgement_is_kept_with_who_and_when_and_is_written_once(ledger: Ledger) -> None:
    opened(ledger)
    assert act(ledger, IncidentEventKind.ACKNOWLEDGED).acknowledged_by == "ada"
    act(ledger, IncidentEventKind.ACKNOWLEDGED)
    _, event = ledger.incidents.events(KEY)
    assert (event.kind, event.who, event.why, event.at) == (IncidentEventKind.ACKNOWLEDGED, "ada", "Known", NOW)
    assert event.day == "2013-06-01"


def test_it_is_snoozed_until_a_day_after_the_newest_judged_one(ledger: Ledger) -> None:
    opened(ledger)
    for wrong in ("2013-06-01", "2013-08-31", "tomorrow", None):
        with pytest.raises(BadField, match="give a day after 2013-06-01, the newest judged one"):
            act(ledger, IncidentEventKind.SNOOZED, until=wrong)
    found = act(ledger, IncidentEventKind.SNOOZED, until="2013-06-15")
    assert (found.snoozed_until, found.acknowledged_by) == ("2013-06-15", "ada")
    assert ledger.incidents.events(KEY)[-1].why == "Until 2013-06-15: Known"
    assert act(ledger, IncidentEventKind.SNOOZED, until="2013-06-15") == found


def test_an_accepted_level_closes_it_and_is_the_serving_versions_from_the_next_day_on(ledger: Ledger) -> None:
    opened(ledger)
    found = act(ledger, IncidentEventKind.ACCEPTED)
    assert found.stage is Stage.CLOSED
    assert Incident.from_json(found.state).closing is Closing.ACCEPTED
    assert ledger.incidents.accepted(MODEL, "a", "2013-06-02") == AcceptedLevel("2013-05-24", "2013-06-01")
    assert ledger.incidents.accepted(MODEL, "a", "2013-06-01") is None
    assert ledger.incidents.accepted(MODEL, "b", "2013-06-02") is None
    assert happened(ledger) == [("opened", "2013-06-01"), ("accepted", "2013-06-01")]


def test_a_level_that_is_not_known_yet_is_not_accepted(ledger: Ledger) -> None:
    opened(ledger)
    decide(ledger, "2013-06-10", AN_INCIDENT, RECOVERING)
    with pytest.raises(NothingToAccept, match="The level of b, which serves now, is not known yet"):
        act(ledger, IncidentEventKind.ACCEPTED)
    assert ledger.incidents.get(KEY).is_open


def test_what_evidence_closed_first_is_said_and_not_overwritten(ledger: Ledger) -> None:
    opened(ledger)
    decide(ledger, "2013-06-20", RECOVERING, BACK)
    for kind in (IncidentEventKind.ACKNOWLEDGED, IncidentEventKind.SNOOZED, IncidentEventKind.ACCEPTED):
        with pytest.raises(IncidentOver, match=r"was closed on 2013-06-20, so .* Back in the band\."):
            act(ledger, kind, until="2013-07-01")


def test_only_an_approver_acts_and_a_refusal_leaves_no_trace(ledger: Ledger) -> None:
    opened(ledger)
    before = ledger.incidents.get(KEY), ledger.incidents.events(KEY)
    for kind, doing in DOING.items():
        asked = IncidentRequest(KEY, kind, "Known", "2013-06-15")
        with pytest.raises(MayNotDecide, match=f"vera may not {doing} the incident {KEY}"):
            ledger.incidents.act(asked, by=Person("vera"), approvers=OPERATORS, now=NOW)
    assert (ledger.incidents.get(KEY), ledger.incidents.events(KEY)) == before


def test_an_act_makes_the_decision_that_has_not_seen_it_be_made_again(ledger: Ledger) -> None:
    opened(ledger)
    seen = ledger.incidents.before(MODEL, "2013-06-02")
    act(ledger, IncidentEventKind.ACKNOWLEDGED)
    with pytest.raises(IncidentChanged):
        decide(ledger, "2013-06-02", AN_INCIDENT, AN_INCIDENT, seen=seen)
    decide(ledger, "2013-06-02", AN_INCIDENT, AN_INCIDENT)
    assert ledger.incidents.get(KEY).acknowledged_by == "ada"


def test_after_a_rollback_or_a_question_an_acknowledgement_holds_no_more(ledger: Ledger) -> None:
    opened(ledger)
    act(ledger, IncidentEventKind.SNOOZED, until="2013-06-30")
    decide(ledger, "2013-06-02", AN_INCIDENT, replace(AN_INCIDENT, asked=True))
    found = ledger.incidents.get(KEY)
    assert (found.acknowledged_by, found.snoozed_until) == (None, None)
