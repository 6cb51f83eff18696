"""How far two histograms over the same bins are apart, and whether chance explains it. Everything stays finite."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from scipy.spatial import distance

Counts = NDArray[np.float64]

LEAST_EXPECTED = 5.0
"""Fewest expected rows of a bin in both windows to be compared on its own (Cochran's rule for the chi-squared test)."""


@dataclass(frozen=True, slots=True)
class HistogramComparison:
    """One reference and one current histogram over the same bins.

    ``psi`` is the population stability index, ``effect`` what remains of it (0 or more) after subtracting
    ``psi_expected``, its mean without drift at these sizes; ``p`` is the chi-squared test's. ``p`` is 1 and
    ``effect`` 0 where fewer than two bins are left, since then nothing can differ.
    """

    psi: float
    psi_expected: float
    effect: float
    p: float
    jensen_shannon: float
    bins: int


def compare(reference: Counts, current: Counts) -> HistogramComparison:
    """Compare two histograms over the same bins.

    Bins with too few expected rows are pooled first. Which ones is decided on both windows together, never on the
    reference alone: a category kept because the reference happened to have many of it is expected to have fewer in
    any other window, and a high-cardinality feature would alarm without drift.

    Args:
        reference: Shape (bins,): rows in each bin.
        current: Shape (bins,): rows in each bin.

    >>> compare(np.array([500.0, 500.0]), np.array([0.0, 1000.0])).effect > 1
    True
    """
    a, b = _pooled(reference, current)
    n, m = float(a.sum()), float(b.sum())
    if len(a) < 2 or n == 0 or m == 0:
        return HistogramComparison(0.0, 0.0, 0.0, 1.0, 0.0, len(a))
    psi = population_stability(a, b)
    expected = expected_stability(len(a), n, m)
    p = _chi_squared_p(np.stack([a, b]))
    shannon = float(distance.jensenshannon(a / n, b / m, base=2))
    return HistogramComparison(
        psi, expected, max(psi - expected, 0.0), p, shannon if math.isfinite(shannon) else 0.0, len(a)
    )


def _chi_squared_p(observed: Counts) -> float:
    """Pearson's test of a table of counts, shape (2, bins), none of whose rows or columns is empty.

    The same number as ``scipy.stats.chi2_contingency`` without a correction, whose checks of arrays cost twenty times
    the test.
    """
    expected = observed.sum(axis=1, keepdims=True) * observed.sum(axis=0, keepdims=True) / observed.sum()
    statistic = ((observed - expected) ** 2 / expected).ravel().sum()
    return float(special.chdtrc(observed.shape[1] - 1, statistic))


def population_stability(reference: Counts, current: Counts) -> float:
    """The population stability index: sum of (q - p) log(q / p), 0 for equal shares, no upper end.

    Half a row is added to every bin (Jeffreys' prior), so that an empty bin counts as rare, not as impossible.
    """
    p = (reference + 0.5) / (reference.sum() + 0.5 * len(reference))
    q = (current + 0.5) / (current.sum() + 0.5 * len(current))
    return float(((q - p) * np.log(q / p)).sum())


def expected_stability(bins: int, reference_rows: float, current_rows: float) -> float:
    """The mean of the index without drift, (B - 1)(1/n + 1/m): twice the index is nearly a chi-squared."""
    return (bins - 1) * (1 / reference_rows + 1 / current_rows)


def wasserstein(reference: Counts, current: Counts, places: NDArray[np.float64], scale: float) -> float | None:
    """The earth mover's distance between two numeric histograms, in standard deviations of the reference.

    Every row counts as at its bin's place, so rows that move within a bin are not seen, and rows outside the
    reference's range count as at its border (the share outside is reported beside it). None without rows, spread or
    places.

    Args:
        reference: Shape (bins,): rows in each bin.
        current: Shape (bins,).
        places: Shape (bins,): where the bin's rows are.
        scale: The reference's standard deviation.
    """
    if not (len(places) > 1 and reference.sum() > 0 and current.sum() > 0 and scale > 0):
        return None
    return float(stats.wasserstein_distance(places / scale, places / scale, reference, current))


def smaller_share(reference: Counts, current: Counts) -> float:
    """The smaller window's share of the rows of both, 0 to 0.5; 0 without rows."""
    n, m = float(reference.sum()), float(current.sum())
    return min(n, m) / (n + m) if n + m else 0.0


def enough(reference: Counts, current: Counts) -> NDArray[np.bool_]:
    """Shape (bins,): whether the bin's expected rows in both windows are enough to compare it on its own."""
    return np.asarray((reference + current) * smaller_share(reference, current) >= LEAST_EXPECTED)


def _pooled(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """The bins that are compared on their own, then one with all others; it joins the smallest of them when it is
    itself too small."""
    alone = enough(reference, current)
    smaller = smaller_share(reference, current)
    a, b = reference[alone], current[alone]
    rest = (float(reference[~alone].sum()), float(current[~alone].sum()))
    if sum(rest) * smaller >= LEAST_EXPECTED or (sum(rest) > 0 and len(a) == 0):
        return np.append(a, rest[0]), np.append(b, rest[1])
    if sum(rest) > 0:
        a, b = a.copy(), b.copy()
        smallest = int(np.argmin(a + b))
        a[smallest] += rest[0]
        b[smallest] += rest[1]
    return a, b
