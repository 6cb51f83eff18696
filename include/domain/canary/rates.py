"""Bounds of a rate that hold however often they are looked at (Robbins' beta mixture).

The likelihood of the counts under a beta mixture of rates, over that under the true rate, is a martingale that starts
at 1. So a rate under which that ratio reaches ``1 / alpha`` is excluded, and the true one is ever excluded with a
probability of at most alpha.
"""

from __future__ import annotations

import math

from scipy.special import betaln

_A, _B = 0.5, 50.0
"""The mixture's shape: most of it below 5 %, where failures of a service are."""
_HALVINGS = 60


def rate_at_most(count: int, of: int, alpha: float) -> float:
    """The highest rate that is not excluded; 1 where nothing was counted.

    >>> round(rate_at_most(0, 500, 0.05), 4), rate_at_most(0, 0, 0.05)
    (0.0084, 1.0)
    """
    _check(count, of)
    if count == of:  # of nothing, too
        return 1.0
    low, high = count / of, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _excluded(middle, count, of, alpha):
            high = middle
        else:
            low = middle
    return high


def rate_at_least(count: int, of: int, alpha: float) -> float:
    """The lowest rate that is not excluded; 0 where nothing was counted."""
    _check(count, of)
    if count == 0:
        return 0.0
    low, high = 0.0, count / of
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _excluded(middle, count, of, alpha):
            low = middle
        else:
            high = middle
    return low


def _excluded(rate: float, count: int, of: int, alpha: float) -> bool:
    """Of a rate above 0 and below 1."""
    mixed = float(betaln(_A + count, _B + of - count) - betaln(_A, _B))
    return mixed - count * math.log(rate) - (of - count) * math.log1p(-rate) >= -math.log(alpha)


def _check(count: int, of: int) -> None:
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is no count")


def added_at_most(canary: tuple[int, int], champion: tuple[int, int], alpha: float) -> float:
    """How much higher the canary's rate may be than the champion's, each given as (count, of): the upper bound of the
    difference, ever below the true one with a probability of at most alpha."""
    return rate_at_most(*canary, alpha / 2) - rate_at_least(*champion, alpha / 2)
