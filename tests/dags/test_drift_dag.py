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


def test_f103_a_trigger_whose_reply_was_lost_asks_for_the_same_run_again_and_is_not_red(followers):
    from airflow.sdk.exceptions import DagRunTriggerException

    operator = followers["trigger_retrain"]
    assert operator.trigger_run_id.key == "journey_run_id"  # of the decision, which stands
    operator.trigger_run_id, operator.conf = "drift__m__2013-06-16", {"report_id": REPORT["report_id"]}
    asked = []
    for _ in range(2):
        with pytest.raises(DagRunTriggerException) as triggered:
            operator.execute({})
        asked.append((triggered.value.trigger_dag_id, triggered.value.dag_run_id, triggered.value.conf))
        assert triggered.value.skip_when_already_exists
        assert not triggered.value.reset_dag_run
    assert asked == [("retrain_m", "drift__m__2013-06-16", {"report_id": REPORT["report_id"]})] * 2
    assert operator.retries > 0


def test_an_escalation_is_a_red_task_that_says_what_to_look_at_and_somebody_is_told(drift, followers):
    operator = followers["escalate"]
    with pytest.raises(SystemExit) as red:
        operator.python_callable(decided("escalate"))
    assert REASON in str(red.value)
    assert operator.retries == 0
    callbacks = operator.on_failure_callback
    (told,) = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    assert told.kind == "escalated"
