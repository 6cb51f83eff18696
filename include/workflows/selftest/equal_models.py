"""How likely a candidate that is as good as the champion passes the model's gates, from its last holdout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from include.adapters.ledger import Ledger
from include.config import ModelDeclaration
from include.domain.gates import Evidence, GateResult, Mode, champion_gate, slice_gate, threshold_gate
from include.domain.gates.equal_models import EqualModelPasses, equal_models, passes_of
from include.workflows.evidence import evaluation
from include.workflows.journey import step
from include.workflows.journey.facts import Evaluated

RESAMPLES = 100


@dataclass(frozen=True, slots=True)
class LastHoldout:
    """What the last holdout says about the declaration: by gate, or why it says nothing."""

    candidate_id: str | None
    gates: tuple[EqualModelPasses, ...] = ()
    why_not: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "candidate": self.candidate_id,
            "gates": [gate.as_json() for gate in self.gates],
            "why_not": self.why_not,
        }

    def as_lines(self) -> list[str]:
        if self.why_not is not None:
            return [f"How likely an equal model passes is not known: {self.why_not}."]
        return [f"From the holdout of {self.candidate_id}:", *(f"  {gate.line}" for gate in self.gates)]


def from_last_holdout(ledger: Ledger, model: ModelDeclaration, *, resamples: int = RESAMPLES) -> LastHoldout:
    """The probabilities of the model's offline gates, by the newest candidate that was compared with a champion."""
    seen: str | None = None
    for candidate in sorted(ledger.candidates.of(model.name), key=lambda c: c.opened_at, reverse=True):
        journey = step.Journey(model, candidate, ledger)
        if not (journey.folder / evaluation.ROWS).is_file() or journey.found(Evaluated) is None:
            continue
        seen = seen or candidate.candidate_id
        evidence = evaluation.evidence_of(journey)
        if evidence.champion is None:
            continue
        declared = model.gates.slice_gate
        columns = evaluation.slice_columns(journey, declared.columns) if declared else {}
        results: dict[str, list[GateResult]] = {}
        for pair, values in equal_models(evidence, columns, resamples=resamples, seed=model.training.seed):
            for result in _judged(model, pair, values):
                results.setdefault(result.gate, []).append(result)
        return LastHoldout(candidate.candidate_id, tuple(passes_of(found) for found in results.values()))
    why = (
        "no candidate has been evaluated yet" if seen is None else "no candidate has been compared with a champion yet"
    )
    return LastHoldout(None, why_not=why)


def _judged(model: ModelDeclaration, pair: Evidence, columns: dict[str, Any]) -> Iterator[GateResult]:
    from include.config.measured_by import metrics_of

    gates, own = model.gates, metrics_of(model)
    threshold = gates.threshold_gate
    yield threshold_gate(threshold.rules(own), pair, mode=threshold.mode, min_rows=threshold.min_rows)
    yield champion_gate(
        replace(gates.champion_gate.rules(own), resamples=0), pair, mode=Mode.BLOCKING, has_champion=True
    )
    if gates.slice_gate is not None:
        rules = gates.slice_gate.rules(gates.champion_gate, own=own)
        yield slice_gate(rules, pair, columns, mode=Mode.BLOCKING, has_champion=True)
