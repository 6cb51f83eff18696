"""What stopped a journey: a gate's verdict, a refusal, broken machinery. Each lap of a journey (its run, and each time
the run was cleared from its start) has its own, so that its end names the cause of this lap."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, and_, func, insert, select

from include.adapters.ledger.database import MAX_TEXT, Database, clock, next_number, words
from include.adapters.ledger.records import Stop, StopKind
from include.adapters.ledger.tables import candidate_transitions, journey_stops
from include.domain.gate_names import name_now
from include.domain.lifecycle import Event


class Stops:
    """Keeps and finds what stopped journeys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, candidate_id: str, step: str, kind: StopKind, said: str | None) -> None:
        """Keep what stopped the step in this lap; ``said`` None withdraws it. The same text again changes nothing."""
        step = name_now(words("step", step))
        said = None if said is None else words("said", said[:MAX_TEXT])
        with self._database.writing(f"stops:{candidate_id}") as connection:
            lap = lap_in(connection, candidate_id)
            newest = next((s for s in reversed(_of(connection, candidate_id, lap)) if _same(s, step, kind)), None)
            if (newest.said if newest else None) == said:
                return
            mine = {"candidate_id": candidate_id}
            number = next_number(connection, journey_stops, "number", mine)
            values = {"lap": lap, "step": step, "kind": kind.value, "said": said, "recorded_at": clock()}
            connection.execute(insert(journey_stops).values(**mine, number=number, **values))

    def take_back(self, candidate_id: str, step: str, kinds: Collection[StopKind]) -> None:
        """The step succeeded: what stopped it in this lap no longer counts. Nothing is written when there was no
        stop."""
        for stop in in_force(self.of_lap(candidate_id)):
            if stop.step == step and stop.kind in kinds:
                self.record(candidate_id, step, stop.kind, None)

    def lap(self, candidate_id: str) -> int:
        """Which lap the journey is in: 1, and one more each time it was opened again."""
        with self._database.reading() as connection:
            return lap_in(connection, candidate_id)

    def of_lap(self, candidate_id: str) -> list[Stop]:
        """All that was recorded of this lap, oldest first, withdrawn ones too."""
        with self._database.reading() as connection:
            return _of(connection, candidate_id, lap_in(connection, candidate_id))


def in_force(stops: list[Stop]) -> list[Stop]:
    """Those of one lap that were not withdrawn, oldest first."""
    newest = {(stop.step, stop.kind): stop for stop in stops}
    return sorted((stop for stop in newest.values() if stop.said is not None), key=lambda stop: stop.number)


def _same(stop: Stop, step: str, kind: StopKind) -> bool:
    return (stop.step, stop.kind) == (step, kind)


def lap_in(connection: Connection, candidate_id: str) -> int:
    again = and_(
        candidate_transitions.c.candidate_id == candidate_id, candidate_transitions.c.event == Event.REOPEN.value
    )
    query = select(func.count()).select_from(candidate_transitions).where(again)
    return 1 + int(connection.execute(query).scalar() or 0)


def _of(connection: Connection, candidate_id: str, lap: int) -> list[Stop]:
    mine = and_(journey_stops.c.candidate_id == candidate_id, journey_stops.c.lap == lap)
    rows = connection.execute(select(journey_stops).where(mine).order_by(journey_stops.c.number))
    return [
        Stop(r.candidate_id, r.number, r.lap, name_now(r.step), StopKind(r.kind), r.said, r.recorded_at) for r in rows
    ]
