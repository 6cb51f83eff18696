"""The losses of rows whose label is known, and their sums by day, so that a month is the sum of its days."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.domain import metric_names
from include.domain.metrics import Metric, Task, metric_of, why_bad_labels, why_bad_scores
from include.domain.metrics.decisions import error_rows
from include.domain.metrics.probabilities import brier_rows, log_loss_rows
from include.domain.metrics.values import absolute_error_rows, squared_error_rows

BOUNDED = frozenset({"brier", "error"})
"""Losses in [0, 1]. The others have no upper end, and their row sequence is asymptotic."""


ROWS = {
    "brier": brier_rows,
    "log_loss": log_loss_rows,
    "error": error_rows,
    "mae": absolute_error_rows,
    "rmse": squared_error_rows,
}
"""The loss of each row by its name: the gates' own formulas."""


class BadLoss(ValueError):
    """Labels or predictions from which no loss can be computed."""


@dataclass(frozen=True, slots=True)
class DayLoss:
    """The losses of one day's matured rows, as sums, so that a month is the sum of its days."""

    day: str
    """``YYYY-MM-DD``, UTC."""
    rows: int
    total: float
    squares: float
    """The sum of the squared losses."""

    @property
    def mean(self) -> float:
        return self.total / self.rows

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def row_losses(metric: str | Metric, labels: NDArray[Any], predictions: NDArray[Any]) -> NDArray[np.float64]:
    """The loss of each row, 0 or more; lower is better.

    Args:
        metric: ``brier`` (multiclass: half the squared distance, so that it stays in [0, 1]), ``log_loss`` (natural
            logarithm, at most 36), ``error`` (wrong answers; 0.5 itself is answered negative), ``mae``, or ``rmse``
            (the squared error: its mean's root is the rmse), each by the formula that the gates use. Or a loss with
            settings, ``pinball(quantile=0.9)`` or ``cost(matrix=..., threshold=...)``, or one of a team's own.
        labels: Shape (n,): class indices (0 and 1 for binary), or numbers for regression.
        predictions: Shape (n,): the positive class's probability or the predicted number; (n, classes): probabilities.

    Raises:
        OwnMetricFailed: when a loss of a team's own has no value on these rows.
        BadLoss: for another metric, unequal lengths, a missing or infinite value, or a probability outside [0, 1].
    """
    y = np.asarray(labels, dtype=np.float64)
    p = np.asarray(predictions, dtype=np.float64)
    if len(y) != len(p):
        raise BadLoss(
            f"{metric} needs one prediction for each label; there are {len(y)} labels and {len(p)} predictions."
        )
    for name, values in (("label", y), ("prediction", p)):
        bad = int(np.size(values) - np.isfinite(values).sum())
        if bad:
            raise BadLoss(
                f"{metric} needs finite numbers; {bad} of {len(values)} {name}s are missing or infinite. "
                "Leave such rows out."
            )
    if isinstance(metric, Metric):
        if metric.per_row is None:
            raise BadLoss(f"{metric} is no loss of each row.")
        return metric.per_row(y, p) if len(y) else np.empty(0)
    if metric in ("mae", "rmse"):
        return ROWS[metric](y, p)
    if (found := _with_settings(metric, p)) is not None:
        return _checked(found, metric, y, p)
    if metric not in ("brier", "log_loss", "error"):
        raise BadLoss(f"{metric!r} is no loss; allowed are brier, log_loss, error, cost, mae, rmse and pinball.")
    both = p if p.ndim == 2 else np.column_stack([1 - p, p])
    if both.size and (both.min() < 0 or both.max() > 1):
        raise BadLoss(f"{metric} needs probabilities in [0, 1]; they reach from {p.min():g} to {p.max():g}.")
    classes = y.astype(np.int64)
    if y.size and (np.any(classes != y) or classes.min() < 0 or classes.max() >= both.shape[1]):
        raise BadLoss(
            f"{metric} needs class indices from 0 to {both.shape[1] - 1}; labels reach from {y.min():g} to {y.max():g}."
        )
    return ROWS[metric](y, p)


def _with_settings(text: str, predictions: NDArray[np.float64]) -> Metric | None:
    """The loss of that name and settings; None where there is none."""
    name = text.partition("(")[0]
    classes = Task.MULTICLASS if predictions.ndim == 2 else Task.BINARY
    task = Task.REGRESSION if name in metric_names.NAMES["regression"] else classes
    is_loss = "(" in text and name in metric_names.LOSSES[task.value]
    return metric_of(task, text) if is_loss else None


def _checked(metric: Metric, name: str, y: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(y):
        return np.empty(0)
    task = Task.REGRESSION if not metric.needs_probabilities else Task.MULTICLASS if p.ndim == 2 else Task.BINARY
    why = why_bad_labels(metric, task, y, p.shape[1] if p.ndim == 2 else 2) or why_bad_scores(metric, p)
    if why is not None or metric.per_row is None:
        raise BadLoss(f"{name} has no value: {why or 'it is no loss of each row'}.")
    return metric.per_row(y, p)


def losses_by_day(
    days: Sequence[str], losses: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> tuple[DayLoss, ...]:
    """The cohorts of one window, by day in order.

    With weights, a day has the weighted mean of its losses, and counts as so many rows as its own are worth (Kish's
    effective number, rounded down): one row of a great weight is one row. A day of which all weights are 0 is left out.

    Args:
        days: Shape (n,): each row's ``YYYY-MM-DD``.
        losses: Shape (n,).
        weights: Shape (n,): how much each row counts, 0 or more; None where all count the same.
    """
    names, index = np.unique(np.asarray(days, dtype=str), return_inverse=True)
    rows = np.bincount(index, minlength=len(names))
    if weights is not None:
        return _weighted_days(names, index, losses, weights)
    total = np.bincount(index, weights=losses, minlength=len(names))
    squares = np.bincount(index, weights=losses * losses, minlength=len(names))
    return tuple(
        DayLoss(str(d), int(n), float(s), float(q)) for d, n, s, q in zip(names, rows, total, squares, strict=True)
    )


def _weighted_days(
    names: NDArray[np.str_], index: NDArray[np.intp], losses: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[DayLoss, ...]:
    sums = weighted_sums(index, len(names), losses, weights)
    return tuple(weighted_day(str(names[i]), sums[:, i]) for i in np.flatnonzero(sums[0] > 0))


def weighted_sums(
    index: NDArray[np.intp], count: int, losses: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """By day ``(4, count)``: the sums of the weights, their squares, the weighted losses and weighted squared losses;
    those of one day may be added up. ``index`` is the day of each row."""
    parts = (weights, weights**2, weights * losses, weights * losses**2)
    return np.stack([np.bincount(index, weights=each, minlength=count) for each in parts])


def weighted_day(day: str, sums: NDArray[np.float64]) -> DayLoss:
    """A day's losses from its ``weighted_sums``, of which the first is above 0.

    >>> weighted_day("2013-06-01", np.array([4.0, 8.0, 1.0, 1.0])).mean
    0.25
    """
    together, squared, total, squares = map(float, sums)
    rows = max(int(together**2 / squared + 1e-6), 1)
    return DayLoss(day, rows, total * rows / together, squares * rows / together)


def merged_losses(*windows: Iterable[DayLoss]) -> tuple[DayLoss, ...]:
    """The days of all windows in order; the cohorts of one day are added."""
    given = tuple(c for window in windows for c in window)
    if all(a.day < b.day for a, b in pairwise(given)):
        return given
    days: dict[str, DayLoss] = {}
    for cohort in given:
        old = days.get(cohort.day, DayLoss(cohort.day, 0, 0.0, 0.0))
        days[cohort.day] = DayLoss(
            cohort.day, old.rows + cohort.rows, old.total + cohort.total, old.squares + cohort.squares
        )
    return tuple(days[day] for day in sorted(days))


def correlation_within_days(cohorts: Iterable[DayLoss]) -> float | None:
    """How similar the losses of one day are: their intraclass correlation, at most 1; None where it is not defined.

    By the analysis of variance of the day (Donner, International Statistical Review 54, 1986). With correlation r a day
    of n rows is worth n / (1 + (n - 1) r) independent ones.

    >>> correlation_within_days([DayLoss("2013-06-01", 2, 0.0, 0.0), DayLoss("2013-06-02", 2, 2.0, 2.0)])
    1.0
    """
    days = [c for c in cohorts if c.rows]
    rows, count = sum(c.rows for c in days), len(days)
    if count < 2 or rows <= count:
        return None
    mean = math.fsum(c.total for c in days) / rows
    between = math.fsum(c.rows * (c.mean - mean) ** 2 for c in days) / (count - 1)
    within = max(math.fsum(c.squares - c.total * c.total / c.rows for c in days), 0.0) / (rows - count)
    typical = (rows - math.fsum(c.rows**2 for c in days) / rows) / (count - 1)
    spread = between + (typical - 1) * within
    return (between - within) / spread if spread > 0 else None
