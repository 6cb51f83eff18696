"""What the forms of the pages do: each acts once and leads back to its page; or the page comes back with the form as it
was typed, and one line that says why it was refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from include.adapters.ledger import LedgerUnavailable
from include.config.declared import UnknownName
from include.domain.authority import Person
from include.domain.errors import BadField, Refusal
from include.workflows.pages import incidents as incident_views
from include.workflows.pages import release as release_views
from slipway_airflow.pages import actions, html_routes
from slipway_airflow.pages.access import CSRF_FIELD, User, require_approver, require_own_form
from slipway_airflow.pages.errors import status_of, wants_page
from slipway_airflow.pages.render import base

router = APIRouter(include_in_schema=False)


@router.post("/candidates/{candidate_id}/{action}")
async def act(request: Request, user: User, candidate_id: str, action: str) -> Response:
    form = await _form(request, user)
    view = await run_in_threadpool(release_views.release, candidate_id, datetime.now(UTC))
    by = await run_in_threadpool(require_approver, request, user, view.model)
    try:
        await _done(request, by, view, action, form)
    except (Refusal, LedgerUnavailable) as error:
        if not wants_page(request):
            raise
        view = await run_in_threadpool(release_views.release, candidate_id, datetime.now(UTC))
        return await run_in_threadpool(html_routes.candidate_page, request, user, view, _refused(action, form, error))
    return RedirectResponse(f"{base(request)}/candidates/{quote(candidate_id)}?done={action}", 303)


async def _done(
    request: Request, by: Person, view: release_views.ReleaseView, action: str, form: Mapping[str, str]
) -> None:
    candidate_id = view.candidate.candidate_id
    if action == "override":
        await actions.override(candidate_id, form.get("gate"), by, form.get("reason"), form.get("expires"))
    elif action == "clear":
        await actions.clear(request, candidate_id, form.get("gate"), by.name)
    elif action == "approve":
        await actions.approve(request, candidate_id, form.get("gate"), form.get("reason"))
    elif action == "reject":
        await actions.reject(request, candidate_id, by, form.get("reason"))
    elif action == "rollback":
        await actions.roll_back(request, view.model, form.get("reason"), form.get("revision"))
    elif action == "retrain":
        await actions.retrain_after(request, view, by.name, form.get("reason"), form.get("as_of"))
    else:
        raise HTTPException(
            404, f"There is no action {action[:40]!r}; there are: approve, clear, override, reject, retrain, rollback."
        )


@router.post("/models/{name}/rollback")
async def roll_back(request: Request, user: User, name: str) -> Response:
    form = await _form(request, user)
    await run_in_threadpool(require_approver, request, user, name)
    try:
        await actions.roll_back(request, name, form.get("reason"), form.get("revision"))
    except (Refusal, LedgerUnavailable) as error:
        if not wants_page(request) or isinstance(error, UnknownName):
            raise
        return await run_in_threadpool(html_routes.model_page, request, user, name, _refused("rollback", form, error))
    return RedirectResponse(f"{base(request)}/models/{quote(name)}?done=rollback", 303)


@router.post("/models/{name}/live/{action}")
async def act_on_rollout(request: Request, user: User, name: str, action: str) -> Response:
    form = await _form(request, user)
    by = await run_in_threadpool(require_approver, request, user, name)
    try:
        await actions.on_rollout(name, action, by, form.get("reason"))
    except (Refusal, LedgerUnavailable) as error:
        if not wants_page(request) or isinstance(error, UnknownName):
            raise
        return await run_in_threadpool(html_routes.live_page, request, user, name, _refused(action, form, error))
    return RedirectResponse(f"{base(request)}/models/{quote(name)}/live?done={action}", 303)


@router.post("/incidents/{incident_id}/{action}")
async def act_on_incident(request: Request, user: User, incident_id: str, action: str) -> Response:
    form = await _form(request, user)
    view = await run_in_threadpool(incident_views.incident, incident_id)
    by = await run_in_threadpool(require_approver, request, user, view.model)
    try:
        await actions.on_incident(incident_id, action, by, form.get("reason"), form.get("until"))
    except (Refusal, LedgerUnavailable) as error:
        if not wants_page(request):
            raise
        view = await run_in_threadpool(incident_views.incident, incident_id)
        return await run_in_threadpool(html_routes.incident_page, request, user, view, _refused(action, form, error))
    return RedirectResponse(f"{base(request)}/incidents/{quote(incident_id)}?done={action}", 303)


def _refused(action: str, form: Mapping[str, str], error: Exception) -> html_routes.RefusedForm:
    shown = ("reason", "expires", "until", "as_of")
    field = error.what if isinstance(error, BadField) and error.what in shown else None
    return html_routes.RefusedForm(action, form.get("gate", ""), form, str(error), field, status_of(error))


async def _form(request: Request, user: Any) -> dict[str, str]:
    """The form's fields, after the check that the form is ours."""
    found = await request.form(max_files=0, max_fields=20)
    fields = {name: value for name, value in found.items() if isinstance(value, str)}
    require_own_form(request, user, fields.get(CSRF_FIELD))
    return fields
