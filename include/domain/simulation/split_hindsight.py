"""Hindsight without luck: when to switch is chosen on one half of each day's rows, what it costs is counted on the
other.

The best of many courses on the same noise that judges it is a maximum over noise: on 45 days of flights it switches 27
times among 8 models. Two halves of the rows share the day but not the rows' noise, so the chosen course's loss on the
other half is an honest one. A least stay keeps it from following single days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """``served`` has the model of each day, ``(days,)``; ``switches`` counts its changes after the first day."""

    served: NDArray[np.intp]
    switches: int
    loss_by_day: NDArray[np.float64]
    """By the rows that did not choose."""

    @property
    def loss(self) -> float:
        return float(self.loss_by_day.sum())


def cheapest_course(
    choosing: NDArray[np.float64],
    judging: NDArray[np.float64],
    first_day: NDArray[np.intp],
    *,
    price: float,
    dwell_days: int = 14,
) -> Course:
    """The sequence of models with the least summed ``choosing`` loss plus ``price`` a switch, each kept for at least
    ``dwell_days``; its loss is read off ``judging``.

    Args:
        choosing: ``(models, days)``: each model's loss of each day on the rows that choose, scaled to the whole day.
        judging: the same on the other rows.
        first_day: ``(models,)``: the first day each may serve. Model 0 serves from day 0, and having it is free.
        price: of one switch, in the loss's unit, 0 or more.
        dwell_days: the fewest days between two switches, at least 1.

    >>> choosing = np.array([[1.0, 9.0, 1.0, 9.0], [9.0, 1.0, 9.0, 1.0]])
    >>> found = cheapest_course(choosing, np.full((2, 4), 5.0), np.array([0, 0]), price=0.0, dwell_days=1)
    >>> found.served.tolist(), found.loss
    ([0, 1, 0, 1], 20.0)
    >>> cheapest_course(choosing, choosing, np.array([0, 0]), price=0.0, dwell_days=3).switches
    1
    """
    models, days = choosing.shape
    dwell = max(dwell_days, 1)
    summed = np.concatenate([np.zeros((models, 1)), np.cumsum(choosing, axis=1)], axis=1)
    # least[d, m]: the cheapest course of days 0 to d that serves m on day d and may leave it the day after.
    least = np.full((days, models), np.inf)
    switched = np.zeros((days, models), dtype=bool)
    for day in range(days):
        if day == 0:
            least[0, 0] = choosing[0, 0]
        else:
            least[day] = least[day - 1] + choosing[:, day]
        begin = day - dwell + 1
        if begin >= 1:
            stay = summed[:, day + 1] - summed[:, begin]
            begun = np.where(first_day <= begin, least[begin - 1].min() + price + stay, np.inf)
            switched[day] = begun < least[day]
            least[day] = np.minimum(begun, least[day])
    served = np.empty(days, dtype=np.intp)
    day, model = days - 1, int(np.argmin(least[-1])) if days else 0
    while day >= 0:
        if switched[day, model]:
            begin = day - dwell + 1
            served[begin : day + 1] = model
            day, model = begin - 1, int(np.argmin(least[begin - 1]))
        else:
            served[day] = model
            day -= 1
    loss = judging[served, np.arange(days)]
    return Course(served, int(np.count_nonzero(np.diff(served))), loss)
