"""A champion's older days as sums, so that a day's measurement reads a window whatever the champion's age.

A day is settled so many days after its label window closed. From then on its sums are what they were at that moment:
they follow from the day alone, not from when they are asked for, so a day that is judged again finds the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.domain.drift.maturity import Cohort
from include.domain.intervals import DAY, Interval, midnight
from include.domain.losses import DayLoss


@dataclass(frozen=True, slots=True)
class SettledDay:
    """One served day, as it was when it settled.

    Attributes:
        day: ``YYYY-MM-DD``.
        rows: how many requests were answered.
        labelled: how many of them had a label.
        total: the sum of the labelled rows' losses.
        squares: the sum of their squares.
    """

    day: str
    rows: int
    labelled: int
    total: float
    squares: float

    @property
    def losses(self) -> tuple[DayLoss, ...]:
        return (DayLoss(self.day, self.labelled, self.total, self.squares),) if self.labelled else ()

    @property
    def cohorts(self) -> tuple[Cohort, ...]:
        return (Cohort(self.day, self.rows, self.labelled),) if self.rows else ()


def settled(day: str, losses: Iterable[DayLoss], cohorts: Iterable[Cohort]) -> SettledDay:
    """The sums of one day; zeros of a day on which nothing was answered."""
    loss = next((one for one in losses if one.day == day), DayLoss(day, 0, 0.0, 0.0))
    cohort = next((one for one in cohorts if one.day == day), Cohort(day, 0, 0))
    return SettledDay(day, cohort.rows, loss.rows, loss.total, loss.squares)


def settled_until(closed_until: datetime, settles_days: int) -> datetime:
    """The end, a midnight UTC, of the days that are settled.

    Args:
        closed_until: The end of the rows whose label window has closed.
        settles_days: How many days after that a day is settled.

    >>> from datetime import UTC
    >>> settled_until(datetime(2013, 6, 20, 12, tzinfo=UTC), 10).isoformat()
    '2013-06-10T00:00:00+00:00'
    """
    return midnight(closed_until - timedelta(days=settles_days))


def days_of(interval: Interval) -> Iterator[Interval]:
    """The days of ``[start, end)``; the first and the last are cut where it begins and ends within them."""
    start = interval.start
    while start < interval.end:
        end = min(midnight(start) + DAY, interval.end)
        yield Interval(start, end)
        start = end
