"""Reading a model's deployment history inside a transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from include.adapters.ledger.tables import deployment_history, deployments
from include.domain.promotion import Epoch, EpochKind


def head_in(connection: Connection, model: str) -> Epoch | None:
    same = (deployments.c.model == deployment_history.c.model) & (
        deployments.c.revision == deployment_history.c.revision
    )
    row = connection.execute(
        select(deployment_history).join(deployments, same).where(deployments.c.model == model)
    ).one_or_none()
    return None if row is None else epoch_of(row)


def epochs_in(connection: Connection, model: str, candidate_id: str | None = None) -> list[Epoch]:
    """The model's epochs, or those that made the candidate champion or replaced it."""
    query = select(deployment_history).where(deployment_history.c.model == model)
    if candidate_id is not None:
        came, went = deployment_history.c.to_candidate, deployment_history.c.from_candidate
        query = query.where((came == candidate_id) | (went == candidate_id))
    return [epoch_of(row) for row in connection.execute(query.order_by(deployment_history.c.revision))]


def epoch_of(row: Row[Any]) -> Epoch:
    return Epoch(
        model=row.model,
        revision=row.revision,
        kind=EpochKind(row.kind),
        from_candidate=row.from_candidate,
        to_candidate=row.to_candidate,
        model_version=row.model_version,
        digest=row.digest,
        effective_from=row.effective_from,
        actor=row.actor,
        reason=row.reason,
        run_id=row.run_id,
        cleared_by=row.cleared_by,
        recorded_at=row.recorded_at,
        claimed=row.claimed,
    )
