"""One file a gate, in the order of a journey. In: a subject with its evidence. Out: a verdict in the ledger.

``GATES`` is the one list of them, in the order of a journey; ``of`` adds those that a model declares of its own, each
after the others of its step. The Dag, what must have passed before registering and promoting, the release page, the
selftest, the simulation and ``readiness`` follow from it.
"""

from __future__ import annotations

from dataclasses import replace

from include.config import ModelDeclaration
from include.domain.gate_names import FILE_GATES
from include.domain.verdicts import Mode
from include.workflows.gates import (
    approval,
    canary,
    champion,
    latency,
    leakage,
    own,
    packed,
    shadow,
    signature,
    slices,
    smoke,
    threshold,
    training_data,
)
from include.workflows.gates.gate import BUILD, EVALUATE, REGISTER, STATIONS, Gate

GATES: tuple[Gate, ...] = (
    training_data.GATE,
    leakage.GATE,
    threshold.GATE,
    champion.GATE,
    slices.GATE,
    latency.GATE,
    signature.GATE,
    smoke.GATE,
    packed.GATE,
    shadow.GATE,
    approval.GATE,
    canary.GATE,
)


def of(model: ModelDeclaration | None) -> tuple[Gate, ...]:
    """All gates that there are for the model, declared or not, in the order of its journey; those of every model where
    it is None, because it is not declared any more. Where what serves is fitted again, the gates that judge a file come
    once that is registered."""
    if model is None or not (model.gates.own or refits(model)):
        return GATES
    steps = [station.step for station in STATIONS]
    found = [_of_file(gate) if refits(model) else gate for gate in (*GATES, *own.gates_of(model))]
    return tuple(sorted(found, key=lambda gate: steps.index(gate.after)))


def refits(model: ModelDeclaration) -> bool:
    """Whether what serves is fitted again after its recipe has been judged."""
    return model.training.refit == "all"


def _of_file(gate: Gate) -> Gate:
    early = gate.after in (BUILD, EVALUATE)
    return replace(gate, after=REGISTER) if early and gate.name in FILE_GATES else gate


def declared(model: ModelDeclaration) -> tuple[Gate, ...]:
    """The gates of the model's journey, in its order."""
    return tuple(gate for gate in of(model) if gate.mode(model) is not None)


def named(name: str, model: ModelDeclaration | None) -> Gate | None:
    """The model's gate of that name; None where there is none, for example one that an older version had."""
    return next((gate for gate in of(model) if gate.name == name), None)


def after(model: ModelDeclaration, step: str) -> tuple[Gate, ...]:
    """The declared gates that judge what the step made."""
    return tuple(gate for gate in declared(model) if gate.after == step)


def modes(model: ModelDeclaration) -> dict[str, Mode]:
    """Every declared gate that measures a candidate; a person's approval measures nothing and is not among them."""
    return {gate.name: mode for gate in of(model) if gate.looks_at and (mode := gate.mode(model)) is not None}


def required(model: ModelDeclaration, *, held: bool = False) -> list[str]:
    """The gates that must have passed, or carry a live override, before the candidate is promoted.

    ``held``: whether it waits for labels to confirm an estimate; its shadow gate checks them, so that gate is required.
    """
    return [
        gate.name for gate in declared(model) if gate.mode(model) is Mode.BLOCKING or (held and gate is shadow.GATE)
    ]


def later_than_registering(model: ModelDeclaration) -> frozenset[str]:
    """The gates that judge a registered challenger; all others have judged before it is registered."""
    steps = [station.step for station in STATIONS]
    late = steps[steps.index(REGISTER) :]
    return frozenset(gate.name for gate in of(model) if gate.after in late)


def asks(name: str, model: ModelDeclaration | None) -> str:
    """A gate's question; empty for one that is not known."""
    gate = named(name, model)
    return gate.asks if gate is not None else ""


def of_station(step: str, model: ModelDeclaration | None) -> tuple[str, ...]:
    """The names of all gates that judge what a step made, declared or not."""
    return tuple(gate.name for gate in of(model) if gate.after == step)
