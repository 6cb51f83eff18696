"""One shape for every error, from whatever source: error, what, value, allowed, message. A browser gets it as a
page."""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from include.adapters.ledger import (
    Conflict,
    IncidentOver,
    JourneyUnderWay,
    LedgerUnavailable,
    NoRollout,
    OverrideStands,
    RolloutOver,
    RolloutUnderWay,
    UnknownCandidate,
    UnknownIncident,
)
from include.config.declared import UnknownName
from include.domain.authority import MayNotDecide
from include.domain.canary.rollout import NotOfARollout
from include.domain.errors import BadField, Refusal
from include.domain.incident_acts import NothingToAccept
from include.workflows.journey.request_checks import NoData
from include.workflows.pages.drift import UnknownReport
from slipway_airflow.pages.actions import AlreadyUnderWay, ChampionChanged, IdsTaken, KeyReused, NothingStarts
from slipway_airflow.pages.airflow_calls import AirflowSaidNo

log = logging.getLogger("slipway.pages")

STATUS: tuple[tuple[type[BaseException], int], ...] = (
    (UnknownCandidate, 404),
    (UnknownName, 404),
    (UnknownReport, 404),
    (UnknownIncident, 404),
    (IncidentOver, 409),
    (NoRollout, 404),
    (RolloutOver, 409),
    (RolloutUnderWay, 409),
    (NotOfARollout, 409),
    (NothingToAccept, 409),
    (MayNotDecide, 403),
    (NoData, 409),
    (IdsTaken, 409),
    (JourneyUnderWay, 409),
    (OverrideStands, 409),
    (Conflict, 409),
    (ChampionChanged, 409),
    (AlreadyUnderWay, 409),
    (KeyReused, 409),
    (NothingStarts, 503),
    (LedgerUnavailable, 503),
    (Refusal, 422),
)
_WORDS = {401: "Not signed in", 403: "Not allowed", 404: "Not found", 409: "Somebody was first", 503: "Not now"}


def install(app: FastAPI) -> None:
    """Give every error of the application this shape."""
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(LedgerUnavailable, _refused)
    app.add_exception_handler(Exception, _broken)


def status_of(error: BaseException) -> int:
    if isinstance(error, AirflowSaidNo):
        return error.status if error.status in (400, 401, 403, 404, 409, 422) else 502
    return next(status for kind, status in STATUS if isinstance(error, kind))


async def _http(request: Request, error: Any) -> Response:
    name = re.sub(r"\W+", "", _WORDS.get(error.status_code, "Refused").title())
    return _answer(request, error.status_code, name, None, None, None, str(error.detail))


async def _invalid(request: Request, error: Any) -> Response:
    # A field that does not exist explains the one that is missing, so it comes first.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    what = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    allowed = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"].lower()
    value = None if first["type"] == "missing" else _shown(first.get("input"))
    is_now = "missing" if first["type"] == "missing" else repr(value)[:200]
    return _answer(request, 422, "BadField", what, value, allowed, f"{what} is {is_now}; {allowed}.")


async def _refused(request: Request, error: Any) -> Response:
    what, value, allowed = getattr(error, "field", None), None, None
    if isinstance(error, BadField):
        what, value, allowed = error.what, error.value, error.allowed
    return _answer(request, status_of(error), type(error).__name__, what, _shown(value), allowed, str(error))


def _shown(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)[:200]


async def _broken(request: Request, error: Any) -> Response:
    log.exception("A page of Slipway broke", exc_info=error)
    said = "Slipway could not make this page. The API server's log has the reason."
    return _answer(request, 500, "Broken", None, None, None, said)


def _answer(
    request: Request, status: int, error: str, what: str | None, value: Any, allowed: str | None, said: str
) -> Response:
    if wants_page(request):
        from slipway_airflow.pages.render import airflow_base, message

        links = [("Sign in", f"{airflow_base(request)}/auth/login")] if status == 401 else []
        return message(request, _WORDS.get(status, "This was refused"), said, status, links=links)
    body = {"error": error, "what": what, "value": value, "allowed": allowed, "message": said}
    return JSONResponse(body, status)


def wants_page(request: Request) -> bool:
    """A browser's page or form, as opposed to a REST call."""
    path = request.url.path.removeprefix(str(request.scope.get("root_path", "")))
    return not path.startswith(("/api/v1/", "/openapi.json")) and "text/html" in request.headers.get("accept", "")


__all__ = ["HTTPException", "install", "status_of", "wants_page"]
