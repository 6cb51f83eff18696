"""Starts MLflow and Airflow's components on this machine, keeps them alive, and ends them with everything they started.

    with running_services(Place(home)) as services:
        AirflowApi(services.airflow_url, "admin", services.passwords["admin"])

Nothing they started survives the block: not after an error, not when this process is killed with -9.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from include.adapters import files
from include.adapters.airflow_api import AirflowApi, AirflowUnreachable, Health
from include.adapters.processes import (
    AlreadyHeld,
    Child,
    Command,
    Guard,
    Lock,
    check_ports,
    cpu_s,
    end_sessions,
    members,
)
from include.adapters.servers import answers
from include.config.settings import settings
from include.domain.errors import Unavailable
from include.workflows.machine import port_uses
from include.workflows.service_environment import Place, environment, passwords, prepare_home
from include.workflows.service_teller import Teller
from include.workflows.startup import AIRFLOW, MIGRATION, start_all, wait_for_dags, wait_until_healthy
from include.workflows.watchdog import API_SERVER, MLFLOW, Patience, Watchdog

SERVERS = (API_SERVER, MLFLOW)
NOT_STARTED = 127
"""The exit code of a component that could not even be started, as a shell gives it."""


class AlreadyRunning(Unavailable):
    """Services of this home are running."""


@dataclass(frozen=True, slots=True)
class Running:
    """What a running set of services says about itself in its home; no secrets."""

    pid: int
    airflow_url: str
    mlflow_url: str
    ledger_url: str = ""
    """Where they keep the ledger; a password in it is shown as ``***``."""


def _nobody(line: str) -> None:
    """Progress that nobody wants to see."""


def read_running(home: Path) -> Running | None:
    """The services that run in this home, None when there are none."""
    try:
        running = Running(**json.loads((home / "services.json").read_text(encoding="utf-8")))
        os.kill(running.pid, 0)
    except (OSError, ValueError, TypeError):
        return None
    return running


def without_password(url: str) -> str:
    """
    >>> without_password("postgresql+psycopg://ana:secret@db:5432/ledger"), without_password("sqlite:////tmp/a.db")
    ('postgresql+psycopg://ana:***@db:5432/ledger', 'sqlite:////tmp/a.db')
    """
    return re.sub(r"^([^:/]+://[^:/@]*):[^@/]*@", r"\1:***@", url)


@dataclass(slots=True)
class Services:
    """A running set of services."""

    place: Place
    environment: dict[str, str]
    passwords: dict[str, str]
    missing_dags: tuple[str, ...] = ()
    """Dags that were expected and had not been read when everything else was ready."""
    ready_after_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    """Set while they start, it ends the start."""
    hurry: threading.Event = field(default_factory=threading.Event)
    """Set it to end everything without waiting."""
    children: dict[str, Child] = field(default_factory=dict)
    starts_s: dict[str, float] = field(default_factory=dict)
    """Component to how long its first start took, in seconds."""
    _components: list[str] = field(default_factory=list)
    """Every component that was started, also one that is gone and could not be started again."""
    _guard: Guard | None = None
    _lock: Lock | None = None
    _api: AirflowApi | None = None
    _watchdog: Watchdog | None = None

    # --- what a user of them needs -----------------------------------------------------------------------------------

    @property
    def airflow_url(self) -> str:
        return self.place.airflow_url

    @property
    def mlflow_url(self) -> str:
        return self.place.mlflow_url

    @property
    def logs(self) -> Path:
        return self.place.logs

    @property
    def given_up(self) -> dict[str, str]:
        """Component to why the watchdog leaves it alone for now; the others go on."""
        return dict(self._watchdog.given_up) if self._watchdog else {}

    @property
    def failure(self) -> str | None:
        """Why nothing runs any more; None while any component is not given up."""
        gone = self.given_up
        return f"nothing runs any more: {'; '.join(gone.values())}" if gone and set(gone) >= set(self.names) else None

    @property
    def restarts(self) -> dict[str, int]:
        """Component to how often it was restarted."""
        return self._watchdog.restarts if self._watchdog else {}

    def keep_watched(self) -> None:
        """Start the watchdog's thread again, should it have died; called by who waits for the services' end."""
        if self._watchdog is not None:
            self._watchdog.keep_going()

    def api(self, user: str = "admin") -> AirflowApi:
        """A new client of Airflow as one of the users; close it."""
        return AirflowApi(self.airflow_url, user, self.passwords[user])

    def pid(self, name: str) -> int:
        """The process id of a component."""
        return self.children[name].pid

    # --- what the watchdog needs -------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._components)

    def exit_code(self, name: str) -> int | None:
        return self.children[name].exit_code() if name in self.children else NOT_STARTED

    def age_s(self, name: str) -> float:
        return self.children[name].age_s if name in self.children else 0.0

    def cpu_s(self, name: str) -> float | None:
        # Servers answer from processes below their own; a scheduler's are its tasks, which say nothing about it.
        if name not in self.children:
            return None
        pid = self.children[name].pid
        used = [cpu_s(each) for each in (members([pid]) if name in SERVERS else {pid})]
        known = [each for each in used if each is not None]
        return sum(known) if known else None

    def restart(self, name: str) -> None:
        # Also the tasks of a dead scheduler: a task that went on would run beside its own retry.
        if name in self.children:
            self.end([name], grace_s=2.0)
        self.start(name)

    def health(self) -> Health:
        if self._api is None:
            raise AirflowUnreachable("Airflow is not started.")
        return self._api.health()

    def mlflow_answers(self) -> bool:
        return answers(f"{self.mlflow_url}/health")

    # --- starting and ending -----------------------------------------------------------------------------------------

    def start(self, name: str) -> Child:
        self._keep_guarded()
        if name != MIGRATION and name not in self._components:
            self._components.append(name)
        child = Child(self._command(name))
        self.children[name] = child
        if self._guard is not None:
            self._guard.watch(child.pid)
        return child

    def _keep_guarded(self) -> None:
        if self._guard is None or not self._guard.alive():
            self._guard = Guard(keeps_open=[self._lock.fileno()] if self._lock else [])
            for child in self.children.values():
                self._guard.watch(child.pid)

    def _command(self, name: str) -> Command:
        argv: tuple[str, ...]
        if name == MLFLOW:
            argv = (
                "mlflow",
                "server",
                f"--backend-store-uri=sqlite:///{self.place.mlflow_home / 'mlflow.db'}",
                f"--artifacts-destination={self.place.mlflow_home / 'artifacts'}",
                f"--host={self.place.host}",
                f"--port={self.place.ports.mlflow}",
                "--workers=1",
            )
        else:
            argv = ("airflow", *AIRFLOW.get(name, ("db", "migrate")))
        return Command(
            name=name,
            argv=(sys.executable, "-m", *argv),
            folder=self.place.home,
            environment=self.environment,
            log=self.place.logs / f"{name}.log",
        )

    def end(self, names: Collection[str], grace_s: float) -> None:
        children = [self.children[name] for name in names]
        end_sessions({child.pid for child in children}, grace_s, hurry=self._hurried(children))
        for name, child in zip(names, children, strict=True):
            child.wait(5.0)
            if self._guard is not None:
                self._guard.forget(child.pid)
            del self.children[name]

    def _hurried(self, children: Collection[Child]) -> Callable[[], bool]:
        def hurried() -> bool:
            # A child that has ended is a process still, until it is asked for its exit code.
            for child in children:
                child.exit_code()
            return self.hurry.is_set()

        return hurried

    def _end_all(self) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._api is not None:
            self._api.close()
        (self.place.home / "services.json").unlink(missing_ok=True)
        self.end(list(self.children), grace_s=6.0)
        if self._guard is not None:
            self._guard.close()
        if self._lock is not None:
            self._lock.release()


@contextmanager
def running_services(
    place: Place,
    *,
    expected_dags: Collection[str] = (),
    say: Callable[[str], None] = _nobody,
    patience: Patience = Patience(),  # noqa: B008  # frozen
    wall_clock: Callable[[], float] = time.time,
    stop: threading.Event | None = None,
    hurry: threading.Event | None = None,
) -> Iterator[Services]:
    """Start everything, hand it out when it is ready, end everything.

    Ready means: every component healthy, MLflow answers, and the ``expected_dags`` are listed. Dags that are still not
    listed a minute later are handed out as ``missing_dags``: a broken Dag file must not keep the others from running.

    Raises:
        AlreadyRunning: when services of the same home run.
        PortTaken: before anything is started.
        StartFailed: with the last lines of the log of what failed.
        StopRequested: when ``stop`` was set before everything was ready; afterwards it is the caller's to look at.
    """
    began, began_at = time.monotonic(), wall_clock()
    lock = _take_lock(place, say)
    try:
        check_ports(place.host, port_uses(place))
        prepare_home(place)
    except BaseException:
        lock.release()
        raise
    services = Services(place, environment(place, os.environ), passwords(place))
    services.stop, services.hurry = stop or services.stop, hurry or services.hurry
    services._lock = lock

    def tell(line: str) -> None:
        say(f"[{time.monotonic() - began:3.0f} s] {line}")

    try:
        start_all(services, tell)
        services._api = services.api()
        wait_until_healthy(services, tell, began_at)
        services.missing_dags = wait_for_dags(services, services._api, expected_dags, tell)
        running = Running(os.getpid(), place.airflow_url, place.mlflow_url, without_password(settings().ledger_url))
        files.write_text(place.home / "services.json", json.dumps(asdict(running)) + "\n")
        services.ready_after_s = time.monotonic() - began
        guard = Watchdog(services, say, wall_clock, place.logs / "watchdog.log", patience, told=Teller(services).tell)
        for name, seconds in services.starts_s.items():
            guard.started_after(name, seconds)
        services._watchdog = guard
        guard.start()
        yield services
    finally:
        services._end_all()


def _take_lock(place: Place, say: Callable[[str], None]) -> Lock:
    """The home's lock; what a killed predecessor left behind is waited for."""
    until = time.monotonic() + 20
    told = False
    while True:
        try:
            return Lock(place.home / "services.lock")
        except AlreadyHeld as held:
            if held.pid is not None and _is_running(held.pid):
                running = read_running(place.home)
                where = f" (Airflow on {running.airflow_url})" if running else ""
                raise AlreadyRunning(
                    f"Services of {place.home} already run in process {held.pid}{where}. "
                    f"Stop them with Ctrl-C there or `kill {held.pid}`, or set SLIPWAY_HOME to run a second set."
                ) from None
            if time.monotonic() > until:
                raise AlreadyRunning(
                    f"Services of {place.home} are still being stopped after 20 s; "
                    f"look for what holds {place.home / 'services.lock'}."
                ) from None
            if not told:
                say("An earlier set of services ended abruptly; waiting until its processes are gone.")
                told = True
            time.sleep(0.2)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def dag_ids() -> list[str]:
    """The Dags that follow from the declarations that can be used."""
    from include.config import declared_models, declared_views

    per_model = ("score", "drift", "retrain", "rollback")
    views = [f"features_{view.slug}" for view in declared_views()]
    models = [f"{verb}_{model.name}" for model in declared_models() for verb in per_model]
    return [*views, *models, *(["gate_selftest"] if models else [])]
