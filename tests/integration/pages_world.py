"""Slipway's pages under a small Airflow: its real auth manager, tokens and middleware, and a stand-in for its REST.

The stand-in remembers what was asked of it and by whom, so that a test can say what a button did.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from airflow_process import ROLES, AirflowProcess, living_with

from include.adapters.airflow_api import AirflowApi
from include.adapters.ledger import Ledger, Partition, PartitionStatus
from include.config import Declarations


@dataclass
class Asked:
    """One call of Airflow's REST."""

    method: str
    path: str
    body: Any
    who: str


@dataclass
class FakeAirflow:
    """What the stand-in knows and was asked."""

    asked: list[Asked] = field(default_factory=list)
    runs: dict[str, Any] = field(default_factory=dict)
    waits: set[str] = field(default_factory=set)
    scheduler: str = "healthy"

    def changes(self) -> list[tuple[str, str, str]]:
        """Every write as (method, path, who)."""
        return [(a.method, a.path, a.who) for a in self.asked if a.method != "GET"]


def published(day: str) -> Partition:
    """A day of flight_delay's spine, as the ledger keeps it."""
    return Partition(
        view="flight_schedule",
        view_version=1,
        day=day,
        status=PartitionStatus.PUBLISHED,
        rows=950,
        content_hash="sha256:rows",
        code_hash="sha256:code",
        table_version=4,
        source_rows=960,
        source_watermark=None,
        run_id="features-1",
    )


@dataclass
class PagesWorld:
    client: Any
    airflow: FakeAirflow
    ledger: Ledger
    declared: Declarations
    secrets: tuple[str, ...] = ()

    def headers(self, user: str | None, **more: str) -> dict[str, str]:
        return {**({"Authorization": f"Bearer {self.token(user)}"} if user else {}), **more}

    @staticmethod
    def token(user: str, **how: Any) -> str:
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        return str(get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=user, role=ROLES[user]), **how))

    def publish(self, *days: str) -> None:
        """As if these days of the spine of flight_delay had been published."""
        for day in days:
            self.ledger.partitions.record([published(day)])

    def airflow_api(self, user: str) -> AirflowApi:
        """Slipway's own client, signed in as the user."""
        api = AirflowApi("http://testserver", user, "not asked for here")
        api._http, api._token = self.client, self.token(user)
        return api

    def rest(self, method: str, path: str, body: Any, user: str) -> Any:
        """A call of Airflow's own REST."""
        return self.client.request(method, f"/api/v2/{path}", json=body, headers=self.headers(user))

    def get(self, path: str, user: str | None = "vera", **more: str) -> Any:
        return self.client.get(f"/slipway{path}", headers=self.headers(user, **more))

    def page(self, path: str, user: str | None = "vera") -> Any:
        return self.get(path, user, accept="text/html")

    def post(self, path: str, body: Any, user: str | None = "otto", **more: str) -> Any:
        return self.client.post(f"/slipway{path}", json=body, headers=self.headers(user, **more))


def _root(airflow: FakeAirflow) -> Any:
    from airflow.api_fastapi.app import get_auth_manager, init_auth_manager
    from airflow.api_fastapi.auth.middlewares.refresh_token import JWTRefreshMiddleware
    from airflow.api_fastapi.core_api.security import GetUserDep
    from fastapi import FastAPI, HTTPException, Request
    from slipway_airflow.limits import BodyLimit
    from slipway_airflow.pages.guard import ApproverGuard
    from slipway_airflow.pages.mount import PREFIX, KeepRoot, late_app

    root = FastAPI()
    init_auth_manager(root)
    if get_auth_manager() is None:
        raise RuntimeError("no auth manager")

    # Not a string annotation: FastAPI resolves those in the module, where Airflow is not imported.
    async def rest(path: str, request: Request, user) -> Any:
        body = await request.json() if await request.body() else None
        airflow.asked.append(Asked(request.method, path, body, user.get_name()))
        if path == "monitor/health":
            return {"scheduler": {"status": airflow.scheduler}}
        if path.endswith("/dagRuns"):
            run_id = body["dag_run_id"]
            if run_id in airflow.runs:
                raise HTTPException(409, "DagRun already exists")
            airflow.runs[run_id] = {
                "dag_run_id": run_id,
                "conf": body["conf"],
                "state": "queued",
                "run_type": "manual",
                "triggering_user_name": user.get_name(),
            }
            return airflow.runs[run_id]
        if path.endswith("/hitlDetails"):
            task = path.split("/")[5]
            if task not in airflow.waits:
                raise HTTPException(404, "Human-in-the-loop detail not found")
            if request.method == "PATCH":
                airflow.waits.discard(task)
            return {"response_received": False}
        if request.method == "GET":
            found = airflow.runs.get(path.rpartition("/")[2])
            if found is None:
                raise HTTPException(404, "The DagRun was not found")
            return found
        return {"task_instances": []}

    rest.__annotations__ |= {"path": str, "request": Request, "user": GetUserDep}
    root.api_route("/api/v2/{path:path}", methods=["GET", "POST", "PATCH", "DELETE"])(rest)
    root.mount(PREFIX, late_app)
    root.add_middleware(JWTRefreshMiddleware)
    root.add_middleware(KeepRoot)
    root.add_middleware(ApproverGuard)
    root.add_middleware(BodyLimit)
    return root


@contextmanager
def pages_in(airflow: AirflowProcess, home: Path) -> Iterator[PagesWorld]:
    """The pages on an empty ledger in the folder."""
    from fastapi.testclient import TestClient

    from include.config import loader
    from include.workflows.pages import sources

    url = f"sqlite:///{home / 'ledger.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_HOME", str(home))
        patch.setenv("SLIPWAY_LEDGER_URL", url)
        patch.delenv("SLIPWAY_MLFLOW_PAGES_URL", raising=False)
        loader.declarations.cache_clear()
        stand_in = FakeAirflow()
        with living_with(airflow.environment), Ledger.open(url) as ledger:
            client = TestClient(_root(stand_in), base_url="http://testserver", raise_server_exceptions=False)
            yield PagesWorld(client, stand_in, ledger, loader.declarations())
        sources.close()
        loader.declarations.cache_clear()


@pytest.fixture
def pages(airflow_imported: AirflowProcess, tmp_path: Path) -> Iterator[PagesWorld]:
    """The pages on an empty ledger."""
    with pages_in(airflow_imported, tmp_path) as world:
        yield world
