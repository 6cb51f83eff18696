"""The promise of a relative margin: a candidate that is worse by that share of the true gap passes at most alpha of the
time, though the gap is measured on the same rows."""

import numpy as np
import pytest
from scipy import stats

from include.domain.comparison import PairedScores, compare
from include.domain.gap import MARGIN_SHARE
from include.domain.gates import ComparisonRule, Evidence
from include.domain.metrics import Task

DAYS, ROWS, HOLDOUTS, ALPHA = 14, 200, 300, 0.05
BOUND = stats.binom.ppf(0.999, HOLDOUTS, ALPHA) / HOLDOUTS
"""Where twice the promise passes, this is exceeded in more than half of the runs."""


def probability(level: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(1.2 - level))


def usual(days_differ: float) -> tuple[float, float]:
    """The mean label, and how much better than it the true probabilities are in the Brier score."""
    level = np.random.default_rng(2).standard_normal(2_000_000)
    naive = probability(level).mean()
    gap = ((probability(level * np.sqrt(1 + days_differ**2)) - naive) ** 2).mean()
    return float(naive), float(gap)


@pytest.mark.slow
@pytest.mark.parametrize("days_differ", [0.0, 0.3])
def test_a_candidate_worse_by_the_default_share_of_the_true_gap_passes_at_most_alpha_of_the_time(days_differ):
    naive, gap = usual(days_differ)
    rng = np.random.default_rng(17)
    day = np.repeat(np.arange(DAYS), ROWS)
    passed = 0
    for _ in range(HOLDOUTS):
        p = probability(rng.standard_normal(len(day)) + days_differ * rng.standard_normal(DAYS)[day])
        y = (rng.random(len(day)) < p).astype(float)
        # Off by the root of the loss in either direction, so that it is worse by exactly that much on average.
        off = np.sqrt(MARGIN_SHARE * gap) * rng.choice([-1.0, 1.0], len(day))
        candidate = np.clip(p + off, 0.0, 1.0)
        seen = Evidence(Task.BINARY, y, candidate, p, np.full(len(day), naive), day)
        margin = ComparisonRule("brier", 0.0, share=MARGIN_SHARE).on(seen).margin
        high = compare(PairedScores(Task.BINARY, y, candidate, p, day), "brier", alpha=ALPHA).high
        passed += high is not None and high <= margin
    assert passed / HOLDOUTS <= BOUND
