"""The results of a replay: champions over time, each journey's verdicts, score before and after, and what a promotion
was worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from include.adapters.ledger import Candidate, IncidentRecord, Ledger
from include.config import declared_models
from include.domain.incident import Incident
from include.domain.incident_log import IncidentCause
from include.workflows import stores
from include.workflows.explain import answers
from include.workflows.explain.worth import Worth
from include.workflows.explain.worth import worth as worth_of
from include.workflows.journey import fact_files, step
from include.workflows.journey.facts import Evaluated


@dataclass(frozen=True, slots=True)
class Champion:
    """One line of a model's deployment history."""

    model: str
    revision: int
    kind: str
    candidate_id: str
    version: str
    effective_from: str


@dataclass(frozen=True, slots=True)
class JourneyRow:
    """One candidate's way. ``before`` and ``after`` are champion and candidate on the same held-out rows, in
    ``metric``."""

    model: str
    candidate_id: str
    trigger: str
    as_of: str
    verdicts: dict[str, str]
    state: str
    outcome: str
    metric: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class DemonstrationReport:
    """Both tables, the alarms that opened an incident and what became of them, oldest first, and what each
    model's newest promotion over a former champion was worth."""

    champions: list[Champion]
    journeys: list[JourneyRow]
    worth: list[Worth]
    incidents: list[str]
    ahead: list[str] = field(default_factory=list)
    """Of each model that answers ahead, how much of its newest day was answered in time, with an example."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def report() -> DemonstrationReport:
    """Read the ledger of this home."""
    with stores.open_ledger() as ledger:
        champions = [
            Champion(
                m.name,
                e.revision,
                e.kind.value,
                e.to_candidate,
                str(e.model_version),
                e.effective_from.date().isoformat(),
            )
            for m in declared_models()
            for e in ledger.deployments.epochs(m.name)
        ]
        journeys = [
            _row(ledger, m.gates.champion_gate.beat_baseline_on, c)
            for m in declared_models()
            for c in ledger.candidates.of(m.name)
        ]
        raised = [record for m in declared_models() for record in reversed(ledger.incidents.of(m.name))]
        early = [line for m in declared_models() if (line := answers.example(ledger, m)) is not None]
        alarms = [_told(record) for record in raised if record.cause is IncidentCause.PERFORMANCE]
    replaced = [m for m in declared_models() if any(c.model == m.name and c.kind == "promotion" for c in champions)]
    return DemonstrationReport(champions, journeys, [worth_of(m.name) for m in replaced], alarms, early)


def _told(record: IncidentRecord) -> str:
    found = Incident.from_json(record.state)
    return f"{record.model}, {found.stage.value}: {found.sentence}"


def _row(ledger: Ledger, metric: str, candidate: Candidate) -> JourneyRow:
    evaluated = fact_files.find(step.journey_folder(candidate.candidate_id), Evaluated)
    metrics = evaluated.metrics if evaluated else {}
    return JourneyRow(
        model=candidate.model,
        candidate_id=candidate.candidate_id,
        trigger=candidate.request.trigger.value,
        as_of=candidate.request.as_of.date().isoformat(),
        verdicts={gate: record.verdict.value for gate, record in ledger.gates.latest(candidate.candidate_id).items()},
        state=candidate.state.value,
        outcome=candidate.outcome or "under way",
        metric=metric,
        before=metrics.get("champion", {}).get(metric),
        after=metrics.get("candidate", {}).get(metric),
    )
