"""The models page: every model with what serves, what is under way, and what waits; and the page of one model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from include.adapters.ledger import Candidate, DriftSummary, IncidentRecord, ModelStanding
from include.config import Declarations, ModelDeclaration
from include.config.declared import UnknownName
from include.domain.incident import Stage
from include.domain.incident_log import IncidentCause
from include.domain.promotion import Epoch
from include.domain.wording import count_of
from include.workflows import gates
from include.workflows.alerts.out_of_order import OutOfOrder, out_of_order
from include.workflows.gates.gate import title as gate_title
from include.workflows.pages import actions, sources
from include.workflows.pages.actions import Button
from include.workflows.pages.lanes import DayLane
from include.workflows.selftest.readiness import ReadinessReport, report_on

SHOWN_JOURNEYS = 30
SHOWN_DAYS = 120
MATRIX_JOURNEYS = 12
SMALL_MULTIPLES = 24
_SORTED_BY = ("model", "tier", "champion", "since", "features", "drift", "waits")


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
    drift: str
    """The newest decision's action: log, suppress, retrain, escalate; empty when nothing was judged."""
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


@dataclass(frozen=True, slots=True)
class ModelView:
    """The page of one model."""

    row: ModelRow
    description: str
    declared: ModelDeclaration | None
    epochs: tuple[Epoch, ...]
    journeys: tuple[Candidate, ...]
    """Newest first."""
    verdicts: Mapping[str, Mapping[str, str]]
    """By candidate, then by gate."""
    gates: tuple[str, ...]
    days: tuple[DriftSummary, ...]
    """Oldest first."""
    features: tuple[tuple[str, tuple[float | None, ...]], ...]
    """The effect of each feature on each of ``days``, the most drifted first; None where it was not judged."""
    not_judged: tuple[tuple[str, str], ...]
    """The features that were not judged on the newest of ``days``, and why."""
    tone: str
    """The colour of the banner: ``bad`` where an incident is open, ``good`` only where performance was judged and is in
    its band."""
    performance: DayLane
    """The realised performance on the newest of ``days``."""
    readiness: tuple[tuple[str, bool, str], ...]
    """What a model needs, whether it has it, and how that shows."""
    report: ReadinessReport | None
    """What its declared gates cover and lack; None for a model that is not declared."""
    rollback: Button | None


def models(sorted_by: str = "waits", now: datetime | None = None) -> ModelsView:
    """Every model that is declared or that the ledger has met, sorted by a column of the page; with ``now`` also what
    is out of order."""
    declared = sources.declared_now()
    with sources.open_ledger() as ledger:
        standings = {s.model: s for s in ledger.overview.standings()}
        days = ledger.overview.newest_days()
        wrong = out_of_order(ledger, now) if now is not None else []
        asking = _asking(ledger.incidents.of(only_open=True))
    names = sorted({*declared.models, *standings})
    rows = [_row(name, declared, standings.get(name), days, asking.get(name, "")) for name in names]
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


def _dag_of(file: Path) -> str | None:
    """The Dag of the model or view that a declaration's file belongs to."""
    kinds = {"models": "retrain_", "features": "features_"}
    return next((kinds[up.parent.name] + up.name for up in file.parents[:2] if up.parent.name in kinds), None)


def only(view: ModelsView, allowed: Collection[str]) -> ModelsView:
    """The page with the models somebody may see."""
    rows = tuple(r for r in view.rows if r.model in allowed)
    wrong = tuple(each for each in view.out_of_order if each.scope != "model" or each.subject in allowed)
    return replace(view, rows=rows, out_of_order=wrong, waiting=sum(bool(r.waits) for r in rows))


def model(name: str) -> ModelView:
    """The page of one model.

    Raises:
        UnknownName: when it is neither declared nor in the ledger.
    """
    declared = sources.declared_now()
    with sources.open_ledger() as ledger:
        standing = next(iter(ledger.overview.standings(name)), None)
        if standing is None and name not in declared.models:
            raise UnknownName("model", name, sorted(declared.models))
        journeys = ledger.overview.candidates(name, last=SHOWN_JOURNEYS)
        verdicts = ledger.overview.verdicts([c.candidate_id for c in journeys])
        days = ledger.overview.drift_days(name, last=SHOWN_DAYS)
        epochs = ledger.deployments.epochs(name)
        incidents = ledger.incidents.of(name, only_open=True)
        asking = _asking(incidents).get(name, "")
        row = _row(name, declared, standing, ledger.overview.newest_days(), asking)
    own = declared.models.get(name)
    champion = standing.champion if standing else None
    return ModelView(
        row=row,
        description=own.description if own else "This model is not declared any more.",
        declared=own,
        epochs=tuple(epochs),
        journeys=tuple(journeys),
        verdicts=verdicts,
        gates=tuple(_gates(own, verdicts.values())),
        days=tuple(days),
        features=tuple(_features(days)),
        not_judged=tuple(days[-1].unjudged.items()) if days else (),
        tone=_tone(row, days, incidents),
        performance=_performance(days),
        readiness=tuple(_readiness(own, row, days)),
        report=report_on(own) if own else None,
        rollback=actions.rollback(name, champion, epochs) if champion else None,
    )


def _performance(days: Sequence[DriftSummary]) -> DayLane:
    newest = days[-1] if days else None
    return DayLane(
        "realised",
        newest.flags.get("realised") if newest else None,
        str(newest.realised.get("reason", "")) if newest else "",
    )


def _tone(row: ModelRow, days: Sequence[DriftSummary], incidents: Iterable[IncidentRecord]) -> str:
    if any(i.acknowledged_by is None and i.stage is not Stage.RECOVERING for i in incidents):
        return "bad"
    flag = _performance(days).flag
    if row.waits or flag or list(incidents):
        return "waits"
    return "good" if row.champion and flag is False else ""


def _row(
    name: str,
    declared: Declarations,
    standing: ModelStanding | None,
    days: Mapping[tuple[str, int], str],
    asking: str,
) -> ModelRow:
    own = declared.models.get(name)
    champion = standing.champion if standing else None
    decision = standing.decision if standing else None
    last = standing.last if standing else None
    live = standing.live if standing else None
    return ModelRow(
        model=name,
        tier=own.tier if own else "",
        owner=own.owners.model if own else "",
        on_call=own.owners.on_call if own else "",
        champion=champion.to_candidate if champion else None,
        version=champion.model_version if champion else None,
        since=champion.effective_from if champion else None,
        newest_features=_newest(own, days),
        drift=decision.action.value if decision else "",
        drift_day=decision.day if decision else None,
        drift_reason=decision.reason if decision else "",
        report_id=decision.report_id if decision else None,
        last=_last(last),
        last_candidate=last.candidate_id if last else None,
        live=live.candidate_id if live else None,
        waits=_waits(standing) or asking,
    )


def _newest(own: ModelDeclaration | None, days: Mapping[tuple[str, int], str]) -> str | None:
    if own is None:
        return None
    found = [days.get((use.view, use.version)) for use in own.views]
    return min((d for d in found if d is not None), default=None) if all(found) else None


def _last(last: Candidate | None) -> str:
    if last is None:
        return "No journey yet."
    return last.outcome or f"Under way: {last.state.value}."


def _waits(standing: ModelStanding | None) -> str:
    if standing is None:
        return ""
    if standing.waits_at:
        return f"{gate_title(standing.waits_at)} asks for a decision"
    if standing.decision is not None and standing.decision.action.value == "escalate":
        return "Drift asks for a person"
    return ""


def _asking(found: Iterable[IncidentRecord]) -> dict[str, str]:
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
    actions_first = {"escalate": 0, "retrain": 1, "suppress": 2, "log": 3}
    keys: dict[str, Any] = {
        "model": lambda r: r.model,
        "tier": lambda r: (tiers.get(r.tier, 3), r.model),
        "champion": lambda r: (r.champion is not None, r.model),
        "since": lambda r: (r.since is None, -(r.since.timestamp() if r.since else 0), r.model),
        "features": lambda r: (r.newest_features or "", r.model),
        "drift": lambda r: (actions_first.get(r.drift, 4), r.model),
        "waits": lambda r: (not r.waits, r.live is None, tiers.get(r.tier, 3), r.model),
    }
    return sorted(rows, key=keys[column])


def _gates(own: ModelDeclaration | None, verdicts: Iterable[Mapping[str, str]]) -> list[str]:
    declared = list(gates.modes(own)) if own else []
    seen = [gate for found in verdicts for gate in found]
    return list(dict.fromkeys([*declared, *seen]))


def _features(days: Iterable[DriftSummary]) -> list[tuple[str, tuple[float | None, ...]]]:
    """By the largest effect of the last two weeks, because that is the usual question."""
    shown = list(days)
    names = list(dict.fromkeys(name for day in reversed(shown) for name in day.effects))
    recent = shown[-14:]
    names.sort(key=lambda name: -max((d.effects.get(name, 0.0) for d in recent), default=0.0))
    return [(name, tuple(d.effects.get(name) for d in shown)) for name in names[:SMALL_MULTIPLES]]


def _readiness(
    own: ModelDeclaration | None, row: ModelRow, days: Iterable[DriftSummary]
) -> Iterable[tuple[str, bool, str]]:
    yield "Declared", own is not None, "include/models/" + row.model if own else "no declaration can be read"
    yield "Champion", row.champion is not None, f"version {row.version}" if row.champion else "none was promoted yet"
    yield (
        "Features published",
        row.newest_features is not None,
        f"every view up to {row.newest_features}" if row.newest_features else "a view has no published day",
    )
    judged = list(days)
    looked_at = [d for d in judged if d.flags.get("inputs") is not None or d.flags.get("predictions") is not None]
    realised = judged[-1].flags.get("realised") if judged else None
    yield (
        "Drift judged",
        bool(looked_at),
        f"{count_of(len(looked_at), 'day')}, the last {looked_at[-1].day}" if looked_at else "no day yet",
    )
    yield (
        "Performance known",
        realised is not None,
        "labels have matured" if realised is not None else "too few matured labels to say",
    )
    yield "Somebody to call", bool(row.on_call), row.on_call or "no owner is declared"
