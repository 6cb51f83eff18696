"""The chain of hashes over all append-only tables."""

from sqlalchemy import BigInteger, Column, String, Table, UniqueConstraint

from include.adapters.ledger.tables.columns import metadata

chain = Table(  # append-only
    "chain",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("table_name", String, nullable=False),
    Column("row_key", String, nullable=False),
    Column("row_hash", String, nullable=False),
    Column("hash", String, nullable=False),
    UniqueConstraint("table_name", "row_key"),
)
