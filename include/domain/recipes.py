"""Which rows a candidate of an alarm learns from is chosen by evidence: a race of recipes.

Each recipe is fitted without the newest third of the training days since the change and scored on it; the one with the
lowest loss is fitted on all its rows. The held-out days are not touched: the gates judge the winner on days that chose
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

LEAST_ROWS = 100
"""Fewest rows that a recipe learns from."""


class Recipe(Enum):
    """Which of the training window's rows are learned from."""

    WINDOW = "window"
    """All of them."""
    SINCE_CHANGE = "since_change"
    """Those from the change point on."""


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """How the recipes race over one training set.

    Attributes:
        rows: by recipe, the positions it learns from when it has won.
        race_rows: by recipe, the positions it learns from in the race.
        judged: the positions its loss is taken on.
    """

    rows: Mapping[Recipe, NDArray[np.intp]]
    race_rows: Mapping[Recipe, NDArray[np.intp]]
    judged: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Raced:
    """What a race found.

    Attributes:
        winner: the recipe with the lowest loss; of equal ones the declared window.
        losses: by recipe, the mean loss on the judged rows, in the watched metric's unit.
        rows: how many rows were judged.
        since: the change point, ``YYYY-MM-DD``.
    """

    winner: Recipe
    losses: Mapping[Recipe, float]
    rows: int
    since: str

    @property
    def sentence(self) -> str:
        said = ", ".join(f"{recipe.value} {loss:.4g}" for recipe, loss in self.losses.items())
        return f"{self.winner.value} won the race on {self.rows:,} rows after the change of {self.since}: {said}."


def heat_of(days: NDArray[np.str_], labels: NDArray[np.generic] | None, changed_on: str | None) -> Heat | None:
    """Who races over a training set; None where there is only the declared window.

    Args:
        days: ``(n,)``: the day of each row, ``YYYY-MM-DD``.
        labels: ``(n,)``: a classifier's classes, each of which a recipe must have learned; None for numbers.
        changed_on: the change point, None where no alarm asked.

    >>> days = np.repeat(["2021-01-01", "2021-01-02", "2021-01-03", "2021-01-04"], 100)
    >>> heat = heat_of(days, None, "2021-01-02")
    >>> [len(heat.race_rows[r]) for r in Recipe], len(heat.judged), [len(heat.rows[r]) for r in Recipe]
    ([300, 200], 100, [400, 300])
    >>> heat_of(days, None, "2021-01-04") is None
    True
    """
    if changed_on is None or not len(days):
        return None
    after = np.unique(days[days >= changed_on])
    if not len(after) or not bool((days < changed_on).any()):
        return None
    first_judged = after[-max(len(after) // 3, 1)]
    positions = np.arange(len(days))
    judged = positions[days >= first_judged]
    rows = {Recipe.WINDOW: positions, Recipe.SINCE_CHANGE: positions[days >= changed_on]}
    race_rows = {recipe: chosen[days[chosen] < first_judged] for recipe, chosen in rows.items()}
    if len(race_rows[Recipe.SINCE_CHANGE]) < LEAST_ROWS:
        return None
    if labels is not None and len(np.unique(labels[race_rows[Recipe.SINCE_CHANGE]])) < len(np.unique(labels)):
        return None
    return Heat(rows, race_rows, judged)


def winner_of(losses: Mapping[Recipe, float]) -> Recipe:
    """The recipe with the lowest loss; one without a finite loss cannot win, and of equal ones the first does.

    >>> winner_of({Recipe.WINDOW: 0.2, Recipe.SINCE_CHANGE: float("nan")}).value
    'window'
    """
    finite = {recipe: loss for recipe, loss in losses.items() if np.isfinite(loss)}
    return min(finite, key=lambda recipe: finite[recipe]) if finite else Recipe.WINDOW
