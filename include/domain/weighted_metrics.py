"""Metrics of rows that count differently; without weights as in ``metrics``."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from include.domain.blocks import weighted_value
from include.domain.metrics import (
    Floats,
    Measurement,
    Metric,
    OwnMetricFailed,
    Task,
    as_floats,
    measure,
    metric_of,
    why_unusable,
)


def measure_weighted(
    task: Task, name: str | Metric, y: ArrayLike, score: ArrayLike, weight: Floats | None
) -> Measurement:
    """Measure one metric with the weights of the rows, ``(n,)``, each above 0; None with a reason as ``measure``.

    Raises:
        UnknownMetric, ShapesDiffer: as ``measure``.
    """
    if weight is None:
        return measure(task, name, y, score)
    metric, labels = metric_of(task, name), as_floats("y", y)
    scores = as_floats("score", score, len(labels), matrix=task is Task.MULTICLASS)
    as_floats("weight", weight, len(labels))
    reason, value = why_unusable(metric, task, labels, scores), float("nan")
    if reason is None:
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                value = weighted_value(metric, labels, scores, weight)
        except OwnMetricFailed as error:
            reason = str(error)
    if reason is None and not np.isfinite(value):
        reason = metric.why_thin(labels, scores) or "the values are too large to be squared and summed"
    return Measurement(metric.name, None if reason is not None else value, len(labels), reason)
