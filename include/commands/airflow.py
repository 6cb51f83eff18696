"""``retrain`` and ``rollback``: what a person starts through Airflow's REST API."""

from __future__ import annotations

import argparse
import getpass
import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup

if TYPE_CHECKING:
    from include.adapters.airflow_api import AirflowApi, DagRun


def airflow_api() -> AirflowApi:
    """A client of the Airflow that ``SLIPWAY_AIRFLOW_URL``, ``_USER`` and ``_PASSWORD`` name; else of the one here.

    Raises:
        Mistake: when neither is known.
    """
    from include.adapters.airflow_api import AirflowApi
    from include.config.settings import settings
    from include.workflows.services.environment import Place, passwords
    from include.workflows.services.supervisor import read_running

    user = os.environ.get("SLIPWAY_AIRFLOW_USER") or "admin"
    password = os.environ.get("SLIPWAY_AIRFLOW_PASSWORD")
    home = settings().home
    if password is None:
        try:
            password = passwords(Place(home)).get(user)
        except FileNotFoundError:
            raise Mistake(
                f"No services were ever started in {home}. Run `slipway up`, or name another Airflow with "
                "SLIPWAY_AIRFLOW_URL, SLIPWAY_AIRFLOW_USER and SLIPWAY_AIRFLOW_PASSWORD."
            ) from None
    if password is None:
        raise Mistake(f"The password of {user!r} is not known; give it in SLIPWAY_AIRFLOW_PASSWORD.")
    running = read_running(home)
    here = running.airflow_url if running else f"http://127.0.0.1:{os.environ.get('SLIPWAY_AIRFLOW_PORT') or 8080}"
    return AirflowApi(os.environ.get("SLIPWAY_AIRFLOW_URL") or here, user, password)


def mlflow_url() -> str:
    """Where MLflow is: as the running services say, else as the settings do."""
    from include.config.settings import settings
    from include.workflows.services.supervisor import read_running

    running = read_running(settings().home)
    return running.mlflow_url if running else settings().mlflow_url


def use_running_services() -> None:
    """Let this process use the ledger and the MLflow of the services that run here; what the shell sets comes first.

    Raises:
        Mistake: when they keep their ledger behind a password this shell does not have.
    """
    from include.config.settings import settings
    from include.workflows.services.supervisor import read_running

    running = read_running(settings().home)
    if running is None:
        return
    os.environ.setdefault("MLFLOW_TRACKING_URI", running.mlflow_url)
    if running.ledger_url and not os.environ.get("SLIPWAY_LEDGER_URL"):
        if ":***@" in running.ledger_url:
            raise Mistake(
                f"The services that run here keep their ledger at {running.ledger_url}. Give this shell the whole "
                "address in SLIPWAY_LEDGER_URL."
            )
        os.environ["SLIPWAY_LEDGER_URL"] = running.ledger_url


def _model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a declared model")
    parser.add_argument("--reason", required=True, help="why; it is recorded")
    parser.add_argument(
        "--requested-by",
        default=None,
        metavar="WHO",
        help="on whose behalf, kept beside the user who is signed in; default the user of this shell",
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait for the end; exit code 1 unless the ledger says that it did what it was for",
    )


def _retrain_arguments(parser: argparse.ArgumentParser) -> None:
    _model_arguments(parser)
    parser.add_argument("--as-of", required=True, metavar="TIME", help="what may be known, such as 2013-06-01 (UTC)")
    parser.add_argument("--key", default=None, help="asking twice with the same key starts one run")
    parser.add_argument("--issue", default=None, help="the number or address of an issue")
    parser.add_argument("--supersede", action="store_true", help="replace a journey that is under way")


def _retrain(args: argparse.Namespace) -> Answer:
    from include.config import declarations
    from include.domain.intervals import instant

    declarations().model(args.model)
    as_of = instant(args.as_of).strftime("%Y-%m-%dT%H:%M:%SZ")
    conf: dict[str, Any] = {"as_of": as_of, "reason": args.reason, "requested_by": args.requested_by or me()}
    if args.issue is not None:
        conf["issue"] = args.issue
    if args.supersede:
        conf["supersede"] = True
    # The same question is the same run.
    key = args.key or hashlib.sha256("\n".join(f"{k}={v}" for k, v in sorted(conf.items())).encode()).hexdigest()[:12]
    own = args.key or f"cli__{as_of[:10]}__{key}"
    return _start(
        f"retrain_{args.model}",
        lambda api: api.slipway(f"models/{args.model}/retrain", f"retrain {args.model}", conf, key=own),
        args,
    )


def _rollback(args: argparse.Namespace) -> Answer:
    from include.config import declarations

    declarations().model(args.model)

    def ask(api: AirflowApi) -> dict[str, Any]:
        champions = api.slipway(f"models/{args.model}", f"show {args.model}")["champions"]
        if not champions:
            raise Mistake(f"{args.model} never had a champion, so there is nothing to roll back.")
        conf = {
            "reason": args.reason,
            "revision": max(int(each["revision"]) for each in champions),
            "requested_by": args.requested_by or me(),
        }
        return api.slipway(f"models/{args.model}/rollback", f"roll back {args.model}", conf)

    return _start(f"rollback_{args.model}", ask, args)


def _start(dag_id: str, ask: Callable[[AirflowApi], dict[str, Any]], args: argparse.Namespace) -> Answer:
    """Let Slipway's REST start the run, as the user who is signed in there."""
    if not args.reason.strip():
        raise Mistake("--reason is empty; say in a few words why.")
    with airflow_api() as api:
        if api.dags().get(dag_id, False):
            raise Mistake(f"{dag_id} is paused, so nothing would start. Unpause it in Airflow first.")
        answer = ask(api)
        run, started = api.dag_run(dag_id, answer["run_id"]), bool(answer.get("started", True))
        address = f"{api.url}/dags/{dag_id}/runs/{run.run_id}"
        did = "started" if started else f"was there already ({run.state})"
        lines = [f"{dag_id} {run.run_id} {did}: {address}"]
        if not args.wait:
            return Answer(tuple(lines), _data(run, started, address), 0)
        run = api.wait(dag_id, run.run_id, timeout_s=7 * 86400, every_s=2.0)
        ending = api.ending(dag_id, run.run_id)
    # The colour of a run is what its tasks were marked as; what it did is in the ledger.
    well = ending is not None and bool(ending["well"])
    lines.append(f"It ended: {ending['sentence'] if ending is not None else _left_nothing(dag_id, run)}")
    data = {**_data(run, started, address), "ending": ending}
    return Answer(tuple(lines), data, 0 if well else EXIT_FAILED)


def _left_nothing(dag_id: str, run: DagRun) -> str:
    did = "rolled nothing back" if dag_id.startswith("rollback_") else "opened no journey"
    return f"the run is {run.state}, and by the ledger it {did}; the log of its first task says why."


def _data(run: DagRun, started: bool, address: str) -> dict[str, Any]:
    return {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "started": started,
        "state": run.state,
        "conf": dict(run.conf),
        "url": address,
    }


def me() -> str:
    """The user of this shell: a claim, since it is not from a sign-in."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


VERBS = (
    Verb(
        "retrain",
        "start a journey of a model through Airflow's REST API",
        'slipway retrain flight_delay --as-of 2013-06-01 --reason "new carrier"',
        _retrain,
        _retrain_arguments,
        group=VerbGroup.ACT,
    ),
    Verb(
        "rollback",
        "make the previous champion the champion again, at once",
        'slipway rollback flight_delay --reason "wrong since the deployment"',
        _rollback,
        _model_arguments,
        group=VerbGroup.ACT,
    ),
)
