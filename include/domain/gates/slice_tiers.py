"""How slices are judged: those that are compared, in two tiers, alone or pooled.

Three verdicts, with a family's error split over its slices:
- **strict**: FAIL where a slice is shown to be worse by more than the margin, PASS where its upper bound is within the
  margin, INCONCLUSIVE between.
- **small**: FAIL where a slice is shown to be worse (Holm 1979, "A simple sequentially rejective multiple test
  procedure", Scandinavian Journal of Statistics 6:65-70). INCONCLUSIVE where it is measured worse by more than the
  floor, and nearly significant (``ASKED``): a person looks. Otherwise PASS. The floor alone stops nothing: of forty
  small slices some are measured worse by any floor, whatever the candidate.

From ``POOLED_FROM`` slices on, a slice's bounds rest on the others too (``pooling``): how much days and rows scatter,
and in the strict tier how much slices differ. Each reason says by how much a slice must be worse to be stopped nine
times in ten, because that is what a PASS of few rows is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from include.domain.blocks import Blocks, block_statistic
from include.domain.comparison import MAX_BLOCKS, PairedComparison, PairedScores, compare
from include.domain.gap import Gap, Tolerated
from include.domain.gates.champion_rules import ComparisonRule
from include.domain.gates.evidence import Evidence
from include.domain.gates.judged_comparison import judge_comparison
from include.domain.gates.pooling import Departures
from include.domain.metrics import Floats, Metric, metric_of
from include.domain.paired_spread import at_random
from include.domain.verdicts import CriterionResult, Direction, Verdict
from include.domain.weights import effective_rows
from include.domain.wording import bounds_in_words

POOLED_FROM = 3
"""Fewer slices show too little of how slices differ."""
ASKED = 3.0
"""Times alpha at which a small slice measured beyond the floor is looked at by a person, over all of them."""
LIKELY = 0.5
"""Times the margin: how far slices are thought to differ before anything is seen. docs/adr/0042 has the figures."""
STOPPED = 0.9
"""How often a slice is stopped that is worse by what its reason says."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One slice of the rows, ``where`` ``(n,)`` it is, and its evidence."""

    name: str
    column: str
    where: NDArray[np.bool_]
    is_strict: bool
    evidence: Evidence

    @property
    def rows(self) -> int:
        return self.evidence.rows


@dataclass(frozen=True, slots=True)
class SliceTier:
    """How a tier's slices are judged.

    Attributes:
        metric: what they are compared on.
        limit: the margin or the floor, in the metric's unit.
        min_rows: the support.
        alpha: as in ``SliceRules``.
        parts: into how many parts alpha is divided, of which this attempt has one.
        against: ``champion`` or ``baseline``.
        pooled: whether three slices and more lend each other their evidence.
        share, gap: of what the limit is a share, as in ``ComparisonRule``.
    """

    metric: str | Metric
    limit: float
    min_rows: int
    alpha: float
    parts: int = 1
    against: str = "champion"
    pooled: bool = True
    share: float | None = None
    gap: Gap | None = None

    def paired(self, evidence: Evidence) -> PairedScores:
        other = evidence.champion if self.against == "champion" else evidence.baseline
        return PairedScores(evidence.task, evidence.y, evidence.candidate, other, evidence.days, evidence.weight)

    def compared(self, evidence: Evidence, *, times: float = 1.0, margin: float | None = None) -> PairedComparison:
        """One comparison at ``times`` the level of one attempt."""
        level = min(self.alpha / self.parts * times, 0.49)
        return compare(self.paired(evidence), self.metric, alpha=level, margin=margin)

    @property
    def level(self) -> float:
        return self.alpha / self.parts


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of one slice's difference, in the worse orientation."""

    low: float
    """Shown to be worse by at least this, with the error split over the tier's slices."""
    high: float
    asked: float
    """As ``low``, at the level at which a person is asked."""
    seen_from: float
    """A slice that is worse by this is stopped nine times in ten."""
    level: float
    """The chance of the lower bound to be wrong."""


def compared_alone(tier: SliceTier, slices: Sequence[Slice], *, margin: float | None = None) -> list[PairedComparison]:
    """Each slice by itself, in their order; one that cannot be compared says why."""
    return [tier.compared(one.evidence, margin=margin) for one in slices]


def judge_strict(
    tier: SliceTier,
    slices: Sequence[Slice],
    found: Sequence[PairedComparison],
    whole: Evidence,
    stopped_from: dict[str, float],
) -> list[CriterionResult]:
    """The verdicts of strict slices that could be compared. By criterion, what a slice must be worse by to be stopped
    nine times in ten goes into ``stopped_from``."""
    rule = ComparisonRule(tier.metric, tier.limit, share=tier.share, gap=tier.gap)
    pool = _pool(tier, slices, found, whole, scale=LIKELY * tier.limit)
    results = []
    for i, (one, c) in enumerate(zip(slices, found, strict=True)):
        name = f"{one.name} {tier.metric}"
        bounds = _alone(tier, one, c, len(slices)) if pool is None else pool.strict(i)
        shown = c if bounds is None else replace(c, low=bounds.low, high=bounds.high)
        result = judge_comparison(rule, shown, criterion=name, min_rows=tier.min_rows)
        if bounds is not None and result.low is not None and c.rows >= tier.min_rows:
            result = replace(result, reason=f"{result.reason} {_promise(one, bounds, pool, len(slices))}")
            stopped_from[name] = bounds.seen_from
        results.append(result)
    return results


def judge_small(
    tier: SliceTier,
    slices: Sequence[Slice],
    found: Sequence[PairedComparison],
    whole: Evidence,
    stopped_from: dict[str, float],
) -> list[CriterionResult]:
    """The verdicts of small slices that could be compared: Holm's procedure by bounds. With ``m`` hypotheses left, each
    is tested at ``alpha / m``; what is rejected makes the next level wider for the others, until nothing more is.
    ``stopped_from`` as above."""
    pool = _pool(tier, slices, found, whole, scale=0.0)
    bounds: dict[int, Bounds] = {}
    pending = list(range(len(slices)))
    while pending:
        for i in pending:
            known = pool.small(i, len(pending)) if pool else _alone(tier, slices[i], found[i], len(pending))
            bounds[i] = known or Bounds(-np.inf, np.inf, -np.inf, np.inf, tier.level)
        shown = {i for i in pending if bounds[i].low > 0}
        pending = [i for i in pending if i not in shown] if shown else []
    stopped_from |= {
        f"{slices[i].name} {tier.metric}": b.seen_from for i, b in bounds.items() if np.isfinite(b.seen_from)
    }
    return [
        _small(tier, one, replace(c, low=_finite(b.low), high=_finite(b.high), alpha=b.level), b, pool, len(slices))
        for one, c, b in ((slices[i], found[i], bounds[i]) for i in range(len(slices)))
    ]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _small(
    tier: SliceTier, one: Slice, c: PairedComparison, bounds: Bounds, pool: _Pool | None, of: int
) -> CriterionResult:
    name, floor = f"{one.name} {tier.metric}", tier.limit
    by = Tolerated(floor, tier.share, tier.gap)
    if c.difference is None or c.low is None or c.high is None:
        verdict = Verdict.INCONCLUSIVE
        why = (
            f"{name} could not be compared: {(c.reason or '').replace('champion', tier.against)}; that is no evidence."
        )
    else:
        over = f"Holm over {of} slices"
        if bounds.low > 0:
            verdict, so = Verdict.FAIL, f"so it is significantly worse ({over})."
        elif bounds.asked > 0 and c.difference > floor:
            verdict = Verdict.INCONCLUSIVE
            so = f"which is more than the floor {by}, and nearly significant ({over} at {ASKED:g} times alpha)."
        else:
            verdict, so = Verdict.PASS, f"so it is not significantly worse ({over})."
        side = "worse" if c.difference >= 0 else "better"
        why = (
            f"{name} {c.candidate:.4g} against the {tier.against}'s {c.champion:.4g} on {c.about}: {side} by "
            f"{abs(c.difference):.4g} ({bounds_in_words(c.low, c.high)}, each bound at {100 * (1 - c.alpha):.4g} "
            f"%), {so} {_promise(one, bounds, pool, of)}"
        )
    return CriterionResult(
        criterion=name,
        verdict=verdict,
        measured=c.candidate,
        allowed=f"not sig. worse; worse by <= {floor:g}",
        rows=c.rows,
        reason=why,
        direction=Direction.AT_MOST,
        bound=floor,
        margin=floor,
        low=c.low,
        high=c.high,
        champion=c.champion if tier.against == "champion" else None,
        baseline=None if tier.against == "champion" else c.champion,
    )


def _promise(one: Slice, bounds: Bounds, pool: _Pool | None, of: int) -> str:
    by = f", judged with what the {of} slices show together," if pool else ""
    over = f"The lower bound holds over all {of} slices. " if one.is_strict and of > 1 else ""
    scatters = f"{over}A slice that scatters like this one{by}"
    return f"{scatters} is stopped nine times in ten if it is worse by {bounds.seen_from:.3g}."


# --- alone -----------------------------------------------------------------------------------------------------------


def _alone(tier: SliceTier, one: Slice, c: PairedComparison, of: int) -> Bounds | None:
    """The bounds of one slice by itself; None where there are none."""
    if c.difference is None or c.low is None or c.high is None:
        return None
    split = tier.compared(one.evidence, times=1 / of) if of > 1 else c
    asked = tier.compared(one.evidence, times=ASKED / of)
    if split.low is None or split.high is None or asked.low is None:
        return None
    high = c.high if one.is_strict else split.high
    spread = (c.difference - c.low) / float(-ndtri(c.alpha)) * float(ndtri(STOPPED))
    if one.is_strict:
        seen_from = tier.limit - (c.high - c.difference) + spread
    else:
        seen_from = max(min(tier.limit, c.difference - split.low), c.difference - asked.low) + spread
    return Bounds(split.low, high, asked.low, seen_from, tier.level / (1 if one.is_strict else of))


# --- pooled ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """The slices of a tier together: what they have in common, its reach down (at half of the level) and up, and how
    far each departs from it."""

    tier: SliceTier
    weights: Floats
    together: float
    down: float
    up: float
    own: Departures

    def measured(self, i: int) -> float:
        return self.together + float(self.own.apart[i])

    def strict(self, i: int) -> Bounds:
        count, measured = len(self.weights), self.measured(i)
        low = measured - self._reach_down(i, self.tier.level / count)
        high = self._upper(i, measured)
        # How far the slice may be measured worse and still pass, all others as they are.
        step = float(np.sqrt(self.own.variance[i])) + self.up
        if step <= 0:
            return Bounds(low, high, low, self.tier.limit, self.tier.level)

        def beyond(at: float) -> float:
            return self._upper(i, at) - self.tier.limit

        least, most = self.tier.limit - 20 * step, self.tier.limit + 20 * step
        if beyond(least) < 0 < beyond(most):
            most = float(brentq(beyond, least, most, xtol=step / 1000))
        return Bounds(low, high, low, most + self._spread(i), self.tier.level)

    def small(self, i: int, of: int) -> Bounds:
        measured = self.measured(i)
        least = self._reach_down(i, self.tier.level * ASKED / of)
        high = measured + float(np.hypot(self.up, self.own.reach(1 - self.tier.level / of / 2)[i]))
        low = measured - self._reach_down(i, self.tier.level / of)
        seen_from = max(min(self.tier.limit, measured - low), least) + self._spread(i)
        return Bounds(low, high, measured - least, seen_from, self.tier.level / of)

    def _upper(self, i: int, measured: float) -> float:
        """The upper bound of slice ``i`` if its difference were measured so."""
        moved = (measured - self.measured(i)) * float(self.weights[i])
        apart = self.own.apart - moved
        apart[i] = measured - self.together - moved
        expected, top = replace(self.own, apart=apart).quantile(i, 1 - self.tier.level)
        return self.together + moved + expected + float(np.hypot(self.up, top - expected))

    def _reach_down(self, i: int, level: float) -> float:
        """Half of the level is for what the slices have in common, whose reach is at that already."""
        return float(np.hypot(self.down, self.own.reach(1 - min(level / 2, 0.49))[i]))

    def _spread(self, i: int) -> float:
        """How far below its true difference a slice is measured once in ten."""
        common = self.down / float(-ndtri(self.tier.level / 2))
        return float(ndtri(STOPPED) * np.hypot(common, np.sqrt(self.own.variance[i])))


def _pool(
    tier: SliceTier, slices: Sequence[Slice], found: Sequence[PairedComparison], whole: Evidence, *, scale: float
) -> _Pool | None:
    """The slices together; None where they are judged alone."""
    metric = metric_of(whole.task, tier.metric)
    if not tier.pooled or len(slices) < POOLED_FROM or metric.name == "ece" or any(c.difference is None for c in found):
        return None  # an ece is inflated by the noise of few rows, so slices of unequal size are not comparable
    either = np.any([one.where for one in slices], axis=0)
    shared = whole.where(either)
    together, halved = tier.compared(shared), tier.compared(shared, times=0.5)
    moved, values = _left_out(tier, metric, slices, whole)
    if together.difference is None or together.high is None or halved.low is None or not np.isfinite(moved).all():
        return None
    rows = _counted(slices, whole)
    weights = rows / rows.sum()
    mean = float(weights @ values)
    least = 1 / (rows.sum() + 2) if metric.name == "accuracy" else 0.0
    own = Departures.jackknifed(moved, values - mean, rows, scale=scale, least=least)
    return _Pool(tier, weights, mean, together.difference - halved.low, together.high - together.difference, own)


def _counted(slices: Sequence[Slice], whole: Evidence) -> Floats:
    """How many rows each slice counts, ``(m,)``; with weights in proportion to their sums, and together no more than
    all of the rows are worth."""
    if whole.weight is None:
        return np.array([one.rows for one in slices], dtype=float)
    sums = np.array([float(whole.weight[one.where].sum()) for one in slices])
    return np.asarray(sums * effective_rows(whole.weight) / float(whole.weight.sum()), dtype=np.float64)


def _left_out(
    tier: SliceTier, metric: Metric, slices: Sequence[Slice], whole: Evidence
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By day (or group of rows) and slice, how far leaving out the day moves the slice's difference ``(g, m)``; and the
    differences ``(m,)``."""
    blocks = at_random(whole.rows) if whole.days is None else Blocks.of(whole.days).merged(MAX_BLOCKS)
    counts = np.vstack([np.ones(blocks.count), 1 - np.eye(blocks.count)])
    columns = [
        _difference(tier, metric, one, Blocks(blocks.codes[one.where], blocks.count, one.evidence.weight))(counts)
        for one in slices
    ]
    values = np.column_stack(columns)
    return values[1:] - values[0], values[0]


def _difference(tier: SliceTier, metric: Metric, one: Slice, blocks: Blocks) -> Callable[[Floats], Floats]:
    paired = tier.paired(one.evidence)
    first = block_statistic(metric, one.evidence.y, one.evidence.candidate, blocks)
    second = block_statistic(metric, one.evidence.y, np.asarray(paired.champion), blocks)

    def difference(counts: Floats) -> Floats:
        return metric.worse_sign * (first(counts) - second(counts))

    return difference
