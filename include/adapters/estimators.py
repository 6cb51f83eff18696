"""Scikit-learn pipelines: built from a declaration, kept in the skops format, loaded only against *our* allow-list.

A model file names the types it wants to construct. That list is the file's own claim, so it is never
used as permission:
what may be constructed is ``TRUSTED`` here, and pickles are not read at all.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.domain.errors import Refusal

TRUSTED = frozenset(
    {
        "numpy.dtype",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
"""Types beyond skops' own defaults that a model file may construct; compiled parts of scikit-learn estimators."""

MAX_MODEL_BYTES = 1_000_000_000
"""A model file larger than this is not read: a small file can unpack to much more."""


class EstimatorUnusable(Refusal, ValueError):
    """The declared import path or its parameters give no estimator; the message says which and why."""


class ModelFileRefused(Refusal, ValueError):
    """A model file that must not be loaded: another digest than the gates saw, or types outside the allow-list."""


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
        encoder: Any = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float64)
    else:
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2, dtype=np.float64
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
    """Fit and return the pipeline. Parameters the estimator refuses only now are a user's mistake, not a crash.

    Raises:
        EstimatorUnusable: when scikit-learn refuses a parameter.
    """
    from sklearn.utils._param_validation import InvalidParameterError

    try:
        return pipeline.fit(features, label)
    except InvalidParameterError as error:
        raise EstimatorUnusable(f"estimator.params: {str(error).splitlines()[0]}") from None


def as_input(frame: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """The columns the pipeline reads, in order and in the types it was fitted on: object strings and float64."""
    columns = {
        f: frame[f].astype(object).where(frame[f].notna(), np.nan) if kind == "categorical" else frame[f].astype(float)
        for f, kind in kinds.items()
    }
    return pd.DataFrame(columns)


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


def _threads_for(rows: int) -> AbstractContextManager[Any]:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="openmp") if rows < SMALL else nullcontext()


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


def trusted_types(path: Path) -> list[str]:
    """The types the file needs, when all of them are on our allow-list.

    Raises:
        ModelFileRefused: naming the first type that is not.
    """
    import skops.io

    try:
        wanted = skops.io.get_untrusted_types(file=path)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ModelFileRefused(f"{path.name} is no readable skops file ({type(error).__name__}: {error}).") from None
    foreign = sorted(set(wanted) - TRUSTED)
    if foreign:
        raise ModelFileRefused(
            f"{path.name} wants to construct {foreign[0]}, which is not on Slipway's list of trusted types "
            "(include/adapters/estimators.py). It was not loaded."
        )
    return list(wanted)


def untrusted_free(pipeline: Any, path: Path) -> list[str]:
    """Write the pipeline to ``path`` and return the types it needs, checked against our allow-list."""
    import skops.io

    skops.io.dump(pipeline, path)
    return trusted_types(path)


def digest(path: Path) -> str:
    """The sha256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(path: Path, expected_digest: str) -> Any:
    """Load a model file after its digest and its types were checked.

    Raises:
        ModelFileRefused: when either does not hold.
    """
    import skops.io

    size = path.stat().st_size
    if size > MAX_MODEL_BYTES:
        raise ModelFileRefused(f"{path.name} has {size} bytes; at most {MAX_MODEL_BYTES} are read.")
    found = digest(path)
    if found != expected_digest:
        raise ModelFileRefused(
            f"{path.name} has the digest {found[:12]}, but the gates judged {expected_digest[:12]}: the "
            "artifact was replaced."
        )
    with warnings.catch_warnings():
        # Another patch release of scikit-learn warns; whether it answers the same is the smoke check's question.
        warnings.simplefilter("ignore")
        return skops.io.load(path, trusted=trusted_types(path))


def library_versions(names: Sequence[str] = ("scikit-learn", "skops", "numpy", "pandas", "scipy")) -> list[str]:
    """``name==version`` of what a model file needs in order to answer as it does here."""
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in names]
