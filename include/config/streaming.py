"""How fresh a view is: what it promises, and how it keeps it between the days that are published.

A day is published when it is over. A view that is read online needs its rows sooner: ``stream`` says where news comes
from and how often they are taken, ``delay`` what readers may count on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Protocol

from pydantic import BeforeValidator, Field

from include.config.base import Declared, Duration
from include.domain.intervals import DAY, duration, spoken

SECOND = timedelta(seconds=1)
POLL, REDIS = "poll", "redis:"


def _to_short(value: object) -> object:
    """Seconds too; everything else as a duration is written everywhere."""
    text = value.strip() if isinstance(value, str) else ""
    if text.endswith("s") and text[:-1].isdigit():
        return timedelta(seconds=int(text[:-1]))
    if isinstance(value, timedelta):
        return value
    try:
        return duration(value if isinstance(value, str) else repr(value))
    except ValueError:
        shown = value if isinstance(value, str) else repr(value)
        raise ValueError(f"{shown!r} is not a duration. Write a whole number and a unit: 10s, 30m, 2h or 7d.") from None


Short = Annotated[timedelta, BeforeValidator(_to_short)]
"""A duration that may be given in seconds."""

StreamFrom = Annotated[str, Field(pattern=r"^(poll|redis:[A-Za-z0-9_.:{}-]{1,200})$")]
"""``poll``, or ``redis:`` and the name of a stream."""


class DeclaredStream(Declared):
    """How a view's newest rows are computed and pushed online between the days that are published."""

    source: dict[str, StreamFrom] = Field(default_factory=dict)
    """Where news of each source table come from: poll asks the table for rows known since the last time, and
    redis:<stream> reads a Redis stream whose entries are rows of the table; tables left out are polled."""
    every: Short
    """How often news are taken and what they touch is computed again, for example 10s; at most ``delay``."""
    lateness: Short = timedelta(minutes=15)
    """How late an event may come and still change the rows online; what comes later is found by the daily run
    (``recheck``); default 15m."""
    grid: Duration = timedelta(hours=1)
    """The shortest interval for which features.sql gives whole rows: 1h where it has rows by the hour, 1d by the day.
    It divides a day; default 1h."""

    def of(self, table: str) -> str:
        """``poll``, or ``redis:<stream>``."""
        return self.source.get(table, POLL)


class ReadTable(Protocol):
    """A source table as far as news of it go."""

    @property
    def table(self) -> str: ...

    @property
    def time(self) -> str | None: ...

    @property
    def known(self) -> str | None: ...


class Promising(Protocol):
    """What a view says of its freshness."""

    @property
    def ttl(self) -> timedelta: ...

    @property
    def delay(self) -> timedelta: ...

    @property
    def ahead(self) -> timedelta: ...

    @property
    def stream(self) -> DeclaredStream | None: ...

    @property
    def source(self) -> Sequence[ReadTable]: ...


def wrong_in_freshness(view: Promising) -> Iterator[str]:
    """What cannot be kept of what the view promises; each line begins with the field that is wrong."""
    if view.delay and not view.ahead and view.delay >= view.ttl:
        yield (
            f"delay is {spoken(view.delay)} and ttl {spoken(view.ttl)}: a row would be past its ttl before anyone may "
            "count on it; give a delay below the ttl"
        )
    stream = view.stream
    if stream is None:
        if view.ahead:
            yield (
                f"ahead is {spoken(view.ahead)}, and only a stream publishes rows before their time; declare stream "
                "too, or leave ahead out"
            )
        return
    if stream.every < SECOND:
        yield f"stream.every is {spoken(stream.every)}; give 1s or more"
    if stream.every > view.delay:
        yield (
            f"stream.every is {spoken(stream.every)} and delay {spoken(view.delay)}: rows would come later than "
            "promised; give a delay of at least stream.every and the time a tick takes"
        )
    if stream.grid <= timedelta(0) or DAY % stream.grid:
        yield f"stream.grid is {spoken(stream.grid)}; give a part of a day that divides it, for example 1h or 1d"
    elif not view.ahead and view.ttl <= stream.grid + view.delay:
        yield (
            f"ttl is {spoken(view.ttl)}: with rows every {spoken(stream.grid)} (stream.grid), readable within "
            f"{spoken(view.delay)} (delay), a row would be past it before the next one comes; give more than "
            f"{spoken(stream.grid + view.delay)}"
        )
    reads = {each.table: each for each in view.source}
    for table, given in stream.source.items():
        if table not in reads:
            yield f"stream.source names {table!r}, which the view does not read; it reads: {', '.join(reads)}"
        elif given.startswith(REDIS) and (reads[table].time is None or reads[table].known is None):
            yield (
                f"stream.source.{table} is {given!r}; rows of a stream need the table's time and known, so declare both"
            )
    for i, each in enumerate(view.source):
        if each.time is not None and each.known is None:
            yield (
                f"source.{i}.table {each.table!r} has no known: news are the rows that the source learned since the "
                "last time, so declare the column that says when, or leave stream out"
            )


def never_fresh(view: Promising) -> str | None:
    """Why a reader of the online store would often find the view's rows past their ttl, in one sentence; None where the
    view is fresh. A model that is served online may not read a view with such a sentence."""
    if view.stream is not None:
        return None
    needed = DAY + view.delay
    if view.ttl > needed:
        return None
    return (
        f"ttl is {spoken(view.ttl)}, and without stream a row comes online when its day is over: read online, it is "
        f"missing until the next publish. Declare stream, or give a ttl of more than {spoken(needed)}"
    )
