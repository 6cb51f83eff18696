"""Everybody who asked for a journey, not only the request that opened it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables import UtcTime

revision = "0006"
down_revision = "0005"

COPIED = ("run_id", "as_of", "trigger_kind", "reason", "requested_by", "issue", "report_id")


def upgrade() -> None:
    causes = op.create_table(
        "journey_causes",
        sa.Column("candidate_id", sa.String, sa.ForeignKey("candidates.candidate_id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("as_of", UtcTime, nullable=False),
        sa.Column("trigger_kind", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_by", sa.String, nullable=False),
        sa.Column("issue", sa.String),
        sa.Column("report_id", sa.String),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("recorded_at", UtcTime, nullable=False),
        sa.UniqueConstraint("candidate_id", "run_id", name=op.f("uq_journey_causes_candidate_id_run_id")),
    )
    _of_those_that_opened_one(causes)
    _append_only()


def _of_those_that_opened_one(causes: sa.Table) -> None:
    opened = sa.table("candidates", *(sa.column(c) for c in ("candidate_id", *COPIED, "opened_at")))
    found = sa.select(
        opened.c.candidate_id,
        sa.literal(1),
        *(opened.c[name] for name in COPIED),
        sa.literal("opened"),
        opened.c.opened_at,
    )
    op.execute(sa.insert(causes).from_select(["candidate_id", "number", *COPIED, "state", "recorded_at"], found))


def _append_only() -> None:
    on_postgres = op.get_bind().dialect.name == "postgresql"
    for change in ("UPDATE", "DELETE"):
        head = f"CREATE TRIGGER journey_causes_no_{change.lower()} BEFORE {change} ON journey_causes"
        if on_postgres:
            op.execute(f"{head} FOR EACH ROW EXECUTE FUNCTION ledger_refuse()")
        else:
            op.execute(f"{head} BEGIN SELECT RAISE(ABORT, 'journey_causes is append-only'); END")
