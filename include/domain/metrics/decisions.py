"""Metrics of decisions: of a score above a declared threshold, or of the likeliest class.

All are functions of the confusion matrix ``C[i, j]``, the rows of class ``i`` that are answered ``j``, and equal
scikit-learn's of the same decisions. A score that equals the threshold is answered negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from include.domain.metrics.kinds import LEAST, MOST, Cells, Floats, Ints, Metric, Support, mean_of, rarer_class, ratio
from include.domain.metrics.ranking import rarest_class, some_of_each
from include.domain.verdicts import Direction

Matrix = Callable[[Floats], Floats]
"""Confusion matrices ``(r, k, k)`` to ``(r,)`` values."""


def decided(score: Floats, threshold: float = 0.5) -> Ints:
    """The class that is answered, ``(n,)``. In a tie of several classes the first is, as in scikit-learn."""
    return (score > threshold).astype(np.intp) if score.ndim == 1 else score.argmax(axis=1)


def _accuracy_rows(y: Floats, score: Floats) -> Floats:
    return 1 - error_rows(y, score)


def error_rows(y: Floats, score: Floats) -> Floats:
    """1 where the answer is wrong, 0 where it is right."""
    wrong: Floats = (decided(score) != y).astype(np.float64)
    return wrong


ACCURACY = mean_of("accuracy", LEAST, 0, 1, _accuracy_rows, needs_probabilities=True)


def precision(threshold: float) -> Metric:
    """The share of the rows that are answered positive which are positive."""
    return _of_two(
        f"precision(threshold={threshold:g})",
        threshold,
        lambda c: ratio(c[:, 1, 1], c[:, :, 1].sum(axis=1)),
        lambda y, score: Support(int(decided(score, threshold).sum()), "the positive class is answered on"),
    )


def recall(threshold: float) -> Metric:
    """The share of the positive rows which are answered positive."""
    return _of_two(
        f"recall(threshold={threshold:g})",
        threshold,
        lambda c: ratio(c[:, 1, 1], c[:, 1, :].sum(axis=1)),
        _positives,
    )


def f_beta(beta: float, threshold: float) -> Metric:
    """The weighted harmonic mean of precision and recall, recall counting ``beta`` times as much.

    van Rijsbergen (1979), "Information Retrieval", chapter 7.
    """
    square = beta * beta

    def value(c: Floats) -> Floats:
        right = (1 + square) * c[:, 1, 1]
        return ratio(right, right + square * c[:, 1, 0] + c[:, 0, 1])

    return _of_two(f"f_beta(beta={beta:g}, threshold={threshold:g})", threshold, value, _positives)


def balanced_accuracy_of_two(threshold: float) -> Metric:
    """The mean of the shares of the positives and of the negatives that are answered right."""
    name = f"balanced_accuracy(threshold={threshold:g})"
    return _of_two(name, threshold, lambda c: _recalls(c).mean(axis=1), rarer_class)


def cost(matrix: Sequence[Sequence[float]], threshold: float = 0.5) -> Metric:
    """The mean over the rows of what the answer costs: ``matrix[i][j]`` for a row of class i that is answered j.

    Elkan (2001), "The foundations of cost-sensitive learning", IJCAI 17:973-978: of two classes, with right answers
    free, the threshold that costs least is ``false alarm / (false alarm + miss)``.
    """
    costs = np.array(matrix, dtype=np.float64)
    classes = len(costs)

    def rows(y: Floats, score: Floats) -> Floats:
        found: Floats = costs[y.astype(np.intp), decided(score, threshold)]
        return found

    def other_classes(score: Floats) -> str | None:
        k = score.shape[1] if score.ndim == 2 else 2
        return None if k == classes else f"they are of {k} classes and the cost matrix of {classes}"

    return mean_of(
        "cost",
        MOST,
        float(costs.min()),
        float(costs.max()),
        rows,
        needs_probabilities=True,
        cells=_cells(lambda c: ratio((c * costs).sum(axis=(1, 2)), c.sum(axis=(1, 2))), threshold),
        bad_scores=other_classes,
    )


def _of_two(name: str, threshold: float, value: Matrix, support: Callable[[Floats, Floats], Support]) -> Metric:
    return _metric(name, LEAST, _cells(value, threshold), support, needs_two_classes=name.startswith("balanced"))


def _of_many(name: str, value: Matrix, support: Callable[[Floats, Floats], Support]) -> Metric:
    return _metric(name, LEAST, _cells(value), support, bad_labels=some_of_each)


def _metric(
    name: str,
    better: Direction,
    cells: Cells,
    support: Callable[[Floats, Floats], Support],
    *,
    needs_two_classes: bool = False,
    bad_labels: Callable[[Floats, int], str | None] | None = None,
) -> Metric:
    def value(y: Floats, score: Floats) -> float:
        cell, count = cells.of_rows(y, score)
        return float(cells.value(np.bincount(cell, minlength=count)[None, :].astype(np.float64))[0])

    return Metric(
        name,
        better,
        0,
        1,
        value,
        needs_probabilities=True,
        needs_two_classes=needs_two_classes,
        cells=cells,
        support=support,
        bad_labels=bad_labels,
    )


def _cells(value: Matrix, threshold: float = 0.5) -> Cells:
    def of_rows(y: Floats, score: Floats) -> tuple[Ints, int]:
        k = score.shape[1] if score.ndim == 2 else 2
        cell: Ints = y.astype(np.intp) * k + decided(score, threshold)
        return cell, k * k

    def of_counts(counts: Floats) -> Floats:
        k = round(counts.shape[1] ** 0.5)
        return value(counts.reshape(len(counts), k, k))

    return Cells(of_rows, of_counts)


def _positives(y: Floats, score: Floats) -> Support:
    return Support(int((y == 1).sum()), "the positive class has")


def _recalls(c: Floats) -> Floats:
    return ratio(np.diagonal(c, axis1=1, axis2=2), c.sum(axis=2))


def _precisions(c: Floats) -> Floats:
    return ratio(np.diagonal(c, axis1=1, axis2=2), c.sum(axis=1))


def _f1s(c: Floats) -> Floats:
    right = 2 * np.diagonal(c, axis1=1, axis2=2)
    return ratio(right, c.sum(axis=1) + c.sum(axis=2))


def _rarest_answer(y: Floats, score: Floats) -> Support:
    rows = np.bincount(decided(score), minlength=score.shape[1])
    return Support(int(rows.min()), f"class {int(rows.argmin())} is answered on")


MACRO_PRECISION = _of_many("macro_precision", lambda c: _precisions(c).mean(axis=1), _rarest_answer)
MACRO_RECALL = _of_many("macro_recall", lambda c: _recalls(c).mean(axis=1), rarest_class)
MACRO_F1 = _of_many("macro_f1", lambda c: _f1s(c).mean(axis=1), rarest_class)
BALANCED_ACCURACY = _of_many("balanced_accuracy", lambda c: _recalls(c).mean(axis=1), rarest_class)
"""Of several classes the same as ``macro_recall``; both names are used."""
