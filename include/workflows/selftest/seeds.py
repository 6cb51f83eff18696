"""The seeded bad candidates: what is wrong with each. Which gates are meant for it, each gate says itself.

Light, because ``slipway readiness`` asks it of a declaration alone. The candidates themselves are made in
``candidates``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from include.config import ModelDeclaration
from include.config.problems import did_you_mean
from include.domain.verdicts import GateResult, Verdict, worst
from include.workflows import gates
from include.workflows.gates.gate import Gate, Lacking, SeedFor
from include.workflows.gates.shadow import ERROR_SHARE, NAN_SHARE

__all__ = ["ERROR_SHARE", "LARGER", "NAN_SHARE", "SEEDS", "SLOWER", "Lacking", "Seed"]

SLOWER, LARGER = 10, 50


@dataclass(frozen=True, slots=True)
class Seed:
    """One way to be bad.

    Attributes:
        name: the defect in a few words.
        defect: the same as a clause.
        in_each: whether it must show in each of the criteria that its gates name, and not only in one.
    """

    name: str
    defect: str
    in_each: bool = False

    def meant(self, model: ModelDeclaration) -> tuple[str, ...] | Lacking:
        """The declared gates that are meant for it, or why there is none."""
        found, lacking = [], None
        for gate, meant in self._gates(model):
            without = meant.applies(model)
            if without is None and gate.mode(model) is None:
                without = Lacking(f"no {gate.name} is declared", gate.field)
            if without is None:
                found.append(gate.name)
            lacking = lacking or without
        return tuple(found) or lacking or Lacking("no gate is meant for it")

    def on_defect(self, result: GateResult) -> Verdict | None:
        """The verdict of the criteria it must show in; PASS when the gate has none of these; ``None`` means any
        criterion."""
        pattern = next((meant.shows_in for gate, meant in self._gates(None) if gate.name == result.gate), None)
        if pattern is None:
            return None
        found = [c.verdict for c in result.criteria if re.search(pattern, c.criterion)]
        if not found:
            return Verdict.PASS
        return min(found, key=lambda verdict: verdict.badness) if self.in_each else worst(found)

    def _gates(self, model: ModelDeclaration | None) -> list[tuple[Gate, SeedFor]]:
        return [(gate, meant) for gate in gates.of(model) for meant in gate.seeds if meant.seed == self.name]


SEEDS: tuple[Seed, ...] = (
    Seed("one label only", "all its training rows have the same label"),
    Seed("leaked label", "one of its features holds the label, in training and in the holdout"),
    Seed("late feature", "one of its features was available only after the prediction was made"),
    Seed("labels shuffled", "it was fitted on labels that belong to other rows"),
    Seed("constant", "it answers every row with the mean label"),
    Seed("inverted", "it answers the opposite"),
    Seed(
        "worse than champion",
        "it is worse than the champion by three margins of each comparison, and no more",
        in_each=True,
    ),
    Seed(
        "learned nothing of the change",
        "an alarm of a known day asked for it, and it is no better than the champion since, though within every margin",
    ),
    Seed(
        "promotion that cures nothing",
        "an alarm of rows asked for it, and it is measured no better than the champion, though within every margin",
    ),
    Seed(
        "creeping series",
        "it is within each margin of the champion, which is almost three margins worse than the champion before it",
    ),
    Seed("champion wired twice", "it is the champion itself"),
    Seed("NaN on 1 % of rows", "it answers one row in a hundred with NaN"),
    Seed("error on 0.5 % of rows", "it raises on one row in two hundred"),
    Seed("one slice ruined", "it is worse in one slice, by three margins"),
    Seed("one of forty slices", "of forty slices of its rows it is worse in one, by three margins"),
    Seed("one group worse", "it decides against one group"),
    Seed("miscalibrated", "it ranks as well, and its probabilities are far too high"),
    Seed("10 times slower", "it takes ten times as long"),
    Seed("50 times larger", "its file is fifty times as large"),
    Seed("column dropped", "it lacks a column that callers send"),
    Seed("column retyped", "it takes a column as another type"),
    Seed("column renamed", "it takes a column under another name"),
    Seed("classes swapped", "it gives its classes in another order"),
    Seed("artifact tampered", "its registered file is not what was judged"),
    Seed("packed form off by a unit", "its packed form divides or adds one unit in the last place beside its pipeline"),
    Seed("error on 5 % of rows", "it gives no number on one row in twenty"),
    Seed("10 times slower live", "it takes ten times as long for each live answer"),
    Seed("one feature swapped", "it is given the values of one feature that belong to other rows"),
    Seed("one slice inverted", "in one slice of the rows it answers the opposite"),
)
"""In the order of the journey's gates."""


def unknown_seeds(model: ModelDeclaration) -> list[tuple[tuple[str | int, ...], str]]:
    """The seeds that gates of the model's own name and that do not exist: where, and what is wrong."""
    names = [seed.name for seed in SEEDS]
    return [
        (
            ("gates", "own", i, "seeds", j),
            f"gates.own.{i}.seeds has {seed!r}; the seeded candidates are: {', '.join(names)}."
            + did_you_mean(seed, names),
        )
        for i, gate in enumerate(model.gates.own)
        for j, seed in enumerate(gate.seeds)
        if seed not in names
    ]
