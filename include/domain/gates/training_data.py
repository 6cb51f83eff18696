"""``training_data_gate``: may these rows be learned from at all?

Judged on counts, before anything is fitted, because boosted trees fit a single class or five rows without an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound

FEWEST_TO_JUDGE = 0
"""An empty training set is judged, too: it fails."""


@dataclass(frozen=True, slots=True)
class TrainingDataSummary:
    """What was counted in one training set.

    Attributes:
        rows: rows of the training window.
        holdout_rows: rows of the window the candidate will be judged on.
        distinct_labels: how many different labels the training rows have.
        classes: how many training rows each class has, for the report; left out for regression.
        missing_labels: training rows without a label.
        null_shares: share of missing values of each feature, 0 to 1.
        infinite: infinite values of each feature; features without any may be left out.
        constant: features with one value only (missing values aside).
        duplicate_rows: rows whose keys an earlier row has already.
        judged_on_too: held-out rows (same keys, same event time) that are training rows as well.
        ends_before_holdout: whether every training row is older than every held-out one.
        remarks: what a reader must know about how the rows were joined.
        empty_because: of features without any value, the view and the cause, as a clause.
        worth: how many rows of equal weight the training rows and the held-out ones are worth, each rounded down; None
            where all count the same.
    """

    rows: int
    holdout_rows: int
    distinct_labels: int
    null_shares: Mapping[str, float]
    classes: Mapping[str, int] = field(default_factory=dict)
    missing_labels: int = 0
    infinite: Mapping[str, int] = field(default_factory=dict)
    constant: tuple[str, ...] = ()
    duplicate_rows: int = 0
    judged_on_too: int = 0
    ends_before_holdout: bool = True
    remarks: tuple[str, ...] = ()
    empty_because: Mapping[str, str] = field(default_factory=dict)
    worth: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class TrainingDataRules:
    """Bounds on a training set. ``max_null_share`` bounds features by name; every feature must have some value."""

    min_rows: int
    min_holdout_rows: int = 1
    max_null_share: Mapping[str, float] = field(default_factory=dict)


def training_data_gate(
    rules: TrainingDataRules, summary: TrainingDataSummary, *, mode: Mode = Mode.BLOCKING
) -> GateResult:
    """Judge a training set. Constant features only warn, in ``notes["warnings"]``.

    A declared bound on a feature that the summary lacks is INCONCLUSIVE, like everything that was not measured.
    """
    rows, features = summary.rows, len(summary.null_shares)
    counted, held_out = summary.worth or (rows, summary.holdout_rows)
    by = "" if summary.worth is None else ", by their weights"
    criteria = [
        _at_least(rules.min_rows, f"rows{by}", counted, summary),
        _at_least(1, "rows per feature", rows / max(features, 1), summary),
        _at_least(rules.min_holdout_rows, f"holdout rows{by}", held_out, summary),
        _classes(summary),
        _at_most(0, "missing labels", summary.missing_labels, summary),
        _at_most(0, "duplicate rows", summary.duplicate_rows, summary),
        _apart(summary),
        _infinite(summary),
        _empty(summary),
    ]
    for feature, bound in sorted(rules.max_null_share.items()):
        share = summary.null_shares.get(feature)
        criteria.append(_at_most(bound, f"missing share of {feature}", share, summary))
    warnings = [f"{feature} has one value in all {rows:,} rows: it teaches nothing." for feature in summary.constant]
    warnings += summary.remarks
    warnings += [f"No training row is of class {name}: its probability is always 0." for name in _absent(summary)]
    notes = {"warnings": warnings, "classes": dict(summary.classes), "features": features}
    return GateResult("training_data_gate", mode, tuple(criteria), notes)


def _at_least(bound: float, name: str, value: float, summary: TrainingDataSummary) -> CriterionResult:
    return against_bound(name, value, Direction.AT_LEAST, bound, rows=summary.rows, min_rows=FEWEST_TO_JUDGE)


def _at_most(bound: float, name: str, value: float | None, summary: TrainingDataSummary) -> CriterionResult:
    return against_bound(name, value, Direction.AT_MOST, bound, rows=summary.rows, min_rows=FEWEST_TO_JUDGE)


def _classes(summary: TrainingDataSummary) -> CriterionResult:
    found, rows = summary.distinct_labels, summary.rows
    if found >= 2:
        reason = f"The {rows:,} training rows have {found:,} different labels."
        if absent := _absent(summary):
            reason += f" None is of class {', '.join(absent)}, which gets the probability 0."
    elif found == 1:
        reason = f"Single class: all {rows:,} training rows have the same label, so there is nothing to tell apart."
    else:
        reason = "There are no training labels."
    return CriterionResult(
        criterion="different labels",
        verdict=Verdict.PASS if found >= 2 else Verdict.FAIL,
        measured=float(found),
        allowed=">= 2",
        rows=summary.rows,
        reason=reason,
        direction=Direction.AT_LEAST,
        bound=2.0,
    )


def _absent(summary: TrainingDataSummary) -> list[str]:
    """The declared classes without a training row."""
    return [name for name, count in summary.classes.items() if not count]


def _apart(summary: TrainingDataSummary) -> CriterionResult:
    result = _at_most(0, "training rows in the holdout", summary.judged_on_too, summary)
    if summary.judged_on_too:
        why = f"{summary.judged_on_too:,} of {summary.holdout_rows:,} held-out rows were to be learned from, too."
        return replace(result, reason=why)
    if not summary.ends_before_holdout:
        why = "The newest training row is not older than the oldest held-out one: the holdout's days would be learned."
        return replace(result, verdict=Verdict.FAIL, reason=why)
    return result


def _infinite(summary: TrainingDataSummary) -> CriterionResult:
    found = {name: count for name, count in summary.infinite.items() if count > 0}
    named = ", ".join(f"{name} ({count:,})" for name, count in sorted(found.items()))
    return _none_of(
        "infinite values", sum(found.values()), summary, f"Infinite values in {named}; no model is fitted on them."
    )


def _empty(summary: TrainingDataSummary) -> CriterionResult:
    # Written so that a share of NaN counts as empty, not as fine.
    found = sorted(name for name, share in summary.null_shares.items() if not share < 1)
    named: dict[str, list[str]] = {}
    for name in found:
        named.setdefault(summary.empty_because.get(name, ""), []).append(name)
    told = [f"{', '.join(names)} ({cause})" if cause else ", ".join(names) for cause, names in named.items()]
    return _none_of("empty features", len(found), summary, f"No value at all in {'; '.join(told)}.")


def _none_of(criterion: str, count: int, summary: TrainingDataSummary, otherwise: str) -> CriterionResult:
    return CriterionResult(
        criterion=criterion,
        verdict=Verdict.FAIL if count else Verdict.PASS,
        measured=float(count),
        allowed="<= 0",
        rows=summary.rows,
        reason=otherwise if count else f"There are no {criterion} in {summary.rows:,} rows.",
        direction=Direction.AT_MOST,
        bound=0.0,
    )
