"""Partial pooling: how far parts of the rows depart from what all of them show, when each part alone shows little.

Forty slices of 300 rows cannot each show that a candidate is no worse there, but together they show how much slices
differ at all. A part's difference is what all parts have in common plus its own departure, and departures are taken as
drawn from a normal distribution around zero whose width is learned from them (empirical Bayes; Efron and Morris 1975,
"Data analysis using Stein's estimator and its generalizations", JASA 70:311-319). The width is not a single estimate:
it is averaged over, by how likely the departures make it and a half-Cauchy prior (Gelman 2006, "Prior distributions for
variance parameters in hierarchical models", Bayesian Analysis 1:515-534), so that three parts are pooled less than
thirty. Errors are pooled too: of few rows, a part's own error is a poor estimate, and is drawn to that of all (the
moderated variance of Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression",
Statistical Applications in Genetics and Molecular Biology 3:3; here by moments, so that an error of zero is allowed).

What it costs is in docs/adr/0042: a part that is worse alone is seen later than if it were judged alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from include.domain.metrics import Floats

_WIDTHS = 81
"""Widths of the distribution of departures that are averaged over."""
_REACH = 8.0
"""The largest of them, as a multiple of the largest error or departure."""


def moderated(variance: Floats, rows: Floats, freedom: Floats, *, least: float = 0.0) -> tuple[Floats, Floats]:
    """Variances of means drawn to their common level, and the degrees of freedom they have then.

    Args:
        variance: of each part's mean, ``(m,)``.
        rows: of each part, ``(m,)``.
        freedom: degrees of freedom of each variance, ``(m,)``, at least 1.
        least: the smallest common variance of one row: of a share, one over the rows, since no sample of rows without
            any case shows that there is none.

    >>> drawn, freedom = moderated(np.array([1.0, 3.0]), np.ones(2), np.array([4.0, 4.0]))
    >>> drawn.tolist(), freedom.tolist()
    ([2.0, 2.0], [8.0, 8.0])
    """
    by_row = variance * rows
    common = max(float((by_row * freedom).sum() / freedom.sum()), least)
    if common <= 0:
        return variance, freedom
    noise = float(np.mean(2 / freedom))
    apart = float(((by_row / common - 1) ** 2).sum()) / max(len(variance) - 1, 1)
    beyond = max((apart - noise) / (1 + noise), 0.0)
    total = float(freedom.sum())
    if beyond <= 0:
        return common / rows, np.full(len(rows), total)
    prior = min(2 / beyond, total)
    drawn: Floats = (prior * common + freedom * by_row) / (prior + freedom) / rows
    return drawn, np.minimum(prior + freedom, total)


@dataclass(frozen=True, slots=True, eq=False)
class Departures:
    """How far ``m`` parts depart from their common mean.

    Attributes:
        apart: the measured departures, ``(m,)``; weighted by rows they add up to zero.
        variance: of each, moderated, ``(m,)``.
        freedom: the degrees of freedom of these.
        scale: a width of true departures that is thought likely before anything is seen; above 0.
    """

    apart: Floats
    variance: Floats
    freedom: Floats
    scale: float

    @classmethod
    def jackknifed(cls, moved: NDArray[Any], apart: Floats, rows: Floats, *, scale: float, least: float) -> Departures:
        """From leaving out one block of rows at a time.

        Args:
            moved: by block and part, how far the part's value moves when the block is left out, ``(g, m)``.
            apart: as above.
            rows: of each part, ``(m,)``.
            scale: as above; 0 takes the typical error instead.
            least: as in ``moderated``.
        """
        blocks = len(moved)
        own = moved - (moved @ (rows / rows.sum()))[:, None]
        seen = np.maximum((moved != 0).sum(axis=0) - 1.0, 1.0)
        variance, freedom = moderated((blocks - 1) / blocks * (own**2).sum(axis=0), rows, seen, least=least)
        typical = float(np.sqrt(np.median(variance)))
        return cls(apart, variance, freedom, scale or typical or 1.0)

    def quantile(self, part: int, level: float) -> tuple[float, float]:
        """The expected true departure of one part, and the ``level`` quantile of it."""
        weights, means, errors = self._mixture()
        expected = float(weights @ means[:, part])
        at = slice(part, part + 1)
        found = float(_quantile(weights, means[:, at], errors[:, at], level)[0])
        return expected, expected + float(self._student(level)[part]) * (found - expected)

    def pair_bounds(self, level: float) -> NDArray[np.float64]:
        """The ``level`` quantile of each part's true departure less another's, ``(m, m)``."""
        weights, means, errors = self._mixture()
        count, parts = means.shape
        between = (means[:, :, None] - means[:, None, :]).reshape(count, -1)
        error = np.hypot(errors[:, :, None], errors[:, None, :]).reshape(count, -1)
        expected = weights @ between
        student = self._student(level)
        widest = np.maximum(student[:, None], student[None, :]).ravel()
        found = expected + widest * (_quantile(weights, between, error, level) - expected)
        return np.asarray(found.reshape(parts, parts))

    def reach(self, level: float) -> Floats:
        """How far above a part's own departure its bound at ``level`` is when nothing but its error is pooled."""
        found: Floats = stdtrit(self.freedom, level) * np.sqrt(self.variance)
        return found

    def _student(self, level: float) -> Floats:
        """How much farther Student's t reaches than the normal."""
        found: Floats = stdtrit(self.freedom, level) / ndtri(level)
        return found

    def _mixture(self) -> tuple[Floats, Floats, Floats]:
        """By width of the departures ``(k,)`` its weight, and each part's expected departure and error ``(k, m)``."""
        top = max(float(np.sqrt(self.variance.max())), float(np.abs(self.apart).max()), 1e-12)
        width = np.linspace(0, 1, _WIDTHS) ** 2 * _REACH * top
        squares = (width * width)[:, None]
        total = np.maximum(self.variance[None, :] + squares, 1e-30)
        fits = -(np.log(total) + self.apart**2 / total).sum(axis=1) / 2 - np.log((1 / total).sum(axis=1)) / 2
        weights = np.exp(fits - fits.max()) / (1 + (width / self.scale) ** 2) * np.gradient(width)
        kept = squares / total
        return weights / weights.sum(), kept * self.apart, np.sqrt(kept * self.variance)


def _quantile(weights: Floats, means: Floats, errors: Floats, level: float) -> Floats:
    """The quantile of mixtures of normals: weights ``(k,)``, means and errors ``(k, m)``."""
    low, high = (means - 10 * errors).min(axis=0) - 1e-12, (means + 10 * errors).max(axis=0) + 1e-12
    wide = np.maximum(errors, 1e-15)
    for _ in range(50):
        middle = (low + high) / 2
        below = weights @ ndtr((middle - means) / wide) < level
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(high)
