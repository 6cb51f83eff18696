"""Incidents: one row each with its present state, and an append-only list of what happened to it.

The drift sensor writes them in the transaction of its decision, from what it had read before; when a person acted in
between, it is refused and decides again. A day that is judged after a newer one leaves them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from include.adapters.ledger.database import Database, clock, day_key, next_number, plain, utc, words
from include.adapters.ledger.errors import IncidentChanged, IncidentOver, UnknownIncident
from include.adapters.ledger.requests import IncidentRequest
from include.adapters.ledger.tables import incident_events, incidents, retrain_decisions
from include.domain.authority import Approvers, Person, require
from include.domain.incident import Incident, Stage
from include.domain.incident_acts import DOING, AcceptedLevel, accepted_state, snooze_end
from include.domain.incident_log import Attention, IncidentCause, IncidentEventKind, IncidentStep, incident_id

NEWS = (IncidentEventKind.REOPENED, IncidentEventKind.ASKED, IncidentEventKind.JOINED)
"""After these an incident is as good as new: who acknowledged or snoozed it did not know."""


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """One incident with its present state."""

    incident_id: str
    model: str
    cause: IncidentCause
    opened_on: str
    candidate_id: str
    """The champion that raised it."""
    stage: Stage
    judged_on: str
    """The newest day that was judged with it."""
    revision: int
    state: Mapping[str, Any]
    """As the rules know it."""
    acknowledged_by: str | None
    snoozed_until: str | None
    """The first day of data on which it reminds again."""
    reminded_on: str | None
    """The judged day of the newest notice about it."""
    recorded_at: datetime

    @property
    def is_open(self) -> bool:
        return self.stage is not Stage.CLOSED


@dataclass(frozen=True, slots=True)
class IncidentEventRecord:
    """One thing that happened to an incident."""

    number: int
    kind: IncidentEventKind
    day: str
    """The judged day; of a person's act the newest one that was judged."""
    who: str
    claimed: str | None
    why: str
    at: datetime
    """The end of the judged day, or when the person asked."""
    state: Mapping[str, Any]
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class IncidentsSeen:
    """What a decision about a day is based on.

    Attributes:
        states: by cause, the newest incident that was opened before the day, as it was before the day.
        revisions: of those incidents now; a decision on others is made again.
    """

    states: Mapping[IncidentCause, Mapping[str, Any]]
    revisions: Mapping[str, int]
    attention: Mapping[IncidentCause, Attention]
    """What people know of those incidents."""


@dataclass(frozen=True, slots=True)
class IncidentSteps:
    """What a decision makes of the incidents it has seen."""

    seen: IncidentsSeen
    steps: Sequence[IncidentStep]
    at: datetime
    """The end of the judged day."""


class Incidents:
    """Keeps the incidents and what happened to them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def before(self, model: str, day: str | date) -> IncidentsSeen:
        """What a decision about the day goes by."""
        with self._database.reading() as connection:
            return seen_in(connection, model, day_key(day))

    def get(self, incident: str) -> IncidentRecord:
        """
        Raises:
            UnknownIncident: when there is none.
        """
        with self._database.reading() as connection:
            return incident_in(connection, incident)

    def of(self, model: str | None = None, *, only_open: bool = False, last: int | None = None) -> list[IncidentRecord]:
        """The model's incidents, or those of all models, newest first."""
        query = select(incidents).order_by(incidents.c.opened_on.desc(), incidents.c.incident_id).limit(last)
        if model is not None:
            query = query.where(incidents.c.model == model)
        if only_open:
            query = query.where(incidents.c.stage != Stage.CLOSED.value)
        with self._database.reading() as connection:
            return [_record(row) for row in connection.execute(query)]

    def accepted(self, model: str, version: str, before: str | date) -> AcceptedLevel | None:
        """The level of the realised loss that was accepted last for the version, on a judged day before ``before``."""
        query = (
            select(incidents.c.state)
            .where(
                incidents.c.model == model,
                incidents.c.cause == IncidentCause.PERFORMANCE.value,
                incidents.c.stage == Stage.CLOSED.value,
                incidents.c.judged_on < day_key(before),
            )
            .order_by(incidents.c.judged_on.desc(), incidents.c.opened_on.desc())
        )
        with self._database.reading() as connection:
            for state in connection.execute(query).scalars():
                found = Incident.from_json(state)
                if found.serving == version and (level := AcceptedLevel.of(found)) is not None:
                    return level
        return None

    def act(self, asked: IncidentRequest, *, by: Person, approvers: Approvers, now: datetime) -> IncidentRecord:
        """Keep what a person does about an open incident. The same again by the same person changes nothing.

        It counts from the newest judged day on, whenever in the sensor's day it comes: a decision that has not seen it
        is made again.

        Raises:
            MayNotDecide: when ``by`` is none of the model's approvers.
            IncidentOver: when it is closed already.
            NothingToAccept: when the level to be accepted is not known yet.
            BadField: when it is to be snoozed until a day that may not be.
            UnknownIncident: when there is none.
        """
        key, doing, at = asked.incident_id, DOING[asked.kind], utc("now", now)
        who, why = words("who", by.name), words("why", asked.why)
        claimed = None if by.claims is None else words("by", by.claims)
        model = self.get(key).model
        with self._database.writing(incidents_key(model)) as connection:
            found = incident_in(connection, key)
            require(model, f"{doing} the incident {key}", by, approvers)
            if not found.is_open:
                raise IncidentOver(key, str(found.state["closed_on"]), str(found.state["note"]))
            changed: dict[str, Any] = {"acknowledged_by": who, "snoozed_until": None}
            state = dict(found.state)
            if asked.kind is IncidentEventKind.SNOOZED:
                changed["snoozed_until"] = snooze_end(asked.until, found.judged_on)
            elif asked.kind is IncidentEventKind.ACCEPTED:
                state = accepted_state(found.cause, found.state, found.judged_on, str(by), why)
                changed |= columns_of(state)
            if asked.kind is not IncidentEventKind.ACCEPTED and all(
                getattr(found, name) == value for name, value in changed.items()
            ):
                return found
            changed["revision"] = found.revision + 1
            connection.execute(update(incidents).where(incidents.c.incident_id == key).values(**changed))
            said = f"Until {changed['snoozed_until']}: {why}" if asked.until else why
            add_events(connection, key, [(asked.kind, who, claimed, said)], day=found.judged_on, at=at, state=state)
            return incident_in(connection, key)

    def events(self, incident: str) -> list[IncidentEventRecord]:
        """What happened to it, oldest first."""
        query = select(incident_events).where(incident_events.c.incident_id == incident)
        with self._database.reading() as connection:
            return [_event(row) for row in connection.execute(query.order_by(incident_events.c.number))]


def incidents_key(model: str) -> str:
    """What writers of a model's incidents hold, one after the other."""
    return f"incidents:{model}"


def seen_in(connection: Connection, model: str, day: str) -> IncidentsSeen:
    """As ``Incidents.before``."""
    mine = select(incidents).where(incidents.c.model == model, incidents.c.opened_on < day)
    states: dict[IncidentCause, Mapping[str, Any]] = {}
    revisions: dict[str, int] = {}
    attention: dict[IncidentCause, Attention] = {}
    for row in connection.execute(mine.order_by(incidents.c.opened_on, incidents.c.incident_id)):
        cause = IncidentCause(row.cause)
        revisions[row.incident_id] = row.revision
        states[cause] = row.state if row.judged_on < day else _state_before(connection, row, day)
        attention[cause] = Attention(row.opened_on, row.acknowledged_by is not None, row.snoozed_until, row.reminded_on)
    return IncidentsSeen(states, revisions, attention)


def _state_before(connection: Connection, row: Row[Any], day: str) -> Mapping[str, Any]:
    """For a day that is judged late: as the last event before it left the incident."""
    event = incident_events.c
    query = select(event.state).where(event.incident_id == row.incident_id, event.day < day)
    found = connection.execute(query.order_by(event.number.desc()).limit(1)).scalar()
    return dict(found if found is not None else row.state)


def write_in(connection: Connection, model: str, day: str, made: IncidentSteps) -> None:
    """Keep what a decision about the day made of the incidents, in the decision's transaction, which holds the model's.

    Raises:
        IncidentChanged: when they are not what was seen, because a person acted or another day was decided.
    """
    if dict(seen_in(connection, model, day).revisions) != dict(made.seen.revisions):
        raise IncidentChanged(model, day)
    decided = retrain_decisions.c
    newer = select(decided.report_id).where(decided.model == model, decided.day >= day).limit(1)
    if connection.execute(newer).first() is not None:
        return  # The day is judged late: what newer days found stays.
    for step in made.steps:
        _write(connection, model, day, step, made.at)


def _write(connection: Connection, model: str, day: str, step: IncidentStep, at: datetime) -> None:
    key = incident_id(model, step.cause, step.opened_on)
    row = connection.execute(select(incidents).where(incidents.c.incident_id == key)).one_or_none()
    state = plain("The incident", step.state)
    if row is None:
        new = {"incident_id": key, "model": model, "cause": step.cause.value, "opened_on": step.opened_on}
        values = {**columns_of(state), "candidate_id": state["version"], "judged_on": day, "revision": 1}
        connection.execute(insert(incidents).values(**new, **values, recorded_at=clock()))
    else:
        values = {**columns_of(state), "judged_on": day, "revision": row.revision + 1}
        if any(kind is IncidentEventKind.REMINDED for kind, _ in step.events):
            values["reminded_on"] = day
        if any(kind in NEWS for kind, _ in step.events):
            values |= {"acknowledged_by": None, "snoozed_until": None}
        connection.execute(update(incidents).where(incidents.c.incident_id == key).values(**values))
    add_events(
        connection, key, [(kind, f"drift_{model}", None, why) for kind, why in step.events], day=day, at=at, state=state
    )


def columns_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """What of the state has a column, and the state."""
    named = {name: state.get(name) for name in ("metric", "anchor", "band", "changed_on", "stage")}
    return {**named, "state": dict(state)}


def add_events(
    connection: Connection,
    key: str,
    found: Iterable[tuple[IncidentEventKind, str, str | None, str]],
    *,
    day: str,
    at: datetime,
    state: Mapping[str, Any],
) -> None:
    """Append events of ``(kind, who, claimed, why)`` to one incident, in order."""
    number = next_number(connection, incident_events, "number", {"incident_id": key})
    for more, (kind, who, claimed, why) in enumerate(found):
        connection.execute(
            insert(incident_events).values(
                incident_id=key,
                number=number + more,
                kind=kind.value,
                day=day,
                who=who,
                claimed=claimed,
                why=why,
                at=at,
                state=dict(state),
                recorded_at=clock(),
            )
        )


def incident_in(connection: Connection, incident: str) -> IncidentRecord:
    """
    Raises:
        UnknownIncident: when there is none.
    """
    row = connection.execute(select(incidents).where(incidents.c.incident_id == incident)).one_or_none()
    if row is None:
        raise UnknownIncident(incident)
    return _record(row)


def _record(row: Row[Any]) -> IncidentRecord:
    return IncidentRecord(
        incident_id=row.incident_id,
        model=row.model,
        cause=IncidentCause(row.cause),
        opened_on=row.opened_on,
        candidate_id=row.candidate_id,
        stage=Stage(row.stage),
        judged_on=row.judged_on,
        revision=row.revision,
        state=row.state,
        acknowledged_by=row.acknowledged_by,
        snoozed_until=row.snoozed_until,
        reminded_on=row.reminded_on,
        recorded_at=row.recorded_at,
    )


def _event(row: Row[Any]) -> IncidentEventRecord:
    return IncidentEventRecord(
        number=row.number,
        kind=IncidentEventKind(row.kind),
        day=row.day,
        who=row.who,
        claimed=row.claimed,
        why=row.why,
        at=row.at,
        state=row.state,
        recorded_at=row.recorded_at,
    )
