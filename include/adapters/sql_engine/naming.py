"""Names as DuckDB's SQL needs them."""

from __future__ import annotations

import re
from functools import lru_cache

from include.adapters.sql_engine.running import connect


def quoted(name: str) -> str:
    """A column's or a table's name as a query writes it: in quotes where it has capitals or a dot, or is a word of SQL.

    >>> quoted("amount"), quoted("placedAt"), quoted("order"), quoted("sales.orders")
    ('amount', '"placedAt"', '"order"', '"sales.orders"')
    """
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None and name not in _words()
    return name if plain else '"' + name.replace('"', '""') + '"'


@lru_cache(maxsize=1)
def _words() -> frozenset[str]:
    """The words that DuckDB takes for something else than a name."""
    with connect() as connection:
        rows = connection.sql("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'")
        return frozenset(str(word) for (word,) in rows.fetchall())
