"""What may happen to a rollout in each stage, and which share follows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.domain.canary.plan import CanaryPlan, CanaryStep
from include.domain.canary.rollout import (
    OVER,
    NotOfARollout,
    RolloutEvent,
    RolloutStage,
    RolloutState,
    after,
    opened,
    passed,
)
from include.domain.canary.wires import Wire

HOUR = timedelta(hours=1)
PLAN = CanaryPlan(
    tuple(CanaryStep(share, 500, HOUR, 24 * HOUR) for share in (10_000, 100_000)), 0.005, Wire(5, 20), 0.05
)
SHARES = [step.share_ppm for step in PLAN.steps]
LOWERING = (RolloutEvent.HOLD, RolloutEvent.EXPIRE, RolloutEvent.TRIP, RolloutEvent.ABORT)


def at(stage: RolloutStage, step: int = 0) -> RolloutState:
    shares = stage in (RolloutStage.RUNNING, RolloutStage.FINISHED)
    return RolloutState(stage, step, SHARES[step] if shares else 0)


class TestStagesOfARollout:
    def test_it_begins_with_the_first_share_and_passes_step_by_step(self):
        state = opened(PLAN)
        assert state == at(RolloutStage.RUNNING)
        assert passed(PLAN, state) is RolloutEvent.STEP
        state = after(PLAN, state, RolloutEvent.STEP)
        assert state == at(RolloutStage.RUNNING, 1)
        assert passed(PLAN, state) is RolloutEvent.FINISH
        assert after(PLAN, state, RolloutEvent.FINISH) == at(RolloutStage.FINISHED, 1)
        with pytest.raises(NotOfARollout):
            after(PLAN, state, RolloutEvent.STEP)

    def test_of_three_shares_each_is_followed_by_the_next(self):
        plan = CanaryPlan(
            tuple(CanaryStep(s, 500, HOUR, 24 * HOUR) for s in (10_000, 100_000, 500_000)), 0.005, Wire(5, 20), 0.05
        )
        state = after(plan, after(plan, opened(plan), RolloutEvent.STEP), RolloutEvent.STEP)
        assert state == RolloutState(RolloutStage.RUNNING, 2, 500_000)

    @pytest.mark.parametrize("event", LOWERING)
    @pytest.mark.parametrize("step", [0, 1])
    def test_whatever_lowers_leaves_no_share_and_keeps_the_step(self, event, step):
        state = after(PLAN, at(RolloutStage.RUNNING, step), event)
        assert (state.share_ppm, state.step) == (0, step)

    def test_what_was_held_or_expired_comes_back_to_its_own_step_and_no_further(self):
        for event in (RolloutEvent.HOLD, RolloutEvent.EXPIRE):
            away = after(PLAN, at(RolloutStage.RUNNING, 1), event)
            assert after(PLAN, away, RolloutEvent.RESUME) == at(RolloutStage.RUNNING, 1)

    def test_a_finished_one_that_was_held_must_pass_its_last_step_again(self):
        away = after(PLAN, at(RolloutStage.FINISHED, 1), RolloutEvent.HOLD)
        assert after(PLAN, away, RolloutEvent.RESUME).stage is RolloutStage.RUNNING

    @pytest.mark.parametrize("stage", sorted(OVER, key=lambda each: each.value))
    @pytest.mark.parametrize("event", list(RolloutEvent))
    def test_nothing_happens_to_one_that_is_over(self, stage, event):
        with pytest.raises(NotOfARollout, match="allowed: nothing, it is over"):
            after(PLAN, at(stage), event)

    @pytest.mark.parametrize("stage", [RolloutStage.HELD, RolloutStage.EXPIRED, RolloutStage.FINISHED])
    @pytest.mark.parametrize("event", [RolloutEvent.STEP, RolloutEvent.FINISH])
    def test_only_a_running_one_grows(self, stage, event):
        with pytest.raises(NotOfARollout, match=f"{event.value!r} may not happen to a rollout that is {stage.value}"):
            after(PLAN, at(stage), event)

    def test_no_event_but_a_passed_step_makes_a_share_larger_than_it_was_at_that_step(self):
        for stage in RolloutStage:
            for step in (0, 1):
                for event in set(RolloutEvent) - {RolloutEvent.STEP}:
                    try:
                        found = after(PLAN, at(stage, step), event)
                    except NotOfARollout:
                        continue
                    assert found.share_ppm <= SHARES[step]
                    assert found.step == step
