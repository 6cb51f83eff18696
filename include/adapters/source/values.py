"""Values on their way from a driver to Arrow: each is carried over exactly, or its column is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Date, DateTime, Select, Text, cast, column, func, literal, not_, or_
from sqlalchemy.exc import DataError, DBAPIError

from include.adapters.source import times
from include.adapters.source.columns import Form, Read, SourceLayout
from include.adapters.source.errors import ColumnUnreadable

FLAGS = {"1": True, "true": True, "t": True, "yes": True, "0": False, "false": False, "f": False, "no": False}
"""How SQLite's columns of booleans store one: it has no type for it, and accepts any text."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is being read, for messages about its values."""

    layout: SourceLayout
    what: str | None

    def array(self, read: Read, values: Sequence[Any], page: Sequence[Any]) -> pa.Array:
        if read.form is Form.FLAG:
            flags = [FLAGS.get(str(value).lower()) for value in values]
            bad = [i for i, flag in enumerate(flags) if flag is None and values[i] is not None]
            if bad:
                raise self.unreadable(read, bad, values, page, "neither true nor false")
            return pa.array(flags, type=read.arrow)
        if read.form is not Form.PLAIN:
            found, bad = times.moments(values)
            if bad:
                raise self.unreadable(read, bad, values, page, f"no time. {times.WHAT_WOULD_DO}")
            if read.form is Form.MOMENT:
                return found
            days = found.cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
            with_a_time = pc.not_equal(days.cast(times.TIMES), found)
            bad = [i for i, is_time in enumerate(with_a_time.to_pylist()) if is_time]
            if bad:
                raise self.unreadable(read, bad, values, page, "no date but a time")
            return days
        try:
            return pa.array(values, type=read.arrow)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            bad = [i for i, value in enumerate(values) if not _fits(value, read.arrow)]
            raise self.unreadable(read, bad, values, page, f"no {read.arrow} ({one_line(error)})") from error

    def unreadable(
        self, read: Read, rows: Sequence[int], values: Sequence[Any], page: Sequence[Any], problem: str
    ) -> ColumnUnreadable:
        source, first = self.layout.source, rows[0] if rows else 0
        when = ""
        if source.time is not None and source.time != read.name:
            place = [each.name for each in self.layout.reads].index(source.time)
            when = f" in the row of {page[first][place]}"
        shown = repr(values[first])[:40]
        is_time = read.name in (source.time, source.known)
        must = "it must be a timestamp, and " if is_time else ""
        reason = f"{must}{len(rows) or 'some'} of {len(values)} values read at once are {problem}"
        # The example comes before the way out.
        said, stop, way = reason.partition(". ")
        reason = f"{said}, the first {shown}{when}{stop}{way}"
        return ColumnUnreadable(source.table, read.name, reason, self.what)


def refused_by_driver(
    connection: Connection, found: SourceLayout, statement: Select[Any], error: DataError, what: str | None
) -> ColumnUnreadable:
    """Which value the driver could not take: a time without end, or before the year 1 or after 9999."""
    source = found.source
    connection.rollback()
    for each in found.reads:
        if connection.dialect.name != "postgresql" or not isinstance(each.kind, DateTime | Date):
            continue
        value = column(each.name, each.kind)
        beyond = or_(
            not_(func.isfinite(value)),
            value > cast(literal("9999-12-31 23:59:59.999999"), each.kind),
            value < cast(literal("0001-01-01"), each.kind),
        )
        moment = cast(column(source.time), Text) if source.time is not None else cast(value, Text)
        rows = statement.with_only_columns(cast(value, Text), moment).where(beyond).order_by(None).limit(1)
        first = connection.execute(rows).first()
        if first is not None:
            where = f" in the row of {first[1]}" if source.time not in (None, each.name) else ""
            reason = (
                f"a value is {first[0]!r}{where}, and a time lies in the years 1 to 9999. Make a database view that "
                "gives NULL, or 9999-12-31, for a time without end, and read that"
            )
            return ColumnUnreadable(source.table, each.name, reason, what)
    return ColumnUnreadable(source.table, source.time or "*", one_line(error), what)


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([value], type=kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return False
    return True


def one_line(error: BaseException) -> str:
    text = str(error.orig if isinstance(error, DBAPIError) and error.orig is not None else error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__
