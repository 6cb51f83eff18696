"""Columns cut into groups: the slices of the rows, and the groups whose treatment is compared."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from include.domain.metrics import Floats, Ints

MAX_NUMBERS = 12
"""A column of more distinct numbers is cut at its quartiles, since almost every number would be a group of its own."""
MISSING = "(missing)"
_SHOWN = 40


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Which group of a column each row is in: ``codes`` ``(n,)`` are positions in ``names``. No group is empty."""

    column: str
    names: tuple[str, ...]
    codes: Ints

    @property
    def sizes(self) -> Ints:
        """The rows of each group, ``(g,)``."""
        return np.bincount(self.codes, minlength=len(self.names)).astype(np.intp)

    def counted(self, weight: Floats | None) -> Ints:
        """How many rows of equal weight each group is worth, rounded down, ``(g,)``; its rows where there are no
        weights. ``weight`` is how much each row counts, ``(n,)``, above 0."""
        if weight is None:
            return self.sizes
        sums, squares = (np.bincount(self.codes, each, len(self.names)) for each in (weight, weight**2))
        worth = np.divide(sums**2, squares, out=np.zeros(len(self.names)), where=squares > 0)
        return (worth + 1e-6).astype(np.intp)

    def rows_of(self, group: int) -> NDArray[np.bool_]:
        """A mask of the group's rows, ``(n,)``."""
        found: NDArray[np.bool_] = self.codes == group
        return found

    def name_of(self, group: int) -> str:
        return f"{self.column}={self.names[group]}"


def group(column: str, values: ArrayLike) -> Grouping:
    """Cut a column into its values, largest group first; missing values are a group of their own.

    >>> group("origin", ["JFK", None, "LGA", "JFK"]).names
    ('JFK', '(missing)', 'LGA')
    """
    series = pd.Series(np.asarray(values)) if not isinstance(values, pd.Series) else values.reset_index(drop=True)
    is_number = pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_bool_dtype(series.dtype)
    texts = _bands(series) if is_number and series.nunique() > MAX_NUMBERS else _texts(series)
    codes, names = pd.factorize(texts)
    sizes = np.bincount(codes, minlength=len(names))
    order = np.lexsort((np.asarray(names, dtype=str), -sizes))
    place = np.empty(len(names), dtype=np.intp)
    place[order] = np.arange(len(names))
    return Grouping(column, tuple(str(names[i]) for i in order), place[codes] if len(codes) else codes.astype(np.intp))


def _texts(series: pd.Series[Any]) -> NDArray[np.object_]:
    codes, uniques = pd.factorize(series)
    # Position -1 (missing) is the last entry.
    texts = np.array([*(_text(value) for value in uniques), MISSING], dtype=object)
    found: NDArray[np.object_] = texts[codes]
    return found


def _text(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _bands(series: pd.Series[Any]) -> NDArray[np.object_]:
    numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
    known = numbers[np.isfinite(numbers)]
    # Of so many distinct numbers some are finite, and the lowest is not the highest.
    edges = np.unique(np.quantile(known, [0, 0.25, 0.5, 0.75, 1]))
    inner = edges[1:-1]
    pairs = list(pairwise(edges.tolist()))
    names = [f"[{low:.4g}, {high:.4g}{']' if high == edges[-1] else ')'}" for low, high in pairs]
    texts = np.array([*names, MISSING, "(infinite)"], dtype=object)
    place = np.digitize(numbers, inner)
    place[np.isnan(numbers)] = len(names)
    place[np.isinf(numbers)] = len(names) + 1
    found: NDArray[np.object_] = texts[place]
    return found
