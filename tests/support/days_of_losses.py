"""Days of losses around a mean, and what realised performance says of them."""

from datetime import date, timedelta

from include.domain.losses import DayLoss
from include.domain.performance import realised_performance
from include.domain.risk_bounds import Band

ROWS = 900
WITHIN_DAY_SD = 0.18
FIRST = date(2013, 6, 1)


def cohorts(means, start=FIRST, rows=ROWS, within=WITHIN_DAY_SD):
    """Days with these mean losses, one after the other; rows spread around the day's mean."""
    return tuple(
        DayLoss((start + timedelta(days=i)).isoformat(), rows, rows * m, rows * (m * m + within**2))
        for i, m in enumerate(means)
    )


def reference(means=(0.11, 0.17) * 7):
    return cohorts(means, start=FIRST - timedelta(days=len(means)))


def judged(current, past=None, *, metric="brier", tolerance=0.005, alpha=0.05, **options):
    return realised_performance(past or reference(), current, Band(metric, tolerance, alpha), **options)
