"""Half-open UTC intervals: what is inside, what is a day, and which requests are refused with which words."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domain.errors import Refusal
from include.domain.intervals import BadInstant, BadInterval, Interval, duration, instant, midnight, requested

JUNE = Interval.between("2013-06-01", "2013-07-01")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def test_the_start_is_inside_and_the_end_is_not():
    assert JUNE.contains(utc(2013, 6, 1))
    assert JUNE.contains(utc(2013, 6, 30, 23, 59, 59, 999999))
    assert not JUNE.contains(utc(2013, 7, 1))
    assert not JUNE.contains(utc(2013, 5, 31, 23, 59, 59, 999999))


@settings(deadline=None)
@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.times(), st.integers(1, 60))
def test_neighbouring_days_cover_every_moment_exactly_once(day, time, count):
    moment = datetime.combine(day, time, UTC)
    first = midnight(moment) - timedelta(days=count // 2)
    days = [Interval.of_day((first + timedelta(days=n)).date()) for n in range(count)]
    assert sum(day.contains(moment) for day in days) == 1
    assert all(a.end == b.start for a, b in pairwise(days))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2013-06-01", id="a date"),
        pytest.param("2013-06-01T00:00:00", id="a partition key"),
        pytest.param("2013-06-01T00:00:00Z", id="with Z"),
        pytest.param("2013-05-31T20:00:00-04:00", id="the same moment in New York"),
        pytest.param(date(2013, 6, 1), id="a date object"),
    ],
)
def test_a_day_may_be_written_in_many_ways(text):
    assert Interval.of_day(text) == Interval(utc(2013, 6, 1), utc(2013, 6, 2))


def test_f012_a_utc_day_has_24_hours_when_the_clocks_change():
    for day in ("2026-03-29", "2026-10-25"):
        interval = Interval.of_day(day)
        assert interval.end - interval.start == timedelta(hours=24)
        assert interval.days == [day]


def test_the_days_of_an_interval_are_all_that_it_touches():
    assert (JUNE.days[0], JUNE.days[-1]) == ("2013-06-01", "2013-06-30")
    assert len(JUNE.days) == 30
    part = Interval(utc(2013, 6, 1, 22), utc(2013, 6, 3, 1))
    assert part.days == ["2013-06-01", "2013-06-02", "2013-06-03"]
    assert Interval(utc(2013, 6, 1, 22), utc(2013, 6, 2)).days == ["2013-06-01"]


def test_a_widened_interval_starts_earlier_and_ends_where_it_did():
    assert JUNE.widened(timedelta(days=7)) == Interval(utc(2013, 5, 25), utc(2013, 7, 1))


@pytest.mark.parametrize(
    ("start", "end", "line"),
    [
        pytest.param(
            utc(2013, 6, 1),
            utc(2013, 6, 1),
            "The interval [2013-06-01T00:00:00+00:00, 2013-06-01T00:00:00+00:00) is empty: "
            "its end must be after its start.",
            id="f009 zero width",
        ),
        pytest.param(
            utc(2013, 6, 2),
            utc(2013, 6, 1),
            "The interval [2013-06-02T00:00:00+00:00, 2013-06-01T00:00:00+00:00) is empty: "
            "its end must be after its start.",
            id="f011 reversed",
        ),
        pytest.param(
            datetime(2013, 6, 1),  # noqa: DTZ001 - a time without a zone is the point
            utc(2013, 6, 2),
            "The interval's start 2013-06-01T00:00:00 has no time zone. Give it in UTC.",
            id="f013 naive",
        ),
    ],
)
def test_what_is_no_interval_is_refused(start, end, line):
    with pytest.raises(BadInterval) as refused:
        Interval(start, end)
    assert str(refused.value) == line
    assert isinstance(refused.value, Refusal)


@pytest.mark.parametrize("text", ["", "garbage", "2013-6-1", "2013-02-30", "01/06/2013", "now", "{{ ds }}"])
def test_f011_what_is_no_date_is_named_and_an_example_given(text):
    with pytest.raises(BadInstant) as refused:
        instant(text)
    assert str(refused.value) == (
        f"{text!r} is not a date or time. Write it in ISO 8601, for example 2013-06-01 or 2013-06-01T06:00:00Z."
    )


def test_a_time_with_another_offset_is_the_same_moment_in_utc():
    assert instant("2013-06-01T02:00:00+02:00") == utc(2013, 6, 1)
    assert midnight(datetime(2013, 6, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == utc(2013, 5, 31)


def test_the_middle_of_a_day_is_no_day():
    with pytest.raises(BadInterval, match=r"^2013-06-01T06:00:00 is not the start of a UTC day\.$"):
        Interval.of_day("2013-06-01T06:00:00")
    with pytest.raises(BadInterval, match=r"^The interval's end 2013-06-02T06:00:00\+00:00 is not the start of a UTC"):
        Interval.between("2013-06-01", "2013-06-02T06:00:00")


# --- what a run is about ---------------------------------------------------------------------------------------------


def test_a_run_is_about_its_partition_or_about_the_range_of_its_form():
    assert requested("2013-01-05T00:00:00", None, None) == Interval.of_day("2013-01-05")
    assert requested(None, "2013-06-01", "2013-07-01") == JUNE


@pytest.mark.parametrize(
    ("key", "start", "end", "line"),
    [
        pytest.param(
            None,
            None,
            None,
            "The run has no partition and start and end are missing. Give both, for example start 2013-01-01 and end "
            "2013-06-01.",
            id="f010 neither: never all data",
        ),
        pytest.param(
            None,
            "2013-01-01",
            None,
            "The run has no partition and end is missing. Give both, for example start 2013-01-01 and end 2013-06-01.",
            id="half a range",
        ),
        pytest.param(
            None,
            None,
            "2013-01-01",
            "The run has no partition and start is missing. Give both, for example start 2013-01-01 and end "
            "2013-06-01.",
            id="the other half",
        ),
        pytest.param(
            "2013-01-05T00:00:00",
            "2013-01-01",
            None,
            "The run has the partition 2013-01-05T00:00:00 and also a range; give start and end to a manual run only.",
            id="both",
        ),
    ],
)
def test_f010_a_run_that_does_not_say_what_it_is_about_is_refused(key, start, end, line):
    with pytest.raises(BadInterval) as refused:
        requested(key, start, end)
    assert str(refused.value) == line


# --- durations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30m", timedelta(minutes=30)), ("2h", timedelta(hours=2)), (" 7d ", timedelta(days=7)), ("0d", timedelta(0))],
)
def test_a_duration_is_a_number_and_a_unit(text, expected):
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-2h", "1.5h", "2w", "2h30m", "P2D"])
def test_what_is_no_duration_is_named_and_examples_given(text):
    with pytest.raises(ValueError, match="is not a duration") as refused:
        duration(text)
    assert str(refused.value) == f"{text!r} is not a duration. Write a whole number and a unit: 30m, 2h or 7d."
