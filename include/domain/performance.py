"""Realised performance: is the champion's risk on matured labels above its reference's by more than the tolerance?

**The unit of evidence is the day, by default.** Rows of one day share its weather, its outage, its holiday: with about
900 rows a day and a standard deviation of 0.03 between days in the Brier score, a week of rows taken as independent
claims five times the precision it has, and with a tolerance of 0.01 calls a champion that did not change out of its
band within two months in three to six of ten cases. Taken by days, in at most one of twenty; and a rise from
0.14 to 0.18 is found within two weeks more often than not, given two weeks of holdout and no tolerance, or four weeks
and 0.005 (simulated; see the tests). ``Unit.ROW`` asks another question, and is the right unit where rows are
exchangeable: was the risk *on these very rows* above the reference's, whatever made it so? Then the tolerance alone
must allow for bad weeks.

**Any time.** A sequence starts on the first day of the model version and a further one every ``window_days``, so that
late drift is not diluted by the quiet weeks before it. The j-th sequence spends ``alpha / ((j + 1) (j + 2))``; they
sum to alpha. So a champion that stays in its band is *ever* called out with probability at most alpha, however often
one looks.

**The bounds.** The interval of the difference is split between the two risks in proportion to their variances.
Neither part is an interval of its own; together they make "lower bound of the current risk > upper bound of the
reference's + tolerance" the sharp two-sample test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.domain.drift.sequences import bernstein_bound, t_bound

BOUNDED = frozenset({"brier", "error"})
"""Losses in [0, 1]. The others have no upper end, and their row sequence is asymptotic."""

DAY_SCALE = 1.0
"""The rise that is looked for first, in standard deviations between days: a champion is worth replacing when an
ordinary day is as bad as one of the bad ones was."""


class Unit(Enum):
    """What counts as one independent observation of the risk."""

    DAY = "day"
    ROW = "row"


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


@dataclass(frozen=True, slots=True)
class RealisedPerformance:
    """The verdict on matured labels. Risks are in the metric's unit; rmse is the root of the mean squared error.

    ``out_of_band`` is None when there was too little to judge. ``low``, ``high`` and ``reference_high`` are None
    where no finite bound exists yet. ``recent_risk`` is the risk of the last ``window_days`` alone.
    """

    metric: str
    unit: Unit
    out_of_band: bool | None
    reason: str
    risk: float | None
    low: float | None
    high: float | None
    recent_risk: float | None
    reference_risk: float | None
    reference_high: float | None
    tolerance: float
    alpha: float
    rows: int
    days: int
    since: str | None
    until: str | None
    reference_rows: int
    reference_days: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"unit": self.unit.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RealisedPerformance:
        return cls(**(dict(data) | {"unit": Unit(data["unit"])}))


def row_losses(metric: str, labels: NDArray[Any], predictions: NDArray[Any]) -> NDArray[np.float64]:
    """The loss of each row, 0 or more; lower is better.

    Args:
        metric: ``brier`` (multiclass: half the squared distance, so that it stays in [0, 1]), ``log_loss`` (natural
            logarithm, probabilities clipped to 1e-15), ``error`` (share of wrong classes, a tie at 0.5 counts as the
            positive
            class), ``mae``, or ``rmse`` (the squared error: its mean's root is the rmse).
        labels: Shape (n,): class indices (0 and 1 for binary), or numbers for regression.
        predictions: Shape (n,): the positive class's probability or the predicted number; (n, classes): probabilities.

    Raises:
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
    if metric in ("mae", "rmse"):
        gap = np.abs(p - y)
        return np.asarray(gap if metric == "mae" else gap * gap, dtype=np.float64)
    if metric not in ("brier", "log_loss", "error"):
        raise BadLoss(f"{metric!r} is no loss; allowed are brier, log_loss, error, mae and rmse.")
    both = p if p.ndim == 2 else np.column_stack([1 - p, p])
    if both.size and (both.min() < 0 or both.max() > 1):
        raise BadLoss(f"{metric} needs probabilities in [0, 1]; they reach from {p.min():g} to {p.max():g}.")
    classes = y.astype(np.int64)
    if y.size and (np.any(classes != y) or classes.min() < 0 or classes.max() >= both.shape[1]):
        raise BadLoss(
            f"{metric} needs class indices from 0 to {both.shape[1] - 1}; labels reach from {y.min():g} to {y.max():g}."
        )
    each = np.arange(len(y))
    if metric == "log_loss":
        return np.asarray(-np.log(np.clip(both[each, classes], 1e-15, 1.0)), dtype=np.float64)
    if metric == "error":
        chosen = both.argmax(axis=1) if p.ndim == 2 else (p >= 0.5).astype(np.int64)
        return np.asarray(chosen != classes, dtype=np.float64)
    truth = np.zeros_like(both)
    truth[each, classes] = 1
    apart: NDArray[np.float64] = ((both - truth) ** 2).sum(axis=1) / 2
    return apart


def losses_by_day(days: Sequence[str], losses: NDArray[np.float64]) -> tuple[DayLoss, ...]:
    """The cohorts of one window, by day in order; ``days`` gives each row's ``YYYY-MM-DD``."""
    names, index = np.unique(np.asarray(days, dtype=str), return_inverse=True)
    rows = np.bincount(index, minlength=len(names))
    total = np.bincount(index, weights=losses, minlength=len(names))
    squares = np.bincount(index, weights=losses * losses, minlength=len(names))
    return tuple(
        DayLoss(str(d), int(n), float(s), float(q)) for d, n, s, q in zip(names, rows, total, squares, strict=True)
    )


def merged_losses(*windows: Iterable[DayLoss]) -> tuple[DayLoss, ...]:
    """The days of all windows in order; the cohorts of one day are added."""
    days: dict[str, DayLoss] = {}
    for cohort in (c for window in windows for c in window):
        old = days.get(cohort.day, DayLoss(cohort.day, 0, 0.0, 0.0))
        days[cohort.day] = DayLoss(
            cohort.day, old.rows + cohort.rows, old.total + cohort.total, old.squares + cohort.squares
        )
    return tuple(days[day] for day in sorted(days))


def realised_performance(
    reference: Iterable[DayLoss],
    current: Iterable[DayLoss],
    *,
    metric: str,
    tolerance: float,
    window_days: int = 7,
    alpha: float = 0.05,
    min_rows: int = 1000,
    unit: Unit = Unit.DAY,
) -> RealisedPerformance:
    """Judge the matured cohorts of one model version against its reference.

    Args:
        reference: The version's losses on its holdout, by day.
        current: Every matured cohort since the version became champion; leave out cohorts whose label window is open.
        metric: As in :func:`row_losses`.
        tolerance: How much more than the reference is still in band, in the metric's unit.
        window_days: A further sequence starts after as many days; also the days whose own risk must be above the
            band, so that an old excursion that is over raises no alarm.
        alpha: The chance that a version in its band is ever called out of it.
        min_rows: Fewest rows of a sequence, and of the reference, that are judged.
        unit: What counts as one observation; see the module.
    """
    past = tuple(c for c in merged_losses(reference) if c.rows)
    now = tuple(c for c in merged_losses(current) if c.rows)
    rows, reference_rows = sum(c.rows for c in now), sum(c.rows for c in past)
    judge = _Judge(metric, tolerance, alpha, unit, past) if len(past) > 1 and reference_rows >= min_rows else None
    best: _Sequence | None = None
    if judge is not None:
        for order, start in enumerate(_starts(now, window_days)):
            lane = tuple(c for c in now if c.day >= start)
            if sum(c.rows for c in lane) >= min_rows:
                found = judge.sequence(lane, alpha / ((order + 1) * (order + 2)), window_days)
                best = found if best is None or found.excess > best.excess else best
    recent = tuple(c for c in now if c.day >= _days_before(now[-1].day, window_days - 1)) if now else ()
    shown = _Shown(metric, judge, best, recent)
    if best is None or best.low is None:
        out, reason = None, _too_little(metric, rows, len(now), reference_rows, len(past), min_rows)
    else:
        out, reason = shown.verdict(tolerance, window_days)
    lane = best.cohorts if best else now
    return RealisedPerformance(
        metric=metric,
        unit=unit,
        out_of_band=out,
        reason=reason,
        risk=shown.root(best.risk) if best else None,
        low=shown.root(best.low) if best else None,
        high=shown.root(best.high) if best else None,
        recent_risk=shown.recent,
        reference_risk=shown.root(judge.risk) if judge else None,
        reference_high=shown.root(best.reference_high) if best else None,
        tolerance=tolerance,
        alpha=alpha,
        rows=sum(c.rows for c in lane),
        days=len(lane),
        since=lane[0].day if lane else None,
        until=lane[-1].day if lane else None,
        reference_rows=reference_rows,
        reference_days=len(past),
    )


@dataclass(frozen=True, slots=True)
class _Sequence:
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


class _Judge:
    """The reference, prepared once, against which each sequence is held."""

    def __init__(self, metric: str, tolerance: float, alpha: float, unit: Unit, past: tuple[DayLoss, ...]) -> None:
        self.metric, self.tolerance, self.alpha, self.unit, self.past = metric, tolerance, alpha, unit, past
        self.rows = sum(c.rows for c in past)
        # A day counts by its rows up to those of a typical day: a nearly empty one is noise, and no single busy one,
        # however busy, is the evidence of many days.
        self.typical_rows = float(np.median([c.rows for c in past]))
        self.weight, self.risk, self.spread = self._summary(past)

    def _summary(self, cohorts: tuple[DayLoss, ...]) -> tuple[float, float, float]:
        """Weight in units, mean, and the weighted sum of squared deviations from it."""
        if self.unit is Unit.ROW:
            rows, total = sum(c.rows for c in cohorts), math.fsum(c.total for c in cohorts)
            spread = math.fsum(c.squares for c in cohorts) - total * total / rows
            return float(rows), total / rows, max(spread, 0.0)
        weights = np.minimum([c.rows / self.typical_rows for c in cohorts], 1.0)
        means = np.array([c.mean for c in cohorts])
        mean = float(np.average(means, weights=weights))
        return float(weights.sum()), mean, float((weights * (means - mean) ** 2).sum())

    def sequence(self, cohorts: tuple[DayLoss, ...], alpha: float, window_days: int) -> _Sequence:
        if self.unit is Unit.ROW and self.metric in BOUNDED:
            return self._bernstein(cohorts, alpha, window_days)
        weight, risk, spread = self._summary(cohorts)
        units = len(self.past) + len(cohorts) if self.unit is Unit.DAY else self.rows + int(weight)
        freedom = float(units - 2)
        # In rows the same rise is smaller by the root of a day's rows: the scale is that of a day of independent rows.
        scale = DAY_SCALE if self.unit is Unit.DAY else DAY_SCALE / math.sqrt(self.typical_rows)
        precision = 1 / self.weight + 1 / weight
        far = t_bound(freedom, 1 / precision, scale, alpha)
        if not math.isfinite(far):
            return _Sequence(cohorts, risk, None, None, None)
        half = far * math.sqrt((self.spread + spread) / freedom * precision)
        part = 1 / weight / precision
        return _Sequence(cohorts, risk, risk - half * part, risk + half * part, self.risk + half * (1 - part))

    def _bernstein(self, cohorts: tuple[DayLoss, ...], alpha: float, window_days: int) -> _Sequence:
        """Half of alpha for the current rows' sequence, half for the reference's bound."""
        rows, risk, _ = self._summary(cohorts)
        per_row = self.spread / self.rows
        planned = per_row * self.typical_rows * window_days
        half = bernstein_bound(int(rows), _prediction_errors(cohorts, self.risk), planned, alpha / 2)
        above = bernstein_bound(self.rows, _prediction_errors(self.past, 0.5), per_row * self.rows, alpha / 2)
        return _Sequence(cohorts, risk, max(risk - half, 0.0), min(risk + half, 1.0), min(self.risk + above, 1.0))


def _prediction_errors(cohorts: Iterable[DayLoss], first: float) -> float:
    """The sum over rows of (loss - prediction) squared, each day predicted by the mean of all days before it."""
    rows, total, errors, guess = 0, 0.0, 0.0, first
    for c in cohorts:
        errors += max(c.squares - 2 * guess * c.total + c.rows * guess * guess, 0.0)
        rows, total = rows + c.rows, total + c.total
        guess = total / rows
    return errors


class _Shown:
    """The numbers as a person reads them: in the metric's unit, with the sentence."""

    def __init__(self, metric: str, judge: _Judge | None, best: _Sequence | None, recent: tuple[DayLoss, ...]) -> None:
        self.metric, self.judge, self.best = metric, judge, best
        self.recent = self.root(judge._summary(recent)[1]) if judge and recent else None

    def root(self, value: float | None) -> float | None:
        if value is None or self.metric != "rmse":
            return value
        return math.sqrt(max(value, 0.0))

    def verdict(self, tolerance: float, window_days: int) -> tuple[bool, str]:
        best, judge, recent = self.best, self.judge, self.recent
        low = self.root(best.low) if best else None
        high = self.root(best.reference_high) if best else None
        usual = self.root(judge.risk) if judge else None
        if best is None or low is None or high is None or usual is None or recent is None:
            raise BadLoss(f"{self.metric} has no bounds to compare.")
        risk = self.root(best.risk)
        rows, days, since = sum(c.rows for c in best.cohorts), len(best.cohorts), best.cohorts[0].day
        numbers = (
            f"{self.metric} {risk:.4g} over {rows} matured rows of {days} days since {since}, lower bound {low:.4g}; "
            f"reference {usual:.4g}, upper bound {high:.4g}, tolerance {tolerance:g}"
        )
        if low <= high + tolerance:
            return False, f"In band: {numbers}."
        if recent <= usual + tolerance:
            return False, f"In band again: the last {window_days} days have {recent:.4g}; before, {numbers}."
        return True, f"Out of band: {numbers}."


def _starts(cohorts: Sequence[DayLoss], window_days: int) -> list[str]:
    """The day the version's first cohort has, and every ``window_days`` after it up to the last cohort."""
    if not cohorts:
        return []
    first, last = (date.fromisoformat(cohorts[i].day) for i in (0, -1))
    return [(first + timedelta(days=d)).isoformat() for d in range(0, (last - first).days + 1, window_days)]


def _days_before(day: str, days: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()


def _too_little(metric: str, rows: int, days: int, reference_rows: int, reference_days: int, min_rows: int) -> str:
    if reference_days < 2 or reference_rows < min_rows:
        return (
            f"{metric} cannot be judged: the reference has {reference_rows} rows of {reference_days} days; "
            f"at least {min_rows} rows of 2 days are needed."
        )
    if rows < min_rows:
        return f"{metric} was measured on {rows} matured rows of {days} days; at least {min_rows} rows are needed."
    return f"{metric} was measured on {rows} matured rows of {days} days: too few days to tell a rise from a bad day."
