"""From scores to calibrated probabilities, and from these to the expected loss of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from include.domain.losses import row_losses
from include.domain.metrics import Metric

Floats = NDArray[np.float64]


class BadEstimate(ValueError):
    """Rows from which no loss can be estimated."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Maps scores to probabilities: per column of scores the knots of a rising line, level outside them."""

    knots: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]

    def __call__(self, scores: NDArray[Any]) -> Floats:
        """Shape (n,) or (n, classes), as the scores; the rows of several classes add up to 1."""
        given = np.asarray(scores, dtype=np.float64)
        columns = given[:, None] if given.ndim == 1 else given
        if columns.shape[1] != len(self.knots):
            raise BadEstimate(f"The calibration is of {len(self.knots)} columns of scores, not {columns.shape[1]}.")
        mapped = np.column_stack([np.interp(columns[:, i], x, y) for i, (x, y) in enumerate(self.knots)])
        if given.ndim == 1:
            return np.asarray(mapped[:, 0])
        total = mapped.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total > 0, mapped / np.where(total > 0, total, 1.0), 1 / mapped.shape[1]))

    def as_json(self) -> list[Any]:
        return [[list(x), list(y)] for x, y in self.knots]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Calibration:
        return cls(tuple((tuple(map(float, x)), tuple(map(float, y))) for x, y in data))


def fit_calibration(labels: NDArray[Any], scores: NDArray[Any], weights: Floats | None = None) -> Calibration:
    """Isotonic regression of "the label is this class" on its score, one class against the rest.

    Args:
        labels: Shape (n,): class indices, 0 and 1 for binary.
        scores: Shape (n,): the positive class's probability; (n, classes): probabilities. All finite.
        weights: Shape (n,): how much each row counts; None where all count the same.
    """
    given = np.asarray(scores, dtype=np.float64)
    y = np.asarray(labels)
    if not len(y):
        raise BadEstimate("No rows to calibrate on.")
    if given.ndim == 1:
        return Calibration((_isotonic(given, (y == 1).astype(np.float64), weights),))
    columns = range(given.shape[1])
    return Calibration(tuple(_isotonic(given[:, i], (y == i).astype(np.float64), weights) for i in columns))


def _isotonic(x: Floats, y: Floats, weights: Floats | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    counted = np.ones(len(x)) if weights is None else weights
    x, y, counted = x[counted > 0], y[counted > 0], counted[counted > 0]
    if not len(x):
        raise BadEstimate("No rows to calibrate on: all have the weight 0.")
    places, index = np.unique(x, return_inverse=True)
    rows = np.bincount(index, weights=counted)
    means = np.bincount(index, weights=y * counted) / rows
    fitted = optimize.isotonic_regression(means, weights=rows).x
    # The line is level within a block of equal values, so only a block's ends are knots.
    inner = np.zeros(len(fitted), dtype=bool)
    inner[1:-1] = (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:])
    return tuple(map(float, places[~inner])), tuple(map(float, fitted[~inner]))


def expected_losses(metric: str | Metric, scores: NDArray[Any], probabilities: Floats) -> Floats:
    """The loss each row is expected to have, shape (n,), when its class is drawn from ``probabilities``.

    Args:
        metric: ``brier``, ``log_loss`` or ``error``, as in :func:`include.domain.losses.row_losses`.
        scores: Shape (n,) or (n, classes): what the champion answered.
        probabilities: Of the same shape: the calibrated ones.

    >>> expected_losses("brier", np.array([0.5]), np.array([0.5])).tolist()
    [0.25]
    """
    return expected_of(losses_by_class(metric, scores), probabilities)


def losses_by_class(metric: str | Metric, scores: NDArray[Any]) -> Floats:
    """The loss that each row would have, were it of each class: shape (n, classes)."""
    classes = 2 if scores.ndim == 1 else scores.shape[1]
    return np.column_stack([row_losses(metric, np.full(len(scores), i), scores) for i in range(classes)])


def expected_of(by_class: Floats, probabilities: Floats) -> Floats:
    """The mean of each row's losses over its classes, shape (n,).

    Args:
        by_class: Shape (n, classes): from :func:`losses_by_class`.
        probabilities: Shape (n,) or (n, classes): the calibrated ones.
    """
    chances = np.column_stack([1 - probabilities, probabilities]) if probabilities.ndim == 1 else probabilities
    total = np.zeros(len(chances))
    for i in range(chances.shape[1]):
        total += chances[:, i] * by_class[:, i]
    return total


def expected_roc_auc(scores: Floats, probabilities: Floats) -> float | None:
    """The area under the ROC curve that is expected when each row is positive with its probability.

    The expected number of pairs (a positive, a negative) that the scores put right, over that of all such pairs; a tie
    counts half. None where no such pair is expected.
    """
    places, index = np.unique(scores, return_inverse=True)
    positive = np.bincount(index, weights=probabilities, minlength=len(places))
    negative = np.bincount(index, weights=1 - probabilities, minlength=len(places))
    # A row is no pair with itself.
    own = np.bincount(index, weights=probabilities * (1 - probabilities), minlength=len(places))
    pairs = float(positive.sum() * negative.sum() - own.sum())
    if not pairs > 0:
        return None
    below = np.cumsum(negative) - negative
    right = float((positive * below).sum() + 0.5 * (positive * negative - own).sum())
    return right / pairs
