"""The same value in every spelling: 1.0 is the category "1", yes is true, and "7" the number 7."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.domain.drift.profile import FeatureKind

if TYPE_CHECKING:
    import pandas as pd

FLAGS = {"true": 1.0, "yes": 1.0, "y": 1.0, "t": 1.0, "1": 1.0, "false": 0.0, "no": 0.0, "n": 0.0, "f": 0.0, "0": 0.0}
"""Texts of what has two values."""


def aligned(column: pd.Series[Any], kind: FeatureKind) -> pd.Series[Any]:
    """The values of a column as the reference's kind compares them; other values stay as they are."""
    import pandas as pd

    flag = pd.api.types.is_bool_dtype(column.dtype)
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not flag
    if kind is FeatureKind.CATEGORICAL and numeric:
        return column.map(lambda value: f"{value:.0f}" if float(value).is_integer() else repr(float(value)), "ignore")
    if kind is FeatureKind.NUMERIC and not numeric and not flag:
        return column.astype(object)
    if kind is FeatureKind.BOOLEAN and not numeric and not flag:
        return column.astype(object).map(lambda value: FLAGS.get(str(value).strip().lower(), value), "ignore")
    return column


def texts_of(column: pd.Series[Any]) -> pd.Series[Any]:
    """The values as texts, None where there is none: the class 1 is "1" as a number, a fraction 1.0 and a text."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dropna().infer_objects().dtype):
        column = column.map({True: "true", False: "false"})
    texts = aligned(column, FeatureKind.CATEGORICAL).astype(object)
    return texts.where(texts.notna(), None)


def flags_of(column: pd.Series[Any]) -> pd.Series[Any] | None:
    """The values as 1 and 0 where all are yes and no, true and false, 1 and 0; None where they are not."""
    texts = texts_of(column)
    found = texts.map(lambda text: FLAGS.get(str(text).strip().lower()), na_action="ignore")
    return None if (texts.notna() & found.isna()).any() else found.astype(float)
