"""What a team declares: feature views and models, as frozen types. A YAML file is untrusted text until it is one of
these.

Every field has one sentence with its unit, its default and what leaving it out means.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from include.config.base import ClassNames, Column, Declared, Duration, Name
from include.config.canary import DeclaredCanary
from include.config.cron import Cron
from include.config.drift import DeclaredDrift
from include.config.freshness import ModelFreshness
from include.config.gates import DeclaredGates, check_cost, check_costs, check_measures, metrics_used
from include.config.importing import Dotted
from include.config.notify import PROVIDERS as PROVIDERS
from include.config.notify import Notify as Notify
from include.config.notify import Owners as Owners
from include.config.own_metrics import LOSSES, BusinessMetric, BusinessMetrics, may_be_own
from include.config.own_metrics import METRICS as METRICS
from include.config.preprocess import Preprocess, named_twice
from include.config.problems import did_you_mean
from include.config.race import DeclaredRace
from include.config.scored_ahead import DeclaredScore, wrong_in_score
from include.config.serving import DeclaredServing, wrong_in_serving
from include.config.shadow import DeclaredShadow
from include.config.tiers import DeclaredApprovers, Tier
from include.config.views import FeatureView as FeatureView
from include.config.views import SourceTable as SourceTable
from include.config.views import ViewRef
from include.domain import metric_names

# --- models ----------------------------------------------------------------------------------------------------------


class Entity(Declared):
    """What is predicted for: each row of one view is one request."""

    view: ViewRef
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
    classes: ClassNames | None = None
    """The class labels of a classifier in the order of its outputs, a binary one's positive class last; left out for
    regression. 1, 1.0 and "1" are one label, and so are the words for yes and for no (include/domain/classes.py)."""


class ViewUse(Declared):
    """One view a model reads, and the features it takes from it."""

    view: ViewRef
    """The view's name; or name@v1 for an older version that is kept beside it."""
    version: Annotated[int, Field(ge=1)] = 1
    """The version of the view; default 1, or the one that ``view`` names."""
    features: Annotated[list[Column], Field(min_length=1)]
    """The features that are taken, in the order in which the estimator sees them."""

    @property
    def name(self) -> str:
        """The view's name, whichever version of it this is."""
        return self.view.partition("@")[0]

    @model_validator(mode="before")
    @classmethod
    def _named_version(cls, data: Any) -> Any:
        _, is_kept, version = str(data.get("view", "")).partition("@v") if isinstance(data, dict) else ("", "", "")
        if is_kept and version.isdigit():
            if data.get("version", int(version)) != int(version):
                raise ValueError(f"version is {data['version']}, and view names version {version}; leave it out")
            return {**data, "version": int(version)}
        return data


class Estimator(Declared):
    """What is trained, found by its import path."""

    path: Dotted
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
    """How many days before the holdout a candidate learns from."""
    holdout_days: Annotated[int, Field(ge=1)]
    """The newest matured days, kept out of training: the gates judge on them."""
    min_rows: Annotated[int, Field(ge=1)]
    """Fewest labelled rows to learn from; fewer stop the journey before the fit."""
    seed: int = 0
    """The seed of everything random in a fit; default 0."""
    race: DeclaredRace | None = None
    """Which recipes race for a candidate; default none declared: the window and the rows since the change, after an
    alarm."""
    refit: Literal["all", "no"] = "no"
    """Whether what serves is fitted again on all matured rows, the held-out ones too, once the gates that judge the
    recipe have passed: all or no; default no, what was judged serves."""
    schedule: Cron | None = None
    """A cron, in UTC, that starts a journey whether or not anything drifted; default none."""
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """What one retrain costs, in the unit of the watched loss summed over rows: of error wrong answers, of rmse squared
    errors. ``slipway simulate`` weighs policies by it; default 0.9 of what the first champion loses in a day."""
    timeout: Duration = timedelta(hours=2)
    """How long a fit may take; then it is killed, with every process it started, and not tried again; default 2h."""

    @field_validator("refit", mode="before")
    @classmethod
    def _as_written(cls, refit: object) -> object:
        """YAML reads a bare no as false."""
        return "no" if refit is False else refit

    @field_validator("timeout")
    @classmethod
    def _some_time(cls, timeout: timedelta) -> timedelta:
        if timeout <= timedelta(0):
            raise ValueError("a fit needs some time; give for example 30m or 2h")
        return timeout


class Promotion(Declared):
    """What must happen between a passed shadow window and the change of the alias."""

    approval: Literal["never", "always"] = "never"
    """Whether a person approves each promotion; default never."""
    approval_timeout: Duration = timedelta(days=3)
    """How long a person has; no answer is a rejection; default 3d."""
    evidence_max_age: Duration = timedelta(days=45)
    """How long ago, by the clock, a gate may have judged what is promoted; default 45d."""


class ModelDeclaration(Declared):
    """``include/models/<name>/model.yaml``: one model, from its features to its promotion policy."""

    name: Name
    """The model's name, and that of its folder: small letters, digits and ``_``."""
    description: str
    """One or two sentences for people: what is predicted, and when it is asked."""
    task: Literal["binary", "multiclass", "regression"]
    """What is predicted: one of two classes, one of several, or a number."""
    tier: Literal["critical", "standard", "experimental"] = "standard"
    """How much depends on the model; it decides the defaults of ``include/models/tiers.yaml``; default standard."""
    owners: Owners
    approvers: DeclaredApprovers = DeclaredApprovers()
    """Who may decide about its candidates and its champion; default what the tier says, else its operators."""
    entity: Entity
    label: Label
    views: Annotated[list[ViewUse], Field(min_length=1)]
    """The feature views the model reads, that of the entity among them."""
    estimator: Estimator
    preprocess: list[Preprocess] = Field(default_factory=list)
    """What is done to groups of columns before the estimator sees them; default nothing."""
    weight: Column | None = None
    """A column of the entity's view, a feature or a carried one, that says how much each row counts, 0 or more: in
    fits, metrics, gates, the shadow window and drift; default none, all count the same."""
    training: Training
    business_metrics: BusinessMetrics = Field(default_factory=list)
    """What a row is worth, by SQL; the gates use them by name; default none."""
    gates: DeclaredGates
    shadow: DeclaredShadow
    drift: DeclaredDrift
    promotion: Promotion = Promotion()
    notify: Notify = Notify()
    freshness: ModelFreshness = ModelFreshness()
    """After what time the owner is notified that something is missing."""
    score: DeclaredScore | None = None
    """How its rows are answered before their event, where they are known ahead; default not: a day is answered once it
    is over."""
    serving: DeclaredServing = DeclaredServing()
    """Whether it is asked online too; default no."""
    canary: DeclaredCanary | None = None
    """In which steps a candidate takes live traffic before it is promoted; null takes it away, except in the tier
    critical. Default: a model that is asked online has one, unless it is experimental; every other has none."""
    journey_within: Duration | None = None
    """The promise: how long a journey may take, by the clock, before the role in ``notify.late`` is notified; default
    the shadow window's max_days, the fit's timeout, the days a person has, and each max_time of a canary's steps."""

    _folder: Path = PrivateAttr(default=Path())
    _tier: Tier = PrivateAttr(default=Tier())

    @property
    def promise(self) -> timedelta:
        """How long a journey may take by the clock."""
        usual = timedelta(days=self.shadow.max_days) + self.training.timeout + self.promotion.approval_timeout
        return self.journey_within or usual + (self.canary.longest if self.canary is not None else timedelta(0))

    @property
    def requester_may_override(self) -> bool:
        """Whether the tier lets the person who asked for a retrain decide about its gates."""
        return self._tier.requester_may_override

    @property
    def file(self) -> Path:
        """Where it is declared."""
        return self._folder / "model.yaml"

    @property
    def label_sql(self) -> str:
        """The text of label.sql."""
        return (self._folder / "label.sql").read_text(encoding="utf-8")

    def business_sql(self, metric: BusinessMetric) -> str:
        """The text of a business metric's file."""
        return (self._folder / metric.sql).read_text(encoding="utf-8")

    @property
    def features(self) -> list[str]:
        """Every feature the estimator reads, in order."""
        return [f for use in self.views for f in use.features]

    @property
    def delay_days(self) -> int:
        """How many whole days a label may take to be known."""
        return math.ceil(self.label.delay / timedelta(days=1))

    @property
    def is_classifier(self) -> bool:
        return self.task != "regression"

    @property
    def answering_dag(self) -> str:
        """The Dag that brings a day's answers into the prediction log: batch scores it, online collects it."""
        return f"{'collect' if self.serving.mode == 'online' else 'score'}_{self.name}"

    @property
    def longest_lead(self) -> timedelta:
        """How long before its event a row is asked at most: the lead, and what lies between two answer times."""
        return self.entity.lead + (self.score.every if self.score is not None else timedelta(0))

    @property
    def class_count(self) -> int | None:
        """How many classes its answers are about; None for regression."""
        return len(self.label.classes or []) if self.is_classifier else None

    @field_validator("views")
    @classmethod
    def _no_feature_twice(cls, views: list[ViewUse]) -> list[ViewUse]:
        names = [f for use in views for f in use.features]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"feature {twice[0]!r} is taken twice; a feature name must be unique within the model")
        return views

    @model_validator(mode="after")
    def _preprocesses_its_features(self) -> ModelDeclaration:
        for i, group in enumerate(self.preprocess):
            for column in () if isinstance(group.columns, str) else group.columns:
                if column not in self.features:
                    raise ValueError(
                        f"preprocess.{i}.columns has {column!r}, which the model takes from no view; its features are: "
                        f"{', '.join(self.features)}." + did_you_mean(column, self.features)
                    )
        twice = named_twice(self.preprocess)
        if twice is not None:
            raise ValueError(f"preprocess.{twice[0]}.columns has {twice[1]!r} again; a column is in one group only")
        return self

    @field_validator("journey_within")
    @classmethod
    def _some_time(cls, within: timedelta | None) -> timedelta | None:
        if within is not None and within <= timedelta(0):
            raise ValueError("a journey needs some time; give for example 12h or 14d")
        return within

    @model_validator(mode="after")
    def _consistent(self) -> ModelDeclaration:
        check_measures(self.task, self.gates, business=[metric.name for metric in self.business_metrics])
        self._check_watched()
        self._check_shadow()
        if self.weight is not None and self.drift.performance.unit == "row":
            raise ValueError(
                f"weight is {self.weight!r} and drift.performance.unit is row, which takes rows for equal and "
                "independent; say unit: day, or leave weight out"
            )
        baseline = self.gates.champion_gate.baseline
        if self.is_classifier and baseline != "mean":
            raise ValueError(
                f"gates.champion_gate.baseline is {baseline}; a {self.task} model's is mean, only a regression has "
                "others"
            )
        if self.is_classifier and not self.label.classes:
            raise ValueError("label.classes is missing; a classifier names its classes in the order of its outputs")
        if self.task == "binary" and len(self.label.classes or []) != 2:
            raise ValueError(f"label.classes are {self.label.classes}; a binary model has two, the positive one last")
        if self.is_classifier:
            check_costs(self.gates, len(self.label.classes or []))
            check_cost("drift.performance.metric", self.drift.performance.metric, len(self.label.classes or []))
        older = [name for name in ("expanding", "former") if self.training.race and name in self.training.race.recipes]
        if older and self.gates.champion_gate.replay is not None:
            raise ValueError(
                f"training.race.recipes names {' and '.join(older)}, which may have learned from the days that "
                "gates.champion_gate.replay judges; leave out one of the two"
            )
        if not any(use.view == self.entity.view for use in self.views):
            read = [use.view for use in self.views]
            raise ValueError(
                f"entity.view is {self.entity.view!r}, which is not among the views the model reads: "
                f"{', '.join(read)}." + did_you_mean(self.entity.view, read)
            )
        wrong = wrong_in_serving(self.serving, [use.view for use in self.views], self.features)
        if wrong is None and self.score is not None:
            wrong = wrong_in_score(self.score, self.entity.lead, self.serving.mode)
        if wrong is None:
            wrong = self._wrong_in_canary()
        if wrong is not None:
            raise ValueError(wrong)
        names = [use.name for use in self.views]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"views has {twice!r} twice; a model reads one version of a view")
        return self

    def _wrong_in_canary(self) -> str | None:
        if self.canary is None:
            if self.tier == "critical" and self.serving.mode == "online":
                return (
                    "canary is null, and the tier is critical: what is asked online there takes live traffic by steps "
                    "before it is promoted; leave canary out for its defaults, or declare its steps"
                )
            return None
        if self.serving.mode != "online":
            return "canary is declared, and serving.mode is batch: there is no live traffic; leave one of the two out"
        if self.canary.business is not None:
            self._check_compared("canary.business.metric", self.canary.business.metric)
        return None

    def _check_compared(self, where: str, metric: str) -> None:
        """That candidate and champion can be compared by the metric."""
        used = {name for _, name in metrics_used(self.gates)} | {metric.name for metric in self.business_metrics}
        if metric not in used and not metric_names.is_known(self.task, metric):
            raise ValueError(
                f"{where} is {metric!r}; it is a metric of a {self.task} model, or one of your own that a gate uses, "
                f"or a business metric; of these there are {', '.join(sorted(used))}"
            )
        if metric not in used and (wrong := metric_names.why_not(self.task, metric)) is not None:
            raise ValueError(f"{where} is {metric!r}, and {wrong}")
        if self.is_classifier:
            check_cost(where, metric, len(self.label.classes or []))

    def _check_shadow(self) -> None:
        given = self.shadow.comparison
        if given is None:
            return
        if given.metric is not None:
            self._check_compared("shadow.comparison.metric", given.metric)
        needed = given.min_days + self.delay_days
        if given.labels == "required" and needed > self.shadow.max_days:
            raise ValueError(
                f"shadow.comparison.labels is required and shadow.max_days is {self.shadow.max_days}; with label.delay "
                f"the labels of {given.min_days} days take {needed} days, so they could never be judged. Set max_days "
                f"to {needed} or more, or labels to if_matured"
            )

    def _check_watched(self) -> None:
        watched, losses = self.drift.performance.metric, metric_names.LOSSES[self.task]
        name = watched.partition("(")[0]
        if name in losses:
            wrong = metric_names.why_not(self.task, watched)
            if wrong is not None:
                raise ValueError(f"drift.performance.metric is {watched!r}, and {wrong}")
        elif (worth := next((m for m in self.business_metrics if m.name == watched), None)) is not None:
            if worth.direction == "higher":
                raise ValueError(
                    f"drift.performance.metric is {watched!r}, of which more is better; what is watched is a loss, of "
                    "which less is better: declare one with direction lower and values of 0 or more"
                )
        elif name in (*LOSSES, *METRICS[self.task]) or not may_be_own(watched):
            raise ValueError(
                f"drift.performance.metric is {watched!r}; a {self.task} model's loss is one of {', '.join(losses)}, "
                "or one of your own by its import path: it must have a value for each row."
                + did_you_mean(watched, list(losses))
            )


def is_name(text: str) -> bool:
    """Whether the text may name a model or a view."""
    return re.fullmatch(r"[a-z][a-z0-9_]{0,62}", text) is not None
