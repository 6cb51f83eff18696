"""The page of one model: what serves, what was judged day by day, its journeys, and what its gates cover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from include.adapters.ledger import Candidate, DriftSummary
from include.config import ModelDeclaration
from include.config.declared import UnknownName
from include.domain.errors import BadField
from include.domain.promotion import Epoch
from include.domain.wording import count_of
from include.workflows import gates
from include.workflows.pages import actions, sources
from include.workflows.pages.actions import Button
from include.workflows.pages.models import SPARK_DAYS, ModelRow, row_of, with_freshness
from include.workflows.selftest.readiness import ReadinessReport, report_on

SHOWN_JOURNEYS = 30
SHOWN_DAYS = 120
MOST_DAYS = 1100
"""How many days a chosen range shows at most: three years."""
MATRIX_JOURNEYS = 12
SMALL_MULTIPLES = 24


@dataclass(frozen=True, slots=True)
class ShownRange:
    """The days that the pictures of a model's page show; both ends belong to it, and an end left out is open."""

    first: str | None = None
    until: str | None = None

    @classmethod
    def of(cls, first: str, until: str) -> ShownRange:
        """
        Raises:
            BadField: when an end is no day, or the first is after the last.
        """
        days = {"from": first.strip(), "to": until.strip()}
        for field, value in days.items():
            try:
                days[field] = date.fromisoformat(value).isoformat() if value else ""
            except ValueError:
                raise BadField(field, value, "give a day as in 2026-12-31") from None
        if days["from"] and days["to"] and days["from"] > days["to"]:
            raise BadField("from", days["from"], f"give a day not after {days['to']}")
        return cls(days["from"] or None, days["to"] or None)

    @property
    def is_chosen(self) -> bool:
        return self.first is not None or self.until is not None


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
    """The newest, oldest first."""
    shown: tuple[DriftSummary, ...]
    """Those of the chosen range, or else ``days``; oldest first."""
    features: tuple[tuple[str, tuple[float | None, ...]], ...]
    """The effect of each feature on each of ``shown``, the most drifted first; None where it was not judged."""
    not_judged: tuple[tuple[str, str], ...]
    """The features that were not judged on the newest of ``days``, and why."""
    readiness: tuple[tuple[str, bool, str], ...]
    """What a model needs, whether it has it, and how that shows."""
    report: ReadinessReport | None
    """What its declared gates cover and lack; None for a model that is not declared."""
    rollback: Button | None


def model(name: str, chosen: ShownRange | None = None, now: datetime | None = None) -> ModelView:
    """The page of one model, with its pictures over the chosen days or the newest; with ``now`` also how late its
    features are.

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
        shown = days
        if chosen is not None and chosen.is_chosen:
            shown = ledger.overview.drift_days(name, last=MOST_DAYS, first=chosen.first, until=chosen.until)
        epochs = ledger.deployments.epochs(name)
        incidents = ledger.incidents.of(name, only_open=True)
        risks = ledger.drift.recent_risks(days=SPARK_DAYS, model=name).get(name, ())
        outages = ledger.outages.open()
        published = ledger.overview.newest_days()
        row = row_of(name, declared, standing, published, incidents, risks, outages)
    row = with_freshness(row, declared, published, now) if now is not None else row
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
        shown=tuple(shown),
        features=tuple(_features(shown)),
        not_judged=tuple(days[-1].unjudged.items()) if days else (),
        readiness=tuple(_readiness(own, row, days)),
        report=report_on(own) if own else None,
        rollback=actions.rollback(name, champion, epochs) if champion else None,
    )


def ranges(days: Sequence[DriftSummary]) -> list[tuple[str, str]]:
    """The ranges that are one click away, as (first day, words), counted back from the newest judged day."""
    if not days:
        return []
    newest = date.fromisoformat(days[-1].day)
    back = (("30 days", 30), ("90 days", 90), ("a year", 365), ("three years", MOST_DAYS - 5))
    return [((newest - timedelta(days=length - 1)).isoformat(), words) for words, length in back]


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
