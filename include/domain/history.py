"""A model's past as the rules of ``decision`` use it: its journeys, and the decisions that asked a person.

The drift sensor reads it from the ledger, a simulation from its own days; the rules are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import Enum

from include.domain import unjudged
from include.domain.data_incident import DataIncident, after_findings
from include.domain.drift.report import DriftReport, Flags, ScoredDay
from include.domain.incident import Incident, Tried, after_day, outlook
from include.domain.performance import RealisedPerformance
from include.domain.prepared import prepared_of
from include.domain.situation import Policy, Situation
from include.domain.unjudged import JudgedDays

BUDGET_WINDOW = timedelta(days=30)


class Ending(Enum):
    """How a journey ended, by what this shows about retraining."""

    LIVE = "live"
    PROMOTED = "promoted"
    FUTILE = "futile"
    """A gate or a person said no, or the candidate was the champion itself."""
    BROKEN = "broken"
    """The machinery broke, or a newer journey replaced it: no evidence about retraining."""


_STOPPED = {Ending.FUTILE: True, Ending.PROMOTED: False}


@dataclass(frozen=True, slots=True)
class PastJourney:
    """One journey: when it started in data time, whether drift started it, and how it ended."""

    as_of: datetime
    by_drift: bool
    ending: Ending
    prepared: bool = False
    """Whether an estimate alone asked for it."""


@dataclass(frozen=True, slots=True)
class History:
    """What happened before a report is decided about.

    Attributes:
        journeys: in the order they were opened.
        in_flight: the run id of the journey under way, None when there is none; that one may be prepared too.
        asked_at: the futile streak at which a person was asked, each time, oldest first.
        breaker_until: until when the breaker was opened, each time.
        incident: as the last decision left it, None where there never was one.
    """

    journeys: Sequence[PastJourney] = ()
    in_flight: str | None = None
    asked_at: Sequence[int] = ()
    breaker_until: Sequence[datetime] = ()
    incident: Incident | None = None
    data: DataIncident | None = None
    """Of broken data, as the last decision left it, None where there never was one."""
    support: DataIncident | None = None
    """Of rows outside what the model was trained on."""
    judged: JudgedDays | None = None
    """When each lane last judged, None before the first decision that says so."""
    silence: DataIncident | None = None
    """Of lanes that have not judged for too long."""


def futile_streak(journeys: Iterable[PastJourney]) -> int:
    """Journeys in a row, up to the last that is over, that promoted nothing because they did not help. One that an
    estimate alone asked for neither adds to them nor ends them, unless it was promoted.

    >>> at = datetime(2013, 6, 1)
    >>> ends = (Ending.PROMOTED, Ending.FUTILE, Ending.BROKEN, Ending.FUTILE, Ending.LIVE)
    >>> futile_streak(PastJourney(at, True, ending) for ending in ends)
    2
    """
    streak = 0
    for journey in reversed([*journeys]):
        if journey.ending in (Ending.LIVE, Ending.BROKEN) or (journey.prepared and journey.ending is Ending.FUTILE):
            continue
        if journey.ending is not Ending.FUTILE:
            break
        streak += 1
    return streak


def situation_of(
    report: DriftReport, flags: Sequence[Flags], policy: Policy, history: History, now: datetime
) -> Situation:
    """Everything that the rules use.

    Args:
        report: the one to decide about.
        flags: of the last reports of this version, newest last, the report's own included; without those of an
            estimate that is only to be reported.
        policy: as declared.
        history: journeys later than ``now`` are left out.
        now: the end of the report's day.
    """
    journeys = [j for j in history.journeys if j.as_of <= now]
    streak = futile_streak(journeys)
    found = Situation(
        now=now,
        flags=tuple(flags),
        policy=policy,
        broken=report.broken,
        outside=report.outside,
        reasons=report.sentences,
        unjudged=report.unjudged,
        realised_reason=report.realised.reason,
        estimated_reason=report.estimated.reason if report.estimated else "",
        last_journey_started=max((j.as_of for j in journeys if not j.prepared), default=None),
        in_flight=history.in_flight,
        started_in_30_days=sum(j.by_drift and not j.prepared and j.as_of > now - BUDGET_WINDOW for j in journeys),
        prepared=prepared_of(
            ((j.as_of, _STOPPED.get(j.ending)) for j in journeys if j.prepared),
            now,
            in_flight=any(j.prepared and j.ending is Ending.LIVE for j in journeys),
        ),
        futile_streak=streak,
        asked_at_streak=history.asked_at[-1] if history.asked_at and streak else 0,
        breaker_open_until=max(history.breaker_until, default=None),
    )
    scored = ScoredDay(report.model, report.version, report.day)
    found = replace(
        found,
        data=after_findings(history.data, scored, report.broken, found.watch("broken")),
        support=after_findings(history.support, scored, report.outside, found.watch("outside")),
    )
    judged = unjudged.after_report(history.judged, scored, found.newest)
    why = {
        "inputs": report.inputs.reason,
        "predictions": report.predictions.reason,
        "estimated": found.estimated_reason,
        "realised": report.realised.reason,
    }
    silent = unjudged.overdue(judged, report.day, policy.judged_within, why)
    found = replace(found, judged=judged, silence=unjudged.after_day(history.silence, scored, judged, silent))
    return with_incident(found, history, scored, report.realised)


def with_incident(
    situation: Situation, history: History, scored: ScoredDay, realised: RealisedPerformance
) -> Situation:
    """The situation with what became of the incident on the day, and whether a journey of it can help.

    Args:
        situation: all else that the rules look at.
        history: the journeys, and the incident as the last decision left it.
        scored: the day, and the candidate that served it.
        realised: that candidate's performance by the end of the day.
    """
    pace, now = situation.policy.pace, situation.now
    incident = after_day(history.incident, scored, realised, situation.persists("realised"), pace)
    if incident is None or not incident.is_open:
        return replace(situation, incident=incident)
    opened = datetime.combine(date.fromisoformat(incident.opened_on), time(), now.tzinfo)
    own = [
        j
        for j in history.journeys
        if j.by_drift and not j.prepared and j.ending is not Ending.BROKEN and opened < j.as_of <= now
    ]
    days, rows = realised.served_days or 0, realised.served_rows or 0
    found = outlook(
        incident,
        today=now.date(),
        matured_until=(now - pace.label_delay).date(),
        rows=rows // days if days else 0,
        tried=_tried(own, pace.label_delay),
        pace=pace,
    )
    return replace(situation, incident=incident, incident_journeys=len(own), outlook=found)


def _tried(journeys: Sequence[PastJourney], label_delay: timedelta) -> Tried:
    """What an incident's journeys show, the newest last."""
    backed_off = 0
    for journey in journeys:
        if journey.ending is Ending.FUTILE:
            backed_off += 1
        elif journey.ending is Ending.PROMOTED:
            backed_off = max(backed_off - 1, 0)
    newest = (journeys[-1].as_of - label_delay).date() if journeys else None
    return Tried(len(journeys), backed_off, newest)
