"""The models page: every model with what serves, how it does, what is under way, and what waits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from include.adapters.ledger import Candidate, IncidentRecord, JudgedRisk, ModelStanding, Outage, Scope
from include.config import Declarations, ModelDeclaration
from include.domain.incident_log import IncidentCause
from include.workflows.alerts.freshness import STALE
from include.workflows.alerts.out_of_order import OutOfOrder, out_of_order
from include.workflows.gates.gate import title as gate_title
from include.workflows.pages import sources
from include.workflows.pages.feature_views import of_model
from include.workflows.pages.standing import Standing, lane_of, standings
from include.workflows.pages.words import DECISIONS

SPARK_DAYS = 14
"""How many of a model's newest days its small picture shows."""
_SORTED_BY = ("model", "tier", "champion", "since", "features", "performance", "drift", "waits")


@dataclass(frozen=True, slots=True)
class RecentPerformance:
    """The realised performance of what serves, in the newest report and in those before it."""

    state: str
    """``in its band``, ``out of its band`` or ``not judged``."""
    verdict: str
    """PASS, FAIL or NONE, as verdicts are drawn."""
    metric: str
    """Empty before the first report."""
    day: str | None
    risk: float | None
    """The loss of the newest days whose labels are known; None where there are too few."""
    reference: float | None
    limit: float | None
    """The reference with what is tolerated."""
    reason: str
    recent: tuple[float | None, ...]
    """The loss by report, oldest first."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of the models page."""

    model: str
    tier: str
    """Empty for a model that is not declared any more."""
    owner: str
    on_call: str
    champion: str | None
    """The candidate that serves; None when none does."""
    version: str | None
    since: datetime | None
    newest_features: str | None
    """The day up to which every view it reads is published; None before that."""
    freshness: str
    """How late that is, in words; empty where it is not known."""
    performance: RecentPerformance
    late: tuple[str, ...]
    """What of it, or of the views it reads, is overdue, a sentence each."""
    drift: str
    """The newest decision's action: log, suppress, retrain, escalate; empty when nothing was judged."""
    drift_words: str
    """The same in words."""
    drift_day: str | None
    drift_reason: str
    report_id: str | None
    last: str
    """How the newest journey ended or which step it is at, in a sentence."""
    last_candidate: str | None
    live: str | None
    """The candidate under way."""
    waits: str
    """What waits for a person; empty when nothing does."""
    standings: tuple[Standing, ...]
    """All that is so of it, the worst first; never empty."""

    @property
    def tone(self) -> str:
        """The colour of its page: that of the worst."""
        return self.standings[0].tone


@dataclass(frozen=True, slots=True)
class BrokenDeclaration:
    """One thing that is wrong with a declaration."""

    dag_id: str | None
    """The Dag that it takes away; None where the file is that of many models."""
    problem: str


@dataclass(frozen=True, slots=True)
class ModelsView:
    """The models page."""

    rows: tuple[ModelRow, ...]
    waiting: int
    broken: tuple[BrokenDeclaration, ...]
    """What is wrong with declarations that cannot be used, a line each."""
    sorted_by: str
    out_of_order: tuple[OutOfOrder, ...] = ()
    """What of the machinery does not work, what is overdue, and who could not be notified."""

    @property
    def owners(self) -> tuple[str, ...]:
        return tuple(sorted({r.owner for r in self.rows if r.owner}))


@dataclass(frozen=True, slots=True)
class Narrowed:
    """To which models the page is narrowed; what is empty narrows nothing."""

    find: str = ""
    """A part of the model's name, of its owner's, or of who is on call."""
    owner: str = ""
    state: str = ""
    """One of ``STATES``."""

    def takes(self, row: ModelRow) -> bool:
        names = (row.model, row.owner, row.on_call)
        return (
            any(self.find.strip().lower() in name.lower() for name in names)
            and (not self.owner or row.owner == self.owner)
            and (not self.state or self.state in _states(row))
        )


def models(sorted_by: str = "waits", now: datetime | None = None) -> ModelsView:
    """Every model that is declared or that the ledger has met, sorted by a column of the page; with ``now`` also what
    is out of order."""
    declared = sources.declared_now()
    with sources.open_ledger() as ledger:
        known = {s.model: s for s in ledger.overview.standings()}
        days = ledger.overview.newest_days()
        risks = ledger.drift.recent_risks(days=SPARK_DAYS)
        outages = ledger.outages.open()
        wrong = out_of_order(ledger, now) if now is not None else []
        incidents = ledger.incidents.of(only_open=True)
    rows = [
        row_of(
            name,
            declared,
            known.get(name),
            days,
            [each for each in incidents if each.model == name],
            risks.get(name, ()),
            outages,
        )
        for name in sorted({*declared.models, *known})
    ]
    if now is not None:
        rows = [with_freshness(row, declared, days, now) for row in rows]
    column = sorted_by if sorted_by in _SORTED_BY else "waits"
    return ModelsView(
        rows=tuple(_sorted(rows, column)),
        waiting=sum(bool(r.waits) for r in rows),
        broken=tuple(
            BrokenDeclaration(_dag_of(file), p) for file, error in declared.broken.items() for p in error.problems
        ),
        sorted_by=column,
        out_of_order=tuple(wrong),
    )


def _states(row: ModelRow) -> set[str]:
    return {row.performance.state, *(each.word for each in row.standings)}


def _dag_of(file: Path) -> str | None:
    """The Dag of the model or view that a declaration's file belongs to."""
    kinds = {"models": "retrain_", "features": "features_"}
    return next((kinds[up.parent.name] + up.name for up in file.parents[:2] if up.parent.name in kinds), None)


def only(view: ModelsView, allowed: Collection[str]) -> ModelsView:
    """The page with the models somebody may see."""
    rows = tuple(r for r in view.rows if r.model in allowed)
    wrong = tuple(each for each in view.out_of_order if each.scope != "model" or each.subject in allowed)
    return replace(view, rows=rows, out_of_order=wrong, waiting=sum(bool(r.waits) for r in rows))


def narrow(view: ModelsView, narrowed: Narrowed) -> ModelsView:
    """The page with the models that were asked for; what is out of order stays, of whatever it is."""
    rows = tuple(r for r in view.rows if narrowed.takes(r))
    return replace(view, rows=rows, waiting=sum(bool(r.waits) for r in rows))


def row_of(
    name: str,
    declared: Declarations,
    standing: ModelStanding | None,
    days: Mapping[tuple[str, int], str],
    incidents: Collection[IncidentRecord],
    risks: Sequence[JudgedRisk],
    outages: Iterable[Outage],
) -> ModelRow:
    """One model's line. ``incidents`` are its open ones; how late its features are is said ``with_freshness``."""
    own = declared.models.get(name)
    champion = standing.champion if standing else None
    decision = standing.decision if standing else None
    last = standing.last if standing else None
    live = standing.live if standing else None
    late = tuple(_late(name, own, outages))
    waits = _waits(standing) or asked_by(incidents).get(name, "")
    return ModelRow(
        model=name,
        tier=own.tier if own else "",
        owner=own.owners.model if own else "",
        on_call=own.owners.on_call if own else "",
        champion=champion.to_candidate if champion else None,
        version=champion.model_version if champion else None,
        since=champion.effective_from if champion else None,
        newest_features=_newest(own, days),
        freshness="",
        performance=_performance(risks),
        late=late,
        drift=decision.action.value if decision else "",
        drift_words=DECISIONS.get(decision.action.value, decision.action.value) if decision else "",
        drift_day=decision.day if decision else None,
        drift_reason=decision.reason if decision else "",
        report_id=decision.report_id if decision else None,
        last=_last(last),
        last_candidate=last.candidate_id if last else None,
        live=live.candidate_id if live else None,
        waits=waits,
        standings=standings(champion, risks, incidents, waits, late),
    )


def with_freshness(
    row: ModelRow, declared: Declarations, days: Mapping[tuple[str, int], str], now: datetime
) -> ModelRow:
    """The line with how late its features are at the moment."""
    own = declared.models.get(row.model)
    return replace(row, freshness=of_model(own, declared, days, now).words) if own is not None else row


def _performance(risks: Sequence[JudgedRisk]) -> RecentPerformance:
    if not risks:
        lane = lane_of(None)
        return RecentPerformance(lane.word, lane.verdict, "", None, None, None, None, lane.reason, ())
    newest = risks[-1]
    lane = lane_of(newest)
    return RecentPerformance(
        state=lane.word,
        verdict=lane.verdict,
        metric=newest.metric,
        day=newest.day,
        risk=newest.risk,
        reference=newest.reference,
        limit=newest.reference + (newest.tolerance or 0.0) if newest.reference is not None else None,
        reason=newest.reason,
        recent=tuple(each.risk if each.metric == newest.metric else None for each in risks),
    )


def _late(name: str, own: ModelDeclaration | None, outages: Iterable[Outage]) -> Iterable[str]:
    reads = {use.view for use in own.views} if own else set()
    about = {Scope.MODEL: {name}, Scope.VIEW: reads}
    for each in outages:
        if each.kind == STALE and each.subject in about.get(each.scope, ()):
            yield each.sentence


def _newest(own: ModelDeclaration | None, days: Mapping[tuple[str, int], str]) -> str | None:
    if own is None:
        return None
    found = [days.get((use.view, use.version)) for use in own.views]
    return min((d for d in found if d is not None), default=None) if all(found) else None


def _last(last: Candidate | None) -> str:
    if last is None:
        return "No journey yet."
    state = last.state.value.replace("_", " ")
    return last.outcome or (f"Under way: {state}." if last.is_live else f"{state.capitalize()}.")


def _waits(standing: ModelStanding | None) -> str:
    if standing is None:
        return ""
    if standing.waits_at:
        return f"{gate_title(standing.waits_at)} asks for a decision"
    if standing.decision is not None and standing.decision.action.value == "escalate":
        return "Drift asks for a person"
    return ""


def asked_by(found: Iterable[IncidentRecord]) -> dict[str, str]:
    """By model, what an open incident asks a person, where no one has acknowledged it."""
    asking: dict[str, str] = {}
    for each in found:
        if each.acknowledged_by is not None:
            continue
        if each.cause is IncidentCause.DATA:
            asking[each.model] = "Broken data asks for a person"
        elif each.cause is IncidentCause.SUPPORT:
            asking[each.model] = "Rows outside what was trained on ask for a person"
        elif each.cause is IncidentCause.SILENCE:
            asking[each.model] = "Not judged for too long, which asks for a person"
        elif each.state["asked"]:
            asking[each.model] = "Retraining did not help, which asks for a person"
    return asking


def _sorted(rows: Iterable[ModelRow], column: str) -> list[ModelRow]:
    tiers = {"critical": 0, "standard": 1, "experimental": 2}
    in_order = {"out of its band": 0, "not judged": 1}
    worst_first = ("bad", "waits", "", "good")
    actions_first = {"escalate": 0, "retrain": 1, "suppress": 2, "log": 3}
    keys: dict[str, Any] = {
        "model": lambda r: r.model,
        "tier": lambda r: (tiers.get(r.tier, 3), r.model),
        "champion": lambda r: (r.champion is not None, r.model),
        "since": lambda r: (r.since is None, -(r.since.timestamp() if r.since else 0), r.model),
        "features": lambda r: (r.newest_features or "", r.model),
        "performance": lambda r: (in_order.get(r.performance.state, 2), r.model),
        "drift": lambda r: (actions_first.get(r.drift, 4), r.model),
        "waits": lambda r: (not r.waits, worst_first.index(r.tone), r.live is None, tiers.get(r.tier, 3), r.model),
    }
    return sorted(rows, key=keys[column])
