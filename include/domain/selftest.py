"""Do the gates stop what they are meant to stop? The rule that judges a gate by its verdicts on seeded bad candidates.

Every seeded candidate is bad in one known way and names the gates meant for it. A gate is trusted when it lets the
honest twin past and stops what it is meant for:
- each gate meant for a seed must not PASS it: FAIL stops a journey, INCONCLUSIVE hands it to a person. Where the defect
  must show in certain criteria (a ruined slice in the line of a slice), it is these that must not PASS;
- the honest twin, which is as good as the champion, must PASS every gate;
- a blocking gate that stops no seed meant for it is a failure too: nothing shows that it can fail.

The same holds for an advisory gate, although a candidate it detects goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from include.domain.verdicts import Mode, Verdict

HONEST = "honest twin"


class SeedOutcome(Enum):
    """What became of one seeded candidate."""

    STOPPED = "stopped"
    """Every gate meant for it detected it, and one of these is blocking."""
    SEEN = "seen"
    """Every gate meant for it detected it, and all of these are advisory."""
    MISSED = "missed"
    """A gate that is meant for it let it pass, or did not judge it."""
    NOT_APPLICABLE = "not applicable"
    """The declaration has nothing that is meant for it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one gate said of one candidate.

    Attributes:
        verdict: its verdict.
        reason: why.
        same: whether its input was exactly that of the honest twin, so that its verdict is no evidence about the
        defect.
        on_defect: the verdict of the criteria that the defect must show in; None when any criterion counts.
    """

    verdict: Verdict
    reason: str
    same: bool = False
    on_defect: Verdict | None = None

    @property
    def saw_defect(self) -> bool:
        return not self.same and (self.on_defect or self.verdict) is not Verdict.PASS


@dataclass(frozen=True, slots=True)
class Seeded:
    """One seeded candidate and what was said of it.

    Attributes:
        name: the defect, in a few words.
        meant: the gates meant for it; empty where the declaration has none.
        why_not: why it does not apply to the model; None where it does.
        cells: by gate, what it said; a gate that never judged it is left out.
        broke: what ``evaluate`` raised, after which a journey's gates are not reached; None where it did not.
    """

    name: str
    meant: tuple[str, ...] = ()
    why_not: str | None = None
    cells: Mapping[str, Cell] = field(default_factory=dict)
    broke: str | None = None

    def stopped_by(self, gates: Mapping[str, Mode], mode: Mode = Mode.BLOCKING) -> list[str]:
        """The gates of that mode that did not PASS it because of its defect."""
        return [
            gate
            for gate, cell in self.cells.items()
            if gates.get(gate) is mode and cell.verdict is not Verdict.PASS and not cell.same
        ]

    def missed_by(self) -> list[str]:
        """The gates meant for it that let it pass, or stopped it for another reason than its defect."""
        return [gate for gate in self.meant if gate not in self.cells or not self.cells[gate].saw_defect]

    def outcome(self, gates: Mapping[str, Mode]) -> SeedOutcome:
        if self.why_not is not None:
            return SeedOutcome.NOT_APPLICABLE
        if not self.meant or self.missed_by():
            return SeedOutcome.MISSED
        return SeedOutcome.STOPPED if any(gates.get(g) is Mode.BLOCKING for g in self.meant) else SeedOutcome.SEEN


@dataclass(frozen=True, slots=True)
class Matrix:
    """A whole selftest of one model: bad candidate by gate.

    Attributes:
        model: its name.
        rows: in words, the rows the candidates were judged on.
        gates: the model's gates, in the order of its journey.
        honest: what each gate said of the honest twin.
        seeds: the bad candidates.
        unproved: gates that a team declares of its own and for no bad candidate: they are shown and not judged.
    """

    model: str
    rows: str
    gates: Mapping[str, Mode]
    honest: Mapping[str, Cell]
    seeds: tuple[Seeded, ...]
    unproved: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """What is wrong with the gates, a sentence each; empty when they can be trusted."""
        return [*self._honest_stopped(), *self._missed(), *self._uncovered()]

    @property
    def passed(self) -> bool:
        return not self.problems

    def count(self, outcome: SeedOutcome) -> int:
        return sum(seed.outcome(self.gates) is outcome for seed in self.seeds)

    def _honest_stopped(self) -> Iterator[str]:
        for gate in self.gates:
            if gate in self.unproved:
                continue
            cell = self.honest.get(gate)
            if cell is None:
                yield f"{gate} did not judge the {HONEST}."
            elif cell.verdict is not Verdict.PASS:
                yield f"{gate} is {cell.verdict.value} for the {HONEST}: {cell.reason}"

    def _missed(self) -> Iterator[str]:
        for seed in self.seeds:
            if seed.why_not is not None:
                continue
            if not seed.meant:
                yield f"No gate is meant for {seed.name!r}."
            for gate in seed.missed_by():
                cell = seed.cells.get(gate)
                if cell is None:
                    yield f"{gate} never judged {seed.name!r}, which it is meant for."
                elif cell.same:
                    yield f"{gate} was given nothing of {seed.name!r} to judge, which it is meant for."
                elif cell.verdict is not Verdict.PASS:
                    yield f"{gate} did not see what is wrong with {seed.name!r}, only this: {cell.reason}"
                else:
                    yield f"{gate} let {seed.name!r} pass: {cell.reason}"

    def _uncovered(self) -> Iterator[str]:
        for gate, mode in self.gates.items():
            stops = (gate in seed.meant and gate not in seed.missed_by() for seed in self.seeds)
            if gate not in self.unproved and mode is Mode.BLOCKING and not any(stops):
                yield f"{gate} is blocking, and stops no seeded candidate meant for it: nothing shows that it can fail."

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "passed": self.passed,
            "rows": self.rows,
            "gates": {gate: mode.value for gate, mode in self.gates.items()},
            "honest": {gate: _cell(cell) for gate, cell in self.honest.items()},
            "seeds": [
                {
                    "seed": seed.name,
                    "outcome": seed.outcome(self.gates).value,
                    "meant": list(seed.meant),
                    "why_not": seed.why_not,
                    "stopped_by": seed.stopped_by(self.gates),
                    "broke": seed.broke,
                    "gates": {gate: _cell(cell) for gate, cell in seed.cells.items()},
                }
                for seed in self.seeds
            ],
            "problems": self.problems,
            "unproved": list(self.unproved),
        }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "verdict": cell.verdict.value,
        "reason": cell.reason,
        "same_as_honest_twin": cell.same,
        "saw_defect": cell.saw_defect,
    }


# --- the table -------------------------------------------------------------------------------------------------------

SAME, NEVER, MEANT = "·", "-", "*"
_SHORT = {Verdict.PASS: "pass", Verdict.INCONCLUSIVE: "ask", Verdict.FAIL: "FAIL"}


def as_table(matrix: Matrix) -> str:
    """The matrix as fixed-width text, at most 120 columns where gates have their usual names; last, what is wrong."""
    heads = [gate.removesuffix("_gate") for gate in matrix.gates]
    body = [[HONEST, *(_short(matrix.honest.get(gate)) for gate in matrix.gates), "passes" * _all_pass(matrix)]]
    for seed in matrix.seeds:
        outcome = seed.outcome(matrix.gates)
        if outcome is SeedOutcome.NOT_APPLICABLE:
            continue
        cells = [
            (_short(seed.cells.get(gate)) if gate in seed.cells else NEVER) + MEANT * (gate in seed.meant)
            for gate in matrix.gates
        ]
        body.append([seed.name, *cells, outcome.value])
    head = ["candidate", *heads, "outcome"]
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    lines = [f"{matrix.model}: {matrix.rows}", ""]
    lines += [_padded(row, widths) for row in [head, ["-" * w for w in widths], *body]]
    skipped = [seed for seed in matrix.seeds if seed.why_not is not None]
    if skipped:
        lines += ["", "not applicable"]
        widest = max(len(seed.name) for seed in skipped)
        lines += [f"  {seed.name.ljust(widest)}  {seed.why_not}" for seed in skipped]
    lines += [
        "",
        f"{MEANT} meant for it   ask: INCONCLUSIVE, a person decides   {NEVER} not reached   "
        f"{SAME} given what it was given of the {HONEST}",
        *(f"{gate} is your own, and declares no seed: nothing proves that it can fail." for gate in matrix.unproved),
        *matrix.problems,
        _verdict(matrix),
    ]
    return "\n".join(lines)


def _all_pass(matrix: Matrix) -> bool:
    return all((c := matrix.honest.get(gate)) is not None and c.verdict is Verdict.PASS for gate in matrix.gates)


def _verdict(matrix: Matrix) -> str:
    stopped, seen, not_applicable = (
        matrix.count(o) for o in (SeedOutcome.STOPPED, SeedOutcome.SEEN, SeedOutcome.NOT_APPLICABLE)
    )
    of = len(matrix.seeds) - not_applicable
    seen_only = f", {seen} only seen by advisory gates" if seen else ""
    said = f"{stopped} of {of} bad candidates stopped{seen_only}, {not_applicable} not applicable"
    if matrix.passed:
        return f"selftest of {matrix.model}: the gates hold ({said})."
    count = len(matrix.problems)
    return f"selftest of {matrix.model}: {count} thing{'s' * (count > 1)} wrong with the gates ({said})."


def _short(cell: Cell | None) -> str:
    return NEVER if cell is None else SAME if cell.same else _SHORT[cell.verdict]


def _padded(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
