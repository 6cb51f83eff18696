"""Whether rows allow a metric, and its value where they do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from include.domain.metrics.kinds import Floats, Metric, OwnMetricFailed, ShapesDiffer, Task
from include.domain.metrics.registry import METRICS, metric_of


@dataclass(frozen=True, slots=True)
class Measurement:
    """A metric's value, or None with the ``reason`` it has none, as a clause: ``3 of 500 scores are missing``."""

    metric: str
    value: float | None
    rows: int
    reason: str | None = None


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
        return metric.bad_labels(y, classes) if metric.bad_labels is not None else None
    strange = int(((y < 0) | (y >= classes) | (y != np.floor(y))).sum())
    if strange:
        return f"{strange:,} of {n:,} labels are no class position between 0 and {classes - 1}"
    if metric.needs_two_classes and bool(np.all(y == y[0])):
        return f"all {n:,} labels are of one class ({y[0]:g})"
    return metric.bad_labels(y, classes) if metric.bad_labels is not None else None


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
    return metric.bad_scores(score) if metric.bad_scores is not None else None


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
        thin = metric.why_thin(labels, scores)
        return Measurement(metric.name, None, len(labels), thin or "the values are too large to be squared and summed")
    return Measurement(metric.name, value, len(labels))


def measure_all(
    task: Task, y: ArrayLike, score: ArrayLike, names: Iterable[str | Metric] | None = None
) -> dict[str, Measurement]:
    """Measure the named metrics, by default all of the task that need no setting, by name."""
    return {str(name): measure(task, name, y, score) for name in (METRICS[task] if names is None else names)}
