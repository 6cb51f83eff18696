"""Starts MLflow and Airflow's components on this machine, keeps them alive, and ends them with everything they started.

    with running_services(Place(home)) as services:
        AirflowApi(services.airflow_url, "admin", services.passwords["admin"])

Nothing they started survives the block: not after an error, not when this process is killed with -9.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from include.adapters import files
from include.adapters.ports import check_ports
from include.adapters.processes import AlreadyHeld, Lock
from include.config.settings import settings
from include.domain.errors import Unavailable
from include.workflows.services.components import Services
from include.workflows.services.environment import Place, environment, passwords, prepare_home
from include.workflows.services.machine import port_uses
from include.workflows.services.startup import (
    start_all,
    start_serving,
    start_streams,
    wait_for_dags,
    wait_until_healthy,
)
from include.workflows.services.teller import Teller
from include.workflows.services.watchdog import Patience, Watchdog


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
    """Progress that is not shown."""


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
        StopRequested: when ``stop`` was set before everything was ready; afterwards the caller has to check it.
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

    teller: Teller | None = None
    try:
        start_all(services, tell)
        services._api = services.api()
        wait_until_healthy(services, tell, began_at)
        services.missing_dags = wait_for_dags(services, services._api, expected_dags, tell)
        start_streams(services, tell, datetime.fromtimestamp(wall_clock(), UTC))
        start_serving(services, tell)
        running = Running(os.getpid(), place.airflow_url, place.mlflow_url, without_password(settings().ledger_url))
        files.write_text(place.home / "services.json", json.dumps(asdict(running)) + "\n")
        services.ready_after_s = time.monotonic() - began
        teller = Teller(services.logs, lambda: datetime.fromtimestamp(wall_clock(), UTC)).start()
        guard = Watchdog(services, say, wall_clock, place.logs / "watchdog.log", patience, told=teller.tell)
        for name, seconds in services.starts_s.items():
            guard.started_after(name, seconds)
        services._watchdog = guard
        guard.start()
        yield services
    finally:
        try:
            services._end_all()
        finally:
            # Last, because the watchdog may have something to report until it has ended.
            if teller is not None:
                teller.stop()


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
                    f"find the process that holds {place.home / 'services.lock'}."
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

    views = [f"features_{view.slug}" for view in declared_views()]
    models = [
        dag_id
        for model in declared_models()
        for dag_id in (model.answering_dag, *(f"{verb}_{model.name}" for verb in ("drift", "retrain", "rollback")))
    ]
    return [*views, *models, *(["gate_selftest"] if models else [])]
