"""`make run ARGS=--exit` on a fresh home: the time to the promoted successor, memory, and how much of it is waiting.

The limit is the same work without Airflow: the workflows called one after the other in this process, in the same run,
with an MLflow server of its own (a registry that knows another ledger's champions is refused).
"""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks._common import peak_of_tree, report
from include.adapters.airflow_api import AirflowApi, TaskInstance
from include.adapters.nycflights import load_flights
from include.adapters.ports import free_ports
from include.config import declarations, declared_models, declared_views
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows import tasks
from include.workflows.journey.facts import JourneyReference
from include.workflows.services.demonstration import Demonstration, DemonstrationOutcome, Plan
from include.workflows.services.environment import Place, Ports
from include.workflows.services.supervisor import dag_ids, running_services
from tests.support.mlflow_server import MlflowServer

PLAN = Plan("2013-01-01", "2013-06-01", "2013-08-01")


class Printed:
    """The replay's lines, with the second they came."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def now(self, text: str) -> None: ...

    def line(self, text: str) -> None:
        print(f"[{time.monotonic() - self.began:4.0f} s] {text[:150]}", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        place = Place(Path(folder) / "airflow", ports=Ports(*free_ports(2)))
        with _home(place.home, place.mlflow_url), peak_of_tree() as peak:
            began = time.monotonic()
            with running_services(place, expected_dags=dag_ids()) as services, services.api() as api:
                ready = time.monotonic() - began
                load_flights(settings().source_url)
                outcome = Demonstration(api, PLAN, Printed()).run()
                took = time.monotonic() - began
                journey = _journey(api, outcome)
        server = MlflowServer(Path(folder) / "bare")
        with _home(server.home, server.url), contextlib.closing(server):
            server.start()
            bare = _without_airflow(outcome.days)
    report(
        "main_job",
        took,
        "s from the command to the end of the first drift-triggered journey",
        bare,
        peak.mb,
        promised_s=480,
        promised_mb=4096,
        loop_closed=outcome.loop_closed,
        ready_s=round(ready, 1),
        days=len(outcome.days),
        day_s_median=round(statistics.median(outcome.seconds_per_day), 2),
        day_s_max=round(max(outcome.seconds_per_day), 2),
        promised_day_s=6,
        **journey,
    )


@contextlib.contextmanager
def _home(home: Path, mlflow_url: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ("SLIPWAY_HOME", "MLFLOW_TRACKING_URI")}
    home.mkdir(parents=True, exist_ok=True)
    os.environ.update({"SLIPWAY_HOME": str(home), "MLFLOW_TRACKING_URI": mlflow_url})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _journey(api: AirflowApi, outcome: DemonstrationOutcome) -> dict[str, float]:
    """The drift-triggered journey: its makespan without the wait for days, and the share in which no task worked."""
    run = outcome.drifted[0]
    instances = [t for t in api.task_instances(run.dag_id, run.run_id) if t.started_at and t.ended_at]
    queued = _moment(api.dag_run(run.dag_id, run.run_id).queued_at)
    waited = _wait(instances)
    spans = sorted(
        (max(_moment(t.started_at), queued), _moment(t.ended_at)) for t in instances if t.task_id != "shadow_window"
    )
    makespan = max(end for _, end in spans) - queued - waited
    worked, reached = 0.0, queued
    for start, end in spans:
        worked += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return {
        "trigger_to_promoted_s": round(makespan, 1),
        "promised_trigger_to_promoted_s": 120,
        "journey_overhead": round(1 - worked / makespan, 3),
        "promised_journey_overhead": 0.2,
    }


def _wait(instances: list[TaskInstance]) -> float:
    """The seconds between the last task before the shadow window and the shadow gate."""
    gate = _moment(next(t.started_at for t in instances if t.task_id == "shadow_gate"))
    before = [t for t in instances if t.task_id != "shadow_window" and _moment(t.ended_at) <= gate]
    return gate - max(_moment(t.ended_at) for t in before)


def _moment(text: str | None) -> float:
    return datetime.fromisoformat(str(text)).timestamp()


def _without_airflow(days: list[str]) -> float:
    """The same source, history, champions, days and journey, called one after the other."""
    began = time.monotonic()
    now = datetime.now(UTC)
    with contextlib.redirect_stdout(io.StringIO()):
        load_flights(settings().source_url)
        for view in declared_views():
            _publish(view.name, None, {"start": PLAN.history_from, "end": PLAN.start}, now)
        for model in declared_models():
            conf = {"as_of": PLAN.start, "reason": "bare", "requested_by": "benchmark"}
            reference = _to_shadow(model.name, f"bare-first-{time.time_ns()}", conf, now)
            _finish(reference, now)
        pending = None
        for day in days:
            key = f"{day}T00:00:00"
            for view in declared_views():
                _publish(view.name, key, {}, now)
            for model in declared_models():
                tasks.score(model.name, key, "bare")
                decision = tasks.decide(tasks.measure_drift(model.name, key, "bare"))
                if decision["action"] == "retrain":
                    pending = _to_shadow(model.name, decision["journey_run_id"], dict(decision["conf"]), now)
            if pending is not None and tasks.shadow_wait_is_over(pending["candidate_id"]):
                _finish(pending, now)
                pending = None
    return time.monotonic() - began


def _publish(view: str, key: str | None, params: dict[str, str], now: datetime) -> None:
    run_id = f"bare-{key or Interval.between(PLAN.history_from, PLAN.start)}"
    staged = tasks.materialize(view, key, params, run_id, now)
    tasks.audit(staged, now)
    tasks.publish(staged, params)


def _to_shadow(model: str, run_id: str, conf: dict[str, str], now: datetime) -> JourneyReference:
    reference = tasks.open_journey(model, run_id, "manual", conf, now, "benchmark")
    tasks.build_training_set(reference)
    _judge_after("build_training_set", model, reference, now)
    tasks.train(reference)
    tasks.evaluate(reference)
    _judge_after("evaluate", model, reference, now)
    tasks.register_challenger(reference, now)
    _judge_after("register_challenger", model, reference, now)
    tasks.open_shadow_window(reference)
    return reference


def _judge_after(step: str, model: str, reference: JourneyReference, now: datetime) -> None:
    for gate in tasks.gates_after(declarations().model(model), step):
        tasks.judge(gate)(reference, now)


def _finish(reference: JourneyReference, now: datetime) -> None:
    tasks.judge("shadow_gate")(reference, now)
    tasks.promote(reference, now)
    tasks.close_journey(reference)


if __name__ == "__main__":
    main()
