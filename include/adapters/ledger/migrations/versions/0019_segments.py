"""Which files of the journal were removed once everything in them was collected."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables.columns import UtcTime

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "segments",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("instance_id", sa.String, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("answers", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("written_at", UtcTime(), nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_segments")),
    )
