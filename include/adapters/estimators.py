"""Scikit-learn pipelines: built from a declaration, fitted, and asked for scores."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.domain.drift.loss_trees import LEAF, PREDICTION, LossTrees, Tree, tree_inputs
from include.domain.errors import Refusal

MAX_CATEGORIES = 1000
"""The most frequent categories of a feature that get a code of their own; the rest share one, so that a column of a
million values neither fills the memory nor the model."""


class EstimatorUnusable(Refusal, ValueError):
    """The declared import path or its parameters give no estimator; the message says which and why."""


class FitDidNotConverge(Refusal, ValueError):
    """The estimator stopped before it had found what it looked for: what it would answer is an accident."""


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


def build(spec: EstimatorSpec) -> Any:
    """An unfitted pipeline: encode categories, optionally impute numbers, then the declared estimator.

    Missing and unseen categories become codes of their own (-2 and -1), so that no request is unanswerable.

    Raises:
        EstimatorUnusable: when the path cannot be imported, is no estimator, or refuses its parameters.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    categorical = [f for f, kind in spec.kinds.items() if kind == "categorical"]
    numbers = [f for f, kind in spec.kinds.items() if kind != "categorical"]
    if spec.encode == "one_hot":
        encoder: Any = OneHotEncoder(
            handle_unknown="ignore", sparse_output=False, dtype=np.float64, max_categories=MAX_CATEGORIES
        )
    else:
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            encoded_missing_value=-2,
            dtype=np.float64,
            max_categories=MAX_CATEGORIES,
        )
    steps: list[tuple[str, Any, list[str]]] = []
    if categorical:
        steps.append(("categorical", encoder, categorical))
    if numbers:
        passed: Any = SimpleImputer(strategy="median", keep_empty_features=True) if spec.impute else "passthrough"
        steps.append(("numeric", passed, numbers))
    return Pipeline([("encode", ColumnTransformer(steps)), ("estimator", _estimator(spec))])


def _estimator(spec: EstimatorSpec) -> Any:
    from sklearn.base import BaseEstimator

    module_name, _, class_name = spec.path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise EstimatorUnusable(
            f"estimator.path {spec.path!r} cannot be imported ({error}). "
            "Give the full import path of a class, for example sklearn.ensemble.HistGradientBoostingClassifier."
        ) from None
    if not (inspect.isclass(found) and issubclass(found, BaseEstimator)):
        raise EstimatorUnusable(f"estimator.path {spec.path!r} is no scikit-learn estimator class.")
    params = dict(spec.params)
    accepted = sorted(name for name in inspect.signature(found.__init__).parameters if name != "self")
    if "random_state" in accepted:
        params.setdefault("random_state", spec.seed)
    unknown = sorted(set(params) - set(accepted))
    if unknown:
        raise EstimatorUnusable(
            f"estimator.params has {unknown[0]!r}, which {class_name} does not take; it takes: {', '.join(accepted)}."
        )
    return found(**params)


def fit(pipeline: Any, features: pd.DataFrame, label: np.ndarray[Any, Any]) -> Any:
    """Fit and return the pipeline. What the estimator refuses only now is a user's mistake, not a crash.

    Raises:
        EstimatorUnusable: when scikit-learn refuses a parameter, or the rows.
        FitDidNotConverge: when it warns that it has not converged.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils._param_validation import InvalidParameterError

    name = type(pipeline.steps[-1][1]).__name__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            return pipeline.fit(features, label)
    except ConvergenceWarning as warning:
        said = str(warning).split(".")[0].splitlines()[0]
        raise FitDidNotConverge(
            f"{name} did not converge on {len(features):,} rows: {said}. Nothing was kept. Raise max_iter in "
            "estimator.params, or give it features of like scale."
        ) from None
    except InvalidParameterError as error:
        raise EstimatorUnusable(f"estimator.params: {str(error).splitlines()[0]}") from None
    except (ValueError, FloatingPointError) as error:
        said = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise EstimatorUnusable(f"{name} cannot be fitted on these {len(features):,} rows: {said}") from None


def as_input(frame: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """The columns the pipeline reads, in order and in the types it was fitted on: object strings and float64."""
    columns = {
        f: frame[f].astype(object).where(frame[f].notna(), np.nan) if kind == "categorical" else frame[f].astype(float)
        for f, kind in kinds.items()
    }
    return pd.DataFrame(columns)


def inputs_of(pipeline: Any) -> list[str] | None:
    """The features it was fitted on, in their order; None where it was not fitted on named ones."""
    names = getattr(pipeline, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def predict(pipeline: Any, features: pd.DataFrame, *, classifier: bool) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scores: the probability of the last class, shape (n,), for a binary classifier; (n, k) for k > 2; values else."""
    if len(features) == 0:
        return np.empty(0)
    with _threads_for(len(features)):
        if not classifier:
            return np.asarray(pipeline.predict(features), dtype=float)
        probabilities = np.asarray(pipeline.predict_proba(features), dtype=float)
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities


SMALL = 50_000
"""Rows below which one thread predicts: boosting starts its threads anew for each tree, and beside other tasks on a
small
machine waiting for them cost ten times the work (measured: 0.25 s instead of 0.02 s for 3,000 rows)."""


def one_thread() -> AbstractContextManager[Any]:
    """Fits and predicts on one thread while it lasts; only libraries that are loaded by then are held to it.

    For many small fits beside other work: on a busy machine of two cores a boosting of 22,000 rows took 18 s with two
    threads and 1.1 s with one."""
    from threadpoolctl import threadpool_limits

    limited: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="openmp")
    return limited


def _threads_for(rows: int) -> AbstractContextManager[Any]:
    return one_thread() if rows < SMALL else nullcontext()


def importances(
    pipeline: Any, features: pd.DataFrame, label: np.ndarray[Any, Any], *, task: str, seed: int, rows: int = 3000
) -> dict[str, float]:
    """Permutation importance per feature on at most ``rows`` rows, clipped at zero and summing to one.

    Source: Breiman (2001), Random Forests; ``sklearn.inspection.permutation_importance``.
    """
    from sklearn.inspection import permutation_importance

    if len(features) > rows:
        chosen = np.sort(np.random.default_rng(seed).choice(len(features), rows, replace=False))
        features, label = features.iloc[chosen], label[chosen]
    scoring = "neg_mean_absolute_error" if task == "regression" else "neg_log_loss"
    with _threads_for(len(features)):
        result = permutation_importance(pipeline, features, label, scoring=scoring, n_repeats=2, random_state=seed)
    means = np.clip(result.importances_mean, 0, None)
    total = float(means.sum())
    weights = means / total if total > 0 else np.full(len(means), 1 / len(means))
    return {name: float(w) for name, w in zip(features.columns, weights, strict=True)}


LOSS_TREES = 20
LOSS_ROWS = 20_000
"""Most held-out rows a loss regressor learns from; more make it slower and hardly better."""


def fit_loss_trees(
    features: pd.DataFrame,
    predictions: np.ndarray[Any, Any],
    losses: np.ndarray[Any, Any],
    kinds: Mapping[str, str],
    *,
    seed: int,
) -> LossTrees:
    """A small forest that says how large the loss of a row is, from its features and the model's answer to it.

    Categories are numbered by their mean loss, the lowest first.

    Args:
        features: Held-out rows, as :func:`as_input` makes them.
        predictions: Shape (n,): the model's answers.
        losses: Shape (n,): the loss of each.
        kinds: The kind of each feature, in order.
        seed: Fixes the rows and features that each tree sees.
    """
    from sklearn.ensemble import RandomForestRegressor

    if len(losses) > LOSS_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(losses), LOSS_ROWS, replace=False))
        features, predictions, losses = features.iloc[chosen], predictions[chosen], losses[chosen]
    inputs = (*kinds, PREDICTION)
    categories = {
        name: tuple(
            str(c) for c in pd.Series(losses, index=features.index).groupby(features[name]).mean().sort_values().index
        )
        for name, kind in kinds.items()
        if kind == "categorical"
    }
    forest = RandomForestRegressor(
        n_estimators=LOSS_TREES,
        max_leaf_nodes=48,
        min_samples_leaf=max(5, len(losses) // 200),
        max_features=0.5,
        random_state=seed,
    )
    forest.fit(tree_inputs(features, predictions, inputs, categories), losses)
    return LossTrees(inputs, categories, tuple(_as_numbers(fitted.tree_) for fitted in forest.estimators_))


def _as_numbers(tree: Any) -> Tree:
    inner = tree.children_left != -1
    return Tree(
        feature=tuple(int(f) if i else LEAF for f, i in zip(tree.feature, inner, strict=True)),
        threshold=tuple(float(t) if i else 0.0 for t, i in zip(tree.threshold, inner, strict=True)),
        left=tuple(int(c) if i else 0 for c, i in zip(tree.children_left, inner, strict=True)),
        right=tuple(int(c) if i else 0 for c, i in zip(tree.children_right, inner, strict=True)),
        missing_left=tuple(int(m) for m in tree.missing_go_to_left),
        value=tuple(float(v) for v in tree.value[:, 0, 0]),
    )
