"""Runs a gate: evidence in, verdict into the ledger, a table for the person. The colour of a task follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from include.adapters.ledger import Candidate, Ledger
from include.config import ModelDeclaration
from include.domain.errors import Refusal
from include.domain.gates import Bound, ChampionRules, ComparisonRule, FirstDeployment, champion_gate, threshold_gate
from include.domain.promotion import Override
from include.domain.tables import as_markdown, as_table
from include.domain.verdicts import CriterionResult, GateResult, Mode, Verdict
from include.workflows import common, evaluation, shadowing, training
from include.workflows.common import Journey

APPROVAL_HOLDS = timedelta(days=7)
RUNBOOK = "docs/runbook/{gate}.md"


def required_gates(model: ModelDeclaration) -> list[str]:
    """The gates that must have passed, or carry a live override, before the candidate is promoted."""
    gates = model.gates
    modes = {
        "data_quality_gate": Mode.BLOCKING,
        "threshold_gate": gates.threshold_gate.mode,
        "champion_gate": gates.champion_gate.mode,
        "shadow_gate": model.shadow.mode,
    }
    if model.promotion.approval == "always":
        modes["approval"] = Mode.BLOCKING
    return [gate for gate, mode in modes.items() if mode is Mode.BLOCKING]


def judge(gate: str, reference: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Judge one gate of a journey, append the result to the ledger, and say what the task should look like.

    ``now`` is the time an override is measured at.
    """
    with common.step_of(reference, gate) as journey:
        result, digest = _JUDGES[gate](journey)
        record = journey.ledger.gates.record(
            journey.candidate_id, result, digest=digest, run_id=journey.candidate.run_id
        )
        run = journey.candidate.facts.mlflow_run_id
        if run is not None:
            common.registry().tag(run, common.verdict_tag(result))
        return outcome_of(
            record.result, reference, journey.ledger.gates.live_override(journey.candidate_id, gate, now=now)
        )


def outcome_of(result: GateResult, reference: Mapping[str, Any], override: Override | None = None) -> dict[str, Any]:
    """What the gate operator needs: whether to go on, and what to show.

    A live override makes the task green; whether it still holds is asked again when the candidate is promoted.
    """
    passed = result.verdict is Verdict.PASS or result.mode is Mode.ADVISORY or override is not None
    table = as_table(result)
    if override is not None and result.verdict is not Verdict.PASS:
        table += f"\noverridden by {override.who} until {override.expires_at.isoformat()}: {override.why}"
    elif result.verdict is not Verdict.PASS:
        table += f"\nwhat this means and what you may do: {RUNBOOK.format(gate=result.gate)}"
    return {
        "verdict": result.verdict.value,
        "passed": passed,
        "reason": result.reason,
        "table": table,
        "markdown": as_markdown(result),
        "reference": dict(reference),
    }


def approve(reference: Mapping[str, Any], gate: str, who: str, why: str, now: datetime) -> dict[str, Any]:
    """Record that a person let this candidate past an INCONCLUSIVE gate. A FAIL cannot be approved here."""
    with common.step_of(reference, f"{gate}/approve") as journey:
        record = journey.ledger.gates.latest(journey.candidate_id).get(gate)
        if record is None or record.verdict is not Verdict.INCONCLUSIVE:
            found = record.verdict.value if record else "not judged"
            raise Refusal(
                f"{gate} of {journey.candidate_id} is {found}; only an INCONCLUSIVE gate can be approved. Clear "
                "the task."
            )
        override = journey.ledger.gates.override(
            journey.candidate_id, gate, who=who, why=why, expires_at=now + APPROVAL_HOLDS, now=now
        )
        run = journey.candidate.facts.mlflow_run_id
        if run is not None:
            common.registry().tag(run, {f"slipway.override.{gate}": f"by {who}: {why}"})
        return outcome_of(record.result, reference, override)


def standing_in_the_way(ledger: Ledger, model: ModelDeclaration, candidate: Candidate) -> list[str]:
    """What the gates that did judge the candidate hold against it, a sentence each; those not run are left out."""
    latest = ledger.gates.latest(candidate.candidate_id)
    required = required_gates(model)
    return [
        f"{gate}: {r.result.reason}" for gate, r in latest.items() if gate in required and r.verdict is not Verdict.PASS
    ]


# --- the gates -------------------------------------------------------------------------------------------------------


def _data_quality(journey: Journey) -> tuple[GateResult, str | None]:
    return training.judge_training_set(journey), journey.kept(training.SETS)["train"]["content_hash"]


def _threshold(journey: Journey) -> tuple[GateResult, str | None]:
    declared = journey.model.gates.threshold_gate
    bounds = [Bound(c.metric, c.direction, c.bound) for c in declared.criteria]
    evidence = evaluation.evidence_of(journey)
    return threshold_gate(bounds, evidence, mode=declared.mode, min_rows=declared.min_rows), _artifact(journey)


def _champion(journey: Journey) -> tuple[GateResult, str | None]:
    declared = journey.model.gates.champion_gate
    facts = journey.kept(evaluation.FACTS)
    rules = ChampionRules(
        comparisons=tuple(ComparisonRule(c.metric, c.margin, c.superiority) for c in declared.comparisons),
        beat_baseline_on=declared.beat_baseline_on,
        alpha=declared.alpha,
        min_rows=declared.min_rows,
        resamples=declared.resamples,
        first_deployment=FirstDeployment(declared.first_deployment),
    )
    result = champion_gate(
        rules,
        evaluation.evidence_of(journey),
        mode=declared.mode,
        has_champion=facts["champion_revision"] > 0,
        attempts=evaluation.attempts_on_holdout(journey),
    )
    return result, _artifact(journey)


def _shadow(journey: Journey) -> tuple[GateResult, str | None]:
    return shadowing.judge_window(journey), _artifact(journey)


def _approval(journey: Journey) -> tuple[GateResult, str | None]:
    """Nothing measured can answer for a person: always INCONCLUSIVE, with what the other gates said as its evidence."""
    latest = journey.ledger.gates.latest(journey.candidate_id)
    said = "; ".join(f"{gate} {record.verdict.value}" for gate, record in latest.items() if gate != "approval")
    criterion = CriterionResult(
        criterion="a person's approval",
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed="approved, with a reason",
        rows=0,
        reason=f"The policy of {journey.model.name} asks for a person before each promotion. The gates said: {said}.",
    )
    return GateResult("approval", Mode.BLOCKING, (criterion,)), _artifact(journey)


def _artifact(journey: Journey) -> str | None:
    return journey.candidate.facts.artifact_digest


_JUDGES: Mapping[str, Callable[[Journey], tuple[GateResult, str | None]]] = {
    "data_quality_gate": _data_quality,
    "threshold_gate": _threshold,
    "champion_gate": _champion,
    "shadow_gate": _shadow,
    "approval": _approval,
}
