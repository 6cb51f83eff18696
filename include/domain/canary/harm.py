"""Evidence that the canary does harm more often than the champion, from counts, valid however often one looks.

Counted are *units* that were harmed for the first time in a rollout: failed, or answered slowly. Where the canary is
equal, whether a unit is harmed does not depend on its place in the draw, so each such unit is in the canary with
exactly the chance of the share at that moment. No rate and no number of requests enters, and a client that repeats a
failing request a hundred times counts once: counted by requests, such clients alone would roll equal candidates back.

Were the odds of harm ``r`` times the champion's, the chance would be ``r s / (1 - s + r s)``. The evidence is the mean
of these likelihood ratios over odds of 1.5 to 30. Under equality it is a martingale that starts at 1, so it ever
reaches ``1 / alpha`` with a probability of at most alpha (Ville, 1939). It says nothing where the canary is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from include.domain.canary.units import PPM

ODDS = (1.5, 3.0, 10.0, 30.0)
"""How many times the champion's odds are looked for; each has the same weight."""


@dataclass(frozen=True, slots=True)
class Harmed:
    """Units harmed for the first time in the rollout, while the share was this one.

    Attributes:
        share_ppm: in millionths, above 0 and below all.
        canary: such units in the canary's share.
        champion: in the champion's.
    """

    share_ppm: int
    canary: int
    champion: int

    def __post_init__(self) -> None:
        if not 0 < self.share_ppm < PPM:
            raise ValueError(f"a share of {self.share_ppm} millionths is compared with nothing")
        if min(self.canary, self.champion) < 0:
            raise ValueError(f"{min(self.canary, self.champion)} harmed units are no count")


def harm_evidence(counts: Iterable[Harmed]) -> float:
    """The logarithm of the evidence of all shares of a rollout together; 0 where no unit was harmed.

    >>> round(math.exp(harm_evidence([Harmed(50_000, 3, 0)])))
    547
    >>> harm_evidence([])
    0.0
    """
    each = list(counts)
    if not each:
        return 0.0
    ratios = sum(_ratios(np.float64(one.canary), np.float64(one.champion), one.share_ppm / PPM) for one in each)
    return float(_mean_of(np.asarray(ratios)))


def harm_evidences(canary: ArrayLike, champion: ArrayLike, share: float) -> NDArray[np.float64]:
    """As ``harm_evidence`` for many pairs of counts under one share in (0, 1): arrays of one shape."""
    x, y = np.asarray(canary, dtype=np.float64), np.asarray(champion, dtype=np.float64)
    return _mean_of(_ratios(x, y, share))


def _ratios(
    x: NDArray[np.float64] | np.float64, y: NDArray[np.float64] | np.float64, share: float
) -> NDArray[np.float64]:
    """``(..., odds)``: the logarithm of each likelihood ratio."""
    odds = np.array(ODDS)
    below = 1 - share + odds * share
    return np.asarray(np.multiply.outer(x, np.log(odds / below)) - np.multiply.outer(y, np.log(below)))


def _mean_of(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    most = logs.max(axis=-1)
    return np.asarray(most + np.log(np.exp(logs - most[..., None]).mean(axis=-1)), dtype=np.float64)


def reached(log_evidence: float, alpha: float) -> bool:
    """Whether the evidence is at least 1 / alpha."""
    return log_evidence >= -math.log(alpha)
