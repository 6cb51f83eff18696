"""Candidates within a transaction that is open: one step of the lifecycle, and what the rows say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from include.adapters.ledger import causes
from include.adapters.ledger.database import clock, next_number, words
from include.adapters.ledger.errors import CandidateChanged, UnknownCandidate
from include.adapters.ledger.records import Candidate, Facts, Transition
from include.adapters.ledger.tables import candidate_transitions, candidates
from include.domain.authority import same
from include.domain.faults import crashpoint
from include.domain.lifecycle import LIVE, Event, State, advance

_FACTS = tuple(f.name for f in fields(Facts))


def apply(
    connection: Connection,
    candidate_id: str,
    event: Event,
    actor: str,
    reason: str,
    *,
    facts: Facts | None = None,
    outcome: str | None = None,
) -> Candidate:
    """Take one step inside a transaction that holds the model."""
    was = candidate_in(connection, candidate_id)
    state = advance(was.state, event, closed_in=_closed_in(connection, candidate_id) if event is Event.REOPEN else None)
    learned = _learned(was, facts or Facts())
    if state is was.state and not learned:
        return was
    if event is Event.REOPEN or outcome is not None:
        learned["outcome"] = outcome
    set_values(connection, candidate_id, state=state.value, live=state in LIVE, **learned)
    crashpoint(f"ledger.{event.value}.set")
    append_transition(connection, candidate_id, event, was.state, state, actor, reason)
    return candidate_in(connection, candidate_id)


def _learned(was: Candidate, facts: Facts) -> dict[str, Any]:
    learned: dict[str, Any] = {}
    for name in _FACTS:
        first, now = getattr(was.facts, name), getattr(facts, name)
        if now is None or now == first:
            continue
        if first is not None and was.state not in (State.OPENED, State.TRAINED):
            raise CandidateChanged(was.candidate_id, name, first, now)
        learned[name] = words(name, now)
    return learned


def _closed_in(connection: Connection, candidate_id: str) -> State | None:
    """The live state the candidate had before it was closed last; None when it never was."""
    last = next(
        (
            t
            for t in reversed(transitions_in(connection, candidate_id))
            if t.from_state in LIVE and t.to_state not in LIVE
        ),
        None,
    )
    return None if last is None else last.from_state


def set_values(connection: Connection, candidate_id: str, **values: Any) -> None:
    connection.execute(update(candidates).where(candidates.c.candidate_id == candidate_id).values(**values))


def append_transition(
    connection: Connection,
    candidate_id: str,
    event: Event | None,
    before: State | None,
    after: State,
    actor: str,
    reason: str,
) -> None:
    connection.execute(
        insert(candidate_transitions).values(
            candidate_id=candidate_id,
            number=next_number(connection, candidate_transitions, "number", {"candidate_id": candidate_id}),
            event=None if event is None else event.value,
            from_state=None if before is None else before.value,
            to_state=after.value,
            actor=actor,
            reason=reason,
            recorded_at=clock(),
        )
    )


def candidate_in(connection: Connection, candidate_id: str) -> Candidate:
    row = connection.execute(select(candidates).where(candidates.c.candidate_id == candidate_id)).one_or_none()
    if row is None:
        raise UnknownCandidate(candidate_id)
    return candidate_of(row)


def candidates_in(connection: Connection, model: str) -> list[Candidate]:
    query = select(candidates).where(candidates.c.model == model)
    rows = connection.execute(query.order_by(candidates.c.opened_at, candidates.c.candidate_id))
    return [candidate_of(row) for row in rows]


def live_in(connection: Connection, model: str) -> Candidate | None:
    row = connection.execute(select(candidates).where(candidates.c.model == model, candidates.c.live)).one_or_none()
    return None if row is None else candidate_of(row)


def transitions_in(connection: Connection, candidate_id: str) -> Sequence[Transition]:
    query = select(candidate_transitions).where(candidate_transitions.c.candidate_id == candidate_id)
    return [
        Transition(
            number=row.number,
            event=None if row.event is None else Event(row.event),
            from_state=None if row.from_state is None else State(row.from_state),
            to_state=State(row.to_state),
            actor=row.actor,
            reason=row.reason,
            recorded_at=row.recorded_at,
        )
        for row in connection.execute(query.order_by(candidate_transitions.c.number))
    ]


def asked_by_in(connection: Connection, candidate: Candidate) -> frozenset[str]:
    """The names of all who count as having asked for the journey, in the form in which names are compared: the user who
    started its run, as the platform knows them, and the name in the request. A request can only add a name, not remove
    one."""
    opened = next(t.actor for t in transitions_in(connection, candidate.candidate_id) if t.event is None)
    named = (candidate.request.requested_by, candidate.request.user, opened)
    return frozenset(same(name) for name in named if name)


def candidate_of(row: Row[Any]) -> Candidate:
    return Candidate(
        candidate_id=row.candidate_id,
        request=causes.request_of(row.model, row),
        state=State(row.state),
        facts=Facts(**{name: getattr(row, name) for name in _FACTS}),
        outcome=row.outcome,
        opened_at=row.opened_at,
    )
