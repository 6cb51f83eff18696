"""What a fitted estimator does with its columns, as trees or coefficients and a link.

Every class is taken by its own name and never as a subclass of another, because a subclass may answer otherwise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from include.adapters.packing.columns import NotPackable

REAL_LINEAR = frozenset(
    {
        *("ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars", "LarsCV", "Lasso"),
        *("LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression", "OrthogonalMatchingPursuit"),
        *("OrthogonalMatchingPursuitCV", "QuantileRegressor", "Ridge", "RidgeCV", "TheilSenRegressor"),
    }
)
"""Regressions of scikit-learn that answer ``X @ coef_ + intercept_``."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What the reader does after the columns.

    Attributes:
        model: ``trees`` or ``linear``.
        arrays: its arrays, by the reader's names.
        link: what becomes of the sum: ``none``, ``expit``, ``expit2``, ``exp`` or ``softmax``.
        outputs: how many sums there are a row.
        depth: the edges from a root to its deepest leaf, over all trees.
        divisor: what the sum is divided by.
        single: whether columns are rounded to float32 first.
        raw_order: the layout of the sums in memory, in which a softmax adds them.
    """

    model: str
    arrays: dict[str, np.ndarray[Any, Any]]
    link: str = "none"
    outputs: int = 1
    depth: int = 0
    divisor: float = 1.0
    single: bool = False
    raw_order: str = "C"


@dataclass(frozen=True, slots=True, eq=False)
class _Tree:
    """One tree's nodes: ``left`` is -1 for a leaf, ``value`` is ``(nodes,)`` or ``(nodes, outputs)``."""

    feature: np.ndarray[Any, Any]
    threshold: np.ndarray[Any, Any]
    left: np.ndarray[Any, Any]
    right: np.ndarray[Any, Any]
    missing_left: np.ndarray[Any, Any]
    value: np.ndarray[Any, Any]


def scored_of(estimator: Any) -> Scored:
    """
    Raises:
        NotPackable: when its class, or something it was given, has no packed form.
    """
    kind = type(estimator)
    found = _WAYS.get(kind.__name__) if kind.__module__.split(".")[0] == "sklearn" else None
    if found is None:
        raise NotPackable(
            f"the estimator is a {kind.__module__.split('.')[0]}.{kind.__name__}, which has no packed form"
        )
    return found(estimator)


def refusal_of(estimator: Any, classifier: bool, columns: int, *, single: bool) -> str:
    """Which values of a column it refuses, found by asking it: ``refuse nan`` (with infinite ones), ``refuse inf``, or
    "" for none."""

    def refused(value: float) -> bool:
        row = np.zeros((1, columns))
        row[0, 0] = value
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                (estimator.predict_proba if classifier else estimator.predict)(row)
        except ValueError:
            return True
        return False

    if refused(np.nan):
        return "refuse nan"
    return "refuse inf" if refused(np.inf) or (single and refused(1e308)) else ""


# --- trees -----------------------------------------------------------------------------------------------------------


def _hist_boosting(estimator: Any) -> Scored:
    if getattr(estimator, "_preprocessor", None) is not None:
        raise NotPackable("the boosting splits on categories (categorical_features), which has no packed form")
    trees = [_hist_tree(predictor.nodes) for step in estimator._predictors for predictor in step]
    start = 0.0 + np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1)
    return _forest(trees, start, link=_link_of(estimator._loss), raw_order="F")


def _hist_tree(nodes: np.ndarray[Any, Any]) -> _Tree:
    leaf = nodes["is_leaf"].astype(bool)
    if nodes["is_categorical"][~leaf].any():
        raise NotPackable("the boosting splits on categories (categorical_features), which has no packed form")
    left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
    missing = nodes["missing_go_to_left"].astype(bool)
    return _Tree(nodes["feature_idx"], nodes["num_threshold"], left, right, missing, nodes["value"])


def _boosting(estimator: Any) -> Scored:
    from sklearn.dummy import DummyClassifier, DummyRegressor

    init = estimator.init_
    if not (isinstance(init, str) or type(init) in (DummyClassifier, DummyRegressor)):
        raise NotPackable(f"the boosting begins with a {type(init).__name__} (init), which has no packed form")
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), dtype=np.float32))[0]
    trees = [
        _tree(tree.tree_, estimator.learning_rate * tree.tree_.value[:, 0, 0])
        for step in estimator.estimators_
        for tree in step
    ]
    classifier = hasattr(estimator, "classes_")
    return _forest(trees, start, link=_link_of(estimator._loss) if classifier else "none", single=True)


def _random_forest(estimator: Any) -> Scored:
    if estimator.n_jobs not in (None, 1):
        raise NotPackable(
            f"the forest adds its trees by n_jobs: {estimator.n_jobs} threads in no fixed order, so its own answers "
            "differ in their last digits from one time to the next; declare n_jobs: 1"
        )
    trees = [_tree(tree.tree_, _values(tree)) for tree in estimator.estimators_]
    outputs = trees[0].value.shape[1]
    return _forest(trees, np.zeros(outputs), divisor=float(len(trees)), single=True)


def _one_tree(estimator: Any) -> Scored:
    tree = _tree(estimator.tree_, _values(estimator))
    return _forest([tree], np.full(tree.value.shape[1], -0.0), single=True)  # -0.0 changes no number it is added to


def _values(tree: Any) -> np.ndarray[Any, Any]:
    """``(nodes, outputs)``: the shares of the classes, or the value."""
    if tree.n_outputs_ != 1:
        raise NotPackable(f"the estimator answers {tree.n_outputs_} labels at once")
    classes = int(tree.n_classes_) if hasattr(tree, "classes_") else 1
    values: np.ndarray[Any, Any] = tree.tree_.value[:, 0, :classes]
    return values


def _tree(tree: Any, value: np.ndarray[Any, Any]) -> _Tree:
    left, right = tree.children_left, tree.children_right
    missing = np.asarray(tree.missing_go_to_left).astype(bool)
    return _Tree(tree.feature, tree.threshold, left, right, missing, value)


def _forest(
    trees: Sequence[_Tree],
    start: np.ndarray[Any, Any],
    *,
    link: str = "none",
    divisor: float = 1.0,
    single: bool = False,
    raw_order: str = "C",
) -> Scored:
    """All trees as one: nodes renumbered so that the children of a node are neighbours, the right one first."""
    parts, depths, root, at = [], [0], [], 0
    for tree in trees:
        order, child, depth = _renumbered(tree)
        inner = tree.left[order] >= 0
        feature = np.where(inner, tree.feature[order], 0)
        threshold = np.where(inner, tree.threshold[order], np.nan)  # nothing is at most NaN: a leaf stays where it is
        parts.append((feature, inner & tree.missing_left[order], threshold, child + at, tree.value[order]))
        root.append(at)
        depths.append(depth)
        at += len(order)
    feature, missing_left, threshold, child, value = (np.concatenate(p) for p in zip(*parts, strict=True))
    arrays = {
        "feature": feature.astype(np.int64),
        "missing_left": missing_left,
        "threshold": threshold.astype(np.float64),
        "child": child.astype(np.int64),
        "value": np.ascontiguousarray(value, dtype=np.float64),
        "root": np.array(root, dtype=np.int64),
        "start": np.asarray(start, dtype=np.float64),
    }
    return Scored("trees", arrays, link, len(start), max(depths), divisor, single, raw_order)


def _renumbered(tree: _Tree) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    """The old numbers of the nodes in their new order, the new number of each one's right child (its own for a leaf),
    and the depth. Level by level; the left child follows the right one."""
    order, child, depth = [0], [0], 0
    level = [0]
    while level:
        following = []
        for new in level:
            old = order[new]
            if tree.left[old] < 0:
                child[new] = new
                continue
            child[new] = len(order)
            following += [len(order), len(order) + 1]
            order += [int(tree.right[old]), int(tree.left[old])]
            child += [0, 0]
        depth += 1 if following else 0
        level = following
    return np.array(order), np.array(child), depth


# --- linear ----------------------------------------------------------------------------------------------------------


def _logistic(estimator: Any) -> Scored:
    link = "expit" if len(estimator.classes_) == 2 else "softmax"
    return _linear(estimator, link)


def _real(estimator: Any) -> Scored:
    return _linear(estimator, "none")


def _generalized(estimator: Any) -> Scored:
    return _linear(estimator, _link_of(estimator._base_loss))


def _linear(estimator: Any, link: str) -> Scored:
    coefficients = np.asarray(estimator.coef_)
    intercept = np.asarray(estimator.intercept_)
    if coefficients.dtype != np.float64 or intercept.dtype.kind not in "fi":
        raise NotPackable(f"its coefficients are {coefficients.dtype} and not float64")
    outputs = 1 if coefficients.ndim == 1 else len(coefficients)
    if link == "none" and outputs != 1:
        raise NotPackable(f"the estimator answers {outputs} labels at once")
    arrays = {"coefficients": coefficients, "intercept": intercept.astype(np.float64)}
    return Scored("linear", arrays, link, outputs)


def _link_of(loss: Any) -> str:
    names = {"IdentityLink": "none", "LogLink": "exp", "LogitLink": "expit", "HalfLogitLink": "expit2"}
    names["MultinomialLogit"] = "softmax"
    name = type(loss.link).__name__
    if name not in names:
        raise NotPackable(f"the estimator's link is {name}, which has no packed form")
    return names[name]


_WAYS: dict[str, Callable[[Any], Scored]] = {
    "HistGradientBoostingClassifier": _hist_boosting,
    "HistGradientBoostingRegressor": _hist_boosting,
    "GradientBoostingClassifier": _boosting,
    "GradientBoostingRegressor": _boosting,
    **dict.fromkeys(
        ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor"),
        _random_forest,
    ),
    **dict.fromkeys(
        ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"), _one_tree
    ),
    "LogisticRegression": _logistic,
    "LogisticRegressionCV": _logistic,
    **dict.fromkeys(sorted(REAL_LINEAR), _real),
    **dict.fromkeys(("GammaRegressor", "PoissonRegressor", "TweedieRegressor"), _generalized),
}
PACKABLE = tuple(sorted(_WAYS))
"""The classes of scikit-learn that have a packed form."""
