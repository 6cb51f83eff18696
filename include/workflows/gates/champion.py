"""``champion_gate``: is the candidate no worse than the champion on the same rows, and better than a naive baseline?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from include.config import ModelDeclaration
from include.config.champion_gate import ChampionGate
from include.domain.verdicts import CriterionResult, GateResult, Verdict
from include.workflows.gates.gate import EVALUATE, Gate, Lack, Lacking, SeedFor, Severity, Subject, more_where_critical
from include.workflows.gates.threshold import CALIBRATED, OFF, bounds_calibration, compares_calibration, uncalibrated

NAME = "champion_gate"
COMPARED = r"^(?!baseline )"
"""The criteria that compare with the champion."""


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    from include.config.measured_by import metrics_of
    from include.domain.gates import champion_gate
    from include.domain.gates.anchor import NO_ANCHOR

    declared = model.gates.champion_gate
    rules = declared.rules(metrics_of(model))
    incident = subject.incident()
    if incident is not None:
        rules = rules.gaining(model.drift.performance.metric, dated=incident.dated)
    result = champion_gate(
        rules,
        subject.scored(),
        mode=declared.mode,
        has_champion=subject.has_champion,
        attempts=subject.attempts(),
        earlier=subject.earlier_window(),
        anchor=subject.anchor() if declared.anchored else NO_ANCHOR,
    )
    learned = subject.new_support()
    return result if learned is None else replace(result, criteria=(*result.criteria, _held(model, learned)))


def _held(model: ModelDeclaration, learned: str) -> CriterionResult:
    """A candidate that a person asked to learn the new support waits for a person: held-out rows have the same values,
    so they can't say whether these are real."""
    return CriterionResult(
        criterion="new support",
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed="approved, with a reason",
        rows=0,
        reason=f"It was asked for while rows lay outside what {model.name} was trained on, and has learned from them: "
        f"{learned.rstrip('.')}. Held-out rows cannot tell whether these values are real, so a person decides: approve "
        "it where they are.",
    )


def _miscalibrated(model: ModelDeclaration) -> Lacking | None:
    return None if compares_calibration(model) else uncalibrated(model)


def _unanchored(model: ModelDeclaration) -> Lacking | None:
    if model.gates.champion_gate.anchored:
        return None
    return Lacking("margins are not counted from an anchor", "gates.champion_gate.anchored")


def _lacks(model: ModelDeclaration) -> Iterator[Lack]:
    declared = model.gates.champion_gate
    if model.is_classifier and not (compares_calibration(model) or bounds_calibration(model)):
        yield Lack(
            Severity.HIGH,
            "gates.champion_gate.comparisons",
            "No criterion sees probabilities that are off.",
            f"Compare or bound one of {', '.join(CALIBRATED)}.",
        )
    if not any(getattr(declared, name) for name in ChampionGate.model_fields if name.startswith("replay")):
        yield Lack(
            more_where_critical(model, Severity.LOW),
            "gates.champion_gate.replay",
            "There is no replay window: a candidate fitted to a passing event is judged on that event only.",
            "Declare one, where this version has it.",
        )
    if declared.first_deployment == "baseline_only" and model.tier == "critical":
        yield Lack(
            Severity.MEDIUM,
            "gates.champion_gate.first_deployment",
            "The tier is critical, and its first deployment asks no one.",
            "Set it to ask.",
        )


GATE = Gate(
    name=NAME,
    after=EVALUATE,
    asks="Is it no worse than the champion on the same rows, and better than looking at nothing?",
    field="gates.champion_gate",
    mode=lambda model: model.gates.champion_gate.mode,
    judge=judge,
    looks_at=("scorer", "held_out"),
    seeds=(
        SeedFor("labels shuffled"),
        SeedFor("constant", "^baseline "),
        SeedFor("worse than champion", COMPARED),
        SeedFor("learned nothing of the change", COMPARED),
        SeedFor("promotion that cures nothing", COMPARED),
        SeedFor("creeping series", "^anchor ", _unanchored),
        SeedFor("champion wired twice", COMPARED),
        SeedFor("NaN on 1 % of rows"),
        SeedFor("miscalibrated", OFF, _miscalibrated),
    ),
    signal=True,
    lacks=_lacks,
)
