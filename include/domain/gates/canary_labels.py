"""What matured labels say of a canary: both models' answers to the same rows, compared however often one looks.

The rows are those of the canary's share, which both models answered. What is looked at grows by whole days, so the look
at ``k`` days has ``alpha / (k (k + 1))``, which over all days together is alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.domain.comparison import PairedScores, compare
from include.domain.gates.champion_rules import ComparisonRule
from include.domain.gates.evidence import Evidence, RowValues
from include.domain.gates.judged_comparison import judge_comparison
from include.domain.metrics import Floats, Task
from include.domain.verdicts import CriterionResult, Verdict


@dataclass(frozen=True, slots=True, eq=False)
class MaturedRows:
    """Rows of ``n`` whose labels have matured, and what both models answered to them.

    Attributes:
        task: the model's.
        y: ``(n,)`` labels; a class as its position.
        canary: the canary's scores, ``(n,)`` or ``(n, k)``.
        champion: the champion's.
        days: ``(n,)`` the day of each, as ``YYYY-MM-DD``; only days whose labels have all had their time.
        values: what each row is worth by a metric in SQL; None for any other metric.
        weight: ``(n,)`` how much each counts; None where all count the same.
    """

    task: Task
    y: Floats
    canary: Floats
    champion: Floats
    days: NDArray[np.str_]
    values: RowValues | None = None
    weight: Floats | None = None


def judge_labels(
    rule: ComparisonRule, rows: MaturedRows, *, alpha: float, min_rows: int
) -> tuple[CriterionResult, dict[str, Any]]:
    """The verdict on the rows, and the comparison as the report keeps it.

    PASS where the canary is shown to be worse by no more than the margin, FAIL where it is shown to be worse by more,
    else INCONCLUSIVE.
    """
    name, looks = f"matured {rule.metric}", len(np.unique(rows.days))
    if not len(rows.y):
        reason = "No label of the canary's rows has matured yet; that is no evidence."
        return CriterionResult(name, Verdict.INCONCLUSIVE, None, rule.allowed(), 0, reason), {}
    values = {} if rows.values is None else {str(rule.metric): rows.values}
    naive = _mean_label(rows)
    seen = Evidence(rows.task, rows.y, rows.canary, rows.champion, naive, rows.days, values).weighted(rows.weight)
    rule = rule.on(seen)
    shown = seen.seen_by(rule.metric)
    scores = PairedScores(shown.task, shown.y, shown.candidate, shown.champion, rows.days, shown.weight)
    found = compare(scores, rule.metric, alpha=alpha, parts=looks * (looks + 1), margin=rule.margin)
    result = judge_comparison(rule, found, criterion=name, min_rows=min_rows)
    return result, found.as_json() | rule.as_json()


def _mean_label(rows: MaturedRows) -> Any:
    """The naive baseline, of which a margin may be a share: the mean label of the rows, for each of them."""
    if rows.task is not Task.MULTICLASS:
        return np.full(len(rows.y), np.average(rows.y, weights=rows.weight))
    shares = [np.average(rows.y == each, weights=rows.weight) for each in range(rows.champion.shape[1])]
    return np.tile(np.array(shares), (len(rows.y), 1))
