"""``up``, ``status`` and ``env``: the services on this machine."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from include.commands import EXIT_BROKEN, EXIT_UNAVAILABLE, Answer, Mistake, Verb, VerbGroup
from include.domain.wording import count_of

if TYPE_CHECKING:
    from include.workflows.services.components import Services
    from include.workflows.services.environment import Place


def place_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the services are: the options, with the environment behind them."""
    parser.add_argument("--host", help="address to listen on (SLIPWAY_HOST; default 127.0.0.1, this machine only)")
    parser.add_argument("--airflow-port", type=int, metavar="PORT", help="SLIPWAY_AIRFLOW_PORT; default 8080")
    parser.add_argument("--mlflow-port", type=int, metavar="PORT", help="SLIPWAY_MLFLOW_PORT; default 5000")


def place_of(args: argparse.Namespace) -> Place:
    """The place the options and the environment name.

    Raises:
        Mistake: for a port that is none.
    """
    from include.config.settings import settings
    from include.workflows.services.environment import Place, Ports

    return Place(
        home=settings().home,
        host=args.host or os.environ.get("SLIPWAY_HOST") or "127.0.0.1",
        ports=Ports(
            airflow=_port(args.airflow_port, "SLIPWAY_AIRFLOW_PORT", 8080),
            mlflow=_port(args.mlflow_port, "SLIPWAY_MLFLOW_PORT", 5000),
        ),
    )


def _port(option: int | None, variable: str, default: int) -> int:
    text = str(option) if option is not None else os.environ.get(variable) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise Mistake(f"{text!r} is no port for {variable}; it must be a whole number from 1 to 65535.")
    return int(text)


# --- up --------------------------------------------------------------------------------------------------------------


class Signals:
    """Ctrl-C, SIGTERM and SIGHUP from now on: the first asks for the end, a second one for a quick one.

    No exception is raised in the main thread, so that no child is lost between its start and its entry.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.hurry = threading.Event()
        self.number: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: object) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.number = self.number or number
        self.stop.set()


def _up_arguments(parser: argparse.ArgumentParser) -> None:
    place_arguments(parser)
    parser.add_argument("--unpause", action="store_true", help="let every Dag run; default they stay as they are")
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end when the process that started this one has ended"
    )


def say(line: str) -> None:
    """A line of progress on standard error; a closed terminal must not cause a disorderly end."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _up(args: argparse.Namespace) -> Answer:
    from include.workflows.services.startup import StopRequested
    from include.workflows.services.supervisor import dag_ids, running_services

    place = place_of(args)
    _check_machine(place)
    parent = os.getppid()
    signals = Signals()
    try:
        with running_services(
            place, say=say, expected_dags=dag_ids(), stop=signals.stop, hurry=signals.hurry
        ) as services:
            for line in (*welcome(services), *_unpaused(services, args.unpause)):
                say(line)
            while not signals.stop.wait(0.5):
                services.keep_watched()
                if services.failure is not None:
                    return Answer((f"slipway: {services.failure}.",), {"error": services.failure}, EXIT_BROKEN)
                if args.exit_with_parent and os.getppid() != parent:
                    say("The process that started this one has ended; stopping.")
                    return Answer((), {"stopped": "parent ended"})
            say("Stopping (once more to end without waiting).")
    except StopRequested:
        pass
    return Answer(("Stopped.",), {"stopped": "by signal"}, 128 + (signals.number or 0))


def _unpaused(services: Services, asked: bool) -> list[str]:
    """Let every Dag run where that was asked for; else say how it is done."""
    from include.adapters.airflow_api import AirflowError

    with services.api() as api:
        try:
            paused = sorted(dag for dag, is_paused in api.dags().items() if is_paused)
            for dag in paused if asked else ():
                api.unpause(dag)
        except AirflowError as error:
            return [f"  Whether Dags are paused is not known: {error}"]
    if not paused:
        return []
    what = count_of(len(paused), "Dag")
    if asked:
        return [f"  Let {what} run that {'was' if len(paused) == 1 else 'were'} paused."]
    verb, start = ("is", "starts nothing by itself") if len(paused) == 1 else ("are", "start nothing by themselves")
    return [
        f"  {what} {verb} paused and {start}: say `slipway up --unpause`, or use the switch beside each in Airflow."
    ]


def _check_machine(place: Place) -> None:
    """Print one line for each problem that ``slipway doctor`` would report. Ports are checked by the start itself,
    after the question whether services of this home run already.

    Raises:
        Mistake: when the services cannot be started like this.
    """
    from include.workflows.services import machine

    bad = [check for check in machine.checks(place) if not check.ok]
    for check in bad:
        if not check.stops:
            say(f"Warning: {check.name}: {check.found}.")
    stops = [f"{check.name}: {check.found}" for check in bad if check.stops]
    if stops:
        raise Mistake(f"Nothing was started. {'; '.join(stops)}.")


def welcome(services: Services) -> list[str]:
    """Where everything is and how to get in."""
    password = services.passwords["admin"]
    return [
        f"Ready after {services.ready_after_s:.0f} s.",
        f"  Airflow  {services.airflow_url}   login admin, password {password}",
        f"  MLflow   {services.mlflow_url}",
        f"  Logs     {services.logs}",
        f"  The other users' passwords are in {services.place.passwords_file}.",
        "  Ctrl-C stops everything.",
    ]


# --- status ----------------------------------------------------------------------------------------------------------


def _status(args: argparse.Namespace) -> Answer:
    from include.adapters.airflow_api import AirflowUnreachable
    from include.adapters.servers import answers
    from include.commands.airflow import airflow_api, mlflow_url

    with airflow_api() as api:
        try:
            health = api.health()
        except AirflowUnreachable as error:
            return Answer(
                (str(error), "Start the services with `slipway up`."), {"error": str(error)}, EXIT_UNAVAILABLE
            )
        components = {"metadatabase": health.database, **health.components}
        mlflow = mlflow_url()
        components["mlflow"] = "healthy" if answers(f"{mlflow}/health") else "no answer"
        dags = api.dags()
        active = api.dag_runs(states=("running", "queued"), newest=20)
        errors = api.import_errors()
    lines = [f"Airflow {api.url}, MLflow {mlflow}"]
    lines += [f"  {name:<14} {state or 'not running'}" for name, state in components.items()]
    lines += [f"{len(dags)} Dags, {sum(dags.values())} of them paused; {len(active)} runs under way"]
    lines += [f"  {dag:<36} {'paused' if paused else 'on'}" for dag, paused in sorted(dags.items())]
    lines += [f"  {run.dag_id} {run.run_id} is {run.state}" for run in active]
    lines += [f"  {file} cannot be read: {reason}" for file, reason in errors.items()]
    wrong = _out_of_order()
    lines += [f"  OUT OF ORDER {each['sentence']}" for each in wrong]
    data = {
        "out_of_order": wrong,
        "airflow": api.url,
        "mlflow": mlflow,
        "components": components,
        "dags": {dag: {"paused": paused} for dag, paused in dags.items()},
        "under_way": [{"dag_id": r.dag_id, "run_id": r.run_id, "state": r.state} for r in active],
        "import_errors": errors,
    }
    well = all(state == "healthy" for state in components.values()) and not errors and not wrong
    return Answer(tuple(lines), data, 0 if well else 1)


def _out_of_order() -> list[dict[str, Any]]:
    """What the ledger says of outages and of notices that were not sent; its own silence is out of order too."""
    from datetime import UTC, datetime

    from include.adapters.ledger import LedgerError, LedgerUnavailable
    from include.commands.airflow import use_running_services
    from include.workflows import stores
    from include.workflows.alerts.out_of_order import out_of_order

    try:
        use_running_services()
        with stores.open_ledger() as ledger:
            return [each.as_json() for each in out_of_order(ledger, datetime.now(UTC))]
    except (LedgerError, LedgerUnavailable, Mistake) as error:
        return [{"scope": "project", "subject": "slipway", "sentence": str(error), "since": None}]


# --- env -------------------------------------------------------------------------------------------------------------


def _env(args: argparse.Namespace) -> Answer:
    from include.workflows.services.environment import changes, prepare_home

    place = place_of(args)
    prepare_home(place)
    changed = changes(place, os.environ)
    return Answer(tuple(f"export {name}={shlex.quote(value)}" for name, value in changed.items()), dict(changed))


VERBS = (
    Verb(
        "up",
        "start Airflow and MLflow, keep them alive, and stop them on Ctrl-C",
        "slipway up --airflow-port 8081",
        _up,
        _up_arguments,
        group=VerbGroup.START,
    ),
    Verb(
        "status",
        "show the services, the Dags and the runs under way",
        "slipway status --json",
        _status,
        group=VerbGroup.START,
    ),
    Verb(
        "env",
        "print the services' environment, so that Airflow's own command line works in a shell",
        'eval "$(slipway env)" && airflow dags list',
        _env,
        place_arguments,
        group=VerbGroup.START,
    ),
)
