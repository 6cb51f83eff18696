"""The rows of a journey's sets as models read them: features, labels, days, weights and keys, each in one order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration, declarations
from include.domain import classes
from include.domain.intervals import instant
from include.domain.recipes import Recipe
from include.workflows.evidence import race
from include.workflows.journey.facts import RecipeRace, TrainingSet, TrainingSets
from include.workflows.journey.step import Journey
from include.workflows.scoring import fitted_models, row_weights, training_sets
from include.workflows.scoring.matured_labels import BadLabels

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def window_from(model: ModelDeclaration, learned_until: datetime) -> str | None:
    """The first day of the declared window, where a training set may have older ones; None where it has not.

    Args:
        model: what is declared.
        learned_until: when the training set ends, which is where the holdout begins.
    """
    if not race.reads_all(model):
        return None
    return (learned_until - timedelta(days=model.training.window_days)).date().isoformat()


def frames(journey: Journey, which: str) -> tuple[pd.DataFrame, np.ndarray[Any, Any], pd.Series[Any]]:
    """One of the journey's sets as (features, label, day of each row); ``which`` is ``train`` or ``holdout``.

    The label of a classifier is the index of its class.

    Raises:
        BadLabels: when the declared classes changed after the set was built.
    """
    return frames_of(journey, journey.kept(TrainingSets).part(which))


def reference_frames(journey: Journey) -> tuple[pd.DataFrame, np.ndarray[Any, Any], pd.Series[Any]]:
    """The training rows that new ones are held against: those of the declared window, and all where the candidate
    learned from all."""
    features, label, days = frames(journey, "train")
    raced, first = journey.found(RecipeRace), window_from(journey.model, instant(journey.kept(TrainingSets).train.end))
    if first is None or (raced is not None and raced.winner == Recipe.EXPANDING.value):
        return features, label, days
    kept = (days >= first).to_numpy()
    return features[kept].reset_index(drop=True), label[kept], days[kept].reset_index(drop=True)


def reference_weights(journey: Journey) -> np.ndarray[Any, Any] | None:
    """How much each of ``reference_frames`` counts."""
    found = weights(journey, "train")
    if found is None:
        return None
    _, label, _ = reference_frames(journey)
    return found[len(found) - len(label) :]


def weights(journey: Journey, which: str) -> np.ndarray[Any, Any] | None:
    """How much each row of ``frames`` counts, ``(n,)``, above 0; None where the model declares no weight."""
    return weights_in(journey, journey.kept(TrainingSets).part(which))


def weights_in(journey: Journey, made: TrainingSet) -> np.ndarray[Any, Any] | None:
    """The same of any built set."""
    if journey.model.weight is None:
        return None
    return row_weights.in_table(journey.model, training_sets.read(made), f"the rows from {made.start[:10]} on")


def frames_of(journey: Journey, made: TrainingSet) -> tuple[pd.DataFrame, np.ndarray[Any, Any], pd.Series[Any]]:
    """Any built set of the model, as ``frames`` gives it."""
    import numpy as np

    rows = training_sets.read(made).to_pandas()
    features = estimators.as_input(rows, fitted_models.kinds_of(journey.model))
    days = rows["event_time"].dt.strftime("%Y-%m-%d")
    if not journey.model.is_classifier:
        return features, rows["label"].to_numpy(dtype=float), days
    declared = journey.model.label.classes or []
    label, strange = classes.positions(declared, rows["label"])
    if strange:
        raise BadLabels(
            journey.model.name,
            f"{classes.refused('label', strange, declared).rstrip('.')}. The training set was built with other "
            "classes; clear the run from open_journey on",
        )
    return features, label.astype(np.int64), days


def known_rows(journey: Journey, made: TrainingSet) -> pd.DataFrame:
    """Features, keys and ``event_time`` of the rows of a built set, in the order of ``frames_of``."""
    features, _, _ = frames_of(journey, made)
    keys = declarations().view(journey.model.entity.view).keys
    return with_known(features, training_sets.read(made).select([*keys, "event_time"]).to_pandas())


def times_of(made: TrainingSet) -> pd.Series[Any]:
    """``event_time`` of the rows of a built set, in the order of ``frames_of``."""
    times: pd.Series[Any] = training_sets.read(made).select(["event_time"]).to_pandas()["event_time"]
    return times


def with_known(features: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """The features, followed by the other known columns of the same rows, in the same order."""
    import pandas as pd

    more = known[[name for name in known if name not in features]]
    return pd.concat([features.reset_index(drop=True), more.reset_index(drop=True)], axis=1)
