"""A view's newest rows, online before their day is over: micro-batches of the unchanged features.sql.

A tick takes news into the tail, computes the intervals that they can touch with the SQL that computes whole days,
pushes what is new, keeps what it pushed, acknowledges the news, and then moves the view's mark in the ledger. Killed
anywhere, the next one repeats work and changes nothing: computing is deterministic, a push replaces a row only by one
that is not older, and what was not acknowledged comes again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from include.config.settings import settings
from include.config.types import FeatureView
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import DAY, Interval
from include.domain.verdicts import Verdict
from include.workflows.features import freshness, pushed_rows, staging, stream_tail
from include.workflows.features.stream_tail import Tail, stream_of

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters import source, sql_engine
    from include.adapters.ledger import StreamMark

IDLE_AT_LEAST = timedelta(seconds=60)
"""How old a holder's mark must at least be before another process takes a stream over."""
JUDGED_EVERY = timedelta(minutes=10)
"""How often a day of pushes is read again: every tick would read what all ticks of the day have written."""


class StreamMarkKeeper(Protocol):
    """What a stream needs of the ledger: its ``streams``."""

    def hold(self, view: str, view_version: int, holder: str, now: datetime, idle: timedelta) -> StreamMark: ...

    def require(self, mark: StreamMark) -> None: ...

    def advance(self, mark: StreamMark) -> None: ...


class RowsRefused(Refusal):
    """Rows of a tick are such that no day with them would be published."""

    def __init__(self, view: FeatureView, reasons: Iterable[str]) -> None:
        super().__init__(
            f"The stream of view {view.ref!r} pushes nothing: {'; '.join(reasons)}. Online stay the rows of before; "
            "fix the source or features.sql."
        )


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick did."""

    view: str
    now: datetime
    rows: int = 0
    """How many rows were pushed that had not been, or not with these values."""
    computed: bool = False
    """Whether anything that the SQL reads had changed."""
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class ViewStream:
    """One view's stream in this process."""

    view: FeatureView
    marks: StreamMarkKeeper
    holder: str
    databases: sql_engine.OpenDatabases | None = None
    """Open ones to run features.sql in; None opens one for each tick."""
    kept: source.KeptSource | None = None
    """What was read of the source for other views; None reads for this one alone."""
    _mark: StreamMark | None = None
    _tail: Tail | None = None
    _rows: pa.Table | None = None
    _pushed: pa.Table | None = None
    """The newest row of each keys and event time that this process has pushed."""
    _judged_at: datetime | None = None
    """When this process last read a day of pushes to say how fresh they were."""
    _read: dict[Path, pa.Table] = field(default_factory=dict)
    """The files of pushes that it has read for that."""

    def tick(self, now: datetime) -> Ticked:
        """Bring the online store up to ``now``, a data time.

        Raises:
            StreamHeld: when another process runs the stream. RowsRefused: when the rows are such that no day with them
            would be published.
            SourceUnreachable and the like, RedisUnreachable, SqlFailed, ViewRowsWrong, OnlineStoreUnusable,
            LedgerUnavailable: nothing was acknowledged, and the next tick does it again.
        """
        now = now.astimezone(UTC)
        mark = self._held(now)
        tail = self._tail = self._tail or stream_tail.resumed(self.view, mark.positions, self.kept)
        # What came since the last tick, however long ago that was; rows past their ttl are of no use to anyone.
        oldest = now - self.view.ttl
        since = oldest if mark.pushed_at is None else max(mark.read_until, oldest)
        window = window_of(self.view, now, since)
        changed = tail.take(window, now)
        crashpoint("features.stream.taken")
        if changed or self._rows is None:
            self._rows = self._computed(window, tail, now)
        fresh = self._not_pushed(_readable(self.view, self._rows, now))
        if fresh.num_rows:
            self._push(fresh, mark, now)
            crashpoint("features.stream.pushed")
            self._keep(fresh, now)
            crashpoint("features.stream.kept")
        tail.acknowledge()
        crashpoint("features.stream.acknowledged")
        self._mark = self._moved(mark, now, fresh)
        self.marks.advance(self._mark)
        crashpoint("features.stream.marked")
        self._forget_before(window.start)
        return Ticked(self.view.ref, now, fresh.num_rows, changed, tuple(tail.remarks))

    def begin_again(self) -> None:
        """After a failed tick: ask again whether this process holds the stream, and read the source whole."""
        self._mark, self._tail, self._rows = None, None, None

    def _held(self, now: datetime) -> StreamMark:
        if self._mark is None:
            stream = stream_of(self.view)
            idle = max(IDLE_AT_LEAST, 6 * stream.every)
            self._mark = self.marks.hold(self.view.name, self.view.version, self.holder, now, idle)
        return self._mark

    def _computed(self, window: Interval, tail: Tail, now: datetime) -> pa.Table:
        from include.workflows.features import audit

        # With the SQL's own available time: what is promised for it comes with the published day.
        as_said = self.view.model_copy(update={"delay": timedelta(0)})
        rows = staging.rows_of(as_said, window, tail.tables, self.databases).rows
        if rows.num_rows:
            wrong = [
                each.reason.rstrip(".") for each in audit.row_checks(as_said, rows) if each.verdict is not Verdict.PASS
            ]
            if wrong:
                self._rows = None
                raise RowsRefused(self.view, wrong)
        return rows.drop_columns(["day"])

    def _not_pushed(self, rows: pa.Table) -> pa.Table:
        """The rows that were not pushed with these values. That one of them may be older than what is online is for the
        online store to see."""
        import pyarrow as pa

        from include.adapters import offline_store

        if self._pushed is None:
            return rows
        return rows.filter(pa.array(~offline_store.are_among(rows, self._pushed, rows.column_names)))

    def _push(self, rows: pa.Table, mark: StreamMark, now: datetime) -> None:
        from include.adapters.online_store import OnlineStore

        self.marks.require(mark)
        OnlineStore(settings().online_url).push(self.view, rows, f"stream_{now:%Y-%m-%dT%H:%M:%S}")

    def _keep(self, rows: pa.Table, now: datetime) -> None:
        pushed_rows.keep(settings().home, self.view, rows, now)
        pushed_rows.forget(settings().home, self.view, (now - pushed_rows.KEPT).date())
        if self._pushed is not None:
            import pyarrow as pa

            from include.adapters import offline_store

            again = offline_store.are_among(self._pushed, rows, [*self.view.keys, "event_time"])
            rows = pa.concat_tables([self._pushed.filter(pa.array(~again)), rows])
        self._pushed = rows

    def _moved(self, mark: StreamMark, now: datetime, pushed: pa.Table) -> StreamMark:
        import pyarrow.compute as pc

        positions = dict(self._tail.positions) if self._tail is not None else mark.positions
        if not pushed.num_rows:
            return replace(mark, read_until=now, positions=positions)
        newest = pc.max(pushed.column("event_time")).as_py()
        p99_s = mark.p99_s
        if self._judged_at is None or now - self._judged_at >= JUDGED_EVERY:
            a_day = Interval(now - DAY, now + timedelta(microseconds=1))
            p99_s = freshness.of_pushes(self.view, settings().home, a_day, mark.started_at, self._read).p99_s
            self._judged_at = now
        return replace(
            mark,
            read_until=now,
            event_watermark=max(newest, mark.event_watermark or newest),
            pushed_at=now,
            rows=mark.rows + pushed.num_rows,
            positions=positions,
            p99_s=p99_s,
        )

    def _forget_before(self, start: datetime) -> None:
        """Rows that are not computed any more need not be remembered."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._pushed is not None:
            moment = pa.scalar(start, pa.timestamp("us", tz="UTC"))
            self._pushed = self._pushed.filter(pc.greater_equal(self._pushed.column("event_time"), moment))


def window_of(view: FeatureView, now: datetime, since: datetime | None = None) -> Interval:
    """The whole intervals of the view's grid that news can touch at ``now``: from those of ``lateness`` ago, or of
    ``since`` where that is earlier, to the one under way, or ``ahead`` of it."""
    stream = stream_of(view)
    first = now - stream.lateness
    start = _floor(first if since is None else min(first, since), stream.grid)
    end = _floor(now, stream.grid) + stream.grid
    return Interval(start, end + ceil(view.ahead / stream.grid) * stream.grid)


def _floor(moment: datetime, grid: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + ((moment - epoch) // grid) * grid


def _readable(view: FeatureView, rows: pa.Table, now: datetime) -> pa.Table:
    """The rows that are known at ``now``; of a view that is not ahead of its events, those that have happened."""
    import pyarrow as pa
    import pyarrow.compute as pc

    moment = pa.scalar(now, pa.timestamp("us", tz="UTC"))
    can = pc.less_equal(rows.column("available_time"), moment)
    if not view.ahead:
        can = pc.and_(can, pc.less_equal(rows.column("event_time"), moment))
    return rows.filter(can)


def open_at(view: FeatureView, now: datetime) -> bool:
    """Whether the view has a stream, and its calendar goes on at ``now``."""
    calendar = view.calendar
    return (
        view.stream is not None
        and now.date() >= calendar.starts
        and (calendar.ends is None or now.date() < calendar.ends)
    )
