"""Fits and their daily losses, made once for each (stream, rows learned from), whoever asks.

The loss of a classifier is the Brier score (half the squared distance, as in the product), of a regression the squared
error: both are sums of squares, so a day needs only its sums.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.policy_lab.worlds import Stream

Floats = NDArray[np.float64]
RIDGE = 1.0
NEWTON_STEPS = 8
ASKED_DAYS = 60
"""The learned days whose answers are kept too, where asking is slow: the answers on a model's own rows."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The days a model learns from, ``first`` up to, without, ``last``; with a half-life newer days count more."""

    first: int
    last: int
    half_life_days: float | None = None


@dataclass(slots=True, eq=False)
class Model:
    """A fitted model: its answers of every row of the stream, and its summed loss of every day, ``(days,)``."""

    rows: Rows
    answers: NDArray[np.float32]
    """``(n,)``, or ``(n, classes)``."""
    loss: Floats
    even: Floats
    """The summed loss of the even rows alone."""


@dataclass(slots=True, eq=False)
class Shelf:
    """All models of one stream."""

    stream: Stream
    learner: str = "linear"
    counts: Floats = field(init=False)
    """The rows of each day."""
    even_counts: Floats = field(init=False)
    _even_row: NDArray[np.bool_] = field(init=False)
    _design: Floats = field(init=False)
    _day: NDArray[np.intp] = field(init=False)
    _made: dict[Rows, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        s = self.stream
        self.counts = np.diff(s.start).astype(float)
        self._even_row = np.arange(len(s.y)) % 2 == 0
        self.even_counts = np.add.reduceat(self._even_row.astype(float), s.start[:-1])
        self._design = np.column_stack([np.ones(len(s.y)), s.x]) if self.learner == "linear" else s.x
        self._day = np.repeat(np.arange(s.days), np.diff(s.start))

    def __len__(self) -> int:
        return len(self._made)

    def fit(self, rows: Rows) -> Model:
        rows = Rows(max(rows.first, 0), rows.last, rows.half_life_days)
        if rows not in self._made:
            self._made[rows] = self._fitted(rows)
        return self._made[rows]

    def losses(self, answers: NDArray[Any], rows: slice) -> Floats:
        """The loss of each row, for answers of these rows."""
        y = self.stream.y[rows]
        if self.stream.task != "multiclass":
            return np.asarray((answers - y) ** 2, dtype=np.float64)
        hot = y[:, None] == np.arange(answers.shape[1])
        return np.asarray(((answers - hot) ** 2).sum(axis=1) / 2, dtype=np.float64)

    def daily(self, losses: Floats) -> Floats:
        return np.asarray(np.add.reduceat(losses, self.stream.start[:-1]), dtype=np.float64)

    def _fitted(self, rows: Rows) -> Model:
        span = self.stream.rows(rows.first, rows.last)
        y = self.stream.y[span]
        weight = np.ones(len(y))
        if rows.half_life_days is not None:
            weight = 0.5 ** ((rows.last - 1 - self._day[span]) / rows.half_life_days)
        if self.learner == "boosting":
            answers = self._boosted(span, y, weight, max(rows.first, rows.last - ASKED_DAYS))
        else:
            answers = self._linear(span, y, weight)
        losses = self.losses(answers, slice(0, len(self.stream.y)))
        return Model(rows, answers, self.daily(losses), self.daily(losses * self._even_row))

    def _linear(self, span: slice, y: Floats, weight: Floats) -> NDArray[np.float32]:
        z = self._design[span]
        if self.stream.task == "regression":
            found = np.linalg.solve(z.T @ (weight[:, None] * z) + RIDGE * np.eye(z.shape[1]), z.T @ (weight * y))
            return np.asarray(self._design @ found, dtype=np.float32)
        if self.stream.task == "binary":
            return np.asarray(_logistic(self._design @ _newton(z, y, weight)), dtype=np.float32)
        scores = self._design @ _softmax_newton(z, y, weight)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)

    def _boosted(self, span: slice, y: Floats, weight: Floats, first: int) -> NDArray[np.float32]:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kind = HistGradientBoostingRegressor if self.stream.task == "regression" else HistGradientBoostingClassifier
        made = kind(max_iter=20, learning_rate=0.25, max_leaf_nodes=12, max_bins=31, early_stopping=False)
        made.fit(self._design[span], y, sample_weight=weight)
        # No answers for earlier days are needed, and trees are slow.
        asked = slice(self.stream.rows(max(first, 0), first + 1).start, len(self.stream.y))
        if self.stream.task == "regression":
            found = made.predict(self._design[asked])
        elif self.stream.task == "binary":
            chances = made.predict_proba(self._design[asked])
            found = np.zeros(len(chances)) if len(made.classes_) < 2 else chances[:, 1]
        else:
            chances = made.predict_proba(self._design[asked])
            found = np.zeros((len(chances), int(self.stream.y.max()) + 1))
            found[:, made.classes_.astype(int)] = chances
        whole = np.full((len(self.stream.y), *found.shape[1:]), np.nan, dtype=np.float32)
        whole[asked] = found
        return whole


def _logistic(score: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(score, -30, 30))), dtype=np.float64)


def _newton(z: Floats, y: Floats, weight: Floats) -> Floats:
    """Ridge logistic regression by Newton's method, ``(columns,)``."""
    found = np.zeros(z.shape[1])
    for _ in range(NEWTON_STEPS):
        p = _logistic(z @ found)
        slope = z.T @ (weight * (y - p)) - RIDGE * found
        bend = z.T @ ((weight * p * (1 - p))[:, None] * z) + RIDGE * np.eye(len(found))
        step = np.linalg.solve(bend, slope)
        found = found + step
        if np.abs(step).max() < 1e-4:
            break
    return found


def _softmax_newton(z: Floats, y: Floats, weight: Floats) -> Floats:
    """Ridge softmax regression against class 0, ``(columns, classes)``."""
    classes, columns = int(y.max()) + 1, z.shape[1]
    free = classes - 1
    found = np.zeros((columns, classes))
    hot = y[:, None] == np.arange(classes)
    for _ in range(NEWTON_STEPS):
        scores = z @ found
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        p = odds / odds.sum(axis=1, keepdims=True)
        slope = (z.T @ (weight[:, None] * (hot - p)))[:, 1:] - RIDGE * found[:, 1:]
        bend = np.empty((free * columns, free * columns))
        for i in range(free):
            for j in range(free):
                w = weight * p[:, i + 1] * ((i == j) - p[:, j + 1])
                bend[i * columns : (i + 1) * columns, j * columns : (j + 1) * columns] = z.T @ (w[:, None] * z)
        bend += RIDGE * np.eye(len(bend))
        step = np.linalg.solve(bend, slope.T.ravel()).reshape(free, columns).T
        found[:, 1:] += step
        if np.abs(step).max() < 1e-4:
            break
    return found
