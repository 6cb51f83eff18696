"""What a decision is based on: how long a journey is waited for, and what a day says about findings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.domain.data_incident import FindingWatch
from include.domain.drift.report import Flags
from include.domain.prepared import PreparedJourneys
from include.domain.situation import Policy, Situation, cooldown_days

NOW = datetime(2013, 6, 15, tzinfo=UTC)
RETRAINING = Policy(windows=(2, 4))


def ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def a_situation(*broken: bool | None, **values) -> Situation:
    days = tuple(Flags(ago(len(broken) - n).date().isoformat(), broken=each) for n, each in enumerate(broken))
    return Situation(NOW, days, RETRAINING, **values)


@pytest.mark.parametrize(
    ("broken", "persists", "judged"),
    [
        pytest.param((True, True), True, True, id="on two days"),
        pytest.param((False, True), False, True, id="on one"),
        pytest.param((True, True, False), False, True, id="not on the newest"),
        pytest.param((True, True, None), False, False, id="the newest had too few rows to tell"),
    ],
)
def test_findings_are_watched_for_as_many_quiet_days_as_an_alarm_has_reports(broken, persists, judged):
    assert a_situation(*broken).watch("broken") == FindingWatch(persists, judged, quiet_days=4)


@pytest.mark.parametrize(
    ("journey", "prepared", "held_by"),
    [
        pytest.param(None, None, None, id="none ever started"),
        pytest.param(20, None, "journey", id="a journey"),
        pytest.param(None, 3, "prepared", id="one that an estimate asked for"),
        pytest.param(20, 3, "prepared", id="the later one where both wait equally long"),
        pytest.param(3, 20, "journey", id="whichever it is"),
    ],
)
def test_the_next_journey_waits_for_the_one_whose_pause_ends_last(journey, prepared, held_by):
    started = {
        "last_journey_started": None if journey is None else ago(journey),
        "prepared": PreparedJourneys(last_started=None if prepared is None else ago(prepared)),
    }
    found = a_situation(False, **started).pause
    at = {"journey": journey, "prepared": prepared, None: None}[held_by]
    assert found == (None if at is None else (ago(at), RETRAINING.cooldown_days))


def test_an_earlier_journey_whose_pause_is_long_is_waited_for_longer_than_a_later_one():
    """After journeys that did not help the pause is longer."""
    asked = a_situation(
        False,
        last_journey_started=ago(10),
        asked_at_streak=4,
        prepared=PreparedJourneys(last_started=ago(5)),
    )
    days = cooldown_days(RETRAINING, 4)
    assert days > RETRAINING.cooldown_days + 5
    assert asked.pause == (ago(10), days)
    assert asked.cooldown_ends == ago(10) + timedelta(days=days)
