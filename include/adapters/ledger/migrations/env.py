"""Alembic's entry: runs the migrations on the connection it is given, inside that connection's transaction."""

from __future__ import annotations

from alembic import context

from include.adapters.ledger.schema import VERSION_TABLE
from include.adapters.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # both databases can; Alembic assumes that SQLite cannot
)
with context.begin_transaction():
    context.run_migrations()
