"""What a fitted pipeline answers, and which of its features the answers rest on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from include.domain.errors import Refusal
from include.domain.losses import row_losses


class OutputsUnknown(Refusal, ValueError):
    """A model that does not say which class each column of its probabilities is of."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The model's answers cannot be read: {why}. Train it on the declared classes.")


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
small machine waiting for them cost ten times the work (measured: 0.25 s instead of 0.02 s for 3,000 rows)."""


def one_thread() -> AbstractContextManager[Any]:
    """Fits and predicts on one thread while it lasts; only libraries that are loaded already are limited.

    For many small fits beside other work: on a busy machine of two cores a boosting of 22,000 rows took 18 s with two
    threads and 1.1 s with one."""
    limited: AbstractContextManager[Any] = _thread_pools(len(sys.modules)).limit(limits=1, user_api="openmp")
    return limited


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> Any:
    """The libraries that are loaded, with their threads; to find them takes longer than a small predict.

    ``modules`` is how many modules are imported: a library that is loaded later comes with another one.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


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
