"""What serves learns from everything: the recipe that was judged, fitted again on all rows that had matured.

The candidate then has two files: the twin, which the gates of the recipe judged on days it had not seen, and the served
one, which the gates of the file judge. Estimator, parameters, seed, features and pinned view versions are the twin's,
for the rows are those of the journey's own two sets.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from include.adapters import estimators, model_files
from include.adapters.ledger import Facts
from include.adapters.registry import REFITTED, VersionMissing
from include.domain.faults import crashpoint
from include.domain.intervals import instant
from include.domain.lifecycle import Event
from include.domain.recipes import Recipe
from include.workflows import stores
from include.workflows.evidence import journey_rows, race, training
from include.workflows.journey import alarm
from include.workflows.journey import step as journey_step
from include.workflows.journey.facts import JourneyReference, RecipeRace, Refitted, TrainingSets
from include.workflows.journey.step import Journey
from include.workflows.scoring import fitted_models

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def refit(reference: JourneyReference) -> dict[str, Any]:
    """Fit the judged recipe on all matured rows, and put it on the candidate's MLflow run.

    A retry reuses what its first try logged. A former champion is not fitted: it serves as it was judged.

    Raises:
        VersionMissing: when nothing was trained.
        Refusal: when it cannot be fitted.
    """
    with journey_step.step_of(reference, "refit") as journey:
        registry, known = stores.registry(), journey.candidate.facts
        run, twin = str(known.mlflow_run_id), str(known.artifact_digest)
        judged = registry.logged_model(run)
        if judged is None:
            raise VersionMissing(
                f"MLflow run {run} of {journey.candidate_id} has no model. Clear the run from train on."
            )
        recipe = recipe_of(journey)
        served = judged if recipe is Recipe.FORMER else registry.logged_model(run, refitted=True)
        if served is None:
            rows = _rows(journey)
            pipeline, chosen = race.refitted(journey.model, lambda: estimators.build(_spec(journey)), rows, recipe)
            print(f"Fitted {journey.model.estimator.path} again on {len(chosen):,} rows up to {rows.days[-1]}.")
            example = rows.features.head(training.EXAMPLE_ROWS)
            served = training.as_logged(journey, run, pipeline, example, {REFITTED: twin})
        crashpoint("refit.logged")
        with registry.model_file(served) as file:
            digest = model_files.digest(file)
            fitted_models.keep(file, digest)
        journey.keep(_told(journey, recipe, twin, digest))
        registry.tag(run, {"slipway.served_uri": served, "slipway.served_digest": digest})
        crashpoint("refit.tagged")
        journey.ledger.candidates.advance(
            journey.candidate_id,
            Event.REFIT,
            actor="refit",
            reason=f"Fitted again on all matured rows: {digest[:12]} is to serve, {twin[:12]} was judged.",
            facts=Facts(served_digest=digest),
        )
        return {"mlflow_run_id": run, "model_uri": served, "digest": digest, "twin": twin}


def recipe_of(journey: Journey) -> Recipe:
    """The recipe that was judged; the declared window where nothing raced."""
    raced = journey.found(RecipeRace)
    if raced is None:
        return Recipe.WINDOW
    return Recipe.FORMER if raced.former is not None else Recipe(raced.winner)


def learned(journey: Journey) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Features and labels of the rows that what is to serve learned from; the training set's for a former champion."""
    recipe = recipe_of(journey)
    if recipe is Recipe.FORMER:
        features, label, _ = journey_rows.frames(journey, "train")
        return features, label
    rows = _rows(journey)
    chosen = race.refit_rows(rows, recipe)
    return rows.features.iloc[chosen].reset_index(drop=True), rows.label[chosen]


def _told(journey: Journey, recipe: Recipe, twin: str, digest: str) -> Refitted:
    if recipe is Recipe.FORMER:
        return Refitted(recipe.value, twin, digest, 0, None, None)
    rows = _rows(journey)
    days = rows.days[race.refit_rows(rows, recipe)]
    return Refitted(recipe.value, twin, digest, len(days), str(days[0]), str(days[-1]))


def _rows(journey: Journey) -> race.LearnedRows:
    """The training set and the held-out rows after it."""
    import numpy as np
    import pandas as pd

    parts = [journey_rows.frames(journey, which) for which in ("train", "holdout")]
    until = instant(journey.kept(TrainingSets).holdout.end)
    incident = alarm.incident_behind(journey.ledger, journey.candidate)
    first = (until - timedelta(days=journey.model.training.window_days)).date().isoformat()
    return race.LearnedRows(
        pd.concat([features for features, _, _ in parts], ignore_index=True),
        np.concatenate([label for _, label, _ in parts]),
        np.concatenate([days.to_numpy(dtype=str) for _, _, days in parts]),
        incident.change if incident else None,
        first,
        None
        if journey.model.weight is None
        else np.concatenate(
            [w for which in ("train", "holdout") if (w := journey_rows.weights(journey, which)) is not None]
        ),
    )


def _spec(journey: Journey) -> estimators.EstimatorSpec:
    return fitted_models.spec_of(journey.model)
