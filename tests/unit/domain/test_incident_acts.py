"""What a person may do about an incident: accept a level that is known, and snooze it for a while."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from include.domain.errors import BadField
from include.domain.incident import Closing, Incident, Stage
from include.domain.incident_acts import AcceptedLevel, NothingToAccept, accepted_state, snooze_end
from include.domain.incident_log import IncidentCause
from include.domain.losses import DayLoss

OPEN = Incident("2021-01-14", "a", "brier", 0.11, 0.12, "2021-01-06", Stage.RECOVERING, "b", risk=0.2)
FIRST = date(2021, 1, 1)


def days(count: int, first: date = FIRST) -> tuple[DayLoss, ...]:
    return tuple(DayLoss((first + timedelta(days=n)).isoformat(), 10, 2.0, 1.0) for n in range(count))


def accepted(by: str = "ada") -> Incident:
    return Incident.from_json(accepted_state(IncidentCause.PERFORMANCE, OPEN.as_json(), "2021-02-01", by, "Winter"))


def test_a_level_that_is_accepted_closes_its_incident_in_the_persons_words():
    closed = accepted()
    assert (closed.stage, closed.closing, closed.closed_on) == (Stage.CLOSED, Closing.ACCEPTED, "2021-02-01")
    assert closed.note == "ada accepted brier 0.2 as the new level: Winter"
    assert AcceptedLevel.of(closed) == AcceptedLevel(since="2021-01-06", accepted_on="2021-02-01")


def test_a_level_that_is_not_known_yet_is_not_accepted():
    unknown = Incident.from_json({**OPEN.as_json(), "risk": None})
    with pytest.raises(NothingToAccept, match="The level of b, which serves now, is not known yet"):
        accepted_state(IncidentCause.PERFORMANCE, unknown.as_json(), "2021-02-01", "ada", "Winter")


@pytest.mark.parametrize(
    "incident",
    [
        pytest.param(OPEN, id="open"),
        pytest.param(OPEN.closed("2021-02-01", Closing.RECOVERED, "Back."), id="closed by evidence"),
        pytest.param(OPEN.closed("2021-02-01", Closing.PASSED, "Gone."), id="gone by itself"),
    ],
)
def test_only_a_persons_acceptance_makes_a_level(incident):
    assert AcceptedLevel.of(incident) is None


@pytest.mark.parametrize(
    ("changed_on", "accepted_on", "level", "later"),
    [
        pytest.param("2021-01-05", "2021-01-16", ("05", "13"), "14", id="the days matured by then, since the change"),
        pytest.param("2021-01-05", "2021-01-21", ("05", "18"), "19", id="fourteen of them"),
        pytest.param("2021-01-05", "2021-01-22", ("06", "19"), "20", id="the newest fourteen of more"),
        pytest.param("2021-01-05", "2021-01-14", ("05", "11"), "12", id="seven of them"),
        pytest.param("2021-01-05", "2021-01-10", ("05", "11"), "12", id="of fewer, the next to mature count too"),
        pytest.param("2021-01-05", "2021-01-06", ("05", "11"), "12", id="even of none"),
    ],
)
def test_the_level_is_the_newest_matured_days_since_the_change(changed_on, accepted_on, level, later):
    """Labels of a day have matured three days after its end."""
    known, after = AcceptedLevel(changed_on, accepted_on).split(days(30), timedelta(days=3))
    assert (known[0].day[-2:], known[-1].day[-2:], after[0].day[-2:]) == (*level, later)


@pytest.mark.parametrize(
    "until", [pytest.param("2021-02-02", id="the next day"), pytest.param("2021-05-02", id="ninety days on")]
)
def test_an_incident_may_be_snoozed_for_ninety_days(until):
    assert snooze_end(until, "2021-02-01") == until


@pytest.mark.parametrize(
    "until",
    [
        pytest.param("2021-02-01", id="the judged day itself"),
        pytest.param("2021-01-31", id="before it"),
        pytest.param("2021-05-03", id="ninety-one days on"),
        pytest.param("2021-02-30", id="no day of the calendar"),
        pytest.param("20210301", id="without hyphens"),
        pytest.param("2021-03-01T00:00", id="a moment"),
        pytest.param("next month", id="ten characters that are no day"),
        pytest.param(20210301, id="a number"),
        pytest.param(None, id="nothing"),
        pytest.param(["2021-03-01"] * 10, id="a list of ten"),
    ],
)
def test_another_end_of_a_snooze_is_refused_and_what_is_allowed_is_said(until):
    said = r"until is .*; give a day after 2021-02-01, the newest judged one, and at most 90 days after it\."
    with pytest.raises(BadField, match=said):
        snooze_end(until, "2021-02-01")
