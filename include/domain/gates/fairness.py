"""Group fairness: how far apart a model's groups are, and whether the candidate moved two of them farther apart.

The measures are Fairlearn's (Weerts et al. 2023, "Fairlearn: Assessing and Improving Fairness of AI Systems", JMLR 24:
1-8; the tests compare with its functions): the gap is the difference between the highest and the lowest group's rate,
of the worse rate where there are two.

How the candidate is tested against the champion: ``farthest_apart``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from include.domain.blocks import Blocks
from include.domain.comparison import MAX_BLOCKS
from include.domain.gates.champion_rules import BadRule
from include.domain.gates.evidence import Evidence
from include.domain.gates.farthest_apart import Farther, GroupRates, Rate, farthest
from include.domain.gates.grouping import Grouping, group
from include.domain.metrics import Floats, Task
from include.domain.paired_spread import MIN_BLOCKS, RANDOM_GROUPS
from include.domain.verdicts import CriterionResult, Direction, Verdict, against_bound
from include.domain.wording import count_of


class Measure(Enum):
    """The measures between groups, each with its task."""

    DEMOGRAPHIC_PARITY = "demographic_parity"
    """The share of positive decisions."""
    EQUAL_OPPORTUNITY = "equal_opportunity"
    """The share of positive decisions among true positives."""
    EQUALIZED_ODDS = "equalized_odds"
    """The same among true positives and among true negatives, whichever is farther apart."""
    MEAN_PREDICTION = "mean_prediction"
    """The mean of a regression's predictions."""
    GROUP_LOSS = "group_loss"
    """The mean absolute error of a regression."""

    @property
    def task(self) -> Task:
        return Task.REGRESSION if self in (Measure.MEAN_PREDICTION, Measure.GROUP_LOSS) else Task.BINARY


@dataclass(frozen=True, slots=True)
class FairnessRule:
    """One measure on the groups of one column.

    Attributes:
        groups: the column.
        measure: what is compared.
        margin: how much farther apart than under the champion two groups may be, in the measure's unit.
        gap_at_most: the policy's own bound on the candidate's gap; None is no bound.
        ratio_at_least: bound on lowest / highest rate, such as 0.8; None only reports it.
        threshold: a score above it is the positive decision.
        min_rows: fewest rows that a group's rate may rest on.
        ask_under_support: whether a group below that is INCONCLUSIVE; otherwise it is left out and named in the notes.
    """

    groups: str
    measure: Measure
    margin: float
    gap_at_most: float | None = None
    ratio_at_least: float | None = None
    threshold: float = 0.5
    min_rows: int = 100
    ask_under_support: bool = True

    def __post_init__(self) -> None:
        if not np.isfinite(self.margin) or self.margin < 0:
            raise BadRule(f"margin of {self.name} is {self.margin}; a margin is at least 0, in the measure's unit.")
        if self.ratio_at_least is not None and self.measure.task is not Task.BINARY:
            raise BadRule(f"ratio_at_least of {self.name} is {self.ratio_at_least}; only shares have a ratio bound.")

    @property
    def name(self) -> str:
        return f"{self.measure.value} {self.groups}"


@dataclass(frozen=True, slots=True)
class GroupGap:
    """The groups' rates by one model: per rate the group's value, ``(g,)``; the gap and ratio as in Fairlearn.

    ``high`` and ``low`` are the groups farthest apart and ``rate`` where they are. ``ratio`` is None where a highest
    rate is zero.
    """

    rates: dict[str, Floats]
    gap: float
    ratio: float | None
    rate: str
    high: int
    low: int


def fairness_criteria(
    rule: FairnessRule,
    evidence: Evidence,
    column: ArrayLike | None,
    *,
    alpha: float,
    parts: int,
    has_champion: bool,
) -> tuple[list[CriterionResult], dict[str, Any]]:
    """Judge one measure; the criteria and what is shown of it.

    The paired criterion is a non-inferiority test like ``champion_gate``'s: PASS when the upper bound is within the
    margin, FAIL when the lower one is beyond it. Without a champion only the policy's bounds can be judged; where there
    is none, that is INCONCLUSIVE.

    Args:
        rule: the measure, its margin and its bounds.
        evidence: the rows ``champion_gate`` judges.
        column: the group of each row, ``(n,)``; None where the rows have no such column.
        alpha: the chance of letting a wider gap through.
        parts: into how many parts alpha is divided, of which this attempt has one.
        has_champion: whether the model has one.

    Raises:
        BadRule: the measure is not one of the task's.
    """
    if rule.measure.task is not evidence.task:
        raise BadRule(
            f"{rule.measure.value} of {rule.groups} is declared; it measures the groups of a "
            f"{rule.measure.task.value} model, not of a {evidence.task.value} one."
        )
    n = evidence.rows
    if column is None:
        return [_unjudged(rule, n, f"the rows have no column {rule.groups!r}")], {}
    groups = group(rule.groups, column)
    if why := _why_unusable(evidence):
        return [_unjudged(rule, n, why)], {}
    rates = _rates(rule, evidence)
    supported, thin = _support(rule, groups, rates)
    notes: dict[str, Any] = {"groups": {name: int(size) for name, size in zip(groups.names, groups.sizes, strict=True)}}
    if thin:
        notes["under_support"] = thin
        if rule.ask_under_support:
            named = ", ".join(f"{name} ({rows:,})" for name, rows in list(thin.items())[:5])
            more = " and others" if len(thin) > 5 else ""
            why = f"a rate of these groups rests on fewer than {rule.min_rows:,} rows: {named}{more}"
            return [_unjudged(rule, n, why)], notes
    if len(supported) < 2:
        why = f"only {len(supported)} of the groups of {rule.groups} can be measured; a gap needs two"
        return [_unjudged(rule, n, why)], notes

    ours = gap_of({name: r.means(groups, r.ours) for name, r in rates.items()}, supported)
    notes |= {"candidate": _shown(ours, groups, supported)}
    theirs = None
    if has_champion and evidence.champion is not None:
        theirs = gap_of({k: r.means(groups, r.theirs) for k, r in rates.items() if r.theirs is not None}, supported)
        notes |= {"champion": _shown(theirs, groups, supported)}
    criteria = _against_policy(rule, ours, theirs, n)
    if not has_champion:
        if not criteria:
            why = "there is no champion to compare with, and neither gap_at_most nor ratio_at_least is declared"
            criteria.append(_unjudged(rule, n, why))
        return criteria, notes
    if theirs is None:
        return [_unjudged(rule, n, "there are no scores of the champion on these rows", ours.gap), *criteria], notes
    among = GroupRates(groups, supported, rates, rule.margin)
    return [_paired(rule, evidence, among, ours, theirs, alpha / parts), *criteria], notes


def gap_of(rates: dict[str, Floats], groups: list[int]) -> GroupGap:
    """The gap of these rates ``(g,)`` over some of the groups.

    >>> gap = gap_of({"selection": np.array([0.2, 0.5, 0.4])}, [0, 1, 2])
    >>> round(gap.gap, 3), gap.ratio, gap.high, gap.low
    (0.3, 0.4, 1, 0)
    """
    widest, ratios = ("", -1.0, 0, 0), []
    for name, values in rates.items():
        among = values[groups]
        high, low = groups[int(among.argmax())], groups[int(among.argmin())]
        ratios.append(float(values[low] / values[high]) if values[high] > 0 else None)
        if (gap := float(values[high] - values[low])) > widest[1]:
            widest = (name, gap, high, low)
    known = [r for r in ratios if r is not None]
    return GroupGap(
        rates, widest[1], min(known) if len(known) == len(ratios) else None, widest[0], widest[2], widest[3]
    )


# --- rates -----------------------------------------------------------------------------------------------------------


def _rates(rule: FairnessRule, evidence: Evidence) -> dict[str, Rate]:
    y, everybody = evidence.y, np.ones(evidence.rows, dtype=bool)

    def values(score: Floats) -> Floats:
        if rule.measure is Measure.MEAN_PREDICTION:
            return score
        if rule.measure is Measure.GROUP_LOSS:
            return np.abs(y - score)
        return (score > rule.threshold).astype(np.float64)

    ours = values(evidence.candidate)
    theirs = None if evidence.champion is None else values(evidence.champion)
    chosen = {
        Measure.DEMOGRAPHIC_PARITY: {"selection rate": everybody},
        Measure.EQUAL_OPPORTUNITY: {"true positive rate": y == 1},
        Measure.EQUALIZED_ODDS: {"true positive rate": y == 1, "false positive rate": y != 1},
        Measure.MEAN_PREDICTION: {"mean prediction": everybody},
        Measure.GROUP_LOSS: {"mean absolute error": everybody},
    }[rule.measure]
    return {name: Rate(rows, ours, theirs, evidence.weight) for name, rows in chosen.items()}


def _support(rule: FairnessRule, groups: Grouping, rates: dict[str, Rate]) -> tuple[list[int], dict[str, int]]:
    """The groups all of whose rates rest on enough rows, and by name the fewest rows of the others."""
    fewest = np.min([r.rows_in(groups) for r in rates.values()], axis=0)
    supported = np.flatnonzero(fewest >= rule.min_rows).tolist()
    return supported, {groups.names[i]: int(fewest[i]) for i in range(len(fewest)) if i not in set(supported)}


def _why_unusable(evidence: Evidence) -> str | None:
    if evidence.rows == 0:
        return "there are no rows"
    if missing := evidence.rows - int(np.isfinite(evidence.y).sum()):
        return f"{missing:,} of {evidence.rows:,} labels are missing or infinite"
    if evidence.task is Task.BINARY and not bool(np.isin(evidence.y, (0.0, 1.0)).all()):
        return "some labels are neither 0 nor 1"
    for who, score in (("candidate", evidence.candidate), ("champion", evidence.champion)):
        if score is not None and (bad := evidence.rows - int(np.isfinite(score).sum())):
            return f"of the {who}'s scores, {bad:,} of {evidence.rows:,} are missing or infinite"
    return None


# --- judging ---------------------------------------------------------------------------------------------------------


def _against_policy(rule: FairnessRule, ours: GroupGap, theirs: GroupGap | None, rows: int) -> list[CriterionResult]:
    found = []
    if rule.gap_at_most is not None:
        found.append(
            against_bound(
                f"{rule.name} gap",
                ours.gap,
                Direction.AT_MOST,
                rule.gap_at_most,
                rows=rows,
                champion=theirs.gap if theirs else None,
            )
        )
    if rule.ratio_at_least is not None:
        found.append(
            against_bound(
                f"{rule.name} ratio",
                ours.ratio,
                Direction.AT_LEAST,
                rule.ratio_at_least,
                rows=rows,
                champion=theirs.ratio if theirs else None,
            )
        )
    return found


def _paired(
    rule: FairnessRule, evidence: Evidence, among: GroupRates, ours: GroupGap, theirs: GroupGap, alpha: float
) -> CriterionResult:
    blocks = _blocks(evidence)
    if blocks.count < MIN_BLOCKS:
        had = count_of(blocks.count, "day")
        why = f"the rows are of {had}; at least {MIN_BLOCKS} are needed to see how much days differ"
        return _unjudged(rule, evidence.rows, why, ours.gap)
    worst: Farther | None = None
    for name in among.rates:
        found = farthest(among, name, blocks, alpha=alpha, decisions=rule.measure.task is Task.BINARY)
        if found is None:
            return _unjudged(rule, evidence.rows, "leaving out one day leaves a group without rows", ours.gap)
        worst = found if worst is None or found.above > worst.above else worst
    if worst is None:
        return _unjudged(rule, evidence.rows, "there is no rate to compare", ours.gap)
    if worst.above <= rule.margin:
        verdict, so = Verdict.PASS, f"so no two groups are farther apart by more than {rule.margin:g}."
    elif worst.below > rule.margin:
        verdict, so = Verdict.FAIL, f"so they are farther apart by more than {rule.margin:g}."
    else:
        verdict, so = Verdict.INCONCLUSIVE, f"so these rows cannot tell whether by at most {rule.margin:g}."
    values, before = ours.rates[worst.rate], theirs.rates[worst.rate]
    high, low = among.groups.names[worst.high], among.groups.names[worst.low]
    reason = (
        f"{rule.name}: gap {ours.gap:.4g} against the champion's {theirs.gap:.4g} on {evidence.rows:,} rows. The "
        f"{worst.rate} is {values[worst.high]:.4g} for {high} and {values[worst.low]:.4g} for {low}, under the "
        f"champion {before[worst.high]:.4g} and {before[worst.low]:.4g}: farther apart by {worst.measured:.4g} "
        f"({worst.below:.4g} to {worst.above:.4g}), {so}"
    )
    return CriterionResult(
        criterion=rule.name,
        verdict=verdict,
        measured=ours.gap,
        allowed=_allowed(rule),
        rows=evidence.rows,
        reason=reason,
        direction=Direction.AT_MOST,
        bound=rule.margin,
        margin=rule.margin,
        low=worst.below,
        high=worst.above,
        champion=theirs.gap,
    )


def _blocks(evidence: Evidence) -> Blocks:
    if evidence.days is None:
        return Blocks.at_random(evidence.rows, min(RANDOM_GROUPS, evidence.rows))
    return Blocks.of(evidence.days).merged(MAX_BLOCKS)


def _allowed(rule: FairnessRule) -> str:
    return f"groups farther apart by <= {rule.margin:g}"


def _unjudged(rule: FairnessRule, rows: int, why: str, measured: float | None = None) -> CriterionResult:
    return CriterionResult(
        criterion=rule.name,
        verdict=Verdict.INCONCLUSIVE,
        measured=measured,
        allowed=_allowed(rule),
        rows=rows,
        reason=f"{rule.name} could not be judged: {why}; that is no evidence.",
        direction=Direction.AT_MOST,
        bound=rule.margin,
        margin=rule.margin,
    )


def _shown(gap: GroupGap, groups: Grouping, supported: list[int]) -> dict[str, Any]:
    return {
        "gap": gap.gap,
        "ratio": gap.ratio,
        "rates": {name: {groups.names[i]: float(values[i]) for i in supported} for name, values in gap.rates.items()},
    }
