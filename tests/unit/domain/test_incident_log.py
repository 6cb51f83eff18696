"""The history of an incident: what a judged day did to it, and when people are reminded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.domain.data_incident import DataIncident
from include.domain.incident import Closing, Incident, Stage
from include.domain.incident_log import Attention, IncidentCause, IncidentStep, data_step_of, step_of

OPEN = Incident("2021-01-14", "a", "brier", 0.11, 0.12, "2021-01-06", Stage.OPEN, "a", risk=0.2)
RECOVERING = replace(OPEN, stage=Stage.RECOVERING, serving="b")
CLOSED = OPEN.closed("2021-02-01", Closing.PASSED, "The alarm is over.")
BROKEN = DataIncident("2021-01-14", "a", Stage.OPEN, ("gust missing",), "gust is missing.", "2021-01-14")
GONE = BROKEN.closed("2021-02-01", Closing.PASSED, "Nothing was found.")


def happened(step: IncidentStep | None) -> list[tuple[str, str]]:
    return [] if step is None else [(kind.value, said) for kind, said in step.events]


# --- the realised loss -----------------------------------------------------------------------------------------------


def test_where_there_is_no_incident_nothing_happened():
    assert step_of(None, None) is None
    assert step_of(CLOSED, None) is None
    assert data_step_of(IncidentCause.DATA, None, None) is None


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(None, id="there was none"),
        pytest.param(CLOSED, id="the one before is closed"),
        pytest.param(replace(CLOSED, opened_on="2020-11-01"), id="and is of another day"),
        pytest.param(replace(OPEN, opened_on="2020-11-01"), id="another one was open"),
    ],
)
def test_an_alarm_opens_an_incident_and_says_from_where_to_where(before):
    step = step_of(before, OPEN)
    said = "brier of a is out of its band: 0.11 before, up to 0.12 is in the band; the change is of 2021-01-06."
    assert happened(step) == [("opened", said)]
    assert (step.cause, step.opened_on, step.state) == (IncidentCause.PERFORMANCE, "2021-01-14", OPEN.as_json())


def test_an_alarm_of_rows_does_not_know_the_day_of_its_change():
    said = "brier of a is out of its band: 0.11 before, up to 0.12 is in the band; on the rows since 2021-01-06."
    assert happened(step_of(None, replace(OPEN, dated=False))) == [("opened", said)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(OPEN, replace(OPEN, risk=0.3), [], id="only its numbers changed"),
        pytest.param(
            OPEN,
            replace(OPEN, changed_on="2021-01-08"),
            [("dated", "The change is of 2021-01-08, not of 2021-01-06.")],
            id="dated anew",
        ),
        pytest.param(
            OPEN, RECOVERING, [("recovering", "b serves; its matured labels must tell.")], id="another model serves"
        ),
        pytest.param(RECOVERING, replace(RECOVERING, risk=0.1), [], id="it goes on to recover"),
        pytest.param(RECOVERING, OPEN, [("reopened", "a, which raised it, serves again.")], id="a rollback"),
        pytest.param(
            RECOVERING,
            replace(RECOVERING, asked=True),
            [("asked", "Retraining did not help, and nothing new can be learned.")],
            id="a person is asked",
        ),
        pytest.param(replace(RECOVERING, asked=True), replace(RECOVERING, asked=True), [], id="once"),
        pytest.param(OPEN, CLOSED, [("closed", "The alarm is over.")], id="closed, with the reason"),
        pytest.param(OPEN, replace(CLOSED, note=None), [("closed", "Closed.")], id="closed without one"),
    ],
)
def test_a_judged_day_is_told_by_what_it_changed(before, after, expected):
    assert happened(step_of(before, after)) == expected


def test_an_incident_that_a_person_must_look_at_at_once_is_opened_and_asked_about():
    assert [kind for kind, _ in happened(step_of(None, replace(OPEN, asked=True)))] == ["opened", "asked"]


# --- the data --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(None, BROKEN, [("opened", "gust is missing.")], id="the first"),
        pytest.param(GONE, BROKEN, [("opened", "gust is missing.")], id="the one before is closed"),
        pytest.param(
            replace(BROKEN, opened_on="2020-11-01"), BROKEN, [("opened", "gust is missing.")], id="of another day"
        ),
        pytest.param(BROKEN, replace(BROKEN, quiet=1), [], id="a quiet day"),
        pytest.param(
            BROKEN,
            replace(BROKEN, checks=("gust missing", "wind missing"), reason="wind is missing."),
            [("joined", "wind is missing.")],
            id="another finding",
        ),
        pytest.param(BROKEN, GONE, [("closed", "Nothing was found.")], id="closed, with the reason"),
        pytest.param(BROKEN, replace(GONE, note=None), [("closed", "Closed.")], id="closed without one"),
    ],
)
def test_a_judged_day_of_broken_data_is_told_by_what_it_changed(before, after, expected):
    step = data_step_of(IncidentCause.SUPPORT, before, after)
    assert happened(step) == expected
    assert (step.cause, step.opened_on, step.state) == (IncidentCause.SUPPORT, "2021-01-14", after.as_json())


# --- reminders -------------------------------------------------------------------------------------------------------

OPENED = Attention("2021-01-01")
SNOOZED = replace(OPENED, snoozed_until="2021-01-20")


@pytest.mark.parametrize(
    ("known", "first"),
    [
        pytest.param(OPENED, "2021-01-08", id="a week after it was opened"),
        pytest.param(replace(OPENED, reminded_on="2021-01-10"), "2021-01-17", id="a week after the last reminder"),
        pytest.param(replace(OPENED, acknowledged=True), None, id="somebody looks at it"),
        pytest.param(SNOOZED, "2021-01-20", id="when the snooze is over"),
        pytest.param(replace(SNOOZED, acknowledged=True), "2021-01-20", id="whoever looks at it"),
        pytest.param(replace(SNOOZED, reminded_on="2021-01-20"), "2021-01-27", id="a week after the end of the snooze"),
        pytest.param(replace(SNOOZED, reminded_on="2021-01-22"), "2021-01-29", id="and a week after that reminder"),
    ],
)
def test_people_are_reminded_every_week_unless_somebody_looks_or_it_is_snoozed(known, first):
    days = [f"2021-01-{day:02}" for day in range(2, 31)]
    assert next((day for day in days if known.reminds(day, 7) and day > (known.reminded_on or "")), None) == first


@pytest.mark.parametrize("known", [OPENED, SNOOZED])
def test_with_no_days_declared_nobody_is_reminded(known):
    assert not known.reminds("2021-03-01", 0)


@pytest.mark.parametrize(
    ("step", "known", "reminded"),
    [
        pytest.param(step_of(OPEN, OPEN), OPENED, True, id="it is due, and nothing else happened"),
        pytest.param(step_of(OPEN, RECOVERING), OPENED, False, id="something else happened, of which people are told"),
        pytest.param(step_of(OPEN, OPEN), None, False, id="nobody was told of it yet"),
        pytest.param(step_of(OPEN, OPEN), replace(OPENED, acknowledged=True), False, id="somebody looks at it"),
        pytest.param(replace(step_of(OPEN, CLOSED), events=()), OPENED, False, id="it is closed"),
    ],
)
def test_a_reminder_is_an_event_of_a_day_on_which_nothing_else_happened(step, known, reminded):
    after = step.reminding("2021-01-15", known, 7)
    said = [("reminded", "It is open since 2021-01-14.")]
    assert happened(after) == (said if reminded else happened(step))
    assert replace(after, events=()) == replace(step, events=())


def test_only_a_closed_incident_is_not_open():
    assert [step_of(None, each).is_open for each in (OPEN, RECOVERING, CLOSED)] == [True, True, False]
