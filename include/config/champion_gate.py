"""``champion_gate`` as it is declared."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from include.config.base import Column, Declared, Duration, Tolerance, amount_and_share, as_share, refuse_share
from include.config.declared_gate import Alpha, DeclaredGate, Rows
from include.config.own_metrics import MetricName
from include.domain.gap import MARGIN_SHARE

if TYPE_CHECKING:
    from include.config.declared_gate import Own
    from include.domain.gates import (
        ChampionRules,
        ComparisonRule,
    )


class DeclaredComparison(Declared):
    """One paired comparison of candidate and champion on the same rows."""

    metric: MetricName
    """The metric on which the two are compared."""
    margin: Tolerance = as_share(MARGIN_SHARE)
    """The loss against the champion that is tolerated: in the metric's unit, or as a share, written 5%, of the gap
    between the champion and the naive baseline on the held-out rows, or of the champion's distance to a perfect model
    where that is less. It is 0 where there is no gap; 0 asks for superiority's bound at zero; default 5%."""
    superiority: bool = False
    """Whether the candidate must be better by more than the margin instead of no worse than it; default no."""

    @model_validator(mode="after")
    def _margin_of_its_metric(self) -> DeclaredComparison:
        refuse_share(self.metric, margin=self.margin)
        return self

    def rule(self, own: Own) -> ComparisonRule:
        from include.domain.gates import ComparisonRule

        amount, share = amount_and_share(self.margin)
        return ComparisonRule(own.get(self.metric, self.metric), amount, self.superiority, share=share)


class DeclaredEarlierWindow(Declared):
    """The window before the drift, on which a candidate must not be worse either (docs/adr/0012)."""

    days: Annotated[int, Field(ge=3, le=365)]
    """How many days right before the earlier of both training windows: neither model has learned from them."""


class ChampionGate(DeclaredGate):
    """Paired non-inferiority against the champion, and better than a naive baseline."""

    min_rows: Rows = 100
    """Fewest rows that both have scored; fewer are INCONCLUSIVE; default 100: the bound itself says what more of them
    would tell."""
    alpha: Alpha = 0.05
    """The chance of passing a candidate that is worse by the margin; all retries on overlapping days have a quarter of
    it together (docs/adr/0043); default 0.05."""
    gain_alpha: Alpha = 0.1
    """The chance that a candidate which an alarm asked for is taken for better than the champion though it is not; the
    margins hold at alpha beside it; default 0.1."""
    comparisons: Annotated[list[DeclaredComparison], Field(min_length=1)]
    """The comparisons, all of which must pass."""
    beat_baseline_on: MetricName
    """The metric on which the candidate must beat the naive baseline."""
    resamples: Annotated[int, Field(ge=200)] = 2000
    """Resamples of the bootstrap that is kept beside the bound for information; default 2000."""
    baseline_by: list[Column] = Field(default_factory=list)
    """Categorical features whose groups the naive baseline looks at, each by itself; default none, which is all rows
    together."""
    baseline: Literal["mean", "last_value", "seasonal_naive"] = "mean"
    """What the naive baseline answers: the mean label of the training rows; or for regression the newest label, or that
    of the same time a season ago, which had matured when the row was asked for; default mean."""
    baseline_season: Duration | None = None
    """The season of seasonal_naive, such as 7d; default none, which only the others do without."""
    first_deployment: Literal["baseline_only", "ask"] = "baseline_only"
    """Without a champion: beat the baseline alone, or ask a person; default baseline_only."""
    replay: DeclaredEarlierWindow | None = None
    """Judge the candidate on the window before the drift, too; default no, as it needs data from before training."""

    anchored: bool = True
    """Whether the margins are counted from the anchor too, the last champion that was shown to be better or that a
    person took, so that small losses do not add up (docs/adr/0054); default yes."""

    @model_validator(mode="after")
    def _season(self) -> ChampionGate:
        seasonal, season = self.baseline == "seasonal_naive", self.baseline_season
        if seasonal and season is None:
            raise ValueError("baseline_season is missing; seasonal_naive needs one, such as 7d")
        if not seasonal and season is not None:
            raise ValueError(f"baseline_season is given, and baseline is {self.baseline}; only seasonal_naive has one")
        if season is not None and season <= timedelta(0):
            raise ValueError("baseline_season is not above zero; give for example 7d")
        return self

    LEAST: ClassVar[dict[str, Any]] = {
        "comparisons": [{"metric": "accuracy", "margin": 0.0}],
        "beat_baseline_on": "accuracy",
    }

    def columns_named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        return ((("baseline_by", i), column) for i, column in enumerate(self.baseline_by))

    def rules(self, own: Own | None = None) -> ChampionRules:
        from include.domain.gates import ChampionRules, FirstDeployment

        known = own or {}
        return ChampionRules(
            comparisons=tuple(c.rule(known) for c in self.comparisons),
            beat_baseline_on=known.get(self.beat_baseline_on, self.beat_baseline_on),
            alpha=self.alpha,
            gain_alpha=self.gain_alpha,
            min_rows=self.min_rows,
            resamples=self.resamples,
            first_deployment=FirstDeployment(self.first_deployment),
        )
