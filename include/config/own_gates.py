"""Gates of a team's own: declared by an import path, judged like every other gate of the journey."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from include.config import importing
from include.config.base import Declared, Name
from include.config.importing import ImportPath
from include.domain.gate_names import CANARY_GATE
from include.domain.verdicts import Mode

RESERVED = frozenset(
    {
        CANARY_GATE,
        "audit_gate",
        "champion_gate",
        "data_quality_gate",
        "latency_gate",
        "leakage_gate",
        "packed_gate",
        "shadow_gate",
        "signature_gate",
        "slice_gate",
        "smoke_gate",
        "threshold_gate",
        "training_data_gate",
    }
)
"""Names that the project's gates have, or may have: no gate of a team's own takes one."""


def _is_free(name: str) -> str:
    if not name.endswith("_gate") or name == "_gate":
        raise ValueError(f"the name of a gate ends in _gate, such as {name.removesuffix('_gate').rstrip('_')}_gate")
    if name in RESERVED:
        raise ValueError("a gate of the project has this name; give yours another")
    return name


class OwnGate(Declared):
    """One gate of a team's own."""

    name: Annotated[Name, AfterValidator(_is_free)]
    """Its name, which is its task's; it ends in _gate."""
    path: ImportPath
    """The import path of a function (evidence, **params) that returns criteria; or an entry point of slipway.gates."""
    after: Literal["evaluate", "register_challenger"] = "evaluate"
    """The step it comes after: before the candidate is registered, or after; default evaluate."""
    params: dict[str, Any] = Field(default_factory=dict)
    """The function's keyword arguments; default none."""
    mode: Mode = Mode.BLOCKING
    """blocking stops the journey, advisory only reports; default blocking."""
    asks: str = ""
    """Its question, for people; default one that names the path."""
    pure: bool = False
    """Whether its verdict follows from the evidence and the params alone, so that a simulation of the past may ask it;
    default no."""
    seeds: list[str] = Field(default_factory=list)
    """The seeded bad candidates of the selftest that it must not pass; default none, and then nothing proves that it
    can fail."""

    @property
    def question(self) -> str:
        return self.asks or f"What does {self.path} say?"

    def function(self, number: int) -> Callable[..., Any]:
        """What judges; imported now. ``number`` is its place in ``gates.own``.

        Raises:
            NoModule, NoSuchName, WrongShape: when it cannot be used.
        """
        return importing.function(self.path, f"gates.own.{number}.path", importing.GATE, self.params)


def _told_apart(gates: list[OwnGate]) -> list[OwnGate]:
    names = [gate.name for gate in gates]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"gates.own has {twice} twice; a gate's name is its own")
    return gates


OwnGates = Annotated[list[OwnGate], AfterValidator(_told_apart)]
