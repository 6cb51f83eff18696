"""``leakage_gate``: does any feature contain the answer?"""

from __future__ import annotations

from include.config import ModelDeclaration
from include.domain.verdicts import GateResult, Mode
from include.workflows.gates.gate import BUILD, Gate, Lacking, SeedFor, Severity, Subject

NAME = "leakage_gate"
FIELD = "gates.leakage_gate"


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    """Each feature alone, the available times as they were joined, and the split."""
    from include.domain.gates import leakage_gate
    from include.domain.metrics import Task

    declared = model.gates.leakage_gate
    if declared is None:
        raise LookupError(NAME)
    features, label = subject.learned()
    by_name = {str(name): features[name] for name in features.columns}
    availability, split = subject.availability(), subject.split()
    return leakage_gate(declared.rules(), Task(model.task), label, by_name, availability, split, mode=declared.mode)


def _mode(model: ModelDeclaration) -> Mode | None:
    return model.gates.leakage_gate.mode if model.gates.leakage_gate else None


def _leak(model: ModelDeclaration) -> Lacking | None:
    declared = model.gates.leakage_gate
    if declared is not None and set(model.features) <= set(declared.known_strong):
        return Lacking("every feature is named in leakage_gate.known_strong, so none is judged", FIELD)
    return None


GATE = Gate(
    name=NAME,
    after=BUILD,
    asks="Does any feature know the answer?",
    field=FIELD,
    mode=_mode,
    judge=judge,
    looks_at=("features", "label", "availability", "split"),
    seeds=(
        SeedFor("leaked label", "^one feature's", _leak),
        SeedFor("late feature", "^features from after the prediction"),
    ),
    signal=True,
    absence=lambda model: (Severity.HIGH, "A feature that holds the label makes every other gate pass."),
)
