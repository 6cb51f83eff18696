"""How far each view's stream has come, and which process runs it: one row for each version of a view.

A stream has one holder. Another process may take it over only when the holder's last mark is older than it may be, and
from then on the former holder's marks are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from include.adapters.ledger.database import Database, clock, upsert, utc, words
from include.adapters.ledger.errors import LedgerError
from include.adapters.ledger.tables import stream_marks
from include.domain.faults import crashpoint


class StreamHeld(LedgerError):
    """Another process runs the view's stream."""

    def __init__(self, view: str, view_version: int, holder: str, recorded_at: datetime) -> None:
        super().__init__(
            f"The stream of {view} version {view_version} is run by {holder}, whose last mark is of "
            f"{recorded_at.isoformat()}. It is taken over once that is too old; end that process to do it now."
        )


@dataclass(frozen=True, slots=True)
class StreamMark:
    """How far the stream of one version of a view has come. All times but ``recorded_at`` are data times."""

    view: str
    view_version: int
    holder: str
    """Host and process that run it."""
    started_at: datetime
    """The view's first tick ever."""
    read_until: datetime
    """As of when the source was read by the last tick."""
    event_watermark: datetime | None = None
    """The newest event time of a row that was pushed; None before the first."""
    pushed_at: datetime | None = None
    """When rows were last pushed; None before the first."""
    rows: int = 0
    """How many rows were pushed, all ticks together."""
    positions: Mapping[str, str] = field(default_factory=dict)
    """Redis stream to the id of the last entry that was taken from it."""
    p99_s: float | None = None
    """Of the rows of the last day, the time after which 99 of 100 could be read after their event, in seconds; None
    where there were too few to say."""
    recorded_at: datetime | None = None
    """When the mark was made, by the clock; None before it is kept."""


class StreamMarks:
    """Takes, moves and finds marks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, view: str, view_version: int) -> StreamMark | None:
        """The view's mark; None when its stream never ran."""
        with self._database.reading() as connection:
            return _in(connection, view, view_version)

    def hold(self, view: str, view_version: int, holder: str, now: datetime, idle: timedelta) -> StreamMark:
        """Take the stream for ``holder``, or find that it has it; the mark that holds from now on.

        Args:
            now: the data time at which it begins; kept as ``started_at`` of a stream that never ran.
            idle: how old, by the clock, the mark of another holder must be.

        Raises:
            StreamHeld: when another holder has it, and its mark is younger.
        """
        holder = words("holder", holder)
        with self._database.writing(_key(view, view_version)) as connection:
            found = _in(connection, view, view_version)
            if found is not None and found.holder == holder:
                return found
            if found is not None and found.recorded_at is not None and clock() - found.recorded_at < idle:
                raise StreamHeld(view, view_version, found.holder, found.recorded_at)
            now = utc("now", now)
            values = {"holder": holder, "recorded_at": clock()}
            if found is None:
                values |= {"started_at": now, "read_until": now, "rows": 0, "positions": {}}
                connection.execute(stream_marks.insert().values(view=view, view_version=view_version, **values))
            else:
                upsert(connection, stream_marks, _place(view, view_version), _kept(found) | values)
            mark = _in(connection, view, view_version)
        crashpoint("ledger.stream.held")
        if mark is None:
            raise RuntimeError(f"the mark of {view} that was just written is not there")
        return mark

    def advance(self, mark: StreamMark) -> None:
        """Replace the mark's facts, for the holder it names.

        Raises:
            StreamHeld: when another process holds the stream meanwhile.
        """
        with self._database.writing(_key(mark.view, mark.view_version)) as connection:
            self._require(connection, mark)
            upsert(
                connection,
                stream_marks,
                _place(mark.view, mark.view_version),
                _kept(mark) | {"holder": mark.holder, "recorded_at": clock()},
            )
            crashpoint("ledger.stream.written")

    def require(self, mark: StreamMark) -> None:
        """Refuse when the mark's holder has lost the stream.

        Raises:
            StreamHeld: when it has.
        """
        with self._database.reading() as connection:
            self._require(connection, mark)

    @staticmethod
    def _require(connection: Connection, mark: StreamMark) -> None:
        found = _in(connection, mark.view, mark.view_version)
        if found is not None and found.holder != mark.holder and found.recorded_at is not None:
            raise StreamHeld(mark.view, mark.view_version, found.holder, found.recorded_at)


def _key(view: str, view_version: int) -> str:
    return f"stream:{view}:{view_version}"


def _place(view: str, view_version: int) -> dict[str, Any]:
    return {"view": view, "view_version": view_version}


def _kept(mark: StreamMark) -> dict[str, Any]:
    return {
        "started_at": mark.started_at,
        "read_until": mark.read_until,
        "event_watermark": mark.event_watermark,
        "pushed_at": mark.pushed_at,
        "rows": mark.rows,
        "positions": dict(mark.positions),
        "p99_s": mark.p99_s,
    }


def _in(connection: Connection, view: str, view_version: int) -> StreamMark | None:
    mine = stream_marks.c.view == view, stream_marks.c.view_version == view_version
    row = connection.execute(select(stream_marks).where(*mine)).one_or_none()
    return None if row is None else _mark_of(row)


def _mark_of(row: Row[Any]) -> StreamMark:
    return StreamMark(
        view=row.view,
        view_version=row.view_version,
        holder=row.holder,
        started_at=row.started_at,
        read_until=row.read_until,
        event_watermark=row.event_watermark,
        pushed_at=row.pushed_at,
        rows=row.rows,
        positions=dict(row.positions),
        p99_s=row.p99_s,
        recorded_at=row.recorded_at,
    )
