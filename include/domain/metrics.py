"""The metrics a model may be judged by, one list per task, and how each is measured.

What a metric needs of its data is checked first: missing values, a single class, or no rows give no value and a reason,
never a NaN and never an exception, because a NaN compares false with every bound and so passes gates.

Shapes, for ``n`` rows: ``y`` is ``(n,)``: 0 or 1 (binary), the class's position 0..k-1 (multiclass), or a value
(regression). ``score`` is ``(n,)``: the probability of the positive class, or the predicted value; for multiclass it is
``(n, k)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from include.domain.errors import Refusal
from include.domain.verdicts import Direction

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

ECE_BINS = 10
"""Equal-mass bins of the expected calibration error."""
_EPS = float(np.finfo(np.float64).eps)


class Task(Enum):
    """What kind of answer a model gives."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class UnknownMetric(Refusal, KeyError):
    """A metric that the task does not have."""

    def __init__(self, task: Task, name: str) -> None:
        known = ", ".join(METRICS[task])
        self.message = f"There is no metric {name!r} for a {task.value} model; it is measured by one of {known}."
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class OwnMetricFailed(Refusal, ValueError):
    """A metric of a team's own has no value on these rows; the message is a clause that says why."""


class ShapesDiffer(ValueError):
    """Labels and scores that are not of the same rows: broken machinery, not weak evidence."""

    def __init__(self, what: str, shape: tuple[int, ...], expected: str) -> None:
        super().__init__(f"{what} has shape {shape}; it must be {expected}: one entry for each judged row.")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``better`` says which direction is good; ``low`` and ``high`` its range.

    ``per_row`` gives the ``(n,)`` values whose mean is the metric, or None where the metric is no mean over rows.
    """

    name: str
    better: Direction
    low: float
    high: float
    value: Callable[[Floats, Floats], float]
    per_row: Callable[[Floats, Floats], Floats] | None = None
    needs_probabilities: bool = False
    needs_two_classes: bool = False
    own: bool = False
    """Whether it is a team's own: its functions may raise (``own_metrics.OwnMetricFailed``)."""
    of_values: bool = False
    """Whether it is the mean of values that are known beforehand, which its functions are given as the scores."""

    def __str__(self) -> str:
        return self.name

    @property
    def worse_sign(self) -> int:
        """+1 where a larger value is worse, -1 where a smaller one is."""
        return 1 if self.better is Direction.AT_MOST else -1


@dataclass(frozen=True, slots=True)
class Measurement:
    """A metric's value, or None with the ``reason`` it has none, as a clause: ``3 of 500 scores are missing``."""

    metric: str
    value: float | None
    rows: int
    reason: str | None = None


# --- the formulas ----------------------------------------------------------------------------------------------------


def roc_auc(y: Floats, score: Floats) -> float:
    """The share of (positive, negative) pairs in the right order, ties counting half (Mann and Whitney).

    >>> roc_auc(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    positive = y == 1
    m = int(positive.sum())
    n = len(y) - m
    return float((rankdata(score)[positive].sum() - m * (m + 1) / 2) / (m * n))


def average_precision(y: Floats, score: Floats) -> float:
    """Mean precision over the positives, each at its own score's threshold; rows with equal scores enter together.

    >>> round(average_precision(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    order = np.argsort(-score, kind="stable")
    hits, ends = np.cumsum(y[order]), _ends_of_ties(score[order])
    found = hits[ends]
    gained = np.diff(found, prepend=0.0)
    return float((gained * found / (ends + 1)).sum() / found[-1])


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


def _ends_of_ties(ordered: Floats) -> Ints:
    """The last position of each run of equal values."""
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))


def _log_loss_rows(y: Floats, score: Floats) -> Floats:
    two = score.ndim == 1
    chosen: Floats = np.where(y == 1, score, 1 - score) if two else score[np.arange(len(y)), y.astype(np.intp)]
    # Clipped like scikit-learn's, so that one impossible prediction costs 36, not infinity.
    loss: Floats = -np.log(np.clip(chosen, _EPS, 1 - _EPS))
    return loss


def _brier_rows(y: Floats, score: Floats) -> Floats:
    loss: Floats = (y - score) ** 2
    return loss


def _accuracy_rows(y: Floats, score: Floats) -> Floats:
    # In a tie the first class is predicted, as in scikit-learn.
    predicted = score > 0.5 if score.ndim == 1 else score.argmax(axis=1)
    right: Floats = (predicted == y).astype(np.float64)
    return right


def _absolute_error_rows(y: Floats, score: Floats) -> Floats:
    loss: Floats = np.abs(y - score)
    return loss


def _rmse(y: Floats, score: Floats) -> float:
    return float(np.sqrt(np.mean((y - score) ** 2)))


def _r2(y: Floats, score: Floats) -> float:
    return float(1 - np.sum((y - score) ** 2) / np.sum((y - y.mean()) ** 2))


def _mean_of(per_row: Callable[[Floats, Floats], Floats]) -> Callable[[Floats, Floats], float]:
    return lambda y, score: float(np.mean(per_row(y, score)))


def _mean(name: str, better: Direction, low: float, high: float, per_row: Any, probabilities: bool = False) -> Metric:
    return Metric(name, better, low, high, _mean_of(per_row), per_row, needs_probabilities=probabilities)


_LEAST, _MOST = Direction.AT_LEAST, Direction.AT_MOST
_LOG_LOSS = _mean("log_loss", _MOST, 0, float("inf"), _log_loss_rows, probabilities=True)
_ACCURACY = _mean("accuracy", _LEAST, 0, 1, _accuracy_rows, probabilities=True)

METRICS: dict[Task, dict[str, Metric]] = {
    task: {m.name: m for m in metrics}
    for task, metrics in {
        Task.BINARY: (
            Metric("roc_auc", _LEAST, 0, 1, roc_auc, needs_two_classes=True),
            _LOG_LOSS,
            _mean("brier", _MOST, 0, 1, _brier_rows, probabilities=True),
            _ACCURACY,
            Metric("average_precision", _LEAST, 0, 1, average_precision, needs_two_classes=True),
            Metric("ece", _MOST, 0, 1, ece, needs_probabilities=True),
        ),
        Task.MULTICLASS: (_LOG_LOSS, _ACCURACY),
        Task.REGRESSION: (
            _mean("mae", _MOST, 0, float("inf"), _absolute_error_rows),
            Metric("rmse", _MOST, 0, float("inf"), _rmse),
            Metric("r2", _LEAST, float("-inf"), 1, _r2),
        ),
    }.items()
}


# --- measuring -------------------------------------------------------------------------------------------------------


def metric_of(task: Task, name: str | Metric) -> Metric:
    """The task's metric of that name; a metric of a team's own is returned unchanged.

    Raises:
        UnknownMetric: naming the ones the task has.
    """
    if isinstance(name, Metric):
        return name
    try:
        return METRICS[task][name]
    except KeyError:
        raise UnknownMetric(task, name) from None


def as_floats(what: str, values: ArrayLike, rows: int | None = None, *, matrix: bool = False) -> Floats:
    """The values as ``(n,)`` float64, or ``(n, k)`` with ``matrix``; None becomes NaN.

    Raises:
        ShapesDiffer: not of that many dimensions, or not of that many rows.
    """
    array = np.asarray(values, dtype=np.float64)
    expected = f"({'n' if rows is None else rows}{', k' if matrix else ','})"
    if array.ndim != (2 if matrix else 1) or (rows is not None and len(array) != rows):
        raise ShapesDiffer(what, array.shape, expected)
    return array


def why_unusable(metric: Metric, task: Task, y: Floats, score: Floats) -> str | None:
    """Why the metric has no value on these rows, as a clause; None where it has one."""
    return why_bad_labels(metric, task, y, score.shape[1] if score.ndim == 2 else 2) or why_bad_scores(metric, score)


def why_bad_labels(metric: Metric, task: Task, y: Floats, classes: int) -> str | None:
    """Why the metric cannot be measured against these labels with any predictions, as a clause; or None."""
    n = len(y)
    if n == 0:
        return "there are no rows"
    missing = n - int(np.isfinite(y).sum())
    if missing:
        return f"{missing:,} of {n:,} labels are missing or infinite"
    if task is Task.REGRESSION:
        constant = metric.name == "r2" and bool(np.all(y == y[0]))
        return f"all {n:,} labels are {y[0]:g}, so there is no variance to explain" if constant else None
    strange = int(((y < 0) | (y >= classes) | (y != np.floor(y))).sum())
    if strange:
        return f"{strange:,} of {n:,} labels are no class position between 0 and {classes - 1}"
    if metric.needs_two_classes and bool(np.all(y == y[0])):
        return f"all {n:,} labels are of one class ({y[0]:g})"
    return None


def why_bad_scores(metric: Metric, score: Floats) -> str | None:
    """Why the metric cannot be measured from these scores, as a clause; or None."""
    n = len(score)
    finite = np.isfinite(score)
    if not finite.all():
        bad = n - int(finite.reshape(n, -1).all(axis=1).sum())
        return f"{bad:,} of {n:,} scores are missing or infinite"
    if metric.needs_probabilities:
        outside = (score < 0) | (score > 1)
        if outside.any():
            return (
                f"{int(outside.reshape(n, -1).any(axis=1).sum()):,} of {n:,} scores are no probability between 0 and 1"
            )
        # Single-precision outputs of many classes add up to 1 only this closely.
        if score.ndim == 2 and (np.abs(score.sum(axis=1) - 1) > 1e-3).any():
            return "the class probabilities of a row do not add up to 1"
    return None


def measure(task: Task, name: str | Metric, y: ArrayLike, score: ArrayLike) -> Measurement:
    """Measure one metric; None with a reason where the rows do not allow it, or a team's own metric has no value.

    Raises:
        UnknownMetric: the task has no such metric.
        ShapesDiffer: labels and scores are not of the same rows.

    >>> measure(Task.BINARY, "roc_auc", [1, 1], [0.2, 0.9])
    Measurement(metric='roc_auc', value=None, rows=2, reason='all 2 labels are of one class (1)')
    """
    metric = metric_of(task, name)
    labels = as_floats("y", y)
    scores = as_floats("score", score, len(labels), matrix=task is Task.MULTICLASS)
    reason = why_unusable(metric, task, labels, scores)
    if reason is not None:
        return Measurement(metric.name, None, len(labels), reason)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            value = metric.value(labels, scores)
    except OwnMetricFailed as error:
        return Measurement(metric.name, None, len(labels), str(error))
    if not np.isfinite(value):
        return Measurement(metric.name, None, len(labels), "the values are too large to be squared and summed")
    return Measurement(metric.name, value, len(labels))


def measure_all(
    task: Task, y: ArrayLike, score: ArrayLike, names: Iterable[str | Metric] | None = None
) -> dict[str, Measurement]:
    """Measure the named metrics, by default all of the task, by name."""
    return {str(name): measure(task, name, y, score) for name in (METRICS[task] if names is None else names)}
