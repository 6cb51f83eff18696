"""``slice_gate``: no slice of the rows gets worse for the sake of the average, and no group is treated worse than it
was.

Slices are judged in tiers, because one rule for all of them stops either every candidate or none: strict
non-inferiority on 20 slices of 1,000 rows passes two equal models 0 % of the time, as
tests/unit/domain/gates/test_guarantees_slices.py measures.
- **strict**, large and protected slices: no worse than the champion by the margin, as in ``champion_gate``. A
  candidate worse by the margin on such a slice passes with a probability of at most alpha. All must pass, so their
  number costs no further alpha.
- **small**, all others: not *significantly* worse (Holm 1979, "A simple sequentially rejective multiple test
  procedure", Scandinavian Journal of Statistics 6:65-70, so that equal models fail at most alpha of the time however
  many slices there are), and not measured worse by more than a wide floor.
- **under the support** (too few rows, days or rows of a class): INCONCLUSIVE for a protected slice. For the others
  that, or, where so declared, they are named and all such slices of a column are judged together as one.

Without a champion the opponent is the naive baseline, and every slice is judged as a small one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from include.domain.comparison import PairedComparison, PairedScores, compare
from include.domain.gates.champion import BadRule, ComparisonRule, FirstDeployment, judge_comparison
from include.domain.gates.evidence import BadEvidence, Evidence
from include.domain.gates.fairness import FairnessRule, fairness_criteria
from include.domain.gates.grouping import Grouping, group
from include.domain.metrics import Metric, measure, metric_of, why_bad_scores
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict

OTHERS = "(all under the support)"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class SliceRules:
    """The declared rules of ``slice_gate``.

    Attributes:
        metric: the metric every slice is compared on.
        margin: tolerated loss on a strict slice, in the metric's unit.
        floor: largest measured loss on a small slice, in the metric's unit.
        by: columns whose values are slices.
        protected: columns whose slices are strict whatever their size; they need not be in ``by`` as well.
        alpha: of each strict slice the chance to pass while worse by the margin; of all small ones together the chance
            that some equal one is called worse.
        large_rows: rows from which a slice is strict.
        min_rows: the support.
        ask_under_support: whether an unprotected slice under the support is INCONCLUSIVE.
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
    ask_under_support: bool = True
    fairness: tuple[FairnessRule, ...] = ()
    first_deployment: FirstDeployment = FirstDeployment.BASELINE_ONLY

    def __post_init__(self) -> None:
        if not np.isfinite(self.floor) or self.floor < 0:
            raise BadRule(f"floor of {self.metric} is {self.floor}; a floor is at least 0, in the metric's unit.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to slice by, each once."""
        return tuple(dict.fromkeys((*self.by, *self.protected)))


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    name: str
    column: str
    rows: int
    is_strict: bool
    evidence: Evidence


def slice_gate(
    rules: SliceRules,
    evidence: Evidence,
    columns: Mapping[str, ArrayLike],
    *,
    mode: Mode,
    has_champion: bool,
    attempts: int = 1,
) -> GateResult:
    """Judge a candidate on every slice of the rows.

    Args:
        rules: what was declared.
        evidence: the rows ``champion_gate`` judges.
        columns: by name the ``(n,)`` values of the columns the rules name. A missing one is INCONCLUSIVE.
        mode: blocking or advisory.
        has_champion: whether the model has a champion, as in ``champion_gate``.
        attempts: how many candidates have been judged on these rows. It divides the alpha of what would let a worse
            candidate pass (strict slices, fairness), not that of small slices, which would let more of them pass.

    Raises:
        BadEvidence: a column is not of the same rows.
    """
    for name, values in columns.items():
        if len(np.asarray(values)) != evidence.rows:
            raise BadEvidence(f"column {name!r}", len(np.asarray(values)), evidence.rows)
    notes: dict[str, Any] = {"alpha": rules.alpha, "attempts": attempts, "under_support": {}, "fairness": {}}
    criteria: list[CriterionResult] = []
    strict: list[_Slice] = []
    small: list[_Slice] = []
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
    thin: list[tuple[_Slice, str]] = []
    judged = [*_strict(rules, strict, attempts, thin), *_small(rules, small, has_champion, thin)]
    criteria += sorted(judged, key=lambda c: -c.verdict.badness)
    criteria += _thin(rules, thin, notes["under_support"])
    notes["slices"] = {"strict": len(strict), "small": len(small)}
    for rule in rules.fairness:
        found_fairness, shown = fairness_criteria(
            rule,
            evidence,
            columns.get(rule.groups),
            alpha=rules.alpha,
            attempts=attempts,
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
) -> Iterator[_Slice]:
    """The column's slices with enough rows; what the others mean goes into the criteria and the notes."""
    groups = group(column, values)
    sizes = groups.sizes
    protected = column in rules.protected
    for i in np.flatnonzero(sizes >= rules.min_rows).tolist():
        is_strict = protected or int(sizes[i]) >= rules.large_rows
        yield _Slice(groups.name_of(i), column, int(sizes[i]), is_strict, evidence.where(groups.rows_of(i)))
    scarce = np.flatnonzero(sizes < rules.min_rows)
    if not len(scarce):
        return
    rows = int(sizes[scarce].sum())
    notes[column] = {"slices": len(scarce), "rows": rows, "largest": _largest(groups, scarce)}
    if protected or rules.ask_under_support:
        criteria.append(_under_support(column, groups, scarce, rules.min_rows))
    elif rows >= rules.min_rows:
        together: NDArray[np.bool_] = np.isin(groups.codes, scarce)
        yield _Slice(f"{column}={OTHERS}", column, rows, False, evidence.where(together))


def _largest(groups: Grouping, scarce: NDArray[np.intp]) -> dict[str, int]:
    return {groups.names[i]: int(groups.sizes[i]) for i in scarce[: 2 * _NAMED]}


def _under_support(column: str, groups: Grouping, scarce: NDArray[np.intp], needed: int) -> CriterionResult:
    named = ", ".join(f"{groups.names[i]} ({groups.sizes[i]:,})" for i in scarce[:_NAMED])
    more = f" and {len(scarce) - _NAMED:,} more" if len(scarce) > _NAMED else ""
    rows = int(groups.sizes[scarce].sum())
    return CriterionResult(
        criterion=f"{column} support",
        verdict=Verdict.INCONCLUSIVE,
        measured=float(groups.sizes[scarce].min()),
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


def _strict(
    rules: SliceRules, slices: list[_Slice], attempts: int, thin: list[tuple[_Slice, str]]
) -> Iterator[CriterionResult]:
    rule = ComparisonRule(rules.metric, rules.margin)
    for one in slices:
        found = _compare(rules, one, one.evidence.champion, attempts, rules.margin)
        if found.difference is None and _is_only_thin(metric_of(one.evidence.task, rules.metric), one.evidence, True):
            thin.append((one, str(found.reason)))
            continue
        yield judge_comparison(rule, found, criterion=f"{one.name} {rules.metric}", min_rows=rules.min_rows)


def _small(
    rules: SliceRules, slices: list[_Slice], has_champion: bool, thin: list[tuple[_Slice, str]]
) -> Iterator[CriterionResult]:
    """Holm's procedure by bounds: with ``m`` hypotheses left, each is tested at ``alpha / m``; what is rejected makes
    the next level wider for the others, until nothing more is rejected."""
    pending, final = list(slices), dict[str, tuple[PairedComparison, bool]]()
    while pending:
        tested = {one.name: _compare(rules, one, _opponent(one, has_champion), len(pending), None) for one in pending}
        worse = {name for name, c in tested.items() if c.low is not None and c.low > 0}
        final |= {name: (c, name in worse) for name, c in tested.items()}
        pending = [one for one in pending if one.name not in worse] if worse else []
    for one in slices:
        found, is_worse = final[one.name]
        metric = metric_of(one.evidence.task, rules.metric)
        if found.difference is None and _is_only_thin(metric, one.evidence, has_champion):
            thin.append((one, str(found.reason)))
        else:
            yield _judge_small(rules, one, found, is_worse, len(slices), has_champion)


def _compare(rules: SliceRules, one: _Slice, other: Any, split: int, margin: float | None) -> PairedComparison:
    return compare(
        PairedScores(one.evidence.task, one.evidence.y, one.evidence.candidate, other, one.evidence.days),
        rules.metric,
        alpha=rules.alpha,
        attempts=split,
        margin=margin,
    )


def _opponent(one: _Slice, has_champion: bool) -> Any:
    return one.evidence.champion if has_champion else one.evidence.baseline


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


def _judge_small(
    rules: SliceRules, one: _Slice, c: PairedComparison, is_worse: bool, of: int, has_champion: bool
) -> CriterionResult:
    against = "champion" if has_champion else "baseline"
    name = f"{one.name} {rules.metric}"
    if c.difference is None or c.low is None or c.high is None:
        verdict = Verdict.INCONCLUSIVE
        why = f"{name} could not be compared: {(c.reason or '').replace('champion', against)}; that is no evidence."
    else:
        if is_worse:
            verdict, so = Verdict.FAIL, f"so it is significantly worse (Holm over {of} slices)."
        elif c.difference > rules.floor:
            verdict, so = Verdict.FAIL, f"which is more than the floor {rules.floor:g}."
        else:
            verdict, so = (
                Verdict.PASS,
                f"so it is not significantly worse (Holm over {of} slices).",
            )
        side = "worse" if c.difference >= 0 else "better"
        why = (
            f"{name} {c.candidate:.4g} against the {against}'s {c.champion:.4g} on {c.about}: {side} by "
            f"{abs(c.difference):.4g} (worse by {c.low:.4g} to {c.high:.4g}, each bound at "
            f"{100 * (1 - c.alpha):.4g} %), {so}"
        )
    return CriterionResult(
        criterion=name,
        verdict=verdict,
        measured=c.candidate,
        allowed=f"not sig. worse; worse by <= {rules.floor:g}",
        rows=c.rows,
        reason=why,
        direction=Direction.AT_MOST,
        bound=rules.floor,
        margin=rules.floor,
        low=c.low,
        high=c.high,
        champion=c.champion if has_champion else None,
        baseline=None if has_champion else c.champion,
    )


def _thin(rules: SliceRules, thin: list[tuple[_Slice, str]], notes: dict[str, Any]) -> Iterator[CriterionResult]:
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
