"""Ledger and online store: the newest published row of each entity, where it is not too old to be used.

What the ledger has published lies in the view's table, which is compared with the ledger first: an online store is
never filled from a table that lost rows itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from include.adapters.ledger import Ledger
from include.adapters.online_store import Differences, OnlineStore, OnlineStoreUnusable, compared
from include.config import FeatureView, declarations
from include.config.settings import settings
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.workflows import stores
from include.workflows.lineage import promised
from include.workflows.pairs import PairFinding, PairState

if TYPE_CHECKING:
    import pyarrow as pa

PAIR = "online"
LOOKS = 3
"""A publish writes to the table, the ledger and the online store in turn: a difference is checked again."""
PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Published:
    """The rows of a view that may still be used at the end of its newest day."""

    view: FeatureView
    rows: pa.Table
    newest_day: str


def compare(now: datetime) -> list[PairFinding]:
    """Every declared view that has published days."""
    with stores.open_ledger() as ledger:
        return [_compared(ledger, view) for view in _views(ledger, None)]


def repair(now: datetime, only: str | None) -> list[PairFinding]:
    """Offer the newest published rows of each entity again, and remove what was never published."""
    if only is not None:
        declarations().view(only)
    with stores.open_ledger() as ledger:
        return [_repaired(ledger, view) for view in _views(ledger, only)]


def _compared(ledger: Ledger, view: FeatureView) -> PairFinding:
    try:
        published, found = _differences(ledger, view)
    except (Refusal, OnlineStoreUnusable) as error:
        return PairFinding(PAIR, _about(view), PairState.NOT_COMPARED, str(error))
    if not found:
        line = f"The newest rows of {found.entities:,} entities are there, published up to {published.newest_day}."
        return PairFinding(PAIR, _about(view), PairState.AGREES, line)
    return PairFinding(PAIR, _about(view), PairState.DIFFERS, _sentence(published, found))


def _repaired(ledger: Ledger, view: FeatureView) -> PairFinding:
    try:
        published, found = _differences(ledger, view)
        if not found:
            return _compared(ledger, view)
        store = OnlineStore(settings().online_url)
        store.forget(view, found.ahead)
        crashpoint("repair.online.forgotten")
        store.push(view, published.rows, f"repair_{published.newest_day}")
    except (Refusal, OnlineStoreUnusable) as error:
        return PairFinding(PAIR, _about(view), PairState.NOT_COMPARED, str(error))
    left = _compared(ledger, view)
    if left.state is not PairState.AGREES:
        return left
    return PairFinding(
        PAIR, _about(view), PairState.AGREES, f"{_sentence(published, found)} It was filled again.", repaired=True
    )


def _differences(ledger: Ledger, view: FeatureView) -> tuple[_Published, Differences]:
    store = OnlineStore(settings().online_url)
    for look in range(1, LOOKS + 1):
        newest = ledger.partitions.between(view.name, view.version)[-1].day
        end = Interval.of_day(newest).end
        kept = store.kept(view, end - view.ttl)
        published = _published(ledger, view, newest)
        found = _published_only(view, compared(view, kept, published.rows), end)
        if not found or look == LOOKS:
            break
        time.sleep(PAUSE_S)
    return published, found


def _published_only(view: FeatureView, found: Differences, end: datetime) -> Differences:
    """Without the rows of days that are not published yet, where a stream brings them online before."""
    if view.stream is None:
        return found
    naive = end.replace(tzinfo=None)
    return replace(found, ahead={entity: times for entity, times in found.ahead.items() if times[0] < naive})


def _published(ledger: Ledger, view: FeatureView, newest: str) -> _Published:
    """What the ledger published and the table holds, up to the newest day.

    Raises:
        PromiseBroken: when the table does not hold what was published.
    """
    end = Interval.of_day(newest).end
    span, store = Interval(end - view.ttl, end), stores.offline_store()
    promised.require(ledger, store, view, span.days)
    return _Published(view, store.read_after(view, span), newest)


def _views(ledger: Ledger, only: str | None) -> Iterator[FeatureView]:
    for name, version in ledger.partitions.views():
        view = declarations().version(name, version)
        if view is None or only not in (None, name, view.ref):
            continue
        # Days without rows write no table, and promise nothing online.
        if any(day.rows for day in ledger.partitions.between(name, version)):
            yield view


def _sentence(published: _Published, found: Differences) -> str:
    return f"Published up to {published.newest_day}: {found.sentence}."


def _about(view: FeatureView) -> str:
    return f"{view.name} v{view.version}"
