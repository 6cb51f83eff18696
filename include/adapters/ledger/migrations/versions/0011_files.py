"""Which files of its table hold a published day, so that a reader knows them again without reading them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    for table in ("partitions", "partition_history"):
        op.add_column(table, sa.Column("files", sa.String))
