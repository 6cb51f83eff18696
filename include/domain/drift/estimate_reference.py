"""What a version's losses are estimated with and compared with, and the check of it on held-out days.

Every estimate is first made on held-out days by an estimator that was fitted on the other days; what it missed, day by
day, is kept with the version. :mod:`include.domain.drift.estimated` says what is judged by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.domain.drift.calibration import (
    BadEstimate,
    Calibration,
    Floats,
    expected_of,
    fit_calibration,
    losses_by_class,
)
from include.domain.drift.label_shift import LabelShift, label_shift
from include.domain.drift.loss_trees import LossTrees
from include.domain.losses import losses_by_day, row_losses
from include.domain.metrics import Metric
from include.domain.wording import count_of

FOLDS = 5
"""Blocks of days; each is estimated by what was fitted on the others."""


@dataclass(frozen=True, slots=True)
class DayEstimate:
    """The mean loss of one held-out day: as estimated from the other days, and as it was."""

    day: str
    rows: int
    estimated: float
    realised: float


@dataclass(frozen=True, slots=True)
class EstimateReference:
    """What a version's losses are estimated with and compared with; kept with the version.

    ``calibration`` is a classifier's, ``trees`` a regression's. ``skill`` is the correlation of estimated and realised
    losses over the held-out rows, each estimated from the other days; 0 where either does not vary. ``shares`` are
    those of the classes among the held-out rows, in the order of the outputs; empty where they were not kept.
    """

    metric: str
    days: tuple[DayEstimate, ...]
    skill: float
    calibration: Calibration | None = None
    trees: LossTrees | None = None
    shares: tuple[float, ...] = ()

    @property
    def rows(self) -> int:
        return sum(d.rows for d in self.days)

    @property
    def realised(self) -> float:
        """The mean realised loss of the held-out rows."""
        return math.fsum(d.rows * d.realised for d in self.days) / self.rows if self.rows else math.nan

    @property
    def bias(self) -> float:
        """How much the estimates were above the realised losses of the held-out rows."""
        return math.fsum(d.rows * (d.estimated - d.realised) for d in self.days) / self.rows if self.rows else math.nan

    def as_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "days": [asdict(d) for d in self.days],
            "skill": self.skill,
            "calibration": self.calibration.as_json() if self.calibration else None,
            "trees": self.trees.as_json() if self.trees else None,
            "shares": list(self.shares),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EstimateReference:
        return cls(
            metric=str(data["metric"]),
            days=tuple(DayEstimate(**d) for d in data["days"]),
            skill=float(data["skill"]),
            calibration=Calibration.from_json(data["calibration"]) if data["calibration"] else None,
            trees=LossTrees.from_json(data["trees"]) if data["trees"] else None,
            shares=tuple(map(float, data.get("shares", ()))),
        )

    def label_shift(self, metric: str | Metric, scores: NDArray[Any]) -> LabelShift | None:
        """What the loss of the rows would be, were only the classes' shares to have changed.

        Args:
            metric: As in :func:`include.domain.drift.calibration.expected_losses`.
            scores: Shape (n,) or (n, classes); rows that are not finite are left out.

        Returns:
            None of a regression, without rows, or where the shares were not kept or a class had no row.
        """
        if self.calibration is None or not self.shares or min(self.shares) <= 0:
            return None
        usable = scores[np.isfinite(scores).reshape(len(scores), -1).all(axis=1)]
        return label_shift(metric, usable, self.calibration(usable), self.shares) if len(usable) else None


def cross_fitted(days: Sequence[str], estimate: Callable[[NDArray[np.intp], NDArray[np.intp]], Floats]) -> Floats:
    """Estimate each row from the other blocks of days, shape (n,).

    Args:
        days: Shape (n,): each row's ``YYYY-MM-DD``; rows of one day stay in one block.
        estimate: Fits on the rows of the first index and estimates those of the second.
    """
    names, index = np.unique(np.asarray(days, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise BadEstimate(
            f"Losses are estimated from other days; it takes two or more, and the reference has "
            f"{count_of(len(names), 'day')}."
        )
    block = np.arange(len(names)) * min(FOLDS, len(names)) // len(names)
    of_row, found = block[index], np.empty(len(index))
    for i in range(int(block.max()) + 1):
        found[of_row == i] = estimate(np.flatnonzero(of_row != i), np.flatnonzero(of_row == i))
    return found


def estimate_reference(
    metric: str,
    days: Sequence[str],
    realised: Floats,
    estimated: Floats,
    *,
    calibration: Calibration | None = None,
    trees: LossTrees | None = None,
    weights: Floats | None = None,
) -> EstimateReference:
    """Sum up a check on held-out rows; ``estimated`` is from :func:`cross_fitted`, and ``weights`` says how much each
    row counts, ``(n,)``: a day's means are weighted, and its rows are as many as they are worth."""
    if weights is not None:
        counts = weights > 0
        days, realised, estimated = np.asarray(days, dtype=str)[counts].tolist(), realised[counts], estimated[counts]
        weights = weights[counts]
    by_day = [losses_by_day(days, each, weights) for each in (estimated, realised)]
    varies = len(realised) > 1 and np.ptp(estimated) > 0 and np.ptp(realised) > 0
    skill = float(np.corrcoef(estimated, realised)[0, 1]) if varies else 0.0
    found = tuple(DayEstimate(d.day, d.rows, d.mean, r.mean) for d, r in zip(*by_day, strict=True))
    return EstimateReference(metric, found, skill if math.isfinite(skill) else 0.0, calibration, trees)


def classifier_reference(
    metric: str | Metric,
    days: Sequence[str],
    labels: NDArray[Any],
    scores: NDArray[Any],
    weights: Floats | None = None,
) -> EstimateReference:
    """The reference of a classifier from its held-out rows: the calibration on all of them, the check across days.

    Args:
        metric: As in :func:`include.domain.drift.calibration.expected_losses`. It is asked about all rows at once:
            one of declared SQL knows what else is known of these very rows.
        days: Shape (n,): each row's day.
        labels: Shape (n,): class indices.
        scores: Shape (n,) or (n, classes).
        weights: Shape (n,): how much each row counts; None where all count the same. With weights the classes' shares
            are not kept: what a row weighs is not known of the rows that label shift would be found in.
    """
    y, s = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    by_class = losses_by_class(metric, s)

    def estimate(known: NDArray[np.intp], asked: NDArray[np.intp]) -> Floats:
        of_known = None if weights is None else weights[known]
        return expected_of(by_class[asked], fit_calibration(y[known], s[known], of_known)(s[asked]))

    estimated = cross_fitted(days, estimate)
    found = estimate_reference(
        str(metric),
        days,
        row_losses(metric, y, s),
        estimated,
        calibration=fit_calibration(y, s, weights),
        weights=weights,
    )
    if weights is not None:
        return found
    counts = np.bincount(y.astype(np.intp), minlength=2 if s.ndim == 1 else s.shape[1])
    return replace(found, shares=tuple(float(share) for share in counts / len(y)))
