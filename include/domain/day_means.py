"""How uncertain a figure over days is when days resemble their neighbours and some of them are extreme.

A figure's *influences* are one number a day: what the day adds to the figure, around zero (of a mean of days the day's
value less the mean; of any other metric the jackknife's). Their mean is the figure's error, and two things about it are
estimated:

- **How much it varies**, by EWC (equal-weighted cosine; Lazarus, Lewis, Stock and Watson, "HAR inference:
  recommendations for practice", Journal of Business & Economic Statistics 36, 2018): from the first cosine waves of the
  days only, with Student's t of as many degrees of freedom as there are waves. Slow waves carry what neighbouring days
  share; the textbook's error takes all waves, and lets twice as much through already at a lag-1 correlation of 0.3.
  Days that show none (a lag-1 correlation below zero) may be asked for twice the waves.
- **How skewed it is**: Johnson (1978), "Modified t tests and confidence intervals for asymmetrical populations", JASA
  73:536-544. A mean of figures with rare large values is mostly below its expectation, so the bound on the side of the
  long tail moves out. It moves out by :data:`LONG_TAIL` times Johnson's term, because few days show less skewness than
  there is, and the other bound moves in by :data:`SHORT_TAIL` times it.

docs/adr/0038 has the table that the numbers were chosen by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

LEAST_DAYS = 3
"""Fewer days cannot show how much days differ."""
FEW_DAYS, WIDER_FOR_A_DAY = 6, 0.15
"""With fewer days than these a bound is wider by this share for each day that is missing: two waves of three to five
days are nearly all there are, so what neighbours share is hardly among them."""
LEAST_EFFECTIVE_DAYS = 1.75
"""Days that are worth fewer independent ones, by their own lag-1 correlation, give none either."""
LONG_TAIL = 3.0
"""Times Johnson's term by which the bound on the side of the long tail moves out."""
SHORT_TAIL = 0.5
"""Times Johnson's term by which the other bound moves in. All of it would be too much for t3 days."""

NARROWED_AT = 0.05
"""The level below which nothing makes a bound narrower any more: neither days whose slow waves happen to be small nor
a tail on the other side. At the levels of a tenth attempt both would let every third t3 candidate through."""
SEEN_TAIL = 0.05
"""The rows' skewness of the figure from which their long tail counts, where the days show a shorter one."""


def waves(days: float) -> int:
    """How many cosine waves of so many days are taken, which are the degrees of freedom too: 0.7 days^(2/3), at least
    2. More of them find more, and take days for independent that are not.

    >>> [waves(n) for n in (7, 14, 28, 60)]
    [2, 4, 6, 10]
    """
    return max(int(0.7 * days ** (2 / 3)), 2)


@dataclass(frozen=True, slots=True)
class DaySpread:
    """The spread of a figure over days.

    Attributes:
        days: How many there are.
        freedom: How many waves were taken.
        slow: The standard error from these.
        plain: The standard error of independent days.
        skew: The skewness of the figure itself: that of the days over the root of their number.
        lag: The days' own lag-1 correlation, in [-1, 1].
        row_skew: The skewness of the figure by its rows, as if these were independent; 0 where rows were not looked at.
    """

    days: int
    freedom: int
    slow: float
    plain: float
    skew: float
    lag: float
    row_skew: float = 0.0

    @classmethod
    def of(cls, influences: NDArray[np.float64]) -> DaySpread:
        """The spread of the figure that these influences add up to.

        Args:
            influences: ``(days,)`` in order, at least 2; around zero.

        >>> found = DaySpread.of(np.array([1.0, -1.0] * 7))
        >>> found.slow < found.plain, round(found.lag, 2)
        (True, -0.93)
        """
        n = len(influences)
        offset = float(influences.mean())
        apart = influences - offset
        squares = float((apart * apart).sum())
        # Blocks of unequal size leave an offset: the jackknife's, which errs to the wide side (blocks.jackknife_error).
        bias = offset * offset / (n - 1)
        if squares <= 0:
            return cls(n, waves(n), math.sqrt(bias), math.sqrt(bias), 0.0, 0.0)
        lag = float((apart[1:] * apart[:-1]).sum()) / squares
        count = min(waves(n) * (2 if lag < 0 else 1), n - 1)
        at = np.pi * np.outer(np.arange(1, count + 1), np.arange(n) + 0.5) / n
        weights = math.sqrt(2 / n) * (np.cos(at) @ apart)
        return cls(
            n,
            count,
            math.sqrt(float((weights * weights).mean()) / n + bias),
            math.sqrt(squares / (n - 1) / n + bias),
            float((apart**3).mean()) / (squares / n) ** 1.5 / math.sqrt(n),
            lag,
        )

    @property
    def effective_days(self) -> float:
        """What the days are worth in independent ones, by their lag-1 correlation; never more than there are."""
        like = min(max(self.lag, 0.0), 1.0)
        return self.days * (1 - like) / (1 + like)

    @property
    def why_too_few(self) -> str | None:
        """Why no bound can be trusted, as a clause; None where one can."""
        if self.days < LEAST_DAYS:
            return f"the rows are of {self.days} days; at least {LEAST_DAYS} are needed to see how much days differ"
        if self.effective_days < LEAST_EFFECTIVE_DAYS:
            return (
                f"the {self.days} days resemble their neighbours (lag-1 correlation {self.lag:.2f}) and are worth "
                f"{self.effective_days:.1f} independent ones; at least {LEAST_EFFECTIVE_DAYS:g} are needed"
            )
        return None

    def half(self, alpha: float, *, upper: bool) -> float:
        """How far above (else below) the figure its one-sided bound at ``1 - alpha`` is; 0 or more."""
        t = float(stdtrit(self.freedom, 1 - alpha))
        # What makes a bound narrower was measured at this level. Far out it would make it narrower than no tail at all.
        near = min(t, float(stdtrit(self.freedom, 1 - NARROWED_AT)))
        skew, row_skew = (self.skew, self.row_skew) if upper else (-self.skew, -self.row_skew)
        tail = max(skew, row_skew) if row_skew > SEEN_TAIL else skew
        long = max(tail, 0.0) * LONG_TAIL * (2 * t * t + 1) / 6
        short = max(-tail, 0.0) * SHORT_TAIL * (2 * near * near + 1) / 6
        wide, narrow = max(self.slow, self.plain), min(self.slow, self.plain)
        few = 1 + WIDER_FOR_A_DAY * max(FEW_DAYS - self.days, 0)
        return few * max(near * self.slow + (t - near) * wide + long * wide - short * narrow, 0.0)
