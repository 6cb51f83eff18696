"""A retrain on values that the champion never saw is held for a person, where a person asked for it."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from include.domain.data_incident import DataIncident
from include.domain.incident import Stage
from include.domain.incident_log import IncidentCause
from include.domain.journey import Trigger
from include.domain.verdicts import Verdict
from include.workflows.gates import champion
from include.workflows.journey.alarm import new_support_of

RISING = "wind_gust: 62 % of the rows are above the highest value of the training rows."


def incident(cause=IncidentCause.SUPPORT, opened_on="2013-06-01", judged_on="2013-06-20", is_open=True):
    stage = Stage.OPEN if is_open else Stage.CLOSED
    state = DataIncident(opened_on, "c0", stage, ("wind_gust outside",), RISING, judged_on).as_json()
    return SimpleNamespace(cause=cause, opened_on=opened_on, judged_on=judged_on, is_open=is_open, state=state)


def found(*records, trigger=Trigger.API, as_of="2013-06-15"):
    request = SimpleNamespace(trigger=trigger, as_of=datetime.fromisoformat(as_of).replace(tzinfo=UTC))
    ledger = SimpleNamespace(incidents=SimpleNamespace(of=lambda model: list(records)))
    return new_support_of(ledger, SimpleNamespace(model="any", request=request))


def test_a_person_who_asks_while_rows_lie_outside_the_support_learns_what_does():
    assert found(incident()) == RISING


@pytest.mark.parametrize("trigger", [Trigger.DRIFT, Trigger.SCHEDULE])
def test_a_journey_that_no_person_asked_for_is_judged_by_the_gates_alone(trigger):
    assert found(incident(), trigger=trigger) is None


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(incident(IncidentCause.DATA), id="broken data"),
        pytest.param(incident(opened_on="2013-06-15"), id="opened later"),
        pytest.param(incident(judged_on="2013-06-14", is_open=False), id="closed before"),
    ],
)
def test_other_incidents_hold_nothing(record):
    assert found(record) is None


def test_one_that_was_closed_later_still_holds_the_journey_that_began_before():
    assert found(incident(judged_on="2013-06-15", is_open=False)) == RISING


def test_the_line_of_the_gate_is_for_a_person_whatever_the_rows_say():
    line = champion._held(SimpleNamespace(name="flight_delay"), RISING)
    assert line.verdict is Verdict.INCONCLUSIVE
    assert "outside what flight_delay was trained on" in line.reason
    assert RISING.rstrip(".") in line.reason
