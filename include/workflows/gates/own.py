"""Gates of a team's own, as gates of the journey. Light: what they name is imported when one is judged."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from include.config import ModelDeclaration
from include.config.own_gates import OwnGate
from include.domain.verdicts import GateResult
from include.workflows.gates.gate import Gate, Lack, SeedFor, Severity, Subject


def gates_of(model: ModelDeclaration) -> tuple[Gate, ...]:
    """The gates that the model declares of its own, in the order of the declaration."""
    return tuple(_gate(number, declared) for number, declared in enumerate(model.gates.own))


def _gate(number: int, declared: OwnGate) -> Gate:
    return Gate(
        name=declared.name,
        after=declared.after,
        asks=declared.question,
        field=f"gates.own.{number}",
        mode=lambda model: declared.mode,
        judge=partial(_judge, number, declared),
        looks_at=("scorer", "held_out"),
        seeds=tuple(SeedFor(seed) for seed in declared.seeds),
        replayable=declared.pure,
        lacks=lambda model: _lacks(number, declared),
        own=True,
    )


def _judge(number: int, declared: OwnGate, model: ModelDeclaration, subject: Subject) -> GateResult:
    from include.domain.gates import HeldOut, own_gate

    function, evidence = declared.function(number), subject.scored()
    held_out = HeldOut.of(model.name, model.label.classes or (), evidence, subject.held_out())
    asked = partial(function, held_out, **declared.params)
    return own_gate(declared.name, declared.mode, asked, path=declared.path, rows=evidence.rows)


def _lacks(number: int, declared: OwnGate) -> Iterator[Lack]:
    if not declared.seeds:
        field = f"gates.own.{number}.seeds"
        what = f"{declared.name} is meant for no seeded candidate: nothing proves that it can fail."
        yield Lack(Severity.MEDIUM, field, what, f"Name those it must stop in {field}.")
