"""What live traffic said of a candidate: its newest rollout's step, counted from the journal of every host, and what
labels say of the rows that both models answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.adapters.ledger import RolloutRecord
from include.config import ModelDeclaration
from include.config.settings import settings
from include.domain.canary.rollout import RolloutStage
from include.domain.verdicts import CriterionResult, GateResult, Verdict
from include.workflows.evidence import canary_labels, rollout_counted
from include.workflows.journey.step import Journey

if TYPE_CHECKING:
    from include.domain.canary.evidence import StepEvidence
    from include.domain.canary.plan import CanaryPlan

STEPS = "steps"


@dataclass(frozen=True, slots=True)
class CanarySeen:
    """What the newest rollout saw.

    Attributes:
        plan: as it was opened with; None where there is none.
        evidence: of its newest step; None where nothing was counted.
        instead: the sentence where there is no rollout to judge.
        unfinished: that not every step has passed; None where each has.
        business: what labels say; None where nothing is declared, or nothing is to be judged.
        is_last: whether the newest step is the last.
        notes: small JSON for the report.
        judged: the verdict where traffic of the past was replayed; None where it is live.
    """

    plan: CanaryPlan | None
    evidence: StepEvidence | None
    instead: CriterionResult | None = None
    unfinished: CriterionResult | None = None
    business: CriterionResult | None = None
    is_last: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)
    judged: GateResult | None = None


def seen_by(journey: Journey) -> CanarySeen:
    """What the newest rollout of the journey's candidate saw until now."""
    rollouts = journey.ledger.rollouts.of(journey.candidate_id)
    if not rollouts:
        return CanarySeen(None, None, instead=_without_rollout(journey))
    rollout = rollouts[-1]
    counted = rollout_counted.CountedRollout(rollout, settings().home / "journal", keeps_rows=_compares(journey.model))
    counted.read(journey.ledger.routes.of(rollout.model))
    business, notes = canary_labels.judged(journey.model, counted.paired, counted.newest)
    return CanarySeen(
        plan=rollout.plan,
        evidence=counted.evidence(journey.ledger.rollouts.now()),
        unfinished=_unfinished(rollout),
        business=business,
        is_last=rollout.state.step + 1 == len(rollout.plan.steps),
        notes=notes,
    )


def _compares(model: ModelDeclaration) -> bool:
    return model.canary is not None and model.canary.business is not None


def _unfinished(rollout: RolloutRecord) -> CriterionResult | None:
    if rollout.has_passed:
        return None
    steps, at = len(rollout.plan.steps), rollout.state.step + 1
    stage = "is under way" if rollout.state.stage is RolloutStage.RUNNING else f"is {rollout.state.stage.value}"
    reason = f"Its rollout {stage} at step {at} of {steps}; it can be promoted once every step has passed."
    return CriterionResult(STEPS, Verdict.INCONCLUSIVE, float(at - 1), f">= {steps}", 0, reason)


def _without_rollout(journey: Journey) -> CriterionResult:
    """A first deployment takes no share of anything: the declared policy is used, and is recorded."""
    head = journey.ledger.deployments.champion(journey.model.name)
    has_champion = head is not None and head.to_candidate != journey.candidate_id
    policy = journey.model.gates.champion_gate.first_deployment
    ask = policy == "ask" or has_champion
    reason = (
        "There is a champion, and the candidate never took a share of its traffic; clear canary."
        if has_champion
        else f"First deployment: no champion whose traffic could be shared; the declared policy is {policy}."
    )
    verdict = Verdict.INCONCLUSIVE if ask else Verdict.PASS
    return CriterionResult("first_deployment", verdict, None, f"policy {policy}", 0, reason)
