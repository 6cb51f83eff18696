"""Puts the application under ``/slipway`` without importing it in processes that serve no pages.

Airflow loads a plugin in every process. FastAPI, SQLAlchemy and the declarations would cost a second there, so the
application is imported by the one process that builds the root middlewares: the API server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from slipway_airflow.pages.scope import ROOT

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX = "/slipway"


class LateApp:
    """The application, imported with the first use."""

    def __init__(self) -> None:
        self._app: App | None = None

    def load(self) -> App:
        if self._app is None:
            from slipway_airflow.pages.app import make_app

            self._app = make_app()
        return self._app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.load()(scope, receive, send)


late_app = LateApp()


class LateGuard:
    """The root middleware of ``guard``, imported while the server starts."""

    def __init__(self, app: App) -> None:
        from slipway_airflow.pages.guard import ApproverGuard

        self._guard = ApproverGuard(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guard(scope, receive, send)


class KeepRoot:
    """A root middleware: remembers Airflow's application in the scope, and loads ours while the server starts."""

    def __init__(self, app: App) -> None:
        self.app = app
        late_app.load()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[ROOT] = scope["app"]
        await self.app(scope, receive, send)
