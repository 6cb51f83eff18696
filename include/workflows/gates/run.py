"""Runs a gate: evidence in, verdict into the ledger, a table for the person. The colour of a task follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from include.adapters.ledger import Candidate, Ledger, OverrideRequest, StopKind
from include.config import ModelDeclaration
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.gate_names import FILE_GATES
from include.domain.promotion import Override
from include.domain.tables import as_markdown, as_table
from include.domain.verdicts import GateResult, Mode, Verdict
from include.workflows import gates, stores
from include.workflows.gates.gate import BUILD, RUNBOOK, Gate
from include.workflows.gates.journey_subject import JourneySubject
from include.workflows.journey import estimate_hold, step
from include.workflows.journey.by_products import ByProducts
from include.workflows.journey.facts import JourneyReference, TrainingSets
from include.workflows.journey.step import Journey

APPROVAL_HOLDS = timedelta(days=7)


def judge(gate: str, reference: JourneyReference, now: datetime) -> dict[str, Any]:
    """Judge one gate of a journey, append the result to the ledger, and return what the task is to show.

    ``now`` is the time an override is measured at.
    """
    with step.step_of(reference, gate, judges=True) as journey:
        asked = _declared(gate, journey)
        result, digest = _judged(asked, journey)
        record = journey.ledger.gates.record(
            journey.candidate_id, result, digest=digest, run_id=journey.candidate.run_id
        )
        crashpoint("gate.recorded")
        live = journey.ledger.gates.live_override(journey.candidate_id, gate, now=now)
        outcome = outcome_of(record.result, reference, live, page=asked.runbook)
        if outcome["passed"]:
            journey.ledger.stops.take_back(journey.candidate_id, gate, [StopKind.GATE])
        else:
            journey.ledger.stops.record(journey.candidate_id, gate, StopKind.GATE, f"{gate}: {result.reason}")
        crashpoint("gate.stopped")
        run = journey.candidate.facts.mlflow_run_id
        if run is not None:
            _tagged(journey, run, gate, step.verdict_tag(result) | _override_tag(live))
        return outcome


def _tagged(journey: Journey, run: str, gate: str, tags: Mapping[str, str]) -> None:
    """Write it on the candidate's MLflow run. The ledger has it already, and decides."""
    made = ByProducts()
    made.attempt(f"The mark of {gate} on the MLflow run", lambda: stores.registry().tag(run, tags))
    made.keep(journey, gate)


def _declared(name: str, journey: Journey) -> Gate:
    gate = gates.named(name, journey.model)
    if gate is None or gate.mode(journey.model) is None:
        raise Refusal(
            f"{name} is no longer declared for {journey.model.name}, so it has nothing to judge by. "
            "Clear the run from open_journey on, once Airflow has read the declaration again."
        )
    return gate


def _judged(gate: Gate, journey: Journey) -> tuple[GateResult, str | None]:
    """The gate's result, and the digest of what it judged."""
    result = gate.judge(journey.model, JourneySubject(journey))
    if gate.after == BUILD:
        return result, journey.kept(TrainingSets).train.content_hash
    facts = journey.candidate.facts
    return result, facts.serving_digest if gate.name in FILE_GATES else facts.artifact_digest


def _override_tag(live: Override | None) -> dict[str, str]:
    """What a candidate's MLflow run says about the override that let it pass a gate."""
    if live is None:
        return {}
    return {f"slipway.override.{live.gate}": f"by {live.decider} until {live.expires_at.isoformat()}: {live.why}"}


def outcome_of(
    result: GateResult, reference: Mapping[str, object], override: Override | None = None, *, page: str | None = None
) -> dict[str, Any]:
    """What the gate operator needs: whether to go on, and what to show. ``page`` is the gate's page in the runbook;
    None for the one of its name.

    A live override makes the task green; whether it still holds is asked again when the candidate is promoted.
    """
    passed = result.verdict is Verdict.PASS or result.mode is Mode.ADVISORY or override is not None
    table = as_table(result)
    if override is not None and result.verdict is not Verdict.PASS:
        table += f"\noverridden by {override.decider} until {override.expires_at.isoformat()}: {override.why}"
    elif result.verdict is not Verdict.PASS:
        table += f"\nwhat this means and what you may do: {page or RUNBOOK.format(gate=result.gate)}"
    return {
        "verdict": result.verdict.value,
        "passed": passed,
        "reason": result.reason,
        "table": table,
        "markdown": as_markdown(result),
        "reference": dict(reference),
    }


def approve(reference: JourneyReference, gate: str, who: str, why: str, now: datetime) -> dict[str, Any]:
    """Record that a person let this candidate past an INCONCLUSIVE gate. A FAIL cannot be approved here.

    ``who`` is the user's name as the platform signed them in; what they may do is what it said when they answered.
    """
    with step.step_of(reference, f"{gate}/approve") as journey:
        record = journey.ledger.gates.latest(journey.candidate_id).get(gate)
        if record is None or record.verdict is not Verdict.INCONCLUSIVE:
            found = record.verdict.value if record else "not judged"
            raise Refusal(
                f"{gate} of {journey.candidate_id} is {found}; only an INCONCLUSIVE gate can be approved. Clear "
                "the task."
            )
        override = journey.ledger.gates.override(
            OverrideRequest(journey.candidate_id, gate, why, now + APPROVAL_HOLDS),
            by=journey.ledger.rights.person(journey.model.name, who),
            approvers=journey.model.approvers.who,
            now=now,
            requester_may=journey.model.requester_may_override,
        )
        crashpoint("gate.approved")
        journey.ledger.stops.take_back(journey.candidate_id, gate, [StopKind.GATE])
        crashpoint("gate.let_past")
        run = journey.candidate.facts.mlflow_run_id
        if run is not None:
            _tagged(journey, run, gate, _override_tag(override))
        return outcome_of(record.result, reference, override)


def standing_in_the_way(ledger: Ledger, model: ModelDeclaration, candidate: Candidate) -> list[str]:
    """The objections of the gates that judged the candidate, a sentence each; gates that did not run, and those that a
    person overrode, are left out."""
    overridden = {o.gate for o in ledger.gates.overrides(candidate.candidate_id) if o.ended_at is None}
    latest = ledger.gates.latest(candidate.candidate_id)
    required = gates.required(model, held=estimate_hold.alarm_day(ledger, candidate) is not None)
    return [
        f"{gate}: {r.result.reason}"
        for gate, r in latest.items()
        if gate in required and r.verdict is not Verdict.PASS and gate not in overridden
    ]
