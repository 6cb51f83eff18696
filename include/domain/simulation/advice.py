"""Which settings would have cost least, chosen on the first part of a past and confirmed on the rest.

The best of several settings is better on the past that chose it than it will ever be again. So the days that confirm it
are others, and its gain there has an interval over days that may resemble their neighbours
(:mod:`include.domain.day_means`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from include.domain.day_means import DaySpread
from include.domain.errors import Refusal
from include.domain.intervals import DAY, Interval

CHOOSING_SHARE = 0.6
"""Of the days, the first ones: they choose, and the rest confirms."""
LEAST_PART_DAYS = 20
"""Fewer days neither choose nor confirm anything."""
ALPHA = 0.025
"""Of each end of the gain's interval."""


class PastTooShort(Refusal, ValueError):
    """A past that has too few days to choose on some and confirm on others."""


def parts_of(interval: Interval) -> tuple[Interval, Interval]:
    """The days that choose, and the days that confirm.

    Raises:
        PastTooShort: when either would have fewer than ``LEAST_PART_DAYS``.

    >>> [len(part.days) for part in parts_of(Interval.between("2024-01-01", "2024-04-10"))]
    [60, 40]
    """
    days = len(interval.days)
    first = round(CHOOSING_SHARE * days)
    if min(first, days - first) < LEAST_PART_DAYS:
        raise PastTooShort(
            f"--advise needs {math.ceil(LEAST_PART_DAYS / (1 - CHOOSING_SHARE))} days, to choose on the first "
            f"{CHOOSING_SHARE:.0%} and confirm on the rest; {interval.start:%Y-%m-%d} to {interval.end:%Y-%m-%d} are "
            f"{days}. Give a longer range, or shorter windows."
        )
    border = interval.start + first * DAY
    return Interval(interval.start, border), Interval(border, interval.end)


@dataclass(frozen=True, slots=True)
class GainOverDays:
    """How much less one policy cost than another, summed over days, with its 95 % interval.

    Attributes:
        total: positive where it cost less.
        low, high: infinite where there is no dependable bound.
        days: how many days.
        lag: their lag-1 correlation.
        why_unknown: why there is no bound, as a clause; None where there is one.
    """

    total: float
    low: float
    high: float
    days: int
    lag: float
    why_unknown: str | None = None

    @property
    def is_shown(self) -> bool:
        return self.low > 0

    def as_json(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "low": self.low if math.isfinite(self.low) else None,
            "high": self.high if math.isfinite(self.high) else None,
            "days": self.days,
            "lag_1": self.lag,
            "why_unknown": self.why_unknown,
        }


def gain_over_days(declared: Sequence[float], other: Sequence[float]) -> GainOverDays:
    """What the other policy gains over the declared one.

    Args:
        declared: what each day cost, in order, the price of a retrain on the day it was paid.
        other: the same of the other policy, on the same days.

    >>> found = gain_over_days([5.0, 6.0, 5.5, 6.5] * 10, [4.0, 5.2, 4.4, 5.4] * 10)
    >>> round(found.total, 1), found.is_shown
    (40.0, True)
    >>> gain_over_days([5.0, 6.0] * 10, [5.0, 6.0] * 10).is_shown
    False
    """
    gained = np.asarray(declared, dtype=float) - np.asarray(other, dtype=float)
    days, total = len(gained), float(gained.sum())
    if days < 3:
        return GainOverDays(total, -math.inf, math.inf, days, 0.0, f"there are {days} days")
    spread = DaySpread.of(gained - gained.mean())
    if (why := spread.why_too_few) is not None:
        return GainOverDays(total, -math.inf, math.inf, days, spread.lag, why)
    below, above = (days * spread.half(ALPHA, upper=upper) for upper in (False, True))
    return GainOverDays(total, total - below, total + above, days, spread.lag)


class AdviceAnswer(Enum):
    """What follows from a trial of settings."""

    KEEP = "keep"
    """Nothing was cheaper than what is declared on the days that choose."""
    NOT_SHOWN = "not_shown"
    """Something was, and the days that confirm do not show it."""
    CHANGE = "change"
    """The days that confirm show it too."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One policy on the days that choose.

    Attributes:
        name: as a person knows it.
        settings: ``path=value`` of the declaration, none for the declared policy.
        loss: summed over rows.
        retrains: how many were paid for.
        cost: loss and price.
    """

    name: str
    settings: tuple[str, ...]
    loss: float
    retrains: int
    cost: float

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "settings": list(self.settings),
            "loss": self.loss,
            "retrains": self.retrains,
            "cost": self.cost,
        }


def cheapest(trials: Sequence[Trial]) -> Trial:
    """The one with the least cost; of equals the first, which is the declared one.

    >>> tried = [Trial(name, (), cost, 0, cost) for name, cost in (("declared", 5.0), ("never", 5.0), ("weekly", 6.0))]
    >>> cheapest(tried).name
    'declared'
    """
    return min(trials, key=lambda t: t.cost)


def answer_of(declared: Trial, chosen: Trial, gain: GainOverDays | None) -> AdviceAnswer:
    """``gain`` is that of the chosen over the declared one on the days that confirm; None where they are the same."""
    if chosen is declared or gain is None:
        return AdviceAnswer.KEEP
    return AdviceAnswer.CHANGE if gain.is_shown else AdviceAnswer.NOT_SHOWN
