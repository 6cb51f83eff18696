"""The last lines of a replay: what the alarm became, what retraining was worth, and whether the loop happened."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from include.commands.replay import closing
from include.workflows.services.demonstration import DemonstratedJourney, DemonstrationOutcome
from include.workflows.services.demonstration_report import DemonstrationReport

PROMOTED = DemonstratedJourney("retrain_m", "drift__1", True, "Promoted as version 2.")
REJECTED = DemonstratedJourney("retrain_m", "drift__1", False, "Rejected: champion_gate.")
ALARM = "m, recovering: brier was 0.15 before, is in its band up to 0.16, and is 0.18 now. The alarm is of 2013-06-16."
FOUND = DemonstrationReport([], [], [SimpleNamespace(sentence="brier 0.18 with it, 0.19 without.")], [ALARM])
HAPPENED = "The whole loop happened"


def ended(*journeys, waits=None, found=FOUND):
    outcome = DemonstrationOutcome(["2013-06-30"], [4.0], [*journeys], waits)
    return closing(outcome, found)


def test_the_alarm_and_what_retraining_was_worth_stand_above_the_end():
    answer = ended(PROMOTED)
    alarm, worth, end = answer.lines[-3:]
    assert alarm == f"Incident of {ALARM}"
    assert worth == "What retraining was worth: brier 0.18 with it, 0.19 without."
    assert HAPPENED in end
    assert answer.code == 0


def test_a_loop_that_happened_did_so_though_a_later_journey_waits_for_a_person():
    answer = ended(PROMOTED, waits="retrain_m drift__2 champion_gate")
    assert HAPPENED in answer.lines[-1]
    assert answer.lines[-1].endswith(" retrain_m drift__2 champion_gate waits for a person.")
    assert answer.code == 0


@pytest.mark.parametrize(
    ("journeys", "waits", "says"),
    [
        (
            (),
            "retrain_m drift__1 champion_gate",
            "The replay ended: retrain_m drift__1 champion_gate waits for a person.",
        ),
        ((REJECTED,), None, "Drift started a journey that promoted nothing. Rejected: champion_gate."),
        ((), None, "No drift started a journey in these days."),
    ],
)
def test_without_a_promotion_the_loop_did_not_happen(journeys, waits, says):
    answer = ended(*journeys, waits=waits, found=DemonstrationReport([], [], [], []))
    assert answer.lines[-1].endswith(says)
    assert answer.code == 1


@pytest.mark.parametrize(("waits", "code"), [(None, 0), ("retrain_m drift__1 champion_gate", 1)])
def test_a_past_of_ones_own_is_well_when_its_last_day_was_reached_and_no_person_is_asked(waits, code):
    outcome = DemonstrationOutcome(["2013-06-30"], [4.0], [REJECTED], waits)
    answer = closing(outcome, DemonstrationReport([], [], [], []), own=True)
    assert answer.code == code
    expected = "waits for a person." if waits else "Drift started 1 journey; none promoted. Rejected: champion_gate."
    assert answer.lines[-1].endswith(expected)
