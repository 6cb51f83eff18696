"""One piece of a compared table: for each part whether it found something, is quiet, or was not judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from include.domain.drift.estimated import EstimatedPerformance
from include.domain.drift.input_drift import DriftVerdict
from include.domain.drift.once import RiskRise

CHANGED, NOT_JUDGED, HARMED = 1, 2, 4
"""The bits of the exit code."""


class PieceState(Enum):
    """What one part of a comparison says."""

    FOUND = "found"
    QUIET = "quiet"
    NOT_JUDGED = "not judged"

    @classmethod
    def of(cls, said: bool | None) -> PieceState:
        return {True: cls.FOUND, False: cls.QUIET, None: cls.NOT_JUDGED}[said]


class PieceOutcome(Enum):
    """The headline."""

    QUIET = "no drift"
    DRIFT = "change"
    HARM = "harm"
    BOTH = "harm and change"
    INCONCLUSIVE = "inconclusive"


def outcome_of(code: int) -> PieceOutcome:
    """The outcome of an exit code; a finding counts even when something else was not judged."""
    if code & HARMED:
        return PieceOutcome.BOTH if code & CHANGED else PieceOutcome.HARM
    if code & CHANGED:
        return PieceOutcome.DRIFT
    return PieceOutcome.INCONCLUSIVE if code & NOT_JUDGED else PieceOutcome.QUIET


PARTS = {
    "inputs": "inputs",
    "predictions": "predictions",
    "labels": "labels",
    "estimated": "estimated performance",
    "realised": "realised performance",
}
CHANGE, HARM = ("inputs", "predictions", "labels"), ("estimated", "realised")


@dataclass(frozen=True, slots=True)
class Piece:
    """The current table, or one piece of it. A part is None when it was not asked for.

    ``asked`` are the parts that must be judged. ``cut`` says that the piece is short only because it lies at an end of
    the table.
    """

    name: str
    rows: int
    inputs: DriftVerdict | None
    predictions: DriftVerdict | None
    estimated: EstimatedPerformance | None
    realised: RiskRise | None
    labels: DriftVerdict | None = None
    asked: tuple[str, ...] = ("inputs",)
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Why a part that was asked for is missing."""
    cut: bool = False

    def state(self, part: str) -> PieceState | None:
        """The state of the part; None when it is neither there nor asked for."""
        found = getattr(self, part)
        if found is None:
            return PieceState.NOT_JUDGED if part in self.asked else None
        return PieceState.of(found.drifted if isinstance(found, DriftVerdict) else found.out_of_band)

    def judged(self, part: str) -> bool:
        """Whether anything of the part was judged: of the inputs, a column."""
        return self.state(part) in (PieceState.FOUND, PieceState.QUIET) or (part == "inputs" and bool(self.columns))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the inputs that were judged."""
        return tuple(f.name for f in self.inputs.features if f.drifted is not None) if self.inputs else ()

    @property
    def unjudged(self) -> dict[str, str]:
        """Why the parts that were asked for were not judged, by part."""
        return {
            part: self.lacking.get(part)
            or str(getattr(getattr(self, part), "reason", "there is nothing to judge it by"))
            for part in self.asked
            if self.state(part) is PieceState.NOT_JUDGED
        }

    @property
    def code(self) -> int:
        changed = any(self.state(part) is PieceState.FOUND for part in CHANGE)
        harmed = any(self.state(part) is PieceState.FOUND for part in HARM)
        return CHANGED * changed + NOT_JUDGED * bool(self.unjudged) + HARMED * harmed

    @property
    def outcome(self) -> PieceOutcome:
        return outcome_of(self.code)

    @property
    def sentences(self) -> tuple[str, ...]:
        parts = (self.realised, self.estimated, self.labels, self.predictions, self.inputs)
        return tuple(part.reason for part in parts if part is not None)

    def as_json(self) -> dict[str, Any]:
        parts = {name: getattr(self, name) for name in PARTS}
        states = {name: state.value for name in PARTS if (state := self.state(name)) is not None}
        return {
            "name": self.name,
            "rows": self.rows,
            "outcome": self.outcome.value,
            "states": states,
            "not_judged": self.unjudged,
        } | {name: None if part is None else part.as_json() for name, part in parts.items()}
