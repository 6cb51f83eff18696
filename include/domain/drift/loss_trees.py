"""A fitted forest as plain numbers: small JSON to keep with a version, evaluated without the library that fitted it.

The drift sensor estimates a regression's losses each day. Loading a model file for that would cost it more than all
else it does, and a model file would be one more file that must be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PREDICTION = "prediction"
"""The name under which the champion's own answer is one of the trees' inputs."""
LEAF = -1


@dataclass(frozen=True, slots=True)
class Tree:
    """One regression tree, a node an entry. A row goes left where its value is at most the threshold.

    ``feature`` is the input's position, or LEAF; ``missing_left`` says where a missing value goes.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    missing_left: tuple[int, ...]
    value: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LossTrees:
    """The mean of several trees over the features and the prediction.

    ``categories`` gives, for each categorical input, its values in the order of their codes; any other value, and a
    missing one, is missing to the trees.
    """

    inputs: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    trees: tuple[Tree, ...]

    def estimated(self, features: pd.DataFrame, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The expected loss of each row, shape (n,), 0 or more."""
        values = tree_inputs(features, predictions, self.inputs, self.categories)
        total = np.zeros(len(values))
        for tree in self.trees:
            total += _leaves(tree, values)
        return np.asarray(np.maximum(total / len(self.trees), 0.0))

    def as_json(self) -> dict[str, Any]:
        return {
            "inputs": list(self.inputs),
            "categories": {name: list(values) for name, values in self.categories.items()},
            "trees": [{name: list(getattr(t, name)) for name in Tree.__slots__} for t in self.trees],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LossTrees:
        return cls(
            inputs=tuple(data["inputs"]),
            categories={name: tuple(values) for name, values in data["categories"].items()},
            trees=tuple(Tree(**{name: tuple(t[name]) for name in Tree.__slots__}) for t in data["trees"]),
        )


def tree_inputs(
    features: pd.DataFrame,
    predictions: NDArray[np.float64],
    inputs: tuple[str, ...],
    categories: Mapping[str, tuple[str, ...]],
) -> NDArray[np.float32]:
    """Shape (n, inputs): the features as numbers, in the precision the trees were fitted in; infinite ones at its
    ends."""
    columns: list[NDArray[np.float64]] = []
    for name in inputs:
        if name == PREDICTION:
            columns.append(np.asarray(predictions, dtype=np.float64))
        elif name in categories:
            codes = {value: float(i) for i, value in enumerate(categories[name])}
            columns.append(np.asarray(features[name].map(codes), dtype=np.float64))
        else:
            columns.append(np.asarray(features[name], dtype=np.float64))
    largest = float(np.finfo(np.float32).max)
    return np.clip(np.column_stack(columns), -largest, largest).astype(np.float32)


def _leaves(tree: Tree, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The value of the leaf that each row falls into."""
    feature, threshold = np.asarray(tree.feature), np.asarray(tree.threshold)
    left, right, missing = np.asarray(tree.left), np.asarray(tree.right), np.asarray(tree.missing_left, dtype=bool)
    rows, node = np.arange(len(values)), np.zeros(len(values), dtype=np.intp)
    while True:
        inner = feature[node] != LEAF
        if not inner.any():
            return np.asarray(tree.value, dtype=np.float64)[node]
        x = values[rows, np.where(inner, feature[node], 0)]
        goes_left = np.where(np.isnan(x), missing[node], x <= threshold[node])
        node = np.where(inner, np.where(goes_left, left[node], right[node]), node)
