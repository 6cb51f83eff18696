"""A rollout as it would have gone: rows of the past, or of a made world, through the steps of a plan.

Each row is drawn by a salt, counted by the same fold as live traffic, and judged by the same rules: those of the guard
after every few rows, and those of the gate when a step has its rows and its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.domain.canary.counts import RolloutCounts
from include.domain.canary.live_rows import LiveRow, ModelAnswer
from include.domain.canary.plan import CanaryPlan
from include.domain.canary.stretches import Stretch
from include.domain.canary.units import place, within
from include.domain.gates.canary import Following, canary_gate, following, guarded
from include.domain.verdicts import CriterionResult, GateResult, Mode, Verdict

LOOK_EVERY = 20
"""Rows of the canary's share between two looks."""


@dataclass(frozen=True, slots=True)
class PastRow:
    """One row that was asked, and what each of the two answered or would have."""

    asked_id: str
    unit: str
    at: datetime
    champion: ModelAnswer
    canary: ModelAnswer


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """What became of one step.

    Attributes:
        step: which, from 0.
        share_ppm: in millionths.
        began: when its first row came.
        ended: when the last one did that it was judged by.
        asked: rows while it lasted.
        answered: of those, the ones that the canary was drawn for.
        failed: of the answered, the ones that only the canary failed on.
        then: what followed; WAIT where the rows were over before it could be told.
        result: the gate's result at its end.
        caught: what took the share away; None where nothing did.
    """

    step: int
    share_ppm: int
    began: datetime
    ended: datetime
    asked: int
    answered: int
    failed: int
    then: Following
    result: GateResult
    caught: CriterionResult | None

    @property
    def lasted(self) -> timedelta:
        return self.ended - self.began


def replayed(plan: CanaryPlan, rows: Iterable[PastRow], *, salt: str) -> list[ReplayedStep]:
    """The steps that these rows, in the order of time, would have taken; none where there are no rows."""
    counts = RolloutCounts(1, plan.wire, tuple(step.share_ppm for step in plan.steps))
    stream, found = iter(rows), list[ReplayedStep]()
    for step in range(len(plan.steps)):
        made = _step(plan, counts, step, stream, salt)
        if made is None:
            break
        found.append(made)
        if made.then is not Following.RAISE:
            break
    return found


def _step(
    plan: CanaryPlan, counts: RolloutCounts, step: int, rows: Iterator[PastRow], salt: str
) -> ReplayedStep | None:
    share, began, at = plan.steps[step].share_ppm, None, None
    asked = answered = failed = 0
    counts.begin(Stretch(step + 1, share))
    for row in rows:
        began, at, asked = began or row.at, row.at, asked + 1
        is_canary = within(place(salt, row.unit), share)
        counts.add(
            LiveRow(row.asked_id, row.unit, step + 1, share, is_canary, row.canary if is_canary else None, row.champion)
        )
        if not is_canary:
            continue
        answered += 1
        failed += row.canary.failed and not row.champion.failed
        if answered % LOOK_EVERY and not (row.canary.failed or row.at - began >= plan.steps[step].max_time):
            continue
        looked = _look(plan, counts, at - began)
        if looked is not None:
            then, result, caught = looked
            return ReplayedStep(step, share, began, at, asked, answered, failed, then, result, caught)
    if began is None or at is None:
        return None
    evidence = counts.evidence(at - began)
    result = canary_gate(plan, evidence, mode=Mode.BLOCKING)
    return ReplayedStep(
        step, share, began, at, asked, answered, failed, following(plan, evidence, result), result, None
    )


def _look(
    plan: CanaryPlan, counts: RolloutCounts, elapsed: timedelta
) -> tuple[Following, GateResult, CriterionResult | None] | None:
    """What follows from one look; None where nothing does."""
    evidence = counts.evidence(elapsed)
    by_guard = guarded(plan, evidence)
    step = plan.steps[evidence.step]
    enough = evidence.rows >= step.min_rows and elapsed >= step.min_time
    if by_guard is None and not enough and elapsed < step.max_time:
        return None  # the gate's bounds take longer to compute, and none of them can be passed yet
    result = canary_gate(plan, evidence, mode=Mode.BLOCKING)
    if by_guard is not None:
        return by_guard[0], result, by_guard[1]
    then = following(plan, evidence, result)
    if then is Following.WAIT:
        return None
    worst = max(result.criteria, key=lambda each: each.verdict.badness)
    return then, result, None if worst.verdict is Verdict.PASS else worst
