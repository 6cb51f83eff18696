"""Whether a view's stream keeps what the view promises: how soon its rows could be read, and whether what was pushed is
what the daily partition says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.config.declared import Declarations
from include.config.loader import declarations
from include.config.settings import settings
from include.config.types import FeatureView
from include.domain.intervals import DAY, Interval
from include.domain.verdicts import Verdict
from include.workflows import stores
from include.workflows.features import pushed_rows

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_TO_SAY = 20
"""Fewer rows say nothing about 99 of 100."""
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class StreamedFreshness:
    """How long after their event a view's rows could be read."""

    view: str
    rows: int
    """How many rows of the span were due while the stream ran, or had run before."""
    p50_s: float | None = None
    p99_s: float | None = None
    """Seconds; None where there are too few rows to say."""
    slowest_s: float | None = None
    verdict: Verdict = Verdict.INCONCLUSIVE
    """PASS within the view's ``delay``, FAIL beyond it, INCONCLUSIVE for too few rows."""


def of_pushes(
    view: FeatureView, home: Path, span: Interval, since: datetime, known: dict[Path, pa.Table] | None = None
) -> StreamedFreshness:
    """How fresh the rows were that were pushed within the span, and due after ``since``, the view's first tick: the
    time from the event (with ``ahead``, from when the row was known) to the first push. ``known`` keeps what was read
    for the next time."""
    import numpy as np

    rows = pushed_rows.read(
        home,
        view,
        (span.start - view.ttl).date(),
        (span.end + view.ahead + DAY).date() + timedelta(days=1),
        columns=[*view.keys, "event_time", "available_time", pushed_rows.PUSHED_AT],
        known=known,
    )
    if rows is None:
        return StreamedFreshness(view.ref, 0)
    waits = pushed_rows.waits_s(view, rows, since, span)
    if len(waits) < ROWS_TO_SAY:
        return StreamedFreshness(view.ref, len(waits))
    p50, p99 = (float(np.quantile(waits, q)) for q in (0.5, 0.99))
    kept = p99 <= view.delay.total_seconds()
    return StreamedFreshness(view.ref, len(waits), p50, p99, float(waits.max()), Verdict.PASS if kept else Verdict.FAIL)


def of_views(
    now: datetime, days: int, only: str | None = None, *, declared: Declarations | None = None
) -> list[StreamedFreshness]:
    """``of_pushes`` for every view with a stream, over the last days before ``now``."""
    known = declared or declarations()
    views = [known.view(only)] if only is not None else list(known.views.values())
    found = []
    with stores.open_ledger() as ledger:
        for view in views:
            if view.stream is None:
                continue
            mark = ledger.streams.of(view.name, view.version)
            if mark is None:
                found.append(StreamedFreshness(view.ref, 0))
                continue
            # A replayed clock lies elsewhere than the machine's: the last days are those before its last tick.
            end = min(now, mark.read_until) + timedelta(microseconds=1)
            found.append(of_pushes(view, settings().home, Interval(end - days * DAY, end), mark.started_at))
    return found


@dataclass(frozen=True, slots=True)
class StreamVerified:
    """What was pushed of a day, against its partition: the last push of each row, value by value."""

    view: str
    day: str
    values: int
    """How many values were compared."""
    different: int
    missing: int
    """Rows of the partition that were never pushed."""
    extra: int
    """Pushed rows that the partition does not have."""
    examples: tuple[str, ...]
    verdict: Verdict
    """PASS for equal, FAIL for any difference, INCONCLUSIVE where nothing was pushed or published."""


def verify(name: str, day: str, *, declared: Declarations | None = None) -> StreamVerified:
    """Compare what the stream pushed of a day with what was published of it.

    The available time is not compared: the pushed row has the SQL's, the partition the one that is promised.

    Raises:
        UnknownName: for a view that is not declared. TableMissing: when it was never published.
        PromiseBroken: when the partition is not what the ledger recorded.
    """
    from include.workflows.lineage import promised

    view = (declared or declarations()).view(name)
    interval = Interval.of_day(day)
    pushed = pushed_rows.read(settings().home, view, interval.start.date(), interval.end.date())
    store = stores.offline_store()
    with stores.open_ledger() as ledger:
        promised.require(ledger, store, view, interval.days)
    published = store.read(view, interval)
    if pushed is None or not published.num_rows:
        what = "pushed" if pushed is None else "published"
        return StreamVerified(view.ref, day, 0, 0, 0, 0, (f"nothing was {what} of {day}",), Verdict.INCONCLUSIVE)
    has, should = _by_place(view, pushed_rows.newest_of_each(view, pushed)), _by_place(view, published)
    names = [*view.features, *view.carries]
    different, examples = 0, []
    for place, values in should.items():
        for column, pushed_value, value in zip(names, has.get(place, values), values, strict=True):
            if pushed_value != value:
                different += 1
                examples.append(f"{column} of {_told(place)} was {pushed_value} online and is {value} published")
    missing, extra = [p for p in should if p not in has], [p for p in has if p not in should]
    examples += [f"{_told(place)} was never pushed" for place in missing]
    examples += [f"{_told(place)} was pushed and is not published" for place in extra]
    compared = (len(should) - len(missing)) * len(names)
    verdict = Verdict.FAIL if different or missing or extra else Verdict.PASS
    return StreamVerified(
        view.ref, day, compared, different, len(missing), len(extra), tuple(examples[:EXAMPLES]), verdict
    )


def _by_place(view: FeatureView, rows: pa.Table) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Keys and event time to the values. A number that is missing is None on both sides: NaN is never stored."""
    places = zip(*(rows.column(name).to_pylist() for name in (*view.keys, "event_time")), strict=True)
    values = zip(*(rows.column(name).to_pylist() for name in (*view.features, *view.carries)), strict=True)
    return dict(zip(places, values, strict=True))


def _told(place: tuple[Any, ...]) -> str:
    return f"{', '.join(map(str, place[:-1]))} at {place[-1]:%H:%M:%S}"
