"""What was read of one scored day, and the declared measurements of it against the reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.adapters.ledger import Ledger
from include.adapters.offline_store import SERVED_PREFIX
from include.config import ModelDeclaration
from include.domain.drift.calibration import expected_losses, expected_roc_auc
from include.domain.drift.estimate_reference import EstimateReference
from include.domain.drift.estimated import (
    BesideEstimate,
    EstimatedPerformance,
    estimated_performance,
    outside_support,
)
from include.domain.drift.input_drift import DriftRules, input_drift
from include.domain.drift.label_shift import LabelShift
from include.domain.drift.maturity import Cohort, label_maturity
from include.domain.drift.pooling import CountedDay
from include.domain.drift.prediction_drift import prediction_drift
from include.domain.drift.profile import Profile
from include.domain.drift.report import DataBounds, DriftMeasurements, DriftReport, ScoredDay, drift_report
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.losses import DayLoss
from include.domain.metrics import OwnMetricFailed
from include.workflows import stores
from include.workflows.drift import pools
from include.workflows.drift import reference as references
from include.workflows.scoring import fitted_models, point_in_time_rows, row_weights
from include.workflows.scoring.request_ids import by_request, request_ids, scores_in, was_online
from include.workflows.scoring.row_values import Known, watched_loss
from include.workflows.scoring.served_features import FeaturesNotKept

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class FeaturesLost(Refusal):
    """The features that a collected day was answered from are not kept."""

    def __init__(self, model: ModelDeclaration, day: str) -> None:
        super().__init__(
            f"The features that {model.name} was asked with on {day} are not there, so the day cannot be judged. Run "
            f"{model.answering_dag} for it first."
        )


ESTIMATES_KEPT = 120
"""Days of a version whose estimates are judged together; the older half of them joins the reference."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read of a day, and of the cohorts that had matured by its end.

    Attributes:
        profile: the day, counted in the reference's bins.
        losses_expected: ``(n,)``: the loss each answered row is expected to have; empty where none can be estimated.
        roc_auc_expected: a binary classifier's.
        losses: of each day the version served, on labels matured by the end of the day.
        cohorts: how many rows of those days have a label.
        estimated_before: the estimated mean loss of the days of the version that were judged before, oldest first.
        estimated_rows: of the newest of them, where a day is judged with those before it; else 0.
        counted_before: the small days of the version before, for the pools.
        label_shift: a classifier's, from the day's answers; None where there is none.
        unestimated: why losses have no value without labels, as a sentence; None where they have.
        weights: ``(n,)``: how much each of ``losses_expected`` counts; None where all count the same.
        unmeasured: why the losses could not be measured, as a sentence; None where they were.
    """

    profile: Profile
    losses_expected: np.ndarray[Any, Any]
    roc_auc_expected: float | None
    label_shift: LabelShift | None
    unestimated: str | None
    losses: tuple[DayLoss, ...]
    cohorts: tuple[Cohort, ...]
    estimated_before: tuple[float, ...] = ()
    estimated_rows: int = 0
    counted_before: tuple[CountedDay, ...] = ()
    weights: np.ndarray[Any, Any] | None = None
    unmeasured: str | None = None


@dataclass(frozen=True, slots=True)
class DayRows:
    """The rows of a scored day as drift reads them.

    Attributes:
        features: of every row; of a day that was collected as they were served.
        answered: the features of ``scores``, row by row where it is a regression.
        scores: the answers.
        weights: how much each of ``scores`` counts; None where all count the same.
    """

    features: pd.DataFrame
    answered: pd.DataFrame
    scores: np.ndarray[Any, Any]
    weights: np.ndarray[Any, Any] | None


def rows_of_day(
    ledger: Ledger, model: ModelDeclaration, asked: ModelDeclaration, day: str, served: pd.DataFrame
) -> DayRows:
    """The day's rows; ``asked`` is the model as its champion learned it, ``served`` the log's rows of the champion.

    Raises:
        TableMissing, PromiseBroken: when a view cannot be read.
    """
    interval, scores = Interval.of_day(day), scores_in(model, served)
    if was_online(served):
        return _collected(ledger, asked, interval, served, scores)
    rows = point_in_time_rows.features_for(asked, interval, interval.end).to_pandas()
    features = estimators.as_input(rows, fitted_models.kinds_of(asked))
    answered = row_by_row(model, request_ids(asked, rows), features, served, scores)
    return DayRows(features, *answered, weights_of_answers(asked, rows, served, scores))


def _collected(
    ledger: Ledger, asked: ModelDeclaration, interval: Interval, served: pd.DataFrame, scores: np.ndarray[Any, Any]
) -> DayRows:
    """Each time that somebody asked is a row, with the values that were served. What the journal omits is taken from
    the views, where they have the entity."""
    import numpy as np
    import pandas as pd

    day, candidate = interval.days[0], str(served["candidate_id"].iloc[0])
    made = ledger.lineage.scorings(asked.name, day, interval.end.date(), candidate)
    kept = stores.offline_store().read_served(asked.name, made[0].feature_set, day) if made else None
    if kept is None:
        raise FeaturesLost(asked, day)
    found = kept.to_pandas().set_index("asked_id").reindex(served["asked_id"].tolist())
    found = found.rename(columns=lambda name: str(name).removeprefix(SERVED_PREFIX))
    requests, kinds = request_ids(asked, served), fitted_models.kinds_of(asked)
    omitted = [name for name in kinds if name not in found]
    weights = None
    if omitted or asked.weight is not None:
        rows = point_in_time_rows.features_for(asked, interval, interval.end).to_pandas()
        known = by_request(asked, rows).reindex(requests)
        found = found.assign(**{name: known[name].to_numpy() for name in omitted})
        if asked.weight is not None:
            weights = known[point_in_time_rows.WEIGHT].to_numpy(dtype=float)
    features = estimators.as_input(pd.DataFrame(found[list(kinds)]).reset_index(drop=True), kinds)
    answered = np.ones(len(served), bool) if asked.is_classifier else np.isfinite(scores)
    if weights is not None:
        weights = row_weights.checked(asked, weights[answered], "the served rows")
    return DayRows(features, features.loc[answered], scores[answered], weights)


def row_by_row(
    model: ModelDeclaration,
    requests: list[str],
    features: pd.DataFrame,
    served: pd.DataFrame,
    scores: np.ndarray[Any, Any],
) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """The features and the answers of the same rows. A classifier's losses are estimated from its answers alone."""
    import numpy as np

    if model.is_classifier:
        return features, scores
    answers = by_request(model, served)["score"].reindex(requests).to_numpy(dtype=float)
    answered = np.isfinite(answers)
    return features.loc[answered], answers[answered]


def weights_of_answers(
    model: ModelDeclaration, rows: pd.DataFrame, served: pd.DataFrame, scores: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any] | None:
    """How much each row counts of those that ``row_by_row`` gives; None where the model declares no weight."""
    import numpy as np
    import pandas as pd

    if model.weight is None:
        return None
    requests = request_ids(model, rows)
    known = pd.Series(rows[point_in_time_rows.WEIGHT].to_numpy(dtype=float), index=requests)
    if model.is_classifier:
        asked: Any = by_request(model, served).index
    else:
        answers = by_request(model, served)["score"].reindex(requests).to_numpy(dtype=float)
        asked = known.index[np.isfinite(answers)]
    return row_weights.checked(model, known.reindex(asked).to_numpy(), "the served rows")


def estimated_losses(
    model: ModelDeclaration,
    reference: EstimateReference | None,
    features: pd.DataFrame,
    scores: np.ndarray[Any, Any],
    known: Known | None = None,
) -> tuple[np.ndarray[Any, Any], float | None, LabelShift | None, str | None]:
    """The loss each answered row is expected to have, a binary classifier's expected ROC AUC, what a classifier's
    loss would be, were only the classes' shares to have changed, and why there is none where a metric has no value.

    ``features`` are read for a regression alone, and are then those of ``scores``, row by row. ``known`` is what a
    classifier's business metric reads of the rows of ``scores``; where it cannot be had, nothing is estimated.
    """
    import numpy as np

    metric = model.drift.performance.metric
    if reference is None or reference.metric != metric:
        return np.empty(0), None, None, None
    if reference.calibration is not None:
        probabilities = reference.calibration(scores)
        auc = expected_roc_auc(scores, probabilities) if scores.ndim == 1 and model.weight is None else None
        try:
            loss = watched_loss(model, known)
            return expected_losses(loss, scores, probabilities), auc, reference.label_shift(loss, scores), None
        except (FeaturesNotKept, OwnMetricFailed) as error:
            why = str(error).rstrip(".")
            return np.full(len(scores), np.nan), auc, None, f"{metric} was not estimated: {why}."
    if reference.trees is None:
        return np.empty(0), None, None, None
    return reference.trees.estimated(features, scores), None, None, None


def estimated_before(
    ledger: Ledger, model: ModelDeclaration, version: str, day: str, reference: EstimateReference | None
) -> tuple[tuple[float, ...], int]:
    """The estimated losses of the version's days before, as they were reported, and the rows they add to a pool."""
    kept = ledger.drift.reports(model.name, last=ESTIMATES_KEPT, before=day)
    found = [r.report["estimated"] for r in kept if r.report["version"] == version and r.report.get("estimated")]
    return pools.estimates_before(model, reference, [EstimatedPerformance.from_json(f) for f in found])


def report_on(
    model: ModelDeclaration, version: str, day: str, reference: references.Reference, measured: Measured
) -> DriftReport:
    """The declared measurements of one day against the version's reference. Reads nothing.

    Args:
        model: What is declared.
        version: The candidate id of the champion.
        day: ``YYYY-MM-DD``.
        reference: What was kept of the version.
        measured: Of the day.
    """
    declared, performance = model.drift, model.drift.performance
    counted = CountedDay(day, measured.profile)
    pool = pools.pool_of(model, counted, measured.counted_before, declared.inputs.min_rows)
    inputs = input_drift(
        reference.profile,
        pool.profile,
        rules=DriftRules(
            q=declared.inputs.q,
            effect_at_least=declared.inputs.effect_at_least,
            share_at_least=declared.inputs.share_at_least,
            min_rows=declared.inputs.min_rows,
            day=pools.compared_as(pool),
        ),
        importances=reference.importances,
    )
    answers = pools.pool_of(model, counted, measured.counted_before, declared.predictions.min_rows)
    predictions = prediction_drift(
        reference.profile,
        answers.profile,
        rules=DriftRules(
            q=declared.inputs.q,
            effect_at_least=declared.predictions.effect_at_least,
            min_rows=declared.predictions.min_rows,
            day=pools.compared_as(answers),
        ),
    )
    realised = references.realised(model, reference, measured.losses, measured.unmeasured)
    estimated = estimated_performance(
        reference.estimate,
        measured.losses_expected,
        band=replace(references.band_of(model, reference), run_length_days=declared.estimated.run_length_days),
        min_rows=declared.estimated.min_rows,
        outside_share=outside_support(inputs, predictions),
        outside_at_most=declared.estimated.outside_at_most,
        beside=BesideEstimate(
            measured.estimated_before,
            measured.roc_auc_expected,
            measured.label_shift,
            measured.estimated_rows,
            measured.weights,
        ),
    )
    if measured.unestimated is not None:
        estimated = replace(estimated, reason=measured.unestimated)
    if (other := reference.of_another_loss(model)) is not None:
        estimated = replace(estimated, out_of_band=None, reason=other)
    labels = label_maturity(
        measured.cohorts,
        reference.lacking_by_age or reference.never_labelled,
        window_days=performance.window_days,
        allowed_rise=declared.data.overdue_labels,
        min_rows=declared.inputs.min_rows,
        most_days=declared.pool_days,
    )
    bounds = DataBounds(
        missing_jump=declared.data.missing_jump,
        unseen_share=declared.data.unseen_share,
        outside_support=declared.data.outside_support,
        min_rows=declared.inputs.min_rows,
    )
    return drift_report(
        ScoredDay(model.name, version, day),
        reference.profile,
        measured.profile,
        DriftMeasurements(
            pools.shown(inputs, pool),
            pools.shown(predictions, answers),
            realised,
            estimated,
            labels,
            pool if pool.is_pooled else None,
            pools.is_small(model, measured.profile.rows),
        ),
        bounds,
    )
