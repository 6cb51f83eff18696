"""Realised performance of two tables, tested once: one fixed-sample test instead of a sequence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from include.domain.drift.estimated import UsualWindow

Floats = NDArray[np.float64]


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
    tolerance: float,
    alpha: float = 0.05,
    min_rows: int = 300,
    windows: NDArray[Any] | None = None,
) -> RiskRise:
    """Compare the losses of two windows once.

    Args:
        reference: Shape (n,): losses from :func:`include.domain.losses.row_losses`.
        current: Shape (m,).
        metric: As there; of rmse the roots are compared.
        tolerance: How much more than the reference is still in band, in the metric's unit.
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
    bound = root(max(allowed, 0.0)) + tolerance
    out = risk > bound
    reason = (
        f"Realised {'out of' if out else 'in'} band: {metric} {risk:.4g} on {m} labelled rows, reference {past:.4g} on "
        f"{n}; up to {bound:.4g} is usual{among}, tolerance {tolerance:g} included."
    )
    return RiskRise(metric, out, reason, risk, past, bound, m, n)
