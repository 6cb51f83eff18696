"""What the ledger had of a day when its task failed, so that what came afterwards is known without any clock."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("outage_items", sa.Column("had", sa.Text))
