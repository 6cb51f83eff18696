"""Metrics of a team's own: a function of labels and scores becomes a ``Metric`` by one of two decorators.

>>> @per_row(better="lower", low=0)
... def cost(labels, scores):
...     return np.where(labels == 1, 5 * (1 - scores), scores)
>>> cost.value(np.array([1.0, 0.0]), np.array([0.8, 0.4])), cost.better.value
(0.7, 'at_most')

Whatever the function does, a number that is no measurement never reaches a gate: what raises, has another shape, is
NaN, or is outside the declared range, is ``OwnMetricFailed``, which a gate reports as INCONCLUSIVE.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from include.domain.metrics import Floats, Metric, OwnMetricFailed
from include.domain.verdicts import Direction

Better = Literal["lower", "higher"]


def per_row(
    *, better: Better, low: float = -math.inf, high: float = math.inf
) -> Callable[[Callable[[Floats, Floats], Any]], Metric]:
    """A metric that is the mean of a value for each row. Prefer it: days are compared quickly and exactly.

    Args:
        better: which direction is good.
        low: the least value of a row.
        high: the greatest value of a row.
    """
    direction = _direction(better, low, high)

    def decorate(function: Callable[[Floats, Floats], Any]) -> Metric:
        name = function.__name__

        def rows(y: Floats, score: Floats) -> Floats:
            returned = _called(function, name, y, score)
            try:
                values = np.asarray(returned, dtype=np.float64)
            except (TypeError, ValueError):
                raise OwnMetricFailed(f"{name} returned {type(returned).__name__} instead of numbers") from None
            if values.shape != (len(y),):
                raise OwnMetricFailed(f"{name} returned the shape {values.shape}; ({len(y)},) is due, a value each row")
            return _within(values, name, low, high)

        return Metric(name, direction, low, high, lambda y, s: float(np.mean(rows(y, s))), rows, own=True)

    return decorate


def whole(
    *, better: Better, low: float = -math.inf, high: float = math.inf
) -> Callable[[Callable[[Floats, Floats], Any]], Metric]:
    """A metric of all rows together, which is no mean over them. Days are compared by leaving one out at a time, so the
    function is called about as often as there are days.

    Args:
        better: which direction is good.
        low: the least value.
        high: the greatest value.
    """
    direction = _direction(better, low, high)

    def decorate(function: Callable[[Floats, Floats], Any]) -> Metric:
        name = function.__name__

        def value(y: Floats, score: Floats) -> float:
            returned = _called(function, name, y, score)
            try:
                number = float(returned)
            except (TypeError, ValueError):
                raise OwnMetricFailed(f"{name} returned {type(returned).__name__} instead of a number") from None
            return float(_within(np.array([number]), name, low, high)[0])

        return Metric(name, direction, low, high, value, own=True)

    return decorate


def of_values(name: str, better: Better) -> Metric:
    """A metric whose value of each row is known already, for each of candidate, champion and baseline: their mean.

    The scores it is given are these values (``Evidence.seen_by``).
    """
    return Metric(
        name,
        _direction(better, -math.inf, math.inf),
        -math.inf,
        math.inf,
        lambda y, s: float(np.mean(s)),
        lambda y, s: s,
        own=True,
        of_values=True,
    )


def _direction(better: str, low: float, high: float) -> Direction:
    if better not in ("lower", "higher"):
        raise ValueError(f"better is {better!r}; give lower or higher")
    if not low < high:
        raise ValueError(f"the range is from {low:g} to {high:g}; low must be below high")
    return Direction.AT_MOST if better == "lower" else Direction.AT_LEAST


def _called(function: Callable[[Floats, Floats], Any], name: str, y: Floats, score: Floats) -> Any:
    """The function's result on read-only views."""
    labels, scores = y.view(), score.view()
    labels.flags.writeable = scores.flags.writeable = False
    try:
        return function(labels, scores)
    except (Exception, SystemExit) as error:
        said = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise OwnMetricFailed(f"{name} raised {type(error).__name__}: {said}") from error


def _within(values: Floats, name: str, low: float, high: float) -> Floats:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        of = f"{bad:,} of {len(values):,} values that are" if len(values) > 1 else "a value that is"
        raise OwnMetricFailed(f"{name} gave {of} no number")
    outside = values[(values < low) | (values > high)]
    if len(outside):
        raise OwnMetricFailed(f"{name} gave {outside[0]:g}, outside its range from {low:g} to {high:g}")
    return values
