"""Metrics of probabilities: their losses, and their calibration."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from include.domain.metrics.kinds import INFINITE, MOST, Floats, Ints, Metric, mean_of

ECE_BINS = 10
"""Equal-mass bins of the expected calibration error."""
_EPS = float(np.finfo(np.float64).eps)


def ece(y: Floats, score: Floats) -> float:
    """Expected calibration error: ``|share of positives - mean score|``, averaged over equal-mass bins."""
    bins = equal_mass_bins(score, ECE_BINS)
    return float(np.abs(np.bincount(bins, y - score, ECE_BINS)).sum() / len(y))


def equal_mass_bins(score: Floats, bins: int) -> Ints:
    """The bin ``0..bins-1`` of each row by its rank. Equal scores share a bin, so the order of the rows never matters.

    >>> equal_mass_bins(np.array([0.1, 0.9, 0.5, 0.5]), 2).tolist()
    [0, 1, 1, 1]
    """
    middle = (rankdata(score) - 0.5) / len(score)
    found: Ints = np.minimum((middle * bins).astype(np.intp), bins - 1)
    return found


def log_loss_rows(y: Floats, score: Floats) -> Floats:
    """The negative natural logarithm of the probability of what came true, at most 36."""
    two = score.ndim == 1
    chosen: Floats = np.where(y == 1, score, 1 - score) if two else score[np.arange(len(y)), y.astype(np.intp)]
    # Clipped like scikit-learn's, so that one impossible prediction costs 36, not infinity.
    loss: Floats = -np.log(np.clip(chosen, _EPS, 1 - _EPS))
    return loss


def brier_rows(y: Floats, score: Floats) -> Floats:
    """Half of the squared distance between the probabilities and the truth, 0 to 1.

    Brier (1950), "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78:1-3, sums the
    squares over all classes, which is 0 to 2. Half of it is the usual score of two classes, and has one range whatever
    their number; it is scikit-learn's ``brier_score_loss(scale_by_half=True)``.

    >>> brier_rows(np.array([0.0, 2.0]), np.array([[1.0, 0, 0], [1.0, 0, 0]])).tolist()
    [0.0, 1.0]
    """
    if score.ndim == 1:
        two: Floats = (y - score) ** 2
        return two
    truth = np.zeros_like(score)
    truth[np.arange(len(y)), y.astype(np.intp)] = 1
    many: Floats = ((score - truth) ** 2).sum(axis=1) / 2
    return many


LOG_LOSS = mean_of("log_loss", MOST, 0, INFINITE, log_loss_rows, needs_probabilities=True)
BRIER = mean_of("brier", MOST, 0, 1, brier_rows, needs_probabilities=True)
ECE = Metric("ece", MOST, 0, 1, ece, needs_probabilities=True)
