"""What stopped a journey, lap by lap, so that its end names the cause of the lap that ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables import UtcTime

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "journey_stops",
        sa.Column("candidate_id", sa.String, sa.ForeignKey("candidates.candidate_id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("lap", sa.Integer, nullable=False),
        sa.Column("step", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("said", sa.Text),
        sa.Column("recorded_at", UtcTime, nullable=False),
    )
    on_postgres = op.get_bind().dialect.name == "postgresql"
    for change in ("UPDATE", "DELETE"):
        head = f"CREATE TRIGGER journey_stops_no_{change.lower()} BEFORE {change} ON journey_stops"
        if on_postgres:
            op.execute(f"{head} FOR EACH ROW EXECUTE FUNCTION ledger_refuse()")
        else:
            op.execute(f"{head} BEGIN SELECT RAISE(ABORT, 'journey_stops is append-only'); END")
