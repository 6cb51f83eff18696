"""Runs a gate: evidence in, verdict into the ledger, a table for the person. The colour of a task follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from include.adapters.ledger import Candidate, Ledger, StopKind
from include.config import ModelDeclaration
from include.domain.errors import Refusal
from include.domain.promotion import Override
from include.domain.tables import as_markdown, as_table
from include.domain.verdicts import CriterionResult, GateResult, Mode, Verdict
from include.workflows import common, evaluation, holding, judges, optional_gates, replay_window, shadowing, training
from include.workflows.common import Journey
from include.workflows.pages.words import RUNBOOK

T = TypeVar("T")
APPROVAL_HOLDS = timedelta(days=7)


def required_gates(model: ModelDeclaration, *, held: bool = False) -> list[str]:
    """The gates that must have passed, or carry a live override, before the candidate is promoted.

    ``held``: whether it waits for labels to show what an estimate said; its shadow gate asks them, so that is required.
    """
    modes = model.gate_modes
    if held:
        modes["shadow_gate"] = Mode.BLOCKING
    if model.promotion.approval == "always":
        modes["approval"] = Mode.BLOCKING
    return [gate for gate, mode in modes.items() if mode is Mode.BLOCKING]


def judge(gate: str, reference: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Judge one gate of a journey, append the result to the ledger, and say what the task should look like.

    ``now`` is the time an override is measured at.
    """
    with common.step_of(reference, gate, judges=True) as journey:
        result, digest = _JUDGES[gate](journey)
        record = journey.ledger.gates.record(
            journey.candidate_id, result, digest=digest, run_id=journey.candidate.run_id
        )
        live = journey.ledger.gates.live_override(journey.candidate_id, gate, now=now)
        outcome = outcome_of(record.result, reference, live)
        if outcome["passed"]:
            journey.ledger.stops.take_back(journey.candidate_id, gate, [StopKind.GATE])
        else:
            journey.ledger.stops.record(journey.candidate_id, gate, StopKind.GATE, f"{gate}: {result.reason}")
        run = journey.candidate.facts.mlflow_run_id
        if run is not None:
            common.registry().tag(run, common.verdict_tag(result) | _override_tag(live))
        return outcome


def _override_tag(live: Override | None) -> dict[str, str]:
    """What a candidate's MLflow run says about the override that let it pass a gate."""
    if live is None:
        return {}
    return {f"slipway.override.{live.gate}": f"by {live.who} until {live.expires_at.isoformat()}: {live.why}"}


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
            journey.candidate_id,
            gate,
            who=who,
            why=why,
            expires_at=now + APPROVAL_HOLDS,
            now=now,
            requester_may=journey.model.requester_may_override,
        )
        journey.ledger.stops.take_back(journey.candidate_id, gate, [StopKind.GATE])
        run = journey.candidate.facts.mlflow_run_id
        if run is not None:
            common.registry().tag(run, _override_tag(override))
        return outcome_of(record.result, reference, override)


def standing_in_the_way(ledger: Ledger, model: ModelDeclaration, candidate: Candidate) -> list[str]:
    """What the gates that did judge the candidate hold against it, a sentence each; those not run, and those that a
    person overrode, are left out."""
    overridden = {o.gate for o in ledger.gates.overrides(candidate.candidate_id) if o.ended_at is None}
    latest = ledger.gates.latest(candidate.candidate_id)
    required = required_gates(model, held=holding.alarm_day(ledger, candidate) is not None)
    return [
        f"{gate}: {r.result.reason}"
        for gate, r in latest.items()
        if gate in required and r.verdict is not Verdict.PASS and gate not in overridden
    ]


# --- the gates -------------------------------------------------------------------------------------------------------


def _data_quality(journey: Journey) -> tuple[GateResult, str | None]:
    return training.judge_training_set(journey), journey.kept(training.SETS)["train"]["content_hash"]


def _threshold(journey: Journey) -> tuple[GateResult, str | None]:
    declared = journey.model.gates.threshold_gate
    return judges.threshold(declared, evaluation.evidence_of(journey)), _artifact(journey)


def _champion(journey: Journey) -> tuple[GateResult, str | None]:
    declared = journey.model.gates.champion_gate
    facts = journey.kept(evaluation.FACTS)
    replayed = facts.get("replay")
    earlier, missing = replay_window.evidence_of(journey, replayed)
    result = judges.champion(
        declared,
        evaluation.evidence_of(journey),
        has_champion=facts["champion_revision"] > 0,
        attempts=evaluation.attempts_on_holdout(journey),
        replay=earlier,
        replay_missing=missing,
        replay_attempts=replay_window.attempts(journey, replayed or {}, evaluation.FACTS) if earlier else 1,
    )
    if replayed is not None and earlier is not None:
        window = {name: replayed[name] for name in ("start", "end", "learned")}
        result = replace(result, notes={**result.notes, "replay": {**result.notes["replay"], **window}})
    return result, _artifact(journey)


def _leakage(journey: Journey) -> tuple[GateResult, str | None]:
    declared = _declared("leakage_gate", journey, journey.model.gates.leakage)
    return optional_gates.leakage(journey, declared), journey.kept(training.SETS)["train"]["content_hash"]


def _slices(journey: Journey) -> tuple[GateResult, str | None]:
    declared = _declared("slice_gate", journey, journey.model.gates.slice_gate)
    return optional_gates.slices(journey, declared), _artifact(journey)


def _latency(journey: Journey) -> tuple[GateResult, str | None]:
    declared = _declared("latency_gate", journey, journey.model.gates.latency_gate)
    return optional_gates.latency(journey, declared), _artifact(journey)


def _signature(journey: Journey) -> tuple[GateResult, str | None]:
    declared = _declared("signature_gate", journey, journey.model.gates.signature_gate)
    return optional_gates.signature(journey, declared), _artifact(journey)


def _smoke(journey: Journey) -> tuple[GateResult, str | None]:
    declared = _declared("smoke_gate", journey, journey.model.gates.smoke_gate)
    return optional_gates.smoked(journey, declared), _artifact(journey)


def _declared(gate: str, journey: Journey, declared: T | None) -> T:
    """The declaration of an optional gate, which was there when the Dag was parsed."""
    if declared is None:
        raise Refusal(
            f"{gate} is no longer declared for {journey.model.name}, so it has nothing to judge by. "
            "Clear the run from open_journey on, once Airflow has read the declaration again."
        )
    return declared


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
    "leakage_gate": _leakage,
    "slice_gate": _slices,
    "latency_gate": _latency,
    "signature_gate": _signature,
    "smoke_gate": _smoke,
    "shadow_gate": _shadow,
    "approval": _approval,
}
