"""Curves: right where scikit-learn says, small, and None where there is nothing to draw."""

from __future__ import annotations

import json
from math import nan

import numpy as np
import pytest
from sklearn import metrics as reference

from include.domain.curves import (
    MAX_POINTS,
    confusion,
    precision_recall_curve,
    reliability,
    residuals,
    roc_against_rest,
    roc_curve,
    score_histogram,
)


def scored(rows=5000, *, decimals=None, seed=1):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 3, rows)
    y = (rng.random(rows) < p).astype(float)
    return y, p if decimals is None else p.round(decimals)


def test_a_small_roc_curve_equals_scikit_learns():
    y, p = scored(decimals=1)
    fpr, tpr, thresholds = reference.roc_curve(y, p, drop_intermediate=False)
    curve = roc_curve(y, p)
    assert (curve.x, curve.y) == (pytest.approx(fpr), pytest.approx(tpr))
    assert curve.threshold == (None, *thresholds[1:])


def test_a_small_precision_recall_curve_equals_scikit_learns():
    y, p = scored(decimals=1)
    precision, recall, thresholds = reference.precision_recall_curve(y, p)
    curve = precision_recall_curve(y, p)
    assert curve.x == pytest.approx(recall[:-1][::-1])
    assert curve.y == pytest.approx(precision[:-1][::-1])
    assert curve.threshold == pytest.approx(thresholds[::-1])


def test_a_thinned_curve_is_small_and_keeps_its_area_and_ends():
    y, p = scored(50_000)
    curve = roc_curve(y, p)
    assert len(curve.x) <= MAX_POINTS
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(reference.roc_auc_score(y, p), abs=1e-3)
    assert len(precision_recall_curve(y, p).x) <= MAX_POINTS


def test_reliability_bins_hold_the_same_number_of_rows_and_their_own_means():
    y, p = scored()
    found = reliability(y, p)
    assert found.rows == (500,) * 10
    assert found.mean_score[0] == pytest.approx(np.sort(p)[:500].mean())
    assert np.average(found.share_positive, weights=found.rows) == pytest.approx(y.mean())


def test_equal_scores_share_a_bin_and_empty_bins_are_left_out():
    found = reliability(np.array([0.0, 1.0, 1.0, 0.0]), np.full(4, 0.4))
    assert (found.rows, found.share_positive) == ((4,), (0.5,))


def test_every_row_is_in_a_histogram_also_beyond_its_edges():
    found = score_histogram(np.array([-1.0, 0.0, 0.5, 1.0, 7.0]), bins=2)
    assert (found.edges, found.rows) == ((0.0, 0.5, 1.0), (2, 3))


def test_residuals_are_label_minus_prediction():
    rng = np.random.default_rng(0)
    y = rng.normal(150, 60, 4000)
    found = residuals(y, y - rng.normal(5, 10, 4000))
    assert found.mean == pytest.approx(5, abs=0.5)
    assert found.quantiles["0.5"] == pytest.approx(5, abs=0.6)
    assert sum(found.histogram.rows) == 4000


def test_residuals_of_a_perfect_model_are_still_a_histogram():
    assert sum(residuals(np.arange(9.0), np.arange(9.0)).histogram.rows) == 9


@pytest.mark.parametrize(
    ("y", "p"),
    [([], []), ([1, 1], [0.2, 0.3]), ([0, 1], [0.2, nan]), ([0, nan], [0.2, 0.3])],
    ids=["empty", "one class", "nan score", "nan label"],
)
def test_rows_that_allow_no_curve_give_none(y, p):
    y, p = np.array(y, dtype=float), np.array(p, dtype=float)
    assert roc_curve(y, p) is precision_recall_curve(y, p) is None


@pytest.mark.parametrize("y", [[], [nan]], ids=["empty", "nan"])
def test_rows_without_values_give_no_histogram(y):
    values = np.array(y, dtype=float)
    assert residuals(values, values) is score_histogram(values) is reliability(values, values) is None


def test_all_of_it_is_plain_json():
    y, p = scored(300)
    drawn = [roc_curve(y, p), precision_recall_curve(y, p), reliability(y, p), score_histogram(p), residuals(y, p)]
    assert json.loads(json.dumps([d.as_json() for d in drawn], allow_nan=False))


def three_classes(rows=900, seed=3):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, rows).astype(float)
    scores = rng.dirichlet([1, 1, 1], rows)
    scores[np.arange(rows), y.astype(int)] += rng.random(rows)
    return y, scores / scores.sum(axis=1, keepdims=True)


def test_of_three_classes_each_has_its_curve_against_the_rest_and_the_answers_are_counted():
    y, scores = three_classes()
    for position in range(3):
        curve = roc_against_rest(y, scores, position)
        area = float(np.trapezoid(curve.y, curve.x))
        assert area == pytest.approx(reference.roc_auc_score(y == position, scores[:, position]), abs=2e-3)
    found = confusion(y, scores, ["low", "middle", "high"])
    assert found.rows == tuple(map(tuple, reference.confusion_matrix(y, scores.argmax(axis=1)).tolist()))
    assert json.loads(json.dumps(found.as_json()))["classes"] == ["low", "middle", "high"]


def test_of_a_class_without_a_row_there_is_no_curve_and_of_missing_scores_no_count():
    y, scores = three_classes()
    assert roc_against_rest(np.zeros_like(y), scores, 1) is None
    scores[0, 0] = nan
    assert confusion(y, scores, ["low", "middle", "high"]) is None
    assert roc_against_rest(y, scores, 0) is None
