"""The cheapest way through a past stream, known only afterwards: which model should have served on which day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Hindsight:
    """``served`` has the model of each day, ``(days,)``; ``switches`` counts its changes after the first day."""

    served: NDArray[np.intp]
    switches: int
    loss: float
    """The summed loss of the chosen models."""


def best_in_hindsight(losses: NDArray[np.float64], first_day: NDArray[np.intp], price: float) -> Hindsight:
    """The sequence of models with the least summed loss plus ``price`` for each switch, by dynamic programming.

    Args:
        losses: ``(models, days)``: each model's summed loss of each day; days before its first are not used.
        first_day: ``(models,)``: the first day each may serve. Model 0 serves from day 0, and having it is free.
        price: of one switch, in the loss's unit, 0 or more.

    >>> losses = np.array([[1.0, 9.0, 9.0], [0.0, 1.0, 1.0]])
    >>> best_in_hindsight(losses, np.array([0, 1]), price=5.0).served.tolist()
    [0, 1, 1]
    >>> best_in_hindsight(losses, np.array([0, 1]), price=20.0).served.tolist()
    [0, 0, 0]
    """
    models, days = losses.shape
    total = np.full(models, np.inf)
    total[0] = 0.0
    came_from = np.zeros((days, models), dtype=np.intp)
    for day in range(days):
        cheapest = int(np.argmin(total))
        stay = np.arange(models)
        switching = total[cheapest] + price < total if day else np.zeros(models, dtype=bool)
        came_from[day] = np.where(switching, cheapest, stay)
        total = np.where(switching, total[cheapest] + price, total)
        total = np.where(first_day <= day, total + losses[:, day], np.inf)
    served = np.empty(days, dtype=np.intp)
    now = int(np.argmin(total)) if days else 0
    for day in range(days - 1, -1, -1):
        served[day] = now
        now = int(came_from[day, now])
    loss = float(losses[served, np.arange(days)].sum())
    return Hindsight(served, int(np.count_nonzero(np.diff(served))), loss)
