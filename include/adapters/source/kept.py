"""Rows of the source that were read once, for every reader that follows: a SQLite file that no one has written to since
is not read again, and what several views need of a table is read for all of them.

SQLite itself says whether a file was written to (``PRAGMA data_version``), so a row that was changed or removed in
place is found as if the table had been read. Other databases do not say it: there each reader reads by itself. For one
thread.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import NullType

from include.adapters.source import reading
from include.adapters.source.columns import SourceLayout, layout
from include.adapters.source.errors import (
    ColumnUnreadable,
    ColumnVanished,
    SourceRefused,
    SourceUnreachable,
    TableVanished,
)
from include.config.types import SourceTable
from include.domain.intervals import DAY, Interval

READ_AHEAD = DAY
"""What is read beyond what was asked for, so that a window that moves on by hours is read once a day."""
Version = tuple[int, int, int]
"""A file, and its content: device and inode, and SQLite's own count of others' writes."""


@dataclass(slots=True)
class _KeptRows:
    """The rows of one table of ``[start, end)``, whenever they were known, in the order of their time; all rows of a
    table without time."""

    found: SourceLayout
    rows: pa.Table
    span: Interval | None
    oldest: datetime | None = None
    """The earliest start that was asked for since rows were last read."""


class KeptSource:
    """Reads as ``extract`` and ``news`` do, and keeps the rows. Close it."""

    def __init__(self, url: str) -> None:
        self._url = url
        parsed = make_url(url)
        is_file = parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:")
        self._path = parsed.database if is_file else None
        self._connection: Connection | None = None
        self._file: tuple[int, int] | None = None
        self._version: Version | None = None
        self._kept: dict[tuple[object, ...], _KeptRows] = {}

    def __enter__(self) -> KeptSource:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget every row."""
        self._kept.clear()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()
            connection.engine.dispose()

    def extract(
        self,
        source: SourceTable,
        interval: Interval,
        as_of: datetime,
        *,
        what: str | None = None,
        named: Collection[str] | None = None,
    ) -> pa.Table:
        """As ``extract``, out of what is kept.

        Raises:
            As that.
        """
        found = self._found(source, reading.AskedRows(interval, as_of), read=True)
        return reading.extract(self._url, source, interval, as_of, what=what, named=named) if found is None else found

    def news(
        self,
        source: SourceTable,
        interval: Interval,
        since: datetime,
        as_of: datetime,
        *,
        what: str | None = None,
        named: Collection[str] | None = None,
    ) -> pa.Table:
        """As ``news``. Of a file that was written to the news alone are read, and not the whole window.

        Raises:
            As that.
        """
        found = self._found(source, reading.AskedRows(interval, as_of, since), read=False)
        if found is None:
            return reading.news(self._url, source, interval, since, as_of, what=what, named=named)
        return found

    def _found(self, source: SourceTable, asked: reading.AskedRows, *, read: bool) -> pa.Table | None:
        """The rows out of those that are kept; None where they have to be read in the usual way."""
        try:
            if not self._is_current():
                return None
            kept = self._covering(source, asked.interval, read=read)
        except (
            SQLAlchemyError,
            OSError,
            ColumnUnreadable,
            ColumnVanished,
            SourceRefused,
            SourceUnreachable,
            TableVanished,
        ):
            # The usual way tries again, leaves out what cannot be read, and names what is wrong.
            self.close()
            return None
        if kept is None:
            return None
        return reading.exactly(_within(kept, source, asked.interval), replace(kept.found, source=source), asked)

    def _is_current(self) -> bool:
        """Whether anything may be kept; what is kept of an earlier content is forgotten first."""
        if self._path is None:
            return False
        found = os.stat(self._path)
        file = found.st_dev, found.st_ino
        if file != self._file:
            self.close()
            self._file = file
        if self._connection is None:
            self._connection = reading.engine_of(self._url).connect()
        version = (*file, int(self._connection.exec_driver_sql("PRAGMA data_version").scalar_one()))
        # AskedRows for before the rows are read: a write in between shows at the next question.
        if version != self._version:
            self._kept.clear()
            self._version = version
        return True

    def _covering(self, source: SourceTable, interval: Interval, *, read: bool) -> _KeptRows | None:
        place = (source.table, source.time, source.known, tuple(source.columns or ()))
        kept = self._kept.get(place)
        if source.time is None:
            if kept is None and read:
                kept = self._read(source, None)
            return self._keep(place, kept)
        wanted = Interval(interval.start - source.lookback, interval.end + source.lookahead)
        if kept is not None and kept.span is not None:
            if kept.span.start <= wanted.start and wanted.end <= kept.span.end:
                kept.oldest = min(kept.oldest or wanted.start, wanted.start)
                return kept
            if not read:
                return None
            if wanted.start <= kept.span.end and kept.span.start <= wanted.end:
                return self._keep(place, self._widened(kept, source, wanted))
        return self._keep(place, self._read(source, Interval(wanted.start, wanted.end + READ_AHEAD)) if read else None)

    def _keep(self, place: tuple[object, ...], kept: _KeptRows | None) -> _KeptRows | None:
        if kept is not None:
            self._kept[place] = kept
        return kept

    def _widened(self, kept: _KeptRows, source: SourceTable, wanted: Interval) -> _KeptRows | None:
        """What is kept, with what is missing of ``wanted``; without what no one asked for since the last reading."""
        span = kept.span
        if span is None:
            raise ValueError("a table without time has no span")
        start, end, parts = span.start, span.end, [kept.rows]
        if span.end < wanted.end:
            end = wanted.end + READ_AHEAD
            later = self._read(source, Interval(span.end, end))
            if later is None or not later.rows.schema.equals(kept.rows.schema):
                return None
            parts.append(later.rows)
            start = max(span.start, min(kept.oldest or wanted.start, wanted.start))
        if wanted.start < span.start:
            start = wanted.start
            earlier = self._read(source, Interval(start, span.start))
            if earlier is None or not earlier.rows.schema.equals(kept.rows.schema):
                return None
            parts.insert(0, earlier.rows)
        whole = _KeptRows(kept.found, pa.concat_tables(parts).combine_chunks(), Interval(start, end), wanted.start)
        return replace(whole, rows=_between(whole, source, start, end)) if span.start < start else whole

    def _read(self, source: SourceTable, span: Interval | None) -> _KeptRows | None:
        """None where views may be given different columns of the table."""
        connection = self._connection
        if connection is None:
            raise ValueError("no connection is open")
        alone = source.model_copy(update={"lookback": timedelta(0), "lookahead": timedelta(0)})
        found = layout(connection, alone, None)
        if any(isinstance(each.kind, NullType) for each in found.reads) or (source.columns is None and found.left_out):
            return None
        # A table without time is read whole, whatever interval is asked for; so are rows that are known later.
        asked = reading.AskedRows(span or _ANY, _ANY.end)
        rows = reading.exactly(reading.as_stored(connection, found, asked, None), found, asked)
        return _KeptRows(found, rows, span, span.start if span is not None else None)


_ANY = Interval(
    datetime.fromisoformat("1900-01-01T00:00:00+00:00"), datetime.fromisoformat("9999-12-31T00:00:00+00:00")
)


def _within(kept: _KeptRows, source: SourceTable, interval: Interval) -> pa.Table:
    if kept.span is None:
        return kept.rows
    return _between(kept, source, interval.start - source.lookback, interval.end + source.lookahead)


def _between(kept: _KeptRows, source: SourceTable, start: datetime, end: datetime) -> pa.Table:
    """The rows are in the order of their time."""
    moments = kept.rows.column(str(source.time)).cast(pa.int64()).to_numpy()
    first, last = np.searchsorted(moments, [_us(start), _us(end)])
    return kept.rows.slice(int(first), int(last - first))


def _us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
