"""The digest of the file that serves, where that was fitted again after its recipe had been judged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("candidates", sa.Column("served_digest", sa.String))
