"""Watches the services: a component that ended, or that lives but does nothing any more, is started again.

Airflow's own supervisor never does that, and its API goes on answering while its scheduler is dead.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from include.adapters.airflow_api import AirflowUnreachable, Health

API_SERVER = "api-server"
MLFLOW = "mlflow"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the watchdog waits before it acts, and how often it acts. A dead heart is noticed within
    Airflow's 30 s and one ``check_every_s``, so that with the restart it is a minute at most.
    """

    look_every_s: float = 0.5
    """How often it looks whether a process has ended."""
    check_every_s: float = 5.0
    """How often it asks the services how they are."""
    silent_for_s: float = 40.0
    """How long a server may leave questions unanswered: on an overloaded machine a live one has taken 20 s. A process
    that has ended is noticed at once."""
    young_for_s: float = 45.0
    """How long after its start a component is not expected to be healthy."""
    most_restarts: int = 5
    """Restarts of one component within ``restarts_within_s`` after which it gives up."""
    restarts_within_s: float = 600.0


class Restarts:
    """The restarts of one component: each later than the one before, and not without end.

    >>> restarts = Restarts(most=3, within_s=600)
    >>> [restarts.pause_s(now) for now in (0, 10, 20, 30)]
    [0.0, 1.0, 2.0, None]
    >>> restarts.pause_s(900)
    0.0
    """

    def __init__(self, most: int, within_s: float) -> None:
        self._most = most
        self._within_s = within_s
        self._times: list[float] = []

    def pause_s(self, now: float) -> float | None:
        """Seconds to wait before the restart that is due now; None when there have been too many."""
        self._times = [t for t in self._times if now - t < self._within_s]
        count = len(self._times)
        if count >= self._most:
            return None
        self._times.append(now)
        return 0.0 if count == 0 else float(min(2 ** (count - 1), 30))

    @property
    def count(self) -> int:
        return len(self._times)


class Watched(Protocol):
    """The services as the watchdog sees them."""

    @property
    def names(self) -> tuple[str, ...]:
        """The components' names."""
        ...

    def exit_code(self, name: str) -> int | None: ...

    def age_s(self, name: str) -> float: ...

    def restart(self, name: str) -> None:
        """End what is left of it, its children included, and start it again."""
        ...

    def health(self) -> Health:
        """Raises AirflowUnreachable."""
        ...

    def mlflow_answers(self) -> bool: ...


@dataclass(slots=True)
class Watchdog:
    """Looks after the services until it is stopped or gives up. ``look`` is one look, made by a thread of its own."""

    services: Watched
    say: Callable[[str], None]
    wall_clock: Callable[[], float]
    """Seconds that go on while the machine sleeps."""
    log: Path
    patience: Patience = Patience()
    failure: str | None = None
    """Why it gave up; None while it has not."""
    restarts: dict[str, Restarts] = field(default_factory=dict)
    _unanswered_since: dict[str, float] = field(default_factory=dict)
    _forgiving_until: float = 0.0
    _checked: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="slipway-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch; nothing is restarted after this returned."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        seen = self.wall_clock()
        while not self._stop.wait(self.patience.look_every_s) and self.failure is None:
            now = self.wall_clock()
            if now - seen > 15:
                # The machine slept, and everybody's heart with it.
                self._forgiving_until = time.monotonic() + self.patience.young_for_s
                self._unanswered_since.clear()
            self.look()
            seen = self.wall_clock()

    def look(self) -> None:
        """Restart what has ended and, when it is time to ask, what is not well."""
        for name in self.services.names:
            code = self.services.exit_code(name)
            if code is not None:
                self._restart(name, f"ended with {_exit(code)}")
        now = time.monotonic()
        if now - self._checked >= self.patience.check_every_s and now >= self._forgiving_until:
            self._checked = now
            for name, reason in self._unwell(now).items():
                if self.services.age_s(name) > self.patience.young_for_s:
                    self._restart(name, reason)

    def _unwell(self, now: float) -> dict[str, str]:
        unwell: dict[str, str] = {}
        try:
            health = self.services.health()
        except AirflowUnreachable:
            self._unanswered(API_SERVER, False, now, unwell)
        else:
            self._unanswered(API_SERVER, True, now, unwell)
            if health.database == "healthy":
                for name, status in health.components.items():
                    if status != "healthy":
                        unwell[name] = "lives, but its heart does not beat"
        self._unanswered(MLFLOW, self.services.mlflow_answers(), now, unwell)
        return {name: reason for name, reason in unwell.items() if name in self.services.names}

    def _unanswered(self, name: str, answers: bool, now: float, unwell: dict[str, str]) -> None:
        if answers:
            self._unanswered_since.pop(name, None)
            return
        since = self._unanswered_since.setdefault(name, now)
        if now - since >= self.patience.silent_for_s:
            unwell[name] = f"has not answered for {now - since:.0f} s"

    def _restart(self, name: str, reason: str) -> None:
        allowed = self.restarts.setdefault(name, Restarts(self.patience.most_restarts, self.patience.restarts_within_s))
        pause = allowed.pause_s(time.monotonic())
        if self._stop.is_set() or self.failure is not None:
            return
        if pause is None:
            minutes = self.patience.restarts_within_s / 60
            self.failure = f"{name} {reason}, after {allowed.count} restarts within {minutes:.0f} minutes"
            self._tell(f"{self.failure}; giving up")
            return
        self._tell(f"{name} {reason}; restarting it ({allowed.count} of {self.patience.most_restarts})")
        if self._stop.wait(pause):
            return
        try:
            self.services.restart(name)
        except OSError as error:
            self.failure = f"{name} could not be started again: {error}"
        self._unanswered_since.pop(name, None)

    def _tell(self, line: str) -> None:
        record = logging.LogRecord("slipway.watchdog", logging.WARNING, __file__, 0, line, None, None)
        stamped = logging.Formatter("%(asctime)s %(message)s").format(record)
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(f"{stamped}\n")
        self.say(line)


def _exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
