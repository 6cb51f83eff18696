"""The race of recipes: the same for a journey and for a simulated one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration
from include.workflows.scoring.row_values import watched_losses

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.domain.recipes import Heat, Raced, RaceRules, Recipe

FORMER_AT_MOST = 3
"""How many former champions race, the newest ones."""


@dataclass(frozen=True, slots=True)
class FormerChampion:
    """A model that was champion once and may be promoted again.

    Attributes:
        name: its candidate.
        pipeline: as it was stored.
        learned_until: the day from which on it has learned from no row, ``YYYY-MM-DD``.
    """

    name: str
    pipeline: Any
    learned_until: str

    @property
    def entrant(self) -> str:
        return f"former {self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class LearnedRows:
    """A training set as a race reads it.

    Attributes:
        features: ``(n, features)``, in the order of time.
        label: ``(n,)``; a class as its position.
        days: ``(n,)``: the day of each row, ``YYYY-MM-DD``.
        changed_on: the change point of the alarm that asked, None where none did.
        window_from: the first day of the declared window; None where all rows are in it.
        weight: ``(n,)``: how much each row counts, above 0; None where all count the same.
        known: features, keys and ``event_time`` of each row, where the watched loss reads them; else None.
    """

    features: pd.DataFrame
    label: np.ndarray[Any, Any]
    days: np.ndarray[Any, Any]
    changed_on: str | None = None
    window_from: str | None = None
    weight: np.ndarray[Any, Any] | None = None
    known: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The pipeline of the winner.

    Attributes:
        pipeline: fitted, or a former champion's own.
        raced: what the race found; None where nothing raced.
        rows: how many rows were learned from now; 0 for a former champion.
        former: the former champion that won; None where none did.
    """

    pipeline: Any
    raced: Raced | None
    rows: int
    former: FormerChampion | None = None


def rules_of(model: ModelDeclaration) -> RaceRules:
    """Who races for the model: what it declares, or after an alarm the window and the rows since the change."""
    from include.domain.recipes import RaceRules

    declared = model.training.race
    return declared.rules(model.training.holdout_days) if declared is not None else RaceRules()


def reads_all(model: ModelDeclaration) -> bool:
    """Whether an entrant needs rows from before the declared window."""
    declared = model.training.race
    return declared is not None and "expanding" in declared.recipes


def admits_former(model: ModelDeclaration) -> bool:
    """Whether former champions may enter."""
    declared = model.training.race
    return declared is not None and "former" in declared.recipes


def fitted(
    model: ModelDeclaration, build: Callable[[], Any], learned: LearnedRows, former: Sequence[FormerChampion] = ()
) -> Chosen:
    """The pipeline of the recipe that wins the race over the training set.

    Args:
        model: what is declared.
        build: makes an unfitted pipeline.
        learned: the training set.
        former: who may be promoted again, the preferred one first.

    Raises:
        Refusal: when the winner cannot be fitted.
    """
    from include.domain.recipes import Known, Recipe, heat_of, window_rows

    rules = rules_of(model)
    labels = learned.label if model.is_classifier else None
    known = Known(learned.days, labels, learned.changed_on, learned.window_from)
    heat = heat_of(known, rules, len(former))
    entered = [each for each in former if heat is not None and each.learned_until <= heat.judged_from]
    if heat is None or len(heat.rows) + len(entered) < 2:
        rows = window_rows(known)
        return Chosen(_fit(build, learned, rows, rules, Recipe.WINDOW), None, len(rows))
    raced = _raced(model, build, learned, heat, entered)
    if raced.former is not None:
        again = next(each for each in entered if each.name == raced.former)
        return Chosen(again.pipeline, raced, 0, again)
    rows = heat.rows[raced.recipe]
    return Chosen(_fit(build, learned, rows, rules, raced.recipe), raced, len(rows))


def refitted(
    model: ModelDeclaration, build: Callable[[], Any], learned: LearnedRows, recipe: Recipe
) -> tuple[Any, np.ndarray[Any, Any]]:
    """The pipeline of a recipe on all its rows, and their positions.

    Args:
        model: what is declared.
        build: makes an unfitted pipeline.
        learned: training rows and held-out ones, in the order of time.
        recipe: the winner's, which is fitted: no former champion's.

    Raises:
        Refusal: when it cannot be fitted.
    """
    rows = refit_rows(learned, recipe)
    return _fit(build, learned, rows, rules_of(model), recipe), rows


def refit_rows(learned: LearnedRows, recipe: Recipe) -> np.ndarray[Any, Any]:
    """The positions a recipe learns from in a refit."""
    import numpy as np

    from include.domain.recipes import Known, Recipe, window_rows

    if recipe is Recipe.EXPANDING:
        return np.arange(len(learned.label))
    rows = window_rows(Known(learned.days, None, learned.changed_on, learned.window_from))
    if recipe is Recipe.SINCE_CHANGE and learned.changed_on is not None:
        rows = rows[learned.days[rows] >= learned.changed_on]
    return rows


def _raced(
    model: ModelDeclaration,
    build: Callable[[], Any],
    learned: LearnedRows,
    heat: Heat,
    former: Sequence[FormerChampion],
) -> Raced:
    from include.domain.recipes import Raced, Recipe, winner_of

    rules, losses = rules_of(model), {}
    for recipe in heat.rows:
        losses[recipe.value] = _mean(
            learned,
            heat,
            (
                _losses(model, learned, _fit(build, learned, block.rows[recipe], rules, recipe), block.judged)
                for block in heat.blocks
            ),
        )
    for each in former:
        again = (_losses(model, learned, each.pipeline, block.judged) for block in heat.blocks)
        losses[each.entrant] = _mean(learned, heat, again)
    winner = winner_of(losses, next(iter(losses)))
    name = next((each.name for each in former if each.entrant == winner), None)
    recipe = Recipe.FORMER if name is not None else Recipe(winner)
    return Raced(winner, recipe, losses, len(heat.judged), heat.since, learned.changed_on is not None, name)


def _fit(
    build: Callable[[], Any], learned: LearnedRows, rows: np.ndarray[Any, Any], rules: RaceRules, recipe: Recipe
) -> Any:
    from include.domain.recipes import Recipe, weights_of

    whole = len(rows) == len(learned.label)
    features, label = (learned.features, learned.label) if whole else (learned.features.iloc[rows], learned.label[rows])
    weights = None
    if learned.weight is not None:
        # Of mean 1, so that a penalty in the estimator means the same in whatever unit rows are weighed.
        weights = learned.weight[rows] / learned.weight[rows].mean()
    if recipe is Recipe.RECENT_WEIGHTED:
        recent = weights_of(learned.days[rows], rules.half_life_days)
        weights = recent if weights is None else weights * recent
    return estimators.fit(build(), features, label, weights)


def _losses(
    model: ModelDeclaration, learned: LearnedRows, pipeline: Any, judged: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    scores = estimators.predict(pipeline, learned.features.iloc[judged], classes=model.class_count)
    known = learned.known
    return watched_losses(model, learned.label[judged], scores, lambda: None if known is None else known.iloc[judged])


def _mean(learned: LearnedRows, heat: Heat, blocks: Iterator[np.ndarray[Any, Any]]) -> float:
    import numpy as np

    from include.domain.weights import mean_of

    losses = np.concatenate(list(blocks))
    return mean_of(losses, None if learned.weight is None else learned.weight[heat.judged])
