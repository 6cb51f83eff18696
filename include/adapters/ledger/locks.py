"""Who writes first."""

from __future__ import annotations

from sqlalchemy import Connection, func, select


def one_after_the_other(connection: Connection, key: str) -> None:
    """Hold ``key`` until the transaction ends. On SQLite a writer holds the whole database anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"slipway:{key}", 0))))
