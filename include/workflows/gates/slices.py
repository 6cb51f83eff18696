"""``slice_gate``: is the candidate no worse for any group of rows, and does it treat no group worse?"""

from __future__ import annotations

from collections.abc import Iterator

from include.config import ModelDeclaration
from include.domain.verdicts import GateResult, Mode
from include.workflows.gates.gate import EVALUATE, Gate, Lack, Lacking, SeedFor, Severity, Subject, more_where_critical

NAME = "slice_gate"
FAIR = r"^(demographic_parity|equal_opportunity|equalized_odds|mean_prediction|group_loss) "
"""The criteria that compare groups."""


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    """The rows that ``champion_gate`` judges, sliced by columns."""
    from include.config.measured_by import metrics_of
    from include.domain.gates import slice_gate

    declared = model.gates.slice_gate
    if declared is None:
        raise LookupError(NAME)
    return slice_gate(
        declared.rules(model.gates.champion_gate, own=metrics_of(model)),
        subject.scored(),
        subject.columns(declared.columns),
        mode=declared.mode,
        has_champion=subject.has_champion,
        attempts=subject.attempts(),
    )


def _mode(model: ModelDeclaration) -> Mode | None:
    return model.gates.slice_gate.mode if model.gates.slice_gate else None


def _ruined(model: ModelDeclaration) -> Lacking | None:
    declared = model.gates.slice_gate
    if declared is not None and not (declared.by or declared.protected):
        return Lacking("slice_gate slices by no column", "gates.slice_gate.by")
    return None


def _group(model: ModelDeclaration) -> Lacking | None:
    declared = model.gates.slice_gate
    if model.task == "multiclass":
        return Lacking("groups of a multiclass model have no measure")
    if declared is None or not declared.fairness:
        return Lacking("no groups are declared", "gates.slice_gate.fairness")
    return None


def _lacks(model: ModelDeclaration) -> Iterator[Lack]:
    gate = model.gates.slice_gate
    if gate is None:
        return
    if not (gate.by or gate.protected):
        yield Lack(Severity.HIGH, "gates.slice_gate.by", "slice_gate slices by no column.", "Name at least one.")
    low = more_where_critical(model, Severity.LOW)
    if not gate.protected:
        yield Lack(low, "gates.slice_gate.protected", "No slice is strict whatever its size.", "Name its column.")
    if not gate.fairness and model.task != "multiclass":
        yield Lack(
            low,
            "gates.slice_gate.fairness",
            "Nothing compares how groups are treated.",
            "Declare a measure on their column, if the model decides about people.",
        )


GATE = Gate(
    name=NAME,
    after=EVALUATE,
    asks="Is it no worse for any group of rows?",
    field="gates.slice_gate",
    mode=_mode,
    judge=judge,
    looks_at=("scorer", "held_out"),
    seeds=(
        SeedFor("one slice ruined", "=", _ruined),
        SeedFor("one of forty slices", "=made 00 ", _ruined),
        SeedFor("one group worse", FAIR, _group),
    ),
    signal=True,
    absence=lambda model: (
        more_where_critical(model, Severity.MEDIUM),
        "A candidate may ruin one slice and pay for it with the average.",
    ),
    lacks=_lacks,
)
