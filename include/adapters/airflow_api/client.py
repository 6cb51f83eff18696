"""The calls Slipway makes to Airflow's API.

Writes are made one after the other: on SQLite, parallel ones fail.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from include.adapters.airflow_api.records import COMPONENTS, DagRun, Health, Question, TaskInstance
from include.adapters.airflow_api.transport import (
    PAGE,
    AirflowRefused,
    AirflowUnreachable,
    AlreadyThere,
    Json,
    Transport,
    said,
)
from include.domain.errors import Refusal

_RUN_ID = re.compile(r"^[A-Za-z0-9_.~:+-]{1,250}$")
# Airflow 3.3.2 fails a task whose question is answered before the scheduler has heard that its first part ended
# (a second, as the services are set up): "finished with state success, but the task instance's state is queued".
_ANSWER_AFTER_S = 3.0


class BadRunId(Refusal, ValueError):
    """A run id Airflow would not accept."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"{run_id!r} is not a run id. "
            "Use letters, digits and the signs _ . ~ : + - only, at most 250, and no two dots in a row."
        )


class AirflowApi(Transport):
    """A client of one Airflow, as one user. Use it in a ``with`` block, or close it."""

    # --- the service -------------------------------------------------------------------------------------------------

    def health(self, timeout_s: float = 5.0) -> Health:
        """The health of its components; needs no login.

        Raises:
            AirflowUnreachable: when the API server itself does not answer; it is asked once only.
        """
        try:
            answer = self._http.get("/api/v2/monitor/health", timeout=timeout_s)
            answer.raise_for_status()
            data = answer.json()
            parts = {name: data.get(name.replace("-", "_")) or {} for name in COMPONENTS}
            return Health(
                database=data["metadatabase"]["status"],
                components={name: part.get("status") for name, part in parts.items()},
                heartbeats={n: p.get(f"latest_{n.replace('-', '_')}_heartbeat") for n, p in parts.items()},
            )
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise AirflowUnreachable(f"Airflow at {self.url} does not answer: {said(error)}.") from None

    def version(self) -> str:
        return str(self._get("version", "tell its version")["version"])

    # --- Dags --------------------------------------------------------------------------------------------------------

    def dags(self) -> dict[str, bool]:
        """The Dag ids Airflow has read, each with whether it is paused."""
        return {dag["dag_id"]: dag["is_paused"] for dag in self._pages("dags", "dags", "list the Dags")}

    def import_errors(self) -> dict[str, str]:
        """File name to the last line of why Airflow could not read it."""
        errors = self._pages("importErrors", "import_errors", "list the import errors")
        return {e["filename"]: e["stack_trace"].strip().splitlines()[-1] for e in errors}

    def set_paused(self, dag_id: str, paused: bool) -> None:
        what = f"{'pause' if paused else 'unpause'} {dag_id}"
        self._call("PATCH", f"dags/{quote(dag_id)}", what, body={"is_paused": paused}, named=True)

    def unpause(self, dag_id: str) -> None:
        """Let the Dag's runs start. A cron Dag then starts the run of its newest interval by itself."""
        self.set_paused(dag_id, False)

    # --- runs --------------------------------------------------------------------------------------------------------

    def trigger(
        self,
        dag_id: str,
        run_id: str,
        conf: Mapping[str, Any] | None = None,
        *,
        partition_key: str | None = None,
        logical_date: str | None = None,
        note: str | None = None,
    ) -> tuple[DagRun, bool]:
        """Start the run with this id; the answer says whether it was started now (False: it was there already).

        ``partition_key`` is for partitioned Dags only and has Airflow's form, ``2013-01-05T00:00:00``. Two ids with the
        same partition key are two runs: choose the id so that one intention has one id.

        Raises:
            BadRunId: before anything is sent.
            AirflowRefused: a wrong parameter, an unknown Dag, a missing right.
        """
        if not _RUN_ID.match(run_id) or ".." in run_id:
            # The server would answer an error of its own after five seconds.
            raise BadRunId(run_id)
        body: Json = {"dag_run_id": run_id, "logical_date": logical_date, "conf": dict(conf or {})}
        if partition_key is not None:
            body["partition_key"] = partition_key
        if note is not None:
            body["note"] = note
        try:
            data = self._call("POST", f"dags/{quote(dag_id)}/dagRuns", f"start {dag_id}", body=body, named=True)
        except AlreadyThere:
            return self.dag_run(dag_id, run_id), False
        return DagRun.of(data), True

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        return DagRun.of(self._get(_run(dag_id, run_id), f"show the run {run_id} of {dag_id}"))

    def dag_runs(
        self,
        dag_id: str = "~",
        *,
        states: Iterable[str] = (),
        partition_key: str | None = None,
        newest: int | None = None,
    ) -> list[DagRun]:
        """The runs, newest first, of one Dag or (``~``) of all; at most ``newest`` of them, default all.

        ``partition_key`` is matched from its start: ``2013-01-05`` finds that day's runs.
        """
        query: Json = {"order_by": "-run_after"}
        if states:
            query["state"] = list(states)
        if partition_key is not None:
            query["partition_key_prefix_pattern"] = partition_key
        pages = self._pages(f"dags/{quote(dag_id)}/dagRuns", "dag_runs", f"list the runs of {dag_id}", query, newest)
        return [DagRun.of(data) for data in pages]

    def wait(self, dag_id: str, run_id: str, timeout_s: float, *, every_s: float = 0.5) -> DagRun:
        """Wait until the run has finished, well or not.

        Raises:
            TimeoutError: when it has not after ``timeout_s``.
        """
        until = time.monotonic() + timeout_s
        while not (run := self.dag_run(dag_id, run_id)).finished:
            if time.monotonic() >= until:
                raise TimeoutError(f"The run {run_id} of {dag_id} is still {run.state} after {timeout_s:g} s.")
            time.sleep(every_s)
        return run

    def ending(self, dag_id: str, run_id: str) -> Json | None:
        """How the run of a journey or a rollback ended, as Slipway's ledger has it (``endings.Ending``); None where the
        ledger knows nothing of it. The run's state in Airflow is not used: a person may have set it."""
        path = f"/slipway/api/v1/runs/{quote(dag_id)}/{quote(run_id, safe='')}"
        try:
            return self._get(path, f"say how {run_id} of {dag_id} ended")
        except AirflowRefused as error:
            if error.status == 404:
                return None
            raise

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> DagRun:
        """Mark a run ``success`` or ``failed``; running tasks are stopped."""
        what = f"mark the run {run_id} of {dag_id} {state}"
        return DagRun.of(self._call("PATCH", _run(dag_id, run_id), what, body={"state": state}, named=True))

    # --- tasks -------------------------------------------------------------------------------------------------------

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        path = f"{_run(dag_id, run_id)}/taskInstances"
        return [TaskInstance.of(t) for t in self._pages(path, "task_instances", f"list the tasks of {run_id}")]

    def clear(
        self, dag_id: str, run_id: str, task_ids: Iterable[str], *, only_failed: bool = True, downstream: bool = False
    ) -> list[str]:
        """Let these tasks run again; the ids of those that will."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "only_failed": only_failed,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        data = self._call(
            "POST", f"dags/{quote(dag_id)}/clearTaskInstances", f"clear tasks of {run_id}", body=body, named=False
        )
        return [t["task_id"] for t in data["task_instances"]]

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task ``success``, ``failed`` or ``skipped`` by hand."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}"
        self._call("PATCH", path, f"mark {task_id} {state}", body={"new_state": state}, named=True)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task handed on; None when it handed on nothing under that key."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        try:
            return self._get(path, f"read what {task_id} handed on")["value"]
        except AirflowRefused as error:
            if error.status == 404:
                return None
            raise

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> list[str]:
        """The lines a task wrote to its log."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}"
        return [str(line.get("event", "")) for line in self._get(path, f"read the log of {task_id}")["content"]]

    # --- people ------------------------------------------------------------------------------------------------------

    def questions(self, dag_id: str = "~", run_id: str = "~") -> list[Question]:
        """The tasks that wait for a person's answer."""
        pages = self._pages(
            f"{_run(dag_id, run_id)}/hitlDetails", "hitl_details", "list open questions", {"response_received": False}
        )
        return [
            Question(
                dag_id=q["task_instance"]["dag_id"],
                run_id=q["task_instance"]["dag_run_id"],
                task_id=q["task_instance"]["task_id"],
                map_index=q["task_instance"]["map_index"],
                subject=q["subject"],
                options=tuple(q["options"]),
            )
            for q in pages
        ]

    def answer(self, question: Question, option: str, fields: Mapping[str, Any] | None = None) -> None:
        """Answer a question, which can be done once. Takes three seconds: an answer that comes too soon fails the task.

        Raises:
            AlreadyThere: when somebody has answered it.
        """
        task = f"taskInstances/{quote(question.task_id)}/{question.map_index}"
        path = f"{_run(question.dag_id, question.run_id)}/{task}/hitlDetails"
        body = {"chosen_options": [option], "params_input": dict(fields or {})}
        time.sleep(_ANSWER_AFTER_S)
        self._call("PATCH", path, f"answer {question.task_id}", body=body, named=False)

    # --- Slipway's own REST in the same server ----------------------------------------------------------------------

    def slipway(self, path: str, doing: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> Json:
        """Read from Slipway's own REST, or with a body call an action of it, as the user of this client.

        Args:
            path: below ``/slipway/api/v1/``.
            doing: completes "Airflow refused to ...".
            key: makes asking twice the same as asking once, so that it may be tried again.

        Raises:
            AirflowRefused: with the reason in one line.
        """
        method, headers = ("GET" if body is None else "POST"), ({} if key is None else {"Idempotency-Key": key})
        whole = f"/slipway/api/v1/{path}"
        sent = None if body is None else dict(body)
        return self._call(method, whole, doing, body=sent, named=key is not None or body is None, headers=headers)

    # --- backfills ---------------------------------------------------------------------------------------------------

    def create_backfill(
        self,
        dag_id: str,
        first: str,
        last: str,
        *,
        reprocess: str = "none",
        max_active_runs: int = 4,
        conf: Mapping[str, Any] | None = None,
    ) -> int:
        """Start a backfill of a cron-partitioned Dag from the partition ``first`` to ``last``, both included; its id.

        ``reprocess``: partitions that ran before are left alone (``none``), or run again when they ``failed`` or
        ``completed``. Airflow calls a backfill complete up to 30 s after its last run, and has one at a time per Dag.

        Raises:
            AlreadyThere: while another backfill of this Dag is not complete.
            AirflowRefused: for Dags without a cron.
        """
        body = {
            "dag_id": dag_id,
            "from_date": first,
            "to_date": last,
            "reprocess_behavior": reprocess,
            "max_active_runs": max_active_runs,
            "dag_run_conf": dict(conf or {}),
        }
        return int(self._call("POST", "backfills", f"backfill {dag_id}", body=body, named=False)["id"])

    def backfill_complete(self, backfill_id: int) -> bool:
        return self._get(f"backfills/{backfill_id}", f"show backfill {backfill_id}")["completed_at"] is not None

    # --- assets ------------------------------------------------------------------------------------------------------

    def asset_events(self, *, source_dag_id: str | None = None, newest: int = PAGE) -> list[Json]:
        """The newest asset events, as Airflow gives them, each with the runs it started (``created_dagruns``)."""
        query: Json = {"order_by": "-timestamp"}
        if source_dag_id is not None:
            query["source_dag_id"] = source_dag_id
        return list(self._pages("assets/events", "asset_events", "list asset events", query, newest))


def _run(dag_id: str, run_id: str) -> str:
    return f"dags/{quote(dag_id, safe='~')}/dagRuns/{quote(run_id, safe='~')}"
