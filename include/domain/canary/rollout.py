"""One rollout: what may happen to it, and which share follows. Lowering is always allowed; a share grows only by a
judged step, and comes back only to what was judged before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from include.domain.canary.plan import CanaryPlan
from include.domain.errors import Refusal


class RolloutEvent(Enum):
    """What happens to a rollout."""

    OPEN = "open"
    STEP = "step"
    """A judged step passed, and the next share follows."""
    FINISH = "finish"
    """The last step passed: it may be promoted. The share stays until then."""
    HOLD = "hold"
    """Somebody took the share away, and it may come back."""
    EXPIRE = "expire"
    """Its lease was not renewed."""
    RESUME = "resume"
    TRIP = "trip"
    """The guard of the service took it out. It is over."""
    ABORT = "abort"
    """A person took it out, or the champion beside it changed. It is over."""


class RolloutStage(Enum):
    """Where a rollout is."""

    RUNNING = "running"
    HELD = "held"
    EXPIRED = "expired"
    FINISHED = "finished"
    TRIPPED = "tripped"
    ABORTED = "aborted"


OVER = frozenset({RolloutStage.TRIPPED, RolloutStage.ABORTED})
_ALL = frozenset(RolloutStage) - OVER
FROM: Mapping[RolloutEvent, tuple[frozenset[RolloutStage], RolloutStage]] = {
    RolloutEvent.STEP: (frozenset({RolloutStage.RUNNING}), RolloutStage.RUNNING),
    RolloutEvent.FINISH: (frozenset({RolloutStage.RUNNING}), RolloutStage.FINISHED),
    RolloutEvent.HOLD: (_ALL - {RolloutStage.HELD}, RolloutStage.HELD),
    RolloutEvent.EXPIRE: (frozenset({RolloutStage.RUNNING, RolloutStage.FINISHED}), RolloutStage.EXPIRED),
    RolloutEvent.RESUME: (frozenset({RolloutStage.HELD, RolloutStage.EXPIRED}), RolloutStage.RUNNING),
    RolloutEvent.TRIP: (_ALL, RolloutStage.TRIPPED),
    RolloutEvent.ABORT: (_ALL, RolloutStage.ABORTED),
}
"""From which stages an event leads to which; the first one of a rollout is OPEN."""


class NotOfARollout(Refusal, ValueError):
    """An event that may not happen to a rollout in its stage."""

    def __init__(self, stage: RolloutStage, event: RolloutEvent) -> None:
        allowed = ", ".join(each.value for each, (stages, _) in FROM.items() if stage in stages)
        allowed = allowed or "nothing, it is over"
        super().__init__(f"{event.value!r} may not happen to a rollout that is {stage.value}; allowed: {allowed}.")


@dataclass(frozen=True, slots=True)
class RolloutState:
    """Where a rollout is: its stage, its step from 0, and its share in millionths."""

    stage: RolloutStage
    step: int
    share_ppm: int


def opened(plan: CanaryPlan) -> RolloutState:
    """The first share of a plan."""
    return RolloutState(RolloutStage.RUNNING, 0, plan.steps[0].share_ppm)


def passed(plan: CanaryPlan, state: RolloutState) -> RolloutEvent:
    """What a passed step leads to: the next one, or the end of the last."""
    return RolloutEvent.FINISH if state.step + 1 == len(plan.steps) else RolloutEvent.STEP


def after(plan: CanaryPlan, state: RolloutState, event: RolloutEvent) -> RolloutState:
    """The state after the event.

    Raises:
        NotOfARollout: naming what is allowed.
    """
    stages, stage = FROM.get(event, (frozenset(), state.stage))
    if state.stage not in stages:
        raise NotOfARollout(state.stage, event)
    if event is not RolloutEvent.STEP:
        shares = stage in (RolloutStage.RUNNING, RolloutStage.FINISHED)
        return replace(state, stage=stage, share_ppm=plan.steps[state.step].share_ppm if shares else 0)
    if state.step + 1 >= len(plan.steps):
        raise NotOfARollout(state.stage, event)
    return RolloutState(stage, state.step + 1, plan.steps[state.step + 1].share_ppm)
