"""Why a model's rows have no value of a feature: for a sample of requests, the rows of a view that came nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.config.declared import Declarations
from include.config.settings import settings
from include.config.types import FeatureView, ModelDeclaration
from include.domain.intervals import Interval, spoken
from include.domain.wording import count_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SAMPLE = 200
"""Requests that are looked at for a cause, evenly over the interval."""
AROUND = timedelta(days=31)
"""How far before the first request and after the last one rows are looked for, beside the ttl."""
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NearRow:
    """A row of a view by its two times."""

    event: datetime
    available: datetime


@dataclass(frozen=True, slots=True)
class Nearest:
    """One request and the rows of one view that came nearest to it."""

    keys: dict[str, Any]
    """The request's, by which the view is joined."""
    asked: datetime
    before: NearRow | None
    """The newest that was available when it was asked; it answers unless it is past the ttl."""
    after: NearRow | None
    """The first that became available only afterwards."""
    has_key: bool
    """Whether the view has any row of these keys around that time."""

    def outcome(self, ttl: timedelta) -> str:
        """What came of it, in words."""
        if self.before is not None:
            age = self.asked - self.before.event
            if age < ttl:
                return "answers"
            return f"past its ttl: {_length(age)} old, ttl {spoken(ttl)}"
        if self.after is not None:
            return f"too late by {_length(self.after.available - self.asked)}"
        return "no row of this key" if not self.has_key else "no row with both times"


@dataclass(frozen=True, slots=True)
class ViewRowsNear:
    """A sample of requests against one view, and the cause in a sentence where none is answered."""

    view: str
    ttl: timedelta
    nearest: tuple[Nearest, ...]
    cause: str
    """What keeps the requests from their values; says so where nothing does."""


def near(
    model: ModelDeclaration,
    view: FeatureView,
    interval: Interval,
    declared: Declarations,
    *,
    sample: int = SAMPLE,
    versions: dict[str, int] | None = None,
) -> ViewRowsNear:
    """A sample of the interval's requests against the view as it is published, or in the pinned version of its table.

    Raises:
        TableMissing: when the entity's view or this one was never published.
    """
    import numpy as np

    from include.adapters import offline_store
    from include.adapters.point_in_time import Keys

    store, entity = offline_store.OfflineStore(settings().store), declared.view(model.entity.view)
    pinned = versions or {}
    requests = _evenly(store.read(entity, interval, pinned.get(entity.ref)), sample)
    if requests.num_rows == 0:
        told = f"view {entity.ref!r}, whose rows are the requests, has no row in {interval}"
        return ViewRowsNear(view.ref, view.ttl, (), told)
    asked = _times(requests, "event_time") - model.entity.lead // MICROSECOND
    if view.ref == entity.ref:
        rows, keys, ttl = requests, entity.keys, view.ttl
    else:
        span = Interval(interval.start - model.entity.lead - view.ttl - AROUND, interval.end + AROUND)
        rows, keys, ttl = store.read(view, span, pinned.get(view.ref)), view.keys, view.ttl
    known = Keys(requests, keys)
    codes, of_rows = known.codes, known.of(rows)
    times = _times(rows, "event_time"), _times(rows, "available_time")
    # A request's own row, and no other, has the features of its own view.
    is_own = view.ref == entity.ref
    found = tuple(
        _nearest(requests, i, keys, int(asked[i]), np.array([i]) if is_own else _of_key(codes[i], of_rows), times)
        for i in range(requests.num_rows)
    )
    return ViewRowsNear(view.ref, ttl, found, _cause(view, entity, found, requests, rows, keys))


def why_empty(
    model: ModelDeclaration,
    interval: Interval,
    empty: Sequence[str],
    declared: Declarations,
    versions: dict[str, int] | None = None,
) -> dict[str, str]:
    """By feature without a value in the interval, the view it is of and why, as a clause."""
    causes: dict[str, str] = {}
    for use in model.views:
        mine = [feature for feature in use.features if feature in empty]
        if mine:
            found = near(model, declared.view(use.view), interval, declared, versions=versions)
            causes |= dict.fromkeys(mine, f"view {use.view!r}: {found.cause}")
    return causes


def _nearest(
    requests: pa.Table,
    at: int,
    keys: Sequence[str],
    asked: int,
    mine: np.ndarray[Any, Any],
    times: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> Nearest:
    """Of the view's rows at the positions ``mine``, which have the request's keys; ``times`` are the event and the
    available time of every row."""
    import numpy as np

    event, available = times
    known = mine[available[mine] <= asked]
    later = mine[available[mine] > asked]
    before = known[np.lexsort((event[known], available[known]))[-1]] if len(known) else None
    after = later[np.argmin(available[later])] if len(later) else None
    return Nearest(
        {key: requests.column(key)[at].as_py() for key in keys},
        _moment(asked),
        None if before is None else NearRow(_moment(int(event[before])), _moment(int(available[before]))),
        None if after is None else NearRow(_moment(int(event[after])), _moment(int(available[after]))),
        len(mine) > 0,
    )


def _cause(
    view: FeatureView,
    entity: FeatureView,
    found: Sequence[Nearest],
    requests: pa.Table,
    rows: pa.Table,
    keys: Sequence[str],
) -> str:
    """Why the requests have no value of the view, the most frequent cause first named."""
    days = _days_of(rows)
    if rows.num_rows == 0:
        return f"no row is published of it around these days; materialize features_{view.slug} for them"
    has = f"it has {count_of(rows.num_rows, 'row')} on {days}"
    total = len(found)
    if not any(each.has_key for each in found):
        return f"{has}, and its keys never meet those of {entity.ref!r}: {_unlike(view, entity, requests, rows, keys)}"
    answered = [each for each in found if each.outcome(view.ttl) == "answers"]
    late = [each for each in found if each.before is None and each.after is not None]
    old = [each for each in found if each.before is not None and each not in answered]
    if answered and len(answered) >= max(len(late), len(old)):
        what = f"{len(answered)} of {total} requests that were looked at are answered by a row"
        return f"{has}, and {what}, which holds no value itself"
    if len(late) >= len(old) and late:
        by = sorted(each.after.available - each.asked for each in late if each.after is not None)
        return (
            f"{has}, and {len(late)} of {total} requests that were looked at were asked before any row was available, "
            f"by {_length(by[len(by) // 2])} in the median; compare available_time in features.sql and delay with lead"
        )
    ages = sorted(each.asked - each.before.event for each in old if each.before is not None)
    if not ages:
        return f"{has}, and none of the requests that were looked at has its keys in it at that time"
    return (
        f"{has}, and of {len(old)} of {total} requests that were looked at the newest known row was past its ttl: "
        f"{_length(ages[len(ages) // 2])} old in the median, where ttl is {spoken(view.ttl)}"
    )


def _unlike(view: FeatureView, entity: FeatureView, requests: pa.Table, rows: pa.Table, keys: Sequence[str]) -> str:
    """How the keys of the two differ: by type, by case or blanks, or simply by value."""
    import pyarrow.compute as pc

    for key in keys:
        mine, its = requests.column(key), rows.column(key)
        asked, has = (pc.unique(each).drop_null().slice(0, 1000).to_pylist() for each in (mine, its))
        if not asked or not has:
            who = entity.ref if not asked else view.ref
            return f"{key} is missing in every row of {who!r}"
        shown = f"{key} is {mine.type} such as {asked[0]!r} there, and {its.type} such as {has[0]!r} here"
        if not {str(each) for each in asked} & {str(each) for each in has}:
            plain = [{str(each).strip().casefold() for each in side} for side in (asked, has)]
            same = "; they differ in upper case or blanks only" if plain[0] & plain[1] else ""
            return f"{shown}{same}; cast or trim one of them in its SQL"
    return f"no row has all of {', '.join(keys)} alike"


def _days_of(rows: pa.Table) -> str:
    import pyarrow as pa
    import pyarrow.compute as pc

    if rows.num_rows == 0:
        return "no day"
    days = pc.unique(rows.column("event_time").cast(pa.timestamp("us")).cast(pa.date32())).drop_null()
    first, last = pc.min_max(days).as_py().values()
    return f"{count_of(len(days), 'day')} from {first} to {last}"


def _evenly(rows: pa.Table, sample: int) -> pa.Table:
    import numpy as np

    if rows.num_rows <= sample:
        return rows
    return rows.take(np.unique(np.linspace(0, rows.num_rows - 1, sample).astype(np.int64)))


def _of_key(code: int, of_rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.flatnonzero(of_rows == code) if code >= 0 else np.empty(0, np.int64)


def _times(rows: pa.Table, name: str) -> np.ndarray[Any, Any]:
    import pyarrow as pa

    found: np.ndarray[Any, Any] = (
        rows.column(name).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).fill_null(0).to_numpy()
    )
    return found


def _moment(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def _length(length: timedelta) -> str:
    """To the second."""
    return spoken(timedelta(seconds=round(length.total_seconds())))
