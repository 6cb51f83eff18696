"""Candidate against champion on identical rows: the difference, and how large the true one may be.

Every difference is in the *worse* orientation: positive means the candidate is worse, whatever the metric's
direction. ``high`` is the one-sided upper bound of the true difference at ``1 - alpha``. A candidate that is worse by
the margin is let through with a probability of at most ``alpha``:
tests/guarantees/gates/test_guarantees_champion.py measures it.

The methods (``paired_spread``; docs/adr/0038 has what each was chosen over):
- **rows in days** (all metrics): the bound for days that resemble their neighbours and have long tails
  (``day_means``), never narrower than that of independent rows. Student's t over days lets twice as many through at a
  lag-1 correlation of 0.3, a percentile bootstrap of days, the usual choice, 7 to 11 % already at 0.
- **independent rows**: DeLong for the area under the curve; Student's t with Johnson's correction for skewed losses;
  the jackknife over 50 random groups for what is no mean over rows.
- **accuracy**: never narrower than Tango's score interval. Without it, a candidate that is wrong on a few rows more
  and in the sample by chance on none of them passes with zero width.
- **other metrics of decisions**: never narrower than the rule of three allows (``changed_decisions``).
- **ece**: its estimate is inflated by noise, and a well calibrated champion's most, which hides a worse candidate: up
  to 38 % false promotions. The upper bound adds what noise alone would give the champion.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ndtri

from include.domain.blocks import Blocks, block_statistic, bootstrap, weighted_value
from include.domain.changed_decisions import least_reach
from include.domain.errors import Refusal
from include.domain.metrics import (
    Floats,
    Metric,
    OwnMetricFailed,
    Task,
    as_floats,
    metric_of,
    why_bad_labels,
    why_bad_scores,
)
from include.domain.paired_spread import MIN_BLOCKS, PairedSpread, at_random, paired_spread
from include.domain.weights import effective_rows

MAX_BLOCKS = 60
"""More days are joined with their neighbours: the cost stays bounded and the bound gets no narrower."""
POWER = 0.8
"""How often an equal candidate must pass at the row count that is called sufficient."""
_RANKING = ("roc_auc", "average_precision", "macro_roc_auc")


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """One metric of two models on the same rows.

    ``difference``, ``low`` and ``high`` are in the worse orientation (positive: the candidate is worse); ``low`` and
    ``high`` are one-sided bounds, each at ``1 - alpha``. All are None where ``reason`` says why nothing was compared.
    ``blocks`` counts the days the uncertainty was taken over, None for independent rows. ``sufficient_rows`` is the
    number of such rows at which an equal candidate would pass the margin four times in five; None without a margin.
    ``lag`` is the days' own lag-1 correlation, in [-1, 1], and ``effective_days`` what they are worth in independent
    ones by it, at most ``blocks``; both are None for independent rows.
    """

    metric: str
    candidate: float | None
    champion: float | None
    difference: float | None
    low: float | None
    high: float | None
    rows: int
    blocks: int | None
    alpha: float
    method: str
    sufficient_rows: int | None = None
    reason: str | None = None
    effective_rows: float | None = None
    """How many rows of equal weight these are worth; None where all count the same."""
    lag: float | None = None
    effective_days: float | None = None

    @property
    def judged_rows(self) -> int:
        """What a bound on the number of rows is held against."""
        return self.rows if self.effective_rows is None else int(self.effective_rows)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def about(self) -> str:
        """The rows in words: ``12,345 rows of 14 days``, and what these are worth where they resemble each other."""
        words = f"{self.rows:,} rows" + (f" of {self.blocks} days" if self.blocks is not None else "")
        if self.effective_rows is not None:
            words += f", by their weights worth {self.judged_rows:,},"
        if self.blocks is None or self.effective_days is None or self.effective_days > 0.95 * self.blocks:
            return words
        return f"{words} that are worth {self.effective_days:.1f} independent ones (lag-1 correlation {self.lag:.2f})"


class BadLevel(Refusal, ValueError):
    """An alpha, or a number of parts of it, that is no probability of error."""

    def __init__(self, alpha: float, parts: int) -> None:
        super().__init__(f"alpha {alpha} in {parts} parts: alpha must be in (0, 0.5) and parts at least 1.")


@dataclass(frozen=True, slots=True, eq=False)
class PairedScores:
    """What two models answered on the same ``n`` rows, as in ``metrics``; anything array-like is taken, None is NaN.

    ``y`` are the labels, ``(n,)``; ``candidate`` and ``champion`` the scores of each, ``(n,)`` or ``(n, k)``, and
    ``champion`` is None where there are none. ``days`` is the day of each row, ``(n,)``; None only where rows are
    independent of each other. ``weight`` is how much each row counts, ``(n,)``, above 0; None where all count the same.
    """

    task: Task
    y: ArrayLike
    candidate: ArrayLike
    champion: ArrayLike | None
    days: ArrayLike | None = None
    weight: Floats | None = None

    def blocks(self) -> Blocks | None:
        """The days, at most ``MAX_BLOCKS`` of them; None of independent rows."""
        if self.days is None:
            return None
        return replace(Blocks.of(np.asarray(self.days)), weight=self.weight).merged(MAX_BLOCKS)

    @property
    def worth(self) -> float:
        """How many rows of equal weight one of these is worth on average, at most 1."""
        return 1.0 if self.weight is None else effective_rows(self.weight) / len(self.weight)


def compare(
    paired: PairedScores,
    name: str | Metric,
    *,
    alpha: float = 0.05,
    parts: int = 1,
    margin: float | None = None,
) -> PairedComparison:
    """Compare two models on the same rows.

    Args:
        paired: the labels and both models' scores.
        name: the metric, or one of a team's own.
        alpha: the chance of a bound on the wrong side.
        parts: into how many parts alpha is divided, of which this comparison has one (``attempts``).
        margin: the tolerated difference, only used to say how many rows would be sufficient.

    Raises:
        UnknownMetric, ShapesDiffer: broken machinery.
        BadLevel: alpha is not in (0, 0.5) or parts is below 1.
    """
    if not 0 < alpha < 0.5 or parts < 1:
        raise BadLevel(alpha, parts)
    level, task = alpha / parts, paired.task
    metric, many = metric_of(task, name), task is Task.MULTICLASS
    labels = as_floats("y", paired.y)
    n = len(labels)
    ours = as_floats("candidate", paired.candidate, n, matrix=many)
    theirs = None if paired.champion is None else as_floats("champion", paired.champion, n, matrix=many)
    blocks = paired.blocks()
    if blocks is not None and len(blocks.codes) != n:
        as_floats("days", blocks.codes, n)
    count, weight = None if blocks is None else blocks.count, paired.weight
    effective = None if weight is None else effective_rows(as_floats("weight", weight, n))

    def nothing(reason: str, one: float | None = None, other: float | None = None) -> PairedComparison:
        missing = (None, None, None)
        return PairedComparison(metric.name, one, other, *missing, n, count, level, "none", None, reason, effective)

    reason = why_bad_labels(metric, task, labels, ours.shape[1] if many else 2)
    if reason is None and (bad := why_bad_scores(metric, ours)):
        reason = f"of the candidate's scores, {bad}"
    if reason is not None:
        return nothing(reason)
    one = other = None
    try:
        one = _value(metric, labels, ours, weight)
        if theirs is None:
            return nothing("there are no scores of the champion on these rows", one)
        if bad := why_bad_scores(metric, theirs):
            return nothing(f"of the champion's scores, {bad}", one)
        other = _value(metric, labels, theirs, weight)
        reason = _why_incomparable(metric, labels, (ours, theirs), (one, other), blocks, paired.worth)
        if reason is not None:
            return nothing(reason, one, other)
        spread = paired_spread(metric, labels, ours, theirs, blocks or _weighted_groups(weight))
    except OwnMetricFailed as error:
        return nothing(str(error), one, other)
    if not spread.is_known:
        without = "has no value" if metric.own or metric.cells is not None else "leaves rows of a single class only"
        return nothing(f"leaving out one day {without}", one, other)
    if spread.days is not None and (too_few := spread.days.why_too_few):
        return nothing(too_few, one, other)
    low, high = spread.bounds(level)
    sparse = _discordant(metric, labels, ours, theirs, weight) if metric.name == "accuracy" else None
    if sparse is not None:
        judged = n if effective is None else effective
        high = max(high, tango_upper(*sparse, judged, level))
        low = min(low, -tango_upper(sparse[1], sparse[0], judged, level))
    reach = least_reach(metric, labels, ours, theirs, level, weight)
    low, high = min(low, spread.difference - reach), max(high, spread.difference + reach)
    sufficient = _sufficient_rows(spread, sparse, n, margin, level) if margin is not None and margin > 0 else None
    found = PairedComparison(
        metric.name,
        one,
        other,
        spread.difference,
        low,
        high,
        n,
        count,
        level,
        spread.method,
        sufficient,
        effective_rows=effective,
    )
    if spread.days is None:
        return found
    return replace(found, lag=spread.days.lag, effective_days=spread.days.effective_days)


def _value(metric: Metric, y: Floats, score: Floats, weight: Floats | None) -> float:
    return metric.value(y, score) if weight is None else weighted_value(metric, y, score, weight)


def _weighted_groups(weight: Floats | None) -> Blocks | None:
    """Random groups for independent rows that count differently: formulas for single rows know no weights."""
    return None if weight is None else replace(at_random(len(weight)), weight=weight, drawn=True)


def bootstrap_upper(paired: PairedScores, name: str | Metric, *, alpha: float, resamples: int, seed: int = 0) -> float:
    """The percentile bootstrap's upper bound of the difference over days (or 50 random groups), for the report only.

    Readers know this interval; with few days it is too narrow to decide on (see above). Data must be usable, the
    champion's scores included.
    """
    metric, many, y = metric_of(paired.task, name), paired.task is Task.MULTICLASS, as_floats("y", paired.y)
    blocks = paired.blocks() or at_random(len(y))
    candidate = as_floats("candidate", paired.candidate, len(y), matrix=many)
    champion = as_floats("champion", np.asarray(paired.champion), len(y), matrix=many)
    ours, theirs = (block_statistic(metric, y, s, blocks, coarse=True) for s in (candidate, champion))
    drawn = metric.worse_sign * (
        bootstrap(ours, blocks.count, resamples, seed) - bootstrap(theirs, blocks.count, resamples, seed)
    )
    return float(np.nanquantile(drawn, 1 - alpha))


def _why_incomparable(
    metric: Metric,
    y: Floats,
    scores: tuple[Floats, Floats],
    values: tuple[float, float],
    blocks: Blocks | None,
    worth: float,
) -> str | None:
    if len(y) < 2:
        return "one row cannot show a spread"
    if blocks is not None and blocks.count < MIN_BLOCKS:
        return f"the rows are of {blocks.count} days; at least {MIN_BLOCKS} are needed to see how much days differ"
    thin = metric.why_thin(y, scores[0], worth) or metric.why_thin(y, scores[1], worth)
    if thin is not None:
        return thin
    if metric.name in _RANKING and values[0] == values[1] == metric.high:
        return f"both models rank every row perfectly ({metric.name} 1), so their difference has no spread to judge by"
    return None


# --- accuracy: rare disagreements ------------------------------------------------------------------------------------


def _discordant(metric: Metric, y: Floats, ours: Floats, theirs: Floats, weight: Floats | None) -> tuple[float, float]:
    """On how many rows, of equal weight, only the candidate is wrong, and on how many only the champion."""
    if metric.per_row is None:
        return 0, 0
    right, champion_right = metric.per_row(y, ours) == 1, metric.per_row(y, theirs) == 1
    each = np.ones(len(y)) if weight is None else weight * effective_rows(weight) / weight.sum()
    return float(each[~right & champion_right].sum()), float(each[right & ~champion_right].sum())


def tango_upper(only_first: float, only_second: float, rows: float, alpha: float) -> float:
    """The one-sided upper bound of ``(only_first - only_second) / rows`` for paired yes-or-no outcomes.

    Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17:891-908: the largest difference its score test does not reject. It keeps its
    level for small counts, zero included.

    >>> round(tango_upper(0, 0, 300, 0.05), 4)
    0.0089
    """
    z = float(ndtri(1 - alpha))

    def rejected_by(difference: float) -> float:
        allowed = z * np.sqrt(rows * _score_variance(only_first / rows, only_second / rows, difference))
        return float(rows * difference - (only_first - only_second) - allowed)

    # Just above the estimate: without disagreements the estimate itself is a root too, but not the bound.
    start, end = (only_first - only_second) / rows + 1e-9, 1 - 1e-12
    return float(brentq(rejected_by, start, end)) if rejected_by(end) > 0 else 1.0


def _score_variance(first: float, second: float, difference: float) -> float:
    """The variance per row of the difference, with the two discordant shares at their likeliest given it."""
    b = -first - second + (2 - first + second) * difference
    c = -second * difference * (1 - difference)
    likeliest = (np.sqrt(max(b * b - 8 * c, 0.0)) - b) / 4
    return float(max(2 * likeliest + difference * (1 - difference), 0.0))


# --- how many rows would do ------------------------------------------------------------------------------------------


def _sufficient_rows(
    spread: PairedSpread, sparse: tuple[float, float] | None, rows: int, margin: float, alpha: float
) -> int | None:
    """Rows (in days of the same size, where there are days) at which an equal candidate passes with ``POWER``."""
    low, high = np.log(MIN_BLOCKS / rows), np.log(1e12 / rows)
    if spread.days is not None:
        low = np.log(MIN_BLOCKS / spread.days.days)
    if spread.chance(margin, np.exp(high), alpha) < POWER:
        return None
    needed = rows * np.exp(low)
    if spread.chance(margin, np.exp(low), alpha) < POWER:
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (low, middle) if spread.chance(margin, np.exp(middle), alpha) >= POWER else (middle, high)
        needed = rows * np.exp(high)
    if sparse is not None:
        half = (sparse[0] + sparse[1]) / 2 / rows
        spend = ndtri(1 - alpha) * np.sqrt(_score_variance(half, half, margin)) + ndtri(POWER) * np.sqrt(2 * half)
        needed = max(needed, (spend / margin) ** 2)
    return int(np.ceil(needed))
