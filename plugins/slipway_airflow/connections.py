"""The source system's address from an Airflow connection, for teams that keep their addresses and passwords there."""

from __future__ import annotations

import os

VARIABLE = "SLIPWAY_SOURCE_CONN"
"""Names the connection. Without it the source is ``SLIPWAY_SOURCE_URL``, which this variable otherwise replaces."""

DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
"""Airflow's name of a connection's type to SQLAlchemy's dialect and driver; others are taken as they are."""


def use_source_connection() -> None:
    """Let this task's process read the source that the named connection points to; nothing without a name."""
    conn_id = os.environ.get(VARIABLE)
    if conn_id:
        from airflow.sdk import Connection

        os.environ["SLIPWAY_SOURCE_URL"] = sqlalchemy_url(Connection.get(conn_id).get_uri())


def sqlalchemy_url(uri: str) -> str:
    """Airflow's URI as SQLAlchemy's URL.

    >>> sqlalchemy_url("postgres://ana:secret@db:5432/flights")
    'postgresql+psycopg://ana:secret@db:5432/flights'
    >>> sqlalchemy_url("sqlite://%2Fdata%2Fsource.db")
    'sqlite:////data/source.db'
    """
    from urllib.parse import unquote

    kind, _, rest = uri.partition("://")
    if kind == "sqlite":
        # Airflow keeps the file as a quoted host; four slashes make it absolute.
        return f"sqlite:////{unquote(rest).lstrip('/')}"
    return f"{DRIVERS.get(kind, kind)}://{rest}"
