"""``smoke_gate``: the registered artifact, loaded in a fresh process, answers, and answers what ``evaluate`` saw.

The gates before judged a model in the memory of the process that trained or loaded it. This gate judges the file that
would be served: it is the first to detect a missing library, a step that was not saved or a code table in another
order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from include.domain.metrics import Floats, Task
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound

_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """Rows the fresh process was asked.

    Attributes:
        name: what is special about them, such as ``missing values``.
        asked: how many.
        answers: what came back, ``(n,)`` or ``(n, k)``, in the order of the rows that were answered.
        errors: rows by the message they failed with.
    """

    name: str
    asked: int
    answers: Floats
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class SmokeEvidence:
    """What the fresh process did.

    Attributes:
        task: what the scores are.
        load_error: why the artifact could not be loaded; None when it was.
        real: held-out rows, as they are.
        expected: the scores ``evaluate`` saw of the same rows, in the same order; None when it kept none.
        others: rows with missing values, with unseen categories, and other rows that must be answered.
    """

    task: Task
    load_error: str | None
    real: Probe | None = None
    expected: Floats | None = None
    others: tuple[Probe, ...] = ()


@dataclass(frozen=True, slots=True)
class SmokeRules:
    """``max_difference``: largest tolerated ``|answer - expected|``. ``min_rows``: fewest real rows asked. ``probes``:
    the names of the other probes that must be there."""

    max_difference: float = 1e-6
    min_rows: int = 10
    probes: tuple[str, ...] = ("missing values", "unseen categories")


def smoke_gate(rules: SmokeRules, evidence: SmokeEvidence | None, *, mode: Mode) -> GateResult:
    """Judge the answers of a fresh process. Each row must be answered by a number; for a classifier, by a probability.

    A probe that is missing, or that was asked nothing, is INCONCLUSIVE; an artifact that cannot be loaded FAILs.
    """
    if evidence is None:
        return GateResult("smoke_gate", mode, (_inconclusive("load", "no process was started", "loads"),))
    if evidence.load_error is not None:
        reason = f"The registered artifact cannot be loaded in a fresh process: {_line(evidence.load_error)}"
        failed = CriterionResult("load", Verdict.FAIL, None, "loads", 0, reason)
        return GateResult("smoke_gate", mode, (failed,))
    loaded = CriterionResult(
        "load", Verdict.PASS, None, "loads", 0, "The registered artifact loads in a fresh process."
    )
    by_name = {probe.name: probe for probe in evidence.others}
    names = dict.fromkeys((*rules.probes, *by_name))
    criteria = (
        loaded,
        _answered("real rows", evidence.real, evidence.task, rules.min_rows),
        _same(rules, evidence),
        *(_answered(name, by_name.get(name), evidence.task, 1) for name in names),
    )
    return GateResult("smoke_gate", mode, criteria)


def unusable(task: Task, answers: Floats) -> NDArray[np.bool_]:
    """Which answers are no answer, ``(n,)``: NaN, infinite, or, for a classifier, no probability.

    >>> unusable(Task.BINARY, np.array([0.2, np.nan, 1.5])).tolist()
    [False, True, True]
    """
    bad = ~np.isfinite(answers)
    if task is not Task.REGRESSION:
        bad |= (answers < 0) | (answers > 1)
    if bad.ndim == 2:
        with np.errstate(invalid="ignore"):
            found: NDArray[np.bool_] = bad.any(axis=1) | ~(np.abs(answers.sum(axis=1) - 1) <= 1e-3)
        return found
    return bad


def _answered(name: str, probe: Probe | None, task: Task, min_rows: int) -> CriterionResult:
    criterion = f"{name}, unanswered"
    if probe is None or probe.asked == 0:
        return _inconclusive(criterion, f"no {name} were asked", "<= 0")
    failed = sum(probe.errors.values())
    bad = int(unusable(task, probe.answers).sum())
    lost = max(probe.asked - len(probe.answers) - failed, 0)
    result = against_bound(criterion, failed + bad + lost, Direction.AT_MOST, 0, rows=probe.asked, min_rows=min_rows)
    if result.verdict is Verdict.INCONCLUSIVE:
        return result
    kind = "a number" if task is Task.REGRESSION else "a probability"
    parts = [f"{count:,} with {_line(message)}" for message, count in list(probe.errors.items())[:_NAMED]]
    if len(probe.errors) > _NAMED:
        parts.append(f"{sum(list(probe.errors.values())[_NAMED:]):,} with other errors")
    if bad:
        parts.append(f"{bad:,} with what is not {kind}")
    if lost:
        parts.append(f"{lost:,} not at all")
    reason = f"All {probe.asked:,} {name} were answered by {kind}."
    if parts:
        reason = f"Of {probe.asked:,} {name} were answered: {'; '.join(parts)}."
    return replace(result, reason=reason)


def _same(rules: SmokeRules, evidence: SmokeEvidence) -> CriterionResult:
    name, allowed = "difference to evaluate", f"<= {rules.max_difference:g}"
    real, expected = evidence.real, evidence.expected
    if real is None or expected is None or not len(expected):
        return _inconclusive(name, "evaluate kept no scores of these rows", allowed)
    if real.answers.shape != expected.shape:
        shapes = f"{real.answers.shape} instead of {expected.shape}"
        return _inconclusive(name, f"the answers have the shape {shapes}", allowed, len(expected))
    largest = np.abs(real.answers - expected)
    result = against_bound(
        name, float(largest.max()), Direction.AT_MOST, rules.max_difference, rows=len(expected), min_rows=rules.min_rows
    )
    if result.verdict is not Verdict.FAIL:
        return result
    changed = largest > rules.max_difference
    rows = int((changed if changed.ndim == 1 else changed.any(axis=1)).sum())
    reason = (
        f"The registered artifact answers {rows:,} of {len(expected):,} rows differently from the model that was "
        f"judged, by up to {largest.max():.4g}; allowed is {rules.max_difference:g}."
    )
    return replace(result, reason=reason)


def _inconclusive(criterion: str, why: str, allowed: str, rows: int = 0) -> CriterionResult:
    return CriterionResult(
        criterion=criterion,
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed=allowed,
        rows=rows,
        reason=f"{criterion} could not be judged: {why}; that is no evidence.",
    )


def _line(message: str) -> str:
    """The message on one line of at most 200 characters."""
    text = " ".join(message.split()) or "an error without a message"
    return text if len(text) <= 200 else text[:199] + "…"
