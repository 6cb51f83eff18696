"""Candidate against champion on identical rows: the difference, and how large the true one may be.

Every difference is in the *worse* orientation: positive means the candidate is worse, whatever the metric's
direction. ``high`` is the one-sided upper bound of the true difference at ``1 - alpha``. A candidate that is worse by
the margin is let through with a probability of at most ``alpha``:
tests/unit/domain/gates/test_guarantees_champion.py measures it.

The methods, each with what it was chosen over (false promotions at alpha 0.05, simulated, 1,000 rows):
- **rows in days** (all metrics): jackknife over days with Student's t of ``days - 1``. 3.5 to 5.5 % at 3, 5, 7, 14 and
  30 days. A percentile bootstrap of days, the usual choice, lets through 7 to 11 % at 7 days and 7 to 9 % at 14.
- **independent rows**: DeLong for the area under the curve; Student's t with Johnson's correction for skewed losses;
  the jackknife over 50 random groups for what is no mean over rows.
- **accuracy**: never narrower than Tango's score interval. Without it, a candidate that is wrong on a few rows more
  and in the sample by chance on none of them passes with zero width.
- **other metrics of decisions**: never narrower than the rule of three allows (``changed_decisions``).
- **ece**: its estimate is inflated by noise, and a well calibrated champion's most, which hides a worse candidate: up
  to 38 % false promotions. The upper bound adds what noise alone would give the champion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import chdtri, nctdtr, ndtr, ndtri, stdtrit

from include.domain.blocks import (
    Blocks,
    block_statistic,
    bootstrap,
    ece_noise,
    estimate,
    jackknife_error,
    weighted_value,
)
from include.domain.changed_decisions import least_reach
from include.domain.delong import delong
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
from include.domain.weights import effective_rows

MIN_BLOCKS = 3
"""Fewer days cannot show how much days differ."""
MAX_BLOCKS = 60
"""More days are joined with their neighbours: the cost stays bounded and the bound gets no narrower."""
RANDOM_GROUPS = 50
POWER = 0.8
"""How often an equal candidate must pass at the row count that is called sufficient."""
_RANKING = ("roc_auc", "average_precision", "macro_roc_auc")
_LARGE_FREEDOM = 10_000


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """One metric of two models on the same rows.

    ``difference``, ``low`` and ``high`` are in the worse orientation (positive: the candidate is worse); ``low`` and
    ``high`` are one-sided bounds, each at ``1 - alpha``. All are None where ``reason`` says why nothing was compared.
    ``blocks`` counts the days the uncertainty was taken over, None for independent rows. ``sufficient_rows`` is the
    number of such rows at which an equal candidate would pass the margin four times in five; None without a margin.
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

    @property
    def judged_rows(self) -> int:
        """What a bound on the number of rows is held against."""
        return self.rows if self.effective_rows is None else int(self.effective_rows)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def about(self) -> str:
        """The rows in words: ``12,345 rows of 14 days``."""
        worth = "" if self.effective_rows is None else f", by their weights worth {self.judged_rows:,},"
        return f"{self.rows:,} rows" + (f" of {self.blocks} days" if self.blocks is not None else "") + worth


class BadLevel(Refusal, ValueError):
    """An alpha or a number of attempts that is no probability of error."""

    def __init__(self, alpha: float, attempts: int) -> None:
        super().__init__(f"alpha {alpha} over {attempts} attempts: alpha must be in (0, 0.5) and attempts at least 1.")


@dataclass(frozen=True, slots=True)
class _Spread:
    """The spread of a difference: standard error, its degrees of freedom, how that grows with the rows, and what is
    added to the upper bound for the bias of the estimate (``inflation``) and for skewed losses (``skew``)."""

    difference: float
    error: float
    freedom: float
    freedom_at: Callable[[float], float]
    method: str
    inflation: float = 0.0
    skew: float = 0.0


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
    attempts: int = 1,
    margin: float | None = None,
) -> PairedComparison:
    """Compare two models on the same rows.

    Args:
        paired: the labels and both models' scores.
        name: the metric, or one of a team's own.
        alpha: the chance of a bound on the wrong side.
        attempts: how many candidates these rows have judged, this one included: each spends ``alpha / attempts``.
        margin: the tolerated difference, only used to say how many rows would be sufficient.

    Raises:
        UnknownMetric, ShapesDiffer: broken machinery.
        BadLevel: alpha is not in (0, 0.5) or attempts is below 1.
    """
    if not 0 < alpha < 0.5 or attempts < 1:
        raise BadLevel(alpha, attempts)
    level, task = alpha / attempts, paired.task
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
        spread = _spread(metric, labels, ours, theirs, blocks or _weighted_groups(weight))
    except OwnMetricFailed as error:
        return nothing(str(error), one, other)
    if not np.isfinite(spread.error) or not np.isfinite(spread.difference):
        without = "has no value" if metric.own or metric.cells is not None else "leaves rows of a single class only"
        return nothing(f"leaving out one day {without}", one, other)
    low, high = _bounds(spread, level)
    sparse = _discordant(metric, labels, ours, theirs, weight) if metric.name == "accuracy" else None
    if sparse is not None:
        judged = n if effective is None else effective
        high = max(high, tango_upper(*sparse, judged, level))
        low = min(low, -tango_upper(sparse[1], sparse[0], judged, level))
    reach = least_reach(metric, labels, ours, theirs, level, weight)
    low, high = min(low, spread.difference - reach), max(high, spread.difference + reach)
    sufficient = _sufficient_rows(spread, sparse, n, margin, level) if margin is not None and margin > 0 else None
    return PairedComparison(
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


def _value(metric: Metric, y: Floats, score: Floats, weight: Floats | None) -> float:
    return metric.value(y, score) if weight is None else weighted_value(metric, y, score, weight)


def _weighted_groups(weight: Floats | None) -> Blocks | None:
    """Random groups for independent rows that count differently: formulas for single rows know no weights."""
    return None if weight is None else replace(_blocks_or_groups(None, len(weight)), weight=weight, drawn=True)


def bootstrap_upper(paired: PairedScores, name: str | Metric, *, alpha: float, resamples: int, seed: int = 0) -> float:
    """The percentile bootstrap's upper bound of the difference over days (or 50 random groups), for the report only.

    Readers know this interval; with few days it is too narrow to decide on (see above). Data must be usable, the
    champion's scores included.
    """
    metric, many, y = metric_of(paired.task, name), paired.task is Task.MULTICLASS, as_floats("y", paired.y)
    blocks = _blocks_or_groups(paired.blocks(), len(y))
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


# --- the spread of a difference --------------------------------------------------------------------------------------


def _spread(metric: Metric, y: Floats, ours: Floats, theirs: Floats, blocks: Blocks | None) -> _Spread:
    if blocks is None and metric.name == "roc_auc":
        areas = delong(y, ours, theirs)
        return _Spread(
            areas.second - areas.first, areas.error, areas.freedom, lambda s: areas.freedom * s, "DeLong, paired"
        )
    if blocks is None and metric.per_row is not None:
        return _of_means(metric.worse_sign * (metric.per_row(y, ours) - metric.per_row(y, theirs)))
    groups = _blocks_or_groups(blocks, len(y))
    first, second = (block_statistic(metric, y, s, groups) for s in (ours, theirs))

    def difference(counts: Floats) -> Floats:
        return metric.worse_sign * (first(counts) - second(counts))

    inflation = ece_noise(y, theirs, groups) if metric.name == "ece" else 0.0
    freedom, drawn_at_random = float(groups.count - 1), groups.drawn
    return _Spread(
        estimate(difference, groups.count),
        jackknife_error(difference, groups.count),
        freedom,
        (lambda s: freedom) if drawn_at_random else (lambda s: max(groups.count * s - 1, 1.0)),
        f"jackknife over {groups.count} {'random groups' if drawn_at_random else 'days'}, Student's t",
        inflation,
    )


def _blocks_or_groups(blocks: Blocks | None, rows: int) -> Blocks:
    return blocks if blocks is not None else Blocks.at_random(rows, min(RANDOM_GROUPS, rows))


def _of_means(worse: Floats) -> _Spread:
    """The mean of independent per-row differences; ``skew`` is the skewness of that mean."""
    n, centred = len(worse), worse - worse.mean()
    deviation = float(worse.std(ddof=1))
    skew = float(np.mean(centred**3)) / deviation**3 / np.sqrt(n) if deviation > 0 else 0.0
    return _Spread(
        float(worse.mean()),
        deviation / np.sqrt(n),
        float(n - 1),
        lambda s: max(n * s - 1, 1.0),
        "Student's t over rows",
        skew=skew,
    )


def _bounds(spread: _Spread, alpha: float) -> tuple[float, float]:
    """The one-sided lower and upper bound.

    Johnson (1978), "Modified t tests and confidence intervals for asymmetrical populations", JASA 73:536-544: a mean of
    losses with rare large values is mostly below its expectation, so t is widened on the side of the long tail. It is
    never narrowed on the other.
    """
    t = float(stdtrit(spread.freedom, 1 - alpha))
    correction = (2 * t * t + 1) / 6
    up = t + max(0.0, spread.skew) * correction
    down = t + max(0.0, -spread.skew) * correction
    high = spread.difference + up * spread.error + spread.inflation
    return spread.difference - down * spread.error - spread.inflation, high


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
    spread: _Spread, sparse: tuple[float, float] | None, rows: int, margin: float, alpha: float
) -> int | None:
    """Rows (in days of the same size, where there are days) at which an equal candidate passes with ``POWER``.

    The error is taken at its upper quartile (chi-square), because it is estimated itself, from a few days perhaps, and
    the number is a promise.
    """
    error = spread.error * float(np.sqrt(spread.freedom / chdtri(spread.freedom, 0.75)))

    def passes(scale: float) -> float:
        freedom = spread.freedom_at(scale)
        ncp = (margin * np.sqrt(scale) - spread.inflation) / error
        t = float(stdtrit(freedom, 1 - alpha)) + max(0.0, spread.skew) / np.sqrt(scale) * 0.5
        # Beyond these degrees of freedom or distances the noncentral t is the normal to four digits.
        if freedom > _LARGE_FREEDOM or ncp > 30:
            return float(ndtr(ncp - t))
        return 1 - float(nctdtr(freedom, ncp, t))

    needed = float(MIN_BLOCKS)
    if error > 0:
        low, high = np.log(MIN_BLOCKS / rows), np.log(1e12 / rows)
        if passes(np.exp(high)) < POWER:
            return None
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (low, middle) if passes(np.exp(middle)) >= POWER else (middle, high)
        needed = rows * np.exp(high)
    if sparse is not None:
        half = (sparse[0] + sparse[1]) / 2 / rows
        spend = ndtri(1 - alpha) * np.sqrt(_score_variance(half, half, margin)) + ndtri(POWER) * np.sqrt(2 * half)
        needed = max(needed, (spend / margin) ** 2)
    return int(np.ceil(needed))
