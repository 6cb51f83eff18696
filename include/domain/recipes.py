"""Which rows a candidate learns from is chosen by evidence: a race of recipes.

Each recipe is fitted without the newest training days and scored on them; the one with the lowest loss is fitted on all
its rows. Former champions race as they are, without a fit. The held-out days are not touched: the gates judge the
winner on days that chose nothing, so the race spends nothing of a gate's alpha.
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
    """What a candidate is made of."""

    WINDOW = "window"
    """All rows of the declared window."""
    SINCE_CHANGE = "since_change"
    """Those of them from the change point on; races only after an alarm."""
    EXPANDING = "expanding"
    """All matured rows before the holdout, however old."""
    RECENT_WEIGHTED = "recent_weighted"
    """All rows of the declared window, newer ones with more weight."""
    FORMER = "former"
    """None: a former champion as it is."""


DEFAULT_RECIPES = (Recipe.WINDOW, Recipe.SINCE_CHANGE)


@dataclass(frozen=True, slots=True)
class RaceRules:
    """Who races, and how.

    Attributes:
        recipes: the entrants, without repetition; of equal losses the earlier one wins.
        blocks: into how many blocks of days the judged days are split, 1 or more. Each is scored by fits on the rows
            before it.
        half_life_days: after how many days a row weighs half, for ``RECENT_WEIGHTED``; above 0.
        always: whether they race in a journey that no alarm asked for, too.
        judged_days: at most how many days are judged where there is no change point.
    """

    recipes: tuple[Recipe, ...] = DEFAULT_RECIPES
    blocks: int = 1
    half_life_days: float = 30.0
    always: bool = False
    judged_days: int = 14

    @property
    def fitted(self) -> tuple[Recipe, ...]:
        """The recipes that need a fit."""
        return tuple(recipe for recipe in self.recipes if recipe is not Recipe.FORMER)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a training set's rows before anything is fitted.

    Attributes:
        days: ``(n,)``: the day of each row, ``YYYY-MM-DD``, never going back.
        labels: ``(n,)``: a classifier's classes, each of which a recipe must have learned; None for numbers.
        changed_on: the change point, None where no alarm asked.
        window_from: the first day of the declared window, from before which only ``EXPANDING`` learns. None: all rows
            are in it.
    """

    days: NDArray[np.str_]
    labels: NDArray[np.generic] | None
    changed_on: str | None
    window_from: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Days that are scored by fits on the rows before them.

    Attributes:
        rows: by recipe, the positions it learns from.
        judged: the positions its loss is taken on.
    """

    rows: Mapping[Recipe, NDArray[np.intp]]
    judged: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """How the recipes race over one training set.

    Attributes:
        rows: by recipe, the positions it learns from when it has won.
        blocks: what is judged, in the order of time.
        since: the first day of what is judged or, after an alarm, of the change, ``YYYY-MM-DD``.
        judged_from: the first judged day. A former champion enters where it has learned from no row of it or later.
    """

    rows: Mapping[Recipe, NDArray[np.intp]]
    blocks: tuple[Block, ...]
    since: str
    judged_from: str

    @property
    def judged(self) -> NDArray[np.intp]:
        """All judged positions."""
        return np.concatenate([block.judged for block in self.blocks])


@dataclass(frozen=True, slots=True)
class Raced:
    """What a race found.

    Attributes:
        winner: the entrant with the lowest loss: a recipe's name, or ``former`` and the candidate it is.
        recipe: the winner's recipe.
        losses: by entrant, the mean loss on the judged rows, in the watched metric's unit.
        rows: how many rows were judged.
        since: as ``Heat.since``.
        after_change: whether ``since`` is a change point.
        former: the former champion that won, by its candidate; None where none did.
    """

    winner: str
    recipe: Recipe
    losses: Mapping[str, float]
    rows: int
    since: str
    after_change: bool = True
    former: str | None = None

    @property
    def sentence(self) -> str:
        said = ", ".join(f"{entrant} {loss:.4g}" for entrant, loss in self.losses.items())
        which = f"after the change of {self.since}" if self.after_change else f"from {self.since} on"
        return f"{self.winner} won the race on {self.rows:,} rows {which}: {said}."


def heat_of(known: Known, rules: RaceRules = RaceRules(), former: int = 0) -> Heat | None:
    """Who races over a training set; None where there is but one entrant.

    After an alarm the newest third of the days since the change is judged, otherwise the newest days, at most a third.

    Args:
        known: the rows.
        rules: who may race.
        former: how many former champions may enter.

    >>> days = np.repeat(["2021-01-01", "2021-01-02", "2021-01-03", "2021-01-04"], 100)
    >>> heat = heat_of(Known(days, None, "2021-01-02"))
    >>> [len(rows) for rows in heat.blocks[0].rows.values()], len(heat.judged), [len(r) for r in heat.rows.values()]
    ([300, 200], 100, [400, 300])
    >>> heat_of(Known(days, None, "2021-01-04")) is None
    True
    """
    days, changed_on = known.days, known.changed_on
    if not len(days) or (changed_on is None and not rules.always):
        return None
    judged_days = _judged_days(known, rules)
    if not len(judged_days):
        return None
    rows, first = _all_rows(known, rules), str(judged_days[0])
    enters = {recipe for recipe, chosen in rows.items() if _can_learn(known, chosen[days[chosen] < first])}
    if len(enters) + former < 2 or not enters:
        return None
    positions, blocks = np.arange(len(days)), []
    for part in np.array_split(judged_days, min(rules.blocks, len(judged_days))):
        judged = positions[(days >= part[0]) & (days <= part[-1])]
        earlier = {r: chosen[days[chosen] < part[0]] for r, chosen in rows.items() if r in enters}
        blocks.append(Block(earlier, judged))
    entrants = {recipe: chosen for recipe, chosen in rows.items() if recipe in enters}
    return Heat(entrants, tuple(blocks), changed_on or first, first)


def _judged_days(known: Known, rules: RaceRules) -> NDArray[np.str_]:
    days = known.days
    if known.changed_on is None:
        window = days if known.window_from is None else days[days >= known.window_from]
        every = np.unique(window)
        count = min(rules.judged_days, len(every) // 3)
        return every[len(every) - count :]
    after = np.unique(days[days >= known.changed_on])
    if not len(after) or not bool((days < known.changed_on).any()):
        return after[:0]
    return after[-max(len(after) // 3, 1) :]


def _all_rows(known: Known, rules: RaceRules) -> dict[Recipe, NDArray[np.intp]]:
    """By recipe that needs a fit, in the order of the rules, the positions it would learn from if it won."""
    days, positions = known.days, np.arange(len(known.days))
    window = positions if known.window_from is None else positions[days >= known.window_from]
    found = {Recipe.WINDOW: window, Recipe.RECENT_WEIGHTED: window, Recipe.EXPANDING: positions}
    if known.changed_on is not None:
        found[Recipe.SINCE_CHANGE] = window[days[window] >= known.changed_on]
    return {recipe: found[recipe] for recipe in rules.fitted if recipe in found}


def _can_learn(known: Known, rows: NDArray[np.intp]) -> bool:
    """Whether the rows suffice for a fit: enough of them, and each class of the whole set."""
    if len(rows) < LEAST_ROWS:
        return False
    return known.labels is None or len(np.unique(known.labels[rows])) == len(np.unique(known.labels))


def window_rows(known: Known) -> NDArray[np.intp]:
    """The positions of the declared window."""
    positions = np.arange(len(known.days))
    return positions if known.window_from is None else positions[known.days >= known.window_from]


def weights_of(days: NDArray[np.str_], half_life_days: float) -> NDArray[np.float64]:
    """``(n,)``, above 0 and at most 1: what a row weighs that is so many days older than the newest one.

    >>> weights_of(np.array(["2021-01-01", "2021-01-21", "2021-01-31"]), 10.0).tolist()
    [0.125, 0.5, 1.0]
    """
    found = days.astype("datetime64[D]")
    age = (found.max() - found).astype(float)
    return np.asarray(0.5 ** (age / half_life_days), dtype=np.float64)


def winner_of(losses: Mapping[str, float], otherwise: str = Recipe.WINDOW.value) -> str:
    """The entrant with the lowest loss; one without a finite loss cannot win, and of equal ones the first does.

    Args:
        losses: by entrant, in the order in which they are preferred.
        otherwise: who wins where no loss is finite.

    >>> winner_of({"window": 0.2, "since_change": float("nan")})
    'window'
    """
    finite = {entrant: loss for entrant, loss in losses.items() if np.isfinite(loss)}
    return min(finite, key=lambda entrant: finite[entrant]) if finite else otherwise
