"""Candidates and their way through the lifecycle. One live candidate per model; every step can be taken twice."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import fields
from datetime import datetime

from sqlalchemy import Connection, and_, func, insert, select

from include.adapters.ledger import causes
from include.adapters.ledger.candidate_rows import (
    append_transition,
    apply,
    asked_by_in,
    candidate_in,
    candidate_of,
    candidates_in,
    live_in,
    set_values,
    transitions_in,
)
from include.adapters.ledger.database import Database, clock, later_than, utc, words
from include.adapters.ledger.errors import (
    AnsweredMeanwhile,
    BadValue,
    JourneyUnderWay,
    LedgerError,
    RequestChanged,
)
from include.adapters.ledger.records import Candidate, Facts
from include.adapters.ledger.rollout_rows import Happened, ended_in
from include.adapters.ledger.tables import candidate_transitions, candidates, journey_causes, retrain_decisions
from include.domain.authority import OPERATORS, Approvers, MayNotDecide, Person, require, same
from include.domain.faults import crashpoint
from include.domain.lifecycle import Event, JourneyRequest, State

_STEPS = frozenset({Event.TRAIN, Event.REFIT, Event.REGISTER, Event.SHADOW})
_ENDS = (State.REJECTED.value, State.FAILED.value)


class CandidateRecords:
    """Opens journeys, moves their candidates, and finds them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self,
        request: JourneyRequest,
        *,
        supersede: bool = False,
        by: Person | None = None,
        approvers: Approvers = OPERATORS,
        decided_at: datetime | None = None,
        gives_way: str | None = None,
    ) -> Candidate:
        """Open the journey's candidate; opening the same request again returns it.

        A journey that was rejected or failed and is run again goes on where it was closed. A request that comes while
        another's journey is under way opens none, and is kept as one of that journey's causes.

        Args:
            supersede: replace the model's live candidate instead of refusing. Approvers may, and so may the only person
            who asked for the replaced journey.
            by: who started the run, with their rights; None when no user did.
            approvers: who may decide about the model.
            decided_at: when the drift decision that the request comes from was recorded; a journey that was opened
                since then is its answer. None for any other request.
            gives_way: the candidate id that is replaced whoever asks, where it is the live one: it was prepared for an
                estimate, and labels ask for this journey.

        Raises:
            JourneyUnderWay: naming the model's live candidate and its run.
            AnsweredMeanwhile: naming the journey that was opened since the drift decision.
            MayNotDecide: when ``by`` may not replace the live candidate.
            RequestChanged: when the run id was opened with another request.
        """
        request = _checked(request)
        with self._database.writing(f"model:{request.model}") as connection:
            found = connection.execute(
                select(candidates).where(candidates.c.model == request.model, candidates.c.run_id == request.run_id)
            ).one_or_none()
            if found is not None:
                mine = candidate_of(found)
                _same_request(mine.request, request)
                if mine.state not in (State.REJECTED, State.FAILED):
                    return mine
            other = live_in(connection, request.model)
            answer = None
            if found is None and other is None and decided_at is not None:
                answer = _opened_since(connection, request.model, utc("decided_at", decided_at))
            refused: LedgerError
            yields = other is not None and other.candidate_id == gives_way
            if other is not None and not supersede and not yields:
                causes.record_in(connection, other, request)
                cleared = None if found is None else mine.candidate_id
                refused = JourneyUnderWay(
                    request.model, other.candidate_id, other.run_id, recorded=True, cleared=cleared
                )
            elif answer is not None:
                causes.record_in(connection, answer, request)
                refused = AnsweredMeanwhile(request.model, answer.candidate_id, answer.run_id)
            else:
                if other is not None:
                    if not yields:
                        _require_replacing(connection, other, by, approvers)
                    _give_way(connection, other, request)
                if found is not None:
                    apply(connection, mine.candidate_id, Event.REOPEN, request.actor, "The journey was run again.")
                else:
                    _insert(connection, request)
                return candidate_in(connection, request.candidate_id)
        raise refused

    def require_may_replace(self, model: str, *, by: Person, approvers: Approvers) -> None:
        """
        Raises:
            MayNotDecide: when the model has a live candidate that ``by`` may not replace.
        """
        with self._database.reading() as connection:
            live = live_in(connection, model)
            if live is not None:
                _require_replacing(connection, live, by, approvers)

    def also_asked(self, request: JourneyRequest, *, beside: str) -> Candidate | None:
        """Keep a request that must start nothing, since the run ``beside`` is under way, as a cause of its journey.

        Returns that run's candidate; None, and nothing is kept, when it is no longer in flight.
        """
        request = _checked(request)
        with self._database.writing(f"model:{request.model}") as connection:
            live = live_in(connection, request.model)
            if live is None or live.run_id != beside:
                return None
            causes.record_in(connection, live, request)
            return live

    def advance(
        self, candidate_id: str, event: Event, *, actor: str, reason: str, facts: Facts | None = None
    ) -> Candidate:
        """Take one step of the journey and record what became known; a step that was taken before changes nothing.

        Facts may change while the candidate is OPENED or TRAINED, and only be completed later.

        Raises:
            IllegalTransition: naming what is allowed.
            CandidateChanged: when a recorded fact would change after the candidate was registered.
            BadValue: for an event that belongs to the journey's end, a promotion or a rollback.
            UnknownCandidate: when there is none.
        """
        if event not in _STEPS:
            raise BadValue(f"{event.value!r} is written by promote, rollback, reopen or close; call that instead.")
        with self._on(candidate_id) as connection:
            return apply(connection, candidate_id, event, words("actor", actor), words("reason", reason), facts=facts)

    def reopen(self, candidate_id: str, *, actor: str, reason: str) -> Candidate:
        """Let a rejected or failed candidate go on where it was closed, for example after an override.

        Raises:
            IllegalTransition: when it ended otherwise.
            JourneyUnderWay: when the model has another live candidate by now.
        """
        with self._on(candidate_id) as connection:
            mine = candidate_in(connection, candidate_id)
            if mine.is_live:
                return mine
            other = live_in(connection, mine.model)
            if other is not None:
                raise JourneyUnderWay(mine.model, other.candidate_id, other.run_id, cleared=mine.candidate_id)
            return apply(connection, candidate_id, Event.REOPEN, words("actor", actor), words("reason", reason))

    def reject(self, candidate_id: str, *, by: Person, approvers: Approvers, why: str) -> Candidate:
        """End a journey that is under way, as a person's decision.

        Raises:
            MayNotDecide: when ``by`` is no approver.
            BadValue: when the journey is over.
        """
        why = words("why", why)
        with self._on(candidate_id) as connection:
            mine = candidate_in(connection, candidate_id)
            require(mine.model, f"reject {candidate_id}", by, approvers)
            if not mine.is_live:
                raise BadValue(f"{candidate_id} is {mine.state.value} already, so there is nothing to reject.")
            outcome = f"Rejected by {by}: {why}"
            ended_in(connection, candidate_id, Happened(words("by", by.name), outcome, "closed"))
            return apply(connection, candidate_id, Event.REJECT, words("by", by.name), outcome, outcome=outcome)

    def close(self, candidate_id: str, event: Event | None, *, outcome: str, actor: str) -> Candidate:
        """End the journey and record how. The first outcome is final, so closing again changes nothing.

        Args:
            event: REJECT, FAIL or SUPERSEDE for a candidate that is still live; None for one that ended already.

        Raises:
            BadValue: for another event, or for None while the candidate is live.
        """
        if event not in (None, Event.REJECT, Event.FAIL, Event.SUPERSEDE):
            raise BadValue(f"A journey is closed by reject, fail or supersede, not by {event.value!r}.")
        outcome = words("outcome", outcome)
        with self._on(candidate_id) as connection:
            mine = candidate_in(connection, candidate_id)
            if mine.is_live and event is None:
                raise BadValue(f"{candidate_id} is still {mine.state.value}; close it by reject, fail or supersede.")
            if mine.is_live and event is not None:
                ended_in(connection, candidate_id, Happened(words("actor", actor), outcome, "closed"))
                return apply(connection, candidate_id, event, words("actor", actor), outcome, outcome=outcome)
            if mine.outcome is None:
                set_values(connection, candidate_id, outcome=outcome)
            return candidate_in(connection, candidate_id)

    def get(self, candidate_id: str) -> Candidate:
        """The candidate.

        Raises:
            UnknownCandidate: when there is none.
        """
        with self._database.reading() as connection:
            return candidate_in(connection, candidate_id)

    def of_run(self, model: str, run_id: str) -> Candidate | None:
        """The candidate of a journey's run; None when that run opened none."""
        query = select(candidates).where(candidates.c.model == model, candidates.c.run_id == run_id)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else candidate_of(row)

    def joined_by(self, model: str, run_id: str) -> Candidate | None:
        """The candidate that a run which opened none is one of the causes of; None when there is none."""
        mine = journey_causes.join(candidates, journey_causes.c.candidate_id == candidates.c.candidate_id)
        query = select(candidates).select_from(mine).where(candidates.c.model == model)
        joined = query.where(journey_causes.c.run_id == run_id, candidates.c.run_id != run_id)
        with self._database.reading() as connection:
            row = connection.execute(joined.order_by(journey_causes.c.recorded_at.desc()).limit(1)).one_or_none()
        return None if row is None else candidate_of(row)

    def of(self, model: str) -> list[Candidate]:
        """The model's candidates, in the order they were opened."""
        with self._database.reading() as connection:
            return candidates_in(connection, model)

    def closed_by(self, model: str, actor: str) -> list[Candidate]:
        """The model's candidates whose newest end ``actor`` wrote, in the order they were opened."""
        ends = and_(candidate_transitions.c.actor == actor, candidate_transitions.c.to_state.in_(_ENDS))
        query = select(candidate_transitions.c.candidate_id).where(ends).distinct()
        with self._database.reading() as connection:
            theirs = set(connection.execute(query).scalars())
            mine = [c for c in candidates_in(connection, model) if c.candidate_id in theirs and not c.is_live]
            return [c for c in mine if transitions_in(connection, c.candidate_id)[-1].actor == actor]

    def live(self, model: str) -> Candidate | None:
        """The model's candidate in flight; None when no journey is under way."""
        with self._database.reading() as connection:
            return live_in(connection, model)

    def models(self) -> list[str]:
        """Every model that ever had a journey."""
        with self._database.reading() as connection:
            return list(
                connection.execute(select(candidates.c.model).distinct().order_by(candidates.c.model)).scalars()
            )

    def _on(self, candidate_id: str) -> AbstractContextManager[Connection]:
        with self._database.reading() as connection:
            model = candidate_in(connection, candidate_id).model
        return self._database.writing(f"model:{model}")


def _checked(request: JourneyRequest) -> JourneyRequest:
    return JourneyRequest(
        model=words("model", request.model),
        run_id=words("run_id", request.run_id),
        as_of=utc("as_of", request.as_of),
        trigger=request.trigger,
        reason=words("reason", request.reason),
        requested_by=words("requested_by", request.requested_by),
        issue=None if request.issue is None else words("issue", request.issue),
        report_id=None if request.report_id is None else words("report_id", request.report_id),
        user=None if request.user is None else words("user", request.user),
    )


def _same_request(first: JourneyRequest, now: JourneyRequest) -> None:
    for field in fields(JourneyRequest):
        was, asked = getattr(first, field.name), getattr(now, field.name)
        if field.name == "user" and was is None:
            continue  # recorded by a release that did not keep it
        if was != asked:
            raise RequestChanged(first.run_id, field.name, was, asked)


def _insert(connection: Connection, request: JourneyRequest) -> None:
    taken = connection.execute(select(candidates.c.run_id).where(candidates.c.candidate_id == request.candidate_id))
    other = taken.scalar()
    if other is not None:
        raise RequestChanged(other, "candidate id", request.candidate_id, f"the same for run {request.run_id}")
    # A journey answers the drift decisions before it, so their order must not depend on the machine's clock.
    decided = select(func.max(retrain_decisions.c.recorded_at)).where(retrain_decisions.c.model == request.model)
    opened = select(func.max(candidates.c.opened_at)).where(candidates.c.model == request.model)
    now = later_than(clock(), connection.execute(decided).scalar(), connection.execute(opened).scalar())
    connection.execute(
        insert(candidates).values(
            candidate_id=request.candidate_id,
            model=request.model,
            run_id=request.run_id,
            as_of=request.as_of,
            trigger_kind=request.trigger.value,
            reason=request.reason,
            requested_by=request.requested_by,
            issue=request.issue,
            report_id=request.report_id,
            state=State.OPENED.value,
            live=True,
            opened_at=now,
            user_name=request.user,
        )
    )
    crashpoint("ledger.open.inserted")
    append_transition(connection, request.candidate_id, None, None, State.OPENED, request.actor, request.reason)
    crashpoint("ledger.open.appended")
    causes.record_in(connection, candidate_in(connection, request.candidate_id), request)


def _opened_since(connection: Connection, model: str, moment: datetime) -> Candidate | None:
    """The model's first journey that was opened after the moment."""
    later = select(candidates).where(candidates.c.model == model, candidates.c.opened_at > moment)
    row = connection.execute(later.order_by(candidates.c.opened_at).limit(1)).one_or_none()
    return None if row is None else candidate_of(row)


def _require_replacing(connection: Connection, other: Candidate, by: Person | None, approvers: Approvers) -> None:
    if by is None:
        raise MayNotDecide(
            other.model, f"replace {other.candidate_id}", Person("A run that no user started"), approvers
        )
    if asked_by_in(connection, other) != {same(by.name)}:
        require(other.model, f"replace {other.candidate_id}, which others asked for", by, approvers)


def _give_way(connection: Connection, other: Candidate, to: JourneyRequest) -> None:
    outcome = f"Superseded by {to.candidate_id}: {to.reason}"
    ended_in(connection, other.candidate_id, Happened(to.actor, outcome, "closed"))
    apply(connection, other.candidate_id, Event.SUPERSEDE, to.actor, outcome, outcome=outcome)
    crashpoint("ledger.open.superseded")
