"""Metrics of the order in which scores put the rows; their size does not matter."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from include.domain.metrics.kinds import LEAST, Floats, Ints, Metric, Support, rarer_class


def roc_auc(y: Floats, score: Floats) -> float:
    """The share of (positive, negative) pairs in the right order, ties counting half (Mann and Whitney).

    >>> roc_auc(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    positive = y == 1
    m = int(positive.sum())
    n = len(y) - m
    return float((rankdata(score)[positive].sum() - m * (m + 1) / 2) / (m * n))


def average_precision(y: Floats, score: Floats) -> float:
    """Mean precision over the positives, each at its own score's threshold; rows with equal scores enter together.

    >>> round(average_precision(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    order = np.argsort(-score, kind="stable")
    hits, ends = np.cumsum(y[order]), _ends_of_ties(score[order])
    found = hits[ends]
    gained = np.diff(found, prepend=0.0)
    return float((gained * found / (ends + 1)).sum() / found[-1])


def macro_roc_auc(y: Floats, score: Floats) -> float:
    """The mean over the classes of the area under the curve of one against the rest: scikit-learn's ``roc_auc_score``
    with ``multi_class="ovr", average="macro"``."""
    return float(np.mean([roc_auc((y == c).astype(np.float64), score[:, c]) for c in range(score.shape[1])]))


def _ends_of_ties(ordered: Floats) -> Ints:
    """The last position of each run of equal values."""
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))


def rarest_class(y: Floats, score: Floats) -> Support:
    """The rows of the rarest class of as many as there are scores."""
    rows = np.bincount(y.astype(np.intp), minlength=score.shape[1])
    return Support(int(rows.min()), f"class {int(rows.argmin())} has")


def some_of_each(y: Floats, classes: int) -> str | None:
    """Why the labels do not allow a mean over all classes."""
    empty = np.flatnonzero(np.bincount(y.astype(np.intp), minlength=classes) == 0)
    return f"no label is of class {empty[0]}, one of {classes}" if len(empty) else None


ROC_AUC = Metric("roc_auc", LEAST, 0, 1, roc_auc, needs_two_classes=True, support=rarer_class)
AVERAGE_PRECISION = Metric(
    "average_precision", LEAST, 0, 1, average_precision, needs_two_classes=True, support=rarer_class
)
MACRO_ROC_AUC = Metric(
    "macro_roc_auc",
    LEAST,
    0,
    1,
    macro_roc_auc,
    needs_probabilities=True,
    support=rarest_class,
    bad_labels=some_of_each,
)
