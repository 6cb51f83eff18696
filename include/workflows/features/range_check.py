"""Whether features.sql gives a day the same rows within a range as it does alone: a few days of a bulk run are computed
both ways, from the same source rows, before anything is staged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from include.config.types import FeatureView
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.wording import count_of

if TYPE_CHECKING:
    import pyarrow as pa

DAYS = 3
"""How many days are compared: the first, the last and those between them."""
CLOSE = 1e-9
"""Sums may be added up in another order; numbers that differ by less than this share of their size are the same."""


class RangeDiffers(Refusal, ValueError):
    """features.sql gives a day other rows within a range than alone."""

    def __init__(self, view: FeatureView, interval: Interval, day: str, difference: str, cause: str) -> None:
        super().__init__(
            f"Feature view {view.name!r}: features.sql gives {day} other rows within {interval} than alone: "
            f"{difference}. {cause} Nothing was staged; fix features.sql, or materialize the days one by one."
        )


def require_alike(
    view: FeatureView,
    interval: Interval,
    tables: Mapping[str, pa.Table],
    rows: pa.Table,
    compute: Callable[[Mapping[str, pa.Table], Interval], pa.Table],
) -> None:
    """Compare ``rows``, what features.sql gave for the whole interval, with what ``compute`` gives a few of its days
    from the rows of ``tables`` that a run of that day alone would read. One day alone has nothing to compare.

    Raises:
        RangeDiffers: naming the day, what differs, and the likely cause.
    """
    from include.adapters import offline_store

    days = interval.days
    if len(days) < 2:
        return
    by_day = offline_store.split_by_day(rows)
    for day in dict.fromkeys(days[round(i * (len(days) - 1) / (DAYS - 1))] for i in range(DAYS)):
        alone = Interval.of_day(day)
        given = compute(_read_alone(view, alone, tables), alone)
        # A row that is dated into another day is refused by the audit.
        own = offline_store.split_by_day(given).get(day, given.slice(0, 0))
        difference = _difference(view, by_day.get(day, rows.slice(0, 0)), own)
        if difference is not None:
            raise RangeDiffers(view, interval, day, difference, _cause(view, interval, rows))


def _read_alone(view: FeatureView, day: Interval, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    import pyarrow as pa
    import pyarrow.compute as pc

    read = dict(tables)
    for each in view.source:
        if each.time is not None:
            moment = tables[each.table].column(each.time)
            first, end = (pa.scalar(m, moment.type) for m in (day.start - each.lookback, day.end + each.lookahead))
            inside = pc.and_(pc.greater_equal(moment, first), pc.less(moment, end))
            read[each.table] = tables[each.table].filter(inside)
    return read


def _difference(view: FeatureView, within: pa.Table, alone: pa.Table) -> str | None:
    """What differs, in words; None where nothing does. Both are in the order of keys and event time."""
    if within.num_rows != alone.num_rows:
        return f"{count_of(within.num_rows, 'row')} within the range, {count_of(alone.num_rows, 'row')} alone"
    names = [*view.keys, "event_time", "available_time", *view.features, *view.carries]
    for name in names:
        mine, other = within.column(name), alone.column(name)
        at = None if mine.equals(other) else _first_other(mine, other)
        if at is not None:
            of = ", ".join(str(within.column(key)[at].as_py()) for key in view.keys)
            when = within.column("event_time")[at].as_py()
            values = (str(each[at].as_py()) for each in (mine, other))
            return f"{name} of {of} at {when} is {next(values)} within the range, {next(values)} alone"
    return None


def _first_other(mine: Any, other: Any) -> int | None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(mine.type) and pa.types.is_floating(other.type):
        a, b = (np.asarray(each.cast(pa.float64()).to_numpy()) for each in (mine, other))
        differs = ~np.isclose(a, b, rtol=CLOSE, atol=0.0, equal_nan=True)
    else:
        same = pc.fill_null(pc.equal(mine, other), False)
        both_missing = pc.and_(pc.is_null(mine), pc.is_null(other))
        differs = ~np.asarray(pc.or_(same, both_missing).to_numpy())
    return int(np.argmax(differs)) if differs.any() else None


def _cause(view: FeatureView, interval: Interval, rows: pa.Table) -> str:
    """What is likely to be wrong with the query."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in ("event_time", "available_time"):
        for bound, moment in (("start", interval.start), ("end", interval.end)):
            at_bound = pc.sum(pc.equal(rows.column(name), pa.scalar(moment, rows.column(name).type))).as_py() or 0
            if rows.num_rows and at_bound == rows.num_rows:
                return (
                    f'Every row of the range has the {name} {moment}: interval_."{bound}" is that of the whole run, '
                    "and no row's own time. Take each row's time from its source row."
                )
    return (
        "Likely it uses interval_ for more than the bounds of its rows, or reads rows further away than the "
        "declared lookback and lookahead."
    )
