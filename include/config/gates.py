"""The declared gates. Every gate is ``blocking`` or ``advisory``; an optional one that is left out is not run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, PrivateAttr, model_validator

from include.config.base import ClassNames, Column, Declared
from include.config.champion_gate import ChampionGate
from include.config.declared_gate import DeclaredGate, Margin, Positive, Rows
from include.config.old_keys import both_given, renamed
from include.config.own_gates import OwnGates
from include.config.own_metrics import METRICS, MetricName, may_be_own
from include.config.problems import did_you_mean
from include.config.slice_gate import FAIRNESS_MEASURES, SliceGate
from include.domain import metric_names
from include.domain.verdicts import Direction, Mode

if TYPE_CHECKING:
    from include.config.declared_gate import Own
    from include.domain.gates import (
        Bound,
        LatencyRules,
        LeakageRules,
        PackedRules,
        SignatureRules,
        SmokeRules,
    )


Task = Literal["binary", "multiclass", "regression"]
FEWEST_HELD_OUT = 10
"""Held-out rows below which nothing is said of a packed form."""


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
        wrong = metric_names.why_no_bound(str(self.metric), self.at_least, self.at_most)
        if wrong is not None:
            raise ValueError(wrong)
        return self

    @property
    def direction(self) -> Direction:
        return Direction.AT_LEAST if self.at_least is not None else Direction.AT_MOST

    @property
    def bound(self) -> float:
        return next(bound for bound in (self.at_least, self.at_most) if bound is not None)


class ThresholdGate(DeclaredGate):
    """The candidate's own numbers against absolute bounds; calibration (``ece``, ``brier``) among them."""

    min_rows: Rows = 100
    """Fewest held-out rows; fewer are INCONCLUSIVE; default 100."""
    criteria: Annotated[list[Criterion], Field(min_length=1)]
    """The bounds, all of which must hold."""

    @model_validator(mode="after")
    def _can_be_met(self) -> ThresholdGate:
        for low in self.criteria:
            for high in self.criteria:
                both = low.metric == high.metric and low.at_least is not None and high.at_most is not None
                if both and low.bound > high.bound:
                    raise ValueError(
                        f"criteria asks for {low.metric} at_least {low.at_least} and at_most {high.at_most}; no "
                        "candidate can be both"
                    )
        return self

    LEAST: ClassVar[dict[str, Any]] = {"criteria": [{"metric": "accuracy", "at_least": 0.0}]}
    """The fields it needs beside a tier's defaults before it can be validated; every gate has this."""

    def rules(self, own: Own | None = None) -> list[Bound]:
        """The rule in the domain's own type; every gate has this. ``own`` are the team's metrics by the names they are
        declared with (``config/measured_by.py``)."""
        from include.domain.gates import Bound

        return [Bound((own or {}).get(c.metric, c.metric), c.direction, c.bound) for c in self.criteria]


class LatencyGate(DeclaredGate):
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


class SignatureGate(DeclaredGate):
    """The champion's callers must be able to go on sending and reading what they do now."""

    may_drop: list[Column] = Field(default_factory=list)
    """Input columns the candidate may do without, each named knowingly; default none."""

    def rules(self) -> SignatureRules:
        from include.domain.gates import SignatureRules

        return SignatureRules(may_drop=tuple(self.may_drop))


class SmokeGate(DeclaredGate):
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


class PackedGate(DeclaredGate):
    """The registered file as plain arrays, held against its pipeline bit by bit."""

    mode: Mode = Mode.ADVISORY
    """advisory keeps the packed form where it is equal, and lets the pipeline answer where it is not; blocking demands
    it, so that a difference stops the journey and a model without a packed form waits for a person; default
    advisory."""
    rows: Annotated[int, Field(ge=100)] = 2000
    """Held-out rows that both are asked, or all where there are fewer; default 2000."""
    hard_rows: Annotated[int, Field(ge=100)] = 3000
    """Rows made from the model's own thresholds and categories that both are asked; default 3000."""

    def rules(self) -> PackedRules:
        from include.domain.gates import PackedRules
        from include.domain.packed.names import ALONE, HARD, HELD_OUT

        return PackedRules({HELD_OUT: FEWEST_HELD_OUT, HARD: self.hard_rows, ALONE: 1})


class LeakageGate(DeclaredGate):
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
    packed_gate: PackedGate | None = None
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
            if isinstance(gate, DeclaredGate):
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
        if self.champion_gate is not None and self.champion_gate.baseline != "mean":
            raise ValueError(
                f"champion_gate.baseline is {self.champion_gate.baseline}; it needs to know when each label was known, "
                "which a file of predictions does not say. Leave it out, and name its answers with --baseline"
            )
        if self.classes is not None and self.task == "regression":
            raise ValueError("classes are given for a regression; only a classifier has them")
        if self.task == "binary" and self.classes is not None and len(self.classes) != 2:
            raise ValueError(f"classes are {self.classes}; a binary model has two, the positive one last")
        check_measures(self.task, self, "")
        if self.classes is not None or self.task == "binary":
            check_costs(self, len(self.classes or ("0", "1")), "")
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
        if metric_names.is_known(task, metric):
            wrong = metric_names.why_not(task, metric)
            if wrong is not None:
                raise ValueError(f"{prefix}{where} is {metric!r}, and {wrong}")
        elif metric not in business and not may_be_own(metric):
            raise ValueError(
                f"{prefix}{where} is {metric!r}; a {task} model is measured by one of "
                f"{', '.join((*allowed, *business))}, or one of your own by its import path."
                + did_you_mean(metric.partition("(")[0], [*allowed, *business])
            )
    measures = FAIRNESS_MEASURES[task]
    for i, rule in enumerate(gates.slice_gate.fairness if gates.slice_gate else ()):
        if rule.measure not in measures:
            raise ValueError(
                f"{prefix}slice_gate.fairness.{i}.measure is {rule.measure!r}; "
                f"a {task} model's groups are measured by one of {', '.join(measures) or 'none'}"
            )


def check_costs(gates: DeclaredGates | JudgedGates, classes: int, prefix: str = "gates.") -> None:
    """A cost matrix has a row and a column for each class.

    Raises:
        ValueError: naming the field, and both numbers.
    """
    for where, metric in metrics_used(gates):
        check_cost(f"{prefix}{where}", metric, classes)


def check_cost(where: str, metric: str, classes: int) -> None:
    """The same of one metric."""
    name, settings = metric_names.split(metric)
    given = len(settings["matrix"]) if name == "cost" and "matrix" in settings else classes
    if given != classes:
        raise ValueError(f"{where} has a cost matrix of {given} classes; label.classes has {classes}")


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
