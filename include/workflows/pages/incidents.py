"""The page of an incident: what, since when, what was tried, what it costs a day, and what happens next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from include.adapters.ledger import (
    Candidate,
    DriftSummary,
    IncidentEventRecord,
    IncidentRecord,
    Ledger,
    RetrainDecision,
)
from include.domain.data_incident import DataIncident
from include.domain.incident import Incident, Stage
from include.domain.incident_log import IncidentCause
from include.domain.journey import Trigger
from include.domain.wording import count_of
from include.workflows.gates.gate import title as gate_title
from include.workflows.journey.facts import RecipeRace
from include.workflows.journey.kept_facts import KeptFacts
from include.workflows.pages import sources
from include.workflows.pages.actions import Button

JOURNEYS = 30
"""How many of the model's newest journeys are looked through for those of the incident."""


@dataclass(frozen=True, slots=True)
class TriedJourney:
    """One journey of the incident."""

    candidate: Candidate
    outcome: str
    race: RecipeRace | None
    """None where nothing raced, or where this server cannot read it."""


@dataclass(frozen=True, slots=True)
class IncidentView:
    """One incident as people see it."""

    record: IncidentRecord
    headline: str
    sentence: str
    """What, and since when."""
    cost: str
    """What it costs a day, in the metric's unit; empty where it is closed."""
    next_step: str
    """What happens next, and on which day; empty where it is closed."""
    next_on: str | None
    """The first day on which a journey can start, ``YYYY-MM-DD``; None where none waits for a day."""
    tried: tuple[TriedJourney, ...]
    """Oldest first."""
    events: tuple[IncidentEventRecord, ...]
    actions: tuple[Button, ...]

    @property
    def model(self) -> str:
        return self.record.model

    @property
    def state(self) -> Mapping[str, Any]:
        return self.record.state

    @property
    def is_known(self) -> bool:
        """Whether the serving model is shown to be above the band; an incident of the data is what it is."""
        if self.record.cause is not IncidentCause.PERFORMANCE:
            return True
        risk = self.state["risk"]
        return risk is not None and risk > self.state["band"]


def incident(key: str) -> IncidentView:
    """The page of one incident.

    Raises:
        UnknownIncident: when there is none.
    """
    with sources.open_ledger() as ledger:
        return view_of(ledger, ledger.incidents.get(key))


def listed(model: str | None = None, *, only_open: bool = False) -> list[IncidentView]:
    """The incidents of one model, or of all, newest first; of the closed ones without what was tried and happened."""
    with sources.open_ledger() as ledger:
        found = ledger.incidents.of(model, only_open=only_open)
        return [view_of(ledger, each, in_full=each.is_open) for each in found]


def view_of(ledger: Ledger, record: IncidentRecord, *, in_full: bool = True) -> IncidentView:
    """What is shown of the incident, from an open ledger; ``in_full`` with what was tried and what happened."""
    if record.cause is not IncidentCause.PERFORMANCE:
        return _of_data(ledger, record)
    found = Incident.from_json(record.state)
    is_open = record.is_open
    decision = ledger.drift.decisions(record.model, since=record.judged_on)[-1:] if is_open else []
    newest = ledger.overview.drift_days(record.model, last=1) if is_open else []
    return IncidentView(
        record=record,
        headline=f"{_HEADLINES[found.stage]}: {record.model}, {found.metric}",
        sentence=found.sentence,
        cost=_cost(found, next(iter(newest), None)) if is_open else "",
        next_step=(_asks_at(ledger, record) or _next(found, next(iter(decision), None))) if is_open else "",
        next_on=_next_on(next(iter(decision), None)) if is_open else None,
        tried=tuple(_tried(ledger, record)) if in_full else (),
        events=tuple(ledger.incidents.events(record.incident_id)) if in_full else (),
        actions=tuple(_actions(record, _accepting(found))) if is_open else (),
    )


def _of_data(ledger: Ledger, record: IncidentRecord) -> IncidentView:
    """An incident of broken data, or of rows outside what the model was trained on."""
    found = DataIncident.from_json(record.state)
    what = _ABOUT[record.cause]
    said = f"{found.reason} Since {found.opened_on}, last found on {found.seen_on}."
    declared = sources.declared_now().models.get(record.model)
    holds = found.holds_back_until(declared.drift.data.holds_days).isoformat() if declared else "its declared end"
    view = IncidentView(
        record=record,
        headline=f"{_HEADLINES[found.stage]}: {record.model}, {what}",
        sentence=said if found.is_open else f"{said} Closed on {found.closed_on}. {found.note}",
        cost="",
        next_step="",
        next_on=None,
        tried=(),
        events=tuple(ledger.incidents.events(record.incident_id)),
        actions=(),
    )
    if not found.is_open:
        return view
    accepting = f"{', '.join(found.checks)} is not asked about again while {found.version} serves."
    return replace(
        view,
        cost="What it costs is not measured here: a loss that leaves its band has an incident of its own.",
        next_step=_next_of_data(record, holds),
        actions=tuple(_actions(record, accepting)),
    )


def _next_of_data(record: IncidentRecord, holds: str) -> str:
    if record.cause is IncidentCause.SILENCE:
        return "It closes when all of it is judged again. It holds no retrain back."
    said = f"It closes when it is not found any more. A retrain is held back before {holds}, no longer."
    if record.cause is not IncidentCause.SUPPORT:
        return said
    return (
        f"{said} Where the new values are real (a feature that goes on rising): `slipway retrain {record.model} "
        '--reason "new support"` learns from them now, and its candidate is held for a person.'
    )


_ABOUT = {
    IncidentCause.DATA: "broken data",
    IncidentCause.SUPPORT: "rows outside what the model was trained on",
    IncidentCause.SILENCE: "not judged for too long",
}
_HEADLINES = {Stage.OPEN: "Open", Stage.RECOVERING: "Recovering", Stage.CLOSED: "Closed"}


def _cost(found: Incident, newest: DriftSummary | None) -> str:
    """Risk above the anchor times the rows of a day, in words."""
    if found.risk is None:
        return "What it costs a day is not known: too few labels of the serving model have matured."
    if found.risk <= found.anchor:
        return "It costs nothing now: the last matured days are not above the level before the change."
    realised = newest.realised if newest else {}
    days, rows = realised.get("served_days") or 0, realised.get("served_rows") or 0
    above = found.risk - found.anchor
    if found.metric == "rmse":
        above = found.risk**2 - found.anchor**2
    each = _UNITS.get(found.metric, f"{found.metric} a row")
    if not days or not rows:
        return f"{above:.4g} more {each} than before the change; how many rows a day has is not known."
    a_day = rows / days
    if found.metric == "error":
        return f"About {above * a_day:,.0f} more wrong answers a day, of {a_day:,.0f} rows a day."
    return (
        f"{above:.4g} more {each} than before the change, with {a_day:,.0f} rows a day: "
        f"{above * a_day:,.4g} {_UNITS.get(found.metric, found.metric).removesuffix(' a row')} a day."
    )


_UNITS = {"error": "wrong answers a row", "rmse": "squared error a row", "mae": "absolute error a row"}
"""What a loss is in words, where its name does not say it."""


def _asks_at(ledger: Ledger, record: IncidentRecord) -> str:
    """That a journey of the incident waits for a person, which the sensor does not know; empty when none does."""
    standing = next(iter(ledger.overview.standings(record.model)), None)
    live = standing.live if standing is not None else None
    if standing is None or live is None or not standing.waits_at or live.request.trigger is not Trigger.DRIFT:
        return ""
    gate = gate_title(standing.waits_at)
    return f"A person decides: {gate} of {live.candidate_id} could not tell, and no answer in time is a rejection."


def _next(found: Incident, decision: RetrainDecision | None) -> str:
    """What the newest decision says of the next step."""
    rule = decision.rule.partition(" ")[2] if decision else ""
    numbers = decision.numbers if decision else {}
    on = numbers.get("next_on")
    if rule == "cannot_help_yet":
        return f"A journey starts on {on}, when enough labels since the change have matured to learn from."
    if rule == "in_flight":
        return f"The journey {numbers.get('in_flight')} is under way."
    if rule == "recovering":
        return f"{found.serving} serves since the promotion; its matured labels close the incident or not."
    if rule == "cooldown":
        return f"A journey starts on {str(numbers.get('cooldown_ends'))[:10]}, after the cooldown of the last one."
    if rule == "budget":
        return "A journey starts when the declared number in 30 days is not used up any more."
    if rule in ("not_helped", "helps_no_more"):
        return (
            "A person decides: accept the new level, or look at the label and the features. A whole training window "
            f"lies after the change, and what was tried did not help. The next journey starts on {on}."
        )
    if rule == "realised_out_of_band":
        return f"A journey was started for {decision.day if decision else ''}."
    return "The next judged day decides."


_WAITS = ("cannot_help_yet", "not_helped", "helps_no_more")
"""The rules that name the day of the next journey."""


def _next_on(decision: RetrainDecision | None) -> str | None:
    waits = decision is not None and decision.rule.partition(" ")[2] in _WAITS
    return str(decision.numbers["next_on"]) if decision is not None and waits else None


def _tried(ledger: Ledger, record: IncidentRecord) -> list[TriedJourney]:
    """The journeys that its decisions started, oldest first."""
    found = []
    for candidate in ledger.overview.candidates(record.model, last=JOURNEYS)[::-1]:
        request = candidate.request
        if request.trigger is not Trigger.DRIFT or request.report_id is None:
            continue
        decision = ledger.drift.decision(request.report_id)
        behind = (decision.numbers.get("incident") or {}) if decision is not None else {}
        if behind.get("opened_on") == record.opened_on:
            outcome = candidate.outcome or f"Under way: {candidate.state.value.replace('_', ' ')}."
            found.append(TriedJourney(candidate, outcome, KeptFacts(candidate.candidate_id).of(RecipeRace)))
    return found


def _accepting(found: Incident) -> str | None:
    """What accepting the level does; None while the level is not known."""
    if found.risk is None:
        return None
    return (
        f"{found.metric} {found.risk:.4g} is what {found.serving} is compared with from the next judged day on. No "
        "journey starts for this change any more."
    )


def _actions(record: IncidentRecord, accepting: str | None) -> list[Button]:
    """What may be done, the likeliest first."""
    actions = []
    if record.acknowledged_by is None:
        actions.append(
            Button("ack", "Acknowledge", "Somebody looks at it: no reminder is sent any more.", needs_reason=True)
        )
    actions.append(
        Button(
            "snooze",
            "Snooze",
            "No reminder is sent before this day of data. The sensor goes on, and journeys start as before.",
            needs_reason=True,
            needs_until=True,
        )
    )
    if accepting is not None:
        label = "Accept the new level" if record.cause is IncidentCause.PERFORMANCE else "Accept it"
        closed = f"The incident is closed. {accepting}"
        actions.append(Button("accept", label, closed, needs_reason=True, is_grave=True))
    return actions


def summary(view: IncidentView) -> str:
    """One line, for a banner and a list."""
    if not view.record.is_open:
        return view.sentence
    tried = count_of(len(view.tried), "journey")
    held = f" Acknowledged by {view.record.acknowledged_by}." if view.record.acknowledged_by else ""
    snoozed = f" Snoozed until {view.record.snoozed_until}." if view.record.snoozed_until else ""
    return f"{view.sentence} {tried} so far.{held}{snoozed} {view.next_step}".strip()


def as_json(view: IncidentView) -> dict[str, Any]:
    """The view as REST and the command line show it."""
    record = view.record
    return {
        "incident_id": record.incident_id,
        "model": record.model,
        "cause": record.cause.value,
        "opened_on": record.opened_on,
        "judged_on": record.judged_on,
        "stage": record.stage.value,
        "state": dict(record.state),
        "acknowledged_by": record.acknowledged_by,
        "snoozed_until": record.snoozed_until,
        "sentence": view.sentence,
        "cost": view.cost,
        "next_step": view.next_step,
        "next_on": view.next_on,
        "tried": [
            {
                "candidate_id": t.candidate.candidate_id,
                "as_of": t.candidate.request.as_of.isoformat(),
                "outcome": t.outcome,
                "race": t.race.sentence if t.race else None,
            }
            for t in view.tried
        ],
        "events": [
            {
                "number": e.number,
                "kind": e.kind.value,
                "day": e.day,
                "who": e.who,
                "claimed": e.claimed,
                "why": e.why,
                "at": e.at.isoformat(),
            }
            for e in view.events
        ],
        "actions": [{"action": a.name, "consequence": a.consequence} for a in view.actions],
    }
