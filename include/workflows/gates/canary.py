"""``canary_gate``: is it no worse for those who are answered by it, so that it may answer everybody?

It judges each step of a rollout (``release/rollout``) before the share grows, and once more, in front of the promotion,
what all steps together showed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from include.config import ModelDeclaration
from include.domain.gate_names import CANARY_GATE
from include.domain.verdicts import CriterionResult, GateResult, Mode, Verdict
from include.workflows.gates.gate import CANARY, Gate, Lack, Lacking, SeedFor, Severity, Subject, more_where_critical

if TYPE_CHECKING:
    from include.workflows.evidence.canary_seen import CanarySeen

NAME = CANARY_GATE
_APART = r"^(mean|p99) \|canary|^decided"
"""The criteria that compare both models' answers to the same rows."""


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    """The rollout's newest step, whether every step has passed, and what matured labels say."""
    seen = subject.canary()
    more = tuple(each for each in (seen.unfinished, seen.business) if each is not None)
    result = without_labels(model, seen)
    return replace(result, criteria=(*result.criteria, *more))


def of_step(model: ModelDeclaration, seen: CanarySeen) -> GateResult:
    """The rollout's newest step, for its share to grow. What labels say counts where they show harm, and in the last
    step where they are waited for."""
    result, labels = without_labels(model, seen), seen.business
    if labels is None or not _counts(model, labels, seen.is_last):
        return result
    return replace(result, criteria=(*result.criteria, labels))


def without_labels(model: ModelDeclaration, seen: CanarySeen) -> GateResult:
    """What was counted in the newest step."""
    from include.domain.gates.canary import canary_gate

    if seen.judged is not None:
        return replace(seen.judged, mode=_mode(model))
    if seen.instead is not None or seen.plan is None:
        return GateResult(NAME, _mode(model), () if seen.instead is None else (seen.instead,))
    result = canary_gate(seen.plan, seen.evidence, mode=_mode(model))
    return replace(result, notes={**result.notes, **seen.notes})


def _counts(model: ModelDeclaration, business: CriterionResult, is_last: bool) -> bool:
    if model.canary is None or model.canary.mode is Mode.ADVISORY:
        return False
    return business.verdict is Verdict.FAIL or (is_last and model.canary.waits_for_labels(model.label.delay))


def _mode(model: ModelDeclaration) -> Mode:
    return model.canary.mode if model.canary is not None else Mode.BLOCKING


def _lacks(model: ModelDeclaration) -> Iterator[Lack]:
    if model.canary is None:
        return
    if model.canary.business is None:
        yield Lack(
            more_where_critical(model, Severity.LOW),
            "canary.business",
            "No label is read before the promotion: a candidate that fails no more, and decides worse, is promoted.",
            "Declare it, for example as {metric: brier, margin: 0.005}.",
        )
    elif not model.canary.labels_come(model.label.delay):
        yield Lack(
            Severity.LOW,
            "canary.business",
            f"With label.delay of {model.delay_days} days no labels mature within the canary's "
            f"{model.canary.longest.days} days, so none are compared before the promotion.",
            "Set wait to none, or give the steps a longer max_time.",
        )


def _live(model: ModelDeclaration) -> Lacking | None:
    return None if model.serving.mode == "online" else Lacking("its days are scored in batch: no live traffic")


def _absent(model: ModelDeclaration) -> tuple[Severity, str] | None:
    if model.serving.mode != "online":
        return None
    said = "A candidate takes all live traffic at once: what fails there and not in shadow reaches everybody."
    return more_where_critical(model, Severity.MEDIUM), said


GATE = Gate(
    name=NAME,
    after=CANARY,
    asks="Is it no worse for those who are answered by it?",
    field="canary",
    mode=lambda model: None if model.canary is None else model.canary.mode,
    judge=judge,
    looks_at=("scorer", "held_out", "pace"),
    seeds=(
        SeedFor("error on 5 % of rows", "^(more|added) failures|^hard wire", _live),
        SeedFor("10 times slower live", "^more slow answers", _live),
        SeedFor("constant", _APART, _live),
        SeedFor("one feature swapped", _APART, _live),
        SeedFor("one slice inverted", _APART, _live),
    ),
    replayable=False,
    absence=_absent,
    lacks=_lacks,
)
