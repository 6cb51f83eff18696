"""Scikit-learn pipelines: built from a declaration, fitted, and asked for scores."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.config import importing
from include.domain.drift.loss_trees import LEAF, PREDICTION, LossTrees, Tree, tree_inputs
from include.domain.errors import NotDone, Refusal
from include.domain.losses import row_losses

MAX_CATEGORIES = 1000
"""The most frequent categories of a feature that get a code of their own; the rest share one, so that a column of a
million values neither fills the memory nor the model."""


class EstimatorUnusable(Refusal, ValueError):
    """The declared import path or its parameters give no estimator; the message says which and why."""


class FitDidNotConverge(Refusal, ValueError):
    """The estimator stopped before it converged, so its answers would be arbitrary."""


class FitOutOfMemory(NotDone):
    """The fit needed more memory than its process may have."""


class OutputsUnknown(Refusal, ValueError):
    """A model that does not say which class each column of its probabilities is of."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The model's answers cannot be read: {why}. Train it on the declared classes.")


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
        raise EstimatorUnusable(f"{where}.path {path!r} cannot be made: {_first_line(error)}") from None
    return made


def _first_line(error: Exception) -> str:
    said = (str(error).strip().splitlines() or ["no reason given"])[0]
    return said if isinstance(error, ValueError) else f"{type(error).__name__}: {said}"


def fit(pipeline: Any, features: pd.DataFrame, label: np.ndarray[Any, Any]) -> Any:
    """Fit and return the pipeline. A refusal by the estimator is a user's mistake, not a crash.

    Raises:
        EstimatorUnusable: when scikit-learn refuses a parameter, or the rows.
        FitDidNotConverge: when it warns that it has not converged.
        FitOutOfMemory: when the memory did not suffice; nothing is kept, and with more of it the same fit succeeds.
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
            f"{name} did not converge on {len(features):,} rows: {said}. Nothing was kept. {_what_helps(pipeline)}"
        ) from None
    except MemoryError as error:
        raise FitOutOfMemory(
            f"{name} needs more memory than this process may have, on {len(features):,} rows and "
            f"{features.shape[1]} features ({_first_line(error)}). Nothing was kept. Give the process more memory and "
            "run the step again, or make training.window_days smaller."
        ) from None
    except InvalidParameterError as error:
        raise EstimatorUnusable(f"estimator.params: {str(error).splitlines()[0]}") from None
    except (ValueError, ArithmeticError, TypeError, AttributeError, LookupError) as error:
        raise EstimatorUnusable(
            f"{name} cannot be fitted on these {len(features):,} rows: {_first_line(error)}{_missing_in(features)}"
        ) from None


def _missing_in(features: pd.DataFrame) -> str:
    """What to do about missing numbers, where there are any."""
    numbers = features.select_dtypes("number")
    missing = {str(name): int(n) for name, n in numbers.isna().sum().items() if n}
    shown = ", ".join(f"{name} ({n:,} rows)" for name, n in list(missing.items())[:5])
    return f" Numbers are missing in {shown}; set estimator.impute to true, or give --impute." if missing else ""


def _what_helps(pipeline: Any) -> str:
    """What may be declared so that a fit converges."""
    parts = dict(pipeline.steps).get("encode")
    scaled = [name for name, _, _ in getattr(parts, "transformers", ()) if name.startswith("preprocess")]
    if scaled:
        return "Raise max_iter in estimator.params, or scale the columns that preprocess leaves as they are."
    return (
        "Bring its numbers to like scale with preprocess: "
        "[{columns: numeric, steps: [sklearn.preprocessing.StandardScaler]}], or raise max_iter in estimator.params."
    )


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


def predict(pipeline: Any, features: pd.DataFrame, *, classes: int | None) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scores: the probability of the last class, shape (n,), for two classes; (n, classes) for more; values for
    regression. The one place where an estimator's columns become classes.

    Args:
        pipeline: fitted on class positions, or an object with the methods of one.
        features: the rows.
        classes: how many are declared; None for regression. One that the estimator never saw has the probability 0.

    Raises:
        OutputsUnknown: when its columns are not those of the declared classes.
    """
    if len(features) == 0:
        return np.empty((0, classes) if classes is not None and classes > 2 else 0)
    with _threads_for(len(features)):
        if classes is None:
            return np.asarray(pipeline.predict(features), dtype=float)
        answered = np.asarray(pipeline.predict_proba(features), dtype=float)
    found = _by_class(answered, learned_classes(pipeline, classes), classes)
    return found[:, 1] if classes == 2 else found


def learned_classes(pipeline: Any, classes: int) -> list[int]:
    """The declared positions that its columns of probabilities are of, in order.

    Raises:
        OutputsUnknown: when it was fitted on something else than declared positions.
    """
    named = getattr(pipeline, "classes_", None)
    if named is None:  # no estimator, but a wrapper of one, which answers for every class
        return list(range(classes))
    found = np.asarray(named)
    positions = [int(c) for c in found] if found.ndim == 1 and found.dtype.kind in "iufb" else []
    if (
        len(positions) != len(found)
        or not all(c in range(classes) for c in positions)
        or not np.all(found == positions)
    ):
        raise OutputsUnknown(f"its outputs are {found.tolist()!r}, and the declared classes are 0 to {classes - 1}")
    return positions


def _by_class(
    answered: np.ndarray[Any, Any], learned: list[int], classes: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``(n, classes)``: each column where its class belongs, and 0 for a class that was not learned."""
    if answered.ndim != 2 or answered.shape[1] != len(learned):
        raise OutputsUnknown(f"it answers in the shape {answered.shape}; {len(learned)} probabilities a row are due")
    if learned == list(range(classes)):
        return answered
    whole = np.zeros((len(answered), classes))
    whole[:, learned] = answered
    return whole


SMALL = 50_000
"""Rows below which one thread predicts: boosting starts its threads again for each tree, and beside other tasks on a
small
machine waiting for them cost ten times the work (measured: 0.25 s instead of 0.02 s for 3,000 rows)."""


def one_thread() -> AbstractContextManager[Any]:
    """Fits and predicts on one thread while it lasts; only libraries that are loaded already are limited.

    For many small fits beside other work: on a busy machine of two cores a boosting of 22,000 rows took 18 s with two
    threads and 1.1 s with one."""
    from threadpoolctl import threadpool_limits

    limited: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="openmp")
    return limited


def _threads_for(rows: int) -> AbstractContextManager[Any]:
    return one_thread() if rows < SMALL else nullcontext()


def importances(
    pipeline: Any,
    features: pd.DataFrame,
    label: np.ndarray[Any, Any],
    *,
    task: str,
    seed: int,
    classes: int | None = None,
    rows: int = 3000,
) -> dict[str, float]:
    """Permutation importance per feature on about ``rows`` rows, clipped at zero and summing to one.

    The loss is the mean absolute error or the log loss. Rows of a rare class are all taken, and weigh what they weigh
    among all rows; a class that is not among the rows, or was not learned, does not change these weights.

    Args:
        pipeline: fitted.
        features: held-out rows.
        label: ``(n,)``: class positions, or numbers.
        task: ``binary``, ``multiclass`` or ``regression``.
        seed: fixes the rows and the permutations.
        classes: how many are declared; None takes 2 for binary, else as many as the estimator and the labels know.
        rows: about how many are used.

    Source: Breiman (2001), Random Forests; ``sklearn.inspection.permutation_importance``.
    """
    from sklearn.inspection import permutation_importance

    rng = np.random.default_rng(seed)
    weights = np.ones(len(features))
    if len(features) > rows:
        chosen, weights = _sampled(label, rows, rng, by_class=task != "regression")
        features, label = features.iloc[chosen], label[chosen]
    if task == "regression":
        metric, count = "mae", None
    else:
        known = [int(c) for c in getattr(pipeline, "classes_", ())]
        metric, count = "log_loss", classes or (2 if task == "binary" else 1 + max([1, *known, *label.astype(int)]))

    def score(model: Any, asked: pd.DataFrame, truth: np.ndarray[Any, Any]) -> float:
        return -float(np.average(row_losses(metric, truth, predict(model, asked, classes=count)), weights=weights))

    with _threads_for(len(features)):
        result = permutation_importance(pipeline, features, label, scoring=score, n_repeats=2, random_state=seed)
    means = np.clip(result.importances_mean, 0, None)
    total = float(means.sum())
    shares = means / total if total > 0 else np.full(len(means), 1 / len(means))
    return {name: float(w) for name, w in zip(features.columns, shares, strict=True)}


def _sampled(
    label: np.ndarray[Any, Any], rows: int, rng: np.random.Generator, *, by_class: bool
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Positions of about so many rows, and how many rows each represents."""
    strata = [np.flatnonzero(label == c) for c in np.unique(label)] if by_class else [np.arange(len(label))]
    chosen, weights = [], []
    for stratum in strata:
        least = rows // (2 * len(strata))
        taken = min(len(stratum), max(least, round(rows * len(stratum) / len(label))))
        chosen.append(rng.choice(stratum, taken, replace=False))
        weights.append(np.full(taken, len(stratum) / max(taken, 1)))
    at, weight = np.concatenate(chosen), np.concatenate(weights)
    order = np.argsort(at)
    return at[order], weight[order]


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
