"""The paired difference of two areas under the ROC curve on independent rows, and its standard error.

DeLong, DeLong and Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver operating
characteristic curves: a nonparametric approach", Biometrics 44:837-845. The placements come from one sort, as in Sun
and Xu (2014), "Fast implementation of DeLong's algorithm for comparing the areas under correlated receiver operating
characteristic curves", IEEE Signal Processing Letters 21:1389-1393: O(n log n) instead of O(n squared).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from include.domain.metrics import Floats


@dataclass(frozen=True, slots=True)
class DeLong:
    """The two areas, the standard error of ``first - second``, and the degrees of freedom of that error."""

    first: float
    second: float
    error: float
    freedom: float


def placements(y: Floats, score: Floats) -> tuple[Floats, Floats]:
    """For each positive the share of negatives it beats, ``(m,)``; for each negative the share of positives that beat
    it, ``(n,)``. A tie is half a win. The mean of either is the area under the curve."""
    order = np.argsort(score, kind="stable")
    ordered, positive = score[order], y[order] == 1
    starts = np.append(True, ordered[1:] != ordered[:-1])
    run = np.cumsum(starts) - 1
    ends = np.append(np.flatnonzero(starts)[1:], len(y))
    # Of either class, how many rows are below each run of equal scores, half of the run itself included.
    below = [np.append(0, np.cumsum(is_of_class)[ends - 1]) for is_of_class in (~positive, positive)]
    negatives_below, positives_below = ((b[:-1] + b[1:]) / 2 for b in below)
    n, m = below[0][-1], below[1][-1]
    placed = np.empty(len(y))
    placed[order] = np.where(positive, negatives_below[run] / n, 1 - positives_below[run] / m)
    is_positive = y == 1
    return placed[is_positive], placed[~is_positive]


def delong(y: Floats, first: Floats, second: Floats) -> DeLong:
    """Compare two scores of the same rows. At least two rows of each class are needed.

    The degrees of freedom are Welch and Satterthwaite's for the two variances, because with few positives their
    variance is itself uncertain and the normal quantile would be too small.
    """
    first_up, first_down = placements(y, first)
    second_up, second_down = placements(y, second)
    up, down = first_up - second_up, first_down - second_down
    m, n = len(up), len(down)
    var_up, var_down = float(up.var(ddof=1)) / m, float(down.var(ddof=1)) / n
    variance = var_up + var_down
    freedom = variance**2 / (var_up**2 / (m - 1) + var_down**2 / (n - 1)) if variance > 0 else float(min(m, n) - 1)
    return DeLong(float(first_up.mean()), float(second_up.mean()), float(np.sqrt(variance)), freedom)
