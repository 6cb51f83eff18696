"""Have only the shares of the classes changed? What the loss would be then, without a label.

Confidence-based estimation takes a calibrated probability at its word, and that word is about the shares of the
held-out days. Where a class has become more frequent (label shift: P(x given class) stays, P(class) moves), every
probability is too low for it, and the estimated loss is too low or too high. Expectation-maximisation finds the new
shares from the probabilities alone (Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a
priori probabilities", Neural Computation 14, 2002; with calibrated scores it is the best known way: Alexandari,
Kundaje and Shrikumar, "Maximum likelihood with bias-corrected calibration is hard-to-beat at label shift adaptation",
ICML 2020).

It is an answer to one question, not proof of it: a change of the concept looks like this too, or like nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from include.domain.drift.calibration import expected_losses
from include.domain.metrics import Metric

Floats = NDArray[np.float64]

STEPS = 200
CLOSE = 1e-7
SURE = 1e-3
"""A calibrated probability is taken as at least this far from 0 and 1: a few held-out rows never prove certainty."""
ALPHA = 0.01
"""The chance that shares which did not change are called changed, on independent rows."""


@dataclass(frozen=True, slots=True)
class LabelShift:
    """The classes' shares of the newest rows, were they all that changed.

    Attributes:
        usual: the share of each class among the held-out rows, in the order of the outputs.
        shares: the likeliest ones of these rows.
        risk: the mean loss of these rows with the probabilities corrected for the new shares.
        shown: whether the rows tell the new shares from the usual ones, by a likelihood ratio.
        rows: how many there are.
    """

    usual: tuple[float, ...]
    shares: tuple[float, ...]
    risk: float
    shown: bool
    rows: int

    def as_json(self) -> dict[str, Any]:
        return {
            "usual": list(self.usual),
            "shares": list(self.shares),
            "risk": self.risk,
            "shown": self.shown,
            "rows": self.rows,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LabelShift:
        return cls(
            usual=tuple(data["usual"]),
            shares=tuple(data["shares"]),
            risk=float(data["risk"]),
            shown=bool(data["shown"]),
            rows=int(data["rows"]),
        )


def shifted_shares(probabilities: Floats, usual: Sequence[float]) -> tuple[Floats, bool]:
    """The likeliest shares of the classes, and whether they are told from the usual ones.

    Args:
        probabilities: ``(n, classes)``: calibrated on rows with the usual shares; rows add up to 1.
        usual: the share of each class there, in (0, 1).

    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(4000) < 0.5
    >>> x = rng.normal(2.0 * y, 1.0)
    >>> odds = 0.2 / 0.8 * np.exp(2.0 * x - 2.0)  # calibrated where a fifth is positive
    >>> p = odds / (1 + odds)
    >>> shares, shown = shifted_shares(np.column_stack([1 - p, p]), (0.8, 0.2))
    >>> bool(abs(shares[1] - 0.5) < 0.03), shown
    (True, True)
    """
    prior = np.asarray(usual, dtype=np.float64)
    likelihoods = _sure(probabilities) / prior
    shares = _of_two(likelihoods) if len(prior) == 2 else _of_many(likelihoods, prior)
    ratio = 2 * float((np.log(likelihoods @ shares) - np.log(likelihoods @ prior)).sum())
    return shares, ratio > float(stats.chi2.isf(ALPHA, len(prior) - 1))


def _of_two(likelihoods: Floats) -> Floats:
    """The fixed point of expectation-maximisation for two classes: where the likelihood's falling slope is 0."""
    apart = likelihoods[:, 1] - likelihoods[:, 0]

    def slope(share: float) -> float:
        return float((apart / (likelihoods[:, 0] + share * apart)).sum())

    low, high = CLOSE, 1 - CLOSE
    if slope(low) <= 0 or slope(high) >= 0:
        share = low if slope(low) <= 0 else high
    else:
        share = float(optimize.brentq(slope, low, high, xtol=CLOSE))
    return np.array([1 - share, share])


def _of_many(likelihoods: Floats, prior: Floats) -> Floats:
    shares = prior
    for _ in range(STEPS):
        weighted = likelihoods * shares
        moved: Floats = (weighted / weighted.sum(axis=1, keepdims=True)).mean(axis=0)
        if float(np.abs(moved - shares).max()) < CLOSE:
            return moved
        shares = moved
    return shares


def label_shift(
    metric: str | Metric, scores: NDArray[Any], probabilities: Floats, usual: Sequence[float]
) -> LabelShift:
    """The classes' likeliest shares, and the mean loss with the probabilities corrected for them.

    Args:
        metric: As in :func:`include.domain.drift.calibration.expected_losses`.
        scores: ``(n,)`` or ``(n, classes)``, n at least 1: what the champion answered.
        probabilities: Of the same shape: calibrated where the classes have their usual shares.
        usual: the share of each class there, in (0, 1).
    """
    chances = np.column_stack([1 - probabilities, probabilities]) if probabilities.ndim == 1 else probabilities
    shares, shown = shifted_shares(chances, usual)
    better = corrected(chances, usual, shares)
    losses = expected_losses(metric, scores, better[:, 1] if probabilities.ndim == 1 else better)
    return LabelShift(tuple(usual), tuple(float(s) for s in shares), float(losses.mean()), shown, len(scores))


def corrected(probabilities: Floats, usual: Sequence[float], shares: Floats) -> Floats:
    """``(n, classes)``: the probabilities where the classes have other shares than those they are calibrated on.

    >>> corrected(np.array([[0.5, 0.5]]), (0.5, 0.5), np.array([0.2, 0.8])).round(2).tolist()
    [[0.2, 0.8]]
    """
    weighted = _sure(probabilities) * shares / np.asarray(usual, dtype=np.float64)
    found: Floats = weighted / weighted.sum(axis=1, keepdims=True)
    return found


def _sure(probabilities: Floats) -> Floats:
    clipped = np.clip(probabilities, SURE, 1 - SURE)
    found: Floats = clipped / clipped.sum(axis=1, keepdims=True)
    return found
