"""A view's rows as they were known at a moment that lies before their day is published: the unchanged features.sql over
the source rows that were known then.

The moment decides and not the clock, so asking about a moment long past gives what was known at it, as far as the
source still has it: a source row that was overwritten in place is known from its new time on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

from include.config.settings import settings
from include.config.types import FeatureView, SourceTable
from include.domain.errors import Refusal
from include.domain.intervals import DAY, Interval, midnight
from include.domain.verdicts import Verdict
from include.workflows.features import audit, source_days, staging

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters import sql_engine


class RowsUnusable(Refusal):
    """Rows that no day would be published with."""


@dataclass(slots=True)
class KnownRows:
    """Rows of views at one or several moments; the source is read once for all of them, and their SQL runs in databases
    that stay open."""

    moments: Sequence[datetime]
    """In order."""
    databases: sql_engine.OpenDatabases
    _tables: dict[tuple[str, str], tuple[Interval, pa.Table]] = field(default_factory=dict)
    """View and source table to the rows that were read, and of which interval of the view."""
    _computed: dict[str, tuple[Interval, datetime, pa.Table]] = field(default_factory=dict)
    """View to the last window and moment of which its rows were computed, and the rows."""

    def rows(self, view: FeatureView, interval: Interval, moment: datetime) -> pa.Table:
        """The view's rows with an event time in ``interval`` that were available at ``moment``, which is one of
        ``moments``.

        Raises:
            SourceUnreachable, TableVanished, ColumnVanished, ColumnUnreadable: when the source does not give its rows.
            SqlFailed, ViewRowsWrong: as for a whole day.
            RowsUnusable: when rows lack a key or a time, or are there twice.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        window = _whole(view, interval)
        last = self._computed.get(view.ref)
        if last is None or last[:2] != (window, moment):
            last = self._computed[view.ref] = (window, moment, self._settled(view, window, moment))
        rows = last[2]
        event, known = rows.column("event_time"), rows.column("available_time")
        first, end, now = (
            pa.scalar(each, pa.timestamp("us", tz="UTC")) for each in (interval.start, interval.end, moment)
        )
        inside = pc.and_(pc.greater_equal(event, first), pc.less(event, end))
        return rows.filter(pc.and_(inside, pc.less_equal(known, now)))

    def _settled(self, view: FeatureView, window: Interval, moment: datetime) -> pa.Table:
        from include.adapters import offline_store

        tables = {each.table: self._source(view, each, window, moment) for each in view.source}
        rows = staging.rows_of(view, window, tables, self.databases).rows
        if rows.num_rows:
            wrong = [
                each.reason.rstrip(".") for each in audit.row_checks(view, rows) if each.verdict is not Verdict.PASS
            ]
            if wrong:
                raise RowsUnusable(
                    f"View {view.ref!r} as known at {moment:%Y-%m-%d %H:%M} UTC cannot be used: {'; '.join(wrong)}. "
                    "Nothing was answered; fix the source or features.sql, then clear the task."
                )
        in_order = offline_store.ordered(rows, ["event_time", *view.keys])
        return in_order.drop_columns([offline_store.DAY])

    def _source(self, view: FeatureView, each: SourceTable, window: Interval, moment: datetime) -> pa.Table:
        """The table's rows that a run at the moment would have read for the window."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = self._read(view, each, window, moment)
        if each.time is None:
            return rows
        time = rows.column(each.time)
        first = pa.scalar(window.start - each.lookback, time.type)
        end = pa.scalar(window.end + each.lookahead, time.type)
        chosen = pc.and_(pc.greater_equal(time, first), pc.less(time, end))
        if each.known is not None:
            known = rows.column(each.known)
            chosen = pc.and_(chosen, pc.less_equal(known, pa.scalar(moment, known.type)))
        return rows.filter(chosen)

    def _read(self, view: FeatureView, each: SourceTable, window: Interval, moment: datetime) -> pa.Table:
        """The rows of the table for the windows of all moments from this one on, read once."""
        from include.adapters import source

        place, last = (view.ref, each.table), self.moments[-1]
        found = self._tables.get(place)
        if found is None or not (found[0].start <= window.start and window.end <= found[0].end):
            span = Interval(window.start, _ceil(window.end + (last - moment), _grid(view)))
            what = f"Feature view {view.name!r} as known at {moment:%Y-%m-%d %H:%M}"
            rows = source.extract(settings().source_url, each, span, last, what=what, named=source_days.named(view))
            found = span, rows if each.time is None else source_days.in_order(each, rows)
            self._tables[place] = found
        return found[1]


def _grid(view: FeatureView) -> timedelta:
    """The shortest interval for which features.sql gives whole rows."""
    return DAY if view.stream is None else view.stream.grid


def _whole(view: FeatureView, interval: Interval) -> Interval:
    """The whole steps of the view's grid that the interval touches."""
    grid, day = _grid(view), midnight(interval.start)
    return Interval(day + (interval.start - day) // grid * grid, _ceil(interval.end, grid))


def _ceil(moment: datetime, grid: timedelta) -> datetime:
    day = midnight(moment)
    return day + ceil((moment - day) / grid) * grid
