"""The yardsticks of a policy: never, every N days, and hindsight without luck.

Schedules use no evidence and have no gates, but their candidates wait the same days in shadow as a policy's do, and
hold out the same newest days, as ``slipway simulate`` has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.policy_lab.models import Floats, Model, Rows, Shelf
from include.domain.simulation.hindsight import DWELL_DAYS, HalvedDays
from include.domain.simulation.price import PRICE_IN_DAYS

WINDOW_DAYS = 90
HOLDOUT_DAYS = 14
SHADOW_DAYS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a policy did: ``loss`` is the realised one of each served day, from the first, ``(days,)``."""

    name: str
    loss: Floats
    retrains: int
    fits: int
    serving: tuple[tuple[int, Rows], ...] = ()
    """From which day which rows' model serves alone, or is the newest of the pool."""
    alarms: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def cost(self, price: float) -> float:
        return float(self.loss.sum()) + price * self.retrains


def first_day(shelf: Shelf) -> int:
    """The first day served: the first champion's window, holdout and label delay lie before it."""
    return WINDOW_DAYS + HOLDOUT_DAYS + shelf.stream.delay_days


def candidate_rows(shelf: Shelf, as_of: int) -> Rows:
    """What today's candidate as of the start of a day learns from."""
    end = as_of - shelf.stream.delay_days - HOLDOUT_DAYS
    return Rows(end - WINDOW_DAYS, end)


def price_of(shelf: Shelf) -> float:
    """The price of a retrain, in the loss's unit."""
    rows = candidate_rows(shelf, first_day(shelf))
    losses = shelf.fit(rows).loss[rows.last : rows.last + HOLDOUT_DAYS]
    return PRICE_IN_DAYS * float(losses.mean())


def every(shelf: Shelf, days: int | None) -> Run:
    """Retrain every so many days; None never does."""
    first, last = first_day(shelf), shelf.stream.days
    moments = [] if days is None else list(range(first + days, last, days))
    serving = [(first, candidate_rows(shelf, first))]
    serving += [(m + SHADOW_DAYS, candidate_rows(shelf, m)) for m in moments if m + SHADOW_DAYS < last]
    loss = np.empty(last - first)
    for i, (day, rows) in enumerate(serving):
        end = serving[i + 1][0] if i + 1 < len(serving) else last
        loss[day - first : end - first] = shelf.fit(rows).loss[day:end]
    name = "never" if days is None else f"every {days} days"
    return Run(name, loss, len(moments), len(moments), tuple(serving))


def hindsight(shelf: Shelf, price: float, dwell: int = DWELL_DAYS) -> Run:
    """The cheapest course through all models that could have served, without the luck of its own choice.

    A model may serve from the day after its last row's label is known, for at least ``dwell`` days. When to switch is
    found on the odd rows; what that costs is counted on the even ones, as ``slipway simulate`` does.
    """
    first, last = first_day(shelf), shelf.stream.days
    models = _choices(shelf, first)
    days = slice(first, last)
    # A boosted model is asked for its newest days only; the others are before its first.
    even = np.array([np.nan_to_num(m.even[days]) for m in models])
    odd = np.array([np.nan_to_num(m.loss[days]) for m in models]) - even
    halves = HalvedDays(odd, even, (shelf.counts - shelf.even_counts)[days], shelf.even_counts[days])
    ready = np.array([max(m.rows.last + shelf.stream.delay_days - first, 0) for m in models], dtype=np.intp)
    ready[0] = 0
    course = halves.course(ready, price=price, dwell_days=dwell)
    serving = [(first, models[int(course.served[0])].rows)]
    for day in np.flatnonzero(np.diff(course.served)) + 1:
        serving.append((first + int(day), models[int(course.served[day])].rows))
    return Run("hindsight", course.loss_by_day, course.switches, 0, tuple(serving))


def _choices(shelf: Shelf, first: int) -> list[Model]:
    """The first champion, and models of windows that end every ten days (boosting, every twenty), and of
    each change."""
    models = [shelf.fit(candidate_rows(shelf, first))]
    changes = [c for c in shelf.stream.changes if c < shelf.stream.days]
    step = 20 if shelf.learner == "boosting" else 10
    for end in range(first - shelf.stream.delay_days, shelf.stream.days - 10, step):
        begins = {end - WINDOW_DAYS, end - 30, *(c for c in changes if end - WINDOW_DAYS < c <= end - 5)}
        models += [shelf.fit(Rows(b, end)) for b in sorted(begins)]
    for c in changes:
        models += [shelf.fit(Rows(c, c + n)) for n in (5, 10, 20) if c + n < shelf.stream.days]
    return models
