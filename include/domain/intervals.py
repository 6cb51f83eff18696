"""Half-open UTC intervals, and the days that are their partitions.

Everything Slipway reads or writes belongs to an interval ``[start, end)`` in UTC: the start is inside, the end is not,
so that neighbouring intervals neither overlap nor leave a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from include.domain.errors import Refusal

DAY = timedelta(days=1)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class BadInstant(Refusal, ValueError):
    """A text that should be a date or a time in UTC is not one."""


class BadInterval(Refusal, ValueError):
    """An interval that is empty, reversed, or not made of whole days where it must be."""


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """``[start, end)`` in UTC. Both ends are aware and the end is after the start.

    >>> day = Interval.of_day("2013-06-01")
    >>> day.contains(datetime(2013, 6, 1, tzinfo=UTC)), day.contains(datetime(2013, 6, 2, tzinfo=UTC))
    (True, False)
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            if value.tzinfo is None:
                raise BadInterval(f"The interval's {name} {value.isoformat()} has no time zone. Give it in UTC.")
        if self.end <= self.start:
            raise BadInterval(
                f"The interval [{self.start.isoformat()}, {self.end.isoformat()}) is empty: its end must be "
                "after its start."
            )

    @classmethod
    def of_day(cls, day: str | date) -> Interval:
        """The UTC day as an interval; ``day`` is a date, ``YYYY-MM-DD``, or a partition key."""
        start = instant(day) if isinstance(day, str) else datetime(day.year, day.month, day.day, tzinfo=UTC)
        if start != midnight(start):
            raise BadInterval(f"{day} is not the start of a UTC day.")
        return cls(start, start + DAY)

    @classmethod
    def between(cls, start: str, end: str) -> Interval:
        """The whole days from ``start`` up to, but without, ``end``."""
        interval = cls(instant(start), instant(end))
        for name, value in (("start", interval.start), ("end", interval.end)):
            if value != midnight(value):
                raise BadInterval(f"The interval's {name} {value.isoformat()} is not the start of a UTC day.")
        return interval

    @property
    def days(self) -> list[str]:
        """The ``YYYY-MM-DD`` of every UTC day the interval touches, in order."""
        return list(self._days())

    def _days(self) -> Iterator[str]:
        day = midnight(self.start)
        while day < self.end:
            yield day.date().isoformat()
            day += DAY

    def contains(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def widened(self, before: timedelta) -> Interval:
        """The same interval with its start moved ``before`` earlier, for a look-back."""
        return Interval(self.start - before, self.end)

    def require_within(self, starts: date, ends: date | None, now: datetime) -> None:
        """Refuse an interval outside ``[starts, ends)``, or one that is not over at ``now``; ``ends`` None is open.

        Raises:
            BadInterval: naming what is allowed.
        """
        first = datetime(starts.year, starts.month, starts.day, tzinfo=UTC)
        last = datetime(ends.year, ends.month, ends.day, tzinfo=UTC) if ends is not None else midnight(now)
        if self.start < first or self.end > min(last, now):
            allowed = f"[{first.isoformat()}, {min(last, now).isoformat()})"
            raise BadInterval(f"{self} is outside the days there are: {allowed}. Choose days inside.")

    def __str__(self) -> str:
        return f"[{self.start.isoformat()}, {self.end.isoformat()})"


def midnight(moment: datetime) -> datetime:
    """The start of the UTC day that holds ``moment``."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def instant(text: str) -> datetime:
    """Read an ISO 8601 date or time as a moment in UTC; without an offset it is taken as UTC.

    >>> instant("2013-06-01").isoformat(), instant("2013-06-01T02:00:00+02:00").isoformat()
    ('2013-06-01T00:00:00+00:00', '2013-06-01T00:00:00+00:00')

    Raises:
        BadInstant: when the text is neither.
    """
    try:
        value = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise BadInstant(
            f"{text!r} is not a date or time. Write it in ISO 8601, for example 2013-06-01 or 2013-06-01T06:00:00Z."
        ) from None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def duration(text: str) -> timedelta:
    """Read ``30m``, ``2h`` or ``7d``.

    >>> duration("2h")
    datetime.timedelta(seconds=7200)

    Raises:
        ValueError: when the text has another form.
    """
    match = re.fullmatch(r"(\d+)([mhd])", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration. Write a whole number and a unit: 30m, 2h or 7d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def requested(partition_key: str | None, start: str | None, end: str | None) -> Interval:
    """The interval a run is about: its partition, or the range its form gives. Never "all data".

    >>> str(requested("2013-01-05T00:00:00", None, None))
    '[2013-01-05T00:00:00+00:00, 2013-01-06T00:00:00+00:00)'

    Raises:
        BadInterval, BadInstant: when the run names neither, both, or half a range.
    """
    if partition_key is not None:
        if start is not None or end is not None:
            raise BadInterval(
                f"The run has the partition {partition_key} and also a range; give start and end to a manual run only."
            )
        return Interval.of_day(partition_key)
    if start is None or end is None:
        missing = "start and end are" if start is None and end is None else "start is" if start is None else "end is"
        raise BadInterval(
            f"The run has no partition and {missing} missing. Give both, for example start 2013-01-01 and end "
            "2013-06-01."
        )
    return Interval.between(start, end)


def spoken(length: timedelta) -> str:
    """A duration as it is declared, in its largest units.

    >>> spoken(timedelta(days=14)), spoken(timedelta(days=1, hours=2)), spoken(timedelta(seconds=90))
    ('14d', '1d 2h', '1m 30s')
    """
    seconds, parts = int(length.total_seconds()), []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, seconds = divmod(seconds, size)
        parts += [f"{count}{unit}"] if count else []
    return " ".join(parts) or "0s"
