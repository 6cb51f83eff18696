"""Metrics of predicted numbers."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from include.domain.metrics.kinds import INFINITE, LEAST, MOST, Floats, Metric, mean_of


def absolute_error_rows(y: Floats, score: Floats) -> Floats:
    loss: Floats = np.abs(y - score)
    return loss


def squared_error_rows(y: Floats, score: Floats) -> Floats:
    """What the rmse is the root of the mean of."""
    loss: Floats = (y - score) ** 2
    return loss


def _rmse(y: Floats, score: Floats) -> float:
    return float(np.sqrt(np.mean(squared_error_rows(y, score))))


def _r2(y: Floats, score: Floats) -> float:
    return float(1 - np.sum((y - score) ** 2) / np.sum((y - y.mean()) ** 2))


def _constant(y: Floats, classes: int) -> str | None:
    return (
        f"all {len(y):,} labels are {y[0]:g}, so there is no variance to explain" if bool(np.all(y == y[0])) else None
    )


def _percentage_rows(y: Floats, score: Floats) -> Floats:
    loss: Floats = np.abs(y - score) / np.abs(y)
    return loss


def _zeros(y: Floats, classes: int) -> str | None:
    zeros = int((y == 0).sum())
    return f"{zeros:,} of {len(y):,} labels are 0, and nothing is a percentage of 0" if zeros else None


def _poisson_rows(y: Floats, score: Floats) -> Floats:
    """McCullagh and Nelder (1989), "Generalized Linear Models", 2.3.2."""
    loss: Floats = 2 * (xlogy(y, y / score) - y + score)
    return np.maximum(loss, 0)


def _below_zero(y: Floats, classes: int) -> str | None:
    below = int((y < 0).sum())
    return f"{below:,} of {len(y):,} labels are below 0, and a count is not" if below else None


def _not_positive(score: Floats) -> str | None:
    bad = int((score <= 0).sum())
    return f"{bad:,} of {len(score):,} predictions are not above 0, as the mean of a count is" if bad else None


def pinball(quantile: float) -> Metric:
    """The loss that the quantile itself makes smallest: a value below the label costs ``quantile`` for each unit, one
    above it ``1 - quantile``.

    Koenker and Bassett (1978), "Regression quantiles", Econometrica 46:33-50.
    """

    def rows(y: Floats, score: Floats) -> Floats:
        loss: Floats = np.maximum(quantile * (y - score), (quantile - 1) * (y - score))
        return loss

    return mean_of(f"pinball(quantile={quantile:g})", MOST, 0, INFINITE, rows)


MAE = mean_of("mae", MOST, 0, INFINITE, absolute_error_rows)
RMSE = Metric("rmse", MOST, 0, INFINITE, _rmse)
R2 = Metric("r2", LEAST, -INFINITE, 1, _r2, bad_labels=_constant)
MAPE = mean_of("mape", MOST, 0, INFINITE, _percentage_rows, bad_labels=_zeros)
POISSON_DEVIANCE = mean_of(
    "poisson_deviance", MOST, 0, INFINITE, _poisson_rows, bad_labels=_below_zero, bad_scores=_not_positive
)
