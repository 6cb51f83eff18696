"""Curves of one model on one set of rows, small enough for a run page: at most about 200 points each, as plain JSON.

Each returns None where the rows do not allow it (no rows, missing values, one class), as the metrics do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from include.domain.metrics import Floats, equal_mass_bins

MAX_POINTS = 200
_RESIDUAL_QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Curve:
    """``y`` over ``x`` for falling thresholds. ``threshold[i]`` is the lowest score that counts as positive at point i;
    None at the point where none does."""

    name: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    threshold: tuple[float | None, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Equal-mass bins: mean score, share of positives, and rows of each."""

    mean_score: tuple[float, ...]
    share_positive: tuple[float, ...]
    rows: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows between neighbouring ``edges`` (one more than bins; the last bin includes its upper edge)."""

    name: str
    edges: tuple[float, ...]
    rows: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Residuals:
    """``label - prediction``: quantiles by level, mean, and the histogram between the 0.1 % and 99.9 % quantiles, with
    the rows beyond them in the outermost bins."""

    mean: float
    quantiles: dict[str, float]
    histogram: Histogram

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each class was answered by each: ``rows[i][j]`` rows are of class i and were answered by class j, the
    one with the highest score."""

    classes: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def roc_against_rest(y: Floats, scores: Floats, position: int) -> Curve | None:
    """The curve of one class against all others; None where the rows are all of it, or none is.

    Args:
        y: ``(n,)`` positions of the classes.
        scores: ``(n, k)``, a column for each class.
        position: that of the class.
    """
    return roc_curve((y == position).astype(np.float64), np.asarray(scores, dtype=np.float64)[:, position])


def confusion(y: Floats, scores: Floats, classes: Sequence[str]) -> Confusion | None:
    """Counted over the rows; of equal highest scores the first class is the answer.

    >>> confusion(np.array([0.0, 1.0, 1.0]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), ["no", "yes"]).rows
    ((1, 0), (1, 1))
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not _usable(y, scores):
        return None
    count = len(classes)
    cells = np.bincount(y.astype(np.intp) * count + scores.argmax(axis=1), minlength=count * count)
    return Confusion(tuple(classes), tuple(map(tuple, cells.reshape(count, count).tolist())))


def roc_curve(y: Floats, score: Floats) -> Curve | None:
    """True positive rate over false positive rate, from (0, 0) to (1, 1)."""
    counted = _counted(y, score)
    if counted is None:
        return None
    hits, alarms, thresholds = counted
    x, up = np.append(0.0, alarms / alarms[-1]), np.append(0.0, hits / hits[-1])
    kept = _thinned(x + up)  # along the curve, whose steep part matters most
    shown: list[float | None] = [None, *thresholds.tolist()]
    return Curve(
        "roc", "false positive rate", "true positive rate", _values(x[kept]), _values(up[kept]), _at(shown, kept)
    )


def precision_recall_curve(y: Floats, score: Floats) -> Curve | None:
    """Precision over recall."""
    counted = _counted(y, score)
    if counted is None:
        return None
    hits, alarms, thresholds = counted
    recall, precision = hits / hits[-1], hits / (hits + alarms)
    kept = _thinned(recall)
    shown: list[float | None] = thresholds.tolist()
    return Curve(
        "precision_recall", "recall", "precision", _values(recall[kept]), _values(precision[kept]), _at(shown, kept)
    )


def reliability(y: Floats, score: Floats, bins: int = 10) -> Reliability | None:
    """How often each equal-mass bin of scores was right; equal scores share a bin, empty bins are left out."""
    if not _usable(y, score):
        return None
    bin_of = equal_mass_bins(score, bins)
    rows = np.bincount(bin_of, minlength=bins)
    filled = rows > 0
    mean, share = (np.bincount(bin_of, v, bins)[filled] / rows[filled] for v in (score, y))
    return Reliability(_values(mean), _values(share), tuple(rows[filled].tolist()))


def score_histogram(score: Floats, bins: int = 50, low: float = 0.0, high: float = 1.0) -> Histogram | None:
    """Rows by score, between ``low`` and ``high``; scores beyond them are in the outermost bins."""
    return _histogram("score", score, bins, low, high) if _usable(score, score) else None


def residuals(y: Floats, score: Floats, bins: int = 50) -> Residuals | None:
    """The errors of the predictions, in the label's unit."""
    if not _usable(y, score):
        return None
    missed = y - score
    low, high = np.quantile(missed, [0.001, 0.999])
    if low == high:
        low, high = low - 0.5, high + 0.5
    found = dict(zip(map(str, _RESIDUAL_QUANTILES), np.quantile(missed, _RESIDUAL_QUANTILES).tolist(), strict=True))
    return Residuals(float(missed.mean()), found, _histogram("residual", missed, bins, float(low), float(high)))


def _usable(y: Floats, score: Floats) -> bool:
    return len(y) > 0 and bool(np.isfinite(y).all() and np.isfinite(score).all())


def _counted(y: Floats, score: Floats) -> tuple[Floats, Floats, Floats] | None:
    """Positives and negatives at or above each distinct score, highest score first; None without both classes."""
    if not _usable(y, score) or not 0 < float((y == 1).sum()) < len(y):
        return None
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits = np.cumsum(y[order] == 1)[ends].astype(np.float64)
    return hits, ends + 1 - hits, ordered[ends]


def _thinned(x: Floats) -> np.ndarray[Any, np.dtype[np.intp]]:
    """At most ``MAX_POINTS`` positions, first and last included, evenly spread along the rising ``x``."""
    if len(x) <= MAX_POINTS:
        return np.arange(len(x))
    near = np.searchsorted(x, np.linspace(x[0], x[-1], MAX_POINTS - 2))
    return np.unique(np.concatenate([[0], np.minimum(near, len(x) - 1), [len(x) - 1]])).astype(np.intp)


def _at(values: list[float | None], kept: np.ndarray[Any, np.dtype[np.intp]]) -> tuple[float | None, ...]:
    return tuple(values[i] for i in kept)


def _values(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())


def _histogram(name: str, values: Floats, bins: int, low: float, high: float) -> Histogram:
    edges = np.linspace(low, high, bins + 1)
    rows, _ = np.histogram(np.clip(values, low, high), edges)
    return Histogram(name, _values(edges), tuple(rows.tolist()))
