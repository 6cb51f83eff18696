"""Which windows a candidate gets depends on the sensor's own decision, never on what a request claims."""

from types import SimpleNamespace

import pytest

from include.domain.incident import Closing, Incident, Stage
from include.domain.journey import Trigger
from include.workflows.journey.alarm import incident_behind

OPEN = Incident("2021-01-14", "a", "brier", 0.11, 0.12, "2021-01-06", Stage.OPEN, "a", 0.2)
CLOSED = OPEN.closed("2021-02-01", Closing.PASSED, "It passed.")


def behind(kept, *, trigger=Trigger.DRIFT, report_id="r"):
    decision = SimpleNamespace(numbers={"incident": kept.as_json()} if kept else {})
    ledger = SimpleNamespace(drift=SimpleNamespace(decision={"r": decision}.get))
    return incident_behind(ledger, SimpleNamespace(request=SimpleNamespace(trigger=trigger, report_id=report_id)))


def test_the_decision_that_started_the_journey_says_what_it_is_meant_to_cure():
    assert behind(OPEN) == OPEN


@pytest.mark.parametrize("trigger", [Trigger.API, Trigger.SCHEDULE])
def test_a_report_that_a_request_names_gives_it_no_other_windows(trigger):
    assert behind(OPEN, trigger=trigger) is None


@pytest.mark.parametrize(
    ("kept", "report_id"),
    [
        pytest.param(None, "r", id="a decision of before incidents"),
        pytest.param(CLOSED, "r", id="closed on that very day"),
        pytest.param(OPEN, "unknown", id="no such decision"),
        pytest.param(OPEN, None, id="no report"),
    ],
)
def test_without_an_open_incident_the_declared_windows_are_taken(kept, report_id):
    assert behind(kept, report_id=report_id) is None
