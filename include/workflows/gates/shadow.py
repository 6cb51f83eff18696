"""``shadow_gate``: did the candidate answer real traffic, and differently enough from the champion but not too much?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from include.config import ModelDeclaration
from include.domain.verdicts import GateResult, Mode
from include.domain.wording import count_of
from include.workflows.gates.gate import SHADOW, Gate, Lack, Lacking, SeedFor, Severity, Subject, more_where_critical

NAME = "shadow_gate"
NAN_SHARE, ERROR_SHARE = 0.01, 0.005
"""The shares of rows on which two of the seeded candidates answer NaN, or raise."""
ERRORS = "^errors and NaN"


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    """What the prediction log holds of the window, challenger against the champion's own answers.

    A candidate that an estimate asked for is held until labels confirm the alarm: for it the gate is blocking, even if
    declared advisory.
    """
    from include.config.measured_by import metrics_of
    from include.domain.shadow import shadow_gate

    mode, shadowed = model.shadow.mode, subject.shadowed()
    if shadowed.instead is not None or shadowed.evidence is None:
        return GateResult(NAME, mode, () if shadowed.instead is None else (shadowed.instead,))
    rules = model.shadow.rules(model.gates.champion_gate, metrics_of(model))
    result = shadow_gate(rules, shadowed.evidence, mode=mode)
    if shadowed.labels is None:
        return result
    return replace(result, mode=Mode.BLOCKING, criteria=(*result.criteria, shadowed.labels))


def labels_too_late(model: ModelDeclaration) -> str | None:
    """Why the window closes before enough labels mature, as a sentence; None where it does not, or none is compared."""
    given, shadow = model.shadow.comparison, model.shadow
    if given is None:
        return None
    closes = shadow.max_days if given.labels == "required" else shadow.min_days
    needed = given.min_days + model.delay_days
    if needed <= closes:
        return None
    of_labels = f"the labels of {count_of(given.min_days, 'day')} take {count_of(needed, 'day')} with label.delay"
    return f"the shadow window may close after {count_of(closes, 'day')}, and {of_labels}: too few are compared then."


def _nan(model: ModelDeclaration) -> Lacking | None:
    return None if model.shadow.errors_at_most < NAN_SHARE else _tolerated(model)


def _error(model: ModelDeclaration) -> Lacking | None:
    return None if model.shadow.errors_at_most < ERROR_SHARE else _tolerated(model)


def _tolerated(model: ModelDeclaration) -> Lacking:
    return Lacking(
        f"shadow.errors_at_most is {model.shadow.errors_at_most:g}, which tolerates it", "shadow.errors_at_most"
    )


def _lacks(model: ModelDeclaration) -> Iterator[Lack]:
    if model.shadow.comparison is None:
        yield Lack(
            more_where_critical(model, Severity.MEDIUM),
            "shadow.comparison",
            "No label of the shadow window is read: a challenger that is worse there is promoted.",
            "Declare it, for example as {}.",
        )
    elif (late := labels_too_late(model)) is not None:
        yield Lack(
            Severity.MEDIUM,
            "shadow.comparison",
            late[0].upper() + late[1:],
            "Set shadow.min_days higher, or shadow.comparison.labels to required.",
        )
    if model.shadow.errors_at_most > 0:
        yield Lack(
            Severity.MEDIUM,
            "shadow.errors_at_most",
            f"{model.shadow.errors_at_most:g} of the answers in shadow may be errors.",
            "Set it to 0.",
        )
    if model.shadow.min_days < 2:
        yield Lack(
            Severity.MEDIUM,
            "shadow.min_days",
            "A shadow window of one day sees one kind of day.",
            "Set it to 7 or more.",
        )


GATE = Gate(
    name=NAME,
    after=SHADOW,
    asks="Did it answer real traffic, and differently enough from the champion but not too much?",
    field="shadow",
    mode=lambda model: model.shadow.mode,
    judge=judge,
    looks_at=("scorer", "held_out"),
    seeds=(
        SeedFor("champion wired twice", "lowest$"),
        SeedFor("NaN on 1 % of rows", ERRORS, _nan),
        SeedFor("error on 0.5 % of rows", ERRORS, _error),
    ),
    signal=True,
    lacks=_lacks,
)
