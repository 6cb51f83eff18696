"""Fitting a pipeline; what a library warns or refuses becomes a sentence."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from include.adapters.estimators.building import EstimatorUnusable, first_line
from include.domain.errors import NotDone, Refusal


class FitDidNotConverge(Refusal, ValueError):
    """The estimator stopped before it converged, so its answers would be arbitrary."""


class FitOutOfMemory(NotDone):
    """The fit needed more memory than its process may have."""


def fit(
    pipeline: Any, features: pd.DataFrame, label: np.ndarray[Any, Any], weights: np.ndarray[Any, Any] | None = None
) -> Any:
    """Fit and return the pipeline. A refusal by the estimator is a user's mistake, not a crash.

    Args:
        pipeline: unfitted.
        features: ``(n, features)``.
        label: ``(n,)``.
        weights: ``(n,)``, what each row weighs for the estimator; None weighs all the same.

    Raises:
        EstimatorUnusable: when scikit-learn refuses a parameter, or the rows.
        FitDidNotConverge: when it warns that it has not converged.
        FitOutOfMemory: when the memory did not suffice; nothing is kept, and with more of it the same fit succeeds.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils._param_validation import InvalidParameterError

    name = type(pipeline.steps[-1][1]).__name__
    if weights is not None and not takes_weights(pipeline):
        raise EstimatorUnusable(
            f"{name} takes no sample_weight, so its rows cannot be weighed; name an estimator whose fit takes it, or "
            "leave the weight out."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            given = {} if weights is None else {f"{pipeline.steps[-1][0]}__sample_weight": weights}
            return pipeline.fit(features, label, **given)
    except ConvergenceWarning as warning:
        said = str(warning).split(".")[0].splitlines()[0]
        raise FitDidNotConverge(
            f"{name} did not converge on {len(features):,} rows: {said}. Nothing was kept. {_what_helps(pipeline)}"
        ) from None
    except MemoryError as error:
        raise FitOutOfMemory(
            f"{name} needs more memory than this process may have, on {len(features):,} rows and "
            f"{features.shape[1]} features ({first_line(error)}). Nothing was kept. Give the process more memory and "
            "run the step again, or make training.window_days smaller."
        ) from None
    except InvalidParameterError as error:
        raise EstimatorUnusable(f"estimator.params: {str(error).splitlines()[0]}") from None
    except (ValueError, ArithmeticError, TypeError, AttributeError, LookupError) as error:
        raise EstimatorUnusable(
            f"{name} cannot be fitted on these {len(features):,} rows: {first_line(error)}{_missing_in(features)}"
        ) from None


def takes_weights(pipeline: Any) -> bool:
    """Whether its estimator can weigh rows when it is fitted."""
    from sklearn.utils.validation import has_fit_parameter

    return bool(has_fit_parameter(pipeline.steps[-1][1], "sample_weight"))


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
