"""A row's influence is how the metric moves when the row counts a little more."""

import numpy as np
import pytest

from include.domain.influences import influences
from include.domain.metrics import Task, metric_of

KNOWN = [
    *((Task.BINARY, name) for name in ("brier", "log_loss", "roc_auc", "average_precision")),
    *((Task.REGRESSION, name) for name in ("mae", "rmse", "r2")),
]


def rows(task, count=60, ties=True):
    rng = np.random.default_rng(8)
    if task is Task.REGRESSION:
        y = rng.normal(size=count)
        return y, y + rng.normal(size=count)
    y = (rng.random(count) < 0.3).astype(float)
    score = np.clip(0.3 * y + rng.random(count) * 0.7, 0.01, 0.99)
    return y, score.round(1).clip(0.05, 0.95) if ties else score


@pytest.mark.parametrize(("task", "name"), KNOWN)
@pytest.mark.parametrize("ties", [False, True])
def test_it_is_the_change_of_the_metric_when_the_row_is_counted_a_little_oftener(task, name, ties):
    y, score = rows(task, ties=ties)
    metric = metric_of(task, name)
    found = influences(metric, y, score)
    times = 2000
    for i in (0, 7, 31, int(np.argmax(y)), int(np.argmax(score))):
        more = np.append(np.tile(np.arange(len(y)), times), [i] * len(y))  # a share of 1/(times + 1) more of row i
        moved = (metric.value(y[more], score[more]) - metric.value(y, score)) * (times + 1)
        assert moved == pytest.approx(found[i], rel=6e-3, abs=2e-3)


@pytest.mark.parametrize(("task", "name"), KNOWN)
def test_they_are_around_zero(task, name):
    found = influences(metric_of(task, name), *rows(task, 500))
    assert abs(found.mean()) < 1e-9


def test_a_calibration_error_has_no_formula():
    assert influences(metric_of(Task.BINARY, "ece"), *rows(Task.BINARY)) is None


def test_predictions_without_an_error_have_no_influence_on_it():
    y = np.arange(10.0)
    assert influences(metric_of(Task.REGRESSION, "rmse"), y, y).tolist() == [0.0] * 10


@pytest.mark.parametrize("name", ["average_precision", "roc_auc"])
@pytest.mark.parametrize(
    ("y", "score"),
    [
        pytest.param([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1], id="the highest is positive"),
        pytest.param([0, 1, 1, 0], [0.9, 0.8, 0.7, 0.1], id="the highest is negative"),
        pytest.param([1, 0, 1, 0, 1], [0.9, 0.9, 0.5, 0.5, 0.1], id="equal scores, and the lowest is positive"),
    ],
)
def test_each_row_of_a_few_has_its_influence(name, y, score):
    y, score, metric = np.array(y, dtype=float), np.array(score), metric_of(Task.BINARY, name)
    times, found = 2000, influences(metric, y, score)
    for i in range(len(y)):
        more = np.append(np.tile(np.arange(len(y)), times), [i] * len(y))
        moved = (metric.value(y[more], score[more]) - metric.value(y, score)) * (times + 1)
        assert moved == pytest.approx(found[i], rel=6e-3, abs=2e-3)
