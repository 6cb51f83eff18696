"""What the source has for each day: counted, dated by when it was known, and hashed.

A day's hash shows whether a row came late, or was changed, after the day was published. It is of the day's own rows,
without look-back, so that it is the same whether the day is read alone or in bulk. Tables that are read whole
(reference tables) belong to no day and do not count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, Protocol

from include.config.settings import settings
from include.config.types import FeatureView, SourceTable
from include.domain.intervals import DAY, Interval

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.ledger import Partition


@dataclass(frozen=True, slots=True)
class SourceDay:
    """What the source had for one day: the rows whose time falls into it, in all tables the view reads by time, when
    the newest of them was known (ISO 8601; None without rows, or where no table says), and the hash of the rows."""

    rows: int
    watermark: str | None
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class SourceRead:
    """An interval and its look-back as the source gave it."""

    tables: dict[str, pa.Table]
    """Each table's rows, in a fixed order, each row once."""
    repeated: dict[str, int]
    """How many rows of a table were equal to another in every column, and so read once; without tables that had
    none."""
    counted: Future[dict[str, SourceDay]]

    @property
    def days(self) -> dict[str, SourceDay]:
        """Every day of the interval, without look-back."""
        return self.counted.result()


@dataclass(frozen=True, slots=True)
class StaleDay:
    """A published day whose source rows are no longer those it was made from, in one sentence."""

    day: str
    reason: str


class KnownPartitions(Protocol):
    """The part of the ledger that is needed: its ``partitions``."""

    def between(
        self, view: str, view_version: int, start: str | None = None, end: str | None = None
    ) -> list[Partition]: ...

    def newest_as_of(self, view: str, view_version: int) -> datetime | None: ...


def read(view: FeatureView, interval: Interval, as_of: datetime) -> SourceRead:
    """Extract every source table of the view: the interval and its look-back, as known at ``as_of``.

    A row that is equal to another of its table in every column was delivered twice, and is read once. Where a column of
    the table was left out, that cannot be known, and every row is kept.
    """
    from include.adapters import source

    url, tables, repeated, words = settings().source_url, {}, {}, named(view)
    days = _Days(interval.days)
    for each in view.source:
        what = f"Feature view {view.name!r} {interval}"
        rows = source.extract(url, each, interval, as_of, what=what, named=words)
        if each.time is not None:
            before = rows.num_rows
            rows = days.add(each, rows)
            if before != rows.num_rows:
                repeated[each.table] = before - rows.num_rows
        tables[each.table] = rows
    # Counted and hashed while features.sql runs over the same rows.
    beside = ThreadPoolExecutor(1)
    counted = beside.submit(days.result)
    beside.shutdown(wait=False)
    return SourceRead(tables, repeated, counted)


def in_order(each: SourceTable, rows: pa.Table) -> pa.Table:
    """The rows of a table that has a time in a fixed order, and each once unless a column of it was left out."""
    from include.adapters import offline_store, source

    order = [str(each.time), *([each.known] if each.known else [])]
    order += [name for name in rows.column_names if name not in order]
    distinct = offline_store.ordered(rows, order)
    return distinct if source.left_out(rows) else offline_store.each_once(distinct)


def as_of_for(view: FeatureView, interval: Interval, known: KnownPartitions) -> datetime:
    """The moment as of which a run of ``interval`` reads the source.

    It is the interval's end, or later where the view has been read as of later: as far as the next run would have
    checked these days again. So the order in which days are materialized does not matter, and a run never takes a
    correction back.
    """
    recorded = known.between(view.name, view.version, interval.days[0], interval.end.date().isoformat())
    seen = [p.source_as_of for p in recorded if p.source_as_of is not None]
    newest = known.newest_as_of(view.name, view.version)
    if newest is not None:
        ahead = max((each.lookahead for each in view.source), default=timedelta(0))
        seen.append(min(newest, interval.end + (view.recheck.days + ceil(ahead / DAY)) * DAY))
    return max([interval.end, *seen])


def stale_before(
    view: FeatureView,
    interval: Interval,
    as_of: datetime,
    known: KnownPartitions,
    tables: Mapping[str, pa.Table] | None = None,
) -> list[StaleDay]:
    """The published days within ``recheck.days`` before ``interval`` whose source rows changed, and those that reach
    them by look-back. ``tables`` are what was read for the interval; where their look-back covers the days, they are
    not read again."""
    if view.recheck.days == 0:
        return []
    checked = Interval(interval.start - view.recheck.days * DAY, interval.start)
    return stale_within(view, checked, as_of, known, tables, deep=view.recheck.by == "digest")


def stale_within(
    view: FeatureView,
    checked: Interval,
    as_of: datetime,
    known: KnownPartitions,
    tables: Mapping[str, pa.Table] | None = None,
    *,
    deep: bool = True,
) -> list[StaleDay]:
    """The published days of ``checked`` whose source rows changed, and the published days after them whose look-back
    reaches those. ``deep`` compares hashes of the rows; else counts and watermarks, which are one grouped query, and
    only days that differ in these are read.

    A day that was read as of later than ``as_of`` is left out: what it knows is newer.
    """
    first, end = checked.days[0], checked.end.date().isoformat()
    recorded = {
        p.day: p
        for p in known.between(view.name, view.version, first, end)
        if p.source_as_of is None or p.source_as_of <= as_of
    }
    if not recorded:
        return []
    days = sorted(recorded)
    narrowed = Interval(Interval.of_day(days[0]).start, Interval.of_day(days[-1]).end)
    now = _days_now(view, narrowed, as_of, tables or {}) if deep else _counted(view, narrowed, as_of)
    stale = {day: reason for day in days if (reason := _changed(recorded[day], now[day])) is not None}
    if not deep:
        # A row that was delivered twice is counted twice, and is no change: a day that seems changed is read.
        read = {day: _days_now(view, Interval.of_day(day), as_of, {})[day] for day in stale}
        stale = {day: reason for day in read if (reason := _changed(recorded[day], read[day])) is not None}
    found = [StaleDay(day, reason) for day, reason in stale.items()]
    if stale:
        reached = _reached(view, stale, as_of, known)
        found += [StaleDay(day, f"its look-back reaches {cause}") for day, cause in reached.items()]
    return sorted(found, key=lambda each: each.day)


def reaching(view: FeatureView, day: str) -> Interval:
    """The view's days whose rows may have been computed from the source rows of ``day``: its own and those whose
    look-back or look-ahead covers it."""
    back = max((each.lookback for each in view.source), default=timedelta(0))
    ahead = max((each.lookahead for each in view.source), default=timedelta(0))
    one = Interval.of_day(day)
    return Interval(one.start - ceil(ahead / DAY) * DAY, one.end + ceil(back / DAY) * DAY)


# --- small things ----------------------------------------------------------------------------------------------------


class _Days:
    """Collects what each day has over several tables."""

    def __init__(self, days: Iterable[str]) -> None:
        self._days = list(days)
        self._tables: list[tuple[SourceTable, pa.Table]] = []

    def add(self, each: SourceTable, rows: pa.Table) -> pa.Table:
        """Take the rows of one table; the rows back, in a fixed order and each once."""
        distinct = in_order(each, rows)
        self._tables.append((each, distinct))
        return distinct

    def result(self) -> dict[str, SourceDay]:
        """The rows of each day counted, dated and hashed."""
        import pyarrow.compute as pc

        from include.adapters import offline_store

        rows = dict.fromkeys(self._days, 0)
        newest: dict[str, datetime] = {}
        hashes: dict[str, list[str]] = {day: [] for day in self._days}
        for each, distinct in self._tables:
            parts = offline_store.split_by_day(offline_store.with_day(distinct, str(each.time)))
            wanted = {day: parts[day].drop_columns([offline_store.DAY]) for day in self._days if day in parts}
            for day, content in offline_store.content_hashes(wanted).items():
                part = wanted[day]
                rows[day] += part.num_rows
                latest = pc.max(part.column(each.known or each.time)).as_py()
                if latest is not None:
                    newest[day] = max(newest.get(day, latest), latest)
                hashes[day].append(f"{each.table}:{content}")

        def hashed(day: str) -> str:
            return hashlib.sha256("|".join(hashes[day]).encode()).hexdigest()

        return {
            day: SourceDay(count, newest[day].isoformat() if day in newest else None, hashed(day))
            for day, count in rows.items()
        }


def named(view: FeatureView) -> frozenset[str]:
    """The words that features.sql may use for columns."""
    from include.adapters import sql_engine

    return sql_engine.named_in(view.sql, what=f"Feature view {view.name!r}", file=f"features/{view.name}/features.sql")


def _days_now(
    view: FeatureView, checked: Interval, as_of: datetime, tables: Mapping[str, pa.Table]
) -> dict[str, SourceDay]:
    from include.adapters import source

    days = _Days(checked.days)
    for each in view.source:
        if each.time is None:
            continue
        rows = tables.get(each.table)
        # What was read covers the days where its look-back reaches their start; its end lies at or after theirs.
        if rows is None or each.lookback < view.recheck.days * DAY:
            alone = each.model_copy(update={"lookback": timedelta(0), "lookahead": timedelta(0)})
            what = f"Feature view {view.name!r} {checked}"
            rows = source.extract(settings().source_url, alone, checked, as_of, what=what, named=named(view))
        days.add(each, rows)
    return days.result()


def _counted(view: FeatureView, checked: Interval, as_of: datetime) -> dict[str, SourceDay]:
    from include.adapters import source

    rows, newest = dict.fromkeys(checked.days, 0), dict[str, datetime]()
    for each in view.source:
        if each.time is None:
            continue
        for day, (count, latest) in source.daily_counts(settings().source_url, each, checked, as_of).items():
            rows[day] += count
            if latest is not None:
                newest[day] = max(newest.get(day, latest), latest)
    return {day: SourceDay(n, newest[day].isoformat() if day in newest else None) for day, n in rows.items()}


def _changed(was: Partition, now: SourceDay) -> str | None:
    """What differs, or None. Hashes decide where both sides have one."""
    watermark = was.source_watermark.isoformat() if was.source_watermark else None
    if was.source_hash is not None and now.hash is not None and was.source_hash == now.hash:
        return None
    if was.source_rows != now.rows:
        return f"the source has {now.rows:,} rows where it had {was.source_rows:,}"
    if watermark != now.watermark:
        return f"its newest source row was known at {now.watermark}, where it was {watermark}"
    if was.source_hash is not None and now.hash is not None:
        return f"a source row was changed in place (still {now.rows:,} rows)"
    return None


def _reached(view: FeatureView, stale: Mapping[str, str], as_of: datetime, known: KnownPartitions) -> dict[str, str]:
    """Published days that are not stale themselves and were computed from rows of one that is, with that one."""
    reached: dict[str, str] = {}
    for cause in stale:
        span = reaching(view, cause)
        for p in known.between(view.name, view.version, span.days[0], span.end.date().isoformat()):
            was_read_before = p.source_as_of is None or p.source_as_of < as_of
            if p.day not in stale and was_read_before:
                reached.setdefault(p.day, cause)
    return reached


def source_facts(partition: Partition) -> dict[str, Any]:
    """What a partition says of its source, for people and JSON."""
    return {
        "rows": partition.source_rows,
        "watermark": partition.source_watermark and partition.source_watermark.isoformat(),
        "hash": partition.source_hash,
        "as_of": partition.source_as_of and partition.source_as_of.isoformat(),
    }
