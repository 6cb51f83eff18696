"""Evidence that units do not come into the canary as often as the declared share says (sample ratio mismatch).

Counted are units at their first answer in a rollout. Whatever else they ask, and however their clients repeat it, each
is in the canary with the chance of the share at that moment. Where that does not hold, drawing or counting is broken,
and nothing that was compared is evidence.

The evidence is the ratio of the likelihood under a beta mixture around the share to that under the share itself
(Lindon and Malek, NeurIPS 2022), a martingale that starts at 1: it ever reaches ``1 / alpha`` with a probability of at
most alpha.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln

from include.domain.canary.units import PPM

WEIGHT = 1_000.0
"""How many units the mixture around the share is worth. Of 200 to 10,000 it finds 6 units in 100 where 5 are declared,
and 51 where 50 are, after the fewest or nearly."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """Units first answered in the rollout while the share was this one, in (0, 1,000,000) millionths."""

    share_ppm: int
    canary: int
    champion: int

    def __post_init__(self) -> None:
        if not 0 < self.share_ppm < PPM:
            raise ValueError(f"a share of {self.share_ppm} millionths is compared with nothing")
        if min(self.canary, self.champion) < 0:
            raise ValueError(f"{min(self.canary, self.champion)} units are no count")

    @property
    def share(self) -> float | None:
        """The share that was observed; None where no unit came."""
        units = self.canary + self.champion
        return self.canary / units if units else None


def mismatch_evidence(counts: Iterable[Exposed]) -> float:
    """The logarithm of the evidence of all shares of a rollout together; 0 where no unit came.

    >>> round(mismatch_evidence([Exposed(50_000, 50, 950)]), 2) < 0
    True
    """
    return float(sum(mismatch_evidences(one.canary, one.champion, one.share_ppm / PPM) for one in counts))


def mismatch_evidences(canary: ArrayLike, champion: ArrayLike, share: float) -> NDArray[np.float64]:
    """As ``mismatch_evidence`` for many pairs of counts under one share in (0, 1): arrays of one shape."""
    x, y = np.asarray(canary, dtype=np.float64), np.asarray(champion, dtype=np.float64)
    a, b = WEIGHT * share, WEIGHT * (1 - share)
    log = betaln(a + x, b + y) - betaln(a, b) - x * np.log(share) - y * np.log1p(-share)
    return np.asarray(log, dtype=np.float64)
