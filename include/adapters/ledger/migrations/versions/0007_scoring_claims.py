"""Who serves which day, claimed before the day is answered. The days that were scored before are claimed as they were
answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables import UtcTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    claims = op.create_table(
        "scoring_claims",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("candidate_id", sa.String, sa.ForeignKey("candidates.candidate_id"), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("recorded_at", UtcTime, nullable=False),
        sa.ForeignKeyConstraint(
            ["model", "revision"],
            ["deployment_history.model", "deployment_history.revision"],
            name=op.f("fk_scoring_claims_model_revision_deployment_history"),
        ),
    )
    for row in list(_answered()):
        op.execute(sa.insert(claims).values(**row))
    _append_only()


def _answered() -> Iterator[dict[str, Any]]:
    """One claim for each day that has served answers: of the epoch that was effective then, where its champion
    answered; else of the newest epoch of whoever answered last."""
    answered = sa.table("scorings", *(sa.column(c) for c in ("model", "day", "candidate_id", "role", "run_id")))
    answered.append_column(sa.column("recorded_at", UtcTime))
    history = sa.table("deployment_history", *(sa.column(c) for c in ("model", "revision", "to_candidate")))
    history.append_column(sa.column("effective_from", UtcTime))
    connection = op.get_bind()
    epochs: dict[str, list[Any]] = {}
    for epoch in connection.execute(sa.select(history).order_by(history.c.model, history.c.revision)):
        epochs.setdefault(epoch.model, []).append(epoch)
    days: dict[tuple[str, str], list[Any]] = {}
    served = sa.select(answered).where(answered.c.role == "served").order_by(answered.c.recorded_at)
    for row in connection.execute(served):
        days.setdefault((row.model, row.day), []).append(row)
    for (model, day), rows in sorted(days.items()):
        by = {row.candidate_id: row for row in rows}
        theirs = [epoch for epoch in epochs.get(model, []) if epoch.to_candidate in by]
        effective = [epoch for epoch in theirs if epoch.effective_from.strftime("%Y-%m-%dT%H:%M") <= f"{day}T00:00"]
        last = [epoch for epoch in theirs if epoch.to_candidate == rows[-1].candidate_id]
        chosen = (effective or last)[-1:]
        for epoch in chosen:
            row = by[epoch.to_candidate]
            yield {
                "model": model,
                "day": day,
                "number": 1,
                "candidate_id": epoch.to_candidate,
                "revision": epoch.revision,
                "run_id": row.run_id,
                "recorded_at": row.recorded_at,
            }


def _append_only() -> None:
    on_postgres = op.get_bind().dialect.name == "postgresql"
    for change in ("UPDATE", "DELETE"):
        head = f"CREATE TRIGGER scoring_claims_no_{change.lower()} BEFORE {change} ON scoring_claims"
        if on_postgres:
            op.execute(f"{head} FOR EACH ROW EXECUTE FUNCTION ledger_refuse()")
        else:
            op.execute(f"{head} BEGIN SELECT RAISE(ABORT, 'scoring_claims is append-only'); END")
