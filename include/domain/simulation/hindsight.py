"""Hindsight without luck: when to switch is chosen on one half of each day's rows, what it costs is counted on the
other.

The best of many courses on the same noise that judges it is a maximum over noise: on 45 days of flights it switches 27
times among 8 models. Two halves of the rows share the day but not the rows' noise, so the chosen course's loss on the
other half is an honest one. A least stay keeps it from following single days. So the course may cost a little more
than a policy that was lucky on all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

DWELL_DAYS = 14
"""The fewest days between two switches: less follows the noise of single days."""


@dataclass(frozen=True, slots=True, eq=False)
class HalvedDays:
    """Each model's summed loss of each day, on two halves of the labelled rows: every other row, over all days.

    Attributes:
        odd: ``(models, days)``: of the rows that choose. A day before a model's first is not used.
        even: ``(models, days)``: of the rows that judge. Model 0 may serve from day 0.
        odd_rows: ``(days,)``.
        even_rows: ``(days,)``.
    """

    odd: NDArray[np.float64]
    even: NDArray[np.float64]
    odd_rows: NDArray[np.float64]
    even_rows: NDArray[np.float64]

    def course(self, first_day: NDArray[np.intp], *, price: float, dwell_days: int = DWELL_DAYS) -> Course:
        """The course chosen on the odd rows. Its loss is that of the even rows, scaled to all rows stay by stay; of a
        stay without an even row the odd ones count. What is known of model 0 on all rows steadies it (a control
        variate): a course that never leaves model 0 costs what model 0 costs.

        >>> one_row_a_day = np.array([1.0, 0.0] * 3)
        >>> losses = np.array([[2.0] * 6, [1.0] * 6])
        >>> days = HalvedDays(losses * one_row_a_day, losses * (1 - one_row_a_day), one_row_a_day, 1 - one_row_a_day)
        >>> found = days.course(np.array([0, 2]), price=1.0, dwell_days=2)
        >>> found.served.tolist(), found.loss
        ([0, 0, 1, 1, 1, 1], 8.0)
        """
        rows = self.odd_rows + self.even_rows
        scale = float(rows.sum()) / max(float(self.odd_rows.sum()), 1.0)
        found = cheapest_course(self.odd * scale, self.even, first_day, price=price, dwell_days=dwell_days)
        first, loss = self.odd[0] + self.even[0], np.zeros(len(rows))
        for begin, end in pairwise([0, *(np.flatnonzero(np.diff(found.served)) + 1).tolist(), len(rows)]):
            stay, even = slice(begin, end), bool(self.even_rows[begin:end].any())
            judges, judging_rows = (self.even, self.even_rows) if even else (self.odd, self.odd_rows)
            judged = float(judging_rows[stay].sum())
            if judged:
                times, served = float(rows[stay].sum()) / judged, int(found.served[begin])
                alike = 1.0 if served == 0 else _slope(judges[0, stay], judges[served, stay])
                loss[stay] = times * judges[served, stay] + alike * (first[stay] - times * judges[0, stay])
        return Course(found.served, found.switches, loss)


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """By how much a day's ``y`` moves with its ``x``; 0 where that cannot be said."""
    apart = x - x.mean()
    squares = float((apart * apart).sum())
    return float((apart * y).sum()) / squares if squares > 1e-12 * max(float((x * x).sum()), 1e-300) else 0.0


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
    dwell_days: int = DWELL_DAYS,
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
