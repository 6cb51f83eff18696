"""What a team declares: feature views and models, as frozen types. A YAML file is untrusted text until it is one of
these.

Every field has one sentence with its unit, its default and what leaving it out means.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from include.config.base import Column, Declared, Duration, Name, Share
from include.config.gates import METRICS as METRICS
from include.config.gates import Gates, check_measures
from include.domain.verdicts import Mode

# --- feature views ---------------------------------------------------------------------------------------------------


class SourceTable(Declared):
    """One table of the source system that a view or a label reads."""

    table: Column
    """The table's name in the source system; its rows are registered for the SQL under the same name."""
    time: Column | None = None
    """The column that says which interval a row belongs to; without it the whole table is read (a reference table)."""
    known: Column | None = None
    """The column that says when the source learned the row; rows known after the as-of time are not read."""
    lookback: Duration = timedelta(0)
    """How far before the interval rows are read too, for example 7d for a trailing window; default none."""
    lookahead: Duration = timedelta(0)
    """How far after the interval rows are read too (a schedule published ahead); ``known`` still bounds them; default
    none."""


class FeatureColumn(Declared):
    """One feature: its name and what kind of value it holds."""

    name: Column
    kind: Literal["numeric", "categorical", "boolean"] = "numeric"
    """How it is compared, encoded and watched for drift; default numeric."""


class Expectation(Declared):
    """One Great Expectations expectation on a staged partition."""

    expectation: Annotated[str, Field(pattern=r"^expect_[a-z_]+$")]
    """The expectation's name in snake case, for example expect_column_values_to_be_between."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Its arguments, as in Great Expectations' gallery; default none."""
    severity: Literal["critical", "warning"] = "critical"
    """critical stops the publish, warning is only reported; default critical."""


class Quality(Declared):
    """What a staged partition must be before anybody may read it."""

    min_rows: Annotated[int, Field(ge=0)] = 1
    """Fewest rows of one day that may be published; an empty day is recorded as EMPTY; default 1."""
    max_null_share: dict[Column, Share] = Field(default_factory=dict)
    """Largest share of missing values per column, checked by Slipway itself; columns left out are not bounded."""
    expectations: Annotated[list[Expectation], Field(min_length=1)]
    """At least one expectation: a suite without any would pass everything."""


class Calendar(Declared):
    """Which days the source has, and when each is materialized."""

    starts: date
    """The first UTC day the source has."""
    ends: date | None = None
    """The UTC day from which on the source has nothing more: nothing is scheduled after it; default open."""
    cron: str = "0 0 * * *"
    """The cron, in UTC, that makes one partition a day; default midnight."""

    @model_validator(mode="after")
    def _ordered(self) -> Calendar:
        if self.ends is not None and self.ends <= self.starts:
            raise ValueError("ends must be after starts")
        return self


class FeatureView(Declared):
    """``include/features/<view>/view.yaml``: rows computed once and read by training and serving alike."""

    name: Name
    description: str
    owner: str
    """Who is asked when the view is wrong."""
    version: Annotated[int, Field(ge=1)] = 1
    """Raised when the definition changes; each version has its own table; default 1."""
    calendar: Calendar
    """When there is something to materialize."""
    keys: Annotated[list[Column], Field(min_length=1)]
    """The join key columns."""
    ttl: Duration
    """How old a row's event time may be at prediction time before it counts as missing."""
    columns: Annotated[list[FeatureColumn], Field(min_length=1)]
    """The features, in the order the SQL gives them."""
    carries: list[Column] = Field(default_factory=list)
    """Further columns the SQL gives that are no features, such as the join keys of other views; default none."""
    source: Annotated[list[SourceTable], Field(min_length=1)]
    """The source tables that features.sql reads."""
    quality: Quality

    _folder: Path = PrivateAttr(default=Path())

    @property
    def sql(self) -> str:
        """The text of features.sql."""
        return (self._folder / "features.sql").read_text(encoding="utf-8")

    @property
    def features(self) -> list[str]:
        return [c.name for c in self.columns]

    @model_validator(mode="after")
    def _no_column_twice(self) -> FeatureView:
        names = [*self.keys, *self.features, *self.carries, "event_time", "available_time"]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(
                f"column {twice[0]!r} is declared twice; each key, feature and carried column needs its own name"
            )
        return self


# --- models ----------------------------------------------------------------------------------------------------------


class Owners(Declared):
    """Who is told what. Values are names or addresses."""

    model: str
    data: str
    on_call: str


class Entity(Declared):
    """What is predicted for: each row of one view is one request."""

    view: Name
    """The view whose rows are the requests (the spine of training sets and of scoring)."""
    lead: Duration
    """How long before the row's event time the prediction is asked for."""


class Label(Declared):
    """What became true, and when it was known."""

    name: Column
    """The name of the label."""
    source: Annotated[list[SourceTable], Field(min_length=1)]
    """The source tables that label.sql reads."""
    delay: Duration
    """How long after the event time a label's window closes; only then a cohort counts as matured."""
    classes: list[str] | None = None
    """The class labels of a classifier in the order of its outputs; left out for regression."""


class ViewUse(Declared):
    """One view a model reads, and the features it takes from it."""

    view: Name
    version: Annotated[int, Field(ge=1)] = 1
    """The version of the view; default 1."""
    features: Annotated[list[Column], Field(min_length=1)]


class Estimator(Declared):
    """What is trained, found by its import path."""

    path: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]
    """The import path of a scikit-learn estimator class."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Its constructor's keyword arguments; default its own defaults."""
    encode: Literal["ordinal", "one_hot"] = "ordinal"
    """How categorical features reach it; default ordinal codes, with unseen and missing values as codes of their
    own."""
    impute: bool = False
    """Whether missing numbers are replaced by the training median; default no, for estimators that take NaN."""


class Training(Declared):
    """Which rows a candidate learns from and is judged on. Both windows end in matured labels only."""

    window_days: Annotated[int, Field(ge=1)]
    holdout_days: Annotated[int, Field(ge=1)]
    """The newest matured days, kept out of training: the gates judge on them."""
    min_rows: Annotated[int, Field(ge=1)]
    seed: int = 0
    schedule: str | None = None
    """A cron, in UTC, that starts a journey whether or not anything drifted; default none."""


class Shadow(Declared):
    """When a shadow window is full, and what must hold in it."""

    mode: Mode = Mode.BLOCKING
    min_rows: Annotated[int, Field(ge=1)]
    min_days: Annotated[int, Field(ge=1)]
    max_days: Annotated[int, Field(ge=1)]
    """Scored days after which the window closes with too few rows, which is INCONCLUSIVE."""
    coverage_at_least: Share = 0.999
    errors_at_most: Share = 0.0
    disagreement: tuple[float, float]
    """Lowest and highest mean |candidate - champion| score. The lowest catches the same model wired twice."""
    p99_delta_at_most: float

    @model_validator(mode="after")
    def _ordered(self) -> Shadow:
        if self.disagreement[0] >= self.disagreement[1]:
            raise ValueError("disagreement is [lowest, highest]: the first must be below the second")
        if self.max_days < self.min_days:
            raise ValueError("max_days must be at least min_days")
        return self


class InputDrift(Declared):
    """Two keys per feature: significance and size."""

    q: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """False discovery rate over the features of one report; default 0.05."""
    effect_at_least: Annotated[float, Field(gt=0)] = 0.1
    """The PSI, after subtracting what no drift gives at this size, from which a feature counts; default 0.1."""
    share_at_least: Share = 0.3
    """The importance-weighted share of drifted features that counts as input drift; default 0.3."""
    bins: Annotated[int, Field(ge=5, le=50)] = 10
    min_rows: Annotated[int, Field(ge=1)] = 300


class PredictionDrift(Declared):
    """The same two keys on the champion's scores."""

    effect_at_least: Annotated[float, Field(gt=0)] = 0.1
    min_rows: Annotated[int, Field(ge=1)] = 300


class RealisedPerformance(Declared):
    """The loss on matured labels against the reference's."""

    metric: Literal["brier", "log_loss", "mae", "rmse", "error"]
    tolerance: Annotated[float, Field(ge=0)]
    """How much worse than the reference, in the metric's unit, is still in band."""
    window_days: Annotated[int, Field(ge=1)] = 7
    """The sliding window of matured days the current risk is taken over; default 7."""
    unit: Literal["day", "row"] = "day"
    """What is one observation. day: is the model worse, its days being alike? row: was it worse on these very rows?
    Rows of one day share its weather, so row is the quicker and the more easily alarmed of the two; default day."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    min_rows: Annotated[int, Field(ge=1)] = 1000


class RetrainPolicy(Declared):
    """How a drift report becomes a decision, and what keeps it from a storm."""

    windows: tuple[int, int] = (2, 3)
    """k of n: alarms in k of the last n reports, with the newest among them; default 2 of 3."""
    cooldown_days: Annotated[int, Field(ge=0)] = 7
    """Days after a journey started in which no drift starts another; default 7."""
    budget_per_month: Annotated[int, Field(ge=1)] = 3
    """Most drift-started journeys in 30 days; default 3."""
    futile_before_escalation: Annotated[int, Field(ge=1)] = 2
    """Journeys in a row that promoted nothing before a person is asked; default 2."""

    @model_validator(mode="after")
    def _k_of_n(self) -> RetrainPolicy:
        k, n = self.windows
        if not 1 <= k <= n:
            raise ValueError("windows is [k, n] with 1 <= k <= n")
        return self


class DataBroke(Declared):
    """What counts as broken data: a person is asked, nothing is retrained."""

    missing_jump: Share = 0.2
    """Rise of a feature's missing share over the reference that counts as broken; default 0.2."""
    unseen_share: Share = 0.2
    """Share of rows with a category the reference never saw that counts as broken; default 0.2."""
    outside_support: Share = 0.3
    """Importance-weighted share of rows outside the reference's range that counts as out of support; default 0.3."""


class Drift(Declared):
    """What the drift sensor measures and how it decides."""

    inputs: InputDrift = InputDrift()
    predictions: PredictionDrift = PredictionDrift()
    performance: RealisedPerformance
    data: DataBroke = DataBroke()
    retrain: RetrainPolicy = RetrainPolicy()


class Promotion(Declared):
    """What stands between a passed shadow window and the alias."""

    approval: Literal["never", "always"] = "never"
    """Whether a person approves each promotion; default never."""
    approval_timeout: Duration = timedelta(days=3)
    """How long a person has; no answer is a rejection; default 3d."""


class ModelDeclaration(Declared):
    """``include/models/<name>/model.yaml``: one model, from its features to its promotion policy."""

    name: Name
    description: str
    task: Literal["binary", "multiclass", "regression"]
    tier: Literal["critical", "standard", "experimental"] = "standard"
    owners: Owners
    entity: Entity
    label: Label
    views: Annotated[list[ViewUse], Field(min_length=1)]
    estimator: Estimator
    training: Training
    gates: Gates
    shadow: Shadow
    drift: Drift
    promotion: Promotion = Promotion()

    _folder: Path = PrivateAttr(default=Path())

    @property
    def label_sql(self) -> str:
        """The text of label.sql."""
        return (self._folder / "label.sql").read_text(encoding="utf-8")

    @property
    def features(self) -> list[str]:
        """Every feature the estimator reads, in order."""
        return [f for use in self.views for f in use.features]

    @property
    def is_classifier(self) -> bool:
        return self.task != "regression"

    @field_validator("views")
    @classmethod
    def _no_feature_twice(cls, views: list[ViewUse]) -> list[ViewUse]:
        names = [f for use in views for f in use.features]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"feature {twice[0]!r} is taken twice; a feature name must be unique within the model")
        return views

    @model_validator(mode="after")
    def _consistent(self) -> ModelDeclaration:
        check_measures(self.task, self.gates)
        losses = ("mae", "rmse") if self.task == "regression" else ("brier", "log_loss", "error")
        if self.drift.performance.metric not in losses:
            raise ValueError(
                f"drift.performance.metric is {self.drift.performance.metric!r}; a {self.task} model's loss is "
                f"one of {', '.join(losses)}"
            )
        if self.is_classifier and not self.label.classes:
            raise ValueError("label.classes is missing; a classifier names its classes in the order of its outputs")
        if not any(use.view == self.entity.view for use in self.views):
            raise ValueError(f"entity.view {self.entity.view!r} is not among the views the model reads")
        return self


def is_name(text: str) -> bool:
    """Whether the text may name a model or a view."""
    return re.fullmatch(r"[a-z][a-z0-9_]{0,62}", text) is not None
