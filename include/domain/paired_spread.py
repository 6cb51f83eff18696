"""How uncertain the difference of two models on the same rows is: over their days, and never less than over their rows.

- **Rows in days**: each day's influence is the jackknife's (what leaving the day out changes), and its bound is that of
  ``day_means``: days may resemble their neighbours, and some of them may be extreme.
- **Rows**: DeLong's for the area under the curve, Student's t with Johnson's correction for whatever a row's influence
  is known of (``influences``), and the jackknife over 50 random groups for the rest. Rows of days are at least as
  uncertain as independent ones, so the wider of both counts: rare large losses show in rows before they show in days.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri, nctdtr, ndtr, stdtrit

from include.domain.blocks import Blocks, block_statistic, ece_noise, estimate, jackknife_error
from include.domain.day_means import DaySpread, waves
from include.domain.delong import delong
from include.domain.influences import influences
from include.domain.metrics import Floats, Metric

MIN_BLOCKS = 3
"""Fewer days cannot show how much days differ."""
RANDOM_GROUPS = 50
_LARGE_FREEDOM = 10_000


@dataclass(frozen=True, slots=True)
class RowSpread:
    """The spread of a difference over independent rows: its standard error, the degrees of freedom of that error, how
    these grow with the rows, and the skewness of the difference."""

    error: float
    freedom: float
    freedom_at: Callable[[float], float]
    skew: float = 0.0

    def half(self, alpha: float, *, upper: bool) -> float:
        """How far above (else below) the difference its one-sided bound at ``1 - alpha`` is.

        Johnson (1978), "Modified t tests and confidence intervals for asymmetrical populations", JASA 73:536-544: a
        mean of losses with rare large values is mostly below its expectation, so t is widened on the side of the long
        tail. It is never narrowed on the other.
        """
        t = float(stdtrit(self.freedom, 1 - alpha))
        return (t + max(0.0, self.skew if upper else -self.skew) * (2 * t * t + 1) / 6) * self.error

    def chance(self, margin: float, scale: float, alpha: float) -> float:
        """How often an equal candidate's upper bound is within the margin on ``scale`` times as many rows.

        The error is taken at its upper quartile (chi-square), because it is estimated itself and the chance is a
        promise.
        """
        error = self.error * float(np.sqrt(self.freedom / chdtri(self.freedom, 0.75)))
        freedom = self.freedom_at(scale)
        t = float(stdtrit(freedom, 1 - alpha)) + max(0.0, self.skew) / np.sqrt(scale) * 0.5
        return _chance(margin * np.sqrt(scale), error, t, freedom)


def _chance(margin: float, error: float, t: float, freedom: float) -> float:
    if error <= 0:
        return float(margin >= 0)
    # Beyond these degrees of freedom or distances the noncentral t is the normal to four digits.
    if freedom > _LARGE_FREEDOM or margin / error > 30:
        return float(ndtr(margin / error - t))
    return 1 - float(nctdtr(freedom, margin / error, t))


@dataclass(frozen=True, slots=True)
class PairedSpread:
    """The spread of a difference: over its days and over its rows, of which one may be missing, and what is added to
    either bound for the bias of the estimate (``inflation``)."""

    difference: float
    days: DaySpread | None
    rows: RowSpread | None
    method: str
    inflation: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the difference and its spread have a value."""
        by_day = 0.0 if self.days is None else self.days.slow
        by_row = 0.0 if self.rows is None else self.rows.error
        return bool(np.isfinite([self.difference, by_day, by_row]).all())

    def bounds(self, alpha: float) -> tuple[float, float]:
        """The one-sided lower and upper bound, each at ``1 - alpha``."""
        spreads = [s for s in (self.days, self.rows) if s is not None]
        low, high = (max(s.half(alpha, upper=upper) for s in spreads) for upper in (False, True))
        return self.difference - low - self.inflation, self.difference + high + self.inflation

    def chance(self, margin: float, scale: float, alpha: float) -> float:
        """How often an equal candidate passes the margin on ``scale`` times as many rows, in as many more days."""
        room = margin - self.inflation / np.sqrt(scale)
        found = [] if self.rows is None else [self.rows.chance(room, scale, alpha)]
        if self.days is not None:
            found.append(_chance_of_days(self.days, room, scale, alpha))
        return min(found)


def _chance_of_days(days: DaySpread, margin: float, scale: float, alpha: float) -> float:
    count = days.days * scale
    error = days.slow * float(np.sqrt(days.freedom / chdtri(days.freedom, 0.75)))
    freedom = max(min(waves(count) * (days.freedom // waves(days.days)), count - 1), 1.0)
    # The width of the bound in standard errors, with the skewness that a mean of so many days has.
    at_scale = replace(
        days,
        days=max(round(count), 2),
        freedom=int(freedom),
        slow=1.0,
        plain=days.plain / days.slow if days.slow > 0 else 1.0,
        skew=max(days.skew, 0.0) / np.sqrt(scale),
        row_skew=max(days.row_skew, 0.0) / np.sqrt(scale),
    )
    return _chance(margin * np.sqrt(scale), error, at_scale.half(alpha, upper=True), freedom)


def paired_spread(metric: Metric, y: Floats, ours: Floats, theirs: Floats, blocks: Blocks | None) -> PairedSpread:
    """The spread of the difference between two models, positive where the first one is worse.

    Args:
        metric: the metric, which must have a value for both.
        y: labels, ``(n,)``.
        ours: the candidate's scores, ``(n,)`` or ``(n, k)``.
        theirs: the other's.
        blocks: the days, at least ``MIN_BLOCKS``, with the rows' weights; or groups drawn at random; None where
            rows are independent and all count the same.
    """
    if blocks is None and metric.name == "roc_auc" and not metric.own:
        areas = delong(y, ours, theirs)
        rows = RowSpread(areas.error, areas.freedom, lambda s: areas.freedom * s)
        return PairedSpread(areas.second - areas.first, None, rows, "DeLong, paired")
    by_row = _of_rows(metric, y, ours, theirs)
    if blocks is None and metric.per_row is not None and by_row is not None:
        difference = metric.worse_sign * float(np.mean(metric.per_row(y, ours) - metric.per_row(y, theirs)))
        return PairedSpread(difference, None, by_row, "Student's t over rows")
    groups = blocks if blocks is not None else at_random(len(y))
    if groups.weight is not None:
        by_row = None  # the formulas for single rows know no weights
    first, second = (block_statistic(metric, y, s, groups) for s in (ours, theirs))

    def worse(counts: Floats) -> Floats:
        return metric.worse_sign * (first(counts) - second(counts))

    found, inflation = estimate(worse, groups.count), ece_noise(y, theirs, groups) if metric.name == "ece" else 0.0
    if blocks is None or blocks.drawn:
        freedom = float(groups.count - 1)
        drawn = RowSpread(jackknife_error(worse, groups.count), freedom, lambda s: freedom)
        return PairedSpread(
            found,
            None,
            _wider(drawn, by_row),
            f"jackknife over {groups.count} random groups, Student's t",
            inflation,
        )
    day_influences = (groups.count - 1) * (found - worse(1 - np.eye(groups.count)))
    days = DaySpread.of(day_influences)
    if by_row is not None:
        days = replace(days, row_skew=by_row.skew)
    return PairedSpread(
        found, days, by_row, f"jackknife over {groups.count} days, EWC with {days.freedom} waves", inflation
    )


def at_random(rows: int) -> Blocks:
    """Groups of independent rows, at most ``RANDOM_GROUPS``."""
    return Blocks.at_random(rows, min(RANDOM_GROUPS, rows))


def _of_rows(metric: Metric, y: Floats, ours: Floats, theirs: Floats) -> RowSpread | None:
    """The spread that independent rows would have; None where a row's influence is not known."""
    first, second = influences(metric, y, ours), influences(metric, y, theirs)
    if first is None or second is None:
        return None
    n, each = len(y), metric.worse_sign * (first - second)
    deviation = float(each.std(ddof=1))
    skew = float(np.mean(each**3)) / deviation**3 / np.sqrt(n) if deviation > 0 else 0.0
    return RowSpread(deviation / np.sqrt(n), float(n - 1), lambda s: max(n * s - 1, 1.0), skew)


def _wider(one: RowSpread, other: RowSpread | None) -> RowSpread:
    """The first, with the larger error of both and the longer tail of the second."""
    return one if other is None else replace(one, error=max(one.error, other.error), skew=other.skew)
