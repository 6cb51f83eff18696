"""Quantiles of many positive numbers in bounded memory: counts in buckets that grow by two percent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

_LOG_STEP = math.log(1.02)
_LEAST = 1e-12
_MOST = 1e15
_WEIGHED = 20_000


@dataclass(slots=True)
class LogCounts:
    """How often which size came, to within two percent: at most some three thousand counts. The order has no part.

    >>> times = LogCounts()
    >>> for size in range(1, 101):
    ...     times.add(size)
    >>> 99 <= times.quantile(0.99) <= 99 * 1.02
    True
    """

    counts: dict[int, int] = field(default_factory=dict)
    of: int = 0

    def add(self, size: float) -> None:
        """One number, 0 or larger."""
        at = math.floor(math.log(min(max(size, _LEAST), _MOST)) / _LOG_STEP) + 1
        self.counts[at] = self.counts.get(at, 0) + 1
        self.of += 1

    def add_recent(self, size: float) -> None:
        """As ``add``; of more than 20,000 the newest half has twice the weight of those before, and so on."""
        self.add(size)
        if self.of >= _WEIGHED:
            self.halve()

    def quantile(self, q: float) -> float | None:
        """The upper edge of the bucket in which the quantile lies; None of nothing."""
        if self.of == 0:
            return None
        left = math.ceil(q * self.of)
        for at in sorted(self.counts):
            left -= self.counts[at]
            if left <= 0:
                edge = math.exp(at * _LOG_STEP)
                return 0.0 if edge <= _LEAST * 1.05 else edge
        return math.exp(max(self.counts) * _LOG_STEP)

    def halve(self) -> None:
        """Give what was counted half of its weight, so that what comes next has more."""
        self.counts = {at: count // 2 for at, count in self.counts.items() if count > 1}
        self.of = sum(self.counts.values())
