"""How long a step's share has been open, from what happened to its rollout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.domain.canary.rollout import RolloutEvent, RolloutStage, RolloutState


@dataclass(frozen=True, slots=True)
class StepTime:
    """The newest step of a rollout in time, by the ledger's clock.

    Attributes:
        step: which, from 0.
        begin: since when its answers count. A person who resumes a step begins it again; a lease that ran out and was
            taken up does not.
        elapsed: how long its share was open since then.
        held_since: since when its share is held; None where it is not.
    """

    step: int
    begin: datetime
    elapsed: timedelta
    held_since: datetime | None


def step_time(events: Iterable[tuple[datetime, RolloutEvent, RolloutState]], now: datetime) -> StepTime:
    """The newest step's time at ``now``.

    Args:
        events: everything that happened to the rollout, oldest first: when, what, and where it left the rollout.

    Raises:
        ValueError: nothing happened to it.

    >>> at = [datetime(2024, 3, 1, hour) for hour in range(4)]
    >>> running, expired = (RolloutState(s, 0, 10_000) for s in (RolloutStage.RUNNING, RolloutStage.EXPIRED))
    >>> told = [(at[0], RolloutEvent.OPEN, running), (at[1], RolloutEvent.EXPIRE, expired)]
    >>> step_time(told, at[3]).elapsed
    datetime.timedelta(seconds=3600)
    """
    begin = since = held = None
    elapsed, step, before = timedelta(0), 0, None
    for at, event, state in events:
        begins = event in (RolloutEvent.OPEN, RolloutEvent.STEP)
        again = event is RolloutEvent.RESUME and before is RolloutStage.HELD
        if begin is None or begins or again:
            begin, since, elapsed, step = at, None, timedelta(0), state.step
        if since is not None:
            elapsed += max(at - since, timedelta(0))
        is_open = state.stage in (RolloutStage.RUNNING, RolloutStage.FINISHED)
        since = at if is_open else None
        if state.stage is not RolloutStage.HELD:
            held = None
        elif held is None:
            held = at
        before = state.stage
    if begin is None:
        raise ValueError("nothing happened to the rollout, so none of its steps has begun")
    if since is not None:
        elapsed += max(now - since, timedelta(0))
    return StepTime(step, begin, elapsed, held)
