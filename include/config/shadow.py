"""When a shadow window is full, and what must hold in it, as a model declares it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from include.config.base import Declared, Duration, Share
from include.config.shadow_comparison import DeclaredShadowComparison
from include.domain.verdicts import Mode

if TYPE_CHECKING:
    from include.config.champion_gate import ChampionGate
    from include.config.declared_gate import Own
    from include.domain.shadow import ShadowRules


class DeclaredShadow(Declared):
    """When a shadow window is full, and what must hold in it."""

    mode: Mode = Mode.BLOCKING
    """blocking stops the journey, advisory only reports; default blocking."""
    min_rows: Annotated[int, Field(ge=1)]
    """Fewest rows that both models must have answered."""
    min_days: Annotated[int, Field(ge=1)]
    """Fewest scored days."""
    max_days: Annotated[int, Field(ge=1)]
    """Scored days after which the window closes with too few rows, which is INCONCLUSIVE."""
    coverage_at_least: Share = 0.999
    """The share of the rows asked that must have an answer, an error included; default 0.999."""
    errors_at_most: Share = 0.0
    """The share of the rows asked that may be answered by an error, NaN or infinity; default 0."""
    disagreement: tuple[float, float]
    """Lowest and highest mean |candidate - champion| score. The lowest catches the same model wired twice."""
    p99_delta_at_most: float
    """Highest 99th percentile of |candidate - champion| score."""
    comparison: DeclaredShadowComparison | None = None
    """The challenger against the champion on labels that matured within the window; default what the tier says."""
    answer_within: Duration = timedelta(minutes=10)
    """How long a challenger may take to answer a day, in a process of its own; then that is ended, and the day counts
    as errors of the challenger; default 10m."""

    @model_validator(mode="after")
    def _ordered(self) -> DeclaredShadow:
        if self.answer_within <= timedelta(0):
            raise ValueError("answer_within is not above zero; a challenger needs some time, for example 10m")
        if self.disagreement[0] >= self.disagreement[1]:
            raise ValueError("disagreement is [lowest, highest]: the first must be below the second")
        if self.max_days < self.min_days:
            raise ValueError("max_days must be at least min_days")
        return self

    def rules(self, champion: ChampionGate | None = None, own: Own | None = None) -> ShadowRules:
        """As the domain takes it; without ``champion`` what fills the window, and no comparison."""
        from include.domain.shadow import ShadowRules

        given = self.comparison
        rules = ShadowRules(
            min_rows=self.min_rows,
            min_days=self.min_days,
            max_days=self.max_days,
            mean_delta=self.disagreement,
            p99_delta_at_most=self.p99_delta_at_most,
            coverage_at_least=self.coverage_at_least,
            errors_at_most=self.errors_at_most,
        )
        if given is None:
            return rules
        required = given.labels == "required"
        return replace(
            rules,
            comparison=given.rule(champion, own or {}) if champion else None,
            alpha=given.alpha,
            min_matured_rows=given.min_rows,
            labels_required=required,
            min_matured_days=given.min_days if required else 0,
            only_if_shown_worse=given.asks == "not_shown_worse",
        )
