"""``smoke_gate``: does the registered file load and answer in a fresh process?"""

from __future__ import annotations

from dataclasses import replace

from include.config import ModelDeclaration
from include.domain.verdicts import GateResult, Mode
from include.workflows.gates.gate import REGISTER, Gate, SeedFor, Severity, Subject, more_where_critical

NAME = "smoke_gate"


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    """Without categorical features no one can send an unseen category, and none is asked for."""
    from include.domain.gates import smoke_gate
    from include.workflows.evidence.probes import UNSEEN_PROBE

    declared = model.gates.smoke_gate
    if declared is None:
        raise LookupError(NAME)
    smoked, rules = subject.smoked(), declared.rules()
    if not smoked.has_categories:
        rules = replace(rules, probes=tuple(p for p in rules.probes if p != UNSEEN_PROBE))
    return smoke_gate(rules, smoked.evidence, mode=declared.mode)


def _mode(model: ModelDeclaration) -> Mode | None:
    return model.gates.smoke_gate.mode if model.gates.smoke_gate else None


GATE = Gate(
    name=NAME,
    after=REGISTER,
    asks="Does the registered file load and answer in a fresh process?",
    field="gates.smoke_gate",
    mode=_mode,
    judge=judge,
    looks_at=("artifact", "scorer", "held_out"),
    seeds=(SeedFor("artifact tampered", "^load$"),),
    replayable=False,
    absence=lambda model: (
        more_where_critical(model, Severity.MEDIUM),
        "Whether the registered file loads and answers is found in shadow.",
    ),
)
