"""The schema of a declared table, without its rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from include.adapters.source.columns import layout
from include.adapters.source.reading import Pace, tried
from include.config.types import SourceTable

ONCE = Pace(attempts=1)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a read of the table gives: the columns and types in Arrow, and by name why a column is left out."""

    schema: pa.Schema
    left_out: dict[str, str]


def shape(url: str, source: SourceTable, named: Collection[str] | None) -> Shape:
    """What ``extract`` would give of the table. It is asked once, and reads no row; only of a column of SQLite that has
    no type and that the SQL names, it reads how the values are stored.

    Raises:
        As ``extract``, except for values that cannot be read.
    """
    found = tried(url, source.table, lambda connection: layout(connection, source, named), ONCE)
    return Shape(found.arrow, found.left_out)
