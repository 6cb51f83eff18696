"""How far a metric of decisions may be off where two models decide few rows, or none, differently."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from include.domain.changed_decisions import least_reach
from include.domain.metrics import Task, metric_of

LABELS = np.repeat([1.0, 0.0], [100, 300])
RECALL = metric_of(Task.BINARY, "recall(threshold=0.5)")
COST = metric_of(Task.BINARY, "cost(matrix=[[0, 1], [5, 0]], threshold=0.5)")


def missing(*rows: int) -> np.ndarray:
    """Scores that decide every row right but these."""
    score = LABELS.copy()
    score[list(rows)] = 1 - score[list(rows)]
    return score


def unseen(changed: int, alpha: float = 0.05) -> float:
    """How many rows more than the changed ones may be expected, by Garwood's upper limit."""
    return float(chi2.isf(alpha, 2 * (changed + 1)) / 2 - changed)


@pytest.mark.parametrize("changed", [0, 1, 4])
def test_as_many_rows_as_poissons_upper_limit_allows_may_be_decided_otherwise(changed):
    """Each of the 100 positive rows moves the recall by a hundredth."""
    reach = least_reach(RECALL, LABELS, missing(*range(changed)), missing(), 0.05)
    assert reach == pytest.approx(unseen(changed) / 100)


def test_rows_that_both_models_miss_are_no_change():
    assert least_reach(RECALL, LABELS, missing(3), missing(3), 0.05) == pytest.approx(unseen(0) / 100)


def test_a_smaller_alpha_reaches_farther():
    assert least_reach(RECALL, LABELS, missing(), missing(), 0.01) == pytest.approx(unseen(0, 0.01) / 100)


def test_the_class_counts_whose_rows_move_the_metric_most():
    """A miss costs five, a false alarm one; each is one of 400 rows."""
    assert least_reach(COST, LABELS, missing(), missing(), 0.05) == pytest.approx(unseen(0) * 5 / 400)


def test_a_row_that_has_not_been_seen_may_have_the_largest_weight():
    weight = np.where(np.arange(400) % 4 == 0, 3.0, 1.0)
    expected = unseen(0) * 5 * 3 / weight.sum()
    assert least_reach(COST, LABELS, missing(), missing(), 0.05, weight) == pytest.approx(expected)


def test_a_kind_of_answer_that_was_given_once_is_one_that_may_be_given_otherwise():
    y = np.append(np.zeros(399), 1.0)
    assert least_reach(COST, y, y, y, 0.05) == pytest.approx(unseen(0) * 5 / 400)


def test_of_three_classes_a_row_of_the_rarest_moves_a_mean_of_shares_most():
    """30 rows of the rarest class: each moves its share by a thirtieth, and the mean of three by a ninetieth."""
    y = np.repeat([0.0, 1.0, 2.0], [300, 100, 30])
    sure = np.eye(3)[y.astype(int)]
    reach = least_reach(metric_of(Task.MULTICLASS, "macro_recall"), y, sure, sure, 0.05)
    assert reach == pytest.approx(unseen(0) / 90)


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        pytest.param("brier", "it is none of decisions", id="no decisions"),
        pytest.param("precision(threshold=0.5)", "it has no value where no row is answered positive", id="no value"),
    ],
)
def test_a_metric_that_decisions_do_not_move_has_no_reach(metric, why):
    nobody = np.full(400, 0.1)
    assert least_reach(metric_of(Task.BINARY, metric), LABELS, nobody, nobody, 0.05) == 0, why
