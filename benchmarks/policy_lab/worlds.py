"""Made worlds: a stream of labelled rows whose concept changes in one known way.

Days are numbered from 0, the first day with rows. The change comes on a day drawn between 150 and 179, so that no
schedule gains by its phase. Days differ: a shock moves all rows of a day, by default with a lag-1 correlation of 0.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DAYS = 500
CHANGE = 150
CREEP_DAYS = 120
SWING_DAYS = 60
FEATURES = 6
CATEGORIES = 4
LAG = 0.3
SHOCK = 0.2
_EFFECTS = np.array([0.9, 1.0, -0.7, 0.4, 0.0, 0.0])


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Rows in order of their days.

    ``x`` is ``(rows, features)``; ``y`` holds class indices or numbers; ``start`` is ``(days + 1,)``: the rows of day d
    are ``start[d]:start[d + 1]``. ``changes`` are the days on which the concept changed, empty where it did not.
    """

    name: str
    task: str
    x: Floats
    y: Floats
    start: NDArray[np.intp]
    delay_days: int
    changes: tuple[int, ...] = ()

    @property
    def days(self) -> int:
        return len(self.start) - 1

    @property
    def rows_a_day(self) -> float:
        return len(self.y) / self.days

    def rows(self, first: int, last: int) -> slice:
        """The rows of the days from ``first`` up to, without, ``last``."""
        return slice(int(self.start[max(first, 0)]), int(self.start[max(last, 0)]))


@dataclass(frozen=True, slots=True)
class World:
    """What is made: ``kind`` is one of :data:`KINDS`; ``learner`` is ``linear`` or ``boosting``."""

    kind: str
    task: str = "binary"
    learner: str = "linear"
    rows_a_day: int = 200
    delay_days: int = 3
    days: int = DAYS
    shock: float = SHOCK
    """The standard deviation between days, in the unit of the effects."""
    lag: float = LAG
    """How much a day is like the one before."""

    @property
    def name(self) -> str:
        parts = [self.kind.replace("_", " ")]
        parts += [self.task] if self.task != "binary" else []
        parts += [self.learner] if self.learner != "linear" else []
        parts += [f"{self.rows_a_day} rows"] if self.rows_a_day != 200 else []
        parts += [f"delay {self.delay_days}"] if self.delay_days != 3 else []
        parts += [f"shocks {self.shock:g}, lag {self.lag:g}"] if (self.shock, self.lag) != (SHOCK, LAG) else []
        return ", ".join(parts)


@dataclass(slots=True, eq=False)
class _Course:
    """The concept of each day, ``(days,)`` each."""

    first: Floats
    """The factor of the first feature's effect."""
    scale: Floats
    """Of all effects together: below 1 the labels are noisier."""
    base: Floats
    flipped: Floats
    arrived: Floats
    """The share of rows of a category that was never seen before."""
    season: Floats
    """How far the inputs' means are moved."""

    @classmethod
    def calm(cls, days: int) -> _Course:
        ones, zeros = np.ones(days), np.zeros(days)
        return cls(ones, ones.copy(), zeros, zeros.copy(), zeros.copy(), zeros.copy())


def _turned(c: _Course, at: int) -> None:
    c.first[at:] = -1.0


def _faded(c: _Course, at: int) -> None:
    c.first[at:] = 0.25


def _flipped(c: _Course, at: int) -> None:
    c.flipped[at:] = 0.25


def _noisier(c: _Course, at: int) -> None:
    c.scale[at:] = 0.5


def _creep(c: _Course, at: int) -> None:
    after = np.arange(len(c.first) - at)
    c.first[at:] = 1 - 2 * np.minimum(after / CREEP_DAYS, 1)


def _alternating(c: _Course, at: int) -> None:
    after = np.arange(len(c.first) - at)
    c.first[at:] = np.where((after // SWING_DAYS) % 2 == 0, -1.0, 1.0)


def _prior(c: _Course, at: int) -> None:
    c.base[:] = -2.6
    c.base[at:] = -1.2


def _category(c: _Course, at: int) -> None:
    c.arrived[at:] = 0.3


def _seasonal(c: _Course, at: int) -> None:
    del at
    c.season[:] = 0.8 * np.sin(2 * np.pi * np.arange(len(c.first)) / 365 - 1.2)


def _quiet(c: _Course, at: int) -> None:
    del c, at


KINDS: dict[str, Callable[[_Course, int], None]] = {
    "turned": _turned,
    "faded": _faded,
    "flipped": _flipped,
    "noisier": _noisier,
    "creep": _creep,
    "alternating": _alternating,
    "prior": _prior,
    "category": _category,
    "seasonal": _seasonal,
    "quiet": _quiet,
}
WITHOUT_CHANGE = ("quiet", "seasonal")


def autocorrelated(rng: np.random.Generator, days: int, lag: float) -> Floats:
    """``(days,)``: a stationary Gaussian series of variance 1 and the given lag-1 correlation."""
    drawn = rng.standard_normal(days)
    found = np.empty(days)
    found[0] = drawn[0]
    for i in range(1, days):
        found[i] = lag * found[i - 1] + np.sqrt(1 - lag * lag) * drawn[i]
    return found


def make(world: World, seed: int) -> Stream:
    """The world's rows; the same world and seed give the same rows."""
    rng = np.random.default_rng([seed, *world.name.encode()])
    at = CHANGE + int(rng.integers(0, 30))
    course = _Course.calm(world.days)
    KINDS[world.kind](course, at)
    counts = np.maximum(rng.poisson(world.rows_a_day, world.days), 1)
    start = np.concatenate([[0], np.cumsum(counts)])
    day = np.repeat(np.arange(world.days), counts)
    n = len(day)
    numbers = rng.standard_normal((n, FEATURES)) + course.season[day][:, None] * np.array([1, 0.5, 0, 0, 1, 0])
    category = np.where(rng.random(n) < course.arrived[day], CATEGORIES, rng.integers(0, CATEGORIES, n))
    hot = (category[:, None] == np.arange(1, CATEGORIES + 1)).astype(float)
    shock = world.shock * autocorrelated(rng, world.days, world.lag)[day]
    linear = _effect(numbers, course.first[day], world.learner)
    linear = course.scale[day] * linear + 0.3 * (hot[:, 0] - hot[:, 1]) + course.base[day] + shock
    linear = np.where(category == CATEGORIES, 1.0 - 0.7 * linear, linear)
    y = _labels(rng, world.task, linear, numbers, course.flipped[day], course.scale[day])
    changes = () if world.kind in WITHOUT_CHANGE else _changes(world, at)
    return Stream(world.name, world.task, np.column_stack([numbers, hot]), y, start, world.delay_days, changes)


def _changes(world: World, at: int) -> tuple[int, ...]:
    return tuple(range(at, world.days, SWING_DAYS)) if world.kind == "alternating" else (at,)


def _effect(x: Floats, first: Floats, learner: str) -> Floats:
    linear = x @ _EFFECTS + (first - 1) * _EFFECTS[0] * x[:, 0]
    if learner == "boosting":
        linear = linear + 0.8 * x[:, 3] * x[:, 4] + 0.6 * np.cos(2 * x[:, 5])
    return np.asarray(linear, dtype=np.float64)


def _labels(rng: np.random.Generator, task: str, linear: Floats, x: Floats, flipped: Floats, scale: Floats) -> Floats:
    n = len(linear)
    wrong = rng.random(n) < flipped
    if task == "regression":
        y = linear + rng.standard_normal(n) / scale
        return np.asarray(np.where(wrong, -y, y), dtype=np.float64)
    if task == "binary":
        late = rng.random(n) < 1 / (1 + np.exp(-linear))
        return np.asarray(late ^ wrong, dtype=np.float64)
    scores = np.column_stack([np.zeros(n), linear, scale * (0.8 * x[:, 1] - 0.9 * x[:, 4])])
    y3 = np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)
    return np.asarray(np.where(wrong, (y3 + 1) % 3, y3), dtype=np.float64)


def parameters(world: World) -> dict[str, Any]:
    """What the report says of a world."""
    return {"kind": world.kind, "task": world.task, "rows_a_day": world.rows_a_day, "delay_days": world.delay_days}
