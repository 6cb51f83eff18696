"""A model's route: moved with its deployment or not at all, by a revision that only grows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ledger_fixtures import MODEL, challenger, promote
from sqlalchemy import delete, insert, update

from include.adapters.ledger import (
    InstanceRecord,
    Ledger,
    RollbackRequest,
    RouteRecord,
    ledger_invariants,
    routes,
    tables,
)
from include.domain.authority import OPERATORS, Person

NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)


def rolled_back(ledger: Ledger) -> None:
    asked = RollbackRequest(MODEL, "it is worse", "rollback-1")
    ledger.deployments.rollback(asked, by=Person("ada", frozenset({"op"}), operator=True), approvers=OPERATORS)


def test_a_model_that_never_had_a_champion_has_no_route(ledger: Ledger) -> None:
    challenger(ledger, "run-1", digest="d1")
    assert ledger.routes.of(MODEL) is None
    assert ledger.routes.heads([MODEL]) == {}


def test_a_promotion_and_a_rollback_move_the_route_forward(ledger: Ledger) -> None:
    first, second = challenger(ledger, "run-1", digest="d1"), None
    promote(ledger, first)
    second = challenger(ledger, "run-2", digest="d2")
    promote(ledger, second)
    route = ledger.routes.of(MODEL)
    assert route is not None
    assert (route.route_revision, route.revision, route.champion_id) == (2, 2, second.candidate_id)
    rolled_back(ledger)
    ((now, epoch),) = ledger.routes.heads([MODEL, "another"]).values()
    assert (now.route_revision, now.revision, now.champion_id) == (3, 3, first.candidate_id)
    assert (epoch.revision, epoch.to_candidate, epoch.digest) == (3, first.candidate_id, "d1")


def test_what_was_beside_the_champion_ends_with_any_change_of_the_champion(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1", digest="d1")
    promote(ledger, first)
    beside = {"canary_id": first.candidate_id, "share_ppm": 10_000, "number": 1, "salt": "s", "lease_s": 120.0}
    with ledger.database.writing() as connection:
        connection.execute(update(tables.routes).values(route_revision=7, renewed_at=NOON, **beside))
    found = ledger.routes.of(MODEL)
    assert found is not None
    assert (found.share_ppm, found.canary_id, found.lease_s, found.renewed_at) == (
        10_000,
        first.candidate_id,
        120,
        NOON,
    )
    promote(ledger, challenger(ledger, "run-2", digest="d2"))
    now = ledger.routes.of(MODEL)
    assert now is not None
    assert (now.route_revision, now.revision) == (8, 2)
    assert {name: getattr(now, name) for name in routes.NO_ARM} == routes.NO_ARM


def test_a_route_that_somebody_moved_meanwhile_takes_the_promotion_with_it(ledger: Ledger, monkeypatch) -> None:
    promote(ledger, challenger(ledger, "run-1", digest="d1"))
    stale = ledger.routes.of(MODEL)
    with ledger.database.writing() as connection:
        connection.execute(update(tables.routes).values(route_revision=5))
    monkeypatch.setattr(routes, "route_in", lambda connection, model: stale)
    second = challenger(ledger, "run-2", digest="d2")
    with pytest.raises(routes.RouteChanged, match="is not at revision 1 any more"):
        promote(ledger, second)
    monkeypatch.undo()
    head = ledger.deployments.champion(MODEL)
    assert head is not None
    assert head.revision == 1, "nothing of the promotion is left"


def test_i2_a_route_that_is_not_the_deployment_s_is_named(ledger: Ledger) -> None:
    promote(ledger, challenger(ledger, "run-1", digest="d1"))
    kept = ledger.routes.of(MODEL)
    assert isinstance(kept, RouteRecord)
    with ledger.database.writing() as connection:
        connection.execute(delete(tables.routes))
    (broken,) = ledger_invariants(ledger)
    assert broken.startswith(f"I2 {MODEL}: the route is none, and the deployment (1, ")
    values = {name: getattr(kept, name) for name in RouteRecord.__slots__}
    with ledger.database.writing() as connection:
        connection.execute(insert(tables.routes).values(**values))
    assert ledger_invariants(ledger) == []


def test_an_instance_says_what_it_serves_and_that_it_ends_and_may_begin_again(ledger: Ledger) -> None:
    said = InstanceRecord("here-8100", "here", NOON, {MODEL: {"served": []}}, watermark=NOON)
    ledger.instances.say(said)
    ledger.instances.say(said)
    (found,) = ledger.instances.all()
    assert (found.host, found.started_at, found.watermark, found.models) == (
        "here",
        NOON,
        NOON,
        {MODEL: {"served": []}},
    )
    assert found.seen_at is not None
    assert found.is_seen(found.seen_at)
    ledger.instances.end("here-8100")
    (ended,) = ledger.instances.all()
    assert ended.ended_at is not None
    assert not ended.is_seen(found.seen_at)
    ledger.instances.say(said)
    assert ledger.instances.all()[0].ended_at is None
    ledger.instances.end("nobody")
