"""``slice_gate`` as it is declared: how slices and groups of rows are compared with the champion's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from include.config.base import Column, Declared, Share, Tolerance, amount_and_share, as_share, refuse_share
from include.config.champion_gate import ChampionGate
from include.config.declared_gate import Alpha, DeclaredGate, Margin, Rows
from include.config.own_metrics import MetricName
from include.domain.gap import MARGIN_SHARE

if TYPE_CHECKING:
    from include.config.declared_gate import Own
    from include.domain.gates import (
        FairnessRule,
        SliceRules,
    )

FAIRNESS_MEASURES = {
    "binary": ("demographic_parity", "equal_opportunity", "equalized_odds"),
    "multiclass": (),
    "regression": ("mean_prediction", "group_loss"),
}


class StrictTier(Declared):
    """Large and protected slices: no worse than the champion by the margin, shown by the upper bound. One that cannot
    be judged is INCONCLUSIVE."""

    margin: Tolerance = as_share(2 * MARGIN_SHARE)
    """The loss against the champion that is tolerated within one slice: in the metric's unit, or as a share, written
    10%, of the gap between the champion and the naive baseline on all held-out rows, or of the champion's distance to a
    perfect model where that is less; default 10%."""
    large_rows: Rows = 5000
    """Rows from which a slice is large; a protected one is strict whatever its size; default 5000."""
    judged: Literal["together", "alone"] = "together"
    """together: each with what the strict slices show together, from three on, so that equal models mostly pass.
    alone: each by itself, which passes one that is worse by the margin at most alpha of the time, and equal models of
    many slices seldom (docs/adr/0042); default together."""


class SmallTier(Declared):
    """The other slices: not significantly worse than the champion (Holm). Measured beyond a wide floor, one that is
    nearly so is INCONCLUSIVE."""

    floor: Tolerance = as_share(10 * MARGIN_SHARE)
    """The measured loss against the champion, in the metric's unit or as a share of the gap as in ``strict``, beyond
    which a slice need only be nearly significant (three times alpha over all) to be put before a person; default
    50%."""
    min_rows: Rows = 300
    """The least support: fewer rows are not judged on their own; default 300."""
    under_support: Literal["ask", "report"] = "report"
    """What a slice under the support means. report: it is named, and all such slices of a column are judged together.
    ask: INCONCLUSIVE. Protected slices always ask; default report."""


class Fairness(Declared):
    """How far apart a model's groups are, by a measure of Fairlearn, and how much farther than the champion's."""

    groups: Column
    """The column that names each row's group."""
    measure: Literal["demographic_parity", "equal_opportunity", "equalized_odds", "mean_prediction", "group_loss"]
    """Binary: the gap in selection rate, in true positive rate, or the wider of true and false positive rate.
    Regression: the gap in mean prediction, or in mean absolute error."""
    margin: Margin
    """How much farther than under the champion two groups may be apart, in the measure's unit."""
    gap_at_most: Margin | None = None
    """The policy's own bound on the candidate's gap; without it the champion is the only standard."""
    ratio_at_least: Share | None = None
    """A bound on the ratio of the lowest to the highest rate, such as 0.8; without it the ratio is only reported."""
    threshold: Share = 0.5
    """A score above it is the positive decision (binary); default 0.5."""
    min_group_rows: Rows = 100
    """Fewest rows a group's rate may rest on; default 100."""
    under_support: Literal["ask", "report"] | None = None
    """What a group under that means. ask: INCONCLUSIVE. report: it is left out and named; default what
    ``small.under_support`` is declared as, and ask where it is not: a group that is named here is to be judged."""

    def rule(self, otherwise: str = "ask") -> FairnessRule:
        """``otherwise``: what ``under_support`` is where it is left out."""
        from include.domain.gates import FairnessRule, Measure

        return FairnessRule(
            groups=self.groups,
            measure=Measure(self.measure),
            margin=self.margin,
            gap_at_most=self.gap_at_most,
            ratio_at_least=self.ratio_at_least,
            threshold=self.threshold,
            min_rows=self.min_group_rows,
            ask_under_support=(self.under_support or otherwise) == "ask",
        )


class SliceGate(DeclaredGate):
    """No slice of the rows gets worse for the sake of the average, and no group is treated worse than it was."""

    by: list[Column] = Field(default_factory=list)
    """Columns whose every value is a slice; numbers of more than twelve values are cut at their quartiles."""
    protected: list[Column] = Field(default_factory=list)
    """Columns whose slices are strict whatever their size; default none."""
    metric: MetricName
    """The metric on which each slice is compared."""
    alpha: Alpha = 0.05
    """The chance of passing a strict slice that is worse by the margin (if slices differ as they are seen to, where
    they are judged together), and of failing equal models on small ones; default 0.05."""
    strict: StrictTier = StrictTier()
    small: SmallTier = SmallTier()
    fairness: list[Fairness] = Field(default_factory=list)
    """Bounds on how far apart groups may be treated; default none."""

    @model_validator(mode="after")
    def _margins_of_its_metric(self) -> SliceGate:
        refuse_share(self.metric, **{"strict.margin": self.strict.margin, "small.floor": self.small.floor})
        return self

    LEAST: ClassVar[dict[str, Any]] = {"metric": "accuracy", "strict": {"margin": 0.0}, "small": {"floor": 0.0}}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it reads, each once: to slice by, then to group by."""
        return self.columns_with()

    def columns_with(self, also_by: Iterable[str] = ()) -> tuple[str, ...]:
        """``columns``, with further ones to slice by."""
        return tuple(dict.fromkeys((*self.by, *also_by, *self.protected, *(rule.groups for rule in self.fairness))))

    def columns_named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield from ((("by", i), column) for i, column in enumerate(self.by))
        yield from ((("protected", i), column) for i, column in enumerate(self.protected))
        yield from ((("fairness", i, "groups"), rule.groups) for i, rule in enumerate(self.fairness))

    def rules(
        self, champion_gate: ChampionGate | None, *, also_by: Iterable[str] = (), own: Own | None = None
    ) -> SliceRules:
        """Its policy for a first deployment is the champion gate's, or the default of that."""
        from include.domain.gates import FirstDeployment, SliceRules

        (margin, margin_share), (floor, floor_share) = map(amount_and_share, (self.strict.margin, self.small.floor))
        first = champion_gate.first_deployment if champion_gate else "baseline_only"
        groups = self.small.under_support if "under_support" in self.small.model_fields_set else "ask"
        return SliceRules(
            metric=(own or {}).get(self.metric, self.metric),
            margin=margin,
            floor=floor,
            margin_share=margin_share,
            floor_share=floor_share,
            by=tuple(dict.fromkeys((*self.by, *also_by))),
            protected=tuple(self.protected),
            alpha=self.alpha,
            large_rows=self.strict.large_rows,
            min_rows=self.small.min_rows,
            ask_under_support=self.small.under_support == "ask",
            pooled=self.strict.judged == "together",
            fairness=tuple(rule.rule(groups) for rule in self.fairness),
            first_deployment=FirstDeployment(first),
        )
