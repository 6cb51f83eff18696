"""How far each view's stream has come, and which process runs it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables import UtcTime

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "stream_marks",
        sa.Column("view", sa.String, primary_key=True),
        sa.Column("view_version", sa.Integer, primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("started_at", UtcTime, nullable=False),
        sa.Column("read_until", UtcTime, nullable=False),
        sa.Column("event_watermark", UtcTime),
        sa.Column("pushed_at", UtcTime),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("positions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("p99_s", sa.Float),
        sa.Column("recorded_at", UtcTime, nullable=False),
    )
