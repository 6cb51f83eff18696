"""Lineage: what a day's source rows were, what a candidate learned from, and what a day was scored on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables import UtcTime

revision = "0004"
down_revision = "0001"


def upgrade() -> None:
    for table in ("partitions", "partition_history"):
        op.add_column(table, sa.Column("source_hash", sa.String))
        op.add_column(table, sa.Column("source_as_of", UtcTime))
    op.create_table(
        "training_sets",
        sa.Column("candidate_id", sa.String, sa.ForeignKey("candidates.candidate_id"), primary_key=True),
        sa.Column("part", sa.String, primary_key=True),
        sa.Column("content_hash", sa.String, nullable=False),
        sa.Column("label_hash", sa.String, nullable=False),
        sa.Column("start", UtcTime, nullable=False),
        sa.Column("end", UtcTime, nullable=False),
        sa.Column("as_of", UtcTime, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("sources", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("recorded_at", UtcTime, nullable=False),
    )
    op.create_table(
        "scorings",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("candidate_id", sa.String, sa.ForeignKey("candidates.candidate_id"), primary_key=True),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("model_version", sa.String, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("first_asked", UtcTime, nullable=False),
        sa.Column("last_asked", UtcTime, nullable=False),
        sa.Column("feature_set", sa.String, nullable=False),
        sa.Column("sources", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("recorded_at", UtcTime, nullable=False),
    )
    op.create_index("scorings_by_candidate", "scorings", ["candidate_id"])
