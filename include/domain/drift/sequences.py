"""One-sided bounds that hold however often they are evaluated.

Both functions answer "how far may the mean be off after this much data", so that the chance of *ever* being wrong, over
all evaluations, is at most alpha. A fixed-sample interval evaluated every day is wrong far more often than alpha.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

UNREACHABLE = 1e6
"""A t statistic from which on the search ends: the evidence is then bounded below 1/alpha by the number of
units."""


def t_evidence(t: float, freedom: float, effective: float, scale: float) -> float:
    """The logarithm of the evidence (an e-value) that the mean rose, from a two-sample t statistic.

    Under equal means of normal units of one unknown variance the evidence, followed unit by unit, is a test
    martingale that starts at 1: it exceeds 1/alpha, ever, with probability at most alpha. That holds with the
    reference's own uncertainty included. The increase, in standard deviations of a unit, has a half-normal prior of
    scale ``scale``.

    Source: the two-sided closed form is the Bayesian two-sample t test of Gonen et al. (The American Statistician 59,
    2005); that its right-Haar form is valid at any time is shown by Perez-Ortiz, Lardy, de Heide and Grunwald (Annals
    of Statistics 52, 2024). The one-sided form multiplies it by twice a Student distribution function, from
    integrating over the half line.

    Args:
        t: The t statistic; above 0 where the current mean is above the reference's.
        freedom: Degrees of freedom of the pooled variance, above 0.
        effective: ``1 / (1/k + 1/n)`` for k reference and n current units.
        scale: The prior's scale, in standard deviations of one unit.

    >>> round(t_evidence(0.0, 20, 7.0, 1.0), 3)    # no difference speaks against a rise
    -1.04
    """
    tau = scale * math.sqrt(effective)
    correlation = t / math.sqrt(t * t + freedom) * tau / math.sqrt(1 + tau * tau)
    left = 1 - correlation * correlation
    # Of a difference above 0 at least half: the logarithm loses nothing.
    halves = _log_student(math.sqrt(freedom + 1) * correlation / math.sqrt(left), freedom + 1)
    fit = (freedom + 1) / 2 * math.log1p(-correlation * correlation)
    return float(math.log(2) - 0.5 * math.log1p(tau * tau) - fit + halves)


def _log_student(t: float, freedom: float) -> float:
    """The logarithm of Student's distribution function, without the checks of arrays that cost ``scipy.stats`` a
    hundred times the function."""
    below = float(special.stdtr(freedom, t))
    return math.log(below) if below > 0 else -math.inf


def least_t_bound(freedom: NDArray[np.float64], alpha: NDArray[np.float64]) -> NDArray[np.float64]:
    """What :func:`t_bound` is at least, whatever the prior: the quantile of a single test.

    The evidence has mean 1 without a rise, so it reaches 1/alpha in a single test with probability at most alpha
    (Markov).
    """
    return np.asarray(-special.stdtrit(freedom, alpha), dtype=np.float64)


@lru_cache(maxsize=4096)
def t_bound(freedom: float, effective: float, scale: float, alpha: float) -> float:
    """The t statistic from which on the evidence of :func:`t_evidence` reaches 1/alpha; infinite where it never does.

    >>> round(t_bound(20, 14 * 8 / 22, 1.0, 0.05), 1), t_bound(1, 0.6, 1.0, 0.05)
    (3.0, inf)
    """
    needed = -math.log(alpha)

    def missing(t: float) -> float:
        return t_evidence(t, freedom, effective, scale) - needed

    if missing(UNREACHABLE) < 0:
        return math.inf
    return float(optimize.brentq(missing, 0.0, UNREACHABLE))


def bernstein_evidence(total: float, variance: float, rho: float) -> float:
    """The logarithm of the evidence that a sum of bounded deviations is above 0 (gamma-exponential mixture, c = 1).

    Source: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences"
        (Annals of Statistics 49, 2021), Theorem 4 (empirical Bernstein) with Proposition 9 (the mixture). It needs no
        independence: it bounds the average conditional mean of values in [0, 1].

    Args:
        total: The sum of value minus mean over all rows.
        variance: The sum of (value minus its prediction from earlier rows) squared.
        rho: The mixture's precision; see :func:`bernstein_bound`.
    """
    mass = variance + rho
    at = total + mass
    if at <= 0:
        return -math.inf
    constant = rho * math.log(rho) - special.gammaln(rho) - math.log(special.gammainc(rho, rho))
    with np.errstate(divide="ignore"):
        tail = float(np.log(special.gammainc(mass, at)))
    return float(constant + special.gammaln(mass) + tail - mass * math.log(at) + total + variance)


@lru_cache(maxsize=4096)
def bernstein_bound(rows: int, variance: float, planned_variance: float, alpha: float) -> float:
    """How far the mean of ``rows`` values in [0, 1] may be above (or, by symmetry, below) the observed one, at any
    time.

    Args:
        rows: Number of values so far.
        variance: Sum of squared prediction errors so far, as in :func:`bernstein_evidence`.
        planned_variance: The value of ``variance`` at which the bound is to be tightest; fixed before any data is seen.
        alpha: The chance of ever being wrong, one side.

    >>> round(bernstein_bound(6300, 6300 * 0.04, 6300 * 0.04, 0.025), 4)
    0.0082
    """
    logged = 2 * math.log(1 / alpha)
    rho = max(planned_variance, 1.0) / (logged + math.log1p(logged))
    needed = -math.log(alpha)
    high = 1.0
    while bernstein_evidence(high, variance, rho) < needed:
        high *= 2
    return float(optimize.brentq(lambda total: bernstein_evidence(total, variance, rho) - needed, 0.0, high)) / rows
