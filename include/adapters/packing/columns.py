"""What happens to each column on its way to the estimator, as plain numbers.

A number goes through a chain of steps of arithmetic. A category is looked up in a table that is filled by *asking* the
fitted encoder for every category, for a missing one and for an unseen one, so that rare categories that share a code,
or one that was dropped, need no rule of their own here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

UNSEEN = "\x00a category of no model"


class NotPackable(Exception):
    """A fitted pipeline, or a part of it, that has no packed form; the message says which part, for a sentence."""


@dataclass(frozen=True, slots=True)
class ArithmeticStep:
    """One step on a number: its name in the reader, and its value; None for one that only refuses."""

    does: str
    by: float | tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A column of the estimator that comes from a numeric feature."""

    feature: str
    chain: tuple[ArithmeticStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """A categorical feature that nothing has encoded yet."""

    feature: str


@dataclass(frozen=True, slots=True, eq=False)
class Category:
    """A column of the estimator that comes from a categorical feature.

    Attributes:
        feature: its name.
        known: the categories, in the order of ``values``, which ends with those of a missing and an unseen one.
        values: ``(len(known) + 2,)``; NaN where the encoder refuses.
        refused: ``(len(known) + 2,)``, which of them are refused.
    """

    feature: str
    known: tuple[Any, ...]
    values: np.ndarray[Any, Any]
    refused: np.ndarray[Any, Any] = field(repr=False)


Column = Number | Category | Raw


def columns_of(pipeline: Any, kinds: dict[str, str]) -> list[Number | Category]:
    """The columns that the pipeline's last step is given, in their order.

    Args:
        pipeline: fitted; its last step is the estimator.
        kinds: the kind of each feature, in order.

    Raises:
        NotPackable: naming the step that has no packed form.
    """
    found: list[Column] = [Raw(f) if kind == "categorical" else Number(f) for f, kind in kinds.items()]
    for name, step in pipeline.steps[:-1]:
        found = _through(name, step, found)
    bare = next((c.feature for c in found if isinstance(c, Raw)), None)
    if bare is not None:
        raise NotPackable(f"{bare} reaches the estimator as text")
    return [c for c in found if not isinstance(c, Raw)]


def _through(name: str, step: Any, columns: list[Column]) -> list[Column]:
    """The columns after one transformer; a subclass is not taken for its parent, because it may answer otherwise."""
    if isinstance(step, str):
        if step == "passthrough":
            return columns
        raise NotPackable(f"{name} is {step!r}")
    kind = f"{type(step).__module__.split('.')[0]}.{type(step).__name__}"
    found = _WAYS.get(kind)
    if found is None:
        raise NotPackable(f"{name} is a {type(step).__name__}, which has no packed form")
    after: list[Column] = found(name, step, columns)
    return after


def _pipeline(name: str, step: Any, columns: list[Column]) -> list[Column]:
    for inner, each in step.steps:
        columns = _through(f"{name}.{inner}", each, columns)
    return columns


def _column_transformer(name: str, step: Any, columns: list[Column]) -> list[Column]:
    names = list(getattr(step, "feature_names_in_", range(len(columns))))
    by_name = dict(zip(names, columns, strict=True))
    found: list[Column] = []
    for inner, each, chosen in step.transformers_:
        if isinstance(each, str) and each == "drop":
            continue
        if isinstance(chosen, slice) or callable(chosen):
            raise NotPackable(f"{name}.{inner} does not name its columns")
        wanted = [by_name[c] if c in by_name else columns[c] for c in chosen]
        found += _through(f"{name}.{inner}", each, wanted)
    return found


def _function(name: str, step: Any, columns: list[Column]) -> list[Column]:
    if step.func is not None:
        raise NotPackable(f"{name} calls a function")
    return columns


def _imputer(name: str, step: Any, columns: list[Column]) -> list[Column]:
    fill = np.asarray(step.statistics_)
    if step.add_indicator or not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)):
        raise NotPackable(f"{name} is a SimpleImputer with an indicator or another missing value than NaN")
    if fill.dtype.kind != "f" or (np.isnan(fill).any() and not step.keep_empty_features):
        raise NotPackable(f"{name} leaves out a column without values, or fills with text")
    return _arithmetic(name, columns, [("refuse inf", None), ("fill", fill)])


def _standard(name: str, step: Any, columns: list[Column]) -> list[Column]:
    steps: list[tuple[str, Any]] = [("refuse inf", None)]
    steps += [("subtract", step.mean_)] if step.with_mean else []
    steps += [("divide", step.scale_)] if step.with_std else []
    return _arithmetic(name, columns, steps)


def _robust(name: str, step: Any, columns: list[Column]) -> list[Column]:
    steps: list[tuple[str, Any]] = [("refuse inf", None)]
    steps += [("subtract", step.center_)] if step.with_centering else []
    steps += [("divide", step.scale_)] if step.with_scaling else []
    return _arithmetic(name, columns, steps)


def _min_max(name: str, step: Any, columns: list[Column]) -> list[Column]:
    steps: list[tuple[str, Any]] = [("refuse inf", None), ("multiply", step.scale_), ("add", step.min_)]
    return _arithmetic(name, columns, steps + ([("clip", step.feature_range)] if step.clip else []))


def _max_abs(name: str, step: Any, columns: list[Column]) -> list[Column]:
    steps: list[tuple[str, Any]] = [("refuse inf", None), ("divide", step.scale_)]
    return _arithmetic(name, columns, steps + ([("clip", (-1.0, 1.0))] if getattr(step, "clip", False) else []))


def _arithmetic(name: str, columns: list[Column], steps: Sequence[tuple[str, Any]]) -> list[Column]:
    """Each step on each column: added to the chain of a number, done at once to the table of a category."""
    found: list[Column] = []
    for i, column in enumerate(columns):
        if isinstance(column, Raw):
            raise NotPackable(f"{name} is given {column.feature} as text")
        for does, value in steps:
            by = _of_column(value, i)
            if isinstance(column, Number):
                column = replace(column, chain=(*column.chain, ArithmeticStep(does, by)))
            else:
                column = replace(column, values=_done(column.values, does, by))
        found.append(column)
    return found


def _of_column(value: Any, i: int) -> float | tuple[float, float] | None:
    if value is None:
        return None
    return (float(value[0]), float(value[1])) if isinstance(value, tuple) else float(np.asarray(value)[i])


def _done(values: np.ndarray[Any, Any], does: str, by: Any) -> np.ndarray[Any, Any]:
    if does == "fill":
        return np.where(np.isnan(values), by, values)
    if does == "clip":
        return np.asarray(np.clip(values, *by))
    arithmetic = {"subtract": np.subtract, "divide": np.divide, "multiply": np.multiply, "add": np.add}
    done: np.ndarray[Any, Any] = values if does == "refuse inf" else arithmetic[does](values, by)
    return done


def _encoder(name: str, step: Any, columns: list[Column]) -> list[Column]:
    """The table of each feature, by asking for its categories one after the other."""
    if not all(isinstance(column, Raw) for column in columns):
        raise NotPackable(f"{name} encodes a numeric feature by its values")
    widths = _widths(name, step, len(columns))
    known = [tuple(c for c in of if not _is_missing(c)) for of in step.categories_]
    found: list[Column] = []
    for i, column in enumerate(columns):
        asked = [*known[i], np.nan, UNSEEN]
        answers, refused = _asked(step, known, i, asked)
        if answers.dtype != np.float64:
            raise NotPackable(f"{name} gives {answers.dtype} and not float64")
        first = sum(widths[:i])
        for j in range(first, first + widths[i]):
            found.append(Category(column.feature, known[i], answers[:, j], refused))
    return found


def _widths(name: str, step: Any, features: int) -> list[int]:
    """How many columns come of each feature."""
    if type(step).__name__ == "OneHotEncoder":
        if step.sparse_output:
            raise NotPackable(f"{name} gives a sparse matrix; set sparse_output to false")
        return [int(n) for n in step._n_features_outs]
    several = type(step).__name__ == "TargetEncoder" and step.target_type_ == "multiclass"
    return [len(step.classes_) if several else 1] * features


def _asked(
    step: Any, known: Sequence[tuple[Any, ...]], i: int, asked: list[Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The encoder's answers ``(len(asked), outputs)`` where feature ``i`` is each value, and which it refuses.

    The last two, a missing and an unseen value, are asked alone, because they may be refused.
    """
    *categories, missing, unseen = asked
    answers = [_answer(step, known, i, some) for some in (categories, [missing], [unseen])]
    width = next(a.shape[1] for a in answers if a is not None)
    refused = np.array([False] * len(categories) + [answers[1] is None, answers[2] is None])
    counts = (len(categories), 1, 1)
    given = [np.full((n, width), np.nan) if a is None else a for a, n in zip(answers, counts, strict=True)]
    return np.concatenate([g for g, n in zip(given, counts, strict=True) if n]), refused


def _answer(step: Any, known: Sequence[tuple[Any, ...]], i: int, values: list[Any]) -> np.ndarray[Any, Any] | None:
    """None where it refuses, or was asked nothing."""
    if not values:
        return None
    rows = np.empty((len(values), len(known)), dtype=object)
    for j, categories in enumerate(known):
        rows[:, j] = categories[0] if categories else np.nan
    rows[:, i] = values
    names = getattr(step, "feature_names_in_", None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that a category is unseen, which is why it is asked
            return np.asarray(step.transform(rows if names is None else pd.DataFrame(rows, columns=names)))
    except ValueError:
        return None


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


_WAYS: dict[str, Any] = {
    "sklearn.Pipeline": _pipeline,
    "sklearn.ColumnTransformer": _column_transformer,
    "sklearn.FunctionTransformer": _function,
    "sklearn.SimpleImputer": _imputer,
    "sklearn.StandardScaler": _standard,
    "sklearn.RobustScaler": _robust,
    "sklearn.MinMaxScaler": _min_max,
    "sklearn.MaxAbsScaler": _max_abs,
    "sklearn.OrdinalEncoder": _encoder,
    "sklearn.OneHotEncoder": _encoder,
    "sklearn.TargetEncoder": _encoder,
}
