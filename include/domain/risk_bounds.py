"""The bounds of a risk from some day on, beside the reference's: of each stretch of rows, or from a change of days on.

**The bounds.** The interval of the difference is split between the two risks in proportion to their variances.
Neither part is an interval of its own; together they make "lower bound of the current risk > upper bound of the
reference's + tolerance" the verdict.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from include.domain.drift.e_detector import Rise, rise
from include.domain.drift.sequences import bernstein_bound, least_t_bound, t_bound
from include.domain.gap import Gap, Tolerated
from include.domain.losses import BOUNDED, DayLoss

DAY_SCALE = 1.0
"""The rise for which the test is tuned, in standard deviations between days: a champion is worth replacing when an
ordinary day is as bad as one of the bad ones was."""


class Unit(Enum):
    """What counts as one independent observation of the risk."""

    DAY = "day"
    ROW = "row"


@dataclass(frozen=True, slots=True)
class Band:
    """The band that a version's risk is compared with.

    Attributes:
        metric: As in :func:`include.domain.losses.row_losses`.
        tolerance: How much more than the reference is still in band, in the metric's unit.
        alpha: By rows, and for estimates, the chance that a version in its band is called out of it.
        run_length_days: By days, how many days in band there are on average before one is called out of it; more
            than 1.
        share: Of the gap, where the tolerance was declared as one; it is the amount already.
        gap: Where the reference is between the naive baseline and a perfect model; None where not measured.
    """

    metric: str
    tolerance: float
    alpha: float = 0.05
    run_length_days: float = 365.0
    share: float | None = None
    gap: Gap | None = None

    @property
    def tolerated(self) -> Tolerated:
        """The tolerance with what it is of the gap."""
        return Tolerated(self.tolerance, self.share, self.gap)


@dataclass(frozen=True, slots=True)
class RiskSince:
    """One sequence's bounds in the loss's own unit; None where there is no finite one."""

    cohorts: tuple[DayLoss, ...]
    risk: float
    low: float | None
    high: float | None
    reference_high: float | None

    @property
    def excess(self) -> float:
        """How far the lower bound is above the reference's upper one; the sequence with the largest decides."""
        return -math.inf if self.low is None or self.reference_high is None else self.low - self.reference_high


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Cohorts as arrays, ``(days,)`` each."""

    rows: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, cohorts: Sequence[DayLoss]) -> _Columns:
        return cls(*(np.array([getattr(c, name) for c in cohorts], float) for name in ("rows", "total", "squares")))

    def since(self, start: int) -> _Columns:
        return _Columns(self.rows[start:], self.total[start:], self.squares[start:])


class ReferenceRisk:
    """The reference, prepared once, with which each sequence is compared."""

    def __init__(self, metric: str, tolerance: float, alpha: float, unit: Unit, past: tuple[DayLoss, ...]) -> None:
        self.metric, self.tolerance, self.alpha, self.unit, self.past = metric, tolerance, alpha, unit, past
        self._past = _Columns.of(past)
        self.rows = sum(c.rows for c in past)
        # A day counts by its rows up to those of a typical day: a nearly empty one is noise, and no single busy one,
        # however busy, is the evidence of many days.
        self.typical_rows = float(np.median(self._past.rows))
        self.risk = self.mean(past)
        self.spread = float(_summaries(self._past)[2][0])

    def mean(self, cohorts: tuple[DayLoss, ...]) -> float:
        """Of the rows, or of the days by their weights."""
        columns = _Columns.of(cohorts)
        if self.unit is Unit.ROW:
            return float(columns.total.sum()) / float(columns.rows.sum())
        weights = np.minimum(columns.rows / self.typical_rows, 1.0)
        return float((weights * columns.total / columns.rows).sum()) / float(weights.sum())

    def worst(self, now: tuple[DayLoss, ...], window_days: int, min_rows: int) -> RiskSince | None:
        """Of the sequences of rows the one whose lower bound is farthest above the reference's upper one; None when
        none has the rows.

        A bound takes a root to find. So the sequences are taken in the order of what their excess may be at most, and
        the search ends where none that is left can be the worst.
        """
        if not now:
            return None
        days, columns = [c.day for c in now], _Columns.of(now)
        rows, summaries = _from_each_on(columns.rows), _summaries(columns)
        lanes: list[_Lane] = []
        for order, first in enumerate(_starts(now, window_days)):
            start = bisect_left(days, first)
            if rows[start] >= min_rows:
                part = self.alpha / ((order + 1) * (order + 2))
                summary = (float(values[start]) for values in summaries)
                lanes.append(_Lane(start, part, columns.since(start), *summary))
        if not lanes:
            return None
        at_most = self._excess_at_most(lanes)
        best: RiskSince | None = None
        for i in np.argsort(-at_most, kind="stable"):
            if best is not None and best.excess >= at_most[i]:
                break
            found = self._sequence(lanes[i], now, window_days)
            best = found if best is None or found.excess > best.excess else best
        return best

    def _excess_at_most(self, lanes: Sequence[_Lane]) -> NDArray[np.float64]:
        """``(lanes,)``: the excess with the least bounds there can be; with none where they are Bernstein's."""
        gap = np.array([lane.risk - self.risk for lane in lanes])
        if self.metric in BOUNDED:
            return gap
        freedom, precision, spread = (
            np.array([value(lane) for lane in lanes]) for value in (self._freedom, self._precision, self._pooled)
        )
        half = least_t_bound(freedom, np.array([lane.alpha for lane in lanes])) * np.sqrt(spread / freedom * precision)
        # Slightly more, so that rounding never ends the search too early.
        return np.asarray(gap - half * (1 - 1e-9), dtype=np.float64)

    def _freedom(self, lane: _Lane) -> float:
        return float(self.rows + int(lane.rows) - 2)

    def _precision(self, lane: _Lane) -> float:
        return 1 / self.rows + 1 / lane.rows

    def _pooled(self, lane: _Lane) -> float:
        return self.spread + lane.spread

    def _sequence(self, lane: _Lane, now: tuple[DayLoss, ...], window_days: int) -> RiskSince:
        cohorts = now[lane.start :]
        if self.metric in BOUNDED:
            return self._bernstein(lane, cohorts, window_days)
        # In rows the same rise is smaller by the root of a day's rows: the scale is that of a day of independent rows.
        scale = DAY_SCALE / math.sqrt(self.typical_rows)
        freedom, precision = self._freedom(lane), self._precision(lane)
        far = t_bound(freedom, 1 / precision, scale, lane.alpha)
        if not math.isfinite(far):
            return RiskSince(cohorts, lane.risk, None, None, None)
        half = far * math.sqrt(self._pooled(lane) / freedom * precision)
        part = 1 / lane.rows / precision
        return RiskSince(
            cohorts, lane.risk, lane.risk - half * part, lane.risk + half * part, self.risk + half * (1 - part)
        )

    def _bernstein(self, lane: _Lane, cohorts: tuple[DayLoss, ...], window_days: int) -> RiskSince:
        """Half of alpha for the current rows' sequence, half for the reference's bound."""
        alpha, risk, per_row = lane.alpha, lane.risk, self.spread / self.rows
        planned = per_row * self.typical_rows * window_days
        half = bernstein_bound(int(lane.rows), _prediction_errors(lane.cohorts, self.risk), planned, alpha / 2)
        above = bernstein_bound(self.rows, _prediction_errors(self._past, 0.5), per_row * self.rows, alpha / 2)
        return RiskSince(cohorts, risk, max(risk - half, 0.0), min(risk + half, 1.0), min(self.risk + above, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class _Lane:
    """A sequence before its bounds are known: where it starts, its share of alpha, and its summary."""

    start: int
    alpha: float
    cohorts: _Columns
    rows: float
    risk: float
    spread: float


def _summaries(cohorts: _Columns) -> tuple[NDArray[np.float64], ...]:
    """The rows from each day on, their mean, and the sum of their squared deviations from it; ``(days,)`` each."""
    rows, total, squares = (_from_each_on(x) for x in (cohorts.rows, cohorts.total, cohorts.squares))
    return rows, total / rows, np.maximum(squares - total * total / rows, 0.0)


def _from_each_on(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n,)``: the sum of the values from each to the last."""
    return np.asarray(np.cumsum(values[::-1])[::-1], dtype=np.float64)


def _prediction_errors(cohorts: _Columns, first: float) -> float:
    """The sum over rows of (loss - prediction) squared, each day predicted by the mean of all days before it."""
    before = np.cumsum(cohorts.total)[:-1] / np.cumsum(cohorts.rows)[:-1]
    guess = np.concatenate([[first], before])
    errors = cohorts.squares - 2 * guess * cohorts.total + cohorts.rows * guess * guess
    return float(np.maximum(errors, 0.0).sum())


@dataclass(frozen=True, slots=True)
class DetectedRise:
    """What the e-detector says of the days, and as a sequence from the change point on."""

    found: Rise
    sequence: RiskSince | None

    @classmethod
    def of(cls, judge: ReferenceRisk, now: tuple[DayLoss, ...], band: Band) -> DetectedRise:
        past, days = (_whole_days(cohorts, judge.typical_rows) for cohorts in (judge.past, now))
        shift = _in_loss(judge, band)
        means = np.array([d.total / d.rows for d in days])
        found = rise([d.total / d.rows for d in past], means - shift, run_length_days=band.run_length_days)
        if found.since is None:
            return cls(found, None)
        lane = days[found.shown :]
        risk, counted = judge.mean(lane), found.mean + shift
        if not math.isfinite(found.half):
            return cls(found, RiskSince(lane, risk, None, None, None))
        part = found.share * found.half
        bounds = counted - part, max(risk, counted) + part, found.usual + found.half - part
        return cls(found, RiskSince(lane, risk, *bounds))


def _in_loss(judge: ReferenceRisk, band: Band) -> float:
    """The tolerance in the loss's own unit: rmse is declared as a root."""
    if band.metric != "rmse":
        return band.tolerance
    usual = math.sqrt(judge.risk)
    return (usual + band.tolerance) ** 2 - usual**2


def _whole_days(cohorts: tuple[DayLoss, ...], typical_rows: float) -> tuple[DayLoss, ...]:
    """The days in order, each with at least a third of a typical day's rows: smaller ones are joined to the next, and
    the last to the one before it."""
    found: list[DayLoss] = []
    waiting: DayLoss | None = None
    for each in cohorts:
        day = each if waiting is None else _joined(waiting, each)
        waiting = day if day.rows < typical_rows / 3 else None
        if waiting is None:
            found.append(day)
    if waiting is not None:
        found = [*found[:-1], _joined(found[-1], waiting)] if found else [waiting]
    return tuple(found)


def _joined(first: DayLoss, second: DayLoss) -> DayLoss:
    return DayLoss(first.day, first.rows + second.rows, first.total + second.total, first.squares + second.squares)


def _starts(cohorts: Sequence[DayLoss], window_days: int) -> list[str]:
    """The day the version's first cohort has, and every ``window_days`` after it up to the last cohort."""
    if not cohorts:
        return []
    first, last = (date.fromisoformat(cohorts[i].day) for i in (0, -1))
    return [(first + timedelta(days=d)).isoformat() for d in range(0, (last - first).days + 1, window_days)]
