"""The online store: the newest row of each entity, for requests that cannot wait for a table scan.

A row is only ever replaced by a newer one (later event time, then later available time), inside the upsert itself: so
an old backfill that finishes last, or two that race, never restore an old value.
"""

from include.adapters.online_store.engines import METADATA, ONLINE, OnlineStoreUnusable
from include.adapters.online_store.offers import Differences, compared
from include.adapters.online_store.store import OnlineRow, OnlineStore
from include.domain.entity_names import entity_of

__all__ = [
    "METADATA",
    "ONLINE",
    "Differences",
    "OnlineRow",
    "OnlineStore",
    "OnlineStoreUnusable",
    "compared",
    "entity_of",
]
