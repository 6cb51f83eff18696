"""The declared gates. Every gate is ``blocking`` or ``advisory``; an optional one that is left out is not run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, PrivateAttr, model_validator

from include.config.base import ClassNames, Column, Declared, Share
from include.config.old_keys import both_given, renamed
from include.config.own_gates import OwnGates
from include.config.own_metrics import METRICS, MetricName, may_be_own
from include.domain.verdicts import Direction, Mode

if TYPE_CHECKING:
    from include.domain.gates import (
        Bound,
        ChampionRules,
        FairnessRule,
        LatencyRules,
        LeakageRules,
        SignatureRules,
        SliceRules,
        SmokeRules,
    )
    from include.domain.metrics import Metric

    Own = Mapping[str, Metric]

FAIRNESS_MEASURES = {
    "binary": ("demographic_parity", "equal_opportunity", "equalized_odds"),
    "multiclass": (),
    "regression": ("mean_prediction", "group_loss"),
}

Task = Literal["binary", "multiclass", "regression"]
Margin = Annotated[float, Field(ge=0)]
Rows = Annotated[int, Field(ge=1)]
Alpha = Annotated[float, Field(gt=0, lt=0.5)]
Positive = Annotated[float, Field(gt=0)]


class Criterion(Declared):
    """One bound on one metric of the candidate. Exactly one of the two bounds, and it is inclusive."""

    metric: MetricName
    """The metric that is measured on the holdout."""
    at_least: float | None = None
    """The lowest value that passes; default no such bound."""
    at_most: float | None = None
    """The highest value that passes; default no such bound."""

    @model_validator(mode="after")
    def _one_bound(self) -> Criterion:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give exactly one of at_least and at_most")
        return self

    @property
    def direction(self) -> Direction:
        return Direction.AT_LEAST if self.at_least is not None else Direction.AT_MOST

    @property
    def bound(self) -> float:
        return next(bound for bound in (self.at_least, self.at_most) if bound is not None)


class _Gate(Declared):
    """What every declared gate has."""

    mode: Mode = Mode.BLOCKING
    """blocking stops the journey, advisory only reports; default blocking."""

    def columns_named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """The columns that must be features of the model, each with where in the gate it is named; default none."""
        return iter(())


class ThresholdGate(_Gate):
    """The candidate's own numbers against absolute bounds; calibration (``ece``, ``brier``) among them."""

    min_rows: Rows = 500
    """Fewest held-out rows; fewer are INCONCLUSIVE; default 500."""
    criteria: Annotated[list[Criterion], Field(min_length=1)]
    """The bounds, all of which must hold."""

    LEAST: ClassVar[dict[str, Any]] = {"criteria": [{"metric": "accuracy", "at_least": 0.0}]}
    """The fields it needs beside a tier's defaults before it can be validated; every gate has this."""

    def rules(self, own: Own | None = None) -> list[Bound]:
        """The rule in the domain's own type; every gate has this. ``own`` are the team's metrics by the names they are
        declared with (``config/measured_by.py``)."""
        from include.domain.gates import Bound

        return [Bound((own or {}).get(c.metric, c.metric), c.direction, c.bound) for c in self.criteria]


class DeclaredComparison(Declared):
    """One paired comparison of candidate and champion on the same rows."""

    metric: MetricName
    """The metric on which the two are compared."""
    margin: Margin
    """The loss against the champion that is tolerated, in the metric's unit; 0 asks for superiority's bound at zero."""
    superiority: bool = False
    """Whether the candidate must be better by more than the margin instead of no worse than it; default no."""


class DeclaredEarlierWindow(Declared):
    """The window before the drift, on which a candidate must not be worse either (docs/adr/0012)."""

    days: Annotated[int, Field(ge=3, le=365)]
    """How many days right before the earlier of both training windows: neither model has learned from them."""


class ChampionGate(_Gate):
    """Paired non-inferiority against the champion, and better than a naive baseline."""

    min_rows: Rows = 500
    """Fewest rows that both have scored; fewer are INCONCLUSIVE; default 500."""
    alpha: Alpha = 0.05
    """The chance of passing a candidate that is worse by the margin; divided by the attempts on the same holdout."""
    comparisons: Annotated[list[DeclaredComparison], Field(min_length=1)]
    """The comparisons, all of which must pass."""
    beat_baseline_on: MetricName
    """The metric on which the candidate must beat the naive baseline."""
    resamples: Annotated[int, Field(ge=200)] = 2000
    """Resamples of the bootstrap that is kept beside the bound for information; default 2000."""
    baseline_by: list[Column] = Field(default_factory=list)
    """Categorical features whose groups' mean label is the naive baseline; default none, which is the overall mean."""
    first_deployment: Literal["baseline_only", "ask"] = "baseline_only"
    """Without a champion: beat the baseline alone, or ask a person; default baseline_only."""
    replay: DeclaredEarlierWindow | None = None
    """Judge the candidate on the window before the drift, too; default no, as it needs data from before training."""

    LEAST: ClassVar[dict[str, Any]] = {
        "comparisons": [{"metric": "accuracy", "margin": 0.0}],
        "beat_baseline_on": "accuracy",
    }

    def columns_named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        return ((("baseline_by", i), column) for i, column in enumerate(self.baseline_by))

    def rules(self, own: Own | None = None) -> ChampionRules:
        from include.domain.gates import ChampionRules, ComparisonRule, FirstDeployment

        known = own or {}
        compared = ((known.get(c.metric, c.metric), c) for c in self.comparisons)
        return ChampionRules(
            comparisons=tuple(ComparisonRule(metric, c.margin, c.superiority) for metric, c in compared),
            beat_baseline_on=known.get(self.beat_baseline_on, self.beat_baseline_on),
            alpha=self.alpha,
            min_rows=self.min_rows,
            resamples=self.resamples,
            first_deployment=FirstDeployment(self.first_deployment),
        )


class StrictTier(Declared):
    """Large and protected slices: no worse than the champion by the margin, shown by the upper bound."""

    margin: Margin
    """The loss against the champion that is tolerated within one slice, in the metric's unit."""
    large_rows: Rows = 5000
    """Rows from which a slice is large; a protected one is strict whatever its size; default 5000."""


class SmallTier(Declared):
    """The other slices: not significantly worse than the champion (Holm), and not worse by more than a wide floor."""

    floor: Margin
    """The largest measured loss against the champion, in the metric's unit, significant or not."""
    min_rows: Rows = 300
    """The least support: fewer rows are not judged on their own; default 300."""
    under_support: Literal["ask", "report"] = "ask"
    """What a slice under the support means. ask: INCONCLUSIVE. report: it is named, and all such slices of a column are
    judged together. Protected slices always ask; default ask."""


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

    def rule(self, *, ask: bool) -> FairnessRule:
        """``ask``: whether groups under the support are INCONCLUSIVE."""
        from include.domain.gates import FairnessRule, Measure

        return FairnessRule(
            groups=self.groups,
            measure=Measure(self.measure),
            margin=self.margin,
            gap_at_most=self.gap_at_most,
            ratio_at_least=self.ratio_at_least,
            threshold=self.threshold,
            min_rows=self.min_group_rows,
            ask_under_support=ask,
        )


class SliceGate(_Gate):
    """No slice of the rows gets worse for the sake of the average, and no group is treated worse than it was."""

    by: list[Column] = Field(default_factory=list)
    """Columns whose every value is a slice; numbers of more than twelve values are cut at their quartiles."""
    protected: list[Column] = Field(default_factory=list)
    """Columns whose slices are strict whatever their size; default none."""
    metric: MetricName
    """The metric on which each slice is compared."""
    alpha: Alpha = 0.05
    """The chance of passing a strict slice that is worse by the margin, and of failing equal models on small ones;
    default 0.05."""
    strict: StrictTier
    small: SmallTier
    fairness: list[Fairness] = Field(default_factory=list)
    """Bounds on how far apart groups may be treated; default none."""

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

        first = champion_gate.first_deployment if champion_gate else "baseline_only"
        ask = self.small.under_support == "ask"
        return SliceRules(
            metric=(own or {}).get(self.metric, self.metric),
            margin=self.strict.margin,
            floor=self.small.floor,
            by=tuple(dict.fromkeys((*self.by, *also_by))),
            protected=tuple(self.protected),
            alpha=self.alpha,
            large_rows=self.strict.large_rows,
            min_rows=self.small.min_rows,
            ask_under_support=ask,
            fairness=tuple(rule.rule(ask=ask) for rule in self.fairness),
            first_deployment=FirstDeployment(first),
        )


class LatencyGate(_Gate):
    """Time and size, against a budget and against the champion measured on the same machine. At least one bound."""

    p50_ms_at_most: Positive | None = None
    """Median time of a single row, in milliseconds."""
    p99_ms_at_most: Positive | None = None
    """99th percentile of the time of a single row, in milliseconds."""
    batch_ms_per_1k_at_most: Positive | None = None
    """Median time of a thousand rows asked together, in milliseconds."""
    batch_p90_ms_per_1k_at_most: Positive | None = None
    """90th percentile of the same, in milliseconds."""
    model_mb_at_most: Positive | None = None
    """Size of the registered model file, in millions of bytes."""
    times_champion_at_most: Positive | None = None
    """Bound on the candidate's median and batch time, as a multiple of the champion's."""
    size_times_champion_at_most: Positive | None = None
    """Bound on the candidate's size, as a multiple of the champion's."""
    repeats: Annotated[int, Field(ge=20)] = 200
    """Single rows timed; default 200."""

    LEAST: ClassVar[dict[str, Any]] = {"p50_ms_at_most": 1.0}

    def rules(self) -> LatencyRules:
        from include.domain.gates import LatencyRules

        bounds = {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_at_most")}
        return LatencyRules(**bounds, repeats=self.repeats)

    @model_validator(mode="after")
    def _some_bound(self) -> LatencyGate:
        bounds = [name for name in type(self).model_fields if name.endswith("_at_most")]
        if all(getattr(self, name) is None for name in bounds):
            raise ValueError(f"no bound is given; give at least one of {', '.join(bounds)}")
        return self


class SignatureGate(_Gate):
    """The champion's callers must be able to go on sending and reading what they do now."""

    may_drop: list[Column] = Field(default_factory=list)
    """Input columns the candidate may do without, each named knowingly; default none."""

    def rules(self) -> SignatureRules:
        from include.domain.gates import SignatureRules

        return SignatureRules(may_drop=tuple(self.may_drop))


class SmokeGate(_Gate):
    """The registered artifact in a fresh process: it loads, answers, and answers the same."""

    rows: Annotated[int, Field(ge=10)] = 200
    """Held-out rows that are asked again, and again with values missing or unseen; default 200."""
    max_difference: Margin = 1e-6
    """Largest difference to the score that evaluate saw for the same row; default 1e-6."""
    timeout_s: Positive = 120.0
    """After so many seconds the process is ended, which is a failure; default 120."""

    def rules(self) -> SmokeRules:
        from include.domain.gates import SmokeRules

        return SmokeRules(max_difference=self.max_difference)


class LeakageGate(_Gate):
    """Signs that the features contain what is only known later."""

    auc_at_most: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """Classifiers: the area under the curve that one feature alone may reach; default 0.99."""
    r2_at_most: Annotated[float, Field(gt=0, lt=1)] = 0.99
    """Regression: the share of the label's variance that one feature alone may explain; default 0.99."""
    known_strong: list[Column] = Field(default_factory=list)
    """Features that a person has reviewed and that are no leak in spite of their strength; default none."""
    entities_may_repeat: bool = True
    """Whether an entity may be in the training window and in the holdout; default yes, at different times."""

    def columns_named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        return ((("known_strong", i), column) for i, column in enumerate(self.known_strong))

    def rules(self) -> LeakageRules:
        from include.domain.gates import LeakageRules

        return LeakageRules(
            auc_at_most=self.auc_at_most,
            r2_at_most=self.r2_at_most,
            known_strong=tuple(self.known_strong),
            entities_may_repeat=self.entities_may_repeat,
        )


class DeclaredGates(Declared):
    """The gates of a journey, in the order they are run."""

    leakage_gate: LeakageGate | None = None
    threshold_gate: ThresholdGate
    champion_gate: ChampionGate
    slice_gate: SliceGate | None = None
    latency_gate: LatencyGate | None = None
    signature_gate: SignatureGate | None = None
    smoke_gate: SmokeGate | None = None
    own: OwnGates = Field(default_factory=list)
    """Gates of the team's own, by import path; default none."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, given: Any) -> Any:
        wrong = both_given(given)
        if wrong is not None:
            raise ValueError(wrong)
        return renamed(given)

    def columns_named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """The columns that must be features of the model, each with where in ``gates`` it is named."""
        for field in type(self).model_fields:
            gate = getattr(self, field)
            if isinstance(gate, _Gate):
                yield from (((field, *where), column) for where, column in gate.columns_named())

    @classmethod
    def least(cls) -> dict[str, dict[str, Any]]:
        """What each gate needs beside a tier's defaults in order to be checked, by its key; those that need nothing
        are left out."""
        kinds = {name: _kind(field.annotation) for name, field in cls.model_fields.items()}
        return {name: dict(kind.LEAST) for name, kind in kinds.items() if hasattr(kind, "LEAST")}


def _kind(annotation: Any) -> Any:
    """The type of a field that may be left out."""
    return next((kind for kind in get_args(annotation) if kind is not type(None)), annotation)


class JudgedGates(Declared):
    """The file ``slipway judge --gates`` reads: the gates that need nothing but predictions, and what these are."""

    task: Task = "binary"
    """What the label is; default binary."""
    classes: ClassNames | None = None
    """The labels in the order of the outputs, for labels that are not 0, 1, ... already; default none."""
    threshold_gate: ThresholdGate | None = None
    champion_gate: ChampionGate | None = None
    slice_gate: SliceGate | None = None

    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _consistent(self) -> JudgedGates:
        if self.threshold_gate is None and self.champion_gate is None and self.slice_gate is None:
            raise ValueError("no gate is declared; give at least one of threshold_gate, champion_gate and slice_gate")
        if self.champion_gate is not None and self.champion_gate.replay is not None:
            raise ValueError(
                "champion_gate.replay is declared; it needs rows of an earlier window, which one file of predictions "
                "has not. Leave it out, and judge that window's predictions by themselves"
            )
        if self.classes is not None and self.task == "regression":
            raise ValueError("classes are given for a regression; only a classifier has them")
        if self.task == "binary" and self.classes is not None and len(self.classes) != 2:
            raise ValueError(f"classes are {self.classes}; a binary model has two, the positive one last")
        check_measures(self.task, self, "")
        return self


def check_measures(
    task: str, gates: DeclaredGates | JudgedGates, prefix: str = "gates.", business: Collection[str] = ()
) -> None:
    """Each gate may only use measures its task has, the model's business metrics, and what can be a team's own.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """
    allowed = METRICS[task]
    for where, metric in metrics_used(gates):
        if metric not in allowed and metric not in business and not may_be_own(metric):
            raise ValueError(
                f"{prefix}{where} is {metric!r}; a {task} model is measured by one of "
                f"{', '.join((*allowed, *business))}, or one of your own by its import path"
            )
    measures = FAIRNESS_MEASURES[task]
    for i, rule in enumerate(gates.slice_gate.fairness if gates.slice_gate else ()):
        if rule.measure not in measures:
            raise ValueError(
                f"{prefix}slice_gate.fairness.{i}.measure is {rule.measure!r}; "
                f"a {task} model's groups are measured by one of {', '.join(measures) or 'none'}"
            )


def metrics_used(gates: DeclaredGates | JudgedGates) -> Iterator[tuple[str, str]]:
    """Every metric that a gate names, each with the field that does."""
    for i, criterion in enumerate(gates.threshold_gate.criteria if gates.threshold_gate else ()):
        yield f"threshold_gate.criteria.{i}.metric", criterion.metric
    if gates.champion_gate is not None:
        for i, comparison in enumerate(gates.champion_gate.comparisons):
            yield f"champion_gate.comparisons.{i}.metric", comparison.metric
        yield "champion_gate.beat_baseline_on", gates.champion_gate.beat_baseline_on
    if gates.slice_gate is not None:
        yield "slice_gate.metric", gates.slice_gate.metric
