"""``packed_gate``: does the packed form of the registered file answer as its pipeline does, to the last bit?"""

from __future__ import annotations

from include.config import ModelDeclaration
from include.domain.packed.names import PACKABLE
from include.domain.verdicts import GateResult, Mode
from include.workflows.gates.gate import REGISTER, Gate, Lacking, SeedFor, Severity, Subject

NAME = "packed_gate"


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    from include.domain.gates import packed_gate

    declared = model.gates.packed_gate
    if declared is None:
        raise LookupError(NAME)
    return packed_gate(declared.rules(), subject.packed(), mode=declared.mode)


def _mode(model: ModelDeclaration) -> Mode | None:
    return model.gates.packed_gate.mode if model.gates.packed_gate else None


def _advisory(model: ModelDeclaration) -> Severity | None:
    """No lack: the candidate that goes on is answered by its pipeline."""
    return None


def _packable(model: ModelDeclaration) -> Lacking | None:
    name = model.estimator.path.rpartition(".")[2]
    return None if name in PACKABLE else Lacking(f"a {name} has no packed form")


GATE = Gate(
    name=NAME,
    after=REGISTER,
    asks="Does its packed form answer the same, to the last bit?",
    field="gates.packed_gate",
    mode=_mode,
    judge=judge,
    looks_at=("packed",),
    seeds=(SeedFor("packed form off by a unit", "answered otherwise$", _packable),),
    replayable=False,
    advisory=_advisory,
)
