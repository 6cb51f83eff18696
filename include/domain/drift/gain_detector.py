"""Do the inputs predict the champion's errors? An e-detector on the gain of a cheap linear correction.

The realised loss rises for two reasons: the model became wrong, or the rows became hard. Only the first can be cured,
and only the first is predictable: then the residuals depend on the inputs. A correction of the champion's answer that
is linear in the inputs, learned on the days from a start on, is therefore tested on later days. Of squared losses
its gain on a day is exact in two sums,

    gain = 2 b'beta - beta'A beta,   A = sum z z',  b = sum z (y - answer),

so a day is kept as its sums, whatever the number of its rows, and no model is fitted. Under a champion whose residuals
the inputs do not explain, exp(gain / (2 v)) has mean at most 1 (Gaussian sums; v is the residuals' variance times how
much more the days' sums vary than independent rows would have it). So the products over days are e-processes, one
starts every day, and their sum is an e-detector (see :mod:`include.domain.drift.e_detector`).

A gap lies between the newest day a correction learns from and the day it is judged on. A retrain has such a gap too,
and it removes the gain that only comes from days resembling their neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from include.domain.drift.e_detector import lag_of

Floats = NDArray[np.float64]

RIDGE = 10.0
GAP_DAYS = 3
RECENT_DAYS = 30
"""Starts that are all kept; of older ones every fourth, up to ``OLDEST_DAYS``."""
OLDEST_DAYS = 120
LOWEST = -50.0
"""Evidence against a start is not counted below this, so that a change long after it is still seen soon."""


@dataclass(frozen=True, slots=True, eq=False)
class DaySums:
    """One day: ``a`` is ``(columns, columns)``, ``b`` is ``(columns, outputs)``."""

    a: Floats
    b: Floats
    rows: int
    squares: float
    """The sum of the squared residuals."""
    sway: Floats
    """``(outputs,)``: the sum of the residuals over the root of the sum of their squares; of independent rows its
    squares add up to 1 on average."""


def day_sums(columns: Floats, residuals: Floats) -> DaySums:
    """The sums of one day's rows.

    Args:
        columns: ``(rows, columns)``: a column of ones, the answer, and the inputs on one scale.
        residuals: ``(rows,)`` or ``(rows, outputs)``: label minus answer; of many classes each class's, over the root
            of 2, so that their squares are the product's multiclass Brier score.
    """
    r = residuals if residuals.ndim == 2 else residuals[:, None]
    squares = float((r * r).sum())
    sway = r.sum(axis=0) / np.sqrt(squares) if squares > 0 else np.zeros(r.shape[1])
    return DaySums(columns.T @ columns, columns.T @ r, len(r), squares, sway)


def correction(days: Sequence[DaySums]) -> Floats:
    """``(columns, outputs)``: the ridge correction that these days ask for."""
    a = sum((d.a for d in days), RIDGE * np.eye(len(days[0].a)))
    return np.asarray(np.linalg.solve(a, sum((d.b for d in days), np.zeros_like(days[0].b))), dtype=np.float64)


def corrected(day: DaySums, known: Floats) -> DaySums:
    """The day's sums with a correction already made."""
    b = day.b - day.a @ known
    squares = day.squares - 2 * float((known * day.b).sum()) + float((known * (day.a @ known)).sum())
    return DaySums(day.a, b, day.rows, max(squares, 1e-12), day.sway)


def overdispersion(sways: Sequence[Floats]) -> float:
    """How much more the sum of many days varies than that of independent rows would, at least 1.

    Days differ among themselves, and resemble their neighbours: with lag-1 correlation r their sum varies
    (1 + r) / (1 - r) times as much again. A single wild day counts for six usual ones.

    >>> overdispersion([np.array([x]) for x in (0.4, -0.5, 0.3, -0.4)])
    1.0
    >>> round(overdispersion([np.array([x]) for x in (2.0, -2.0, 2.0, -2.0)]), 1)
    6.4
    """
    if not len(sways):
        return 1.0
    found = np.array(sways)
    squares = (found * found).sum(axis=1)
    own = float(np.minimum(squares, 6 * np.median(squares) + 1).mean())
    lag = float(np.mean([lag_of(found[:, k]) for k in range(found.shape[1])]))
    return max(1.0, own * (1 + lag) / (1 - lag))


@dataclass(slots=True, eq=False)
class GainDetector:
    """Gets one model's days in order. The state is made of sums alone, so it can be rebuilt from the kept days.

    Attributes:
        run_length_days: how many quiet days there are on average before a false alarm.
        known: a correction that the model's own learning rows ask for already and that no retrain reaches, from
            :func:`correction`; None has none.
        sways: of earlier days, for :func:`overdispersion`.
        gap_days: between learning and judging; at least 1.
    """

    run_length_days: float
    known: Floats | None = None
    sways: list[Floats] = field(default_factory=list)
    gap_days: int = GAP_DAYS
    _days: list[DaySums] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _a: Floats | None = None
    _b: Floats | None = None
    _log: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def log_evidence(self) -> float:
        """The logarithm of the summed evidence; minus infinity before the first day."""
        return float(np.logaddexp.reduce(self._log)) if len(self._log) else -math.inf

    @property
    def alarm(self) -> bool | None:
        """Whether the evidence reached the run length; None while no correction could be judged yet."""
        if len(self._days) <= self.gap_days:
            return None
        return self.log_evidence >= math.log(self.run_length_days)

    @property
    def since(self) -> int | None:
        """The position, among the days given, of the likeliest first day of the change."""
        return self._starts[int(np.argmax(self._log))] if len(self._log) else None

    def add(self, day: DaySums) -> None:
        """One more day, after all before it."""
        day = day if self.known is None else corrected(day, self.known)
        self._days.append(day)
        self.sways.append(day.sway)
        newest = len(self._days) - 1
        self._judge(day, newest)
        learned = self._days[max(newest - self.gap_days + 1, 0)] if newest - self.gap_days + 1 >= 0 else None
        self._begin(newest, day)
        if learned is not None and self._a is not None and self._b is not None:
            begun = np.array(self._starts) <= newest - self.gap_days + 1
            self._a[begun] += learned.a
            self._b[begun] += learned.b

    def _begin(self, newest: int, day: DaySums) -> None:
        columns, outputs = day.b.shape
        if self._a is None or self._b is None:
            self._a, self._b = np.zeros((0, columns, columns)), np.zeros((0, columns, outputs))
        ages = newest - np.array(self._starts, dtype=int)
        kept = (ages < RECENT_DAYS) | ((ages < OLDEST_DAYS) & (np.array(self._starts, dtype=int) % 4 == 0))
        self._starts = [s for s, keep in zip(self._starts, kept, strict=True) if keep] + [newest]
        self._a = np.concatenate([self._a[kept], RIDGE * np.eye(columns)[None]])
        self._b = np.concatenate([self._b[kept], np.zeros((1, columns, outputs))])
        self._log = np.concatenate([self._log[kept], [0.0]])

    def _judge(self, day: DaySums, newest: int) -> None:
        if self._a is None or self._b is None or newest < self.gap_days:
            return
        learns = np.array(self._starts) <= newest - self.gap_days
        if not learns.any():
            return
        beta = np.linalg.solve(self._a[learns], self._b[learns])
        gain = 2 * (beta * day.b).sum(axis=(1, 2)) - (beta * (day.a @ beta)).sum(axis=(1, 2))
        recent = self._days[-60:]
        variance = sum(d.squares for d in recent) / sum(d.rows for d in recent)
        step = gain / (2 * variance * overdispersion(self.sways[-120:]))
        self._log[learns] = np.maximum(self._log[learns] + step, LOWEST)
