"""Who asked and who decided, as the platform knows them, beside the names they gave; and what rights they had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables import UtcTime

revision = "0010"
down_revision = "0009"

NAMES = (
    ("candidates", "user_name"),
    ("journey_causes", "user_name"),
    ("overrides", "claimed"),
    ("deployment_history", "claimed"),
)
"""Empty in what was recorded before: nobody knows by now whether the one name there was a signed-in one."""


def upgrade() -> None:
    for table, column in NAMES:
        op.add_column(table, sa.Column(column, sa.String))
    op.create_table(
        "known_rights",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("roles", sa.JSON, nullable=False),
        sa.Column("operator", sa.Boolean, nullable=False),
        sa.Column("recorded_at", UtcTime, nullable=False),
    )
