"""What the ordered rules use of a day: the flags of its report, the declared policy, and what came before it."""

from __future__ import annotations

import math
from dataclasses import replace

from include.adapters.ledger import IncidentsSeen, Ledger
from include.config import ModelDeclaration
from include.domain.drift.report import DriftReport, Flags
from include.domain.history import Ending, History, PastJourney, situation_of
from include.domain.incident import IncidentPace
from include.domain.incident_acts import AcceptedLevel
from include.domain.incident_log import IncidentCause
from include.domain.intervals import DAY, Interval, instant
from include.domain.journey import Trigger
from include.domain.lifecycle import State
from include.domain.situation import Policy, Situation
from include.domain.unjudged import JudgedDays
from include.workflows.drift import seen_incidents
from include.workflows.journey.estimate_hold import HOLD


def situation(ledger: Ledger, model: ModelDeclaration, report: DriftReport, seen: IncidentsSeen) -> Situation:
    """Everything that the rules use, as of the end of the report's day."""
    earlier = [
        DriftReport.from_json(r.report)
        for r in ledger.drift.reports(model.name, last=model.drift.retrain.windows[1] - 1, before=report.day)
        if r.report["version"] == report.version
    ]
    # After what was seen of the incidents: an act between the two is not seen, and makes the decision be made again.
    level = ledger.incidents.accepted(model.name, report.version, report.day)
    flags = [flags_of(model, r, level) for r in (*earlier, report)]
    now = Interval.of_day(report.day).end
    return situation_of(report, flags, policy_of(model), _history(ledger, model, report.day, seen), now)


def policy_of(model: ModelDeclaration) -> Policy:
    declared = model.drift.retrain
    return Policy(
        windows=declared.windows,
        cooldown_days=declared.cooldown_days,
        budget_per_month=declared.budget_per_month,
        futile_before_escalation=declared.futile_before_escalation,
        data_holds_days=model.drift.data.holds_days,
        judged_within=judged_within(model),
        pace=pace_of(model),
    )


BY_TIER = {"critical": 14, "standard": 28, "experimental": 0}
"""Days within which a lane must judge, where the declaration does not say."""


def judged_within(model: ModelDeclaration) -> dict[str, int]:
    """The most days without a judgement of each lane, by its flag; 0 watches none."""
    declared, usual = model.drift.judged_within, BY_TIER[model.tier]
    performance = usual if declared.performance is None else declared.performance
    return {
        "inputs": usual if declared.inputs is None else declared.inputs,
        "predictions": usual if declared.predictions is None else declared.predictions,
        "estimated": declared.estimated,
        "realised": performance + math.ceil(model.label.delay / DAY) if performance else 0,
    }


def pace_of(model: ModelDeclaration) -> IncidentPace:
    """When a journey of an incident can help: with enough rows since the change for the declared gates."""
    judged = max(model.gates.champion_gate.min_rows, model.gates.threshold_gate.min_rows)
    # One half of what lies after the change is learned from, the other is judged on.
    return IncidentPace(wait_rows=2 * judged, window_days=model.training.window_days, label_delay=model.label.delay)


def flags_of(model: ModelDeclaration, report: DriftReport, level: AcceptedLevel | None = None) -> Flags:
    """The report's flags. An estimate that is only to be reported raises none; nor does a realised loss that was not
    compared with the level that a person has accepted since."""
    found = report.flags if model.drift.estimated.acts else replace(report.flags, estimated=None)
    if level is not None and report.realised.accepted_on != level.accepted_on:
        return replace(found, realised=None)
    return found


def _history(ledger: Ledger, model: ModelDeclaration, day: str, seen: IncidentsSeen) -> History:
    """The model's journeys, in the order they were opened, and what was decided before the day."""
    candidates = sorted(ledger.candidates.of(model.name), key=lambda c: c.opened_at)
    decisions = ledger.drift.decisions(model.name, before=day)
    live = ledger.candidates.live(model.name)
    prepared = {d.journey_run_id for d in decisions if d.numbers.get(HOLD)}
    opened = [d.numbers["opened_breaker_until"] for d in decisions if d.numbers.get("opened_breaker_until")]
    return History(
        journeys=[
            PastJourney(
                c.request.as_of, c.request.trigger is Trigger.DRIFT, _ending(c.state, c.is_live), c.run_id in prepared
            )
            for c in candidates
        ],
        in_flight=live.run_id if live else None,
        asked_at=[int(d.numbers["futile_streak"]) for d in decisions if d.rule.endswith(" futile")],
        breaker_until=[instant(o) for o in opened],
        incident=seen_incidents.of_performance(seen),
        data=seen_incidents.of_data(seen, IncidentCause.DATA),
        support=seen_incidents.of_data(seen, IncidentCause.SUPPORT),
        judged=JudgedDays.from_json(known) if decisions and (known := decisions[-1].numbers.get("judged")) else None,
        silence=seen_incidents.of_data(seen, IncidentCause.SILENCE),
    )


def _ending(state: State, live: bool) -> Ending:
    if live:
        return Ending.LIVE
    if state in (State.FAILED, State.SUPERSEDED):
        return Ending.BROKEN
    return Ending.FUTILE if state in (State.REJECTED, State.UNCHANGED) else Ending.PROMOTED
