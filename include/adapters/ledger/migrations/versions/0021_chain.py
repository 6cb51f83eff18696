"""The chain of hashes over append-only tables, and triggers for what went past the earlier ones.

SQLite's INSERT OR REPLACE removes the row that is in the way without asking the trigger of DELETE; Postgres's TRUNCATE
asks no trigger of rows at all.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

APPEND_ONLY = (
    "partition_history",
    "candidate_transitions",
    "journey_causes",
    "journey_stops",
    "gate_results",
    "deployment_history",
    "retrain_decisions",
    "incident_events",
    "scoring_claims",
    "rollouts",
    "rollout_events",
)


def upgrade() -> None:
    op.create_table(
        "chain",
        sa.Column("position", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("table_name", sa.String, nullable=False),
        sa.Column("row_key", sa.String, nullable=False),
        sa.Column("row_hash", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_chain")),
        sa.UniqueConstraint("table_name", "row_key", name=op.f("uq_chain_table_name_row_key")),
    )
    on_postgres = op.get_bind().dialect.name == "postgresql"
    for change in ("UPDATE", "DELETE"):
        head = f"CREATE TRIGGER chain_no_{change.lower()} BEFORE {change} ON chain"
        if on_postgres:
            op.execute(f"{head} FOR EACH ROW EXECUTE FUNCTION ledger_refuse()")
        else:
            op.execute(f"{head} BEGIN SELECT RAISE(ABORT, 'chain is append-only'); END")
    inspector = sa.inspect(op.get_bind())
    for table in (*APPEND_ONLY, "chain"):
        if on_postgres:
            op.execute(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()"
            )
            continue
        keys = [
            inspector.get_pk_constraint(table)["constrained_columns"],
            *(each["column_names"] for each in inspector.get_unique_constraints(table)),
            *(
                [str(name) for name in each["column_names"]]
                for each in inspector.get_indexes(table)
                if each["unique"] and not each.get("dialect_options", {}).get("sqlite_where")
            ),
        ]
        taken = " OR ".join("(" + " AND ".join(f'"{name}" = NEW."{name}"' for name in key) + ")" for key in keys)
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {taken}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
