"""The offline store: Delta Lake tables on disk or in an object store.

One table per version of a feature view, one partition per UTC day; one prediction log per model, one partition per day
and candidate. A partition is replaced as a whole, in one commit, by rows in a fixed order, and not at all when it
already holds the same content: so a rerun does not even change the table's version.

Object stores are addressed by URL (``s3://bucket/prefix``); ``deltalake`` takes their credentials from the environment.
"""

from include.adapters.offline_store.ahead import AheadTables
from include.adapters.offline_store.canonical import (
    DAY,
    TIMESTAMP,
    are_among,
    are_distinct,
    content_hash,
    content_hashes,
    each_once,
    ordered,
    plain,
    plain_type,
    split_by_day,
    with_day,
)
from include.adapters.offline_store.held import DAMAGED, Held
from include.adapters.offline_store.partitions import (
    Content,
    Replaced,
    RowsOutsidePartitions,
    SchemaChanged,
    StoreConflict,
    TableMissing,
)
from include.adapters.offline_store.reading import PartitionDamaged
from include.adapters.offline_store.store import SERVED_PREFIX, OfflineStore

__all__ = [
    "DAMAGED",
    "DAY",
    "SERVED_PREFIX",
    "TIMESTAMP",
    "AheadTables",
    "Content",
    "Held",
    "OfflineStore",
    "PartitionDamaged",
    "Replaced",
    "RowsOutsidePartitions",
    "SchemaChanged",
    "StoreConflict",
    "TableMissing",
    "are_among",
    "are_distinct",
    "content_hash",
    "content_hashes",
    "each_once",
    "ordered",
    "plain",
    "plain_type",
    "split_by_day",
    "with_day",
]
