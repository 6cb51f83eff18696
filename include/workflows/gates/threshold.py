"""``threshold_gate``: is the candidate good enough in absolute terms?"""

from __future__ import annotations

from include.config import ModelDeclaration
from include.domain.verdicts import GateResult
from include.workflows.gates.gate import EVALUATE, Gate, Lacking, SeedFor, Subject

CALIBRATED = ("brier", "log_loss", "ece")
"""The metrics in which a candidate with badly calibrated probabilities cannot be good."""
OFF = rf"^(?!baseline ).*({'|'.join(CALIBRATED)})"
"""The criteria that must show badly calibrated probabilities."""


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    from include.config.measured_by import metrics_of
    from include.domain.gates import threshold_gate

    declared = model.gates.threshold_gate
    rules = declared.rules(metrics_of(model))
    return threshold_gate(rules, subject.scored(), mode=declared.mode, min_rows=declared.min_rows)


def uncalibrated(model: ModelDeclaration) -> Lacking:
    """Why no criterion is meant for badly calibrated probabilities."""
    if not model.is_classifier:
        return Lacking("a regression gives no probabilities")
    names = ", ".join(CALIBRATED)
    return Lacking(f"no calibration criterion ({names}) is declared", "gates.threshold_gate.criteria")


def bounds_calibration(model: ModelDeclaration) -> bool:
    return model.is_classifier and any(c.metric in CALIBRATED for c in model.gates.threshold_gate.criteria)


def compares_calibration(model: ModelDeclaration) -> bool:
    return model.is_classifier and any(c.metric in CALIBRATED for c in model.gates.champion_gate.comparisons)


def _miscalibrated(model: ModelDeclaration) -> Lacking | None:
    """A comparison with the champion shows it better, so the bound is meant for it only when there is no comparison."""
    return None if bounds_calibration(model) and not compares_calibration(model) else uncalibrated(model)


GATE = Gate(
    name="threshold_gate",
    after=EVALUATE,
    asks="Is the candidate good enough in absolute terms?",
    field="gates.threshold_gate",
    mode=lambda model: model.gates.threshold_gate.mode,
    judge=judge,
    looks_at=("scorer", "held_out"),
    seeds=(
        SeedFor("inverted"),
        SeedFor("NaN on 1 % of rows"),
        SeedFor("miscalibrated", OFF, _miscalibrated),
    ),
    signal=True,
)
