"""When rows that are known ahead are answered, and which of several answers counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from croniter import croniter

from include.domain.ahead import AnswerTimes, sentence, that_count, times_for, wrong_every
from include.domain.intervals import DAY, Interval

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def at(hour: float) -> datetime:
    return datetime(2024, 3, 31, tzinfo=UTC) + timedelta(hours=hour)


@pytest.mark.parametrize(
    ("every", "after"),
    [
        (HOUR, MINUTE),
        (HOUR, 0 * HOUR),
        (6 * HOUR, 61 * MINUTE),
        (20 * MINUTE, 3 * MINUTE),
        (DAY, 5 * HOUR),
        (MINUTE, 0 * HOUR),
    ],
)
def test_the_times_are_those_of_the_cron_also_on_the_day_the_clocks_change(every, after):
    times = AnswerTimes(every, after)
    day = Interval(at(0), at(24))
    cron = croniter(times.cron, at(0) - timedelta(seconds=1), ret_type=datetime)
    expected = []
    while (moment := cron.get_next()) < day.end:
        expected.append(moment)
    assert times.within(day) == expected
    assert len(expected) == DAY // every


def test_a_row_is_due_at_the_last_time_that_is_not_after_its_lead():
    times = AnswerTimes(HOUR, MINUTE)
    due = [times.at_or_before(moment) for moment in (at(9) + MINUTE, at(9), at(9.5), at(10) + MINUTE)]
    assert due == [at(9) + MINUTE, at(8) + MINUTE, at(9) + MINUTE, at(10) + MINUTE]
    us = np.array([int(m.timestamp() * 1e6) for m in (at(9), at(9.5))])
    assert times.at_or_before_us(us).tolist() == [int(m.timestamp() * 1e6) for m in due[1:3]]


def test_two_ranges_side_by_side_have_each_time_once():
    times = AnswerTimes(HOUR)
    both = [*times.within(Interval(at(0), at(6))), *times.within(Interval(at(6), at(24)))]
    assert both == times.within(Interval(at(0), at(24)))


@pytest.mark.parametrize(
    ("delays", "cron"),
    [
        ([], "0 * * * *"),
        ([timedelta(seconds=30)], "1 * * * *"),
        ([61 * MINUTE, timedelta(seconds=30)], "1 * * * *"),  # an hour late and a minute: that of the hour before
        ([45 * MINUTE, 10 * MINUTE], "45 * * * *"),
        ([2 * HOUR], "0 * * * *"),
    ],
)
def test_rows_are_answered_as_soon_as_the_newest_values_can_be_read(delays, cron):
    assert times_for(HOUR, delays).cron == cron


@pytest.mark.parametrize("every", [MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, DAY])
def test_what_is_the_same_each_day_may_be_declared(every):
    assert wrong_every(every) is None


@pytest.mark.parametrize("every", [timedelta(0), timedelta(seconds=30), 7 * MINUTE, 90 * MINUTE, 5 * HOUR, 2 * DAY])
def test_what_would_drift_through_the_day_may_not(every):
    assert str(wrong_every(every)).startswith("give whole minutes that divide an hour")


def answers(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"request_id": r, "answered_at": pd.Timestamp(at(hour)), "score": hour / 100} for r, hour in rows],
        columns=["request_id", "answered_at", "score"],
    )


def due(**hours: float) -> pd.Series:
    return pd.Series({name: pd.Timestamp(at(hour)) for name, hour in hours.items()}, dtype="datetime64[us, UTC]")


def test_the_last_answer_up_to_the_prediction_time_counts():
    given = answers(("a", 8), ("a", 10), ("a", 9), ("a", 11), ("b", 10))
    found = that_count(given, due(b=12, a=10))
    assert found["request_id"].tolist() == ["b", "a"]
    assert found["score"].tolist() == [0.10, 0.10]
    assert found["times_answered"].tolist() == [1, 3]


def test_a_row_that_was_answered_too_late_or_never_has_no_answer_that_counts():
    found = that_count(answers(("a", 11)), due(a=10, b=12))
    assert found.empty


def test_an_answer_to_a_row_that_is_not_there_any_more_does_not_count():
    assert that_count(answers(("gone", 8), ("a", 8)), due(a=10))["request_id"].tolist() == ["a"]


def test_without_any_answer_nothing_counts():
    assert that_count(answers(), due(a=10)).empty


def test_the_closing_says_how_much_came_in_time_and_what_became_of_the_rest():
    assert sentence(12788, 12340) == "12,340 of 12,788 answered ahead; 448 filled afterwards."
    assert sentence(10, 8, by_others=1, withdrawn=1) == (
        "8 of 10 answered ahead; 2 filled afterwards, 1 of which another champion had answered ahead. "
        "1 answered row was withdrawn or moved since, and was not counted."
    )
