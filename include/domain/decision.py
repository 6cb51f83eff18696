"""Retrain, log, suppress, or ask a person: the ordered rules of the drift sensor, as a table. The first that matches
decides.

The rules are data (``RULES``), so that they can be read, tested and shown row by row. Rules 4 and 5, which start a
journey, apply only if rules 6 and 7 allow one; so 6 and 7 come before them in the table and ask "would one start at
all?".

While an incident is open (:mod:`include.domain.incident`), a journey starts where it can help, after twice the days
with each that was in vain, and a person is asked once when these do not help. The breaker is for the other alarms:

A journey that an estimate alone asked for is in no other journey's way (:mod:`include.domain.prepared`).

The breaker: after ``futile_before_escalation`` journeys in a row that promoted nothing a person is asked, once, and
nothing starts for twice the cooldown. Then one more journey may try; if it is futile too, a person is asked again and
the time doubles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from include.domain import decision_words as words
from include.domain.data_incident import DataIncident
from include.domain.incident import Incident, Stage
from include.domain.situation import Situation, cooldown_days
from include.domain.unjudged import LANES
from include.domain.wording import count_of


class Action(Enum):
    """What the sensor does about a report."""

    RETRAIN = "retrain"
    LOG = "log"
    SUPPRESS = "suppress"
    ESCALATE = "escalate"


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
    silence: DataIncident | None = None

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


def _breaker_is_open(s: Situation) -> bool:
    return s.breaker_open_until is not None and s.now < s.breaker_open_until


def _cooling(s: Situation) -> bool:
    return s.cooldown_ends is not None and s.now < s.cooldown_ends


def _is_open(found: DataIncident | None) -> bool:
    return found is not None and found.is_open


def _opens(s: Situation, found: DataIncident | None) -> bool:
    """Whether this report opens the incident: then a person is asked, once."""
    return found is not None and found.is_open and found.opened_on == s.newest.day


def _waits(s: Situation) -> bool:
    return s.open_incident is not None and s.outlook is not None and not (s.outlook.ready or s.outlook.exhausted)


def _helps_no_more(s: Situation) -> bool:
    return s.open_incident is not None and s.outlook is not None and s.outlook.exhausted


def _recovers(s: Situation) -> bool:
    """Whether a new model serves that no matured label has shown to be above the anchor's band."""
    found = s.open_incident
    return found is not None and found.stage is Stage.RECOVERING and not found.uncured and not s.persists("realised")


def _drifting(s: Situation) -> bool:
    return bool(s.newest.inputs or s.newest.predictions)


RULES: tuple[Rule, ...] = (
    Rule(
        1,
        "data_broke",
        lambda s: _opens(s, s.data),
        Action.ESCALATE,
        lambda s: (
            f"The data broke, so nothing is retrained{words.for_now(s)}: {s.data.reason if s.data else ''}"
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
        8,
        "not_judged",
        lambda s: _opens(s, s.silence),
        Action.ESCALATE,
        lambda s: (
            f"No one knows how the model does: {s.silence.reason if s.silence else ''} Give the lane the rows it "
            "needs, or another number of days in drift.judged_within."
        ),
    ),
    Rule(
        1,
        "data_still_broken",
        lambda s: s.would_start and s.holds_back(s.data),
        Action.SUPPRESS,
        lambda s: f"No journey{words.before(s, s.data)}: {words.still(s.data)} {words.alarms(s)}",
    ),
    Rule(
        2,
        "still_outside",
        lambda s: s.would_start and s.holds_back(s.support),
        Action.SUPPRESS,
        lambda s: f"No journey{words.before(s, s.support)}: {words.still(s.support)} {words.alarms(s)}",
    ),
    Rule(
        6,
        "in_flight",
        lambda s: s.would_start and s.in_the_way,
        Action.SUPPRESS,
        lambda s: f"No second journey beside {s.in_flight}, which is under way; {words.alarms(s)}",
    ),
    Rule(
        6,
        "breaker_open",
        lambda s: s.would_start and s.open_incident is None and _breaker_is_open(s),
        Action.SUPPRESS,
        lambda s: (
            f"No journey before {words.when(s.breaker_open_until)}: the breaker is open after {s.futile_streak} futile "
            f"journeys in a row, and a person was asked; {words.alarms(s)}"
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
            f"{words.alarms(s)}"
        ),
    ),
    Rule(
        6,
        "recovering",
        _recovers,
        Action.SUPPRESS,
        lambda s: f"No journey: a new model serves, and its labels must tell first. {words.alarms(s)}",
    ),
    Rule(
        7,
        "not_helped",
        lambda s: _helps_no_more(s) and s.open_incident is not None and not s.open_incident.asked,
        Action.ESCALATE,
        lambda s: (
            f"Retraining did not help: {count_of(s.incident_journeys, 'journey')} since {words.since(s)}, and a whole "
            f"training window lies after it. "
            f"Accept the new level, or look at the label and the features. The next journey is on "
            f"{s.outlook.next_on.isoformat() if s.outlook else ''}. {words.alarms(s)}"
        ),
    ),
    Rule(
        6,
        "helps_no_more",
        _helps_no_more,
        Action.SUPPRESS,
        lambda s: (
            f"No journey before {s.outlook.next_on.isoformat() if s.outlook else ''}: what was tried since "
            f"{words.since(s)} did not help, and a person was asked; {words.alarms(s)}"
        ),
    ),
    Rule(
        6,
        "cannot_help_yet",
        _waits,
        Action.SUPPRESS,
        lambda s: (
            f"No journey before {s.outlook.next_on.isoformat() if s.outlook else ''}: "
            f"{count_of(s.outlook.known_days if s.outlook else 0, 'matured day')} lie after {words.waits_since(s)}, "
            f"and {s.outlook.needed_days if s.outlook else 0} are needed to learn from it and to be judged on it; "
            f"{words.alarms(s)}"
        ),
    ),
    Rule(
        6,
        "cooldown",
        lambda s: s.would_start and _cooling(s),
        Action.SUPPRESS,
        lambda s: (
            f"No journey before {words.when(s.cooldown_ends)}: the last one started on "
            f"{words.when(s.pause[0] if s.pause else None)} and the cooldown is {s.pause[1] if s.pause else 0} days; "
            f"{words.alarms(s)}"
        ),
    ),
    Rule(
        6,
        "budget",
        lambda s: s.would_start and s.drift_started >= s.policy.budget_per_month,
        Action.SUPPRESS,
        lambda s: (
            f"No further journey: drift started {s.drift_started} in the last 30 days and "
            f"{s.policy.budget_per_month} are allowed; {words.alarms(s)}"
        ),
    ),
    Rule(
        5,
        "realised_out_of_band",
        lambda s: s.persists("realised") or s.open_incident is not None,
        Action.RETRAIN,
        lambda s: f"Retrain: {words.alarms(s)}",
    ),
    Rule(
        4,
        "estimated_out_of_band",
        lambda s: s.persists("estimated"),
        Action.RETRAIN,
        lambda s: f"Prepare a candidate, not to be promoted before labels mature: {words.alarms(s)}",
    ),
    Rule(
        1,
        "data_suspect",
        lambda s: bool(s.broken) or _is_open(s.data),
        Action.LOG,
        lambda s: (
            f"Only logged: {words.still(s.data) if _is_open(s.data) else words.once(s.broken)} "
            f"{words.in_band(s).capitalize()}."
        ),
    ),
    Rule(
        2,
        "rows_suspect",
        lambda s: bool(s.outside) or _is_open(s.support),
        Action.LOG,
        lambda s: (
            f"Only logged: {words.still(s.support) if _is_open(s.support) else words.once(s.outside)} "
            f"{words.in_band(s).capitalize()}."
        ),
    ),
    Rule(
        3,
        "drift_in_band",
        _drifting,
        Action.LOG,
        lambda s: (
            f"Only logged: change ({words.seen(s)} drifted){words.unknown(s)}, but {words.in_band(s)}. "
            f"{s.realised_reason}"
        ).strip(),
    ),
    Rule(
        0,
        "nothing_judged",
        lambda s: all(getattr(s.newest, lane) is None for lane in LANES),
        Action.LOG,
        lambda s: f"Not judged: neither inputs nor predictions nor performance. {s.realised_reason}".strip(),
    ),
    Rule(
        0,
        "nothing_out_of_band",
        lambda s: True,
        Action.LOG,
        lambda s: (
            f"Nothing to do: no change{' seen' if words.unknown(s) else ''}{words.unknown(s)}, and {words.in_band(s)}. "
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
        + (f" The breaker is open until {words.when(opened)}." if opened else "")
        + _silence(situation)
        + words.closing(incident),
        numbers=situation.numbers() | {"incident": incident.as_json() if incident else None},
        hold_promotion=rule.name == "estimated_out_of_band",
        breaker_open_until=opened,
        incident=incident,
        data=situation.data,
        support=situation.support,
        silence=situation.silence,
    )


def _silence(s: Situation) -> str:
    """That lanes do not judge, on the days after a person was asked about it."""
    found = s.silence
    if found is None or not found.is_open or _opens(s, found):
        return ""
    return f" Not judged for too long: a person was asked on {found.opened_on}."
