"""``canary_gate``: may the canary have more of the live traffic, or must it have none?

One step is judged at a time. Harm that is shown is FAIL; whatever is not shown to be well is INCONCLUSIVE, and where
units did not come into the canary as drawn, nothing that was compared is evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import Enum

from include.domain.canary.evidence import StepEvidence
from include.domain.canary.harm import Harmed, harm_evidence, reached
from include.domain.canary.mismatch import mismatch_evidence
from include.domain.canary.plan import CanaryPlan
from include.domain.canary.rates import added_at_most
from include.domain.canary.units import PPM
from include.domain.canary.wires import Wired
from include.domain.gate_names import CANARY_GATE
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound, known
from include.domain.wording import count_of

NAME = CANARY_GATE
_MISMATCH = "units drawn as declared"
_LARGEST = 600.0
"""The logarithm up to which evidence is given as a number; beyond, the number is this one's."""


class Following(Enum):
    """What follows from a judged step."""

    WAIT = "wait"
    RAISE = "raise"
    """The next step; after the last one, promotion."""
    END = "end"
    """The share ends: the candidate did harm."""
    ASK = "ask"
    """The share ends, and a person is asked."""


def canary_gate(plan: CanaryPlan, evidence: StepEvidence | None, *, mode: Mode) -> GateResult:
    """Judge one step of a rollout.

    Args:
        plan: as it was declared when the rollout was opened.
        evidence: of the step; None where nothing is known of it, which is INCONCLUSIVE.
        mode: blocking or advisory.
    """
    if evidence is None:
        reason = "Nothing is known of the canary: no answer was counted, so it cannot pass."
        return GateResult(NAME, mode, (CriterionResult("rows", Verdict.INCONCLUSIVE, None, "counted", 0, reason),))
    mismatch = _mismatch(plan, evidence)
    compared = [_wire(plan, evidence), *_harm(plan, evidence), _added(plan, evidence), *_paired(plan, evidence)]
    if mismatch.verdict is not Verdict.PASS:
        compared = [_void(one) for one in compared]
    criteria = (mismatch, *compared, *_enough(plan, evidence))
    notes = {
        "number": evidence.number,
        "step": evidence.step,
        "share_ppm": plan.steps[evidence.step].share_ppm,
        "total_alpha": plan.total_alpha,
        "elapsed_s": evidence.elapsed.total_seconds(),
    }
    return GateResult(NAME, mode, criteria, notes)


def following(plan: CanaryPlan, evidence: StepEvidence, result: GateResult) -> Following:
    """What follows from the verdict. What is INCONCLUSIVE waits while time is left, except where waiting cannot help:
    both models failed on the same rows, or units were not drawn as declared."""
    if result.verdict is Verdict.PASS:
        return Following.RAISE
    if result.verdict is Verdict.FAIL:
        return Following.END
    drawn = next(c for c in result.criteria if c.criterion == _MISMATCH)
    if evidence.wired is not Wired.QUIET or (drawn.verdict is not Verdict.PASS and any(_units(evidence))):
        return Following.ASK
    return Following.ASK if evidence.elapsed >= plan.steps[evidence.step].max_time else Following.WAIT


def guarded(plan: CanaryPlan, evidence: StepEvidence) -> tuple[Following, CriterionResult] | None:
    """What ends a share at once, without waiting for the rows or the time of the step, and because of what; None while
    nothing does. END where the candidate did harm, ASK where what was counted can be no evidence.

    Only what may be looked at any time is asked: the hard wire, the evidence of harm and that of a wrong draw.
    """
    wire, mismatch = _wire(plan, evidence), _mismatch(plan, evidence)
    if wire.verdict is Verdict.FAIL:
        return Following.END, wire
    if mismatch.verdict is not Verdict.PASS and any(_units(evidence)):
        return Following.ASK, mismatch
    # Before what failed for both: it says nothing of who does harm, and what was shown besides stays shown.
    harmed = next((one for one in _harm(plan, evidence) if one.verdict is Verdict.FAIL), None)
    if harmed is not None:
        return Following.END, harmed
    return None if evidence.wired is Wired.QUIET else (Following.ASK, wire)


def _units(evidence: StepEvidence) -> Iterator[int]:
    yield from (one.canary + one.champion for one in evidence.exposed)


def _mismatch(plan: CanaryPlan, evidence: StepEvidence) -> CriterionResult:
    units, allowed = sum(_units(evidence)), f"evidence < {1 / plan.mismatch_alpha:,.0f}"
    if units == 0:
        reason = "No unit was answered, so it is not known whether they are drawn as declared."
        return CriterionResult(_MISMATCH, Verdict.INCONCLUSIVE, None, allowed, 0, reason)
    log = mismatch_evidence(evidence.exposed)
    wrong = reached(log, plan.mismatch_alpha)
    newest = evidence.exposed[-1]
    seen = "none" if newest.share is None else f"{100 * newest.share:.3g} %"
    shares = f"of {count_of(newest.canary + newest.champion, 'unit')} {seen} came into the canary"
    declared = f"{newest.share_ppm / 10_000:g} % are declared"
    reason = (
        f"Units do not come into the canary as drawn: {shares}, and {declared}. Nothing that was compared is evidence; "
        "its share must end until the reason is found."
        if wrong
        else f"Units come into the canary as drawn: {shares}, and {declared}."
    )
    verdict = Verdict.INCONCLUSIVE if wrong else Verdict.PASS
    return _evidence(_MISMATCH, verdict, log, plan.mismatch_alpha, units, reason)


def _wire(plan: CanaryPlan, evidence: StepEvidence) -> CriterionResult:
    rows, allowed = evidence.rows, f"fewer than {plan.wire} rows"
    verdict, reason = {
        Wired.QUIET: (Verdict.PASS, f"Never did {plan.wire} rows fail."),
        Wired.CANARY: (Verdict.FAIL, f"The canary failed on {plan.wire} rows that the champion answered."),
        Wired.BOTH: (
            Verdict.INCONCLUSIVE,
            f"Canary and champion both failed on {plan.wire} rows: what they share is broken, and neither is blamed.",
        ),
    }[evidence.wired]
    if rows == 0 and evidence.wired is Wired.QUIET:
        verdict, reason = Verdict.INCONCLUSIVE, "No row was answered by both, so no failure could be seen."
    return CriterionResult("hard wire", verdict, None, allowed, rows, reason)


def _harm(plan: CanaryPlan, evidence: StepEvidence) -> Iterator[CriterionResult]:
    yield _more("failures", plan.failures_alpha, evidence.failed, evidence)
    if evidence.slow is None:
        reason = "The champion's times are not known, so no answer can be called slow; that is no evidence."
        allowed = f"evidence < {1 / plan.slow_alpha:,.0f}"
        yield CriterionResult("slow answers", Verdict.INCONCLUSIVE, None, allowed, 0, reason)
    else:
        yield _more("slow answers", plan.slow_alpha, evidence.slow, evidence)


def _more(what: str, alpha: float, counts: Sequence[Harmed], evidence: StepEvidence) -> CriterionResult:
    log = harm_evidence(counts)
    ours, theirs = sum(one.canary for one in counts), sum(one.champion for one in counts)
    units = sum(_units(evidence))
    expected = sum((one.canary + one.champion) * one.share_ppm / PPM for one in counts)
    of = f"of {count_of(ours + theirs, 'unit')} with {what} {ours:,} are the canary's, and {expected:.3g} are expected"
    if reached(log, alpha):
        verdict, reason = Verdict.FAIL, f"The canary has more {what} than the champion: {of}."
    elif units == 0:
        verdict, reason = Verdict.INCONCLUSIVE, f"No unit was answered, so {what} could not be counted."
    else:
        verdict, reason = Verdict.PASS, f"More {what} than the champion's are not shown: {of}."
    return _evidence(f"more {what}", verdict, log, alpha, units, reason)


def _evidence(criterion: str, verdict: Verdict, log: float, alpha: float, rows: int, reason: str) -> CriterionResult:
    return CriterionResult(
        criterion=criterion,
        verdict=verdict,
        measured=math.exp(min(log, _LARGEST)),
        allowed=f"evidence < {1 / alpha:,.0f}",
        rows=rows,
        reason=reason,
        direction=Direction.AT_MOST,
        bound=1 / alpha,
    )


def _added(plan: CanaryPlan, evidence: StepEvidence) -> CriterionResult:
    """Whether the canary is shown to be no worse than what the next share can bear."""
    margin, (failed, units), (theirs, others) = plan.margin_of(evidence.step), evidence.canary, evidence.champion
    high = added_at_most(evidence.canary, evidence.champion, plan.shown_alpha)
    shown = units > 0 and others > 0 and high <= margin
    rates = f"{failed:,} of {count_of(units, 'unit')}, the champion on {theirs:,} of {others:,}"
    bound = f"at most {100 * high:.3g} points more, and {100 * margin:.3g} are tolerated at the next share"
    return CriterionResult(
        criterion="added failures",
        verdict=Verdict.PASS if shown else Verdict.INCONCLUSIVE,
        measured=failed / units if units else None,
        allowed=f"upper bound of (canary - champion) <= {margin:.4g}",
        rows=units,
        reason=f"The canary fails on {rates}: {bound}.",
        direction=Direction.AT_MOST,
        margin=margin,
        high=high if units and others else None,
        champion=theirs / others if others else None,
    )


def _paired(plan: CanaryPlan, evidence: StepEvidence) -> Iterator[CriterionResult]:
    paired, enough = evidence.paired, plan.steps[evidence.step].min_rows
    mean, p99, differ = (
        (None, None, None) if paired is None else (paired.mean_delta, paired.p99_delta, paired.decisions_differ)
    )
    for name, value, bound in (
        ("mean |canary - champion|", mean, plan.mean_delta_at_most),
        ("p99 |canary - champion|", p99, plan.p99_delta_at_most),
        ("decided differently", differ, plan.decisions_differ_at_most),
    ):
        if bound is not None:
            rows = paired.rows if paired else 0
            yield against_bound(name, known(value), Direction.AT_MOST, bound, rows=rows, min_rows=_tolerant(enough))


def _tolerant(rows: int) -> int:
    """Rows on which one of the two failed are not compared, and failures have criteria of their own."""
    return max(1, rows * 9 // 10)


def _enough(plan: CanaryPlan, evidence: StepEvidence) -> Iterator[CriterionResult]:
    step = plan.steps[evidence.step]
    few, early = evidence.rows < step.min_rows, evidence.elapsed < step.min_time
    yield CriterionResult(
        criterion="rows",
        verdict=Verdict.INCONCLUSIVE if few else Verdict.PASS,
        measured=float(evidence.rows),
        allowed=f">= {step.min_rows:,}",
        rows=evidence.rows,
        reason=f"Both models were asked {count_of(evidence.rows, 'row')}; at least {step.min_rows:,} are needed.",
        direction=Direction.AT_LEAST,
        bound=float(step.min_rows),
    )
    yield CriterionResult(
        criterion="time",
        verdict=Verdict.INCONCLUSIVE if early else Verdict.PASS,
        measured=evidence.elapsed.total_seconds(),
        allowed=f">= {_time(step.min_time)}",
        rows=evidence.rows,
        reason=f"The step has lasted {_time(evidence.elapsed)}; at least {_time(step.min_time)} are needed.",
        direction=Direction.AT_LEAST,
        bound=step.min_time.total_seconds(),
    )


def _time(time: timedelta) -> str:
    """A time in its largest whole unit.

    >>> _time(timedelta(hours=1)), _time(timedelta(minutes=90)), _time(timedelta(seconds=7.5))
    ('1 h', '90 min', '7.5 s')
    """
    seconds = time.total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:.6g} s"


def _void(one: CriterionResult) -> CriterionResult:
    """What was compared where units were not drawn as declared: no evidence, be it good or bad. Only the hard wire
    needs no comparison of arms."""
    if one.criterion == "hard wire" or one.verdict is Verdict.INCONCLUSIVE:
        return one
    return replace(
        one, verdict=Verdict.INCONCLUSIVE, reason=f"Not judged, units are not drawn as declared. {one.reason}"
    )
