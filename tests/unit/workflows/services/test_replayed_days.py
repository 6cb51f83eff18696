"""In which order the replay of a year starts the runs of its days."""

from __future__ import annotations

from include.adapters.airflow_api import DagRun, TaskInstance
from include.config import declared_models, declared_views
from include.workflows.services.demonstration import Demonstration, Plan

DRIVEN = {"ahead_flight_delay": "ahead", "features_flight_schedule": "requests"}


def run(dag_id: str, run_id: str, state: str = "success", key: str | None = None) -> DagRun:
    return DagRun(dag_id, run_id, state, "manual", key, {}, None, None, None)


class QuickAirflow:
    """An Airflow whose runs end at once, and start what they start in truth. With ``journey`` one waits for shadow."""

    def __init__(self, *, journey: bool = False) -> None:
        self.events: list[str] = []
        self.journey = journey

    def dags(self) -> list[str]:
        return []

    def trigger(self, dag_id, run_id, conf=None, *, partition_key=None):
        if dag_id in DRIVEN and not run_id.startswith("history"):
            self.events.append(f"{DRIVEN[dag_id]} {run_id[-2:]}")

    def dag_run(self, dag_id, run_id):
        return run(dag_id, run_id)

    def dag_runs(self, dag_id=None, *, partition_key=None, states=()):
        if partition_key is None:
            return [run("retrain_flight_delay", "drift__1", "running")] if self.journey and "running" in states else []
        dags = [f"features_{view.slug}" for view in declared_views()]
        dags += [f"{kind}_{model.name}" for model in declared_models() for kind in ("score", "drift")]
        return [run(each, f"of {partition_key}", key=partition_key) for each in dags]

    def task_instances(self, *_):
        return [TaskInstance("shadow_window", -1, "deferred", 1, None, None, None)]

    def xcom(self, _dag_id, _run_id, task):
        return {"action": "log", "reason": ""} if task == "decide" else {"facts": {"rows": 1, "shadow": []}}

    def ending(self, *_):
        return {"well": True, "sentence": "", "revision": None}

    def now(self, text: str) -> None: ...

    def line(self, text: str) -> None:
        if "  flight_delay" in text:
            self.events.append(f"judged {text[8:10]}")


def replayed(airflow: QuickAirflow) -> list[str]:
    """What happened on the three days, in order."""
    plan = Plan(history_from="2013-01-01", start="2013-06-01", end="2013-06-04")
    outcome = Demonstration(airflow, plan, airflow).run()  # type: ignore[arg-type]  # hand-written
    assert len(outcome.days) == 3
    return airflow.events


class TestTheAnswersAheadOfTheNextDay:
    def test_are_asked_for_while_a_day_is_judged_and_once_each(self):
        # On the first day it is not known yet whether a journey of an earlier replay is under way.
        first = ["ahead 01", "requests 01", "judged 01"]
        then = ["ahead 02", "requests 02", "ahead 03", "judged 02", "requests 03", "judged 03"]
        assert replayed(QuickAirflow()) == first + then

    def test_wait_until_the_day_was_judged_where_a_journey_may_promote_another_model(self):
        each = [f"{what} {day}" for day in ("01", "02", "03") for what in ("ahead", "requests", "judged")]
        assert replayed(QuickAirflow(journey=True)) == each


class Started(QuickAirflow):
    """Keeps what was started by hand."""

    def trigger(self, dag_id, run_id, conf=None, *, partition_key=None):
        self.events.append(dag_id)


def test_an_event_is_lost_where_its_run_is_missing_a_while_after_what_it_follows_has_ended():
    airflow, time, waited = Started(), [0.0], dict[str, float]()
    plan = Plan(history_from="2013-01-01", start="2013-06-01", end="2013-06-04")
    replay = Demonstration(airflow, plan, airflow, clock=lambda: time[0])  # type: ignore[arg-type]  # hand-written

    def started_at(second: float, state: str) -> list[str]:
        time[0] = second
        runs = {f"features_{view.slug}": run(view.name, "r") for view in declared_views()}
        runs["score_air_time"] = run("score_air_time", "r", state)
        replay._start_lost("2013-06-01", ["drift_air_time", "score_flight_delay"], runs, waited)
        return airflow.events

    assert started_at(0, "running") == []
    assert started_at(40, "running") == []
    assert started_at(46, "success") == ["score_flight_delay"]  # what it follows had ended at the beginning
    assert started_at(90, "success") == ["score_flight_delay"]
    assert started_at(91.5, "success") == ["score_flight_delay", "drift_air_time", "score_flight_delay"]  # asked again
