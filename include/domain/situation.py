"""What a decision of the drift sensor is based on: the model's policy, and the situation at one moment of data time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from include.domain.data_incident import DataIncident, FindingWatch
from include.domain.drift.report import Finding, Flags
from include.domain.incident import Incident, IncidentPace, Outlook
from include.domain.prepared import PreparedJourneys
from include.domain.unjudged import JudgedDays

LONGEST_BREAK_DAYS = 365


@dataclass(frozen=True, slots=True)
class Policy:
    """How a report becomes a decision; the fields mirror the model's declaration."""

    windows: tuple[int, int] = (2, 3)
    cooldown_days: int = 7
    budget_per_month: int = 3
    futile_before_escalation: int = 2
    pace: IncidentPace = field(default_factory=IncidentPace)
    """When a journey of an incident can help."""
    data_holds_days: int = 14
    """How long an incident of the data holds back a retrain."""
    judged_within: Mapping[str, int] = field(default_factory=dict)
    """The most days without a judgement of each lane, by its flag; a lane that is left out is not watched."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a decision is based on, at one moment of data time."""

    now: datetime
    """The end of the judged partition, UTC."""
    flags: tuple[Flags, ...]
    """Of the last reports of this version, newest last; the newest is the one judged."""
    policy: Policy = field(default_factory=Policy)
    broken: tuple[Finding, ...] = ()
    outside: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = ()
    """The newest report's sentences, the most serious first."""
    unjudged: tuple[str, ...] = ()
    """Features and scores that were not judged although the day has enough rows."""
    realised_reason: str = ""
    estimated_reason: str = ""
    last_journey_started: datetime | None = None
    """When the last journey of any trigger started that no estimate alone asked for, None when there was none."""
    in_flight: str | None = None
    """The run id of the journey under way, None when there is none."""
    started_in_30_days: int = 0
    """Drift-started journeys whose start lies in the 30 days before ``now``, without those of an estimate alone."""
    prepared: PreparedJourneys = field(default_factory=PreparedJourneys)
    """The journeys that an estimate alone asked for."""
    futile_streak: int = 0
    """Journeys in a row, up to the last, that ended without a promotion because they did not help."""
    asked_at_streak: int = 0
    """The futile streak at which a person was last asked; 0 when no one was."""
    breaker_open_until: datetime | None = None
    incident: Incident | None = None
    """After this report, a just closed one too; None where there is none."""
    outlook: Outlook | None = None
    """Whether a journey of the open incident can help; None without one."""
    incident_journeys: int = 0
    """How many of the incident have started."""
    data: DataIncident | None = None
    """Of broken data, after this report; a just closed one too."""
    support: DataIncident | None = None
    """Of rows outside what the model was trained on, after this report."""
    judged: JudgedDays | None = None
    """When each lane last judged, this report included."""
    silence: DataIncident | None = None
    """Of lanes that have not judged for too long, after this report."""

    @property
    def newest(self) -> Flags:
        return self.flags[-1] if self.flags else Flags(day="")

    def alarms(self, name: str) -> int:
        """In how many of the last n reports the flag is raised."""
        return sum(getattr(f, name) is True for f in self.flags[-self.policy.windows[1] :])

    def persists(self, name: str) -> bool:
        """Whether the flag is raised in k of the last n reports, the newest among them."""
        return getattr(self.newest, name) is True and self.alarms(name) >= self.policy.windows[0]

    def watch(self, name: str) -> FindingWatch:
        """When findings of this flag open an incident, and when they are over."""
        judged = getattr(self.newest, name) is not None
        return FindingWatch(self.persists(name), judged, self.policy.windows[1])

    def holds_back(self, found: DataIncident | None) -> bool:
        """Whether an incident of the data holds back a retrain today."""
        if found is None or not found.is_open:
            return False
        return self.newest.day < found.holds_back_until(self.policy.data_holds_days).isoformat()

    @property
    def would_start(self) -> bool:
        return self.persists("realised") or self.persists("estimated") or self.open_incident is not None

    @property
    def by_labels(self) -> bool:
        """Whether what would start a journey was seen in labels, and not in an estimate alone."""
        return self.persists("realised") or self.open_incident is not None

    @property
    def in_the_way(self) -> bool:
        """Whether another journey is under way that does not give way."""
        return self.in_flight is not None and not (self.by_labels and self.prepared.in_flight)

    @property
    def drift_started(self) -> int:
        """In the last 30 days, against the budget of the lane that would start a journey."""
        return self.started_in_30_days + (0 if self.by_labels else self.prepared.in_30_days)

    @property
    def open_incident(self) -> Incident | None:
        """The incident, where a journey may be of use: it is open, and the serving model is not shown to be back."""
        found = self.incident
        return found if found is not None and found.is_open else None

    @property
    def cooldown_ends(self) -> datetime | None:
        """None when no journey ever started."""
        pause = self.pause
        return pause[0] + timedelta(days=pause[1]) if pause is not None else None

    @property
    def pause(self) -> tuple[datetime, int] | None:
        """The start of the journey that keeps the next one waiting longest, and the days it does; None without one."""
        found = []
        if self.last_journey_started is not None:
            found.append((self.last_journey_started, cooldown_days(self.policy, self.asked_at_streak)))
        if self.prepared.last_started is not None and not self.by_labels:
            found.append((self.prepared.last_started, self.prepared.pause_days(self.policy.cooldown_days)))
        return max(found, key=lambda pause: pause[0] + timedelta(days=pause[1]), default=None)

    def numbers(self) -> dict[str, Any]:
        """What a decision shows of what it was based on, as JSON."""
        k, n = self.policy.windows
        outlook = self.outlook
        return {
            "incident": self.incident.as_json() if self.incident else None,
            "incident_journeys": self.incident_journeys,
            "days_after_change": outlook.known_days if outlook else None,
            "days_needed": outlook.needed_days if outlook else None,
            "next_on": outlook.next_on.isoformat() if outlook else None,
            "now": self.now.isoformat(),
            "needed": k,
            "of": n,
            "realised_alarms": self.alarms("realised"),
            "estimated_alarms": self.alarms("estimated"),
            "flags": [f.as_json() for f in self.flags[-n:]],
            "unjudged": list(self.unjudged),
            "data_incident": self.data.as_json() if self.data else None,
            "silence_incident": self.silence.as_json() if self.silence else None,
            "judged": self.judged.as_json() if self.judged else None,
            "support_incident": self.support.as_json() if self.support else None,
            "broken": [f.as_json() for f in self.broken],
            "outside": [f.as_json() for f in self.outside],
            "in_flight": self.in_flight,
            "last_journey_started": self.last_journey_started.isoformat() if self.last_journey_started else None,
            "cooldown_days": cooldown_days(self.policy, self.asked_at_streak),
            "cooldown_ends": self.cooldown_ends.isoformat() if self.cooldown_ends else None,
            "started_in_30_days": self.started_in_30_days,
            "budget_per_month": self.policy.budget_per_month,
            "prepared_in_30_days": self.prepared.in_30_days,
            "prepared_contradicted": self.prepared.contradicted,
            "futile_streak": self.futile_streak,
            "asked_at_streak": self.asked_at_streak,
            "breaker_open_until": self.breaker_open_until.isoformat() if self.breaker_open_until else None,
        }


def cooldown_days(policy: Policy, asked_at_streak: int) -> int:
    """The days between two journeys: the declared cooldown, doubled with each time the breaker opened.

    >>> [cooldown_days(Policy(), streak) for streak in (0, 2, 3, 4)]
    [7, 14, 28, 56]
    """
    opened = max(asked_at_streak - policy.futile_before_escalation + 1, 0) if asked_at_streak else 0
    if not opened:
        return policy.cooldown_days
    return int(min(max(policy.cooldown_days, 1) * 2**opened, LONGEST_BREAK_DAYS))
