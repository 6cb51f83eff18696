"""An unfitted pipeline, built from what a model declares."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from include.config import importing
from include.config.problems import did_you_mean
from include.domain.errors import Refusal

MAX_CATEGORIES = 1000
"""The most frequent categories of a feature that get a code of their own; the rest share one, so that a column of a
million values neither fills the memory nor the model."""


class EstimatorUnusable(Refusal, ValueError):
    """The declared import path or its parameters give no estimator; the message says which and why."""


@dataclass(frozen=True, slots=True)
class ColumnGroup:
    """Columns with steps of their own, and where the declaration has them (``preprocess.0``).

    ``columns`` are names, or a kind: all columns of that kind that no group names. ``encode`` and ``impute``
    are None for the estimator's own setting, unless a step does the same.
    """

    where: str
    columns: tuple[str, ...] | str
    steps: tuple[tuple[str, Mapping[str, Any]], ...]
    encode: str | None = None
    impute: bool | None = None


@dataclass(frozen=True, slots=True)
class EstimatorSpec:
    """What the declaration says about the estimator, and the kinds of its inputs.

    ``kinds`` maps each feature, in order, to ``numeric``, ``categorical`` or ``boolean``.
    """

    path: str
    params: Mapping[str, Any]
    encode: str
    impute: bool
    kinds: Mapping[str, str]
    seed: int
    groups: tuple[ColumnGroup, ...] = ()

    def of_group(self, group: ColumnGroup) -> list[str]:
        """The features of the group, in the model's order; those it names that are not among ``kinds`` are left out."""
        if not isinstance(group.columns, str):
            return [f for f in self.kinds if f in group.columns]
        named = {f for g in self.groups if not isinstance(g.columns, str) for f in g.columns}
        return [f for f, kind in self.kinds.items() if kind == group.columns and f not in named]


def build(spec: EstimatorSpec) -> Any:
    """An unfitted pipeline: encode categories, optionally impute numbers, do what each group of columns declares, then
    the declared estimator.

    Missing and unseen categories become codes of their own (-2 and -1), so that no request is unanswerable.

    Raises:
        EstimatorUnusable: when the path cannot be imported, is no estimator, or refuses its parameters.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    grouped = [(group, spec.of_group(group)) for group in spec.groups]
    taken = {f for _, columns in grouped for f in columns}
    parts = _prepared(spec, [f for f in spec.kinds if f not in taken], spec.encode, spec.impute)
    for group, columns in grouped:
        if columns:
            parts.append((group.where.replace(".", "_"), _group(spec, group, columns), columns))
    # Dense, whatever a step gives: not every estimator takes a sparse matrix.
    encode = ColumnTransformer(parts, sparse_threshold=0.0) if spec.groups else ColumnTransformer(parts)
    return Pipeline([("encode", encode), ("estimator", _made("estimator", spec.path, spec.params, spec.seed))])


def unfit_for(pipeline: Any, task: str) -> str | None:
    """Why a pipeline of ``build`` cannot answer what the task asks, as a clause; None where it can. A class that does
    not say what it is may be anything, as long as it has the method that is called."""
    from sklearn.base import is_classifier, is_regressor

    estimator = pipeline.steps[-1][1]
    what = type(estimator).__name__
    if task == "regression":
        if is_classifier(estimator):
            return f"{what} is a classifier, and task is regression; name a regressor"
        return None if hasattr(estimator, "predict") else f"{what} has no predict; name an estimator that answers"
    if is_regressor(estimator):
        return f"{what} is a regressor, and task is {task}; name a classifier"
    if not hasattr(estimator, "predict_proba"):
        return (
            f"{what} gives no probabilities (it has no predict_proba with these params), and scores are probabilities; "
            "name a classifier that does, such as sklearn.linear_model.LogisticRegression"
        )
    return None


def _prepared(spec: EstimatorSpec, columns: list[str], encode: str, impute: bool) -> list[tuple[str, Any, list[str]]]:
    """Categories as numbers and missing numbers filled, by kind; a kind without columns is left out."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    categorical = [f for f in columns if spec.kinds[f] == "categorical"]
    numbers = [f for f in columns if spec.kinds[f] != "categorical"]
    encoder: Any = "passthrough"
    if encode == "one_hot":
        encoder = OneHotEncoder(
            handle_unknown="ignore", sparse_output=False, dtype=np.float64, max_categories=MAX_CATEGORIES
        )
    elif encode == "ordinal":
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            encoded_missing_value=-2,
            dtype=np.float64,
            max_categories=MAX_CATEGORIES,
        )
    parts: list[tuple[str, Any, list[str]]] = []
    if categorical:
        parts.append(("categorical", encoder, categorical))
    if numbers:
        passed: Any = SimpleImputer(strategy="median", keep_empty_features=True) if impute else "passthrough"
        parts.append(("numeric", passed, numbers))
    return parts


def _group(spec: EstimatorSpec, group: ColumnGroup, columns: list[str]) -> Any:
    """A pipeline of what comes before the group's steps, and the steps."""
    from sklearn.base import TransformerMixin
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    steps = []
    for number, (path, params) in enumerate(group.steps):
        where = f"{group.where}.steps.{number}"
        made = _made(where, path, params, spec.seed)
        if not (isinstance(made, TransformerMixin) or hasattr(made, "transform")):
            raise EstimatorUnusable(f"{where}.path {path!r} is no transformer: it has no transform.")
        steps.append((f"step_{number}", made))
    encode, impute = group.encode, group.impute
    if encode is None:
        encode = "none" if any(type(step).__name__.endswith("Encoder") for _, step in steps) else spec.encode
    if impute is None:
        impute = spec.impute and not any(type(s).__module__.startswith("sklearn.impute.") for _, s in steps)
    before = _prepared(spec, columns, encode, impute)
    if all(passed == "passthrough" for _, passed, _ in before):
        return Pipeline(steps)
    return Pipeline([("before", ColumnTransformer(before)), *steps])


def _made(where: str, path: str, params: Mapping[str, Any], seed: int) -> Any:
    """An instance of the class at the import path; ``where`` is the field that declares it.

    Raises:
        EstimatorUnusable: when there is none, or it does not take the parameters.
    """
    from sklearn.base import BaseEstimator
    from sklearn.utils._param_validation import InvalidParameterError

    kind = importing.ESTIMATOR if where == "estimator" else importing.ENCODER
    try:
        found = importing.found(path, f"{where}.path", kind)
    except importing.BadPath as error:
        raise EstimatorUnusable(str(error)) from None
    class_name = getattr(found, "__name__", path)
    if not (inspect.isclass(found) and issubclass(found, BaseEstimator)):
        raise EstimatorUnusable(f"{where}.path {path!r} is no scikit-learn estimator class.")
    given = dict(params)
    accepted = sorted(name for name in inspect.signature(found.__init__).parameters if name != "self")
    if "random_state" in accepted:
        given.setdefault("random_state", seed)
    unknown = sorted(set(given) - set(accepted))
    if unknown:
        raise EstimatorUnusable(
            f"{where}.params has {unknown[0]!r}, which {class_name} does not take; it takes: {', '.join(accepted)}."
            + did_you_mean(unknown[0], accepted)
        )
    any_number = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    lacking = [
        name
        for name, parameter in inspect.signature(found.__init__).parameters.items()
        if name != "self"
        and parameter.default is parameter.empty
        and parameter.kind not in any_number
        and name not in given
    ]
    if lacking:
        raise EstimatorUnusable(
            f"{where}.path {path!r} needs {', '.join(lacking)}, which {where}.params does not give. Name an "
            "estimator that needs no other, or a class of yours that puts this one together."
        )
    try:
        made: Any = found(**given)
        if hasattr(found, "_parameter_constraints"):
            made._validate_params()
    except InvalidParameterError as error:
        raise EstimatorUnusable(f"{where}.params: {str(error).splitlines()[0]}") from None
    except Exception as error:  # noqa: BLE001 - anybody's class, which may raise anything
        raise EstimatorUnusable(f"{where}.path {path!r} cannot be made: {first_line(error)}") from None
    return made


def first_line(error: Exception) -> str:
    """What the error says, for a sentence."""
    said = (str(error).strip().splitlines() or ["no reason given"])[0]
    return said if isinstance(error, ValueError) else f"{type(error).__name__}: {said}"
