"""A model's answers to rows, as the prediction log and the tables of answers ahead have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration
from include.workflows.scoring import challenger_process

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

TEXT = (
    "request_id",
    "prediction_id",
    "candidate_id",
    "model_version",
    "role",
    "feature_set",
    "predicted",
    "error",
    "answered",
)
NO_NUMBER = "the score is no finite number"
"""The error of a row to which a model gave none."""
TIMES = ("event_time", "prediction_time", "answered_at")


def answers_of(model: ModelDeclaration, pipeline: Any, features: pd.DataFrame) -> pd.DataFrame:
    """score and predicted of each row; error where the score is no finite number. Raises what the model raises."""
    return answers_with(model, estimators.predict(pipeline, features, classes=model.class_count), len(features))


def answer_columns(model: ModelDeclaration, scores: np.ndarray[Any, Any]) -> dict[str, Any]:
    """As ``answers_with``, as Arrow's columns and without an object for each row: ``score``, perhaps one a class,
    ``predicted`` and ``error``."""
    import numpy as np
    import pyarrow as pa

    if not model.is_classifier:
        answers = answers_with(model, scores, len(scores))
        kinds = {"score": pa.float64(), "predicted": pa.string(), "error": pa.string()}
        return {name: pa.array(answers[name].to_numpy(), kind, from_pandas=True) for name, kind in kinds.items()}
    classes = model.label.classes or []
    usable = np.isfinite(scores).reshape(len(scores), -1).all(axis=1)
    if scores.ndim == 2:
        which = np.where(usable[:, None], scores, 0.0).argmax(axis=1)
        said = {"score": scores.max(axis=1), **{f"score_{c}": scores[:, i] for i, c in enumerate(classes)}}
    else:
        which, said = scores > 0.5, {"score": scores}
    predicted = pa.array(which.astype(np.int32), mask=~usable)
    no_number = pa.array(np.zeros(len(scores), np.int32), mask=usable)
    return {
        **{name: pa.array(np.where(usable, values, np.nan), from_pandas=True) for name, values in said.items()},
        "predicted": pa.DictionaryArray.from_arrays(predicted, pa.array(classes, pa.string())).cast(pa.string()),
        "error": pa.DictionaryArray.from_arrays(no_number, pa.array([NO_NUMBER])).cast(pa.string()),
    }


def answers_with(model: ModelDeclaration, scores: Any, rows: int) -> pd.DataFrame:
    """As ``answers_of``, of scores that a model gave to so many rows.

    Raises:
        ValueError: when they are not one for each row, or not one for each class.
    """
    import numpy as np
    import pandas as pd

    if len(scores) != rows:
        raise ValueError(f"{len(scores)} answers to {rows} rows")
    classes = model.label.classes or []
    width = len(classes) if len(classes) > 2 else 1
    if scores.ndim not in (1, 2) or (scores.shape[1] if scores.ndim == 2 else 1) != width:
        raise ValueError(f"answers of the shape {scores.shape} where {width} a row were asked for")
    usable = np.isfinite(scores).reshape(len(scores), -1).all(axis=1)
    if scores.ndim == 2:
        predicted = [classes[i] for i in np.where(usable[:, None], scores, 0.0).argmax(axis=1)]
        columns = {"score": scores.max(axis=1), **{f"score_{c}": scores[:, i] for i, c in enumerate(classes)}}
    elif model.is_classifier:
        predicted, columns = [classes[int(s > 0.5)] for s in scores], {"score": scores}
    else:
        predicted, columns = [f"{s:.6g}" for s in scores], {"score": scores}
    return pd.DataFrame(
        {
            **{name: np.where(usable, values, np.nan) for name, values in columns.items()},
            "predicted": [p if ok else None for p, ok in zip(predicted, usable, strict=True)],
            "error": [None if ok else NO_NUMBER for ok in usable],
        }
    )


def no_answers(model: ModelDeclaration, rows: pd.DataFrame, error: Exception) -> pd.DataFrame:
    """What the log holds of a challenger that raised: an error for each row it was asked."""
    import numpy as np
    import pandas as pd

    named = str(error) if isinstance(error, challenger_process.ChallengerFailed) else f"{type(error).__name__}: {error}"
    message = named.splitlines()[0][:200]
    nothing = np.full(len(rows), np.nan)
    classes = model.label.classes or [] if model.task == "multiclass" else []
    columns = {"score": nothing, **{f"score_{c}": nothing for c in classes}}
    return pd.DataFrame({**columns, "predicted": [None] * len(rows), "error": [message] * len(rows)})


def as_table(frame: pd.DataFrame) -> pa.Table:
    """With declared types, so that a day whose every error is missing has the same columns as one with errors."""
    import pyarrow as pa

    def column(name: str) -> pa.Array:
        values = frame[name]
        if name in TIMES:
            # Converted without its time zone: the values of a Series with one are deprecated in pandas 3.1.
            naive = pa.array(values.dt.tz_convert(None).to_numpy(), pa.timestamp("us"), from_pandas=True)
            return naive.cast(pa.timestamp("us", tz="UTC"))
        kind = pa.float64() if name.startswith("score") else pa.string() if name in TEXT else None
        return pa.array(values.to_numpy(), kind, from_pandas=True)

    return pa.table({str(name): column(str(name)) for name in frame.columns})
