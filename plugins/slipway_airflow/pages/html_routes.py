"""The pages and their forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from include.workflows.features import data_docs
from include.workflows.journey.facts import ROC_OF_CLASS
from include.workflows.pages import drift as drift_views
from include.workflows.pages import incidents as incident_views
from include.workflows.pages import live as live_views
from include.workflows.pages import model as model_views
from include.workflows.pages import models as models_views
from include.workflows.pages import release as release_views
from include.workflows.pages import sources, standing
from slipway_airflow.pages import charts, counted
from slipway_airflow.pages.access import (
    User,
    csrf_token,
    may_act,
    readable,
    readable_declarations,
    readable_views,
    require_read,
    require_view,
)
from slipway_airflow.pages.render import HERE, airflow_base, base, message, page, runbook

router = APIRouter(include_in_schema=False)
ONLY_SHOWN = (
    "sandbox allow-same-origin; default-src 'none'; style-src 'self'; form-action 'none'; frame-ancestors 'self'"
)
_STATIC = {"slipway.css": "text/css", "slipway.js": "text/javascript"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One line of what was recorded about a candidate."""

    when: datetime
    what: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class RefusedForm:
    """A form that was refused: it comes back with what was typed, and the line beside the field it is about."""

    action: str
    gate: str
    typed: Mapping[str, str]
    line: str
    field: str | None
    """The field's name; None when the line is about no field."""
    status: int


@router.get("/static/{name}")
def static(name: str, user: User) -> Response:
    if name not in _STATIC:
        raise HTTPException(404, f"There is no file {name!r} here; there are: {', '.join(_STATIC)}.")
    return FileResponse(HERE / "static" / name, media_type=_STATIC[name], headers={"Cache-Control": "max-age=300"})


@router.get("/")
def models(
    request: Request, user: User, sort: str = "waits", find: str = "", owner: str = "", state: str = ""
) -> Response:
    view = models_views.models(sort, datetime.now(UTC))
    broken = readable_declarations(user, view.broken)
    mine = models_views.only(view, readable(user, [r.model for r in view.rows]))
    narrowed = models_views.Narrowed(find, owner, state)
    return page(
        request,
        "models.html",
        view=models_views.narrow(mine, narrowed),
        mine=mine,
        narrowed=narrowed,
        states=standing.STATES,
        broken=broken,
    )


@router.get("/models/{name}")
def model(
    request: Request,
    user: User,
    name: str,
    first: Annotated[str, Query(alias="from")] = "",
    until: Annotated[str, Query(alias="to")] = "",
) -> Response:
    require_read(request, user, name)
    return model_page(request, user, name, chosen=model_views.ShownRange.of(first, until))


def model_page(
    request: Request,
    user: Any,
    name: str,
    refused: RefusedForm | None = None,
    chosen: model_views.ShownRange | None = None,
) -> Response:
    view = model_views.model(name, chosen, datetime.now(UTC))
    days = view.shown
    metric = next((str(d.realised["metric"]) for d in reversed(days) if d.realised.get("metric")), "loss")
    incidents = incident_views.listed(name)
    anchored = [
        charts.Anchored(v.record.opened_on, v.state.get("closed_on"), v.state["anchor"], v.state["band"])
        for v in incidents
        if v.state.get("metric") == metric
    ]
    marks = [(f"{e.effective_from:%Y-%m-%d}", e.kind.value, f"v{e.model_version}") for e in view.epochs]
    return page(
        request,
        "model.html",
        refused.status if refused else 200,
        refused=refused,
        view=view,
        metric=metric,
        chosen=chosen or model_views.ShownRange(),
        ranges=model_views.ranges(view.days),
        reads=[use.view for use in view.declared.views] if view.declared else [],
        performance=charts.performance(days, marks, metric, anchored, f"{base(request)}/drift/"),
        anchored=anchored,
        incidents=[(v, incident_views.summary(v)) for v in incidents],
        estimated=any(d.estimated.get("risk") is not None and not d.estimated.get("void") for d in days),
        void=sum(bool(d.estimated.get("void")) for d in days),
        highest=max((v for _, values in view.features for v in values if v is not None), default=1.0),
        journeys=view.journeys[: model_views.MATRIX_JOURNEYS],
        may_act=may_act(request, user, name),
        csrf=csrf_token(user),
        dag_url=f"{airflow_base(request)}/dags/retrain_{quote(name)}",
        online=name in (known := sources.declared_now().models) and known[name].serving.mode == "online",
    )


@router.get("/models/{name}/live")
def live(request: Request, user: User, name: str, unit: str = "") -> Response:
    require_read(request, user, name)
    return live_page(request, user, name, unit=unit[:200])


def live_page(request: Request, user: Any, name: str, refused: RefusedForm | None = None, unit: str = "") -> Response:
    return page(
        request,
        "live.html",
        refused.status if refused else 200,
        refused=refused,
        view=live_views.live(name, datetime.now(UTC), unit),
        may_act=may_act(request, user, name),
        csrf=csrf_token(user),
    )


@router.get("/candidates/{candidate_id}")
def candidate(request: Request, user: User, candidate_id: str) -> Response:
    view = release_views.release(candidate_id, datetime.now(UTC))
    require_read(request, user, view.model)
    return candidate_page(request, user, view)


def candidate_page(
    request: Request, user: Any, view: release_views.ReleaseView, refused: RefusedForm | None = None
) -> Response:
    declared = sources.declared_now().models.get(view.model)
    return page(
        request,
        "release.html",
        refused.status if refused else 200,
        refused=refused,
        view=view,
        curves=_curves(view),
        weight=declared.weight if declared else None,
        has_champion=any((values.get("champion") is not None) for values in view.measured.values()),
        recorded=_recorded(view),
        reads=[use.view for use in declared.views] if declared and view.lacks_data else [],
        data_docs=bool(data_docs.pages(use.view for use in declared.views)) if declared else False,
        may_act=may_act(request, user, view.model),
        csrf=csrf_token(user),
        run_url=_run_url(request, f"retrain_{view.model}", view.candidate.run_id),
    )


@router.get("/drift/{report_id}")
def drift(request: Request, user: User, report_id: str) -> Response:
    view = drift_views.drift(report_id)
    require_read(request, user, view.model)
    return page(
        request,
        "drift.html",
        view=view,
        top=max((f.rank for f in view.features), default=0.0),
        journey_url=f"{base(request)}/candidates/{quote(view.journey)}" if view.journey else None,
        run_url=_run_url(request, f"drift_{view.model}", view.run_id),
    )


@router.get("/incidents/{incident_id}")
def incident(request: Request, user: User, incident_id: str) -> Response:
    view = incident_views.incident(incident_id)
    require_read(request, user, view.model)
    return incident_page(request, user, view)


def incident_page(
    request: Request, user: Any, view: incident_views.IncidentView, refused: RefusedForm | None = None
) -> Response:
    return page(
        request,
        "incident.html",
        refused.status if refused else 200,
        refused=refused,
        view=view,
        may_act=may_act(request, user, view.model),
        csrf=csrf_token(user),
    )


@router.get("/runs/{dag_id}/{run_id:path}")
def of_run(request: Request, user: User, dag_id: str, run_id: str) -> Response:
    """The tab on a run's page: a journey's release, a drift run's report, and for other runs a sentence."""
    kind, _, name = dag_id.partition("_")
    if kind == "retrain":
        require_read(request, user, name)
        found = release_views.candidate_of_run(name, run_id)
        if found:
            return candidate(request, user, found)
        return message(
            request,
            "No candidate yet",
            f"Run {run_id} has opened no journey: it has just started, or open_journey refused it; its log says why.",
            links=[(f"All journeys of {name}", f"{base(request)}/models/{quote(name)}")],
        )
    if kind == "drift":
        require_read(request, user, name)
        with sources.open_ledger() as ledger:
            report = ledger.overview.report_of_run(name, run_id)
        if report:
            return drift(request, user, report)
    if kind == "features":
        require_view(request, user, name)
        return _of_features(request, name, run_id)
    known = name in sources.declared_now().models
    links = [(f"The model {name}", f"{base(request)}/models/{quote(name)}")] if known else []
    return message(
        request,
        "This run releases nothing",
        "A release belongs to a run of a retrain Dag, a drift report to a run of a drift Dag.",
        links=[*links, ("All models", f"{base(request)}/")],
    )


def _of_features(request: Request, view: str, run_id: str) -> Response:
    mine = [p for p in data_docs.pages([view]) if p.run == data_docs.run_key(run_id)]
    links = [(f"Data Docs of {p.start} to before {p.end}", f"{base(request)}/data-docs/{view}/{p.name}") for p in mine]
    said = "Its audit found something: what, is in the Data Docs and at the end of the log of audit_gate."
    quiet = "It publishes days of a feature view. A release belongs to a run of a retrain Dag."
    links += [
        (f"The view {view}", f"{base(request)}/features/{quote(view)}"),
        ("Runbook", f"{base(request)}/runbook/audit_gate"),
        ("All models", f"{base(request)}/"),
    ]
    return message(request, f"Features: {view}", said if mine else quiet, links=links)


@router.get("/go/mlflow/{dag_id}/{run_id:path}")
def to_mlflow(request: Request, user: User, dag_id: str, run_id: str) -> Response:
    """Where the button on a task leads: the run in MLflow, once there is one."""
    view = _of_journey(request, user, dag_id, run_id)
    if view is None or view.mlflow_url is None:
        return message(request, "No MLflow run yet", f"Run {run_id} of {dag_id} has trained nothing so far.")
    return RedirectResponse(view.mlflow_url, 302)


@router.get("/go/champion/{dag_id}/{run_id:path}")
def to_champion(request: Request, user: User, dag_id: str, run_id: str) -> Response:
    """Where the button on a task leads: the candidate that serves now."""
    name = dag_id.partition("_")[2]
    require_read(request, user, name)
    row = model_views.model(name).row
    if row.champion is None:
        return message(request, "No champion yet", f"Nothing serves {name}: no candidate was promoted so far.")
    return RedirectResponse(f"{base(request)}/candidates/{quote(row.champion)}", 302)


def _of_journey(request: Request, user: Any, dag_id: str, run_id: str) -> release_views.ReleaseView | None:
    name = dag_id.partition("_")[2]
    require_read(request, user, name)
    found = release_views.candidate_of_run(name, run_id)
    return release_views.release(found, datetime.now(UTC)) if found else None


@router.get("/data-docs")
def all_data_docs(request: Request, user: User) -> Response:
    found = data_docs.pages(readable_views(user, sources.declared_now().views))
    return page(request, "data_docs.html", found=found)


@router.get("/data-docs/{view}/{name}")
def one_data_doc(request: Request, user: User, view: str, name: str) -> Response:
    """Great Expectations does not escape what it shows: no script in it may run, nothing be sent or fetched."""
    require_view(request, user, view)
    found = data_docs.text(view, name)
    if found is None:
        raise HTTPException(404, f"There is no Data Docs page {name[:60]!r} of {view[:60]!r} here.")
    style = f'<link rel="stylesheet" href="{base(request)}/static/slipway.css">'
    text = found.replace("</head>", f"{style}</head>", 1)
    return HTMLResponse(text, headers={"Content-Security-Policy": ONLY_SHOWN})


@router.get("/runbook/{name}")
def runbook_page(request: Request, user: User, name: str) -> Response:
    found = runbook(name)
    if found is None:
        raise HTTPException(404, f"The runbook has no page {name[:60]!r} on this server; it is in docs/runbook.")
    return page(request, "page.html", title=f"Runbook: {name.replace('_', ' ')}", prose=found)


@router.get("/api")
def api(request: Request, user: User) -> Response:
    return page(request, "api.html", operations=list(_operations(request.app.openapi())))


# --- shared ----------------------------------------------------------------------------------------------------------


def _run_url(request: Request, dag_id: str, run_id: str) -> str:
    return f"{airflow_base(request)}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}"


def _curves(view: release_views.ReleaseView) -> list[tuple[str, Any]]:
    found = view.curves or {}
    shown: list[tuple[str, Any]] = []
    if "roc" in found:
        shown.append(("ROC", charts.overlaid(found["roc"], "ROC: true over false positive rate", diagonal=True)))
    for kind in (k for k in found if k.startswith(ROC_OF_CLASS)):
        name = kind.removeprefix(ROC_OF_CLASS)
        title = f"ROC of {name} against the rest"
        shown.append((title, charts.overlaid(found[kind], title, diagonal=True)))
    for who, answers in (found.get("confusion") or {}).items():
        shown.append((f"Answers of the {who}", counted.confusion(answers)))
    if "calibration" in found:
        shown.append(("Calibration", charts.calibration(found["calibration"])))
    if "scores" in found:
        shown.append(("Scores", charts.histograms(found["scores"], "score", "Share of rows by score")))
    if "residuals" in found:
        residuals = {who: (r or {}).get("histogram") for who, r in found["residuals"].items()}
        shown.append(("Residuals", charts.histograms(residuals, "actual less predicted", "Share of rows by residual")))
    return shown


def _recorded(view: release_views.ReleaseView) -> list[Recorded]:
    """Transitions, overrides and promotions as one list, oldest first."""
    found = view.explanation
    lines = [Recorded(t.recorded_at, t.to_state.value.replace("_", " "), t.actor, t.reason) for t in found.transitions]
    lines += [Recorded(o.recorded_at, f"override of {o.gate}", o.decider, o.why) for o in found.overrides]
    lines += [
        Recorded(e.recorded_at, f"{e.kind.value}, revision {e.revision}", e.decider, e.reason) for e in found.epochs
    ]
    return sorted(lines, key=lambda line: line.when)


def _operations(schema: dict[str, Any]) -> Any:
    for path, methods in schema["paths"].items():
        for method, spec in methods.items():
            content = spec.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            body = schema.get("components", {}).get("schemas", {}).get(content.get("$ref", "").rpartition("/")[2], {})
            yield {
                "method": method.upper(),
                "path": path,
                "summary": spec.get("summary", ""),
                "description": spec.get("description", ""),
                "parameters": [{"description": "", **p} for p in spec.get("parameters", [])],
                "body": {name: {"description": "", **field} for name, field in body.get("properties", {}).items()},
                "required": body.get("required", []),
            }
