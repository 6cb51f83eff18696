"""Who asked for a journey: the request that opened it, and every other that came while it was under way."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select

from include.adapters.ledger.database import clock, next_number
from include.adapters.ledger.records import Candidate, Cause
from include.adapters.ledger.tables import candidates, journey_causes
from include.domain.journey import Trigger
from include.domain.lifecycle import JourneyRequest, State


def record_in(connection: Connection, candidate: Candidate, request: JourneyRequest) -> None:
    """Add the request to the causes of the candidate, inside a transaction that holds the model. A run counts once,
    however often it asks."""
    mine = journey_causes.c.candidate_id == candidate.candidate_id
    known = select(journey_causes.c.number).where(mine, journey_causes.c.run_id == request.run_id)
    if connection.execute(known).scalar() is not None:
        return
    connection.execute(
        insert(journey_causes).values(
            candidate_id=candidate.candidate_id,
            number=next_number(connection, journey_causes, "number", {"candidate_id": candidate.candidate_id}),
            run_id=request.run_id,
            as_of=request.as_of,
            trigger_kind=request.trigger.value,
            reason=request.reason,
            requested_by=request.requested_by,
            issue=request.issue,
            report_id=request.report_id,
            state=candidate.state.value,
            recorded_at=clock(),
            user_name=request.user,
        )
    )


def causes_in(connection: Connection, model: str, candidate_id: str | None = None) -> list[Cause]:
    """The causes of the model's journeys, or of one of them, in the order they were recorded."""
    joined = journey_causes.join(candidates, journey_causes.c.candidate_id == candidates.c.candidate_id)
    query = select(journey_causes).select_from(joined).where(candidates.c.model == model)
    if candidate_id is not None:
        query = query.where(journey_causes.c.candidate_id == candidate_id)
    ordered = query.order_by(candidates.c.opened_at, journey_causes.c.candidate_id, journey_causes.c.number)
    return [_cause_of(model, row) for row in connection.execute(ordered)]


def request_of(model: str, row: Row[Any]) -> JourneyRequest:
    """What was asked, from a row of a journey or of one of its causes."""
    return JourneyRequest(
        model=model,
        run_id=row.run_id,
        as_of=row.as_of,
        trigger=Trigger(row.trigger_kind),
        reason=row.reason,
        requested_by=row.requested_by,
        issue=row.issue,
        report_id=row.report_id,
        user=row.user_name,
    )


def _cause_of(model: str, row: Row[Any]) -> Cause:
    return Cause(
        candidate_id=row.candidate_id,
        number=row.number,
        request=request_of(model, row),
        state=State(row.state),
        recorded_at=row.recorded_at,
    )
