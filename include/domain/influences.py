"""What each row adds to a metric, around zero: its influence, by the metric's formula.

The mean of the influences is the metric's error to the first order (Hampel 1974, "The influence curve and its role in
robust estimation", JASA 69:383-393), so their spread and skewness are what independent rows would give it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from include.domain.delong import placements
from include.domain.metrics import Floats, Metric


def influences(metric: Metric, y: Floats, score: Floats) -> Floats | None:
    """The influence of each row on the metric's value, ``(n,)`` in the metric's unit; None where no formula is known.

    Labels and scores must be usable: finite, and of both classes where the metric needs two.

    >>> from include.domain.metrics import METRICS, Task
    >>> found = influences(METRICS[Task.REGRESSION]["mae"], np.array([0.0, 0.0]), np.array([1.0, 3.0]))
    >>> found.tolist()
    [-1.0, 1.0]
    """
    if metric.per_row is not None:
        values = metric.per_row(y, score)
        centred: Floats = values - values.mean()
        return centred
    formula = None if metric.own else _FORMULAS.get(metric.name)
    return None if formula is None else formula(y, score)


def _rmse(y: Floats, score: Floats) -> Floats:
    square = (y - score) ** 2
    root = np.sqrt(square.mean())
    found: Floats = (square - square.mean()) / (2 * root) if root > 0 else np.zeros(len(y))
    return found


def _r2(y: Floats, score: Floats) -> Floats:
    unexplained, square = (y - score) ** 2, (y - y.mean()) ** 2
    mean, variance = unexplained.mean(), square.mean()
    found: Floats = (mean * (square / variance - 1) - (unexplained - mean)) / variance
    return found


def _roc_auc(y: Floats, score: Floats) -> Floats:
    """The placements of DeLong (``delong.py``), each class weighted by how rare it is."""
    up, down = placements(y, score)
    positive, found = y == 1, np.empty(len(y))
    found[positive] = (up - up.mean()) * (len(y) / len(up))
    found[~positive] = (down - down.mean()) * (len(y) / len(down))
    return found


def _average_precision(y: Floats, score: Floats) -> Floats:
    """A row moves the precision at every positive that it scores no lower than; a positive brings its own as well."""
    n, order = len(y), np.argsort(-score, kind="stable")
    labels, ordered = y[order] == 1, score[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    run = np.searchsorted(ends, np.arange(n))
    counted = (ends + 1.0)[run]
    precision = np.cumsum(labels)[ends][run] / counted
    share = labels.mean()
    value = precision[labels].mean()

    def over_lower_positives(each: Floats) -> Floats:
        """The sum over the positives that are scored no higher than the row, those with an equal score among them."""
        below = np.cumsum((labels * each)[::-1])[::-1]
        starts = np.append(0, ends[:-1] + 1)
        found: Floats = below[starts][run]
        return found

    moved = labels * over_lower_positives(1 / counted) - over_lower_positives(precision / counted)
    found = np.empty(n)
    found[order] = (labels * (precision - value) + moved) / share
    return found


_FORMULAS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "rmse": _rmse,
    "r2": _r2,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
}
