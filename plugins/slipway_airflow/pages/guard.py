"""A check before Airflow's own REST: only approvers decide about a model's journeys, and a request that would be
refused starts no run.

Airflow's roles let every user who may trigger a Dag also answer its forms, clear and mark its tasks and delete its
runs. On the journeys and rollbacks of a model that is a decision. So only the model's approvers may make a change
there, and their rights are recorded in the ledger, whose writer checks again. A request that comes another way has no
recorded rights and is refused by the writer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
from airflow.api_fastapi.core_api.security import get_user
from fastapi import HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from include.adapters.ledger import LedgerUnavailable
from include.domain.authority import MayNotDecide
from include.domain.errors import Refusal
from include.workflows.journey import request_checks
from include.workflows.pages import sources
from slipway_airflow.limits import App, Message, Receive, Send, read_body, replayed
from slipway_airflow.pages.access import person, remember, require_approver, require_trigger

CHANGES = ("POST", "PATCH", "PUT", "DELETE")
_PATH = re.compile(r"(?:^|/)api/v2/dags/(?P<dag>[^/]+)(?P<rest>(?:/.*)?)$")
_KINDS = ("retrain_", "rollback_")
_READS = ("/list", "/dry_run", "/favorite", "/unfavorite")
"""Endings of what is sent with POST or PATCH and changes nothing."""


class ApproverGuard:
    """A root middleware; it comes after the limit on bodies, so a body is small."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        found = _PATH.search(scope["path"]) if scope["type"] == "http" and scope["method"] in CHANGES else None
        if found is None or found["rest"].endswith(_READS):
            await self.app(scope, receive, send)
            return
        body = await read_body(scope, receive) or b""
        models = await run_in_threadpool(lambda: list(_models(found["dag"], body)))
        refused = await _refusal(scope, found, body, models) if models else None
        if refused is None:
            await self.app(scope, replayed(body, receive), send)
        else:
            await _answer(send, *refused)


async def _refusal(scope: Message, found: re.Match[str], body: bytes, models: list[str]) -> tuple[int, str] | None:
    """Status and sentence; None to let it through."""
    request = Request(scope)
    try:
        user = await _user(request)
    except HTTPException:
        return None  # Airflow says so itself, in its own words.
    try:
        if found["dag"].startswith("retrain_") and found["rest"] == "/dagRuns":
            if scope["method"] == "POST":
                await run_in_threadpool(_check_request, request, user, models[0], _json(body))
                return None
        elif found["rest"] == "" and scope["method"] != "DELETE":
            return None  # pausing
        elif scope["method"] == "PATCH" and isinstance(sent := _json(body), dict) and set(sent) == {"note"}:
            return None
        for model in models:
            await run_in_threadpool(require_approver, request, user, model)
        if (
            scope["method"] == "POST"
            and found["rest"] == "/dagRuns"
            and (sent := _well_formed(_json(body))) is not None
        ):
            request_checks.rollback_request(sent)
    except HTTPException as error:
        return error.status_code, str(error.detail)
    except MayNotDecide as refusal:
        return 403, str(refusal)
    except Refusal as refusal:
        return 400, str(refusal)
    except LedgerUnavailable as error:
        return 503, f"Who may do this could not be asked of the ledger, so it was not done: {error}"
    return None


def _check_request(request: Request, user: Any, model: str, body: Any) -> None:
    """A retrain request is checked before there is a run, and the user's right before that."""
    require_trigger(request, user, model)
    remember(model, person(request, user, model))
    sent = _well_formed(body)
    if sent is not None:
        request_checks.check(model, sent, user.get_name(), beside_another=True)


def _well_formed(body: Any) -> dict[str, Any] | None:
    """The conf of a call that starts a run; None where Airflow itself refuses the shape of it, with 422."""
    try:
        return dict(TriggerDAGRunPostBody.model_validate(body).conf or {})
    except ValidationError:
        return None


def _models(dag_id: str, body: bytes) -> Iterator[str]:
    """The declared models whose journeys or rollbacks a call is about; a call about many Dags (``~``) names them in its
    body."""
    named = {dag_id} if dag_id != "~" else set(_texts(_json(body)))
    declared = sources.declared_now()
    known = {*declared.models, *(file.parent.name for file in declared.broken)}
    for kind in _KINDS:
        yield from sorted(
            name.removeprefix(kind) for name in named if name.startswith(kind) and name[len(kind) :] in known
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


async def _user(request: Request) -> Any:
    """The user that Airflow itself will see as the sender."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    bearer = HTTPAuthorizationCredentials(scheme=scheme, credentials=given) if given else None
    return await get_user(request, None, bearer)


async def _answer(send: Send, status: int, why: str) -> None:
    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
