"""${message}

Add ${repr(up_revision)} to REVISIONS in schema.py. There is no downgrade: an older release refuses a newer ledger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables import UtcTime
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
