"""``threshold_gate``: the candidate's own numbers against absolute bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from include.domain.gates.evidence import Evidence
from include.domain.metrics import Metric, metric_of
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound
from include.domain.weighted_metrics import measure_weighted


@dataclass(frozen=True, slots=True)
class Bound:
    """One absolute, inclusive bound on one metric, in the metric's unit."""

    metric: str | Metric
    direction: Direction
    bound: float


def threshold_gate(bounds: Sequence[Bound], evidence: Evidence, *, mode: Mode, min_rows: int) -> GateResult:
    """Judge each bound on all rows of the evidence.

    Too few rows, or of those that the metric rests on (positives, say), missing labels or scores, or a single class
    where it needs two: INCONCLUSIVE, with the reason.
    The champion's and the baseline's values on the same rows are shown and decide nothing here.

    Raises:
        UnknownMetric: the task has no such metric.
    """
    return GateResult("threshold_gate", mode, tuple(_judge(bound, evidence, min_rows) for bound in bounds))


def _judge(bound: Bound, evidence: Evidence, min_rows: int) -> CriterionResult:
    seen = evidence.seen_by(bound.metric)
    measured = measure_weighted(seen.task, bound.metric, seen.y, seen.candidate, seen.weight)
    others = {
        name: None if scores is None else measure_weighted(seen.task, bound.metric, seen.y, scores, seen.weight).value
        for name, scores in (("champion", seen.champion), ("baseline", seen.baseline))
    }
    rows = evidence.judged_rows
    result = against_bound(
        measured.metric, measured.value, bound.direction, bound.bound, rows=rows, min_rows=min_rows, **others
    )
    if rows < min_rows:
        return result
    if measured.value is not None:
        thin = metric_of(seen.task, bound.metric).why_thin(seen.y, seen.candidate, seen.worth)
        why = f"{bound.metric} is {measured.value:.4g}, and {thin}; that is no evidence."
        return result if thin is None else replace(result, verdict=Verdict.INCONCLUSIVE, reason=why)
    return replace(result, reason=f"{bound.metric} could not be measured: {measured.reason}; that is no evidence.")
