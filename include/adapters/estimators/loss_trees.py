"""Fitting the trees that estimate a row's loss before its label is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from include.domain.drift.loss_trees import LEAF, PREDICTION, LossTrees, Tree, tree_inputs

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
        features: Held-out rows, as :func:`include.adapters.estimators.answers.as_input` makes them.
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
