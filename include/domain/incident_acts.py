"""What a person may do about an incident: acknowledge it, snooze it, accept the new level.

A level that was accepted closes its incident and is the serving model's reference from then on: its newest matured days
since the change, as they were known on the day of the acceptance. So the same incident does not open again, and a
further rise opens another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from include.domain.data_incident import DataIncident
from include.domain.errors import BadField, Refusal
from include.domain.incident import Closing, Incident
from include.domain.incident_log import IncidentCause, IncidentEventKind
from include.domain.losses import DayLoss

REFERENCE_DAYS = 14
"""The newest matured days since the change that an accepted level is taken from, at most."""
LEAST_DAYS = 7
"""At least as many: where fewer had matured, those that mature next belong to it too."""
LONGEST_SNOOZE = timedelta(days=90)

DOING: Mapping[IncidentEventKind, str] = {
    IncidentEventKind.ACKNOWLEDGED: "acknowledge",
    IncidentEventKind.SNOOZED: "snooze",
    IncidentEventKind.ACCEPTED: "accept",
}
"""What a person may do, each as it completes "X may not ... the incident"."""


class NothingToAccept(Refusal):
    """A new level that is not known yet."""


@dataclass(frozen=True, slots=True)
class AcceptedLevel:
    """A level that a person accepted for one model version.

    Attributes:
        since: the first day of the change, ``YYYY-MM-DD``.
        accepted_on: the newest judged day when it was accepted; the incident is closed on it.
    """

    since: str
    accepted_on: str

    @classmethod
    def of(cls, incident: Incident) -> AcceptedLevel | None:
        """Of an incident that was closed by a person's acceptance; None of any other."""
        if incident.closing is not Closing.ACCEPTED or incident.closed_on is None:
            return None
        return cls(incident.changed_on, incident.closed_on)

    def split(
        self, losses: tuple[DayLoss, ...], label_delay: timedelta
    ) -> tuple[tuple[DayLoss, ...], tuple[DayLoss, ...]]:
        """The days that are the level, and the later ones, which are compared with it.

        Args:
            losses: of each matured day that the version served, in order.
            label_delay: how long after a row its label's window closes.

        >>> level = AcceptedLevel("2021-01-05", "2021-01-20")
        >>> days = tuple(DayLoss(f"2021-01-{d:02}", 10, 2.0, 1.0) for d in range(1, 31))
        >>> level_days, later = level.split(days, timedelta(days=3))
        >>> level_days[0].day, level_days[-1].day, later[0].day
        ('2021-01-05', '2021-01-17', '2021-01-18')
        """
        matured_until = (date.fromisoformat(self.accepted_on) + timedelta(days=1) - label_delay).isoformat()
        changed = tuple(each for each in losses if each.day >= self.since)
        known = sum(each.day < matured_until for each in changed)
        end = max(known, LEAST_DAYS)
        return changed[max(end - REFERENCE_DAYS, 0) : end], changed[end:]


def accepted_state(cause: IncidentCause, state: Mapping[str, Any], day: str, by: str, why: str) -> dict[str, Any]:
    """An incident's state after a person accepted what it is about.

    Args:
        cause: what it is about.
        state: before.
        day: the newest judged day.
        by: the person, for the note.
        why: their reason.

    Raises:
        NothingToAccept: when the serving model's level is not known yet.
    """
    if cause is not IncidentCause.PERFORMANCE:
        found = DataIncident.from_json(state)
        said = f"{by} accepted {', '.join(found.checks)} of {found.version}: {why}"
        return found.closed(day, Closing.ACCEPTED, said).as_json()
    incident = Incident.from_json(state)
    if incident.risk is None:
        raise NothingToAccept(
            f"The level of {incident.serving}, which serves now, is not known yet: too few of its labels have matured. "
            f"Nothing was accepted. Snooze the incident until they have, or acknowledge it."
        )
    note = f"{by} accepted {incident.metric} {incident.risk:.4g} as the new level: {why}"
    return incident.closed(day, Closing.ACCEPTED, note).as_json()


def snooze_end(until: Any, judged_on: str, what: str = "until") -> str:
    """The first day of data on which a snoozed incident reminds again, ``YYYY-MM-DD``.

    Raises:
        BadField: when it is no day, not after the newest judged day, or more than 90 days after it.
    """
    newest = date.fromisoformat(judged_on)
    allowed = f"give a day after {judged_on}, the newest judged one, and at most {LONGEST_SNOOZE.days} days after it"
    try:
        day = date.fromisoformat(until) if isinstance(until, str) and len(until) == 10 else None
    except ValueError:
        day = None
    if day is None or not newest < day <= newest + LONGEST_SNOOZE:
        raise BadField(what, until, allowed)
    return day.isoformat()
