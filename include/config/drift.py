"""What the drift sensor measures, and how it decides, as a model declares it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from include.config.base import Declared, Share, Tolerance, as_share
from include.config.own_metrics import MetricName
from include.domain.gap import TOLERANCE_SHARE

if TYPE_CHECKING:
    pass

# --- models ----------------------------------------------------------------------------------------------------------


class InputDrift(Declared):
    """Two keys per feature: significance and size."""

    q: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """False discovery rate over the features of one report; default 0.05."""
    effect_at_least: Annotated[float, Field(gt=0)] = 0.005
    """The PSI, after subtracting what no drift gives at this size, from which a feature counts. A shift of 0.2 standard
    deviations has 0.04; 0.1 is the usual word for "moderate"; default 0.005."""
    share_at_least: Share = 0.3
    """The importance-weighted share of drifted features that counts as input drift; default 0.3."""
    bins: Annotated[int, Field(ge=5, le=50)] = 10
    """Into how many bins, at quantiles of the reference, a number is cut; default 10."""
    min_rows: Annotated[int, Field(ge=1)] = 300
    """Fewest rows that are judged; a day of fewer is judged with those before it (``pool_days``); default 300."""


class PredictionDrift(Declared):
    """The same two keys on the champion's scores."""

    effect_at_least: Annotated[float, Field(gt=0)] = 0.005
    """As in ``inputs``: the PSI above what no drift gives, from which the scores count; default 0.005."""
    min_rows: Annotated[int, Field(ge=1)] = 300
    """Fewest rows that are judged, of a day or of a pool (``pool_days``); default 300."""


class DeclaredPerformance(Declared):
    """The loss on matured labels against the reference's."""

    metric: MetricName
    """The loss that is watched: brier, log_loss, error or cost for classifiers, mae, rmse or pinball for regression; or
    one of your own by its import path, or a business metric: a value for each row, 0 or more, lower better."""
    tolerance: Tolerance = as_share(TOLERANCE_SHARE)
    """How much worse than the reference is still in band: in the metric's unit, or as a share, written 10%, of the gap
    between the reference and the naive baseline on the same held-out rows, or of the reference's distance to a perfect
    model (its own loss) where that is less. It is 0 where there is no gap; default 10%."""
    window_days: Annotated[int, Field(ge=1)] = 7
    """The sliding window of matured days the current risk is taken over; default 7."""
    unit: Literal["day", "row"] = "day"
    """What is one observation. day: is the model worse, if days are exchangeable? row: was it worse on these very rows?
    Rows of one day share its weather, so row is the quicker and the more easily alarmed of the two; default day."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """With unit row, and for the estimate, the chance that a champion in its band is ever called out of it; default
    0.05."""
    run_length_days: Annotated[float, Field(ge=7)] = 365.0
    """With unit day, how many days in its band a champion serves on average before it is called out of it; default
    365."""
    min_rows: Annotated[int, Field(ge=1)] = 100
    """Fewest matured rows, of the reference and since it, that are judged; default 100."""
    settles_days: Annotated[int, Field(ge=1, le=365)] = 10
    """How many days after its label window closed a day's losses are kept as they are: labels that come later change
    nothing any more, and older days are not read again; at least window_days; default 10."""

    @model_validator(mode="after")
    def _settles_after_the_window(self) -> DeclaredPerformance:
        if self.settles_days < self.window_days:
            if "settles_days" in self.model_fields_set:
                raise ValueError(f"settles_days is {self.settles_days}; at least window_days, {self.window_days}")
            object.__setattr__(self, "settles_days", self.window_days)
        return self


class DeclaredEstimate(Declared):
    """The loss that is expected on rows without labels; its metric, tolerance and alpha are those of performance."""

    acts: bool = True
    """Whether an estimate out of band starts a journey, which is then held until labels show it; false only reports
    it; default true."""
    outside_at_most: Share = 0.1
    """The share of what the model reads, weighted by importance, that may lie outside the reference's support before
    the estimate is void; default 0.1."""
    min_rows: Annotated[int, Field(ge=1)] = 300
    """Fewest rows that are judged, of a day or of a pool (``pool_days``); default 300."""
    run_length_days: Annotated[float, Field(ge=7)] = 365.0
    """How many days in its band a champion serves on average before its estimate is called out of it; default 365."""


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
    """Rise of a feature's missing share over the reference that counts as broken, and of its infinite share; default
    0.2."""
    unseen_share: Share = 0.2
    """Share of rows with a category the reference never saw that counts as broken; default 0.2."""
    outside_support: Share = 0.3
    """Importance-weighted share of rows outside the reference's range that counts as out of support; default 0.3."""
    overdue_labels: Share = 0.1
    """Rise, over the training data's, of the share of rows without a label though their label window has closed, over
    the last performance.window_days days, that counts as broken; default 0.1."""
    holds_days: Annotated[int, Field(ge=0)] = 14
    """How many days an incident of the data, or of rows out of support, holds back a retrain; default 14."""


class JudgedWithin(Declared):
    """Within how many days each lane of the sensor must judge, counted from when it last did or from the first day that
    the version served; past it a person is asked, once. 0 never asks."""

    inputs: Annotated[int, Field(ge=0)] | None = None
    """Days without a judgement of the inputs; default by the tier: critical 14, standard 28, experimental 0."""
    predictions: Annotated[int, Field(ge=0)] | None = None
    """Days without a judgement of the predictions; default by the tier, as of the inputs."""
    performance: Annotated[int, Field(ge=0)] | None = None
    """Days without a judgement of realised performance, beyond the label's delay; default by the tier, as of the
    inputs."""
    estimated: Annotated[int, Field(ge=0)] = 0
    """Days without a judgement of the estimate, void ones included; default 0: realised performance is what counts."""


class DeclaredDrift(Declared):
    """What the drift sensor measures and how it decides."""

    inputs: InputDrift = InputDrift()
    predictions: PredictionDrift = PredictionDrift()
    performance: DeclaredPerformance
    estimated: DeclaredEstimate = DeclaredEstimate()
    data: DataBroke = DataBroke()
    retrain: RetrainPolicy = RetrainPolicy()
    pool_days: Annotated[int, Field(ge=1, le=90)] = 28
    """How many days back the newest days are judged together where one alone has fewer rows than min_rows of inputs,
    predictions or estimated, or the closed label windows have; 1 judges each day alone; default 28."""
    judged_within: JudgedWithin = JudgedWithin()
