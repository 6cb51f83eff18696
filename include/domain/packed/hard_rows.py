"""Rows made to show a difference between a packed model and the pipeline it came from.

Real rows hardly ever lie at a threshold: an export to ONNX agreed with its pipeline on 2,000 of 2,000 real rows to six
digits, and was off by up to 0.12 on 305 of 2,000 rows that had a value at one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from include.domain.packed.reader import Packed

NUMBERS: tuple[float | None, ...] = (
    None,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    3.5e38,
    0.0,
    -0.0,
    5e-324,
    2.0**53 + 1,
    -1.0,
    1e-38,
)
"""What any number may be: missing, infinite, too large for float32, below its smallest, and a zero with a sign."""
TEXTS = (None, "", " ", "\U0001f600", "a category that no one ever saw", "x\x00", "NaN", "None", "-1", "é")
"""What any category may be: missing, empty, an emoji, unseen, and what looks like a missing one."""


def thresholds(model: Packed) -> dict[str, np.ndarray[Any, Any]]:
    """For each numeric feature the values at which a tree of the model divides, in the feature's own unit; without
    repetition, in ascending order. Empty for a model without trees.

    A step of arithmetic before the trees is turned round, which meets the threshold up to some units in the last place.
    """
    found: dict[str, np.ndarray[Any, Any]] = {}
    by_column = _by_column(model)
    for name, to in zip(model.features, model.about["inputs"], strict=True):
        if to["codes"] is None:
            values = [_before_steps(model, c, by_column[c]) for c in to["at"] if c in by_column]
            joined = np.unique(np.concatenate(values)) if values else np.empty(0)
            found[name] = joined[np.isfinite(joined)]
    return found


def beside(value: float) -> list[float]:
    """The value and its neighbours, one unit in the last place away, as float64 and as float32."""
    near = np.float32(value) if abs(value) < 3.4e38 else np.float32(0)
    singles = (near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf)))
    doubles = (value, np.nextafter(value, -np.inf), np.nextafter(value, np.inf))
    return [float(v) for v in (*doubles, *singles)]


def hard_rows(model: Packed, real: Mapping[str, Sequence[Any]], count: int, seed: int) -> dict[str, list[Any]]:
    """Real rows in each of which some features were replaced by what is most likely to be answered otherwise.

    Args:
        model: packed; its thresholds and categories are used.
        real: rows as the reader takes them, at least one.
        count: how many rows are made.
        seed: fixes them.
    """
    rng = np.random.default_rng(seed)
    divides, size = thresholds(model), len(real[model.features[0]])
    base = rng.integers(0, size, count)
    rows = {name: [real[name][i] for i in base] for name in model.features}
    share = min(1.0, 3.0 / len(model.features))
    for name, to in zip(model.features, model.about["inputs"], strict=True):
        for i in np.flatnonzero(rng.random(count) < share):
            if to["codes"] is None:
                rows[name][i] = _number(rng, divides[name])
            else:
                known = [category for category, _ in to["codes"]]
                pool = known if known and rng.random() < 0.3 else TEXTS
                rows[name][i] = pool[int(rng.integers(len(pool)))]
    return rows


def _number(rng: np.random.Generator, divides: np.ndarray[Any, Any]) -> float | None:
    if len(divides) and rng.random() < 0.7:
        near = beside(float(divides[int(rng.integers(len(divides)))]))
        return near[int(rng.integers(len(near)))]
    return NUMBERS[int(rng.integers(len(NUMBERS)))]


def _by_column(model: Packed) -> dict[int, np.ndarray[Any, Any]]:
    """The thresholds of each column of the estimator."""
    if model.about["model"] != "trees":
        return {}
    inner = ~np.isnan(model.arrays["threshold"])
    columns = model.arrays["feature"][inner] % model.about["columns"]
    values = model.arrays["threshold"][inner]
    return {int(c): np.unique(values[columns == c]) for c in np.unique(columns)}


def _before_steps(model: Packed, column: int, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    for step in reversed(model.about["steps"]):
        at = range(*step["at"]) if step["whole"] else step["at"]
        if column not in at or step["does"] not in _BACK:
            continue
        by = model.arrays[step["by"]][..., list(at).index(column)]
        with np.errstate(all="ignore"):
            values = _BACK[step["does"]](values, by)
    return values


_BACK: dict[str, Any] = {
    "subtract": np.add,
    "divide": np.multiply,
    "multiply": np.divide,
    "add": np.subtract,
}
