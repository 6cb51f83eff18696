"""The pages of feature views."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response

from include.workflows.pages import feature_views, sources
from slipway_airflow.pages import counted
from slipway_airflow.pages.access import User, readable, readable_views, require_view
from slipway_airflow.pages.render import airflow_base, page

router = APIRouter(include_in_schema=False)


@router.get("/features")
def features(request: Request, user: User) -> Response:
    declared = sources.declared_now()
    seen = readable_views(user, {each.name for each in declared.views.values()})
    models = readable(user, declared.models)
    return page(request, "features.html", rows=feature_views.views(datetime.now(UTC), seen), models=models)


@router.get("/features/{name}")
def feature_view(request: Request, user: User, name: str) -> Response:
    require_view(request, user, name.partition("@")[0])
    view = feature_views.view(name, datetime.now(UTC))
    return page(
        request,
        "feature_view.html",
        view=view,
        models=readable(user, sources.declared_now().models),
        rows_by_day=counted.rows_by_day([(each.day, each.rows) for each in view.days]),
        dag_url=f"{airflow_base(request)}/dags/features_{view.declared.slug}",
    )
