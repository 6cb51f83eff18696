"""Held-out rows without one of the classes: each gate is asked, and says what it could not measure."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from include.adapters import estimators
from include.domain.comparison import PairedScores, compare
from include.domain.gates import ChampionRules, ComparisonRule, Evidence, champion_gate
from include.domain.metrics import METRICS, Task, measure, metric_of
from include.domain.verdicts import Mode, Verdict

ROWS = 600
NEED_EVERY_CLASS = {"roc_auc", "average_precision", "macro_roc_auc"}


def fitted(classes: int) -> tuple[Pipeline, pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(classes)
    rows = pd.DataFrame(rng.standard_normal((ROWS, 3)), columns=["a", "b", "c"])
    label = np.argmax(rows.to_numpy()[:, :classes] + 0.3 * rng.standard_normal((ROWS, classes)), axis=1)
    return Pipeline([("estimator", LogisticRegression())]).fit(rows, label), rows, label


def held_out(classes: int, left: int) -> tuple[Pipeline, pd.DataFrame, np.ndarray]:
    """A model of all classes, and rows without the last of them, or of the first alone."""
    pipeline, rows, label = fitted(classes)
    kept = label < left
    return pipeline, rows[kept].reset_index(drop=True), label[kept]


@pytest.mark.parametrize(("classes", "left"), [(2, 1), (3, 2), (3, 1)])
def test_importances_are_measured_and_sum_to_one(classes, left):
    pipeline, rows, label = held_out(classes, left)
    task = "binary" if classes == 2 else "multiclass"
    found = estimators.importances(pipeline, rows, label, task=task, seed=1, classes=classes)
    assert sum(found.values()) == pytest.approx(1.0)
    assert all(value >= 0 for value in found.values())


@pytest.mark.parametrize(("classes", "left"), [(2, 1), (3, 2), (3, 1)])
def test_every_metric_has_a_value_or_a_reason_and_so_has_every_comparison(classes, left):
    pipeline, rows, label = held_out(classes, left)
    task = Task.BINARY if classes == 2 else Task.MULTICLASS
    scores = estimators.predict(pipeline, rows, classes=classes)
    other = 0.9 * scores + 0.1 / classes
    days = np.arange(len(label)) % 14
    for name in METRICS[task]:
        metric = metric_of(task, name)
        measured = measure(task, metric, label, scores)
        compared = compare(PairedScores(task, label, scores, other, days), metric)
        assert (measured.value is None) == (measured.reason is not None)
        assert (compared.difference is None) == (compared.reason is not None)
        if name in NEED_EVERY_CLASS and left == 1:
            assert measured.value is None


@pytest.mark.parametrize(("metric", "verdict"), [("log_loss", Verdict.PASS), ("macro_roc_auc", Verdict.INCONCLUSIVE)])
def test_the_champion_gate_judges_the_loss_and_leaves_the_ranking_open(metric, verdict):
    pipeline, rows, label = held_out(3, 1)
    scores = estimators.predict(pipeline, rows, classes=3)
    champion, naive = 0.9 * scores + 0.1 / 3, np.tile([1 / 3, 1 / 3, 1 / 3], (len(label), 1))
    seen = Evidence(Task.MULTICLASS, label, scores, champion, naive, np.arange(len(label)) % 14)
    rules = ChampionRules((ComparisonRule(metric, 0.0, share=0.05),), "log_loss", min_rows=100)
    found = champion_gate(rules, seen, mode=Mode.BLOCKING, has_champion=True)
    assert found.criteria[0].verdict is verdict
