"""Small models of every kind that has a packed form, and rows to ask them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.adapters import estimators, packing
from include.adapters.packing.files import as_columns
from include.domain.packed.hard_rows import hard_rows
from include.domain.packed.reader import NotAnswerable, Packed

KINDS = {"level": "numeric", "wide": "numeric", "place": "categorical", "side": "categorical", "late": "boolean"}
LINEAR, ENSEMBLE, TREE = "sklearn.linear_model.", "sklearn.ensemble.", "sklearn.tree."
SCALED = estimators.ColumnGroup("preprocess.0", "numeric", (("sklearn.preprocessing.StandardScaler", {}),))
ROBUST = estimators.ColumnGroup("preprocess.0", "numeric", (("sklearn.preprocessing.RobustScaler", {}),))
LARGEST = estimators.ColumnGroup("preprocess.0", ("level",), (("sklearn.preprocessing.MaxAbsScaler", {}),))
SQUEEZED = estimators.ColumnGroup(
    "preprocess.0", ("level", "wide"), (("sklearn.preprocessing.MinMaxScaler", {"clip": True}),)
)
TABLE_SCALED = estimators.ColumnGroup("preprocess.1", ("place",), (("sklearn.preprocessing.StandardScaler", {}),))
OFTEN = ("LogisticRegression", "LinearRegression", "Ridge", "Lasso", "PoissonRegressor", "GammaRegressor")


@dataclass(frozen=True)
class PackedCase:
    """One declared estimator. ``task`` is binary, multiclass, regression, or positive for a regression above zero."""

    path: str
    task: str
    params: tuple[tuple[str, Any], ...] = ()
    encode: str = "ordinal"
    groups: tuple[estimators.ColumnGroup, ...] = ()

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def classes(self) -> int | None:
        return {"binary": 2, "multiclass": 3}.get(self.task)

    @property
    def rare(self) -> bool:
        """Whether it takes the same way through the packing as another case that is not rare."""
        return self.path.startswith(LINEAR) and self.name not in OFTEN

    def __str__(self) -> str:
        more = [f"{key}={value}" for key, value in self.params if key not in ("max_iter", "n_estimators")]
        return " ".join(
            [self.name, self.task, self.encode, *more, *(g.steps[0][0].rpartition(".")[2] for g in self.groups)]
        )


def case(path: str, task: str, *groups: estimators.ColumnGroup, encode: str = "ordinal", **params: Any) -> PackedCase:
    return PackedCase(path, task, tuple(params.items()), encode, groups)


CASES = (
    case(ENSEMBLE + "HistGradientBoostingClassifier", "binary", max_iter=12),
    case(ENSEMBLE + "HistGradientBoostingClassifier", "multiclass", SCALED, max_iter=6),
    case(ENSEMBLE + "HistGradientBoostingRegressor", "regression", encode="one_hot", max_iter=12),
    case(ENSEMBLE + "HistGradientBoostingRegressor", "positive", SQUEEZED, TABLE_SCALED, max_iter=12, loss="poisson"),
    case(ENSEMBLE + "HistGradientBoostingRegressor", "positive", max_iter=12, loss="gamma"),
    case(ENSEMBLE + "GradientBoostingClassifier", "binary", n_estimators=8),
    case(ENSEMBLE + "GradientBoostingClassifier", "binary", n_estimators=8, loss="exponential"),
    case(ENSEMBLE + "GradientBoostingClassifier", "multiclass", LARGEST, n_estimators=4),
    case(ENSEMBLE + "GradientBoostingRegressor", "regression", n_estimators=8, loss="huber"),
    case(ENSEMBLE + "GradientBoostingRegressor", "regression", n_estimators=8, init="zero"),
    case(ENSEMBLE + "RandomForestClassifier", "binary", n_estimators=8),
    case(ENSEMBLE + "RandomForestClassifier", "multiclass", encode="one_hot", n_estimators=8),
    case(ENSEMBLE + "RandomForestRegressor", "regression", n_estimators=8),
    case(ENSEMBLE + "ExtraTreesClassifier", "multiclass", n_estimators=8),
    case(ENSEMBLE + "ExtraTreesRegressor", "regression", ROBUST, n_estimators=8),
    case(TREE + "DecisionTreeClassifier", "binary", max_depth=5),
    case(TREE + "DecisionTreeRegressor", "regression"),
    case(TREE + "ExtraTreeClassifier", "multiclass", max_depth=5),
    case(TREE + "ExtraTreeRegressor", "regression", max_depth=5),
    case(LINEAR + "LogisticRegression", "binary", SCALED, encode="one_hot", max_iter=3000),
    case(LINEAR + "LogisticRegression", "multiclass", SCALED, max_iter=3000),
    case(
        LINEAR + "LogisticRegressionCV",
        "binary",
        SCALED,
        max_iter=3000,
        Cs=2,
        scoring=None,
        cv=2,
        use_legacy_attributes=False,
        l1_ratios=(0,),
    ),
    case(LINEAR + "ARDRegression", "regression", SCALED, max_iter=2000),
    case(LINEAR + "BayesianRidge", "regression"),
    case(LINEAR + "ElasticNet", "regression", SCALED, alpha=0.01),
    case(LINEAR + "ElasticNetCV", "regression", SCALED, cv=2, alphas=5),
    case(LINEAR + "HuberRegressor", "regression", SCALED, max_iter=2000),
    case(LINEAR + "Lars", "regression"),
    case(LINEAR + "LarsCV", "regression", SCALED, cv=2),
    case(LINEAR + "Lasso", "regression", SCALED, encode="one_hot", alpha=0.01),
    case(LINEAR + "LassoCV", "regression", SCALED, cv=2, alphas=5),
    case(LINEAR + "LassoLars", "regression", alpha=0.01),
    case(LINEAR + "LassoLarsCV", "regression", SCALED, cv=2),
    case(LINEAR + "LassoLarsIC", "regression"),
    case(LINEAR + "LinearRegression", "regression", encode="one_hot"),
    case(LINEAR + "OrthogonalMatchingPursuit", "regression"),
    case(LINEAR + "OrthogonalMatchingPursuitCV", "regression", SCALED, cv=2),
    case(LINEAR + "QuantileRegressor", "regression"),
    case(LINEAR + "Ridge", "regression", SQUEEZED),
    case(LINEAR + "RidgeCV", "regression"),
    case(LINEAR + "TheilSenRegressor", "regression", SCALED, max_subpopulation=50),
    case(LINEAR + "PoissonRegressor", "positive", SCALED, max_iter=2000),
    case(LINEAR + "GammaRegressor", "positive", SCALED, encode="one_hot", max_iter=2000),
    case(LINEAR + "TweedieRegressor", "positive", SCALED, max_iter=2000, power=1.5),
    case(LINEAR + "TweedieRegressor", "regression", SCALED, max_iter=2000, power=0),
)
"""Every class with a packed form at least once, between them every step and every link."""


def rows(n: int, seed: int) -> pd.DataFrame:
    """Numbers of unlike scale, categories of which one is rare, gaps, and a flag."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "level": rng.standard_normal(n),
            "wide": np.where(rng.random(n) < 0.1, np.nan, 1e5 * rng.standard_normal(n)),
            "place": rng.choice(["north", "south", "east", "\U0001f600"], n, p=[0.4, 0.3, 0.27, 0.03]).astype(object),
            "side": np.where(rng.random(n) < 0.1, None, rng.choice(["left", "right"], n)),
            "late": rng.random(n) < 0.5,
        }
    )
    return estimators.as_input(frame, KINDS)


def labels(task: str, frame: pd.DataFrame, seed: int) -> np.ndarray:
    level = frame["level"].to_numpy() + 0.5 * (frame["place"] == "north").to_numpy()
    level = (
        level
        + np.nan_to_num(frame["wide"].to_numpy()) / 2e5
        + 0.3 * np.random.default_rng(seed).standard_normal(len(frame))
    )
    if task == "binary":
        return (level > 0.4).astype(int)
    if task == "multiclass":
        return np.digitize(level, [-0.3, 0.8])
    return np.exp(level / 3) if task == "positive" else level


def fitted(given: PackedCase, seed: int = 1, n: int = 240) -> Any:
    """A pipeline of the case, on rows with gaps; numbers are filled where its estimator does not take a gap."""
    frame = rows(n, seed)
    takes_gaps = "Hist" in given.name or "Forest" in given.name or "Tree" in given.name
    spec = estimators.EstimatorSpec(
        given.path, dict(given.params), given.encode, not takes_gaps, KINDS, seed, given.groups
    )
    return estimators.fit(estimators.build(spec), frame, labels(given.task, frame, seed))


def packed(given: PackedCase, pipeline: Any, seed: int = 1) -> Packed:
    learned = None if given.classes is None else list(range(given.classes))
    return Packed(
        packing.packed_arrays(pipeline, KINDS, learned=learned, classes=given.classes, example=rows(6, seed + 100))
    )


def hard(model: Packed, count: int, seed: int) -> dict[str, list[Any]]:
    return hard_rows(model, as_columns(rows(60, seed)), count, seed)


def row_of(columns: dict[str, list[Any]], i: int) -> dict[str, Any]:
    return {name: values[i] for name, values in columns.items()}


def answered_by(model: Packed, columns: dict[str, list[Any]]) -> list[int]:
    """The positions of the rows that the packed model answers; it refuses the others."""
    found = []
    for i in range(len(columns[model.features[0]])):
        try:
            model.one(row_of(columns, i))
        except NotAnswerable:
            continue
        found.append(i)
    return found


def as_frame(columns: dict[str, list[Any]], positions: list[int] | None = None) -> pd.DataFrame:
    chosen = {n: v if positions is None else [v[i] for i in positions] for n, v in columns.items()}
    return estimators.as_input(pd.DataFrame({n: pd.Series(v, dtype=object) for n, v in chosen.items()}), KINDS)
