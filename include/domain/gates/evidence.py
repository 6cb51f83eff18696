"""What the gates judge on: one set of rows, scored by candidate, champion and baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from include.domain.metrics import Floats, Ints, Metric, Task, as_floats
from include.domain.weights import effective_rows


class BadEvidence(ValueError):
    """Evidence whose parts are not about the same rows."""

    def __init__(self, what: str, rows: int, expected: int) -> None:
        super().__init__(f"{what} has {rows} rows, the labels {expected}: evidence is one entry of each for each row.")


@dataclass(frozen=True, slots=True, eq=False)
class RowValues:
    """What each of ``n`` rows is worth by a business metric, ``(n,)``, under each one's answer; NaN where it is not
    known, None where there is no answer."""

    candidate: Floats
    champion: Floats | None = None
    baseline: Floats | None = None

    def where(self, rows: NDArray[np.bool_]) -> RowValues:
        """Those of some of the rows, chosen by a mask."""
        champion, baseline = (None if v is None else v[rows] for v in (self.champion, self.baseline))
        return RowValues(self.candidate[rows], champion, baseline)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Labels and scores of the same ``n`` rows, as in ``metrics``; anything array-like is taken, None becomes NaN.

    ``champion`` is None where no champion scored these rows, ``baseline`` where no naive baseline did. ``days`` labels
    each row's day: rows of one day are not independent. Without it every row counts as independent of every other. The
    labels are kept as their positions in sorted order. ``values`` are those of the model's business metrics, by name.

    Raises:
        ShapesDiffer, BadEvidence: the parts are not of the same rows.
    """

    task: Task
    y: Floats
    candidate: Floats
    champion: Floats | None = None
    baseline: Floats | None = None
    days: Ints | None = None
    values: Mapping[str, RowValues] = field(default_factory=dict)
    weight: Floats | None = None

    def __init__(
        self,
        task: Task,
        y: ArrayLike,
        candidate: ArrayLike,
        champion: ArrayLike | None = None,
        baseline: ArrayLike | None = None,
        days: ArrayLike | None = None,
        values: Mapping[str, RowValues] | None = None,
    ) -> None:
        many = task is Task.MULTICLASS
        labels = as_floats("y", y)

        def scores(what: str, values: ArrayLike | None) -> Floats | None:
            return None if values is None else as_floats(what, values, len(labels), matrix=many)

        day = None if days is None else np.unique(np.asarray(days), return_inverse=True)[1].astype(np.intp)
        if day is not None and len(day) != len(labels):
            raise BadEvidence("days", len(day), len(labels))
        parts = {
            "task": task,
            "y": labels,
            "candidate": scores("candidate", candidate),
            "champion": scores("champion", champion),
            "baseline": scores("baseline", baseline),
            "days": day,
            "values": dict(values or {}),
            "weight": None,
        }
        for name, value in parts.items():
            object.__setattr__(self, name, value)

    @property
    def rows(self) -> int:
        return len(self.y)

    @property
    def judged_rows(self) -> int:
        """What a bound on the number of rows is held against: the effective number, where rows have weights."""
        return self.rows if self.weight is None else int(effective_rows(self.weight))

    @property
    def worth(self) -> float:
        """How many rows of equal weight one of these is worth on average, at most 1."""
        return 1.0 if self.weight is None or not self.rows else effective_rows(self.weight) / self.rows

    def weighted(self, weight: Floats | None) -> Evidence:
        """The same with how much each row counts, ``(n,)``, each above 0."""
        if weight is not None and len(weight) != self.rows:
            raise BadEvidence("weight", len(weight), self.rows)
        parts = (self.task, self.y, self.candidate, self.champion, self.baseline, self.days)
        found = Evidence(*parts, self.values)
        object.__setattr__(found, "weight", weight)
        return found

    def where(self, rows: NDArray[np.bool_]) -> Evidence:
        """The evidence of some of the rows, chosen by a mask ``(n,)``: a slice."""
        return Evidence(
            self.task,
            self.y[rows],
            self.candidate[rows],
            None if self.champion is None else self.champion[rows],
            None if self.baseline is None else self.baseline[rows],
            None if self.days is None else self.days[rows],
            {name: values.where(rows) for name, values in self.values.items()},
        ).weighted(None if self.weight is None else self.weight[rows])

    def with_values(self, values: Mapping[str, RowValues]) -> Evidence:
        """The same with the values of business metrics."""
        parts = (self.task, self.y, self.candidate, self.champion, self.baseline, self.days)
        return Evidence(*parts, values).weighted(self.weight)

    def seen_by(self, metric: str | Metric) -> Evidence:
        """The evidence as the metric is measured on it: itself, or the values of a business metric as the scores. Where
        these were never computed they are missing, which is no evidence."""
        if not isinstance(metric, Metric) or not metric.of_values:
            return self
        own = self.values.get(metric.name) or RowValues(np.full(self.rows, np.nan))
        seen = Evidence(Task.REGRESSION, self.y, own.candidate, own.champion, own.baseline, self.days)
        return seen.weighted(self.weight)
