"""What has a packed form, by name, and what rows a packed form is asked. Light: a declaration is asked by it alone."""

from __future__ import annotations

PACKABLE = (
    "ARDRegression",
    "BayesianRidge",
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ElasticNet",
    "ElasticNetCV",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "GammaRegressor",
    "GradientBoostingClassifier",
    "GradientBoostingRegressor",
    "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor",
    "HuberRegressor",
    "Lars",
    "LarsCV",
    "Lasso",
    "LassoCV",
    "LassoLars",
    "LassoLarsCV",
    "LassoLarsIC",
    "LinearRegression",
    "LogisticRegression",
    "LogisticRegressionCV",
    "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV",
    "PoissonRegressor",
    "QuantileRegressor",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "Ridge",
    "RidgeCV",
    "TheilSenRegressor",
    "TweedieRegressor",
)
"""The classes of scikit-learn that have a packed form."""

HELD_OUT, HARD, ALONE = "held-out rows", "hard rows", "single rows"
"""The kinds of rows by which a packed form is held against its pipeline."""
