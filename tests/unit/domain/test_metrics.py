"""Metrics: equal to scikit-learn's, and honest about rows that allow none."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from sklearn import metrics as reference

from include.config import types as declared
from include.domain.metrics import METRICS, ShapesDiffer, Task, UnknownMetric, measure, measure_all, metric_of
from include.domain.metrics.registry import MADE
from include.domain.verdicts import Direction

BINARY = {
    "roc_auc": reference.roc_auc_score,
    "log_loss": reference.log_loss,
    "brier": reference.brier_score_loss,
    "accuracy": lambda y, p: reference.accuracy_score(y, p > 0.5),
    "average_precision": reference.average_precision_score,
}
REGRESSION = {
    "mae": reference.mean_absolute_error,
    "rmse": reference.root_mean_squared_error,
    "r2": reference.r2_score,
}


def late_flights(rows=2000, *, ties=False, seed=1):
    """Labels and probabilities; with ``ties`` the probabilities are whole tenths, 0 and 1 included."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 3, rows)
    y = (rng.random(rows) < p).astype(float)
    return y, p.round(1) if ties else p


def durations(rows=500, seed=2):
    rng = np.random.default_rng(seed)
    y = rng.normal(150, 60, rows)
    return y, y + rng.normal(3, 12, rows)


@pytest.mark.parametrize("ties", [False, True], ids=["distinct scores", "tied scores, 0 and 1 among them"])
@pytest.mark.parametrize("name", BINARY)
def test_binary_metrics_equal_scikit_learns(name, ties):
    y, p = late_flights(ties=ties)
    if ties and name == "log_loss":
        p = p.clip(0.05, 1)
    assert measure(Task.BINARY, name, y, p).value == pytest.approx(BINARY[name](y, p), abs=1e-12)


@pytest.mark.parametrize("name", REGRESSION)
def test_regression_metrics_equal_scikit_learns(name):
    y, predicted = durations()
    assert measure(Task.REGRESSION, name, y, predicted).value == pytest.approx(REGRESSION[name](y, predicted), abs=1e-9)


def test_multiclass_metrics_equal_scikit_learns():
    rng = np.random.default_rng(3)
    p = rng.dirichlet([1, 2, 3], 800)
    y = np.array([rng.choice(3, p=row) for row in p])
    found = measure_all(Task.MULTICLASS, y, p)
    assert found["log_loss"].value == pytest.approx(reference.log_loss(y, p, labels=[0, 1, 2]), abs=1e-12)
    assert found["accuracy"].value == reference.accuracy_score(y, p.argmax(axis=1))
    assert found["brier"].value == pytest.approx(reference.brier_score_loss(y, p, scale_by_half=True), abs=1e-12)
    ranked = reference.roc_auc_score(y, p, multi_class="ovr", average="macro")
    assert found["macro_roc_auc"].value == pytest.approx(ranked, abs=1e-12)


def test_an_impossible_prediction_costs_what_it_costs_in_scikit_learn_and_not_infinity():
    assert measure(Task.BINARY, "log_loss", [1, 0], [0.0, 0.0]).value == pytest.approx(
        reference.log_loss([1, 0], [0.0, 0.0])
    )


def test_a_calibrated_model_has_a_small_calibration_error_and_an_overconfident_one_its_size():
    y, p = late_flights(50_000)
    assert measure(Task.BINARY, "ece", y, p).value < 0.01
    assert measure(Task.BINARY, "ece", y, p / 2).value == pytest.approx(np.mean(y) / 2, abs=0.01)


@pytest.mark.parametrize("name", METRICS[Task.BINARY])
def test_the_order_of_the_rows_changes_no_metric(name):
    y, p = late_flights(ties=True)
    order = np.random.default_rng(0).permutation(len(y))
    one, other = measure(Task.BINARY, name, y, p), measure(Task.BINARY, name, y[order], p[order])
    assert one.value == pytest.approx(other.value, abs=1e-13)


@pytest.mark.parametrize(
    ("name", "y", "score", "reason"),
    [
        pytest.param("roc_auc", [], [], "there are no rows", id="empty"),
        pytest.param("roc_auc", [1, 1], [0.1, 0.2], "all 2 labels are of one class (1)", id="one class"),
        pytest.param("average_precision", [0, 0], [0.1, 0.2], "all 2 labels are of one class (0)", id="no positives"),
        pytest.param("brier", [0, 1], [0.1, nan], "1 of 2 scores are missing or infinite", id="nan score"),
        pytest.param("roc_auc", [0, 1], [0.1, inf], "1 of 2 scores are missing or infinite", id="infinite score"),
        pytest.param("roc_auc", [0, 1], [None, 0.3], "1 of 2 scores are missing or infinite", id="None score"),
        pytest.param("accuracy", [0, nan], [0.1, 0.2], "1 of 2 labels are missing or infinite", id="nan label"),
        pytest.param("brier", [0, 2], [0.1, 0.2], "1 of 2 labels are no class position between 0 and 1", id="label 2"),
        pytest.param(
            "log_loss", [0, 1], [0.1, 1.2], "1 of 2 scores are no probability between 0 and 1", id="above one"
        ),
    ],
)
def test_rows_that_allow_no_metric_give_none_and_say_why(name, y, score, reason):
    found = measure(Task.BINARY, name, y, score)
    assert (found.value, found.reason, found.rows) == (None, reason, len(y))


def test_constant_labels_leave_no_variance_to_explain():
    assert (
        measure(Task.REGRESSION, "r2", [2, 2], [1, 3]).reason
        == "all 2 labels are 2, so there is no variance to explain"
    )


def test_values_too_large_to_be_squared_give_none():
    assert measure(Task.REGRESSION, "rmse", [0, 1], [1e308, -1e308]).value is None


def test_class_probabilities_must_add_up():
    found = measure(Task.MULTICLASS, "log_loss", [0, 1], [[0.5, 0.2, 0.2], [0.1, 0.8, 0.1]])
    assert found.reason == "the class probabilities of a row do not add up to 1"


def test_labels_and_scores_of_different_rows_are_broken_machinery():
    with pytest.raises(ShapesDiffer, match=r"score has shape \(2,\); it must be \(3,\)"):
        measure(Task.BINARY, "brier", [0, 1, 1], [0.2, 0.3])


def test_an_unknown_metric_is_refused_with_the_ones_there_are():
    with pytest.raises(
        UnknownMetric, match="no metric 'auc' for a regression model; it is measured by one of mae, rmse, r2, mape"
    ):
        metric_of(Task.REGRESSION, "auc")


def test_each_metric_knows_which_direction_is_good():
    losses = {"log_loss", "brier", "ece", "mae", "rmse", "mape", "poisson_deviance"}
    for metrics in METRICS.values():
        assert {n for n, m in metrics.items() if m.better is Direction.AT_MOST} == losses & set(metrics)


def test_what_may_be_declared_is_what_can_be_measured():
    measured = {task.value: (*metrics, *MADE[task]) for task, metrics in METRICS.items()}
    assert measured == declared.METRICS


# --- what is said of rows that cannot be measured ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "name", "y", "score", "said"),
    [
        (Task.BINARY, "brier", [0.5, 0, 1], [0.5] * 3, "1 of 3 labels are no class position between 0 and 1"),
        (Task.BINARY, "brier", [-1, 0, 1], [0.5] * 3, "1 of 3 labels are no class position between 0 and 1"),
        (Task.BINARY, "brier", [-0.5, 0, 1], [0.5] * 3, "1 of 3 labels are no class position between 0 and 1"),
        (Task.BINARY, "brier", [0, 0, 1], [-0.5, 0.5, 1.5], "2 of 3 scores are no probability between 0 and 1"),
        (Task.MULTICLASS, "brier", [0, 1], [[nan, 0.5, 0.5], [0.2, 0.3, 0.5]], "1 of 2 scores are missing or infinite"),
        (
            Task.MULTICLASS,
            "brier",
            [0, 1],
            [[-0.5, 0.5, 1.0], [0.2, 0.3, 0.5]],
            "1 of 2 scores are no probability between 0 and 1",
        ),
    ],
)
def test_the_rows_that_cannot_be_measured_are_counted_once_each(task, name, y, score, said):
    found = measure(task, name, y, score)
    assert (found.value, found.reason) == (None, said)


def test_one_label_of_another_class_anywhere_is_two_classes():
    for y in ([1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]):
        assert measure(Task.BINARY, "roc_auc", y, [0.1, 0.2, 0.3, 0.4]).value is not None
        assert measure(Task.REGRESSION, "r2", y, [0.1, 0.2, 0.3, 0.4]).value is not None


def test_one_row_is_of_one_class_and_has_no_variance():
    assert measure(Task.BINARY, "roc_auc", [1], [0.5]).reason == "all 1 labels are of one class (1)"
    found = measure(Task.REGRESSION, "r2", [3], [0.5])
    assert found.reason == "all 1 labels are 3, so there is no variance to explain"


def test_what_a_value_may_be_is_said_of_each_metric_of_numbers():
    ranges = {m: (metric_of(Task.REGRESSION, m).low, metric_of(Task.REGRESSION, m).high) for m in ("mae", "rmse", "r2")}
    assert ranges == {"mae": (0, inf), "rmse": (0, inf), "r2": (-inf, 1)}
    for name in ("mape", "poisson_deviance", "pinball(quantile=0.9)"):
        metric = metric_of(Task.REGRESSION, name)
        assert (metric.low, metric.high) == (0, inf), name


def test_values_too_large_to_be_squared_are_said():
    found = measure(Task.REGRESSION, "rmse", [0.0, 1.0], [1e300, 1.0])
    assert (found.value, found.reason) == (None, "the values are too large to be squared and summed")
