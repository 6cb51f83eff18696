"""From a decision to what happens in Airflow: nothing, one run with a fixed id, or a red task and a notice."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_process import AirflowProcess, living_with

from include.workflows import tasks

REPORT = {"model": "m", "day": "2013-06-16", "report_id": "m-v3-20130616"}
REASON = "The data broke, so nothing is retrained: temp is missing in 60% of rows. Look at the source."


@pytest.fixture(scope="module")
def drift(airflow_imported: AirflowProcess) -> Iterator[Any]:
    """The plugin's module, as a worker imports it."""
    with living_with(airflow_imported.environment), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from slipway_airflow import drift

        yield drift


@pytest.fixture
def followers(drift: Any) -> dict[str, Any]:
    """The tasks behind ``decide``."""
    from airflow.sdk import DAG

    with DAG("drift_m", schedule=None) as dag:
        drift.act_on(SimpleNamespace(name="m"), drift.DecideOperator(task_id="decide", report=REPORT))
    return dict(dag.task_dict)


def decided(action: str) -> dict[str, Any]:
    run_id = "drift__m__2013-06-16" if action == "retrain" else ""
    return {"action": action, "rule": "1 data_broke", "reason": REASON, "journey_run_id": run_id, "conf": {}}


@pytest.mark.parametrize(
    ("action", "follows"),
    [("retrain", "trigger_retrain"), ("escalate", "escalate"), ("log", []), ("suppress", [])],
)
def test_only_what_follows_from_the_decision_runs(drift, followers, monkeypatch, action, follows):
    pushed, branched = {}, []
    operator = followers["decide"]
    monkeypatch.setattr(tasks, "decide", lambda report: decided(action))
    monkeypatch.setattr(type(operator), "do_branch", lambda self, context, chosen: branched.append(chosen))
    operator.execute({"ti": SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))})
    assert branched == [follows]
    assert pushed["return_value"] == decided(action)
    assert operator.downstream_task_ids == {"trigger_retrain", "escalate"}


RUN = "drift__m__2013-06-16"
CONF = {"report_id": REPORT["report_id"], "trigger": "drift"}


class FakeAirflow:
    """What a task's supervisor answers: it starts each run id once, and tells of the runs there are."""

    def __init__(self) -> None:
        self.runs: dict[str, Any] = {}

    def send(self, message: Any) -> Any:
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse, GetDagRun

        if isinstance(message, GetDagRun):
            return self.runs[message.run_id]
        assert message.dag_id == "retrain_m"
        if message.run_id in self.runs:
            return ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
        self.there_is(message.run_id, "operator_triggered", message.conf)
        return None

    def there_is(self, run_id: str, run_type: str, conf: Any, user: str | None = None) -> None:
        self.runs[run_id] = SimpleNamespace(run_type=run_type, conf=conf, triggering_user_name=user)


@pytest.fixture
def trigger(followers, monkeypatch):
    """The task that starts the journey, in front of an Airflow; calling it gives the run it started."""
    from airflow.sdk.execution_time import task_runner

    airflow, operator, pushed = FakeAirflow(), followers["trigger_retrain"], {}
    assert operator.trigger_run_id.key == "journey_run_id"  # of the decision, which stands
    operator.trigger_run_id, operator.conf = RUN, CONF
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)

    def start() -> str:
        pushed.clear()
        operator.execute({"ti": SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))})
        return str(pushed["trigger_run_id"])

    return SimpleNamespace(start=start, airflow=airflow, operator=operator)


def test_f103_a_trigger_whose_reply_was_lost_asks_for_the_same_run_again_and_is_not_red(trigger):
    from airflow.sdk.exceptions import AirflowSkipException

    assert trigger.start() == RUN
    with pytest.raises(AirflowSkipException, match="was started by an earlier try"):
        trigger.start()
    assert list(trigger.airflow.runs) == [RUN]
    assert trigger.operator.retries > 0


@pytest.mark.parametrize(
    ("run_type", "conf"),
    [
        pytest.param("manual", {"as_of": "2013-06-01"}, id="another request"),
        pytest.param("manual", CONF, id="the sensor's own words, sent by a person"),
        pytest.param("operator_triggered", {**CONF, "report_id": "another"}, id="another Dag's"),
        pytest.param("operator_triggered", {}, id="with nothing said"),
    ],
)
def test_f181_a_run_id_that_somebody_took_beforehand_is_noticed_and_another_is_used(trigger, capsys, run_type, conf):
    trigger.airflow.there_is(RUN, run_type, conf, "uma")
    assert trigger.start() == f"{RUN}__2"
    assert trigger.airflow.runs[f"{RUN}__2"].conf == CONF
    said = capsys.readouterr()
    assert f"{RUN} of retrain_m is not the drift sensor's run: uma started it" in said.out + said.err


def test_f181_when_every_id_is_taken_a_person_is_told(trigger):
    for run_id in (RUN, *(f"{RUN}__{n}" for n in range(2, 6))):
        trigger.airflow.there_is(run_id, "manual", CONF, "uma")
    with pytest.raises(SystemExit, match="Somebody has taken 5 run ids of this decision"):
        trigger.start()


def test_an_escalation_is_a_red_task_that_says_what_to_look_at_and_somebody_is_told(drift, followers):
    operator = followers["escalate"]
    with pytest.raises(SystemExit) as red:
        operator.python_callable(decided("escalate"))
    assert REASON in str(red.value)
    assert operator.retries == 0
    callbacks = operator.on_failure_callback
    (told,) = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    assert told.kind == "escalated"
