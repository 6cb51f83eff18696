"""How long anything waits for a database, on SQLite and on Postgres.

A server that does not answer, a writer that was stopped inside its transaction, a network that drops packets without a
word: each ends in an error within a stated time. On SQLite one setting of the driver is enough. On Postgres these are
several, and the server has no limit at all by default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from include.domain.errors import BadField

CONNECT_S = 10
"""How long a connection may take to be made."""
KEEPALIVE_IDLE_S, KEEPALIVE_EVERY_S, KEEPALIVES = 15, 5, 3
"""A connection on which nothing comes is asked after this long, and given up after so many questions: 30 s in all."""
IDLE_TIMES = 2
"""A transaction whose writer does nothing is ended by the server after so many times the wait of the others."""
DATABASE, SOURCE = "SLIPWAY_DATABASE_TIMEOUT_S", "SLIPWAY_SOURCE_TIMEOUT_S"
DEFAULTS = {DATABASE: 30, SOURCE: 300}
LONGEST_S = 86_400


def database_s() -> int:
    """How long a statement on the ledger or the online store may take, with what it waits for a lock, in seconds.

    Raises:
        BadField: when the setting is no such number.
    """
    return _seconds(DATABASE)


def source_s() -> int:
    """How long one statement on the source may take, in seconds. Rows are fetched a page at a time, each page is a
    statement of its own: so this is how long the first page, or any later one, may take, not the whole table.

    Raises:
        BadField: when the setting is no such number.
    """
    return _seconds(SOURCE)


def _seconds(name: str) -> int:
    given = os.environ.get(name)
    if not given:
        return DEFAULTS[name]
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given) <= LONGEST_S:
        raise BadField(name, given, f"give whole seconds from 1 to {LONGEST_S}")
    return int(given)


def of_postgres(query: Mapping[str, Any], statement_s: int | None, lock_s: int | None = None) -> dict[str, Any]:
    """Arguments for the driver (psycopg, or another one on libpq) that bound everything a connection waits for.

    Args:
        query: the parameters of the address. What a person gave there is kept, and is stronger.
        statement_s: how long a statement may take; None for as long as it likes.
        lock_s: how long of that it may wait for a lock; None for ``statement_s``.

    >>> of_postgres({"options": "-csearch_path=mine", "connect_timeout": "3"}, 30)["options"]
    '-c statement_timeout=30s -c lock_timeout=30s -c idle_in_transaction_session_timeout=60s -csearch_path=mine'
    """
    limits = {}
    if statement_s is not None:
        limits = {
            "statement_timeout": statement_s,
            "lock_timeout": lock_s or statement_s,
            "idle_in_transaction_session_timeout": IDLE_TIMES * statement_s,
        }
    own = query.get("options", "")
    options = [
        *(f"-c {name}={seconds}s" for name, seconds in limits.items()),
        *([own] if isinstance(own, str) else own),
    ]
    given = {
        "connect_timeout": CONNECT_S,
        "keepalives": 1,
        "keepalives_idle": KEEPALIVE_IDLE_S,
        "keepalives_interval": KEEPALIVE_EVERY_S,
        "keepalives_count": KEEPALIVES,
        # What was sent and never confirmed: keepalives are not asked then.
        "tcp_user_timeout": 1000 * (KEEPALIVE_IDLE_S + KEEPALIVE_EVERY_S * KEEPALIVES),
    }
    bounds: dict[str, Any] = {name: value for name, value in given.items() if name not in query}
    said = " ".join(option for option in options if option)
    return bounds | ({"options": said} if said else {})
