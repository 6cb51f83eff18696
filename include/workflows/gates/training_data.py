"""``training_data_gate``: may these rows be learned from?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.config import ModelDeclaration
from include.domain.verdicts import GateResult, Mode
from include.workflows.gates.gate import BUILD, Gate, SeedFor, Subject

if TYPE_CHECKING:
    from include.domain.gates import TrainingDataSummary

NAME = "training_data_gate"


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    return on(model, subject.training_data())


def on(model: ModelDeclaration, counted: TrainingDataSummary) -> GateResult:
    """The verdict on what was counted in a training set: nothing is fitted on one that does not pass."""
    from include.domain.gates import TrainingDataRules, training_data_gate

    rules = TrainingDataRules(min_rows=model.training.min_rows, min_holdout_rows=model.gates.threshold_gate.min_rows)
    return training_data_gate(rules, counted)


GATE = Gate(
    name=NAME,
    after=BUILD,
    asks="May these rows be learned from?",
    field="training",
    mode=lambda model: Mode.BLOCKING,
    judge=judge,
    looks_at=("features", "label"),
    seeds=(SeedFor("one label only", "different labels"),),
)
