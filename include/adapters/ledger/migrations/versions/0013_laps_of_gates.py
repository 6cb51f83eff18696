"""In which lap of its journey a gate judged, so that an earlier lap's verdict is not taken for this one's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("gate_results", sa.Column("lap", sa.Integer))
