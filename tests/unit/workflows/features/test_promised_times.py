"""When a row is available: as the SQL says it, and never before the view's delay has passed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from include.config.types import FeatureView
from include.workflows.features.view_rows import settled

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
TIMES = pa.timestamp("us", tz="UTC")


def view(**changes: object) -> FeatureView:
    return FeatureView.model_validate(
        {
            "name": "level",
            "description": "The level.",
            "owner": "sensors",
            "calendar": {"starts": "2024-03-01"},
            "keys": ["station"],
            "ttl": "3h",
            "columns": [{"name": "level"}],
            "source": [{"table": "readings", "time": "read_at", "known": "known_at"}],
            "quality": {"expectations": [{"expectation": "expect_column_to_exist", "kwargs": {"column": "level"}}]},
            **changes,
        }
    )


def available(declared: FeatureView, *said: timedelta | None) -> list[timedelta | None]:
    """What the row of noon is available at, as a time after noon, where the SQL says it was after ``said``."""
    rows = pa.table(
        {
            "station": [f"s{i}" for i in range(len(said))],
            "level": [1.0] * len(said),
            "event_time": pa.array([NOON] * len(said), TIMES),
            "available_time": pa.array([None if each is None else NOON + each for each in said], TIMES),
        }
    )
    given = settled(declared, rows).rows.column("available_time").to_pylist()
    return [None if each is None else each - NOON for each in given]


SOON, LATE = timedelta(seconds=10), timedelta(hours=2)


def test_without_a_delay_a_row_is_available_when_the_sql_says():
    assert available(view(), timedelta(0), SOON, LATE) == [timedelta(0), SOON, LATE]


def test_no_row_is_available_before_the_delay_and_a_late_one_stays_late():
    delay = timedelta(seconds=30)
    assert available(view(delay="30s"), timedelta(0), delay, LATE) == [delay, delay, LATE]


def test_a_row_known_ahead_of_its_event_is_available_a_delay_after_it_was_known():
    timetable = view(delay="30s", ahead="7d", stream={"every": "10s"})
    week, moment = timedelta(days=-7), timedelta(seconds=30)
    assert available(timetable, week, timedelta(0)) == [week + moment, moment]


def test_a_row_without_a_time_stays_one_for_the_audit_to_refuse():
    assert available(view(delay="30s"), None, timedelta(0)) == [None, timedelta(seconds=30)]
