"""The shadow window: when it is full, and what a challenger must show in it (docs/statistics.md, 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from include.domain.comparison import PairedComparison, PairedScores, compare
from include.domain.gates.champion_rules import ComparisonRule
from include.domain.gates.evidence import Evidence, RowValues
from include.domain.gates.judged_comparison import judge_comparison
from include.domain.metrics import Floats, Task
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound
from include.domain.wording import bounds_in_words, count_of

STOPPED = 0.9
"""How often a challenger is stopped that is worse by what the reason says."""


class Window(Enum):
    """The state of a shadow window."""

    OPEN = "open"
    FULL = "full"
    SHORT = "short"
    """Closed because its last day is over, without the rows or days it needs: INCONCLUSIVE."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Bounds on the challenger's 99th percentile of time per row: in milliseconds, and as a multiple of the champion's
    in the same window; None is not judged."""

    p99_ms_at_most: float | None = None
    times_champion_at_most: float | None = None


@dataclass(frozen=True, slots=True)
class ShadowRules:
    """The declared rules of a shadow window.

    Attributes:
        min_rows: fewest rows both models answered; below it every criterion is INCONCLUSIVE.
        min_days: fewest scored days.
        max_days: scored days after which the window closes, full or not.
        mean_delta: lowest and highest mean ``|challenger - champion|`` score. Below the lowest, the two are one model.
        p99_delta_at_most: highest 99th percentile of ``|challenger - champion|``.
        coverage_at_least: share of the rows asked that have an answer, NaN or an error included.
        errors_at_most: share of the rows asked that were answered by an error, NaN or infinity.
        decisions_differ: lowest and highest share of rows decided differently (another class); None is only reported.
        comparison: the paired test on labels matured within the window; None is none.
        alpha: as in the champion gate.
        min_matured_rows: fewest labelled rows for that test.
        labels_required: whether too few matured labels are INCONCLUSIVE; otherwise that is only noted.
        min_matured_days: scored days whose labels have matured before the window is full; 0 does not wait for them.
        only_if_shown_worse: whether the test stops a challenger only where labels show that it is worse; otherwise it
            must be shown to be no worse.
        latency: bounds on time; None is not judged.
    """

    min_rows: int
    min_days: int
    max_days: int
    mean_delta: tuple[float, float]
    p99_delta_at_most: float
    coverage_at_least: float = 0.999
    errors_at_most: float = 0.0
    decisions_differ: tuple[float, float] | None = None
    comparison: ComparisonRule | None = None
    alpha: float = 0.05
    min_matured_rows: int = 500
    labels_required: bool = False
    min_matured_days: int = 0
    only_if_shown_worse: bool = False
    latency: Latency | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ShadowEvidence:
    """What the prediction log holds of one window.

    Attributes:
        task: what the scores are.
        asked: rows the champion served, all of which the challenger was asked.
        errors: rows it answered with an exception; they are not in the arrays.
        champion: the champion's scores of the rows with an answer, ``(n,)`` or ``(n, k)``.
        challenger: the challenger's of the same rows; NaN where it gave none.
        days: the day of each row, ``(n,)``.
        y: labels, ``(n,)``, NaN where they have not matured; None where none has.
        weight: how much each row with a label counts in the comparison, ``(n,)``, above 0 where ``y`` is known; None
            where all count the same.
        champion_p99_ms: 99th percentile of the champion's time per row; None if not measured.
        challenger_p99_ms: the challenger's.
        values: what each row is worth by the business metric that labels are compared by, under the challenger's
            answer, the champion's, and as ``baseline`` the mean label; NaN without a label. None where no row has one,
            or where a metric of scores is compared.
        unvalued: why rows with labels have no such values, as a sentence; None where they have.
    """

    task: Task
    asked: int
    errors: int
    champion: Floats
    challenger: Floats
    days: NDArray[Any]
    y: Floats | None = None
    weight: Floats | None = None
    champion_p99_ms: float | None = None
    challenger_p99_ms: float | None = None
    values: RowValues | None = None
    unvalued: str | None = None

    @property
    def compared(self) -> NDArray[np.bool_]:
        """``(n,)``: the rows with a label that both answered with a number."""
        if self.y is None:
            return np.zeros(len(self.champion), dtype=bool)
        return np.asarray(_finite(self.champion) & _finite(self.challenger) & np.isfinite(self.y))

    @property
    def mean_label(self) -> Floats:
        """What the mean label of the ``m`` compared rows, at least one, would have answered: ``(m,)`` or ``(m, k)``."""
        chosen = self.compared
        y = np.empty(0) if self.y is None else self.y[chosen]
        weight = None if self.weight is None else self.weight[chosen]
        if self.task is Task.MULTICLASS:
            shares = [np.average(y == each, weights=weight) for each in range(self.champion.shape[1])]
            return np.tile(np.array(shares), (len(y), 1))
        return np.full(len(y), np.average(y, weights=weight))


def window_state(rules: ShadowRules, *, rows: int, days: int, matured_days: int | None = None) -> Window:
    """Whether a window with so many rows on so many scored days is full: it needs the rows AND the days, and where
    labels are required the days whose labels have matured; None does not ask for these.

    Counts alone decide, never what labels say: so the window is looked at once, and its alpha is spent once.

    >>> rules = ShadowRules(min_rows=100, min_days=3, max_days=7, mean_delta=(0.001, 0.1), p99_delta_at_most=0.5)
    >>> [window_state(rules, rows=r, days=d).value for r, d in ((500, 2), (99, 3), (100, 3), (99, 7))]
    ['open', 'open', 'full', 'short']
    """
    labelled = matured_days is None or matured_days >= rules.min_matured_days
    if rows >= rules.min_rows and days >= rules.min_days and labelled:
        return Window.FULL
    return Window.SHORT if days >= rules.max_days else Window.OPEN


def shadow_gate(rules: ShadowRules, evidence: ShadowEvidence, *, mode: Mode, attempts: int = 1) -> GateResult:
    """Judge a challenger on one shadow window.

    Answers that are NaN or infinite count as errors and are left out of the differences. With too few rows or days
    every criterion is INCONCLUSIVE.
    """
    usable = _finite(evidence.champion) & _finite(evidence.challenger)
    champion, challenger = evidence.champion[usable], evidence.challenger[usable]
    rows, days = int(usable.sum()), len(np.unique(evidence.days))
    delta = np.abs(challenger - champion)
    if delta.ndim == 2:
        delta = delta.max(axis=1)  # the class that moved most
    mean = float(delta.mean()) if rows else None
    differ = _share_decided_differently(evidence.task, champion, challenger)
    criteria = [_full(rules, rows, days), *_answers(rules, evidence)]
    criteria += _within("mean |delta|", mean, rules.mean_delta, rows, rules.min_rows)
    p99 = float(np.quantile(delta, 0.99)) if rows else None
    criteria.append(_at_most("p99 |delta|", p99, rules.p99_delta_at_most, rows, rules.min_rows))
    if rules.decisions_differ is not None:
        criteria += _within("decisions that differ", differ, rules.decisions_differ, rows, rules.min_rows)
    if rules.latency is not None:
        criteria += _latency(rules.latency, evidence, rows, rules.min_rows)
    notes: dict[str, Any] = {"days": days, "asked": evidence.asked, "decisions_differ": differ, "p99_delta": p99}
    criteria += _on_matured_labels(rules, evidence, attempts, notes)
    if criteria[0].verdict is not Verdict.PASS:
        criteria = [criteria[0], *(_too_early(c, criteria[0].reason) for c in criteria[1:])]
    return GateResult("shadow_gate", mode, tuple(criteria), notes)


def _finite(scores: Floats) -> NDArray[np.bool_]:
    """Which rows have a score that is a number in every output, ``(n,)``."""
    finite = np.isfinite(scores)
    return finite if finite.ndim == 1 else np.asarray(finite.all(axis=1))


def _full(rules: ShadowRules, rows: int, days: int) -> CriterionResult:
    full = window_state(rules, rows=rows, days=days) is Window.FULL
    had = f"{count_of(rows, 'row')} on {count_of(days, 'day')}"
    needed = f"{count_of(rules.min_rows, 'row')} and {count_of(rules.min_days, 'day')}"
    return CriterionResult(
        criterion="window",
        verdict=Verdict.PASS if full else Verdict.INCONCLUSIVE,
        measured=float(days),
        allowed=f">= {count_of(rules.min_days, 'day')}, {count_of(rules.min_rows, 'row')}",
        rows=rows,
        reason=f"The shadow window has {had}; " + ("enough." if full else f"it needs {needed} to be judged."),
        direction=Direction.AT_LEAST,
        bound=float(rules.min_days),
    )


def _answers(rules: ShadowRules, evidence: ShadowEvidence) -> list[CriterionResult]:
    asked, answered = evidence.asked, len(evidence.challenger) + evidence.errors
    failed = evidence.errors + int((~_finite(evidence.challenger)).sum())
    coverage = answered / asked if asked else None
    share = failed / asked if asked else None
    covered = against_bound(
        "coverage", coverage, Direction.AT_LEAST, rules.coverage_at_least, rows=asked, min_rows=rules.min_rows
    )
    return [covered, _at_most("errors and NaN", share, rules.errors_at_most, asked, rules.min_rows)]


def _at_most(name: str, value: float | None, bound: float, rows: int, min_rows: int) -> CriterionResult:
    return against_bound(name, value, Direction.AT_MOST, bound, rows=rows, min_rows=min_rows)


def _within(
    name: str, value: float | None, bounds: tuple[float, float], rows: int, min_rows: int
) -> list[CriterionResult]:
    """A value that must differ from zero and not by too much: two criteria, so that the table names the one broken."""
    low, high = bounds
    lowest = against_bound(f"{name}, lowest", value, Direction.AT_LEAST, low, rows=rows, min_rows=min_rows)
    if lowest.verdict is Verdict.FAIL:
        agree = "agree on every row" if value == 0 else f"differ by {value:.4g} only"
        reason = (
            f"Challenger and champion {agree} ({name} {value:.4g} is below {low:g} on {rows:,} rows): "
            "the same model is wired twice, or the candidate is no new model."
        )
        lowest = replace(lowest, reason=reason)
    return [lowest, _at_most(f"{name}, highest", value, high, rows, min_rows)]


def _share_decided_differently(task: Task, champion: Floats, challenger: Floats) -> float | None:
    if task is Task.REGRESSION or not len(champion):
        return None
    if champion.ndim == 1:
        return float(np.mean((champion > 0.5) != (challenger > 0.5)))
    return float(np.mean(champion.argmax(axis=1) != challenger.argmax(axis=1)))


def _latency(rules: Latency, evidence: ShadowEvidence, rows: int, min_rows: int) -> list[CriterionResult]:
    ours, theirs = evidence.challenger_p99_ms, evidence.champion_p99_ms
    found = []
    if rules.p99_ms_at_most is not None:
        found.append(_at_most("p99 latency in ms", ours, rules.p99_ms_at_most, rows, min_rows))
    if rules.times_champion_at_most is not None:
        times = ours / theirs if ours is not None and theirs else None
        found.append(_at_most("p99 latency / champion's", times, rules.times_champion_at_most, rows, min_rows))
    return found


def _on_matured_labels(
    rules: ShadowRules, evidence: ShadowEvidence, attempts: int, notes: dict[str, Any]
) -> list[CriterionResult]:
    rule = rules.comparison
    if rule is None:
        return []
    matured = evidence.compared
    if evidence.unvalued is not None:
        rows, name = int(matured.sum()), f"matured {rule.metric}"
        if rows < rules.min_matured_rows and not rules.labels_required:
            notes["matured"] = {"judged": False, "why": evidence.unvalued}
            return []
        return [CriterionResult(name, Verdict.INCONCLUSIVE, None, "measured", rows, evidence.unvalued)]
    seen = _labelled(rule, evidence)
    if seen.rows:
        rule = rule.on(seen)
    shown = seen.seen_by(rule.metric)
    scores = PairedScores(shown.task, shown.y, shown.candidate, shown.champion, evidence.days[matured], shown.weight)
    comparison = compare(
        scores,
        rule.metric,
        alpha=rules.alpha,
        parts=attempts,
        margin=None if rule.superiority else rule.margin,
    )
    notes["matured"] = comparison.as_json() | rule.as_json()
    result = judge_comparison(rule, comparison, criterion=f"matured {rule.metric}", min_rows=rules.min_matured_rows)
    unmeasured = comparison.judged_rows < rules.min_matured_rows or comparison.difference is None
    if rules.only_if_shown_worse and not unmeasured and not rule.tolerated.unmeasured:
        result = _unless_shown_worse(rule, result, comparison)
    if unmeasured and not rules.labels_required:
        notes["matured"] |= {"judged": False, "why": result.reason}
        return []
    return [result]


def _labelled(rule: ComparisonRule, evidence: ShadowEvidence) -> Evidence:
    """The rows that labels compare; the naive baseline, which a margin may be a share of, is their mean label."""
    chosen = evidence.compared
    y = np.empty(0) if evidence.y is None else evidence.y[chosen]
    naive = evidence.mean_label if len(y) else None
    values = {} if evidence.values is None else {str(rule.metric): evidence.values.where(chosen)}
    parts = (evidence.challenger[chosen], evidence.champion[chosen], naive, evidence.days[chosen], values)
    return Evidence(evidence.task, y, *parts).weighted(None if evidence.weight is None else evidence.weight[chosen])


def _unless_shown_worse(rule: ComparisonRule, result: CriterionResult, found: PairedComparison) -> CriterionResult:
    """The verdict of a comparison that stops a challenger only where it is shown to be worse; without bounds it keeps
    its own, which is INCONCLUSIVE."""
    if result.low is None or result.high is None or found.difference is None:
        return result
    by = rule.tolerated
    allowed = f"not shown worse by > {rule.margin:g}" if rule.share is None else f"not shown worse by > {by}"
    by_more = f"by more than {by}"
    if result.low > rule.margin:
        verdict, so = Verdict.FAIL, f"so it is shown to be worse {by_more}"
    elif result.low > 0 and found.difference > rule.margin:
        verdict, so = Verdict.INCONCLUSIVE, f"so it is worse, and labels cannot tell whether {by_more}"
    else:
        verdict, so = Verdict.PASS, f"so labels do not show that it is worse {by_more}"
    reach, level = found.difference - result.low, found.alpha
    stopped_from = max(reach, rule.margin) + reach * float(ndtri(STOPPED) / -ndtri(level))
    side = "worse" if found.difference >= 0 else "better"
    reason = (
        f"{result.criterion} {found.candidate:.4g} against the champion's {found.champion:.4g} on {found.about}: "
        f"{side} by {abs(found.difference):.4g} ({bounds_in_words(result.low, result.high)}, each bound at "
        f"{100 * (1 - level):.4g} %), {so}. A challenger that scatters like this one and is worse "
        f"by {stopped_from:.3g} is stopped nine times in ten."
    )
    return replace(result, verdict=verdict, allowed=allowed, reason=reason)


def _too_early(result: CriterionResult, why: str) -> CriterionResult:
    """The measurements of a window that is not full are shown; they neither pass nor fail."""
    return replace(result, verdict=Verdict.INCONCLUSIVE, reason=f"{why} So far: {result.reason}")
