"""``signature_gate``: does the candidate take the same inputs and give the same output as the champion?"""

from __future__ import annotations

from collections.abc import Iterator

from include.config import ModelDeclaration
from include.domain.verdicts import GateResult, Mode
from include.workflows.gates.gate import EVALUATE, Gate, Lack, Lacking, SeedFor, Severity, Subject, more_where_critical

NAME = "signature_gate"
MAY_DROP = "gates.signature_gate.may_drop"


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    from include.domain.gates import signature_gate

    declared = model.gates.signature_gate
    if declared is None:
        raise LookupError(NAME)
    callers, candidate = subject.signatures()
    return signature_gate(declared.rules(), callers, candidate, mode=declared.mode)


def _mode(model: ModelDeclaration) -> Mode | None:
    return model.gates.signature_gate.mode if model.gates.signature_gate else None


def _column(model: ModelDeclaration) -> Lacking | None:
    declared = model.gates.signature_gate
    if declared is not None and set(model.features) <= set(declared.may_drop):
        return Lacking("every column is named in signature_gate.may_drop", MAY_DROP)
    return None


def _classes(model: ModelDeclaration) -> Lacking | None:
    return None if model.is_classifier else Lacking("a regression has no classes")


def _lacks(model: ModelDeclaration) -> Iterator[Lack]:
    declared = model.gates.signature_gate
    if declared is not None and declared.may_drop:
        named = ", ".join(declared.may_drop)
        yield Lack(Severity.LOW, MAY_DROP, f"{named} may be dropped.", "Take out what is not needed.")


GATE = Gate(
    name=NAME,
    after=EVALUATE,
    asks="Does it take the same inputs and give the same output as the champion?",
    field="gates.signature_gate",
    mode=_mode,
    judge=judge,
    looks_at=("signature",),
    seeds=(
        SeedFor("column dropped", "columns dropped", _column),
        SeedFor("column retyped", "columns retyped"),
        SeedFor("column renamed", "columns (renamed|dropped)", _column),
        SeedFor("classes swapped", "class order", _classes),
    ),
    replayable=False,
    absence=lambda model: (
        more_where_critical(model, Severity.MEDIUM),
        "A dropped or renamed input column is found by the callers.",
    ),
    lacks=_lacks,
)
