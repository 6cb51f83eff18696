"""The declared gates. Every gate is ``blocking`` or ``advisory``; an optional one that is left out is not run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from include.config.base import Column, Declared, Name, Share
from include.domain.verdicts import Direction, Mode

METRICS = {
    "binary": ("roc_auc", "log_loss", "brier", "accuracy", "average_precision", "ece"),
    "multiclass": ("log_loss", "accuracy"),
    "regression": ("mae", "rmse", "r2"),
}

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

    metric: Name
    at_least: float | None = None
    at_most: float | None = None

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


class ThresholdGate(Declared):
    """The candidate's own numbers against absolute bounds; calibration (``ece``, ``brier``) among them."""

    mode: Mode = Mode.BLOCKING
    min_rows: Rows = 500
    criteria: Annotated[list[Criterion], Field(min_length=1)]


class Comparison(Declared):
    """One paired comparison of candidate and champion on the same rows."""

    metric: Name
    margin: Margin
    """The loss against the champion that is tolerated, in the metric's unit; 0 asks for superiority's bound at zero."""
    superiority: bool = False
    """Whether the candidate must be better by more than the margin instead of no worse than it; default no."""


class Replay(Declared):
    """The window before the drift, on which a candidate must not be worse either (docs/adr/0012)."""

    days: Annotated[int, Field(ge=3, le=365)]
    """So many days right before the earlier of both training windows: neither model has learned from them."""


class ChampionGate(Declared):
    """Paired non-inferiority against the champion, and better than a naive baseline."""

    mode: Mode = Mode.BLOCKING
    min_rows: Rows = 500
    alpha: Alpha = 0.05
    """The chance of passing a candidate that is worse by the margin; divided by the attempts on the same holdout."""
    comparisons: Annotated[list[Comparison], Field(min_length=1)]
    beat_baseline_on: Name
    """The metric on which the candidate must beat the naive baseline."""
    resamples: Annotated[int, Field(ge=200)] = 2000
    baseline_by: list[Column] = Field(default_factory=list)
    """Categorical features whose groups' mean label is the naive baseline; default none, which is the overall mean."""
    first_deployment: Literal["baseline_only", "ask"] = "baseline_only"
    """Without a champion: beat the baseline alone, or ask a person; default baseline_only."""
    replay: Replay | None = None
    """Judge the candidate on the window before the drift, too; default no, as it needs data from before training."""


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


class SliceGate(Declared):
    """No slice of the rows pays for the average, and no group is treated worse than it was."""

    mode: Mode = Mode.BLOCKING
    by: list[Column] = Field(default_factory=list)
    """Columns whose every value is a slice; numbers of more than twelve values are cut at their quartiles."""
    protected: list[Column] = Field(default_factory=list)
    """Columns whose slices are strict whatever their size; default none."""
    metric: Name
    alpha: Alpha = 0.05
    strict: StrictTier
    small: SmallTier
    fairness: list[Fairness] = Field(default_factory=list)


class LatencyGate(Declared):
    """Time and size, against a budget and against the champion measured on the same machine. At least one bound."""

    mode: Mode = Mode.BLOCKING
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

    @model_validator(mode="after")
    def _some_bound(self) -> LatencyGate:
        bounds = [name for name in type(self).model_fields if name.endswith("_at_most")]
        if all(getattr(self, name) is None for name in bounds):
            raise ValueError(f"no bound is given; give at least one of {', '.join(bounds)}")
        return self


class SignatureGate(Declared):
    """What the champion's callers send and read must go on working."""

    mode: Mode = Mode.BLOCKING
    may_drop: list[Column] = Field(default_factory=list)
    """Input columns the candidate may do without, each named knowingly; default none."""


class SmokeGate(Declared):
    """The registered artifact in a fresh process: it loads, answers, and answers the same."""

    mode: Mode = Mode.BLOCKING
    rows: Annotated[int, Field(ge=10)] = 200
    """Held-out rows that are asked again, and again with values missing or unseen; default 200."""
    max_difference: Margin = 1e-6
    """Largest difference to the score that evaluate saw for the same row; default 1e-6."""
    timeout_s: Positive = 120.0
    """After so many seconds the process is ended, which is a failure; default 120."""


class Leakage(Declared):
    """Signs that the features know what they cannot know."""

    mode: Mode = Mode.BLOCKING
    auc_at_most: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """Classifiers: the area under the curve that one feature alone may reach; default 0.99."""
    r2_at_most: Annotated[float, Field(gt=0, lt=1)] = 0.99
    """Regression: the share of the label's variance that one feature alone may explain; default 0.99."""
    known_strong: list[Column] = Field(default_factory=list)
    """Features somebody looked at and found honest in spite of their strength; default none."""
    entities_may_repeat: bool = True
    """Whether an entity may be in the training window and in the holdout; default yes, at different times."""


class Gates(Declared):
    """The gates of a journey, in the order they are run."""

    leakage: Leakage | None = None
    threshold_gate: ThresholdGate
    champion_gate: ChampionGate
    slice_gate: SliceGate | None = None
    latency_gate: LatencyGate | None = None
    signature_gate: SignatureGate | None = None
    smoke_gate: SmokeGate | None = None

    def after(self, step: str) -> dict[str, Mode]:
        """The declared gates that judge what the step made, by the name of their task: the training set is judged
        before anything is fitted, the artifact once it is registered, all else between."""
        return {
            name: gate.mode
            for name in _AFTER[step]
            if (gate := getattr(self, "leakage" if name == "leakage_gate" else name)) is not None
        }

    @property
    def modes(self) -> dict[str, Mode]:
        """Every declared gate, in the order of the journey."""
        return {name: mode for step in _AFTER for name, mode in self.after(step).items()}


_AFTER = {
    "build_training_set": ("leakage_gate",),
    "evaluate": ("threshold_gate", "champion_gate", "slice_gate", "latency_gate", "signature_gate"),
    "register_challenger": ("smoke_gate",),
}


class JudgedGates(Declared):
    """The file ``slipway judge --gates`` reads: the gates that need nothing but predictions, and what these are."""

    task: Task = "binary"
    """What the label is; default binary."""
    classes: list[str] | None = None
    """The labels' texts in the order of the outputs, for labels that are not 0, 1, ... already; default none."""
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
        if self.classes is not None and (len(set(self.classes)) != len(self.classes) or len(self.classes) < 2):
            raise ValueError(f"classes are {self.classes}; give two or more, each once, in the order of the outputs")
        if self.task == "binary" and self.classes is not None and len(self.classes) != 2:
            raise ValueError(f"classes are {self.classes}; a binary model has two, the positive one last")
        check_measures(self.task, self, "")
        return self


def check_measures(task: str, gates: Gates | JudgedGates, prefix: str = "gates.") -> None:
    """Each gate may only use measures its task has.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """
    allowed = METRICS[task]
    for where, metric in _metrics_used(gates):
        if metric not in allowed:
            raise ValueError(
                f"{prefix}{where} is {metric!r}; a {task} model is measured by one of {', '.join(allowed)}"
            )
    measures = FAIRNESS_MEASURES[task]
    for i, rule in enumerate(gates.slice_gate.fairness if gates.slice_gate else ()):
        if rule.measure not in measures:
            raise ValueError(
                f"{prefix}slice_gate.fairness.{i}.measure is {rule.measure!r}; "
                f"a {task} model's groups are measured by one of {', '.join(measures) or 'none'}"
            )


def _metrics_used(gates: Gates | JudgedGates) -> Iterator[tuple[str, str]]:
    for i, criterion in enumerate(gates.threshold_gate.criteria if gates.threshold_gate else ()):
        yield f"threshold_gate.criteria.{i}.metric", criterion.metric
    if gates.champion_gate is not None:
        for i, comparison in enumerate(gates.champion_gate.comparisons):
            yield f"champion_gate.comparisons.{i}.metric", comparison.metric
        yield "champion_gate.beat_baseline_on", gates.champion_gate.beat_baseline_on
    if gates.slice_gate is not None:
        yield "slice_gate.metric", gates.slice_gate.metric
