"""Policies over worlds and seeds, and the table of what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from benchmarks.policy_lab.models import Shelf
from benchmarks.policy_lab.worlds import KINDS, World, make
from benchmarks.policy_lab.yardsticks import Run, every, hindsight, price_of

Policy = Callable[[Shelf], Run]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One policy on one world and seed, in units of the loss."""

    world: str
    seed: int
    policy: str
    cost: float
    never: float
    every_30: float
    hindsight: float
    retrains: int
    fits: int
    learned_after_days: float
    """Days from the first change until a model serves that has a row from after it; infinite when none ever does, NaN
    where nothing changed."""
    alarms: int

    @property
    def against_cheaper(self) -> float:
        return self.cost / min(self.never, self.every_30)

    @property
    def against_never(self) -> float:
        return self.cost / self.never

    @property
    def against_hindsight(self) -> float:
        return self.cost / self.hindsight


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds with its 95 % interval (Student's t)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def interval_of(values: Iterable[float]) -> Interval:
    """The mean of the values, and between which bounds the mean of many more would be.

    >>> print(interval_of([1.0, 1.0, 1.3]))
    1.100 (0.670 to 1.530)
    """
    x = np.asarray([*values], dtype=float)
    mean = float(x.mean())
    if len(x) < 2:
        return Interval(mean, -math.inf, math.inf)
    half = float(stdtrit(len(x) - 1, 0.975)) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return Interval(mean, mean - half, mean + half)


def outcomes(world: World, seed: int, policies: Sequence[Policy]) -> list[Outcome]:
    """Every policy on one world and seed; the yardsticks come first, as policies of their own."""
    shelf = Shelf(make(world, seed), world.learner)
    return outcomes_on(shelf, seed, policies, name=world.name)


def outcomes_on(shelf: Shelf, seed: int, policies: Sequence[Policy], *, name: str) -> list[Outcome]:
    price = price_of(shelf)
    never, cron, best = every(shelf, None), every(shelf, 30), hindsight(shelf, price)
    found = []
    for run in (never, cron, best, *(policy(shelf) for policy in policies)):
        found.append(
            Outcome(
                world=name,
                seed=seed,
                policy=run.name,
                cost=run.cost(price),
                never=never.cost(price),
                every_30=cron.cost(price),
                hindsight=best.cost(price),
                retrains=run.retrains,
                fits=run.fits,
                learned_after_days=_learned_after(shelf, run),
                alarms=len(run.alarms),
            )
        )
    return found


def _learned_after(shelf: Shelf, run: Run) -> float:
    if not shelf.stream.changes:
        return math.nan
    change = shelf.stream.changes[0]
    return min((day - change for day, rows in run.serving if rows.last > change and day > change), default=math.inf)


def core_worlds() -> tuple[World, ...]:
    """Each kind of change once, and further ones: boosting, few and many rows, other delays and
    other tasks."""
    kinds = tuple(World(kind) for kind in KINDS)
    others = (
        World("turned", learner="boosting"),
        World("faded", learner="boosting"),
        World("quiet", learner="boosting"),
        World("turned", rows_a_day=50),
        World("creep", rows_a_day=50),
        World("quiet", rows_a_day=50),
        World("turned", rows_a_day=5000),
        World("faded", rows_a_day=5000),
        World("quiet", rows_a_day=5000),
        World("turned", delay_days=1),
        World("turned", delay_days=30),
        World("alternating", delay_days=30),
        World("quiet", delay_days=30),
        World("turned", task="regression"),
        World("noisier", task="regression"),
        World("creep", task="regression"),
        World("quiet", task="regression"),
        World("quiet", shock=0.6, lag=0.5),
        World("seasonal", shock=0.6, lag=0.5),
        World("faded", shock=0.6, lag=0.5),
        World("creep", shock=0.6, lag=0.5),
        World("turned", task="multiclass"),
        World("faded", task="multiclass"),
        World("quiet", task="multiclass"),
    )
    return kinds + others


def table(found: Sequence[Outcome]) -> str:
    """A Markdown table: each world's mean ratio to the cheaper of never and every 30 days, one column a policy."""
    worlds = list(dict.fromkeys(o.world for o in found))
    policies = list(dict.fromkeys(o.policy for o in found))
    lines = [f"| world | {' | '.join(policies)} |", "|---" * (len(policies) + 1) + "|"]
    for world in worlds:
        cells = [
            str(interval_of(o.against_cheaper for o in found if o.world == world and o.policy == policy))
            for policy in policies
        ]
        lines.append(f"| {world} | {' | '.join(cells)} |")
    return "\n".join(lines)


def by_world(found: Sequence[Outcome], policy: str, ratio: Callable[[Outcome], float]) -> dict[str, float]:
    """The mean ratio of one policy in each world."""
    worlds = list(dict.fromkeys(o.world for o in found))
    return {w: float(np.mean([ratio(o) for o in found if o.world == w and o.policy == policy])) for w in worlds}
