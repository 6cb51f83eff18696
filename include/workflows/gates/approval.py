"""``approval``: does a person agree? Only where the model's policy asks for one."""

from __future__ import annotations

from collections.abc import Iterator

from include.config import ModelDeclaration
from include.domain.verdicts import CriterionResult, GateResult, Mode, Verdict
from include.workflows.gates.gate import APPROVE, Gate, Lack, Severity, Subject

NAME = "approval"


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    """No measurement replaces a person's approval: always INCONCLUSIVE, with the other gates' results as evidence."""
    said = "; ".join(f"{gate} {verdict}" for gate, verdict in subject.said().items() if gate != NAME)
    criterion = CriterionResult(
        criterion="a person's approval",
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed="approved, with a reason",
        rows=0,
        reason=f"The policy of {model.name} asks for a person before each promotion. The gates said: {said}.",
    )
    return GateResult(NAME, Mode.BLOCKING, (criterion,))


def _lacks(model: ModelDeclaration) -> Iterator[Lack]:
    if model.promotion.approval == "never" and model.tier == "critical":
        yield Lack(
            Severity.HIGH,
            "promotion.approval",
            "The tier is critical, and no one approves a promotion.",
            "Set it to always.",
        )


GATE = Gate(
    name=NAME,
    after=APPROVE,
    asks="Does a person agree?",
    field="promotion.approval",
    mode=lambda model: Mode.BLOCKING if model.promotion.approval == "always" else None,
    judge=judge,
    replayable=False,
    lacks=_lacks,
)
