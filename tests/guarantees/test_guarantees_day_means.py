"""How often a bound over days is below the truth, by the kinds of days there are, and what it finds."""

import numpy as np
import pytest
from kinds_of_days import TIMES, many_days
from scipy import stats

from include.domain.day_means import DaySpread

ALPHA = 0.05


def share_below_the_truth(count: int, lag: float, kind: str, apart: float = 0.0) -> float:
    rng, found = np.random.default_rng([count, int(10 * lag), len(kind)]), 0
    for x in many_days(rng, count, lag, kind) - apart:
        spread = DaySpread.of(x - x.mean())
        found += spread.why_too_few is None and x.mean() + spread.half(ALPHA, upper=True) < 0
    return found / TIMES


@pytest.mark.parametrize("count", [4, 5, 7, 14, 28])
@pytest.mark.parametrize(
    ("lag", "kind", "promised"),
    [
        (0.0, "normal", 0.05),
        (0.3, "normal", 0.06),
        (0.5, "normal", 0.08),
        (0.0, "skewed", 0.075),
        (0.0, "better", 0.05),
        (0.0, "t3", 0.055),
        (0.0, "weekly", 0.05),
    ],
)
def test_the_upper_bound_is_below_the_truth_as_seldom_as_promised(count, lag, kind, promised):
    most = stats.binom.ppf(0.995, TIMES, promised) / TIMES
    assert share_below_the_truth(count, lag, kind) <= most
    assert most < stats.binom.ppf(0.01, TIMES, 2 * promised) / TIMES, "twice the promise would be seen"


def test_skewed_days_that_resemble_their_neighbours_are_bounded_in_two_weeks_and_hardly_in_one():
    for count, promised in ((14, 0.075), (7, 0.095)):
        assert share_below_the_truth(count, 0.3, "skewed") <= stats.binom.ppf(0.995, TIMES, promised) / TIMES


@pytest.mark.parametrize("count", [14, 28])
def test_a_difference_of_two_standard_errors_is_found_half_of_the_time_and_oftener_where_it_comes_in_bursts(count):
    two_errors = 2 / np.sqrt(count)
    steady, bursts = (share_below_the_truth(count, 0.0, kind, two_errors) for kind in ("normal", "better"))
    assert steady >= 0.4
    assert bursts >= steady + 0.07
