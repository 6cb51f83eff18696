"""The source system: a SQL database that others own. Read only, an interval at a time, in Arrow batches.

Nothing here knows the demonstration's tables. Names are quoted by SQLAlchemy, so a column may be called ``order``.
"""

from include.adapters.source.errors import (
    ColumnUnreadable,
    ColumnVanished,
    SourceRefused,
    SourceUnreachable,
    TableVanished,
)
from include.adapters.source.finding import (
    FoundColumn,
    FoundTable,
    NoSuchTable,
    Spread,
    TableUnreadable,
    found_table,
    found_tables,
    spread,
)
from include.adapters.source.kept import KeptSource
from include.adapters.source.reading import Pace, columns_of, daily_counts, extract, identity, left_out, news
from include.adapters.source.shape import Shape, shape

__all__ = [
    "ColumnUnreadable",
    "ColumnVanished",
    "FoundColumn",
    "FoundTable",
    "KeptSource",
    "NoSuchTable",
    "Pace",
    "Shape",
    "SourceRefused",
    "SourceUnreachable",
    "Spread",
    "TableUnreadable",
    "TableVanished",
    "columns_of",
    "daily_counts",
    "extract",
    "found_table",
    "found_tables",
    "identity",
    "left_out",
    "news",
    "shape",
    "spread",
]
