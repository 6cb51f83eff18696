"""Rows that count differently: scikit-learn's weighted values, and an honest number of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn import metrics as reference
from test_metrics_people_decide_by import rows_of

from include.domain.blocks import Blocks, block_statistic, weighted_value
from include.domain.comparison import PairedScores, compare
from include.domain.gates import Bound, ChampionRules, ComparisonRule, Evidence, champion_gate, threshold_gate
from include.domain.metrics import METRICS, Task, metric_of
from include.domain.own_metrics import whole
from include.domain.verdicts import Direction, Mode, Verdict
from include.domain.weighted_metrics import measure_weighted
from include.domain.weights import BadWeights, checked, effective_rows

B, M, R = Task.BINARY, Task.MULTICLASS, Task.REGRESSION

EXPECTED = {
    (B, "roc_auc"): lambda y, s, w: reference.roc_auc_score(y, s, sample_weight=w),
    (B, "average_precision"): lambda y, s, w: reference.average_precision_score(y, s, sample_weight=w),
    (B, "log_loss"): lambda y, s, w: reference.log_loss(y, s, sample_weight=w),
    (B, "brier"): lambda y, s, w: reference.brier_score_loss(y, s, sample_weight=w),
    (B, "accuracy"): lambda y, s, w: reference.accuracy_score(y, s > 0.5, sample_weight=w),
    (B, "precision(threshold=0.3)"): lambda y, s, w: reference.precision_score(y, s > 0.3, sample_weight=w),
    (B, "recall(threshold=0.3)"): lambda y, s, w: reference.recall_score(y, s > 0.3, sample_weight=w),
    (B, "f_beta(beta=2, threshold=0.3)"): lambda y, s, w: reference.fbeta_score(y, s > 0.3, beta=2, sample_weight=w),
    (M, "macro_f1"): lambda y, s, w: reference.f1_score(y, s.argmax(axis=1), average="macro", sample_weight=w),
    (M, "brier"): lambda y, s, w: reference.brier_score_loss(y, s, sample_weight=w, scale_by_half=True),
    (M, "macro_roc_auc"): lambda y, s, w: np.mean(
        [reference.roc_auc_score(y == c, s[:, c], sample_weight=w) for c in range(3)]
    ),
    (R, "mae"): lambda y, s, w: reference.mean_absolute_error(y, s, sample_weight=w),
    (R, "rmse"): lambda y, s, w: reference.root_mean_squared_error(y, s, sample_weight=w),
    (R, "r2"): lambda y, s, w: reference.r2_score(y, s, sample_weight=w),
    (R, "mape"): lambda y, s, w: reference.mean_absolute_percentage_error(y, s, sample_weight=w),
    (R, "poisson_deviance"): lambda y, s, w: reference.mean_poisson_deviance(y, s, sample_weight=w),
    (R, "pinball(quantile=0.9)"): lambda y, s, w: reference.mean_pinball_loss(y, s, sample_weight=w, alpha=0.9),
}
EVERY = [(task, name) for task, names in METRICS.items() for name in names]
EVERY += [key for key in EXPECTED if key not in EVERY]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), tenths=st.booleans())
@pytest.mark.parametrize(("task", "name"), EXPECTED)
def test_each_weighted_metric_equals_scikit_learns(task, name, seed, tenths):
    y, score = rows_of(task, 300, seed, tenths=tenths)
    weight = np.random.default_rng(seed).gamma(0.5, 2.0, 300) + 1e-3
    found = measure_weighted(task, name, y, score, weight)
    if task is B and name == "log_loss" and tenths:
        y, score = y, np.clip(score, np.finfo(float).eps, 1 - np.finfo(float).eps)
    assert found.value == pytest.approx(EXPECTED[task, name](y, score, weight), rel=1e-9)


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_equal_weights_change_nothing_and_a_weight_of_two_is_the_row_twice(task, name):
    y, score = rows_of(task, 400, 3)
    metric = metric_of(task, name)
    assert weighted_value(metric, y, score, np.full(400, 2.5)) == pytest.approx(metric.value(y, score))
    if name == "ece":
        return  # its bins hold equally many rows, whatever these count
    double = np.where(np.arange(400) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(400), double.astype(int))
    assert weighted_value(metric, y, score, double) == pytest.approx(metric.value(y[twice], score[twice]))
    days = np.arange(400) % 5
    counts = np.array([[1.0, 0, 2, 1, 1]])
    stat = block_statistic(metric, y, score, Blocks(days, 5, double))
    of_days = np.concatenate([np.flatnonzero(days[twice] == d).repeat(int(c)) for d, c in enumerate(counts[0])])
    assert stat(counts)[0] == pytest.approx(metric.value(y[twice][of_days], score[twice][of_days]))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1, np.nan, 2], "exposure of row 2 is nan; a weight is a finite number of 0 or more."),
        ([1, 2, -3, -1], r"exposure of row 3 is -3 \(and of 1 other rows\); a weight is"),
        ([1, np.inf], "exposure of row 2 is inf"),
        ([0, 0], "exposure is 0 in all 2 rows; then nothing counts"),
        (["heavy"], "exposure holds values that are no numbers"),
    ],
)
def test_a_bad_weight_is_named_with_its_row(weights, said):
    with pytest.raises(BadWeights, match=said):
        checked(weights, "exposure")


@settings(deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=50))
def test_the_effective_number_of_rows_is_between_one_and_all_of_them(weights):
    found = effective_rows(np.array(weights))
    assert 1 - 1e-9 <= found <= len(weights) + 1e-9
    assert effective_rows(np.full(len(weights), 0.7)) == pytest.approx(len(weights))


def test_bounds_on_rows_are_held_against_the_effective_number():
    y, score = rows_of(B, 2000, 5)
    weight = np.where(np.arange(2000) < 10, 1000.0, 1e-3)
    evidence = Evidence(B, y, score, np.clip(score * 0.98, 0, 1), np.full(2000, y.mean())).weighted(weight)
    (bound,) = threshold_gate(
        [Bound("brier", Direction.AT_MOST, 1.0)], evidence, mode=Mode.BLOCKING, min_rows=500
    ).criteria
    assert (bound.verdict, bound.rows) == (Verdict.INCONCLUSIVE, 10)
    rules = ChampionRules((ComparisonRule("brier", 0.5),), "brier")
    for result in champion_gate(rules, evidence, mode=Mode.BLOCKING, has_champion=True).criteria:
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "was compared on 10 rows; at least 500 are needed" in result.reason
    few = compare(PairedScores(B, y, score, score * 0.98, weight=weight), "recall(threshold=0.3)")
    assert few.reason.endswith("effective rows; at least 20 are needed")


def test_a_metric_of_all_rows_together_takes_no_weights():
    @whole(better="lower", low=0)
    def spread(labels, scores):
        return np.std(labels - scores)

    y, score = rows_of(R, 100, 1)
    weight = np.ones(100)
    said = "spread is of all rows together and takes no weights; make it one of per_row"
    assert measure_weighted(R, spread, y, score, weight).reason == said
    assert compare(PairedScores(R, y, score, score, weight=weight), spread).reason == said


@pytest.mark.parametrize(
    ("metric", "labels", "scores", "why"),
    [
        (
            "precision(threshold=0.5)",
            [0, 1],
            [0.1, 0.2],
            "the positive class is answered on 0 rows; at least 20 are needed",
        ),
        ("rmse", [0, 0], [1e200, 0], "the values are too large to be squared and summed"),
    ],
)
def test_rows_that_allow_no_weighted_value_say_why(metric, labels, scores, why):
    found = measure_weighted(B if metric.startswith("precision") else R, metric, labels, scores, np.array([1.0, 2.0]))
    assert (found.value, found.rows, found.reason) == (None, 2, why)


@pytest.mark.slow
@pytest.mark.parametrize("days", [None, 14], ids=["independent rows", "days"])
@pytest.mark.parametrize("name", ["mae", "rmse"])
def test_a_weighted_loss_worse_by_the_margin_passes_at_most_alpha(name, days):
    rng, pairs, passed, level = np.random.default_rng(9), 1500, 0, 0.05
    metric = metric_of(R, name)

    def pair(rows):
        weight = rng.gamma(2.0, 1.0, rows) + 0.05
        day = rng.integers(0, days or 1, rows)
        # Heavy rows are the harder ones, and a day's rows share a part of their error.
        spread = 1 + 0.5 * (weight > 2)
        shared = 0.3 * rng.standard_normal((2, days or 1)) * bool(days)
        y = rng.standard_normal(rows)
        ours, theirs = (
            y + shared[i][day] + size * spread * rng.standard_normal(rows) for i, size in enumerate((1.1, 1.0))
        )
        return y, ours, theirs, weight, day if days else None

    margin = np.mean(list(_gaps(pair, metric)))
    for _ in range(pairs):
        y, ours, theirs, weight, day = pair(800)
        passed += compare(PairedScores(R, y, ours, theirs, day, weight), metric, alpha=level).high <= margin
    assert passed / pairs <= binom.ppf(0.999, pairs, level) / pairs
    assert passed > 0


def _gaps(pair, metric):
    """The gaps that holdouts of this size have."""
    for _ in range(3000):
        y, ours, theirs, weight, _ = pair(800)
        yield weighted_value(metric, y, ours, weight) - weighted_value(metric, y, theirs, weight)
