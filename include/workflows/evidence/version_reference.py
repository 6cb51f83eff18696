"""What later days of a version are held against: a profile of its held-out rows, and what estimates its losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration
from include.domain.drift.estimate_reference import (
    EstimateReference,
    classifier_reference,
    cross_fitted,
    estimate_reference,
)
from include.domain.drift.maturity import shares_by_age
from include.domain.drift.profile import FeatureKind, Profile
from include.domain.drift.reference import HeldOutScores, reference_profile
from include.domain.errors import Refusal
from include.domain.losses import BadLoss, correlation_within_days, losses_by_day
from include.domain.metrics import OwnMetricFailed
from include.workflows.evidence import (
    journey_rows,
)
from include.workflows.journey.by_products import ByProducts
from include.workflows.journey.facts import (
    Labelled,
    ReferenceProfile,
    TrainingSets,
)
from include.workflows.journey.step import Journey
from include.workflows.scoring import fitted_models
from include.workflows.scoring.row_values import name_of_loss, reads_features, watched_loss, watched_losses

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def keep_reference_profile(
    journey: Journey,
    pipeline: Any,
    features: pd.DataFrame,
    y: Any,
    answers: Mapping[str, Any],
    days: Any,
    made: ByProducts,
) -> ReferenceProfile:
    """Keep what later days are held against; what can be done without is noted in ``made`` where it fails.
    ``answers`` are the ``candidate``'s and the ``baseline``'s.

    Raises:
        Refusal: where no held-out row has a finite score.
    """
    model, kinds = journey.model, fitted_models.kinds_of(journey.model)
    scores = answers["candidate"]
    usable = answered(scores)
    if not usable.any():
        raise Refusal(
            f"{journey.candidate_id} answers none of the {len(y):,} held-out rows with a number: there is nothing to "
            "judge. Check its estimator and its training set."
        )
    weight = journey_rows.weights(journey, "holdout")
    weight = None if weight is None else weight[usable]
    features, y, scores, held_out = features[usable], y[usable], scores[usable], days[usable].tolist()
    learned, _, learned_days = journey_rows.reference_frames(journey)
    known = None
    if reads_features(model):
        known = journey_rows.known_rows(journey, journey.kept(TrainingSets).holdout)[usable]
    rows = HeldOutRows(y, scores, held_out, weight, known)
    profile = profile_of(model, kinds, learned, learned_days.tolist(), rows)
    importances = made.attempt(
        "The importances, without which every feature weighs the same,",
        lambda: estimators.importances(
            pipeline, features, y, task=model.task, seed=model.training.seed, classes=model.class_count
        ),
    )
    estimate = made.attempt(
        "The estimate of losses without labels",
        lambda: estimate_of(model, kinds, features, rows),
    )
    sets = journey.kept(TrainingSets)
    never = sets.train.never_labelled + sets.holdout.never_labelled
    kept = ReferenceProfile(
        profile=profile.as_json(),
        importances=importances or {},
        estimate=estimate.as_json() if estimate else None,
        loss_correlation_within_days=correlation_within_days(profile.losses),
        labels=Labelled(
            never + sets.train.rows + sets.holdout.rows,
            never,
            shares_by_age(sets.train.lacking_by_age, sets.holdout.lacking_by_age),
        ),
        weight=model.weight,
        naive=naive_loss(model, rows, answers["baseline"][usable]),
        loss=name_of_loss(model),
    )
    journey.keep(kept)
    return kept


def answered(scores: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """``(n,)``: the rows whose score is a finite number. Other scores are judged by the gates; they say nothing about
    the usual range."""
    import numpy as np

    found: np.ndarray[Any, np.dtype[np.bool_]] = np.isfinite(np.asarray(scores)).reshape(len(scores), -1).all(axis=1)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutRows:
    """Labels ``y``, ``scores``, ``days`` and where they have any the weights of ``n`` held-out rows, ``(n,)`` each;
    scores may be ``(n, classes)``. ``known`` has the features, keys and ``event_time`` of each, where what is watched
    reads them."""

    y: Any
    scores: Any
    days: list[str]
    weight: Any = None
    known: pd.DataFrame | None = None

    def losses(self, model: ModelDeclaration, scores: Any) -> np.ndarray[Any, Any]:
        """The watched loss of each row under these answers to it, ``(n,)``."""
        return watched_losses(model, self.y, scores, lambda: self.known)


def naive_loss(model: ModelDeclaration, held_out: HeldOutRows, baseline: np.ndarray[Any, Any]) -> float | None:
    """The naive baseline's mean loss on the held-out rows that the version's own is taken over; None where it has
    none."""
    try:
        days = losses_by_day(held_out.days, held_out.losses(model, baseline), held_out.weight)
    except (BadLoss, OwnMetricFailed):
        return None
    rows = sum(day.rows for day in days)
    return sum(day.total for day in days) / rows if rows else None


def profile_of(
    model: ModelDeclaration,
    kinds: Mapping[str, str],
    learned: pd.DataFrame,
    learned_days: list[str],
    held_out: HeldOutRows,
) -> Profile:
    """This version's reference, without drift: the inputs it learned from, its scores and losses on held-out days."""
    return reference_profile(
        learned,
        {name: FeatureKind(kind) for name, kind in kinds.items()},
        learned_days,
        held_out=HeldOutScores(
            scores=held_out.scores,
            score_days=held_out.days,
            losses=held_out.losses(model, held_out.scores),
            classes=model.label.classes or [] if model.task == "multiclass" else [],
            weights=held_out.weight,
        ),
        bins=model.drift.inputs.bins,
        window_rows=_window_rows(model),
    )


def _window_rows(model: ModelDeclaration) -> tuple[int, int]:
    """Of inputs and predictions: from how many rows on a window is judged. Days that are judged alone are measured
    alone."""
    drift = model.drift
    return (drift.inputs.min_rows, drift.predictions.min_rows) if drift.pool_days > 1 else (1, 1)


def estimate_of(
    model: ModelDeclaration, kinds: Mapping[str, str], features: pd.DataFrame, held_out: HeldOutRows
) -> EstimateReference:
    """What this version's losses are estimated with on rows without labels, checked across the held-out days.

    Raises:
        BadEstimate: where there is but one day.
    """
    name, y, scores, days = model.drift.performance.metric, held_out.y, held_out.scores, held_out.days
    if model.is_classifier:
        return classifier_reference(watched_loss(model, lambda: held_out.known), days, y, scores, held_out.weight)
    losses = held_out.losses(model, scores)

    def fitted(rows: Any) -> Any:
        return estimators.fit_loss_trees(
            features.iloc[rows], scores[rows], losses[rows], kinds, seed=model.training.seed
        )

    estimated = cross_fitted(days, lambda known, asked: fitted(known).estimated(features.iloc[asked], scores[asked]))
    return estimate_reference(name, days, losses, estimated, trees=fitted(slice(None)), weights=held_out.weight)
