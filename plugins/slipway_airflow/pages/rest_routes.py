"""The same as JSON. A token of ``POST /auth/token`` is enough; a cookie needs the form's own token as a header."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from include.domain.authority import Person
from include.workflows.pages import drift as drift_views
from include.workflows.pages import incidents as incident_views
from include.workflows.pages import model as model_views
from include.workflows.pages import models as models_views
from include.workflows.pages import release as release_views
from include.workflows.pages import rollouts as rollout_views
from include.workflows.pages import sources
from include.workflows.release.endings import ending_of
from slipway_airflow.pages import actions
from slipway_airflow.pages.access import (
    CSRF_HEADER,
    User,
    person,
    readable,
    readable_declarations,
    remember,
    require_approver,
    require_operator,
    require_own_form,
    require_read,
)

router = APIRouter(prefix="/api/v1")

Reason = Annotated[str, Field(description="Why, in 10 to 500 characters; kept with your name.")]

Claim = Annotated[
    str | None,
    Field(description="On whose behalf; kept beside the name you are signed in with, never instead.", max_length=100),
]


class Body(BaseModel):
    """What a request carries. A field that is not named here is refused, so that a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class OverrideBody(Body):
    gate: Annotated[str, Field(description="The gate that did not pass, for example champion_gate.", max_length=100)]
    reason: Reason
    expires: Annotated[str, Field(description="2d, 12h, or a time in ISO 8601; at most 90 days away.", max_length=60)]
    requested_by: Claim = None


class GateBody(Body):
    gate: Annotated[str, Field(description="The gate to judge again from, with what follows it.", max_length=100)]


class ApproveBody(Body):
    gate: Annotated[str, Field(description="The gate that waits for an answer.", max_length=100)]
    reason: Reason


class ReasonBody(Body):
    reason: Reason


class IncidentBody(Body):
    reason: Reason
    requested_by: Claim = None


class SnoozeBody(IncidentBody):
    until: Annotated[str, Field(description="The first day of data that reminds again, YYYY-MM-DD.", max_length=10)]


class RollbackBody(Body):
    reason: Reason
    revision: Annotated[int, Field(description="The champion's revision to replace; another one is refused.")]
    requested_by: Claim = None


class RetrainBody(Body):
    as_of: Annotated[str, Field(description="The data time, UTC, for example 2013-06-17.", max_length=60)]
    reason: Annotated[str, Field(description="Why, in 1 to 500 characters.", max_length=500)]
    supersede: Annotated[bool, Field(description="Replace a journey under way.")] = False
    issue: Annotated[str | None, Field(description="A ticket this belongs to.", max_length=200)] = None
    requested_by: Claim = None


@router.get("/models", summary="Every model: champion, features, drift, newest journey, what waits")
def models(request: Request, user: User, sort: str = "waits") -> JSONResponse:
    view = models_views.models(sort, datetime.now(UTC))
    shown = models_views.only(view, readable(user, [r.model for r in view.rows]))
    return _json(
        {
            "models": [asdict(r) for r in shown.rows],
            "broken": readable_declarations(user, view.broken),
            "out_of_order": [each.as_json() for each in shown.out_of_order],
        }
    )


@router.get("/models/{model}", summary="One model: champions, readiness, newest journeys")
def model(request: Request, user: User, model: str) -> JSONResponse:
    require_read(request, user, model)
    view = model_views.model(model)
    return _json(
        {
            **asdict(view.row),
            "description": view.description,
            "champions": [asdict(e) for e in view.epochs],
            "readiness": [{"what": w, "has": has, "how": how} for w, has, how in view.readiness],
            "gates": view.report.as_json() if view.report else None,
        }
    )


@router.get("/models/{model}/candidates", summary="The model's candidates, newest first, with each gate's verdict")
def candidates(request: Request, user: User, model: str) -> JSONResponse:
    require_read(request, user, model)
    view = model_views.model(model)
    return _json(
        {"candidates": [{**asdict(c), "verdicts": view.verdicts.get(c.candidate_id, {})} for c in view.journeys]}
    )


@router.get("/models/{model}/decisions", summary="What the drift sensor decided, oldest first")
def decisions(request: Request, user: User, model: str) -> JSONResponse:
    require_read(request, user, model)
    model_views.model(model)
    with sources.open_ledger() as ledger:
        found = ledger.drift.decisions(model)
    return _json({"decisions": [asdict(d) for d in found[-model_views.SHOWN_DAYS :]]})


@router.get("/drift/{report_id}", summary="One drift report: features by effect times importance, and its decision")
def drift(request: Request, user: User, report_id: str) -> JSONResponse:
    view = drift_views.drift(report_id)
    require_read(request, user, view.model)
    return _json(asdict(view))


@router.get("/candidates/{candidate_id}", summary="One candidate: its state and what may be done")
def candidate(request: Request, user: User, candidate_id: str) -> JSONResponse:
    view = release_views.release(candidate_id, datetime.now(UTC))
    require_read(request, user, view.model)
    return _json(
        {
            **asdict(view.candidate),
            "headline": view.headline,
            "sentence": view.sentence,
            "phases": [
                {"name": p.name, "status": p.status, "gates": {g.gate: g.verdict or None for g in p.gates}}
                for p in view.phases
            ],
            "actions": [{"action": a.name, "gate": a.gate, "consequence": a.consequence} for a in view.actions],
            "race": asdict(view.race) if view.race else None,
            "lineage": dict(view.lineage),
            "mlflow_url": view.mlflow_url,
        }
    )


@router.get("/candidates/{candidate_id}/evidence", summary="Every gate's criteria: measured, allowed, interval, rows")
def evidence(request: Request, user: User, candidate_id: str) -> JSONResponse:
    view = release_views.release(candidate_id, datetime.now(UTC))
    require_read(request, user, view.model)
    return _json({"candidate_id": candidate_id, "gates": [asdict(g) for g in view.gates], "measured": view.measured})


@router.get("/incidents", summary="The open incidents, newest first; with all=true the closed ones too")
def incidents(request: Request, user: User, all: bool = False) -> JSONResponse:
    found = incident_views.listed(only_open=not all)
    allowed = readable(user, list({v.model for v in found}))
    return _json({"incidents": [incident_views.as_json(v) for v in found if v.model in allowed]})


@router.get("/models/{model}/incidents", summary="The model's incidents, newest first")
def incidents_of(request: Request, user: User, model: str) -> JSONResponse:
    require_read(request, user, model)
    model_views.model(model)
    return _json({"incidents": [incident_views.as_json(v) for v in incident_views.listed(model)]})


@router.get("/incidents/{incident_id}", summary="One incident: since when, what was tried, what it costs, what is next")
def incident(request: Request, user: User, incident_id: str) -> JSONResponse:
    view = incident_views.incident(incident_id)
    require_read(request, user, view.model)
    return _json(incident_views.as_json(view))


@router.get("/runs/{dag_id}/{run_id}", summary="How a run of a journey or a rollback ended, by the ledger")
def run(request: Request, user: User, dag_id: str, run_id: str) -> JSONResponse:
    require_read(request, user, dag_id.partition("_")[2])
    with sources.open_ledger() as ledger:
        found = ending_of(ledger, dag_id, run_id)
    if found is None:
        raise HTTPException(404, f"The ledger knows no journey and no rollback of the run {run_id} of {dag_id}.")
    return _json(found.as_json())


@router.post("/candidates/{candidate_id}/overrides", status_code=201, summary="Let one candidate past one gate")
async def override(request: Request, user: User, candidate_id: str, body: OverrideBody) -> JSONResponse:
    by = await _approver_of(request, user, candidate_id, body.requested_by)
    made = await actions.override(candidate_id, body.gate, by, body.reason, body.expires)
    return _json(asdict(made), 201)


@router.post("/candidates/{candidate_id}/clear", summary="Judge again from a gate on")
async def clear(request: Request, user: User, candidate_id: str, body: GateBody) -> JSONResponse:
    await _approver_of(request, user, candidate_id)
    run_id = await actions.clear(request, candidate_id, body.gate, user.get_name())
    return _json({"candidate_id": candidate_id, "run_id": run_id})


@router.post("/candidates/{candidate_id}/approve", summary="Answer the gate that waits: the candidate may go on")
async def approve(request: Request, user: User, candidate_id: str, body: ApproveBody) -> JSONResponse:
    await _approver_of(request, user, candidate_id)
    await actions.approve(request, candidate_id, body.gate, body.reason)
    return _json({"candidate_id": candidate_id, "approved": body.gate})


@router.post("/candidates/{candidate_id}/reject", summary="End a journey under way")
async def reject(request: Request, user: User, candidate_id: str, body: ReasonBody) -> JSONResponse:
    by = await _approver_of(request, user, candidate_id)
    await actions.reject(request, candidate_id, by, body.reason)
    return _json({"candidate_id": candidate_id, "state": "rejected"})


@router.post("/incidents/{incident_id}/ack", summary="Acknowledge an incident: no reminder is sent any more")
async def acknowledge(request: Request, user: User, incident_id: str, body: IncidentBody) -> JSONResponse:
    return await _on_incident(request, user, incident_id, "ack", body)


@router.post("/incidents/{incident_id}/snooze", summary="No reminder of an incident before a day of data")
async def snooze(request: Request, user: User, incident_id: str, body: SnoozeBody) -> JSONResponse:
    return await _on_incident(request, user, incident_id, "snooze", body, body.until)


@router.post("/incidents/{incident_id}/accept", summary="Accept the new level: closes the incident, and is the anchor")
async def accept(request: Request, user: User, incident_id: str, body: IncidentBody) -> JSONResponse:
    return await _on_incident(request, user, incident_id, "accept", body)


async def _on_incident(
    request: Request, user: Any, incident_id: str, action: str, body: IncidentBody, until: str | None = None
) -> JSONResponse:
    _own(request, user)
    view = await run_in_threadpool(incident_views.incident, incident_id)
    by = await run_in_threadpool(require_approver, request, user, view.model, body.requested_by)
    await actions.on_incident(incident_id, action, by, body.reason, until)
    return _json(incident_views.as_json(await run_in_threadpool(incident_views.incident, incident_id)))


@router.get("/models/{model}/rollout", summary="The newest candidate's share of live traffic, and what is seen of it")
def rollout(request: Request, user: User, model: str) -> JSONResponse:
    require_read(request, user, model)
    return _json(rollout_views.as_json(_rollout_of(model)))


@router.post("/models/{model}/rollout/hold", summary="Take the candidate's share of live traffic away for now")
async def hold_rollout(request: Request, user: User, model: str, body: IncidentBody) -> JSONResponse:
    return await _on_rollout(request, user, model, "hold", body)


@router.post("/models/{model}/rollout/resume", summary="Give back the share of the step that was judged for")
async def resume_rollout(request: Request, user: User, model: str, body: IncidentBody) -> JSONResponse:
    return await _on_rollout(request, user, model, "resume", body)


@router.post("/models/{model}/rollout/abort", summary="End the rollout and reject the candidate")
async def abort_rollout(request: Request, user: User, model: str, body: IncidentBody) -> JSONResponse:
    return await _on_rollout(request, user, model, "abort", body)


async def _on_rollout(request: Request, user: Any, model: str, action: str, body: IncidentBody) -> JSONResponse:
    _own(request, user)
    if action == "hold":
        await run_in_threadpool(require_operator, request, user, model)
        by = (await run_in_threadpool(person, request, user, model)).claiming(body.requested_by)
    else:
        by = await run_in_threadpool(require_approver, request, user, model, body.requested_by)
    await run_in_threadpool(_rollout_of, model)
    await actions.on_rollout(model, action, by, body.reason)
    return _json(rollout_views.as_json(await run_in_threadpool(_rollout_of, model)))


def _rollout_of(model: str) -> rollout_views.RolloutView:
    found = rollout_views.rollout(model)
    if found is None:
        raise HTTPException(404, f"No candidate of {model} ever had a share of live traffic.")
    return found


@router.post("/models/{model}/rollback", status_code=202, summary="Champion back to the previous good champion")
async def roll_back(request: Request, user: User, model: str, body: RollbackBody) -> JSONResponse:
    _own(request, user)
    await run_in_threadpool(require_approver, request, user, model)
    run_id = await actions.roll_back(request, model, body.reason, body.revision, body.requested_by)
    return _json({"model": model, "dag_id": f"rollback_{model}", "run_id": run_id}, 202)


@router.post("/models/{model}/retrain", status_code=202, summary="Start a journey, once for each key")
async def retrain(
    request: Request,
    user: User,
    model: str,
    body: RetrainBody,
    idempotency_key: Annotated[str, Header(description="The same key starts one journey, however often it is sent.")],
) -> JSONResponse:
    _own(request, user)
    await run_in_threadpool(require_operator, request, user, model)
    conf = body.model_dump(exclude_none=True)
    await run_in_threadpool(lambda: remember(model, person(request, user, model)))
    run_id, started = await actions.retrain(request, model, conf, idempotency_key, user.get_name())
    return _json({"model": model, "dag_id": f"retrain_{model}", "run_id": run_id, "started": started}, 202)


async def _approver_of(request: Request, user: Any, candidate_id: str, claimed: str | None = None) -> Person:
    _own(request, user)
    view = await run_in_threadpool(release_views.release, candidate_id, datetime.now(UTC))
    return await run_in_threadpool(require_approver, request, user, view.model, claimed)


def _own(request: Request, user: Any) -> None:
    require_own_form(request, user, request.headers.get(CSRF_HEADER))


def _json(data: Any, status: int = 200) -> JSONResponse:
    return JSONResponse(_plain(data), status)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, datetime) else value
