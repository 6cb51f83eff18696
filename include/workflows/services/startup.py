"""From nothing to ready: the order in which the services start, and what is waited for.

A service that ends meanwhile, or a person who asks to stop, ends the wait at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version

from include.adapters import files
from include.adapters.airflow_api import AirflowApi, AirflowUnreachable
from include.domain.errors import NotDone
from include.workflows.services.components import AIRFLOW, MIGRATION, SERVE, SHADOW, STREAM, Services
from include.workflows.services.watchdog import API_SERVER, MLFLOW

STARTING_S = 180.0
"""How long a start may take before it is checked whether any process still works."""
STARTING_AT_MOST_S = 1200.0
"""How long a start may take on a busy machine, while it makes progress."""
STILL_S = 30.0
"""A start in which nothing used the processor for this long is given up."""
DAGS_S = 60.0


class StartFailed(NotDone):
    """A service ended, or was not ready in time, while starting."""


class StopRequested(RuntimeError):
    """The end was asked for while the services were starting."""


def start_all(services: Services, tell: Callable[[str], None]) -> None:
    tell(f"starting MLflow and Airflow; logs are in {services.logs}")
    services.start(MLFLOW)
    _migrate(services, tell)
    for name in AIRFLOW:
        services.start(name)


def start_streams(services: Services, tell: Callable[[str], None], now: datetime) -> None:
    """Start the process that brings the views' newest rows online, where a view declares that and its calendar goes on;
    with a clock of the data's own (SLIPWAY_CLOCK) whatever the machine's says."""
    from include.config import declared_views
    from include.workflows.features.streaming import open_at

    declared = [view for view in declared_views() if view.stream is not None]
    fresh = [view.ref for view in declared if services.environment.get("SLIPWAY_CLOCK") or open_at(view, now)]
    if fresh:
        services.start(STREAM)
        tell(f"streaming {', '.join(sorted(fresh))}")


def start_serving(services: Services, tell: Callable[[str], None]) -> None:
    """Start the service that answers online, where a model declares it, and beside it what lets each such model's
    challengers answer."""
    from include.config import declared_models

    online = sorted(model.name for model in declared_models() if model.serving.mode == "online")
    if online:
        services.start(SERVE)
        for name in online:
            services.start(f"{SHADOW}{name}")
        tell(f"serving {', '.join(online)} online once they have a champion")


def _migrate(services: Services, tell: Callable[[str], None]) -> None:
    """Create or upgrade Airflow's database, unless this version of Airflow has done so before."""
    place = services.place
    marker = place.airflow_home / "migrated-to"
    wanted = version("apache-airflow-core")
    if place.airflow_database.exists() and marker.exists() and marker.read_text(encoding="utf-8").strip() == wanted:
        return
    tell("preparing Airflow's database")
    name = MIGRATION
    child = services.start(name)
    patience = _Patience(services, tell)
    while (code := child.wait(0.2)) is None:
        _check_alive(services)
        if patience.is_over([name]):
            raise StartFailed(f"Airflow's database was not ready after {patience.waited}; see {child.command.log}.")
    if code:
        raise StartFailed(f"Airflow's database could not be prepared: {child.last_words()}; see {child.command.log}.")
    services.end([name], grace_s=0)
    files.write_text(marker, f"{wanted}\n")


class _Patience:
    """Waits as long as a slow machine needs, but not for processes that do nothing any more."""

    def __init__(self, services: Services, tell: Callable[[str], None]) -> None:
        self._services, self._tell = services, tell
        self._began = self._worked = time.monotonic()
        self._used: dict[str, float] = {}
        self._said = False

    @property
    def waited(self) -> str:
        return f"{time.monotonic() - self._began:.0f} s"

    def is_over(self, names: Collection[str]) -> bool:
        """Whether there is no point in waiting for these components any longer."""
        now = time.monotonic()
        if now - self._began < STARTING_S:
            return False
        used = {name: self._services.cpu_s(name) or 0.0 for name in names}
        if any(cpu > self._used.get(name, 0.0) + 0.05 for name, cpu in used.items()):
            self._worked, self._used = now, used
        if not self._said:
            self._said = True
            self._tell(f"this takes long; still waiting for {', '.join(sorted(names))} while it works")
        return now - self._began > STARTING_AT_MOST_S or now - self._worked > STILL_S


def _check_alive(services: Services) -> None:
    """Raise when there is no point in waiting any longer."""
    if services.stop.is_set():
        raise StopRequested("Stopped while starting.")
    for name, child in services.children.items():
        code = child.exit_code()
        if code is not None and name != MIGRATION:
            raise StartFailed(
                f"{name} ended with {code} while starting: {child.last_words()}; see {child.command.log}."
            )


def wait_until_healthy(services: Services, tell: Callable[[str], None], began_at: float) -> None:
    """Poll until MLflow answers and every component has sent a heartbeat since ``began_at``, or, should the clock have
    been set back meanwhile, another one than the first that was seen."""
    waiting = {MLFLOW, *AIRFLOW}
    first: dict[str, str | None] = {}
    patience = _Patience(services, tell)
    while waiting:
        _check_alive(services)
        if patience.is_over(waiting):
            names = ", ".join(sorted(waiting))
            raise StartFailed(f"{names} not ready after {patience.waited}; see the logs in {services.logs}.")
        ready = {MLFLOW} if MLFLOW in waiting and services.mlflow_answers() else set()
        with suppress(AirflowUnreachable):
            health = services.health()
            ready.add(API_SERVER)
            # A heartbeat of an earlier process counts as healthy for half a minute.
            for name, status in health.components.items():
                heart = health.heartbeats[name]
                beats = _seconds(heart) >= began_at or heart != first.setdefault(name, heart)
                if status == "healthy" and beats:
                    ready.add(name)
        for name in sorted(ready & waiting):
            services.starts_s[name] = services.age_s(name)
            tell(f"{name} is ready")
        waiting -= ready
        if waiting:
            time.sleep(0.3)


def _seconds(moment: str | None) -> float:
    from include.domain.intervals import instant

    return instant(moment).timestamp() if moment else 0.0


def wait_for_dags(
    services: Services, api: AirflowApi, expected: Collection[str], tell: Callable[[str], None]
) -> tuple[str, ...]:
    """Poll until Airflow lists the expected Dags; returns those that are missing, with the reason."""
    began = time.monotonic()
    while missing := set(expected) - set(api.dags()):
        _check_alive(services)
        waited = time.monotonic() - began
        # A file that cannot be parsed will not become readable by waiting.
        if waited > DAGS_S or (waited > 10 and api.import_errors()):
            tell(f"not among Airflow's Dags: {', '.join(sorted(missing))}")
            for file, reason in api.import_errors().items():
                tell(f"{file}: {reason}")
            return tuple(sorted(missing))
        time.sleep(0.5)
    tell(f"{len(set(expected))} Dags are listed")
    return ()
