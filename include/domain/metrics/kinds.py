"""What a metric is: a value with its direction and range, how it is summed, and what it needs of its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.domain.errors import Refusal
from include.domain.verdicts import Direction

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEAST, MOST = Direction.AT_LEAST, Direction.AT_MOST
INFINITE = float("inf")
LEAST_SUPPORT = 20
"""Fewer rows of the kind a metric rests on (positives, say) give no dependable error of it."""


class Task(Enum):
    """What kind of answer a model gives."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class OwnMetricFailed(Refusal, ValueError):
    """A metric of a team's own has no value on these rows; the message is a clause that says why."""


class ShapesDiffer(ValueError):
    """Labels and scores that are not of the same rows: broken machinery, not weak evidence."""

    def __init__(self, what: str, shape: tuple[int, ...], expected: str) -> None:
        super().__init__(f"{what} has shape {shape}; it must be {expected}: one entry for each judged row.")


@dataclass(frozen=True, slots=True)
class Support:
    """The rows that a metric rests on: how many, after the words ``what``: ``the positive class has`` 12 rows."""

    rows: int
    what: str

    def why_thin(self, worth: float = 1.0) -> str | None:
        """Why so few rows, each ``worth`` so much of one (below 1 with weights), are no evidence, as a clause; None
        where there are enough."""
        rows, effective = int(self.rows * worth), "effective " if worth < 1 else ""
        if rows >= LEAST_SUPPORT:
            return None
        return f"{self.what} {rows} {effective}rows; at least {LEAST_SUPPORT} are needed"


@dataclass(frozen=True, slots=True)
class Cells:
    """A metric of counts: each row is in one cell, and the metric is a function of how many rows each cell has.

    ``of_rows`` gives each row's cell ``(n,)`` and how many there are; ``value`` maps counts ``(r, cells)``, whole or
    not, to ``(r,)`` values, NaN where they allow none.
    """

    of_rows: Callable[[Floats, Floats], tuple[Ints, int]]
    value: Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``better`` says which direction is good; ``low`` and ``high`` its range.

    ``per_row`` gives the ``(n,)`` values whose mean is the metric, or None where the metric is no mean over rows.
    """

    name: str
    better: Direction
    low: float
    high: float
    value: Callable[[Floats, Floats], float]
    per_row: Callable[[Floats, Floats], Floats] | None = None
    needs_probabilities: bool = False
    needs_two_classes: bool = False
    own: bool = False
    """Whether it is a team's own: its functions may raise (``own_metrics.OwnMetricFailed``)."""
    of_values: bool = False
    """Whether it is the mean of values that are known beforehand, which its functions are given as the scores."""
    cells: Cells | None = None
    """How it follows from counts of decisions; None where it does not."""
    support: Callable[[Floats, Floats], Support] | None = None
    """The rows it rests on, of labels and scores; None where that is all of them."""
    bad_labels: Callable[[Floats, int], str | None] | None = None
    """Why labels, of so many classes, do not allow it, as a clause; None where any finite ones do."""
    bad_scores: Callable[[Floats], str | None] | None = None
    """The same of scores."""

    def __str__(self) -> str:
        return self.name

    @property
    def worse_sign(self) -> int:
        """+1 where a larger value is worse, -1 where a smaller one is."""
        return 1 if self.better is Direction.AT_MOST else -1

    def why_thin(self, y: Floats, score: Floats, worth: float = 1.0) -> str | None:
        """Why usable rows are too few to say anything by this metric, as a clause; None where they are enough."""
        return None if self.support is None else self.support(y, score).why_thin(worth)


def mean_of(
    name: str,
    better: Direction,
    low: float,
    high: float,
    per_row: Callable[[Floats, Floats], Floats],
    **more: Any,
) -> Metric:
    """A metric that is the mean of a value of each row; ``more`` are further fields of it."""
    return Metric(name, better, low, high, lambda y, score: float(np.mean(per_row(y, score))), per_row, **more)


def ratio(above: Floats, below: Floats) -> Floats:
    """``above / below``, NaN where below is not positive."""
    found: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return found


def rarer_class(y: Floats, score: Floats) -> Support:
    """The rows of the rarer of two classes."""
    return Support(int(min((y == 1).sum(), (y != 1).sum())), "the rarer class has")
