"""How many answers a step needs before an equal canary can be shown to be no worse: known before any traffic."""

from __future__ import annotations

from scipy.stats import binom

from include.domain.canary.rates import added_at_most
from include.domain.canary.wires import Wire

_EACH = 0.9
"""Of each arm's count this quantile is taken: together an equal canary is shown at least four times in five."""
MOST = 10_000_000
"""More rows than that are not waited for."""


def rows_needed(share_ppm: int, margin: float, usual: float, alpha: float) -> int | None:
    """The fewest canary rows at which an equal canary is shown to add at most ``margin``, at least four times in five.

    Args:
        share_ppm: the step's share, in (0, 1,000,000) millionths. The champion has the others.
        margin: the highest tolerated difference of the rates.
        usual: the rate at which both fail.
        alpha: as in ``added_at_most``.

    Returns:
        None where more than 10 million rows would be needed, or no number of them is enough.

    >>> rows_needed(10_000, 0.02, 0.001, 0.05)
    370
    """

    def enough(rows: int) -> bool:
        others = int(rows * (1_000_000 - share_ppm) / share_ppm)
        ours, theirs = int(binom.ppf(_EACH, rows, usual)), int(binom.ppf(1 - _EACH, others, usual))
        return added_at_most((ours, rows), (theirs, others), alpha) <= margin

    low, high = 0, 50
    while not enough(high):
        low, high = high, high * 2
        if high > MOST:
            return None
    while high - low > max(1, high // 1000):
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high


def wire_chance(wire: Wire, usual: float, rows: int) -> float:
    """An upper bound of the chance that an equal canary trips the wire within so many rows, were its failures, at the
    usual rate, never the champion's too.

    >>> wire_chance(Wire(5, 20), 0.001, 100_000) < 1e-5
    True
    """
    # A window that is the first to hold k failures ends with one.
    return min(1.0, rows * usual * float(binom.sf(wire.failures - 2, wire.of - 1, usual)))
