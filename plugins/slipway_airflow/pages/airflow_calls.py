"""Airflow's own REST API, called in this process as the same user: Airflow checks the right, and its log has the
name."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
from fastapi import Request

from include.domain.errors import Refusal
from slipway_airflow.gates import ANSWER
from slipway_airflow.pages.access import token_of
from slipway_airflow.pages.scope import ROOT


class AirflowSaidNo(Refusal):
    """Airflow refused what was asked on the caller's behalf."""

    def __init__(self, status: int, doing: str, why: str) -> None:
        self.status = status
        super().__init__(f"Airflow did not {doing} ({status}): {why.rstrip('.')}.")


async def call(request: Request, method: str, path: str, doing: str, body: Any = None) -> dict[str, Any]:
    """One call. ``path`` is below ``/api/v2``; ``doing`` completes the sentence "Airflow did not ...".

    Raises:
        AirflowSaidNo: with Airflow's status and reason.
    """
    transport = httpx.ASGITransport(app=request.scope[ROOT], raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token_of(request)}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow", headers=headers) as client:
        answer = await client.request(method, f"/api/v2/{path}", json=body)
    if answer.is_success:
        return dict(answer.json()) if answer.content else {}
    raise AirflowSaidNo(answer.status_code, doing, _why(answer))


def _why(answer: httpx.Response) -> str:
    try:
        detail = answer.json().get("detail", "")
    except ValueError:
        detail = answer.text
    if isinstance(detail, list):
        return "; ".join(str(part.get("msg", part)) for part in detail)
    if isinstance(detail, dict):
        return str(detail.get("reason") or detail)
    return str(detail).strip().split("\n")[0] or "no reason given"


def _run(dag_id: str, run_id: str) -> str:
    return f"dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


async def clear(request: Request, dag_id: str, run_id: str, task_id: str) -> None:
    """Let the task and all tasks after it run again; Airflow clears the journey's opening and closing with it."""
    body = {
        "dry_run": False,
        "dag_run_id": run_id,
        "task_ids": [task_id],
        "only_failed": False,
        "include_downstream": True,
        "reset_dag_runs": True,
    }
    await call(request, "POST", f"dags/{quote(dag_id, safe='')}/clearTaskInstances", f"clear {task_id}", body)


async def answer(request: Request, dag_id: str, run_id: str, task_id: str, option: str, reason: str) -> None:
    """Answer the question a gate asks."""
    path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}/-1/hitlDetails"
    body = {"chosen_options": [option], "params_input": {ANSWER: reason}}
    await call(request, "PATCH", path, f"answer {task_id}", body)


async def waits(request: Request, dag_id: str, run_id: str, task_id: str) -> bool:
    """Whether the gate asks a question now."""
    path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}/-1/hitlDetails"
    try:
        found = await call(request, "GET", path, f"read the question of {task_id}")
    except AirflowSaidNo as refusal:
        if refusal.status == 404:
            return False
        raise
    return not found.get("response_received")


async def trigger(request: Request, dag_id: str, run_id: str, conf: dict[str, Any]) -> dict[str, Any]:
    """Start a run.

    Raises:
        AirflowSaidNo: 409 when there is one of that id.
    """
    body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
    return await call(request, "POST", f"dags/{quote(dag_id, safe='')}/dagRuns", f"start {dag_id}", body)


async def run(request: Request, dag_id: str, run_id: str) -> dict[str, Any] | None:
    """A run as Airflow gives it; None when there is none."""
    try:
        return await call(request, "GET", _run(dag_id, run_id), f"show {run_id}")
    except AirflowSaidNo as refusal:
        if refusal.status == 404:
            return None
        raise


async def scheduler_is_healthy(request: Request) -> bool:
    """Whether what is asked for now would be started."""
    health = await call(request, "GET", "monitor/health", "tell its health")
    return (health.get("scheduler") or {}).get("status") == "healthy"


async def set_note(request: Request, dag_id: str, run_id: str, note: str) -> None:
    """Write a sentence where the run is listed."""
    await call(request, "PATCH", _run(dag_id, run_id), f"note on {run_id}", {"note": note})
