"""By whom a model is served online: one row a model, whose revision only grows and is compared before it is changed.

A promotion and a rollback move it in their own transaction. The columns of a second arm (``canary_id``, its share, the
salt that units are drawn by, the lease after which the share ends) are empty unless a rollout is under way.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from include.adapters.ledger.database import Database, clock
from include.adapters.ledger.epochs import epoch_of
from include.adapters.ledger.errors import LedgerError
from include.adapters.ledger.tables import deployment_history, routes
from include.domain.faults import crashpoint
from include.domain.promotion import Epoch

NO_ARM: dict[str, Any] = {
    "canary_id": None,
    "share_ppm": 0,
    "number": None,
    "salt": None,
    "lease_s": None,
    "renewed_at": None,
}


class RouteChanged(LedgerError):
    """Somebody else moved the route first."""

    def __init__(self, model: str, expected: int) -> None:
        super().__init__(f"The route of {model} is not at revision {expected} any more; read it and decide again.")


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """By whom one model is served.

    Attributes:
        route_revision: grows with every change of the route.
        revision: of the deployment whose champion serves.
        canary_id: the candidate beside it; None for none.
        share_ppm: of a million requests, how many ask it.
        number: which rollout of that candidate.
        salt: units are drawn by it.
        lease_s: how long after ``renewed_at`` the share ends by itself, in seconds.
    """

    model: str
    route_revision: int
    revision: int
    champion_id: str
    recorded_at: datetime
    canary_id: str | None = None
    share_ppm: int = 0
    number: int | None = None
    salt: str | None = None
    lease_s: float | None = None
    renewed_at: datetime | None = None


class Routes:
    """Finds routes. They are moved by promotions and rollbacks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, model: str) -> RouteRecord | None:
        """The model's route; None when it never had a champion."""
        with self._database.reading() as connection:
            return route_in(connection, model)

    def heads(self, models: Collection[str]) -> dict[str, tuple[RouteRecord, Epoch]]:
        """By model, its route and the epoch that serves, as of one moment; models without a champion are left out."""
        mine = (routes.c.model == deployment_history.c.model) & (routes.c.revision == deployment_history.c.revision)
        with self._database.reading() as connection:
            found = {
                row.model: _record(row) for row in connection.execute(select(routes).where(routes.c.model.in_(models)))
            }
            epochs = select(deployment_history).join(routes, mine).where(routes.c.model.in_(models))
            return {row.model: (found[row.model], epoch_of(row)) for row in connection.execute(epochs)}


def route_in(connection: Connection, model: str) -> RouteRecord | None:
    row = connection.execute(select(routes).where(routes.c.model == model)).one_or_none()
    return None if row is None else _record(row)


def moved_in(connection: Connection, epoch: Epoch) -> None:
    """The route follows the deployment, in the same transaction; whatever was beside the champion ends."""
    values = {"revision": epoch.revision, "champion_id": epoch.to_candidate, "recorded_at": clock(), **NO_ARM}
    now = route_in(connection, epoch.model)
    if now is None:
        connection.execute(insert(routes).values(model=epoch.model, route_revision=epoch.revision, **values))
    else:
        mine = (routes.c.model == epoch.model, routes.c.route_revision == now.route_revision)
        values["route_revision"] = now.route_revision + 1
        if connection.execute(update(routes).where(*mine).values(**values)).rowcount != 1:
            raise RouteChanged(epoch.model, now.route_revision)
    crashpoint("ledger.route.moved")


def _record(row: Row[Any]) -> RouteRecord:
    return RouteRecord(
        model=row.model,
        route_revision=row.route_revision,
        revision=row.revision,
        champion_id=row.champion_id,
        recorded_at=row.recorded_at,
        canary_id=row.canary_id,
        share_ppm=row.share_ppm,
        number=row.number,
        salt=row.salt,
        lease_s=row.lease_s,
        renewed_at=row.renewed_at,
    )
