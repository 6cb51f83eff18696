"""A candidate's shares of live traffic: what was planned, and everything that happened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables.columns import UtcTime

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "rollouts",
        sa.Column("candidate_id", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("champion_id", sa.String, nullable=False),
        sa.Column("champion_revision", sa.Integer, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("salt", sa.String, nullable=False),
        sa.Column("plan", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("lease_s", sa.Float, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("candidate_id", "number", name=op.f("pk_rollouts")),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["candidates.candidate_id"], name=op.f("fk_rollouts_candidate_id_candidates")
        ),
        sa.ForeignKeyConstraint(
            ["champion_id"], ["candidates.candidate_id"], name=op.f("fk_rollouts_champion_id_candidates")
        ),
        sa.UniqueConstraint("candidate_id", "run_id", name=op.f("uq_rollouts_candidate_id_run_id")),
    )
    op.create_index(op.f("ix_rollouts_model"), "rollouts", ["model"])
    op.create_table(
        "rollout_events",
        sa.Column("candidate_id", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("seq", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("share_ppm", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("evidence", sa.JSON(none_as_null=True)),
        sa.Column("event_key", sa.String, nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("candidate_id", "number", "seq", name=op.f("pk_rollout_events")),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["candidates.candidate_id"], name=op.f("fk_rollout_events_candidate_id_candidates")
        ),
        sa.ForeignKeyConstraint(
            ["candidate_id", "number"],
            ["rollouts.candidate_id", "rollouts.number"],
            name=op.f("fk_rollout_events_candidate_id_number_rollouts"),
        ),
        sa.UniqueConstraint(
            "candidate_id", "number", "event_key", name=op.f("uq_rollout_events_candidate_id_number_event_key")
        ),
    )
    on_postgres = op.get_bind().dialect.name == "postgresql"
    for table in ("rollouts", "rollout_events"):
        for change in ("UPDATE", "DELETE"):
            head = f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table}"
            if on_postgres:
                op.execute(f"{head} FOR EACH ROW EXECUTE FUNCTION ledger_refuse()")
            else:
                op.execute(f"{head} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END")
