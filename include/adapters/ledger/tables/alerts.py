"""Tables of what people are told: notices, outages, and when each part was last heard of."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, String, Table, Text

from include.adapters.ledger.tables.columns import UtcTime, metadata, recorded_at

notices = Table(
    "notices",
    metadata,
    Column("key", String, primary_key=True),
    Column("scope", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("role", String),
    Column("told", String, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("link", String, nullable=False),
    Column("state", String, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("error", Text),
    recorded_at(),
    Index("notices_by_state", "state"),
)


outages = Table(
    "outages",
    metadata,
    Column("cause", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("scope", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("link", String, nullable=False),
    Column("told_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    recorded_at(),
    Index("outages_by_end", "ended_at"),
)


outage_items = Table(
    "outage_items",
    metadata,
    Column("cause", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("item", String, primary_key=True),
    Column("ended_at", UtcTime),
    Column("had", Text),
    recorded_at(),
    ForeignKeyConstraint(["cause", "number"], ["outages.cause", "outages.number"]),
)


beats = Table(
    "beats",
    metadata,
    Column("name", String, primary_key=True),
    Column("first_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False),
)
