"""What a comparison of two tables found: for each part whether it found something, is quiet, or was not judged.

Harm is worse performance; change is that inputs, predictions or labels are no longer what they were. They are reported
separately, because most change does no harm, and harm needs an answer today. What was asked for and could not be judged
is a third outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from include.workflows.tables.drift_piece import (
    CHANGE,
    CHANGED,
    HARM,
    HARMED,
    NOT_JUDGED,
    PARTS,
    Piece,
    PieceOutcome,
    PieceState,
    outcome_of,
)
from include.workflows.tables.drift_text import columns_said, features_table, pieces_table
from include.workflows.tables.reading import finite


@dataclass(frozen=True, slots=True)
class TablesDrift:
    """What was found. ``histograms`` are of the whole of both tables, as in a drift report.

    ``left_out`` are columns that no one asked for (an index, an id, a day) and ``unjudged`` those that could not be
    judged, each with the reason.
    """

    reference: str
    current: str
    reference_rows: int
    rows: int
    pieces: tuple[Piece, ...]
    remarks: tuple[str, ...]
    histograms: dict[str, Any]
    chunk: str | None
    left_out: Mapping[str, str] = field(default_factory=dict)
    unjudged: Mapping[str, str] = field(default_factory=dict)

    @property
    def counting(self) -> tuple[Piece, ...]:
        """The pieces that must be judged: all but those that are short because the table begins or ends in them."""
        return tuple(piece for piece in self.pieces if not piece.cut) or self.pieces

    @property
    def not_judged(self) -> dict[str, str]:
        """What was asked for and not judged, and why: parts, and columns."""
        found: dict[str, str] = {}
        for part, name in PARTS.items():
            # Where some columns were judged, those that were not are named one by one.
            lacking = [piece for piece in self.counting if part in piece.unjudged and not piece.judged(part)]
            if not lacking:
                continue
            why = lacking[0].unjudged[part]
            if len(self.pieces) > 1:
                why = f"in {len(lacking)} of {len(self.pieces)} pieces; {lacking[0].name}: {why}"
            found[name] = why
        return found | {f"column {name}": f"it {why}" for name, why in self.unjudged.items()}

    @property
    def code(self) -> int:
        """The exit code: 0, or the sum of 1 (change), 2 (something asked for was not judged) and 4 (harm)."""
        code = 0
        for piece in self.pieces:
            code |= piece.code & (CHANGED | HARMED)
        return code | (NOT_JUDGED if self.not_judged else 0)

    @property
    def outcome(self) -> PieceOutcome:
        return outcome_of(self.code)

    def state(self, parts: tuple[str, ...]) -> PieceState | None:
        """What these parts say over all pieces; None where none of them was asked for."""
        states = {state for piece in self.pieces for part in parts if (state := piece.state(part)) is not None}
        if not states:
            return None
        if PieceState.FOUND in states:
            return PieceState.FOUND
        lacking = any(part in piece.unjudged for piece in self.counting for part in parts)
        lacking = lacking or (parts == CHANGE and bool(self.unjudged))
        return PieceState.NOT_JUDGED if lacking or states == {PieceState.NOT_JUDGED} else PieceState.QUIET

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The parts that were judged, in words."""
        found = []
        for part, name in PARTS.items():
            judged = [piece for piece in self.pieces if piece.judged(part)]
            if not judged:
                continue
            if part == "inputs":
                columns = {name for piece in judged for name in piece.columns}
                name += f" ({len(columns)} column{'s' * (len(columns) != 1)})"
            if len(judged) < len(self.pieces):
                name += f" in {len(judged)} of {len(self.pieces)} pieces"
            found.append(name)
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        harm, change = self.state(HARM), self.state(CHANGE)
        return dict(
            finite(
                {
                    "outcome": self.outcome.value,
                    "exit_code": self.code,
                    "change": change.value if change else None,
                    "harm": harm.value if harm else None,
                    "not_judged": self.not_judged,
                    "left_out": dict(self.left_out),
                    "rests_on": list(self.rests_on),
                    "reference": self.reference,
                    "current": self.current,
                    "reference_rows": self.reference_rows,
                    "rows": self.rows,
                    "chunk": self.chunk,
                    "pieces": [piece.as_json() for piece in self.pieces],
                    "remarks": list(self.remarks),
                    "histograms": self.histograms,
                }
            )
        )

    def as_lines(self) -> list[str]:
        lines = pieces_table(self.pieces) if len(self.pieces) > 1 else features_table(self.pieces[0])
        if len(self.pieces) == 1:
            lines += self.pieces[0].sentences
        lines += [*self.remarks, *columns_said(self.left_out, self.not_judged)]
        harm, change = self.state(HARM), self.state(CHANGE)
        lines.append(f"harm: {harm.value if harm else 'not asked for; it takes --label and --score'}")
        lines.append(f"change: {change.value if change else 'not asked for'}")
        return [*lines, self.last_line]

    @property
    def last_line(self) -> str:
        on = ", ".join(self.rests_on) or "nothing"
        lacking = "; not judged: " + ", ".join(self.not_judged) if self.not_judged else ""
        return f"verdict: {self.outcome.value} ({self._counted()}); it rests on {on}{lacking}"

    def _counted(self) -> str:
        rows = f"{self.rows:,} rows against {self.reference_rows:,}"
        if len(self.pieces) == 1:
            return rows
        found = sum(bool(piece.code & (CHANGED | HARMED)) for piece in self.pieces)
        return f"{found} of {len(self.pieces)} pieces; {rows}"
