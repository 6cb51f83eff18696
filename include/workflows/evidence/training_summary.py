"""What is counted in a training set, for the gate that judges it before anything is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.config import declarations
from include.domain.gates import Split, TrainingDataSummary, split_of
from include.domain.intervals import Interval, instant
from include.domain.weights import counted_rows
from include.workflows.evidence import journey_rows
from include.workflows.journey.facts import TrainingSet, TrainingSets
from include.workflows.journey.step import Journey
from include.workflows.scoring import nearest_rows, training_sets

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, slots=True)
class RowFlaws:
    """What is wrong with the rows of a training set as they were joined."""

    missing_labels: int = 0
    duplicates: int = 0
    """Rows that are there once more, by their keys and event time."""
    remarks: tuple[str, ...] = ()
    """What a reader must know about how they were joined."""
    empty_because: Mapping[str, str] = field(default_factory=dict)
    """As in ``TrainingDataSummary``."""
    worth: tuple[int, int] | None = None
    """As in ``TrainingDataSummary``."""


NO_FLAWS = RowFlaws()


def summary_of(journey: Journey) -> TrainingDataSummary:
    """What was counted in the journey's training set."""
    sets = journey.kept(TrainingSets)
    train, holdout = sets.train, sets.holdout
    features, label, _ = journey_rows.frames(journey, "train")
    keys = declarations().view(journey.model.entity.view).keys
    rows, held_out = (
        training_sets.read(s).select([*keys, "event_time", "label"]).to_pandas() for s in (train, holdout)
    )
    return counted(
        features,
        label,
        holdout_rows=holdout.rows,
        classes=train.label_counts,
        split=split_of(rows, held_out, keys),
        flaws=RowFlaws(
            missing_labels=int(rows["label"].isna().sum()),
            duplicates=int(rows.duplicated([*keys, "event_time"]).sum()),
            empty_because=_why_empty(journey, train, features),
            remarks=tuple(each for made in (train, holdout) for each in made.key_remarks),
            worth=worth_of(journey_rows.weights(journey, "train"), journey_rows.weights(journey, "holdout")),
        ),
    )


def _why_empty(journey: Journey, train: TrainingSet, features: pd.DataFrame) -> dict[str, str]:
    """Of features without any value, why: asked only where there is one, since it reads the views again."""
    empty = [str(name) for name, has in features.notna().any().items() if not has]
    if not empty or features.empty:
        return {}
    window = Interval(instant(train.start), instant(train.end))
    return nearest_rows.why_empty(journey.model, window, empty, declarations(), train.table_versions)


def worth_of(learned: np.ndarray[Any, Any] | None, held_out: np.ndarray[Any, Any] | None) -> tuple[int, int] | None:
    """How many rows of equal weight the training rows and the held-out ones are worth; None without weights."""
    if learned is None and held_out is None:
        return None
    first, second = (0 if w is None else counted_rows(w) for w in (learned, held_out))
    return first, second


def counted(
    features: pd.DataFrame,
    label: np.ndarray[Any, Any],
    *,
    holdout_rows: int,
    classes: Mapping[str, int],
    split: Split | None = None,
    flaws: RowFlaws = NO_FLAWS,
) -> TrainingDataSummary:
    """Any training set as its gate reads it. ``classes`` counts the training rows of each class; empty for regression.

    ``split`` compares training and held-out rows (times, shared entities); None when no rows are held out.
    """
    import numpy as np

    numbers = features.select_dtypes("number")
    return TrainingDataSummary(
        rows=len(features),
        holdout_rows=holdout_rows,
        distinct_labels=len(np.unique(label)),
        classes=classes,
        null_shares={str(name): float(share) for name, share in features.isna().mean().items()},
        infinite={str(name): int(count) for name, count in np.isinf(numbers).sum().items() if count},
        constant=tuple(str(c) for c in features.columns if features[c].nunique() == 1),
        missing_labels=flaws.missing_labels,
        duplicate_rows=flaws.duplicates,
        judged_on_too=split.shared_rows if split else 0,
        ends_before_holdout=split is None or split.train_ends < split.holdout_starts,
        remarks=tuple(dict.fromkeys(flaws.remarks)),
        empty_because=flaws.empty_because,
        worth=flaws.worth,
    )
