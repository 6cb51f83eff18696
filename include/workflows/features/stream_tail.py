"""The source rows of a view's newest intervals, in memory: what the view's SQL reads at each tick.

There is no state to lose. The rows are read whole from the source when a process begins, and again when the window
moves by a step of the grid, which finds rows that were changed or removed in place; in between only news are taken.
Rows from Redis are kept beside the table's, because they may be known sooner there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from include.config.settings import settings
from include.config.streaming import REDIS, DeclaredStream
from include.config.types import FeatureView, SourceTable
from include.domain.intervals import Interval
from include.workflows.features import source_days

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.redis_rows import RedisRows, Taken
    from include.adapters.source import KeptSource


def stream_of(view: FeatureView) -> DeclaredStream:
    """How the view's rows come online before their day is over.

    Raises:
        ValueError: for a view that declares no stream; its caller should have checked.
    """
    if view.stream is None:
        raise ValueError(f"view {view.ref!r} declares no stream")
    return view.stream


@dataclass(slots=True)
class Tail:
    """The rows of each source table that the window's SQL reads, as known at the newest ``take``."""

    view: FeatureView
    kept: KeptSource | None = None
    """What other views' tails have read; None reads for this one alone."""
    tables: dict[str, pa.Table] = field(default_factory=dict)
    positions: dict[str, str] = field(default_factory=dict)
    """Redis stream to the id of the newest entry that was taken."""
    remarks: list[str] = field(default_factory=list)
    """What people should know of the last ``take``: rows that are none, entries that may be lost."""
    _window: Interval | None = None
    _read_until: datetime | None = None
    _came: dict[str, pa.Table] = field(default_factory=dict)
    """Table to the rows that came by Redis."""
    _streams: dict[str, RedisRows] = field(default_factory=dict)
    _open: dict[str, list[str]] = field(default_factory=dict)
    """Redis stream to entries that are not acknowledged."""
    _keys: dict[str, list[str]] = field(default_factory=dict)
    _entries: dict[str, Taken] = field(default_factory=dict)
    """Table to entries that are not yet in its columns, which are known once the table was read."""

    def take(self, window: Interval, now: datetime) -> bool:
        """Bring the rows up to ``now``; whether any has changed.

        Raises:
            SourceUnreachable, TableVanished, ColumnVanished, ColumnUnreadable, RedisUnreachable: when a source does not
            give its rows; the next ``take`` then reads everything again.
        """
        self.remarks = []
        whole = self._window != window or self._read_until is None
        self._window, read_until = None, self._read_until
        gone = self._take_entries(whole)
        if gone:
            self.remarks += [f"{why}, so the rows are read from the table again" for why in gone]
        changed = False
        for each in self.view.source:
            if whole or gone or read_until is None:
                rows = self._whole(each, window, now)
                changed = True
            else:
                rows = self._with_news(each, window, read_until, now)
                changed = changed or rows is not self.tables[each.table]
            self.tables[each.table] = rows
        self._window, self._read_until = window, now
        return changed

    def acknowledge(self) -> None:
        """What was taken by now took effect."""
        for stream, ids in self._open.items():
            self._streams[stream].acknowledge(ids)
        self._open = {}

    # --- the table ---------------------------------------------------------------------------------------------------

    def _whole(self, each: SourceTable, window: Interval, now: datetime) -> pa.Table:
        from include.adapters import source

        extract = self.kept.extract if self.kept is not None else partial(source.extract, settings().source_url)
        rows = extract(each, window, now, what=self._what(window), named=source_days.named(self.view))
        if each.time is None:
            return rows
        if each.table not in self._keys:
            key = source.identity(settings().source_url, each.table)
            self._keys[each.table] = key if set(key) <= set(rows.column_names) else []
        return self._merged(each, rows, self._of_redis(each, rows.schema, window))

    def _with_news(self, each: SourceTable, window: Interval, read_until: datetime, now: datetime) -> pa.Table:
        from include.adapters import source

        rows = self.tables[each.table]
        if each.time is None:
            return rows
        came = self._of_redis(each, rows.schema, window)
        if came is not None:
            news = came
        else:
            # A row may be committed after others that were known later.
            since = read_until - max(stream_of(self.view).lateness, timedelta(minutes=1))
            known = self.kept.news if self.kept is not None else partial(source.news, settings().source_url)
            what, named = self._what(window), source_days.named(self.view)
            news = known(each, window, since, now, what=what, named=named)
            if not news.schema.equals(rows.schema, check_metadata=True):
                # Another column can be read, or none could: the rows before must be read the same way.
                return self._whole(each, window, now)
        if not news.num_rows:
            return rows
        merged = self._merged(each, rows, news)
        return rows if merged.equals(rows) else merged

    def _merged(self, each: SourceTable, rows: pa.Table, news: pa.Table | None) -> pa.Table:
        """All rows in the order in which a daily run reads them; of one primary key the row that was known last, of two
        known at once the newer one."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if news is None or not news.num_rows:
            return source_days.in_order(each, rows)
        both = pa.concat_tables([rows, news.cast(rows.schema)]).combine_chunks()
        key = self._keys[each.table]
        if key and each.known is not None:
            numbered = both.append_column("slipway_came", pa.array(np.arange(both.num_rows)))
            by = [(each.known, "ascending"), ("slipway_came", "ascending")]
            both = both.take(pc.sort_indices(numbered, sort_keys=by))
            last = both.append_column("slipway_came", pa.array(np.arange(both.num_rows)))
            kept = last.group_by(key).aggregate([("slipway_came", "max")]).column("slipway_came_max")
            both = both.take(pa.array(np.sort(kept.to_numpy()), pa.int64()))
        return source_days.in_order(each, both.replace_schema_metadata(rows.schema.metadata))

    # --- Redis -------------------------------------------------------------------------------------------------------

    def _take_entries(self, whole: bool) -> list[str]:
        """Take what the streams have; why entries may be lost, of each of which they may."""
        gone = []
        for each in self.view.source:
            given = stream_of(self.view).of(each.table)
            if not given.startswith(REDIS):
                continue
            stream = given.removeprefix(REDIS)
            rows = self._stream(stream)
            position = self.positions.get(stream)
            taken, gap = rows.begin(position) if whole else rows.news(position)
            if gap is not None:
                gone.append(f"Redis stream {stream!r}: {gap}")
                taken += rows.begin(None)[0]
                # What it says now is where it goes on: the loss is said once.
                self.positions.pop(stream, None)
            self._keep(each, stream, taken)
        return gone

    def _keep(self, each: SourceTable, stream: str, taken: Taken) -> None:
        from include.adapters.redis_rows import Taken

        self._open[stream] = [*self._open.get(stream, []), *taken.ids]
        if taken.last is not None:
            self.positions[stream] = taken.last
        before = self._entries.get(each.table, Taken())
        self._entries[each.table] = Taken((), before.rows + taken.rows, before.refused + taken.refused)

    def _of_redis(self, each: SourceTable, schema: pa.Schema, window: Interval) -> pa.Table | None:
        """The rows that came by Redis and belong to the window; None for a table that is polled."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from include.adapters import redis_rows

        if not stream_of(self.view).of(each.table).startswith(REDIS) or each.time is None:
            return None
        came, refused = redis_rows.in_columns(self._entries.pop(each.table, redis_rows.Taken()), each, schema)
        self.remarks += refused
        if each.table in self._came:
            came = pa.concat_tables([self._came[each.table].cast(schema), came])
        moment = came.column(each.time)
        first, end = (pa.scalar(m, moment.type) for m in (window.start - each.lookback, window.end + each.lookahead))
        came = came.filter(pc.and_(pc.greater_equal(moment, first), pc.less(moment, end)))
        self._came[each.table] = source_days.in_order(each, came)
        return self._came[each.table]

    def _stream(self, stream: str) -> RedisRows:
        from include.adapters.redis_rows import RedisRows

        if stream not in self._streams:
            group = f"slipway:{self.view.name}:v{self.view.version}"
            self._streams[stream] = RedisRows(settings().redis_url, stream, group)
        return self._streams[stream]

    def _what(self, window: Interval) -> str:
        return f"Feature view {self.view.name!r} {window}"


def resumed(view: FeatureView, positions: Mapping[str, str], kept: KeptSource | None = None) -> Tail:
    """An empty tail that knows which entries were taken before it."""
    return Tail(view, kept, positions=dict(positions))
