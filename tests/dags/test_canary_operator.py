"""The canary's task and its trigger: what it waits for, what ends it, and what a wait survives."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_process import AirflowProcess, living_with

from include.domain.errors import Refusal
from include.workflows import tasks

STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)
REFERENCE = {"model": "m", "candidate_id": "m-20260101-aaaaaa"}


@pytest.fixture(scope="module")
def canary(airflow_imported: AirflowProcess) -> Iterator[Any]:
    """The plugin's module, as a worker imports it."""
    with living_with(airflow_imported.environment), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from slipway_airflow import canary

        yield canary


def executed(canary: Any, monkeypatch: pytest.MonkeyPatch, *said: Any) -> list[Any]:
    """What the task did with each answer of the use case: its result, or the trigger it waits by."""
    answers = iter(said)

    def go_on(reference: Any, now: datetime) -> Any:
        assert (reference, now) == (REFERENCE, STARTED)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(tasks, "go_on_canary", go_on)
    operator = canary.CanaryOperator(task_id="canary", journey=REFERENCE)
    waits: list[Any] = []
    monkeypatch.setattr(operator, "defer", lambda *, trigger, method_name: waits.append((trigger, method_name)))
    ti = SimpleNamespace(start_date=STARTED, dag_id="d", run_id="r", task_id="canary", xcom_push=lambda **_: None)
    return [operator.execute({"ti": ti}) or waits.pop() for _ in said]


def test_it_waits_until_every_step_has_passed(canary, monkeypatch):
    waiting = {"finished": False, "sentence": "It is at step 1 of 3.", "pause_s": 0.0}
    labels = {"finished": False, "sentence": "Labels have not matured.", "pause_s": 3600.0}
    done = {"finished": True, "sentence": "Every step has passed."}
    first, second, last = executed(canary, monkeypatch, waiting, labels, done)
    assert first[1] == "resume"
    assert first[0].serialize()[1] == {"candidate_id": REFERENCE["candidate_id"], "pause_s": 0.0, "look_every_s": 10.0}
    assert second[0].serialize()[1]["pause_s"] == 3600.0
    assert last == done


def test_what_ends_it_is_one_red_line(canary, monkeypatch):
    with pytest.raises(SystemExit, match="The canary failed on 5 of 20 rows"):
        executed(canary, monkeypatch, Refusal("The canary failed on 5 of 20 rows."))


def test_f086_its_trigger_outlasts_a_ledger_that_is_away(canary, monkeypatch, caplog):
    looks = iter([ConnectionError("the ledger does not answer"), False, True])

    def look() -> bool:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return bool(found)

    from slipway_airflow import waiting

    monkeypatch.setattr(waiting, "AWAY_S", 0.0)
    monkeypatch.setattr(tasks, "canary_watch", lambda candidate_id, pause_s: SimpleNamespace(has_something=look))
    kind, how = canary.CanaryTrigger("m-20260101-aaaaaa", 0.0, 0.0).serialize()
    assert kind == "slipway_airflow.canary.CanaryTrigger"

    async def fired() -> Any:
        return await anext(aiter(canary.CanaryTrigger(**how).run()))

    assert asyncio.run(fired()).payload == {"candidate_id": "m-20260101-aaaaaa"}
    assert next(looks, None) is None
