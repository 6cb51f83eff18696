"""A candidate's lifecycle as a transition table: which event leads from which state to which.

A journey has one candidate. While the candidate is *live*, its model can have no other: one live candidate per model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from include.domain.authority import said
from include.domain.errors import Refusal
from include.domain.journey import Trigger, candidate_id


class State(Enum):
    """The state of a candidate."""

    OPENED = "opened"
    """The journey is open and its as-of time frozen; there is no artifact yet."""
    TRAINED = "trained"
    """Its artifact exists and has a digest; the offline gates judge it."""
    CHALLENGER = "challenger"
    """It is registered beside the champion."""
    SHADOWING = "shadowing"
    """It scores the same rows as the champion, and its answers are not served."""
    CHAMPION = "champion"
    """It serves. One per model."""
    RETIRED = "retired"
    """It was champion and was replaced by a successor. A rollback may restore it."""
    ROLLED_BACK = "rolled_back"
    """It was champion and was taken out. It stays out."""
    UNCHANGED = "unchanged"
    """Its artifact is the champion's own, so there was nothing to promote."""
    REJECTED = "rejected"
    """A gate or a person said no."""
    SUPERSEDED = "superseded"
    """A newer journey replaced it before its end."""
    FAILED = "failed"
    """The machinery broke before a verdict was reached."""


class Event(Enum):
    """What may happen to a candidate."""

    TRAIN = "train"
    REFIT = "refit"
    """What is to serve was fitted again on all matured rows; the artifact that was judged stays its twin."""
    REGISTER = "register"
    SHADOW = "shadow"
    PROMOTE = "promote"
    RETIRE = "retire"
    ROLL_BACK = "roll_back"
    RESTORE = "restore"
    """A rollback makes a retired champion the champion again."""
    MATCH = "match"
    """Its digest turned out to be the champion's."""
    REJECT = "reject"
    FAIL = "fail"
    SUPERSEDE = "supersede"
    REOPEN = "reopen"
    """Its run was cleared, for example after an override: it goes on where it was closed."""


LIVE = frozenset({State.OPENED, State.TRAINED, State.CHALLENGER, State.SHADOWING})
"""The states of a candidate in flight: at most one per model."""

BARRED = frozenset({State.ROLLED_BACK, State.REJECTED})
"""The states whose artifact no other candidate of the model may have again (by digest)."""

WAS_CLOSED_IN = None
"""In the table: the target is the live state in which the candidate was closed."""

TRANSITIONS: Mapping[Event, tuple[frozenset[State], State | None]] = {
    Event.TRAIN: (frozenset({State.OPENED}), State.TRAINED),
    Event.REFIT: (frozenset({State.TRAINED}), State.TRAINED),
    Event.REGISTER: (frozenset({State.TRAINED}), State.CHALLENGER),
    Event.SHADOW: (frozenset({State.CHALLENGER}), State.SHADOWING),
    Event.PROMOTE: (frozenset({State.CHALLENGER, State.SHADOWING}), State.CHAMPION),
    Event.MATCH: (frozenset({State.CHALLENGER, State.SHADOWING}), State.UNCHANGED),
    Event.RETIRE: (frozenset({State.CHAMPION}), State.RETIRED),
    Event.ROLL_BACK: (frozenset({State.CHAMPION}), State.ROLLED_BACK),
    Event.RESTORE: (frozenset({State.RETIRED}), State.CHAMPION),
    Event.REJECT: (LIVE, State.REJECTED),
    Event.FAIL: (LIVE, State.FAILED),
    Event.SUPERSEDE: (LIVE, State.SUPERSEDED),
    Event.REOPEN: (frozenset({State.REJECTED, State.FAILED}), WAS_CLOSED_IN),
}

_AFTER_SHADOW = frozenset({State.CHAMPION, State.RETIRED, State.ROLLED_BACK, State.UNCHANGED})
TAKEN: Mapping[Event, frozenset[State]] = {
    Event.TRAIN: frozenset({State.TRAINED, State.CHALLENGER, State.SHADOWING}) | _AFTER_SHADOW,
    Event.REFIT: frozenset({State.CHALLENGER, State.SHADOWING}) | _AFTER_SHADOW,
    Event.REGISTER: frozenset({State.CHALLENGER, State.SHADOWING}) | _AFTER_SHADOW,
    Event.SHADOW: frozenset({State.SHADOWING}) | _AFTER_SHADOW,
    Event.PROMOTE: frozenset({State.CHAMPION}),
    Event.MATCH: frozenset({State.UNCHANGED}),
    Event.RETIRE: frozenset({State.RETIRED}),
    Event.ROLL_BACK: frozenset({State.ROLLED_BACK}),
    Event.RESTORE: frozenset(),
    Event.REJECT: frozenset({State.REJECTED}),
    Event.FAIL: frozenset({State.FAILED}),
    Event.SUPERSEDE: frozenset({State.SUPERSEDED}),
    Event.REOPEN: LIVE,
}
"""The states in which an event has already happened: it changes nothing there, so that a journey may run again."""


class IllegalTransition(Refusal, ValueError):
    """An event that may not happen to a candidate in its state."""

    def __init__(self, state: State, event: Event) -> None:
        self.state, self.event = state, event
        allowed = ", ".join(e.value for e in allowed_events(state)) or "nothing; this state is final"
        super().__init__(f"{event.value!r} may not happen to a candidate that is {state.value}; allowed: {allowed}.")


def allowed_events(state: State) -> list[Event]:
    """The events that change a candidate in ``state``, in the table's order."""
    return [event for event, (sources, _) in TRANSITIONS.items() if state in sources]


def advance(state: State, event: Event, *, closed_in: State | None = None) -> State:
    """The state after ``event``; the same state when the event has already happened.

    ``closed_in`` is the live state the candidate had when it was closed; only REOPEN reads it, and None means unknown:
    then it starts again from OPENED.

    >>> advance(State.OPENED, Event.TRAIN), advance(State.CHAMPION, Event.TRAIN)
    (<State.TRAINED: 'trained'>, <State.CHAMPION: 'champion'>)

    Raises:
        IllegalTransition: naming what is allowed.
    """
    if state in TAKEN[event]:
        return state
    sources, target = TRANSITIONS[event]
    if state not in sources:
        raise IllegalTransition(state, event)
    if target is not WAS_CLOSED_IN:
        return target
    return closed_in if closed_in in LIVE else State.OPENED


@dataclass(frozen=True, slots=True)
class JourneyRequest:
    """What a journey was asked to do. Two requests under one run id must be equal."""

    model: str
    run_id: str
    """The journey's run id, unique within the model."""
    as_of: datetime
    """The data time the journey is frozen at: nothing learned later is used."""
    trigger: Trigger
    reason: str
    requested_by: str
    issue: str | None = None
    """A ticket the request refers to; None when there is none."""
    report_id: str | None = None
    """The drift report that asked for it; None unless the trigger is DRIFT."""
    user: str | None = None
    """Who started the run, as the platform signed them in; None where no user did. ``requested_by`` is the name in the
    request."""

    @property
    def asked_by(self) -> str:
        """For a sentence: who asked, with the name the request gives where that is another."""
        return self.requested_by if self.user is None else said(self.user, self.requested_by)

    @property
    def actor(self) -> str:
        """The name that is recorded for the effects of the request."""
        return self.user or self.requested_by

    @property
    def candidate_id(self) -> str:
        """``model-yyyymmdd-xxxxxx``: the as-of day, and six hex digits of the run id's SHA-256."""
        return candidate_id(self.model, self.as_of, self.run_id)
