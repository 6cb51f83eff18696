"""The services of a home as one value: their processes, how each is started and ended, and how it reports its state."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from include.adapters.airflow_api import AirflowApi, AirflowUnreachable, Health
from include.adapters.processes import Child, Command, Lock, ProcessGuard, cpu_s, end_sessions, members
from include.adapters.servers import answers
from include.workflows.services.environment import Place
from include.workflows.services.watchdog import API_SERVER, MLFLOW, Watchdog

AIRFLOW = {
    API_SERVER: (API_SERVER,),
    # Their log servers listen on every interface, and the API server reads the same files anyway.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
MIGRATION = "migration"
STREAM = "stream"
"""Pushes the newest rows of the views that declare a stream; started where there is one whose calendar goes on."""
SERVE = "serve"
"""Answers online; started where a model declares that."""
SHADOW = "shadow_"
"""Begins the name of the process in which a model's challenger answers what the service was asked; one beside the
service for each model that is declared online."""
SERVERS = (API_SERVER, MLFLOW)
NOT_STARTED = 127
"""The exit code of a component that could not even be started, as a shell gives it."""


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
    _guard: ProcessGuard | None = None
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
        """Start the watchdog's thread again, should it have died; called by the thread that waits for the services'
        end."""
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
        # Servers answer from processes below their own; a scheduler's child processes are its tasks, which are no sign
        # of its health.
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
            self._guard = ProcessGuard(keeps_open=[self._lock.fileno()] if self._lock else [])
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
        elif name == STREAM:
            argv = ("include.cli", "stream")
        elif name == SERVE:
            argv = ("include.cli", "serve", f"--port={self.environment.get('SLIPWAY_SERVE_PORT') or 8100}")
        elif name.startswith(SHADOW):
            argv = ("include.cli", "shadow", name.removeprefix(SHADOW))
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
            # A child that has ended stays a process until its exit code is read.
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
