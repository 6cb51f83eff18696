"""Retrain, log, suppress, or ask a person: the ordered rules of the drift sensor, as a table. The first that matches
decides.

The rules are data (``RULES``), so that they can be read, tested and shown row by row. Rules 4 and 5, which start a
journey, apply only if rules 6 and 7 allow one; so 6 and 7 come before them in the table and ask "would one start at
all?".

While an incident is open (:mod:`include.domain.incident`), a journey starts where it can help, with twice the days each
time, and a person is asked once when nothing new can be learned. The breaker is for the other alarms:

A journey that an estimate alone asked for is in no other journey's way (:mod:`include.domain.prepared`).

The breaker: after ``futile_before_escalation`` journeys in a row that promoted nothing a person is asked, once, and
nothing starts for twice the cooldown. Then one more journey may try; if it is futile too, a person is asked again and
the time doubles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from include.domain.data_incident import DataIncident, FindingWatch
from include.domain.drift.report import Finding, Flags
from include.domain.incident import Incident, IncidentPace, Outlook, Stage
from include.domain.prepared import PreparedJourneys
from include.domain.wording import count_of

LONGEST_BREAK_DAYS = 365


class Action(Enum):
    """What the sensor does about a report."""

    RETRAIN = "retrain"
    LOG = "log"
    SUPPRESS = "suppress"
    ESCALATE = "escalate"


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


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, by which rule, and why, with every number that the rule used."""

    action: Action
    rule: int
    name: str
    reason: str
    numbers: dict[str, Any]
    hold_promotion: bool
    """Whether the candidate may not be promoted before labels mature (rule 4)."""
    breaker_open_until: datetime | None
    """Set when this decision opens the breaker."""
    incident: Incident | None = None
    """After this decision."""
    data: DataIncident | None = None
    support: DataIncident | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "action": self.action.value,
            "rule": self.rule,
            "name": self.name,
            "reason": self.reason,
            "numbers": self.numbers,
            "hold_promotion": self.hold_promotion,
            "breaker_open_until": self.breaker_open_until.isoformat() if self.breaker_open_until else None,
        }


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. ``number`` is the rule's number in docs/statistics.md, 6; 0 is "nothing to do"."""

    number: int
    name: str
    applies: Callable[[Situation], bool]
    action: Action
    sentence: Callable[[Situation], str]


def cooldown_days(policy: Policy, asked_at_streak: int) -> int:
    """The days between two journeys: the declared cooldown, doubled with each time the breaker opened.

    >>> [cooldown_days(Policy(), streak) for streak in (0, 2, 3, 4)]
    [7, 14, 28, 56]
    """
    opened = max(asked_at_streak - policy.futile_before_escalation + 1, 0) if asked_at_streak else 0
    if not opened:
        return policy.cooldown_days
    return int(min(max(policy.cooldown_days, 1) * 2**opened, LONGEST_BREAK_DAYS))


def _breaker_is_open(s: Situation) -> bool:
    return s.breaker_open_until is not None and s.now < s.breaker_open_until


def _cooling(s: Situation) -> bool:
    return s.cooldown_ends is not None and s.now < s.cooldown_ends


def _alarms(s: Situation) -> str:
    if s.open_incident is not None and not s.persists("realised"):
        return _unfinished(s.open_incident)
    name = "realised" if s.persists("realised") else "estimated"
    why = s.realised_reason if name == "realised" else s.estimated_reason
    count = f"{s.alarms(name)} of the last {min(len(s.flags), s.policy.windows[1])} reports"
    return f"{name} performance is out of band in {count} (needed: {s.policy.windows[0]}). {why}".strip()


def _unfinished(incident: Incident) -> str:
    """What is open, in words."""
    now = f"{incident.risk:.4g} now" if incident.risk is not None else "not judged yet"
    return (
        f"The incident of {incident.opened_on} is {incident.stage.value}: {incident.metric} was {incident.anchor:.4g} "
        f"before, is in its band up to {incident.band:.4g}, and is {now}."
    )


def _is_open(found: DataIncident | None) -> bool:
    return found is not None and found.is_open


def _opens(s: Situation, found: DataIncident | None) -> bool:
    """Whether this report opens the incident: then a person is asked, once."""
    return found is not None and found.is_open and found.opened_on == s.newest.day


def _for_now(s: Situation) -> str:
    return _before(s, s.data)


def _before(s: Situation, found: DataIncident | None) -> str:
    return f" before {found.holds_back_until(s.policy.data_holds_days).isoformat()}" if found is not None else ""


def _still(found: DataIncident | None) -> str:
    if found is None:
        return ""
    gone = f" Not found any more since {found.seen_on}." if found.quiet else ""
    return f"a person was asked on {found.opened_on} about this. {found.reason}{gone}"


def _once(findings: tuple[Finding, ...]) -> str:
    """Findings that no one is asked about yet."""
    return f"neither for enough days nor far enough beyond its limit to ask. {' '.join(f.reason for f in findings[:3])}"


def _waits(s: Situation) -> bool:
    return s.open_incident is not None and s.outlook is not None and not (s.outlook.ready or s.outlook.exhausted)


def _helps_no_more(s: Situation) -> bool:
    return s.open_incident is not None and s.outlook is not None and s.outlook.exhausted


def _since(s: Situation) -> str:
    return s.open_incident.about if s.open_incident is not None else ""


def _recovers(s: Situation) -> bool:
    """Whether a new model serves that no matured label has shown to be above the anchor's band."""
    found = s.open_incident
    return found is not None and found.stage is Stage.RECOVERING and not found.uncured and not s.persists("realised")


def _drifting(s: Situation) -> bool:
    return bool(s.newest.inputs or s.newest.predictions)


def _seen(s: Situation) -> str:
    names = [word for word, flag in (("inputs", s.newest.inputs), ("predictions", s.newest.predictions)) if flag]
    return " and ".join(names)


def _unknown(s: Situation) -> str:
    """What was not judged, in parentheses; empty when all was judged."""
    parts = [word for word in ("inputs", "predictions") if getattr(s.newest, word) is None]
    more = f" and {len(s.unjudged) - 5} more" if len(s.unjudged) > 5 else ""
    named = f"{', '.join(s.unjudged[:5])}{more}"
    what = " and ".join([*parts, *([named] if named else [])])
    return f" (not judged: {what})" if what else ""


def _in_band(s: Situation) -> str:
    if s.newest.realised is None:
        return "realised performance could not be judged yet"
    if s.newest.realised:
        return f"performance is out of band in {s.alarms('realised')} reports, {s.policy.windows[0]} are needed"
    return "performance is in its band"


def _when(moment: datetime | None) -> str:
    return moment.date().isoformat() if moment else "never"


RULES: tuple[Rule, ...] = (
    Rule(
        1,
        "data_broke",
        lambda s: _opens(s, s.data),
        Action.ESCALATE,
        lambda s: (
            f"The data broke, so nothing is retrained{_for_now(s)}: {s.data.reason if s.data else ''}"
            f"{' ' + s.support.reason if s.support and _opens(s, s.support) else ''} Look at the source."
        ),
    ),
    Rule(
        2,
        "outside_support",
        lambda s: _opens(s, s.support),
        Action.ESCALATE,
        lambda s: (
            "The rows are outside what the model was trained on, so its answers are guesses and its past says nothing: "
            f"{s.support.reason if s.support else ''} Look at where these rows come from, and whether the model is "
            "meant for them."
        ),
    ),
    Rule(
        1,
        "data_still_broken",
        lambda s: s.would_start and s.holds_back(s.data),
        Action.SUPPRESS,
        lambda s: f"No journey{_before(s, s.data)}: {_still(s.data)} {_alarms(s)}",
    ),
    Rule(
        2,
        "still_outside",
        lambda s: s.would_start and s.holds_back(s.support),
        Action.SUPPRESS,
        lambda s: f"No journey{_before(s, s.support)}: {_still(s.support)} {_alarms(s)}",
    ),
    Rule(
        6,
        "in_flight",
        lambda s: s.would_start and s.in_the_way,
        Action.SUPPRESS,
        lambda s: f"No second journey beside {s.in_flight}, which is under way; {_alarms(s)}",
    ),
    Rule(
        6,
        "breaker_open",
        lambda s: s.would_start and s.open_incident is None and _breaker_is_open(s),
        Action.SUPPRESS,
        lambda s: (
            f"No journey before {_when(s.breaker_open_until)}: the breaker is open after {s.futile_streak} futile "
            f"journeys in a row, and a person was asked; {_alarms(s)}"
        ),
    ),
    Rule(
        7,
        "futile",
        lambda s: (
            s.would_start
            and s.open_incident is None
            and s.futile_streak >= s.policy.futile_before_escalation
            and s.futile_streak > s.asked_at_streak
        ),
        Action.ESCALATE,
        lambda s: (
            f"Retraining does not help: {s.futile_streak} journeys in a row were futile "
            f"(limit {s.policy.futile_before_escalation}). Look at the label, the features and the tolerance; "
            f"{_alarms(s)}"
        ),
    ),
    Rule(
        6,
        "recovering",
        _recovers,
        Action.SUPPRESS,
        lambda s: f"No journey: a new model serves, and its labels must tell first. {_alarms(s)}",
    ),
    Rule(
        7,
        "not_helped",
        lambda s: _helps_no_more(s) and s.open_incident is not None and not s.open_incident.asked,
        Action.ESCALATE,
        lambda s: (
            f"Retraining did not help: {count_of(s.incident_journeys, 'journey')} since {_since(s)}, and a whole "
            f"training window lies after it. "
            f"Accept the new level, or look at the label and the features. {_alarms(s)}"
        ),
    ),
    Rule(
        6,
        "helps_no_more",
        _helps_no_more,
        Action.SUPPRESS,
        lambda s: f"No journey: nothing new can be learned since {_since(s)}, and a person was asked; {_alarms(s)}",
    ),
    Rule(
        6,
        "cannot_help_yet",
        _waits,
        Action.SUPPRESS,
        lambda s: (
            f"No journey before {s.outlook.next_on.isoformat() if s.outlook else ''}: "
            f"{count_of(s.outlook.known_days if s.outlook else 0, 'matured day')} lie after {_since(s)}, and "
            f"{s.outlook.needed_days if s.outlook else 0} are needed to learn from it and to be judged on it; "
            f"{_alarms(s)}"
        ),
    ),
    Rule(
        6,
        "cooldown",
        lambda s: s.would_start and _cooling(s),
        Action.SUPPRESS,
        lambda s: (
            f"No journey before {_when(s.cooldown_ends)}: the last one started on "
            f"{_when(s.pause[0] if s.pause else None)} and the cooldown is {s.pause[1] if s.pause else 0} days; "
            f"{_alarms(s)}"
        ),
    ),
    Rule(
        6,
        "budget",
        lambda s: s.would_start and s.drift_started >= s.policy.budget_per_month,
        Action.SUPPRESS,
        lambda s: (
            f"No further journey: drift started {s.drift_started} in the last 30 days and "
            f"{s.policy.budget_per_month} are allowed; {_alarms(s)}"
        ),
    ),
    Rule(
        5,
        "realised_out_of_band",
        lambda s: s.persists("realised") or s.open_incident is not None,
        Action.RETRAIN,
        lambda s: f"Retrain: {_alarms(s)}",
    ),
    Rule(
        4,
        "estimated_out_of_band",
        lambda s: s.persists("estimated"),
        Action.RETRAIN,
        lambda s: f"Prepare a candidate, not to be promoted before labels mature: {_alarms(s)}",
    ),
    Rule(
        1,
        "data_suspect",
        lambda s: bool(s.broken) or _is_open(s.data),
        Action.LOG,
        lambda s: f"Only logged: {_still(s.data) if _is_open(s.data) else _once(s.broken)} {_in_band(s).capitalize()}.",
    ),
    Rule(
        2,
        "rows_suspect",
        lambda s: bool(s.outside) or _is_open(s.support),
        Action.LOG,
        lambda s: (
            f"Only logged: {_still(s.support) if _is_open(s.support) else _once(s.outside)} {_in_band(s).capitalize()}."
        ),
    ),
    Rule(
        3,
        "drift_in_band",
        _drifting,
        Action.LOG,
        lambda s: f"Only logged: {_seen(s)} drifted{_unknown(s)}, but {_in_band(s)}. {s.realised_reason}".strip(),
    ),
    Rule(
        0,
        "nothing_out_of_band",
        lambda s: True,
        Action.LOG,
        lambda s: (
            f"Nothing to do: no drift{' seen' if _unknown(s) else ''}{_unknown(s)}, and {_in_band(s)}. "
            f"{s.realised_reason}"
        ).strip(),
    ),
)


def decide(situation: Situation) -> Decision:
    """The first rule that applies. The same situation always gives the same decision."""
    rule = next(r for r in RULES if r.applies(situation))
    opened, incident = None, situation.incident
    if rule.name == "not_helped" and incident is not None:
        incident = replace(incident, asked=True)
    if rule.name == "futile":
        opened = situation.now + timedelta(days=cooldown_days(situation.policy, situation.futile_streak))
    return Decision(
        action=rule.action,
        rule=rule.number,
        name=rule.name,
        reason=rule.sentence(situation)
        + (f" The breaker is open until {_when(opened)}." if opened else "")
        + _closing(incident),
        numbers=_numbers(situation) | {"incident": incident.as_json() if incident else None},
        hold_promotion=rule.name == "estimated_out_of_band",
        breaker_open_until=opened,
        incident=incident,
        data=situation.data,
        support=situation.support,
    )


def _closing(incident: Incident | None) -> str:
    if incident is None or incident.is_open:
        return ""
    return f" The incident of {incident.opened_on} is closed. {incident.note}"


def _numbers(s: Situation) -> dict[str, Any]:
    k, n = s.policy.windows
    outlook = s.outlook
    return {
        "incident": s.incident.as_json() if s.incident else None,
        "incident_journeys": s.incident_journeys,
        "days_after_change": outlook.known_days if outlook else None,
        "days_needed": outlook.needed_days if outlook else None,
        "next_on": outlook.next_on.isoformat() if outlook else None,
        "now": s.now.isoformat(),
        "needed": k,
        "of": n,
        "realised_alarms": s.alarms("realised"),
        "estimated_alarms": s.alarms("estimated"),
        "flags": [f.as_json() for f in s.flags[-n:]],
        "unjudged": list(s.unjudged),
        "data_incident": s.data.as_json() if s.data else None,
        "support_incident": s.support.as_json() if s.support else None,
        "broken": [f.as_json() for f in s.broken],
        "outside": [f.as_json() for f in s.outside],
        "in_flight": s.in_flight,
        "last_journey_started": s.last_journey_started.isoformat() if s.last_journey_started else None,
        "cooldown_days": cooldown_days(s.policy, s.asked_at_streak),
        "cooldown_ends": s.cooldown_ends.isoformat() if s.cooldown_ends else None,
        "started_in_30_days": s.started_in_30_days,
        "budget_per_month": s.policy.budget_per_month,
        "prepared_in_30_days": s.prepared.in_30_days,
        "prepared_contradicted": s.prepared.contradicted,
        "futile_streak": s.futile_streak,
        "asked_at_streak": s.asked_at_streak,
        "breaker_open_until": s.breaker_open_until.isoformat() if s.breaker_open_until else None,
    }
