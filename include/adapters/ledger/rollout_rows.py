"""Rollouts within a transaction that is open: what their rows say, and one more event with the route it leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from include.adapters.ledger.database import clock, next_number, plain, words
from include.adapters.ledger.errors import NoRollout
from include.adapters.ledger.routes import NO_ARM, RouteChanged, route_in
from include.adapters.ledger.tables import rollout_events, rollouts, routes
from include.domain.canary.plan import CanaryPlan
from include.domain.canary.rollout import OVER, RolloutEvent, RolloutStage, RolloutState, after


@dataclass(frozen=True, slots=True)
class RolloutEventRecord:
    """One thing that happened; ``state`` is where it left the rollout.

    ``attempt`` is that of the verdict that let the share grow; None for all else. ``key`` names the event, so that the
    same one again changes nothing.
    """

    seq: int
    event: RolloutEvent
    state: RolloutState
    attempt: int | None
    actor: str
    reason: str
    evidence: Mapping[str, Any] | None
    key: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """One rollout, and everything that happened to it."""

    candidate_id: str
    number: int
    model: str
    champion_id: str
    champion_revision: int
    digest: str
    salt: str
    plan: CanaryPlan
    lease_s: float
    run_id: str
    recorded_at: datetime
    events: tuple[RolloutEventRecord, ...]

    @property
    def state(self) -> RolloutState:
        return self.events[-1].state

    @property
    def has_passed(self) -> bool:
        """Whether every step has passed, and nothing but the end of its lease came after."""
        last = next((each for each in reversed(self.events) if each.event is not RolloutEvent.EXPIRE), None)
        return last is not None and last.event is RolloutEvent.FINISH

    @property
    def is_over(self) -> bool:
        return self.state.stage in OVER


@dataclass(frozen=True, slots=True)
class Happened:
    """What is to be appended to a rollout: by whom, why, and under which key."""

    actor: str
    reason: str
    key: str
    evidence: Mapping[str, Any] | None = None


def rollouts_in(connection: Connection, candidate_id: str) -> list[RolloutRecord]:
    query = select(rollouts).where(rollouts.c.candidate_id == candidate_id).order_by(rollouts.c.number)
    return [record_of(connection, dict(row)) for row in connection.execute(query).mappings()]


def rollout_in(connection: Connection, candidate_id: str, number: int) -> RolloutRecord | None:
    return next((each for each in rollouts_in(connection, candidate_id) if each.number == number), None)


def ended_in(connection: Connection, candidate_id: str, said: Happened) -> None:
    """End what the candidate takes of live traffic, because it takes no part any more; nothing where it takes none."""
    for found in rollouts_in(connection, candidate_id)[-1:]:
        if not found.is_over:
            append_in(connection, found, RolloutEvent.ABORT, after(found.plan, found.state, RolloutEvent.ABORT), said)


def append_in(
    connection: Connection,
    found: RolloutRecord,
    event: RolloutEvent,
    state: RolloutState,
    said: Happened,
    *,
    attempt: int | None = None,
) -> RolloutRecord:
    """Append the event, and move the route to what it says, in one transaction."""
    key = {"candidate_id": found.candidate_id, "number": found.number}
    connection.execute(
        insert(rollout_events).values(
            **key,
            seq=next_number(connection, rollout_events, "seq", key),
            kind=event.value,
            stage=state.stage.value,
            step=state.step,
            share_ppm=state.share_ppm,
            attempt=attempt,
            actor=words("actor", said.actor),
            reason=words("reason", said.reason),
            evidence=None if said.evidence is None else plain("evidence", said.evidence),
            event_key=words("key", said.key),
            recorded_at=clock(),
        )
    )
    _route(connection, found, state)
    changed = rollout_in(connection, found.candidate_id, found.number)
    if changed is None:
        raise NoRollout(found.candidate_id, found.number)
    return changed


def _route(connection: Connection, found: RolloutRecord, state: RolloutState) -> None:
    route = route_in(connection, found.model)
    if route is None:
        raise RouteChanged(found.model, 0)
    arm = dict(NO_ARM)
    if state.stage not in OVER:
        arm = {
            "canary_id": found.candidate_id,
            "share_ppm": state.share_ppm,
            "number": found.number,
            "salt": found.salt,
            "lease_s": found.lease_s,
            "renewed_at": clock(),
        }
    mine = (routes.c.model == found.model, routes.c.route_revision == route.route_revision)
    values = {**arm, "route_revision": route.route_revision + 1, "recorded_at": clock()}
    if connection.execute(update(routes).where(*mine).values(**values)).rowcount != 1:
        raise RouteChanged(found.model, route.route_revision)


def record_of(connection: Connection, row: Mapping[str, Any]) -> RolloutRecord:
    mine = (rollout_events.c.candidate_id == row["candidate_id"], rollout_events.c.number == row["number"])
    events = connection.execute(select(rollout_events).where(*mine).order_by(rollout_events.c.seq))
    return RolloutRecord(
        **{name: row[name] for name in row if name != "plan"},
        plan=CanaryPlan.from_json(row["plan"]),
        events=tuple(
            RolloutEventRecord(
                seq=each.seq,
                event=RolloutEvent(each.kind),
                state=RolloutState(RolloutStage(each.stage), each.step, each.share_ppm),
                attempt=each.attempt,
                actor=each.actor,
                reason=each.reason,
                evidence=each.evidence,
                key=each.event_key,
                recorded_at=each.recorded_at,
            )
            for each in events
        ),
    )
