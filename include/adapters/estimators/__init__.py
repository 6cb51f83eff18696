"""Scikit-learn pipelines: built from a declaration, fitted, and asked for scores."""

from include.adapters.estimators.answers import (
    SMALL,
    OutputsUnknown,
    as_input,
    importances,
    inputs_of,
    learned_classes,
    one_thread,
    predict,
)
from include.adapters.estimators.building import (
    MAX_CATEGORIES,
    ColumnGroup,
    EstimatorSpec,
    EstimatorUnusable,
    build,
    unfit_for,
)
from include.adapters.estimators.fitting import FitDidNotConverge, FitOutOfMemory, fit, takes_weights
from include.adapters.estimators.loss_trees import fit_loss_trees

__all__ = [
    "MAX_CATEGORIES",
    "SMALL",
    "ColumnGroup",
    "EstimatorSpec",
    "EstimatorUnusable",
    "FitDidNotConverge",
    "FitOutOfMemory",
    "OutputsUnknown",
    "as_input",
    "build",
    "fit",
    "fit_loss_trees",
    "importances",
    "inputs_of",
    "learned_classes",
    "one_thread",
    "predict",
    "takes_weights",
    "unfit_for",
]
