"""A champion and a challenger, and the challenger's rollout brought to where a test needs it."""

from __future__ import annotations

from datetime import timedelta

from ledger_fixtures import GATES, MODEL, NOW, challenger, champion

from include.adapters.ledger import Candidate, Happened, Ledger, RolloutRecord, RolloutRequest
from include.domain.canary.plan import CanaryPlan, CanaryStep
from include.domain.canary.wires import Wire
from include.domain.gate_names import CANARY_GATE
from include.domain.verdicts import CriterionResult, GateResult, Mode, Verdict

HOUR = timedelta(hours=1)
PLAN = CanaryPlan(
    tuple(CanaryStep(share, 500, HOUR, 24 * HOUR) for share in (10_000, 100_000)), 0.005, Wire(5, 20), 0.05
)
LEASE_S = 120.0


def beside_a_champion(ledger: Ledger) -> Candidate:
    """A challenger that passed its gates, beside a champion."""
    champion(ledger, "run-1")
    return challenger(ledger, "run-2")


def asked(candidate: Candidate, **change: object) -> RolloutRequest:
    given: dict[str, object] = {
        "candidate_id": candidate.candidate_id,
        "expected_revision": 1,
        "digest": str(candidate.facts.serving_digest),
        "plan": PLAN,
        "lease_s": LEASE_S,
        "actor": "journey",
        "reason": "its gates passed",
        "run_id": candidate.run_id,
    }
    return RolloutRequest(**{**given, **change})  # type: ignore[arg-type]  # tests vary one at a time


def opened(ledger: Ledger, candidate: Candidate, **change: object) -> RolloutRecord:
    return ledger.rollouts.open(asked(candidate, **change), required_gates=(*GATES, CANARY_GATE), now=NOW)


def said(key: str, reason: str = "it was asked for") -> Happened:
    return Happened("somebody", reason, key)


def judged_step(
    ledger: Ledger,
    rollout: RolloutRecord,
    *,
    verdict: Verdict = Verdict.PASS,
    digest: str | None = None,
    step: int | None = None,
    number: int | None = None,
) -> int:
    """The attempt of a verdict on a step of the rollout, by default the present one."""
    about = {"number": number or rollout.number, "step": rollout.state.step if step is None else step}
    criterion = CriterionResult("rows", verdict, 500.0, ">= 500", 500, "It was seen.")
    result = GateResult(CANARY_GATE, Mode.BLOCKING, (criterion,), about)
    seen = digest or rollout.digest
    return ledger.gates.record(rollout.candidate_id, result, digest=seen, run_id=rollout.run_id).attempt


def pass_step(ledger: Ledger, rollout: RolloutRecord) -> RolloutRecord:
    attempt = judged_step(ledger, rollout)
    key = said(f"passed step {rollout.state.step}, attempt {attempt}")
    return ledger.rollouts.passed(rollout.candidate_id, rollout.number, attempt=attempt, said=key)


def finished(ledger: Ledger, rollout: RolloutRecord) -> RolloutRecord:
    """The rollout after all of its steps passed."""
    for _ in rollout.plan.steps:
        rollout = pass_step(ledger, rollout)
    return rollout


__all__ = ["LEASE_S", "MODEL", "PLAN", "asked", "beside_a_champion", "finished", "judged_step", "opened", "pass_step"]
