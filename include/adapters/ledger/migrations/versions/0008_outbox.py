"""Notices wait in an outbox until they are sent; outages of the machinery; when what guards it last ran."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables import UtcTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    _keep_what_was_told()
    op.create_table(
        "outages",
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("link", sa.String(), nullable=False),
        sa.Column("told_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime()),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("cause", "number", name=op.f("pk_outages")),
    )
    op.create_index("outages_by_end", "outages", ["ended_at"])
    op.create_table(
        "outage_items",
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("ended_at", UtcTime()),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("cause", "number", "item", name=op.f("pk_outage_items")),
        sa.ForeignKeyConstraint(
            ["cause", "number"], ["outages.cause", "outages.number"], name=op.f("fk_outage_items_cause_outages")
        ),
    )
    op.create_table(
        "beats",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("first_at", UtcTime(), nullable=False),
        sa.Column("last_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_beats")),
    )


def _keep_what_was_told() -> None:
    """Every notice of an earlier release was sent, and was about a model: a new table with the old one's rows."""
    op.rename_table("notices", "notices_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX pk_notices RENAME TO pk_notices_before")
    made = op.create_table(
        "notices",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("role", sa.String()),
        sa.Column("told", sa.String(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("link", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("sent_at", UtcTime()),
        sa.Column("error", sa.Text()),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_notices")),
    )
    op.create_index("notices_by_state", "notices", ["state"])
    names = ("key", "kind", "told", "sentence", "link", "recorded_at")
    before = sa.table("notices_before", *(sa.column(name) for name in (*names, "model")))
    rows = sa.select(
        *(before.c[name] for name in names),
        before.c.model,
        sa.literal("model"),
        sa.literal("sent"),
        sa.literal(1),
        before.c.recorded_at,
        before.c.recorded_at,
    )
    into = [*names, "subject", "scope", "state", "tries", "due_at", "sent_at"]
    op.execute(sa.insert(made).from_select(into, rows))
    op.drop_table("notices_before")
