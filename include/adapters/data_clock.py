"""The time of the data: the machine's, another one that goes on at another speed, or one that a replay sets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.domain.errors import Refusal

FASTEST = 100_000
FILE = "file:"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BYTES = 8


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
        """The clock that a text names: ``WHEN[@SPEED]``, ``file:PATH`` for one that a replay sets, or the machine's
        for none.

        Raises:
            NoClock: for a text that names no time, no speed above 0, or no file that a replay sets.
        """
        from include.domain.intervals import BadInstant, instant

        if not text:
            return cls(None, 1.0, monotonic)
        if text.startswith(FILE):
            return FollowedClock(Path(text.removeprefix(FILE)))
        when, _, speed = text.partition("@")
        try:
            begins, times = instant(when), float(speed or 1)
        except (BadInstant, ValueError) as error:
            raise NoClock(f"The clock {text!r} is none: {error} Write 2013-06-22T00:00Z@60.") from None
        if not 0 < times <= FASTEST:
            raise NoClock(f"The clock {text!r} has the speed {speed}; give more than 0 and at most {FASTEST}.")
        return cls(begins, times, monotonic)

    def now(self) -> datetime:
        if self._begins is None:
            return datetime.now(UTC)
        return self._begins + timedelta(seconds=(self._monotonic() - self._began) * self.speed)


class FollowedClock(DataClock):
    """The clock of a replay: it is held until the replay's process sets it, so that no part is ever behind another one
    only because the machine is slow."""

    def __init__(self, path: Path) -> None:
        super().__init__(None, float(FASTEST), time.monotonic)
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NoClock(f"The clock {FILE}{path} cannot be read: {error.strerror}. A replay makes it.") from None
        if len(os.pread(self._file, _BYTES, 0)) != _BYTES:
            raise NoClock(f"The clock {FILE}{path} has no time in it yet. A replay sets it.")

    def now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=int.from_bytes(os.pread(self._file, _BYTES, 0), "little"))


class SetClock:
    """The other end of a ``FollowedClock``: the replay's own process sets it, and it never goes back."""

    def __init__(self, path: Path, begins: datetime) -> None:
        """Go on where an earlier process left the clock, or begin at ``begins``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        held = os.pread(self._file, _BYTES, 0)
        self.now = begins
        if len(held) == _BYTES:
            self.now = max(begins, _EPOCH + timedelta(microseconds=int.from_bytes(held, "little")))
        self._write()

    @property
    def name(self) -> str:
        """What ``DataClock.read`` reads."""
        return f"{FILE}{self.path}"

    def set(self, moment: datetime) -> None:
        """Go on to ``moment``; an earlier one changes nothing."""
        if moment > self.now:
            self.now = moment
            self._write()

    def close(self) -> None:
        os.close(self._file)

    def _write(self) -> None:
        # Eight bytes in one write: a reader has the whole time or the one before.
        os.pwrite(self._file, ((self.now - _EPOCH) // timedelta(microseconds=1)).to_bytes(_BYTES, "little"), 0)
