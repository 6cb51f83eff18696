"""The application: routes, errors, headers. The application checks the user for every route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from slipway_airflow.pages import errors, feature_routes, form_routes, html_routes, rest_routes
from slipway_airflow.pages.access import User, signed_in
from slipway_airflow.pages.render import HEADERS

DESCRIPTION = (
    "Models, candidates, evidence, overrides, rollbacks and drift decisions. Get a token with POST /auth/token and "
    "send it as a bearer token. A viewer reads; only an operator acts."
)


def make_app() -> FastAPI:
    # FastAPI's own documentation pages load scripts from another host and ask for no sign-in: ours is /api.
    app = FastAPI(
        title="Slipway",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(signed_in)],
    )
    app.include_router(html_routes.router)
    app.include_router(feature_routes.router)
    app.include_router(form_routes.router)
    app.include_router(rest_routes.router)

    @app.get("/openapi.json", include_in_schema=False)
    def openapi(user: User) -> JSONResponse:
        return JSONResponse(app.openapi())

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    def nothing_here(path: str, user: User) -> Any:
        raise errors.HTTPException(404, f"There is no page {path[:80]!r}. All models are at the top.")

    errors.install(app)

    @app.middleware("http")
    async def headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return app
