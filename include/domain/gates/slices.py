"""``slice_gate``: no slice of the rows gets worse for the sake of the average, and no group is treated worse than it
was.

A slice blocks when it is shown to be worse, not when it is small. Slices are judged in tiers (``slice_tiers``), because
one rule for all of them stops either every candidate or none: strict non-inferiority of each on 20 slices of 1,000 rows
passes two equal models 0 % of the time, as tests/guarantees/gates/test_guarantees_slices.py measures.
- **strict**, large and protected slices: no worse than the champion by the margin, each with what all of them show
  together. Pooled so, equal models mostly pass, and each reason says by how much a slice must be worse to be stopped
  nine times in ten. Judged alone (``pooled`` false), a candidate worse by the margin on such a slice passes with a
  probability of at most alpha, and of many slices equal models pass seldom.
- **small**, all others: not significantly worse, with alpha split over all of them (Holm), so that equal models fail at
  most alpha of the time however many slices there are; measured beyond a wide floor, a nearly significant one is
  INCONCLUSIVE.
- **not judged** (too few rows, days or rows of a class): INCONCLUSIVE for a protected slice, which the declaration
  demands. The others are named, and all such slices of a column are judged together as one; or where so declared
  they are INCONCLUSIVE too.

Without a champion the opponent is the naive baseline, and every slice is judged as a small one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from include.domain.attempts import FIRST, Attempts
from include.domain.comparison import PairedComparison
from include.domain.gap import Gap, Tolerated, in_notes
from include.domain.gates.champion_rules import BadRule, FirstDeployment, gap_on
from include.domain.gates.evidence import BadEvidence, Evidence
from include.domain.gates.fairness import FairnessRule, fairness_criteria
from include.domain.gates.grouping import Grouping, group
from include.domain.gates.judged_comparison import NO_GAP
from include.domain.gates.slice_tiers import Slice, SliceTier, compared_alone, judge_small, judge_strict
from include.domain.metrics import Ints, Metric, measure, metric_of, why_bad_scores
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict

OTHERS = "(all under the support)"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class SliceRules:
    """The declared rules of ``slice_gate``.

    Attributes:
        metric: the metric every slice is compared on.
        margin: tolerated loss on a strict slice, in the metric's unit.
        margin_share: the margin as a share of the gap between champion and naive baseline on all rows (``on``); None
            where it is declared itself.
        floor_share: likewise of the floor.
        floor: measured loss on a small slice, in the metric's unit, beyond which a nearly significant one is
            INCONCLUSIVE.
        by: columns whose values are slices.
        protected: columns whose slices are strict whatever their size; they need not be in ``by`` as well.
        alpha: of each strict slice the chance to pass while worse by the margin, if slices differ as they are seen to
            (judged alone: whatever they do); of all small ones together the chance that some equal one fails.
        large_rows: rows from which a slice is strict.
        min_rows: the support.
        ask_under_support: whether an unprotected slice under the support is INCONCLUSIVE.
        pooled: whether a strict slice is judged with what the other strict ones show; otherwise each alone.
        fairness: what is compared between groups.
        first_deployment: what replaces the comparison while a model has no champion.
    """

    metric: str | Metric
    margin: float
    floor: float
    by: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    alpha: float = 0.05
    large_rows: int = 5000
    min_rows: int = 300
    ask_under_support: bool = False
    pooled: bool = True
    fairness: tuple[FairnessRule, ...] = ()
    first_deployment: FirstDeployment = FirstDeployment.BASELINE_ONLY
    margin_share: float | None = None
    floor_share: float | None = None
    gap: Gap | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.floor) or self.floor < 0:
            raise BadRule(f"floor of {self.metric} is {self.floor}; a floor is at least 0, in the metric's unit.")

    @property
    def without_gap(self) -> bool:
        """Whether a margin is a share of a gap that was not measured."""
        return self.gap is None and (self.margin_share is not None or self.floor_share is not None)

    def on(self, evidence: Evidence) -> SliceRules:
        """The rules with margin and floor as amounts, by the gap between champion and baseline on all rows."""
        gap = gap_on(evidence, self.metric)
        margin, floor = (
            Tolerated.of(*each, gap).amount
            for each in ((self.margin, self.margin_share), (self.floor, self.floor_share))
        )
        return replace(self, margin=margin, floor=floor, gap=gap)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to slice by, each once."""
        return tuple(dict.fromkeys((*self.by, *self.protected)))


def slice_gate(
    rules: SliceRules,
    evidence: Evidence,
    columns: Mapping[str, ArrayLike],
    *,
    mode: Mode,
    has_champion: bool,
    attempts: Attempts = FIRST,
) -> GateResult:
    """Judge a candidate on every slice of the rows.

    Args:
        rules: what was declared.
        evidence: the rows ``champion_gate`` judges.
        columns: by name the ``(n,)`` values of the columns the rules name. A missing one is INCONCLUSIVE.
        mode: blocking or advisory.
        has_champion: whether the model has a champion, as in ``champion_gate``.
        attempts: the chain of attempts on these days, as in ``champion_gate``. It divides the alpha of what would let a
            worse candidate pass (strict slices, fairness), not that of small slices, which would let more of them pass.

    Raises:
        BadEvidence: a column is not of the same rows.
    """
    for name, values in columns.items():
        if len(np.asarray(values)) != evidence.rows:
            raise BadEvidence(f"column {name!r}", len(np.asarray(values)), evidence.rows)
    notes: dict[str, Any] = {"alpha": rules.alpha, "attempts": attempts.number, "under_support": {}, "fairness": {}}
    notes["stopped_from"], notes["budget"] = {}, attempts.as_json(rules.alpha)
    criteria: list[CriterionResult] = []
    if has_champion:
        rules = rules.on(evidence)
        notes["margins"] = {
            name: {"margin": amount, "share": share, **in_notes(rules.gap)}
            for name, amount, share in (
                ("strict", rules.margin, rules.margin_share),
                ("small", rules.floor, rules.floor_share),
            )
        }
        if rules.columns and rules.without_gap:
            criteria.append(_no_gap(rules, evidence.rows))
    strict: list[Slice] = []
    small: list[Slice] = []
    if not has_champion and rules.columns and rules.first_deployment is FirstDeployment.ASK:
        criteria.append(_nobody_to_compare(evidence.rows))
    seen = evidence.seen_by(rules.metric)
    for column in rules.columns:
        if column not in columns:
            criteria.append(_no_column(column, evidence.rows))
            continue
        found = _slices(column, columns[column], seen, rules, notes["under_support"], criteria)
        for one in found:
            (strict if one.is_strict and has_champion else small).append(one)
    thin: list[tuple[Slice, str]] = []
    known = _Known(seen, thin, notes["stopped_from"])
    judged = [*_strict(rules, strict, attempts.parts, known), *_small(rules, small, has_champion, known)]
    criteria += sorted(judged, key=lambda c: -c.verdict.badness)
    criteria += _thin(rules, thin, notes["under_support"])
    notes["slices"] = {"strict": len(strict), "small": len(small)}
    for rule in rules.fairness:
        found_fairness, shown = fairness_criteria(
            rule,
            evidence,
            columns.get(rule.groups),
            alpha=rules.alpha,
            parts=attempts.parts,
            has_champion=has_champion,
        )
        criteria += found_fairness
        notes["fairness"][rule.name] = shown
    return GateResult("slice_gate", mode, tuple(criteria), notes)


# --- the slices ------------------------------------------------------------------------------------------------------


def _slices(
    column: str,
    values: ArrayLike,
    evidence: Evidence,
    rules: SliceRules,
    notes: dict[str, Any],
    criteria: list[CriterionResult],
) -> Iterator[Slice]:
    """The column's slices with enough rows; what the others mean goes into the criteria and the notes."""
    groups = group(column, values)
    sizes = groups.counted(evidence.weight)
    protected = column in rules.protected
    for i in np.flatnonzero(sizes >= rules.min_rows).tolist():
        is_strict, where = protected or int(sizes[i]) >= rules.large_rows, groups.rows_of(i)
        yield Slice(groups.name_of(i), column, where, is_strict, evidence.where(where))
    scarce = np.flatnonzero(sizes < rules.min_rows)
    if not len(scarce):
        return
    together: NDArray[np.bool_] = np.isin(groups.codes, scarce)
    others = evidence.where(together)
    notes[column] = {"slices": len(scarce), "rows": others.rows, "largest": _largest(groups, sizes, scarce)}
    if protected or rules.ask_under_support:
        criteria.append(_under_support(column, groups, sizes, scarce, rules.min_rows))
    elif others.judged_rows >= rules.min_rows:
        yield Slice(f"{column}={OTHERS}", column, together, False, others)


def _largest(groups: Grouping, sizes: Ints, scarce: NDArray[np.intp]) -> dict[str, int]:
    return {groups.names[i]: int(sizes[i]) for i in scarce[: 2 * _NAMED]}


def _under_support(
    column: str, groups: Grouping, sizes: Ints, scarce: NDArray[np.intp], needed: int
) -> CriterionResult:
    named = ", ".join(f"{groups.names[i]} ({sizes[i]:,})" for i in scarce[:_NAMED])
    more = f" and {len(scarce) - _NAMED:,} more" if len(scarce) > _NAMED else ""
    rows = int(sizes[scarce].sum())
    return CriterionResult(
        criterion=f"{column} support",
        verdict=Verdict.INCONCLUSIVE,
        measured=float(sizes[scarce].min()),
        allowed=f">= {needed:,} rows in each slice",
        rows=rows,
        reason=f"{len(scarce):,} slices of {column} have fewer than {needed:,} rows, too few to judge: {named}{more}.",
        direction=Direction.AT_LEAST,
        bound=float(needed),
    )


def _no_column(column: str, rows: int) -> CriterionResult:
    return CriterionResult(
        criterion=f"{column} slices",
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed="every slice judged",
        rows=rows,
        reason=f"The rows have no column {column!r}, so none of its slices was judged.",
    )


def _no_gap(rules: SliceRules, rows: int) -> CriterionResult:
    return CriterionResult(
        criterion=f"margins in {rules.metric}",
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed="a share of the gap",
        rows=rows,
        reason=f"{rules.metric} has no margin in slices: {NO_GAP}",
    )


def _nobody_to_compare(rows: int) -> CriterionResult:
    return CriterionResult(
        criterion="first_deployment",
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed=FirstDeployment.ASK.value,
        rows=rows,
        reason="There is no champion to compare slices with; first_deployment is ask, so a person decides.",
    )


# --- the tiers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What both tiers share: the rows as the metric sees them, the slices too thin to compare, each with why, and by
    criterion what a slice must be worse by to be stopped nine times in ten."""

    whole: Evidence
    thin: list[tuple[Slice, str]]
    stopped_from: dict[str, float]


def _strict(rules: SliceRules, slices: list[Slice], parts: int, known: _Known) -> list[CriterionResult]:
    tier = SliceTier(rules.metric, rules.margin, rules.min_rows, rules.alpha, parts, pooled=rules.pooled)
    tier = replace(tier, share=rules.margin_share, gap=rules.gap)
    compared = compared_alone(tier, slices, margin=rules.margin)
    kept, broken = _comparable(tier, slices, compared, known.thin)
    return [judged for part in (kept, broken) for judged in judge_strict(tier, *part, known.whole, known.stopped_from)]


def _small(rules: SliceRules, slices: list[Slice], has_champion: bool, known: _Known) -> list[CriterionResult]:
    against = "champion" if has_champion else "baseline"
    tier = SliceTier(rules.metric, rules.floor, rules.min_rows, rules.alpha, against=against)
    tier = replace(tier, share=rules.floor_share, gap=rules.gap)
    kept, broken = _comparable(tier, slices, compared_alone(tier, slices), known.thin)
    return [judged for part in (kept, broken) for judged in judge_small(tier, *part, known.whole, known.stopped_from)]


Compared = tuple[list[Slice], list[PairedComparison]]
"""Slices, each with its comparison."""


def _comparable(
    tier: SliceTier, slices: list[Slice], compared: list[PairedComparison], thin: list[tuple[Slice, str]]
) -> tuple[Compared, Compared]:
    """Those that could be compared, and those that could not although they have the rows; the others are thin."""
    kept: Compared = ([], [])
    broken: Compared = ([], [])
    for one, found in zip(slices, compared, strict=True):
        only_thin = _is_only_thin(metric_of(one.evidence.task, tier.metric), one.evidence, tier.against == "champion")
        if found.difference is None and only_thin:
            thin.append((one, str(found.reason)))
            continue
        into = broken if found.difference is None else kept
        into[0].append(one)
        into[1].append(found)
    return kept, broken


def _is_only_thin(metric: Metric, evidence: Evidence, has_champion: bool) -> bool:
    """Whether nothing was compared although every label and score can be used: the slice is too thin, not broken. A
    metric of a team's own that has no value there is broken."""
    other = evidence.champion if has_champion else evidence.baseline
    scores = (evidence.candidate, other)
    if metric.own and any(s is None or measure(evidence.task, metric, evidence.y, s).value is None for s in scores):
        return False
    return bool(np.isfinite(evidence.y).all()) and all(
        s is not None and why_bad_scores(metric, s) is None for s in scores
    )


def _thin(rules: SliceRules, thin: list[tuple[Slice, str]], notes: dict[str, Any]) -> Iterator[CriterionResult]:
    for one, why in thin:
        if one.column in rules.protected or rules.ask_under_support:
            yield CriterionResult(
                criterion=f"{one.name} {rules.metric}",
                verdict=Verdict.INCONCLUSIVE,
                measured=None,
                allowed="enough support",
                rows=one.rows,
                reason=f"{one.name} was not judged on its {one.rows:,} rows: {why}.",
            )
        else:
            notes.setdefault(one.column, {}).setdefault("thin", {})[one.name] = why
