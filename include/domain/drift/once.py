"""Realised performance of two tables, tested once: one fixed-sample test instead of a sequence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from include.domain.blocks import block_statistic, jackknife_error
from include.domain.drift.estimated import UsualWindow
from include.domain.drift.input_drift import LEAST_WINDOWS
from include.domain.gap import Tolerated
from include.domain.metrics import Metric, OwnMetricFailed, Task, measure
from include.domain.paired_spread import at_random

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRows:
    """``n`` rows with a label and an answer each: ``y`` ``(n,)``, ``scores`` ``(n,)`` or ``(n, classes)``, and the
    window of each, ``(n,)``, where the other table is judged in windows of that length."""

    y: Floats
    scores: Floats
    windows: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class RiskRise:
    """Whether a window's mean loss is above the reference's by more than the tolerance. Risks are in the metric's unit.

    ``out_of_band`` is None with too few rows. ``allowed`` is the risk from which on it is out of band: the tolerance
    and what chance gives above the reference's.
    """

    metric: str
    out_of_band: bool | None
    reason: str
    risk: float | None
    reference_risk: float | None
    allowed: float | None
    rows: int
    reference_rows: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def risk_rise(
    reference: Floats,
    current: Floats,
    *,
    metric: str,
    tolerance: Tolerated,
    alpha: float = 0.05,
    min_rows: int = 300,
    windows: NDArray[Any] | None = None,
) -> RiskRise:
    """Compare the losses of two windows once.

    Args:
        reference: Shape (n,): losses from :func:`include.domain.losses.row_losses`.
        current: Shape (m,).
        metric: As there; of rmse the roots are compared.
        tolerance: How much more than the reference is still in band.
        alpha: The chance that a window of the same risk is out of band.
        min_rows: Fewest rows of either that are judged.
        windows: Shape (n,): the window each reference row belongs to, where the current one is a window of that length.
            With enough of them the usual variation between windows is allowed for; without, rows count as independent
            (Welch's test, one-sided).
    """
    n, m = len(reference), len(current)
    root = math.sqrt if metric == "rmse" else float
    risk, past = (root(float(x.mean())) if len(x) else None for x in (current, reference))
    if min(n, m) < min_rows or risk is None or past is None:
        reason = f"{metric} was measured on {m} labelled rows against {n}; at least {min_rows} of each are needed."
        return RiskRise(metric, None, reason, risk, past, None, m, n)
    usual = None
    if windows is not None:
        _, index = np.unique(windows, return_inverse=True)
        rows = np.bincount(index)
        usual = UsualWindow.of((np.bincount(index, weights=reference) / rows).tolist(), rows.tolist())
    if usual is not None:
        allowed = usual.high(alpha, m, float(current.var()))
        among = f" on {usual.k} reference windows"
    else:
        parts = float(reference.var(ddof=1)) / n, float(current.var(ddof=1)) / m
        spread = sum(parts)
        allowed = float(reference.mean())
        if spread > 0:
            freedom = spread**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
            allowed += float(stats.t.isf(alpha, freedom)) * math.sqrt(spread)
        among = " by chance"
    bound = root(max(allowed, 0.0)) + tolerance.amount
    out = risk > bound
    reason = (
        f"Realised {'out of' if out else 'in'} band: {metric} {risk:.4g} on {m} labelled rows, reference {past:.4g} on "
        f"{n}; up to {bound:.4g} is usual{among}, tolerance {tolerance} included."
    )
    return RiskRise(metric, out, reason, risk, past, bound, m, n)


def metric_fall(
    task: Task,
    metric: Metric,
    reference: ScoredRows,
    current: ScoredRows,
    *,
    tolerance: Tolerated,
    alpha: float = 0.05,
    min_rows: int = 300,
) -> RiskRise:
    """Compare a metric of all rows together, which no single row has, between two windows once.

    Where the reference has enough windows, a new one may be as far from their mean as they are from each other;
    without, rows count as independent: the jackknife over random groups of either, Welch's test, one-sided. Where rows
    show no spread at all, the rule of three says how far the metric may be from what was measured.

    Args:
        task: What the answers are.
        metric: What is measured; its direction says which side is out of band.
        reference: What is usual.
        current: What is judged.
        tolerance: How much worse than the reference is still in band.
        alpha: The chance that a window no worse is out of band.
        min_rows: Fewest rows of either that are judged.
    """
    n, m = len(reference.y), len(current.y)
    past, now = (measure(task, metric, rows.y, rows.scores) for rows in (reference, current))

    def unjudged(why: str) -> RiskRise:
        return RiskRise(metric.name, None, why, now.value, past.value, None, m, n)

    if min(n, m) < min_rows:
        return unjudged(
            f"{metric} was measured on {m} labelled rows against {n}; at least {min_rows} of each are needed."
        )
    for which, found, rows in (("reference", past, reference), ("current", now, current)):
        why = found.reason if found.value is None else metric.why_thin(rows.y, rows.scores)
        if why is not None:
            return unjudged(f"{metric} of the {which} rows is no evidence: {why}.")
    if past.value is None or now.value is None:
        return unjudged(f"{metric} has no value.")
    sign, usual = metric.worse_sign, _of_windows(task, metric, reference)
    if usual is not None:
        middle, error, freedom = usual.mean, usual.sd * math.sqrt(1 + 1 / usual.k), float(usual.k - 1)
        among = f" on {usual.k} reference windows"
    else:
        middle, among = past.value, " by chance"
        error, freedom = _of_rows(metric, reference, current)
    if not math.isfinite(error):
        return unjudged(f"{metric} of these rows has no error that could be measured.")
    reach = max(float(stats.t.isf(alpha, freedom)) * error, _least_reach(metric, current, alpha))
    bound = middle + sign * (reach + tolerance.amount)
    out = sign * (now.value - bound) > 0
    reason = (
        f"Realised {'out of' if out else 'in'} band: {metric} {now.value:.4g} on {m} labelled rows, reference "
        f"{past.value:.4g} on {n}; {'up' if sign > 0 else 'down'} to {bound:.4g} is usual{among}, tolerance "
        f"{tolerance} included."
    )
    return RiskRise(metric.name, out, reason, now.value, past.value, bound, m, n)


def _of_windows(task: Task, metric: Metric, rows: ScoredRows) -> UsualWindow | None:
    """How the metric varies between the reference's windows; None with too few in which it has a value."""
    if rows.windows is None:
        return None
    values, counts = [], []
    for window in np.unique(rows.windows):
        inside = rows.windows == window
        found = measure(task, metric, rows.y[inside], rows.scores[inside])
        if found.value is not None and metric.why_thin(rows.y[inside], rows.scores[inside]) is None:
            values.append(found.value)
            counts.append(int(inside.sum()))
    return UsualWindow.of(values, counts) if len(values) >= LEAST_WINDOWS else None


def _of_rows(metric: Metric, *windows: ScoredRows) -> tuple[float, float]:
    """The standard error of the difference of two independent windows, and its degrees of freedom."""
    squares, freedoms = [], []
    for rows in windows:
        groups = at_random(len(rows.y))
        try:
            statistic = block_statistic(metric, rows.y, rows.scores, groups)
            squares.append(jackknife_error(statistic, groups.count) ** 2)
        except OwnMetricFailed:
            return math.nan, 1.0
        freedoms.append(groups.count - 1)
    total = sum(squares)
    below = sum(each**2 / freedom for each, freedom in zip(squares, freedoms, strict=True))
    return math.sqrt(total), total**2 / below if below > 0 else float(min(freedoms))


def _least_reach(metric: Metric, rows: ScoredRows, alpha: float) -> float:
    """How far a share may be from what is measured on its rows, by the rule of three; 0 where it is no such metric."""
    if metric.cells is None:
        return 0.0
    support = metric.support(rows.y, rows.scores).rows if metric.support is not None else len(rows.y)
    return -math.log(alpha) / max(support, 1)
