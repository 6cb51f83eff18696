"""From a frozen as-of time to a fitted candidate on an MLflow run page. Each step may run twice and makes one of
each."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.adapters import estimators, model_files
from include.adapters.ledger import Facts
from include.adapters.registry import ModelRegistry, ModelToLog
from include.config import ModelDeclaration, declarations
from include.config.preprocess import Preprocess
from include.config.revision import git_revision
from include.domain.faults import crashpoint
from include.domain.intervals import Interval, instant
from include.domain.journey import TrainingWindows, training_windows
from include.domain.lifecycle import Event
from include.workflows import stores
from include.workflows.evidence import former_champions, held_out_attempts, journey_rows, race
from include.workflows.journey import alarm, causes
from include.workflows.journey import step as journey_step
from include.workflows.journey.by_products import ByProducts
from include.workflows.journey.facts import JourneyReference, RecipeRace, TrainingSet, TrainingSets
from include.workflows.journey.request_checks import first_data
from include.workflows.journey.step import Journey
from include.workflows.lineage import recording, tables_touched
from include.workflows.scoring import fitted_models, training_sets
from include.workflows.scoring.row_values import reads_features

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

EXAMPLE_ROWS = 5


def build_training_set(reference: JourneyReference, *, compared_by: str) -> dict[str, Any]:
    """Join the training window and the holdout as of the journey's time, pinned to one version of each view's table.
    ``compared_by`` is the gate that compares with the champion.

    A retry, or the same journey run again after new publishes, reads the versions it pinned the first time.
    """
    with journey_step.step_of(reference, "build_training_set") as journey:
        before = journey.found(TrainingSets)
        windows = windows_of(journey, compared_by, before)
        pinned = before.train.table_versions if before else None
        train = training_sets.build(journey.model, windows.train, journey.as_of, pinned)
        holdout = training_sets.build(journey.model, windows.holdout, journey.as_of, train.table_versions)
        sets = TrainingSets(train, holdout)
        journey.keep(sets)
        recording.keep_training_sets(journey.ledger, journey.model, journey.candidate_id, sets)
        reason = f"{train.rows:,} rows of {windows.train}, {holdout.rows:,} held out of {windows.holdout}."
        print(reason)
        return {
            "rows": train.rows,
            "holdout_rows": holdout.rows,
            "content_hash": train.content_hash,
            "table_versions": train.table_versions,
        }


def windows_of(journey: Journey, compared_by: str, before: TrainingSets | None = None) -> TrainingWindows:
    """What the candidate learns from and is judged on; after an alarm, with days since its change in both, and on days
    that no earlier candidate of the alarm was judged on.

    Where a recipe learns from all matured rows, the training window begins with the first published day; a retry keeps
    that of ``before``.
    """
    training, incident = journey.model.training, alarm.incident_behind(journey.ledger, journey.candidate)
    changed_on = date.fromisoformat(incident.change) if incident and incident.change else None

    def windows_after(judged_until: date | None) -> TrainingWindows:
        delay = journey.model.label.delay
        asked = (journey.as_of, training.window_days, training.holdout_days, delay)
        return training_windows(*asked, changed_on, judged_until)

    windows = windows_after(None)
    if changed_on is not None:
        judged = held_out_attempts.judged_before(journey, windows.holdout, compared_by)
        windows = windows_after(instant(before.holdout.start).date() if before else judged)
    if not race.reads_all(journey.model):
        return windows
    first = instant(before.train.start) if before else first_data(journey.ledger, journey.model)
    start = min(first or windows.train.start, windows.train.start)
    return replace(windows, train=Interval(start, windows.train.end))


def train(reference: JourneyReference) -> dict[str, Any]:
    """Fit the declared estimator and put it on the candidate's MLflow run; a retry reuses what its first try logged."""
    with journey_step.step_of(reference, "train") as journey:
        model, candidate = journey.model, journey.candidate
        learned = journey.kept(TrainingSets).train
        registry = stores.registry()
        run = registry.candidate_run(model.name, journey.candidate_id, _tags(journey))
        made = ByProducts()
        made.attempt("The parameters on the MLflow run", lambda: registry.log_params(run, _params(journey, learned)))
        made.attempt("The training set on the MLflow run", lambda: _show_set(registry, run, model.name, learned))
        made.keep(journey, "train")
        logged = registry.logged_model(run)
        if logged is None:
            features, label, days = journey_rows.frames(journey, "train")
            print(f"Fitting {model.estimator.path} on {len(features):,} rows and {features.shape[1]} features.")
            chosen = _raced(journey, features, label, days)
            if chosen.former is not None:
                logged = former_champions.adopt(journey, run, chosen.former.name)
            else:
                logged = as_logged(journey, run, chosen.pipeline, features.head(EXAMPLE_ROWS))
        crashpoint("training.logged")
        tables_touched.reads(tables_touched.view_table(declarations().view(use.view)) for use in model.views)
        tables_touched.reads([tables_touched.training_set(learned.path)])
        tables_touched.writes([tables_touched.registered_model(model)])
        with registry.model_file(logged) as file:
            digest, content = model_files.digest(file), model_files.canonical_digest(file)
            fitted_models.keep(file, digest)
        # The training data's gate judged before there was a run to record that on.
        judged = {
            name: value
            for record in journey.ledger.gates.latest(journey.candidate_id).values()
            for name, value in journey_step.verdict_tag(record.result).items()
        }
        registry.tag(run, {**judged, "slipway.model_uri": logged, "slipway.digest": digest, "slipway.content": content})
        crashpoint("training.tagged")
        journey.ledger.candidates.advance(
            candidate.candidate_id,
            Event.TRAIN,
            actor="train",
            reason=f"Fitted {model.estimator.path}; artifact {digest[:12]}.",
            facts=Facts(artifact_digest=digest, mlflow_run_id=run, training_set_hash=learned.content_hash),
        )
        return {"mlflow_run_id": run, "model_uri": logged, "digest": digest}


def as_logged(
    journey: Journey, run: str, pipeline: Any, example: pd.DataFrame, tags: Mapping[str, str] | None = None
) -> str:
    """The address of the fitted pipeline on the candidate's MLflow run; ``tags`` are the logged model's own."""
    model = journey.model
    with tempfile.TemporaryDirectory() as folder:
        trusted = model_files.untrusted_free(pipeline, Path(folder) / "model.skops")
    return stores.registry().log_model(
        run,
        ModelToLog(
            pipeline,
            example,
            output=pipeline.predict_proba(example) if model.is_classifier else pipeline.predict(example),
            classes=_learned_names(model, pipeline),
            trusted=trusted,
            requirements=model_files.library_versions(),
        ),
        tags={"slipway.candidate": journey.candidate_id, **(tags or {})},
    )


def _raced(journey: Journey, features: pd.DataFrame, label: np.ndarray[Any, Any], days: pd.Series[Any]) -> race.Chosen:
    """The pipeline of the recipe that won the race; what it found is kept."""
    model, incident = journey.model, alarm.incident_behind(journey.ledger, journey.candidate)
    spec = fitted_models.spec_of(model)
    until = instant(journey.kept(TrainingSets).train.end)
    learned = race.LearnedRows(
        features,
        label,
        days.to_numpy(dtype=str),
        incident.change if incident else None,
        journey_rows.window_from(model, until),
        journey_rows.weights(journey, "train"),
        journey_rows.known_rows(journey, journey.kept(TrainingSets).train) if reads_features(model) else None,
    )
    former = former_champions.entrants(journey) if race.admits_former(model) else []
    chosen = race.fitted(model, lambda: estimators.build(spec), learned, former)
    raced = chosen.raced
    if raced is None:
        (journey.folder / RecipeRace.FILE).unlink(missing_ok=True)
        return chosen
    losses = {entrant: loss for entrant, loss in raced.losses.items() if math.isfinite(loss)}
    journey.keep(
        RecipeRace(
            raced.winner,
            losses,
            raced.rows,
            chosen.rows,
            raced.since,
            raced.sentence,
            model.drift.performance.metric,
            raced.former,
        )
    )
    print(raced.sentence)
    return chosen


def _show_set(registry: ModelRegistry, run: str, model: str, made: TrainingSet) -> None:
    registry.log_dataset(
        run,
        f"{model} training set",
        made.content_hash,
        {
            "delta_table_versions": made.table_versions,
            "as_of": made.as_of,
            "content_hash": made.content_hash,
        },
        {"rows": made.rows, "labels": made.label_counts, "start": made.start, "end": made.end},
    )


def _learned_names(model: ModelDeclaration, pipeline: Any) -> list[str] | None:
    """The classes of its columns of probabilities: what readers of the file through MLflow get, without the column of
    zeros that Slipway adds for a class without rows. None for regression."""
    names = model.label.classes
    if model.class_count is None or names is None:
        return None
    return [names[i] for i in estimators.learned_classes(pipeline, model.class_count)]


def _params(journey: Journey, made: TrainingSet) -> dict[str, Any]:
    model = journey.model
    return {
        "estimator": model.estimator.path,
        **{f"estimator.{name}": value for name, value in model.estimator.params.items()},
        "encode": model.estimator.encode,
        **({} if model.weight is None else {"weight": model.weight}),
        **{f"preprocess.{i}": _in_words(group) for i, group in enumerate(model.preprocess)},
        "seed": model.training.seed,
        "window_days": model.training.window_days,
        "holdout_days": model.training.holdout_days,
        "as_of": made.as_of,
        "features": ", ".join(model.features),
        "training_set_hash": made.content_hash,
    }


def _in_words(group: Preprocess) -> str:
    """A group as one line: the columns, and each step with its parameters."""
    columns = group.columns if isinstance(group.columns, str) else ", ".join(group.columns)
    return f"{columns}: " + ", ".join(f"{step.path}({dict(step.params) or ''})" for step in group.steps)


def _tags(journey: Journey) -> dict[str, str]:
    request = journey.candidate.request
    tags = {
        "slipway.model": journey.model.name,
        "slipway.run_id": request.run_id,
        "slipway.as_of": request.as_of.isoformat(),
        "slipway.trigger": request.trigger.value,
        "slipway.reason": request.reason,
        "slipway.requested_by": request.asked_by,
        **causes.tag(journey.ledger, journey.candidate_id),
        "mlflow.user": request.actor,
    }
    optional = {
        "slipway.issue": request.issue,
        "slipway.report": request.report_id,
        "mlflow.source.git.commit": git_revision(),
    }
    return tags | {name: value for name, value in optional.items() if value}
