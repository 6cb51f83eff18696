"""The time of the data: the machine's, or another one that goes on at another speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from include.domain.errors import Refusal


class NoClock(Refusal, ValueError):
    """A text that names no time, or no speed above 0."""


class DataClock:
    """A clock that can begin at another time and go on at another speed.

    >>> clock = DataClock.read("2013-06-22T00:00Z@60", lambda: 100.0)
    >>> clock.now().isoformat()
    '2013-06-22T00:00:00+00:00'
    """

    def __init__(self, begins: datetime | None, speed: float, monotonic: Callable[[], float]) -> None:
        self._begins, self.speed, self._monotonic = begins, speed, monotonic
        self._began = monotonic()

    @classmethod
    def read(cls, text: str | None, monotonic: Callable[[], float] = time.monotonic) -> DataClock:
        """
        Raises:
            NoClock: for a text that names no time, or no speed above 0.
        """
        from include.domain.intervals import BadInstant, instant

        if not text:
            return cls(None, 1.0, monotonic)
        when, _, speed = text.partition("@")
        try:
            begins, times = instant(when), float(speed or 1)
        except (BadInstant, ValueError) as error:
            raise NoClock(f"The clock {text!r} is none: {error} Write 2013-06-22T00:00Z@60.") from None
        if not 0 < times <= 100_000:
            raise NoClock(f"The clock {text!r} has the speed {speed}; give more than 0 and at most 100000.")
        return cls(begins, times, monotonic)

    def now(self) -> datetime:
        if self._begins is None:
            return datetime.now(UTC)
        return self._begins + timedelta(seconds=(self._monotonic() - self._began) * self.speed)
