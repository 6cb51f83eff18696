"""``slipway incidents`` as a person on call types it: three states in its exit code, and one line for a mistake."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest
from ledger_fixtures import AN_INCIDENT, MODEL, an_open_incident

from include.cli import main
from include.commands import airflow

INCIDENT = f"{MODEL}-performance-20130601"
REASON = "The timetable of June is here to stay"


class Calls:
    """Stands in for Slipway's REST: remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict]] = []

    def slipway(self, path: str, doing: str, body: dict) -> dict:
        self.sent.append((path, body))
        return {"acknowledged_by": "otto", "snoozed_until": body.get("until"), "state": {"note": "Accepted."}}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    found = Calls()

    @contextmanager
    def api():
        yield found

    monkeypatch.setattr(airflow, "airflow_api", api)
    return found


def test_nothing_open_is_0(ledger, capsys):
    assert main(["incidents"]) == 0
    assert capsys.readouterr().out == "No open incident.\n"


def test_a_model_above_its_band_is_1_and_says_since_when_and_what_is_next(ledger, capsys):
    an_open_incident(ledger)
    assert main(["incidents", "list", "--model", MODEL]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{INCIDENT}  open        brier was 0.11 before 2013-05-24")
    assert "A journey starts on 2013-06-09" in said


@pytest.mark.parametrize("risk", [None, 0.115])
def test_what_is_open_and_not_shown_to_be_above_its_band_is_2(ledger, risk):
    an_open_incident(ledger, replace(AN_INCIDENT, risk=risk))
    assert main(["incidents"]) == 2
    assert main(["incidents", "show", INCIDENT]) == 2


def test_show_has_everything_and_json_is_the_same_as_rest(ledger, capsys):
    an_open_incident(ledger)
    assert main(["incidents", "show", INCIDENT]) == 1
    said = capsys.readouterr().out
    for line in (
        "Open: flight_delay, brier",
        "Next: A journey starts on",
        "tried\n  nothing yet",
        "2013-06-01  opened",
    ):
        assert line in said
    assert main(["incidents", "show", INCIDENT, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["incident_id"], found["next_on"], found["stage"]) == (INCIDENT, "2013-06-09", "open")


def test_acts_go_through_airflow_with_the_reason(ledger, calls, capsys):
    for words in (
        ["ack", INCIDENT, "--reason", REASON, "--by", "team"],
        ["snooze", INCIDENT, "--until", "2013-06-20", "--reason", REASON, "--by", "team"],
        ["accept", INCIDENT, "--reason", REASON, "--by", "team"],
    ):
        assert main(["incidents", *words]) == 0
    body = {"reason": REASON, "requested_by": "team"}
    assert calls.sent == [
        (f"incidents/{INCIDENT}/ack", body),
        (f"incidents/{INCIDENT}/snooze", body | {"until": "2013-06-20"}),
        (f"incidents/{INCIDENT}/accept", body),
    ]
    assert "is snoozed until 2013-06-20 of the data." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show"], "which incident? `slipway incidents list` shows their ids"),
        (["show", "nothing"], "There is no incident 'nothing' in the ledger"),
        (["ack", INCIDENT], "--reason is missing; say why, in 10 to 500 characters"),
        (["snooze", INCIDENT, "--reason", REASON], "--until is missing"),
        (["ack", INCIDENT, "--until", "2013-06-20", "--reason", REASON], "--until is not for `incidents ack`"),
        (["list", INCIDENT], f"'{INCIDENT}' is not for `incidents list`"),
        (["list", "--model", "nobody"], "There is no model 'nobody'"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(ledger, calls, capsys, words, said):
    assert main(["incidents", *words]) == 64
    assert said in capsys.readouterr().err
    assert calls.sent == []
