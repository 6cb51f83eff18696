"""Bounds of a figure over days: their error rates, by the kinds of days there are."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from include.domain.day_means import LEAST_DAYS, LEAST_EFFECTIVE_DAYS, DaySpread, waves

TIMES, ALPHA = 2000, 0.05


def many_days(rng: np.random.Generator, count: int, lag: float, kind: str) -> np.ndarray:
    """``(TIMES, count)`` days with mean 0; of the kind "better" the long tail is on the side that is not bounded."""
    z = rng.standard_normal((TIMES, count))
    for i in range(1, count):
        z[:, i] = lag * z[:, i - 1] + np.sqrt(1 - lag * lag) * z[:, i]
    if kind in ("skewed", "better"):
        exponential = -np.log(special.ndtr(-z)) - 1
        return exponential if kind == "skewed" else -exponential
    if kind == "t3":
        return z / np.sqrt(rng.chisquare(3, z.shape))
    if kind == "weekly":
        return z + np.sin(2 * np.pi * (np.arange(count) + rng.integers(0, 7, (TIMES, 1))) / 7)
    return z


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


def test_both_bounds_are_one_formula_mirrored():
    x = many_days(np.random.default_rng(3), 14, 0.3, "skewed")[0]
    one, mirrored = DaySpread.of(x - x.mean()), DaySpread.of(x.mean() - x)
    assert one.half(ALPHA, upper=True) == pytest.approx(mirrored.half(ALPHA, upper=False))
    assert one.half(ALPHA, upper=True) > one.half(ALPHA, upper=False)


def test_days_that_resemble_their_neighbours_are_worth_fewer():
    alike = DaySpread.of(many_days(np.random.default_rng(2), 400, 0.5, "normal")[0])
    assert alike.lag == pytest.approx(0.5, abs=0.15)
    assert alike.effective_days == pytest.approx(400 / 3, rel=0.4)
    assert alike.slow > 1.3 * alike.plain


def test_days_in_turns_are_worth_no_more_than_there_are():
    assert DaySpread.of(np.array([1.0, -1.0] * 7)).effective_days == 14


def test_two_days_are_not_judged():
    assert DaySpread.of(np.array([1.0, -1.0, 0.0])).why_too_few is None
    assert LEAST_DAYS == 3
    why = DaySpread.of(np.array([1.0, -1.0])).why_too_few
    assert why == "the rows are of 2 days; at least 3 are needed to see how much days differ"


def test_each_day_that_is_missing_of_six_makes_the_bound_wider():
    spread = DaySpread(days=6, freedom=2, slow=1.0, plain=1.0, skew=0.0, lag=0.0)
    widths = [replace(spread, days=n).half(ALPHA, upper=True) for n in (7, 6, 5, 4, 3)]
    assert [w / widths[0] for w in widths] == pytest.approx([1.0, 1.0, 1.15, 1.3, 1.45])


def test_many_days_that_are_worth_few_are_not_judged():
    spread = DaySpread.of(np.linspace(-1, 1, 14))
    assert spread.effective_days < LEAST_EFFECTIVE_DAYS
    assert spread.why_too_few == (
        "the 14 days resemble their neighbours (lag-1 correlation 0.79) and are worth 1.7 independent ones; at least "
        "1.75 are needed"
    )


def test_equal_days_have_no_width():
    spread = DaySpread.of(np.zeros(10))
    assert (spread.half(ALPHA, upper=True), spread.half(ALPHA, upper=False), spread.effective_days) == (0, 0, 10)


def test_days_without_a_sign_of_resemblance_are_asked_for_twice_the_waves():
    rng = np.random.default_rng(4)
    found = [DaySpread.of(x - x.mean()) for x in many_days(rng, 14, 0.0, "normal")[:50]]
    assert {(s.lag < 0, s.freedom) for s in found} == {(True, 8), (False, 4)}


def test_there_are_never_more_waves_than_days_allow():
    assert all(2 <= waves(n) < n for n in range(3, 400))
