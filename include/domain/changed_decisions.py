"""How far two models' metrics of decisions may differ when few rows, or none, are decided differently.

Where both decide every row the same way the measured difference has no spread, and an interval of width zero would pass
a candidate that decides rare rows wrongly. Of ``d`` rows that are decided differently, the number to be expected is at
most Poisson's upper bound ``U(d)``; three for none, the rule of three. So the true difference may be larger by
``U(d) - d`` rows of the kind that moves the metric most.

Hanley and Lippman-Hand (1983), "If nothing goes wrong, is everything all right? Interpreting zero numerators", JAMA
249:1743-1745; Garwood (1936), "Fiducial limits for the Poisson distribution", Biometrika 28:437-442.
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri

from include.domain.metrics import Cells, Floats, Metric


def least_reach(
    metric: Metric, y: Floats, candidate: Floats, champion: Floats, alpha: float, weight: Floats | None = None
) -> float:
    """How much more than measured one model may be worse, at least, at ``1 - alpha``: in the metric's unit, 0 for a
    metric that is none of decisions.

    The rows of each class are taken by themselves, and the class counts whose rows could move the metric most. A row
    that has not been seen may have the largest weight.

    >>> from include.domain.metrics import Task, metric_of
    >>> y = np.repeat([1.0, 0.0], 150)
    >>> round(least_reach(metric_of(Task.BINARY, "recall(threshold=0.5)"), y, y, y, 0.05), 4)
    0.02
    """
    if metric.cells is None:
        return 0.0
    ours, count = metric.cells.of_rows(y, candidate)
    theirs, _ = metric.cells.of_rows(y, champion)
    classes = round(count**0.5)
    changed = np.bincount(ours[ours != theirs] // classes, minlength=classes).astype(np.float64)
    rows = np.bincount(theirs, weight, count).astype(np.float64)
    largest = 1.0 if weight is None else float(weight.max())
    expected = chdtri(2 * (changed + 1), alpha) / 2
    return float(np.max((expected - changed) * _moved_by_one(metric.cells, rows, classes, largest)))


def _moved_by_one(cells: Cells, rows: Floats, classes: int, by: float) -> Floats:
    """``(classes,)``: the most by which the metric moves when one row of the class is answered otherwise."""
    usual = cells.value(rows[None, :])[0]
    found = np.zeros(classes)
    for label in range(classes):
        answers = label * classes + np.arange(classes)
        given = answers[rows[answers] > 0]
        moved = np.array([_flipped(rows, int(old), int(new), by) for old in given for new in answers if new != old])
        if len(moved):
            gaps = np.abs(cells.value(moved) - usual)
            found[label] = np.max(gaps, initial=0.0, where=np.isfinite(gaps))
    return found


def _flipped(rows: Floats, old: int, new: int, by: float) -> Floats:
    moved = rows.copy()
    moved[old] -= min(by, rows[old])
    moved[new] += min(by, rows[old])
    return moved
