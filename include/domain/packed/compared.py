"""Two lists of answers to the same rows, held against each other bit by bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Difference:
    """How answers differ.

    Attributes:
        rows: how many were compared.
        differing: in how many a bit differs.
        largest: the largest absolute difference; 0 where none differs, infinite where one is no number.
        first: the position of the first row that differs; None where none does.
    """

    rows: int
    differing: int
    largest: float
    first: int | None


def difference(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> Difference:
    """
    Args:
        expected: ``(n,)`` or ``(n, classes)``, float64.
        found: the same shape.

    Raises:
        ValueError: when the shapes differ.

    >>> difference(np.array([0.1, 0.2]), np.array([0.1, np.nextafter(0.2, 1)])).differing
    1
    >>> difference(np.array([0.0]), np.array([-0.0])).differing
    1
    """
    if expected.shape != found.shape:
        raise ValueError(f"answers have the shapes {expected.shape} and {found.shape}")
    n = len(expected)
    wide = (np.ascontiguousarray(a, dtype=np.float64).reshape(n, -1) for a in (expected, found))
    one, other = wide
    differs = (one.view(np.int64) != other.view(np.int64)).any(axis=1)
    if not differs.any():
        return Difference(n, 0, 0.0, None)
    with np.errstate(invalid="ignore"):
        largest = np.abs(one[differs] - other[differs]).max()
    return Difference(n, int(differs.sum()), float(largest) if np.isfinite(largest) else np.inf, int(differs.argmax()))
