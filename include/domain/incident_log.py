"""What happened to an incident, as a list of events: what a judged day did to it, and what a person did.

The state of an incident is what its rules say (:mod:`include.domain.incident`); the events are its history, for people
and for a day that is judged late, which must see the incident as it was before that day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from typing import Any

from include.domain.data_incident import DataIncident
from include.domain.incident import Incident, Stage


class IncidentCause(Enum):
    """What an incident is about. Of each there is at most one open incident of a model."""

    PERFORMANCE = "performance"
    """The realised loss is out of its band."""
    DATA = "data"
    """The data is broken: missing, infinite or unseen values, or overdue labels."""
    SUPPORT = "support"
    """The rows are outside what the model was trained on."""
    SILENCE = "silence"
    """A lane of the drift sensor has not judged for too long."""


class IncidentEventKind(Enum):
    """What may happen to an incident."""

    OPENED = "opened"
    DATED = "dated"
    """What has matured since dates the change on another day."""
    RECOVERING = "recovering"
    """Another model serves."""
    REOPENED = "reopened"
    """The model that raised it serves again."""
    JOINED = "joined"
    """Something else was found that belongs to the same cause."""
    ASKED = "asked"
    """A person was asked, because retraining did not help."""
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    REMINDED = "reminded"
    ACCEPTED = "accepted"
    """A person accepted the new level, which closes it."""
    CLOSED = "closed"
    """Evidence closed it."""


@dataclass(frozen=True, slots=True)
class IncidentStep:
    """What one judged day made of one incident.

    Attributes:
        cause: what it is about.
        opened_on: ``YYYY-MM-DD``; cause and day name the incident of a model.
        state: the incident after the day, as JSON.
        events: kind and reason, in order; empty where only its numbers changed.
    """

    cause: IncidentCause
    opened_on: str
    state: Mapping[str, Any]
    events: tuple[tuple[IncidentEventKind, str], ...] = ()

    def reminding(self, day: str, known: Attention | None, after_days: int) -> IncidentStep:
        """The step with a reminder, where one is due on the day and nothing else happened."""
        if known is None or not self.is_open or self.events or not known.reminds(day, after_days):
            return self
        said = f"It is open since {self.opened_on}."
        return replace(self, events=((IncidentEventKind.REMINDED, said),))

    @property
    def is_open(self) -> bool:
        return bool(self.state["stage"] != Stage.CLOSED.value)


@dataclass(frozen=True, slots=True)
class Attention:
    """What people know of an open incident.

    Attributes:
        opened_on: the judged day that opened it.
        acknowledged: whether somebody looks at it.
        snoozed_until: the first day of data on which it reminds again; None where it was not snoozed.
        reminded_on: the judged day of the newest reminder; None before the first.
    """

    opened_on: str
    acknowledged: bool = False
    snoozed_until: str | None = None
    reminded_on: str | None = None

    def reminds(self, day: str, after_days: int) -> bool:
        """Whether people are reminded on a judged day; with ``after_days`` 0 never.

        >>> known = Attention("2021-01-01")
        >>> [known.reminds(day, 7) for day in ("2021-01-01", "2021-01-07", "2021-01-08", "2021-01-09")]
        [False, False, True, True]
        """
        if not after_days or (self.acknowledged and self.snoozed_until is None):
            return False
        last = self.reminded_on or self.opened_on
        if self.snoozed_until is not None:
            return day >= self.snoozed_until and (last < self.snoozed_until or _days(last, day) >= after_days)
        return _days(last, day) >= after_days


def _days(first: str, second: str) -> int:
    return (date.fromisoformat(second) - date.fromisoformat(first)).days


def incident_id(model: str, cause: IncidentCause, opened_on: str) -> str:
    """``MODEL-CAUSE-yyyymmdd``: a cause of a model opens at most one incident a day.

    >>> incident_id("flight_delay", IncidentCause.PERFORMANCE, "2013-06-07")
    'flight_delay-performance-20130607'
    """
    return f"{model}-{cause.value}-{opened_on.replace('-', '')}"


def step_of(before: Incident | None, after: Incident | None) -> IncidentStep | None:
    """What a judged day made of the incident of the realised loss; None where there is none.

    Args:
        before: as the rules found it, None or closed where none was open.
        after: as the decision leaves it.
    """
    if after is None:
        return None
    same = before is not None and before.is_open and before.opened_on == after.opened_on
    events = tuple(_events(before if same else None, after))
    return IncidentStep(IncidentCause.PERFORMANCE, after.opened_on, after.as_json(), events)


def data_step_of(cause: IncidentCause, before: DataIncident | None, after: DataIncident | None) -> IncidentStep | None:
    """What a judged day made of an incident of the data; None where there is none.

    Args:
        cause: DATA, SUPPORT or SILENCE.
        before: as the rules found it, None or closed where none was open.
        after: as the decision leaves it.
    """
    if after is None:
        return None
    same = before is not None and before.is_open and before.opened_on == after.opened_on
    events: list[tuple[IncidentEventKind, str]] = []
    if before is None or not same:
        events.append((IncidentEventKind.OPENED, after.reason))
    elif after.checks != before.checks:
        events.append((IncidentEventKind.JOINED, after.reason))
    if not after.is_open:
        events.append((IncidentEventKind.CLOSED, after.note or "Closed."))
    return IncidentStep(cause, after.opened_on, after.as_json(), tuple(events))


def _events(before: Incident | None, after: Incident) -> list[tuple[IncidentEventKind, str]]:
    found: list[tuple[IncidentEventKind, str]] = []
    if before is None:
        found.append(
            (
                IncidentEventKind.OPENED,
                f"{after.metric} of {after.version} is out of its band: {after.anchor:.4g} before, up to "
                f"{after.band:.4g} is in the band; {'the change is of' if after.dated else 'on the rows since'} "
                f"{after.changed_on}.",
            )
        )
    elif before.changed_on != after.changed_on:
        found.append((IncidentEventKind.DATED, f"The change is of {after.changed_on}, not of {before.changed_on}."))
    stage = before.stage if before is not None else Stage.OPEN
    if after.stage is not stage and after.stage is Stage.RECOVERING:
        found.append((IncidentEventKind.RECOVERING, f"{after.serving} serves; its matured labels must tell."))
    elif after.stage is not stage and after.stage is Stage.OPEN:
        found.append((IncidentEventKind.REOPENED, f"{after.serving}, which raised it, serves again."))
    if after.asked and not (before is not None and before.asked):
        found.append((IncidentEventKind.ASKED, "Retraining did not help, and nothing new can be learned."))
    if not after.is_open:
        found.append((IncidentEventKind.CLOSED, after.note or "Closed."))
    return found
