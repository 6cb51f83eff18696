"""The days on which a declared schedule starts a journey."""

from __future__ import annotations

from datetime import datetime, timedelta

from include.domain.errors import Refusal
from include.domain.intervals import Interval


class BadSchedule(Refusal, ValueError):
    """A declared schedule that is no cron."""


def fires_within(cron: str, day: Interval) -> bool:
    """Whether a declared schedule starts a journey on that day, UTC."""
    from croniter import croniter

    if not croniter.is_valid(cron):
        raise BadSchedule(f"training.schedule is {cron!r}, which is no cron; write five fields, such as 0 6 1 * *.")
    just_before = day.start - timedelta(microseconds=1)
    fires: datetime = croniter(cron, just_before).get_next(datetime)
    return fires < day.end
