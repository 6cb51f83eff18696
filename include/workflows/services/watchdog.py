"""Watches the services: a component that ended, or that runs but does nothing any more, is started again. One that is
only slow is left alone: a process that uses processor time is alive.

Airflow's own supervisor never does that, and its API goes on answering while its scheduler is dead.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from include.adapters.airflow_api import AirflowUnreachable, Health

API_SERVER = "api-server"
MLFLOW = "mlflow"
OLD_HEART_S = 35.0
"""How long after a restart Airflow may still take a heartbeat of the component's earlier process as a sign of
health."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the watchdog waits before it acts. A dead process, and one that does nothing at all, is restarted within
    a minute; one that is slow is left alone for long, because a restart makes a busy machine slower.
    """

    look_every_s: float = 0.5
    """How often it checks whether a process has ended."""
    check_every_s: float = 5.0
    """How often it asks the services how they are."""
    silent_for_s: float = 40.0
    """How long a server may leave questions unanswered: on an overloaded machine a live one has taken 20 s. A process
    that has ended is noticed at once."""
    young_for_s: float = 45.0
    """Least time after its start in which a component is not expected to be healthy."""
    starts: float = 3.0
    """A component is young for so many times as long as its slowest start took on this machine."""
    idle_for_s: float = 20.0
    """How long an unwell component must have used no processor time before it counts as hung, and not as slow."""
    idle_below_s: float = 0.05
    """Processor time within ``idle_for_s`` that counts as none, in seconds."""
    slow_for_s: float = 300.0
    """How long a component may be unwell while it works, before a restart is tried; doubled after each such restart."""
    slow_at_most_s: float = 3600.0
    most_restarts: int = 5
    """Deaths of one component within ``restarts_within_s`` after which it is given up until that time has passed."""
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

    def cpu_s(self, name: str) -> float | None:
        """Processor time its process has used, in seconds; None where the system does not say."""
        ...

    def restart(self, name: str) -> None:
        """End what is left of it, its children included, and start it again."""
        ...

    def health(self) -> Health:
        """Raises AirflowUnreachable."""
        ...

    def mlflow_answers(self) -> bool: ...


@dataclass(slots=True)
class _Seen:
    """What the watchdog remembers of one component."""

    deaths: Restarts
    restarts: int = 0
    """All of them, whatever the reason."""
    unwell_since: float | None = None
    slow_restarts: int = 0
    """Restarts because it was slow, since it was last well."""
    slowest_start_s: float = 0.0
    was_well: bool = True
    """Whether it has been well since its last start."""
    used: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=64))
    """Moments and the processor time used until then."""
    given_up_until: float | None = None


@dataclass(slots=True)
class Watchdog:
    """Watches the services until it is stopped. ``look`` is one check, made by a thread of its own.      A failing
    report cannot stop it: it restarts first and reports afterwards, if it can.
    """

    services: Watched
    say: Callable[[str], None]
    wall_clock: Callable[[], float]
    """Seconds that go on while the machine sleeps."""
    log: Path
    patience: Patience = Patience()
    clock: Callable[[], float] = time.monotonic
    told: Callable[[str, str | None], None] = lambda cause, why: None
    """Called with a component, or ``watchdog``, and why it is out of order; with None when that is over."""
    given_up: dict[str, str] = field(default_factory=dict)
    """Component to why it is left alone for now."""
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _unanswered_since: dict[str, float] = field(default_factory=dict)
    _forgiving_until: float = 0.0
    _checked: float = float("-inf")
    _stumbles: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def restarts(self) -> dict[str, int]:
        """Component to how often it was restarted."""
        return {name: seen.restarts for name, seen in self._seen.items() if seen.restarts}

    def started_after(self, name: str, seconds: float) -> None:
        """How long a start of the component took on this machine: its patience grows with the slowest."""
        seen = self._of(name)
        seen.slowest_start_s = max(seen.slowest_start_s, seconds)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="slipway-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch; nothing is restarted after this returned."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def keep_going(self) -> bool:
        """Start the thread again if it has died, and report that; returns whether it had."""
        if self._stop.is_set() or self._thread is None or self._thread.is_alive():
            return False
        self.start()
        self._tell("the watchdog had died and was started again")
        self._told("watchdog", "its thread had died; it was started again")
        return True

    def _run(self) -> None:
        seen = self.wall_clock()
        while not self._stop.wait(self.patience.look_every_s):
            now = self.wall_clock()
            if now - seen > 15:
                # The machine slept, so every heartbeat is late.
                self._forgiving_until = self.clock() + self.patience.young_for_s
                self._unanswered_since.clear()
                for each in self._seen.values():
                    each.unwell_since = None
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - whatever one check raises, the next one is made
                self._stumbled(error)
            else:
                if self._stumbles:
                    self._told("watchdog", None)
                self._stumbles = 0
            seen = self.wall_clock()

    def _stumbled(self, error: Exception) -> None:
        """A check failed. Several in a row are reported once, because there is one every half second."""
        self._stumbles += 1
        if self._stumbles == 1:
            why = f"a look failed: {type(error).__name__}: {error}"
            self._tell(f"{why}; the watch goes on")
            self._told("watchdog", why)

    def look(self) -> None:
        """Restart what has ended and, when it is time to ask, those that do nothing any more."""
        now = self.clock()
        for name in self.services.names:
            code = self.services.exit_code(name)
            if code is not None:
                self._died(name, f"ended with {_exit(code)}", now)
        if now - self._checked >= self.patience.check_every_s and now >= self._forgiving_until:
            self._checked = now
            unwell = self._unwell(now)
            for name in self.services.names:
                if name in self.given_up or self.services.exit_code(name) is not None:
                    continue
                self._note_use(name, now)
                if name in unwell:
                    self._is_unwell(name, unwell[name], now)
                else:
                    self._is_well(name)

    def _of(self, name: str) -> _Seen:
        if name not in self._seen:
            self._seen[name] = _Seen(Restarts(self.patience.most_restarts, self.patience.restarts_within_s))
        return self._seen[name]

    def _young_for_s(self, name: str) -> float:
        return max(self.patience.young_for_s, self.patience.starts * self._of(name).slowest_start_s)

    def _note_use(self, name: str, now: float) -> None:
        used = self.services.cpu_s(name)
        if used is not None:
            self._of(name).used.append((now, used))

    def _is_idle(self, name: str, now: float) -> bool:
        """Whether it has used no processor time for a while. False where that is not known: slow is not dead."""
        used = self._of(name).used
        before = [cpu for at, cpu in used if now - at >= self.patience.idle_for_s]
        # Less than before: one of its processes has ended, so it is doing something.
        return bool(before) and 0 <= used[-1][1] - before[-1] < self.patience.idle_below_s

    def _is_well(self, name: str) -> None:
        seen = self._of(name)
        age = self.services.age_s(name)
        if not seen.was_well and age >= OLD_HEART_S:
            seen.was_well = True
            if seen.unwell_since is not None:
                self.started_after(name, age)
            self._told(name, None)
        seen.unwell_since, seen.slow_restarts = None, 0

    def _is_unwell(self, name: str, reason: str, now: float) -> None:
        seen = self._of(name)
        if seen.unwell_since is None:
            seen.unwell_since = now
        if self.services.age_s(name) <= self._young_for_s(name):
            return
        if self._is_idle(name, now):
            self._restart(name, f"{reason}, and does nothing")
            return
        longest = max(self.patience.slow_for_s, self.patience.starts * seen.slowest_start_s)
        if now - seen.unwell_since >= min(longest * 2**seen.slow_restarts, self.patience.slow_at_most_s):
            slow = seen.slow_restarts + 1
            self._restart(name, f"{reason}, for {now - seen.unwell_since:.0f} s, though it works")
            seen.slow_restarts = slow

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

    def _died(self, name: str, reason: str, now: float) -> None:
        """Only deaths count: too many of them, and the component is left alone for a while. The others go on."""
        seen = self._of(name)
        if seen.given_up_until is not None:
            if now < seen.given_up_until:
                return
            seen.given_up_until = None
            del self.given_up[name]
        pause = seen.deaths.pause_s(now)
        if self._stop.is_set():
            return
        if pause is None:
            minutes = self.patience.restarts_within_s / 60
            seen.given_up_until = now + self.patience.restarts_within_s
            self.given_up[name] = f"{name} {reason}, after {seen.deaths.count} restarts within {minutes:.0f} minutes"
            self._tell(f"{self.given_up[name]}; it is left alone for {minutes:.0f} minutes, the others go on")
            self._told(name, self.given_up[name])
            return
        if not self._stop.wait(pause):
            self._restart(name, reason, f" (death {seen.deaths.count} of {self.patience.most_restarts})")

    def _restart(self, name: str, reason: str, counted: str = "") -> None:
        """Restart it, and report afterwards: a full disk must not prevent the restart of a dead scheduler."""
        if self._stop.is_set():
            return
        seen = self._of(name)
        try:
            self.services.restart(name)
        except Exception as error:  # noqa: BLE001 - it is tried again at the next check, as a death
            self._tell(f"{name} {reason}, and could not be started again: {type(error).__name__}: {error}")
            self._told(name, f"{name} could not be started again: {error}")
        else:
            self._tell(f"{name} {reason}; it was restarted{counted}")
        seen.restarts += 1
        seen.was_well, seen.unwell_since = False, None
        seen.used.clear()
        self._unanswered_since.pop(name, None)

    def _told(self, cause: str, why: str | None) -> None:
        with suppress(Exception):
            self.told(cause, why)

    def _tell(self, line: str) -> None:
        record = logging.LogRecord("slipway.watchdog", logging.WARNING, __file__, 0, line, None, None)
        stamped = logging.Formatter("%(asctime)s %(message)s").format(record)
        with suppress(OSError), self.log.open("a", encoding="utf-8") as stream:
            stream.write(f"{stamped}\n")
        with suppress(Exception):
            self.say(line)


def _exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
