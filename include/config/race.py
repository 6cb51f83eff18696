"""Which recipes race for a candidate, as a model declares it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from include.config.base import Declared

if TYPE_CHECKING:
    from include.domain.recipes import RaceRules

RecipeName = Literal["window", "since_change", "expanding", "recent_weighted", "former"]


class DeclaredRace(Declared):
    """Which recipes race for a candidate: each is fitted without the newest training days and scored on them. Held-out
    days are not touched. Declared, they race in every journey; left out, ``window`` and ``since_change`` race after an
    alarm, and nothing does otherwise."""

    recipes: Annotated[tuple[RecipeName, ...], Field(min_length=1)] = ("window", "since_change")
    """Who races; of equal ones the earlier wins. ``window``: the declared window. ``since_change``: from the change
    point of an alarm on. ``expanding``: all matured rows before the holdout. ``recent_weighted``: the window, with more
    weight on newer rows. ``former``: up to three former champions as they are, without a fit, where they read the same
    views and learned from no judged row. Default window and since_change."""
    blocks: Annotated[int, Field(ge=1, le=20)] = 1
    """Into how many blocks of days the judged days are split, each scored by fits on the rows before it; default 1."""
    half_life_days: Annotated[float, Field(gt=0)] = 30.0
    """After how many days a row weighs half, for ``recent_weighted``; default 30."""
    fits_at_most: Annotated[int, Field(ge=1)] = 8
    """How many fits a journey may need for it; what needs more is refused here; default 8."""

    @field_validator("recipes")
    @classmethod
    def _each_once(cls, recipes: tuple[RecipeName, ...]) -> tuple[RecipeName, ...]:
        twice = sorted({recipe for recipe in recipes if recipes.count(recipe) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is named twice; name each recipe once")
        if recipes == ("former",):
            raise ValueError("former alone has no one to race against; name a recipe that is fitted, too")
        return recipes

    @property
    def fits(self) -> int:
        """How many fits a race needs at most, the winner's on all its rows among them."""
        return sum(name != "former" for name in self.recipes) * self.blocks + 1

    @model_validator(mode="after")
    def _affordable(self) -> DeclaredRace:
        if self.fits > self.fits_at_most:
            raise ValueError(
                f"{self.fits} fits are needed for {self.blocks} block{'s' * (self.blocks > 1)} and the winner, and "
                f"fits_at_most is {self.fits_at_most}; allow more, or name fewer recipes or blocks"
            )
        return self

    def rules(self, holdout_days: int) -> RaceRules:
        """As the domain takes it. Without an alarm as many days are judged as are held out, or fewer."""
        from include.domain.recipes import RaceRules, Recipe

        return RaceRules(
            recipes=tuple(Recipe(name) for name in self.recipes),
            blocks=self.blocks,
            half_life_days=self.half_life_days,
            always=True,
            judged_days=holdout_days,
        )
