"""Bounds of a mean of days: their error rates, by the kinds of days there are."""

import numpy as np
import pytest
from scipy import stats

from include.domain.day_means import LEAST_DAYS, mean_of_days

TIMES = 1500


def many_days(rng: np.random.Generator, count: int, lag: float, kind: str) -> np.ndarray:
    """``(TIMES, count)``, each with mean 0 and variance 1."""
    z = rng.standard_normal((TIMES, count))
    for i in range(1, count):
        z[:, i] = lag * z[:, i - 1] + np.sqrt(1 - lag * lag) * z[:, i]
    if kind == "skewed":
        return (np.exp(0.8 * z) - np.exp(0.32)) / np.sqrt((np.exp(0.64) - 1) * np.exp(0.64))
    if kind == "t3":
        return z / np.sqrt(rng.chisquare(3, z.shape))
    return z


@pytest.mark.parametrize("count", [14, 28])
@pytest.mark.parametrize(
    ("lag", "kind", "promised"),
    [(0.0, "normal", 0.05), (0.3, "normal", 0.06), (0.5, "normal", 0.08), (0.0, "skewed", 0.08), (0.0, "t3", 0.05)],
)
def test_the_upper_bound_is_below_the_truth_as_seldom_as_promised(count, lag, kind, promised):
    rng = np.random.default_rng([count, int(10 * lag), len(kind)])
    below = sum(mean_of_days(x, alpha=0.05).high < 0 for x in many_days(rng, count, lag, kind))
    assert below <= stats.binom.ppf(0.995, TIMES, promised)
    assert stats.binom.ppf(0.995, TIMES, promised) < stats.binom.ppf(0.01, TIMES, 2 * promised)


def test_a_difference_is_found_in_four_weeks():
    rng = np.random.default_rng(1)
    found = np.mean([mean_of_days(x - 0.7, alpha=0.05).high < 0 for x in many_days(rng, 28, 0.0, "normal")])
    assert found >= 0.85


def test_days_that_resemble_their_neighbours_are_worth_fewer():
    rng = np.random.default_rng(2)
    alike = mean_of_days(many_days(rng, 400, 0.5, "normal")[0], alpha=0.05)
    assert alike.lag == pytest.approx(0.5, abs=0.15)
    assert alike.effective_days == pytest.approx(400 / 3, rel=0.4)


@pytest.mark.parametrize("count", range(LEAST_DAYS))
def test_too_few_days_are_not_judged(count):
    found = mean_of_days(np.arange(count, dtype=float), alpha=0.05)
    assert (found.low, found.high) == (None, None)
    assert str(LEAST_DAYS) in found.reason


def test_equal_days_have_no_width():
    found = mean_of_days([0.25] * 10, alpha=0.05)
    assert (found.low, found.mean, found.high) == (0.25, 0.25, 0.25)
