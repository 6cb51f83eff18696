"""Weights of rows: how much each counts, and how many rows of one weight are worth as much."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from include.domain.errors import Refusal

Floats = NDArray[np.float64]


class BadWeights(Refusal, ValueError):
    """Weights of which one cannot be used; the message names its row, counted from 1."""


def checked(values: ArrayLike, what: str = "weight") -> Floats:
    """The weights as ``(n,)`` float64.

    Raises:
        BadWeights: when one is missing, infinite or below 0, or all are 0.

    >>> checked([1, 0, 2.5]).tolist()
    [1.0, 0.0, 2.5]
    """
    try:
        weights = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadWeights(f"{what} holds values that are no numbers; a weight is a number of 0 or more.") from None
    bad = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if len(bad):
        more = f" (and of {len(bad) - 1:,} other rows)" if len(bad) > 1 else ""
        raise BadWeights(
            f"{what} of row {bad[0] + 1:,} is {weights[bad[0]]:g}{more}; a weight is a finite number of 0 or more."
        )
    if len(weights) and not weights.any():
        raise BadWeights(f"{what} is 0 in all {len(weights):,} rows; then nothing counts. Give one of them a weight.")
    return weights


def effective_rows(weights: Floats) -> float:
    """How many rows of equal weight are worth as much, from 1 to n: the squared sum over the sum of squares.

    Kish (1965), "Survey Sampling", 8.2.

    >>> effective_rows(np.array([2.0, 2.0, 2.0])), round(effective_rows(np.array([1.0, 1.0, 8.0])), 3)
    (3.0, 1.515)
    """
    total = float(weights.sum())
    return total * total / float((weights**2).sum()) if total > 0 else 0.0


def counted_rows(weights: Floats) -> int:
    """``effective_rows`` as a whole number, rounded down: what a bound on a number of rows is held against.

    >>> counted_rows(np.array([0.1] * 10)), counted_rows(np.array([1.0, 1.0, 8.0]))
    (10, 1)
    """
    return int(effective_rows(weights) + 1e-6)


def mean_of(values: Floats, weights: Floats | None) -> float:
    """The mean of ``(n,)`` values, each as often as its weight says.

    >>> mean_of(np.array([0.0, 1.0]), np.array([1.0, 3.0])), mean_of(np.array([0.0, 1.0]), None)
    (0.75, 0.5)
    """
    return float(np.mean(values)) if weights is None else float(weights @ values) / float(weights.sum())
