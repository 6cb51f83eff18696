"""``slipway simulate --metric``: any metric that gates take; a loss of rows is watched, any other is compared."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from own_modules import own_module  # noqa: F401 - a fixture
from simulated_tables import KINDS, a_table

from include.workflows.simulation.settings import BadSetting, TableModel, declared_for
from include.workflows.simulation.stream import Columns, from_frame

CLASSIFIER, REGRESSOR = "sklearn.linear_model.LogisticRegression", "sklearn.linear_model.Ridge"


def declared(metric: str | None, *, task: str = "binary"):
    table = a_table(40)
    if task == "regression":
        table["y"] = 50 + 10 * table["a"]
    if task == "multiclass":
        table["y"] = np.where(table["b"] > 0.5, "c", np.where(table["y"] == 1, "b", "a"))
    stream = from_frame(table, Columns("t", "y"), KINDS, classifier=task != "regression").stream
    path = REGRESSOR if task == "regression" else CLASSIFIER
    return declared_for(TableModel(path, {}, "y", timedelta(days=1), 20, 7, metric=metric), stream)


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("binary", "cost(matrix=[[0, 1], [5, 0]], threshold=0.2)"),
        ("multiclass", "cost(matrix=[[0, 1, 1], [1, 0, 1], [5, 5, 0]])"),
        ("multiclass", "brier"),
        ("regression", "pinball(quantile=0.9)"),
        ("regression", "rmse"),
    ],
)
def test_a_loss_of_rows_is_watched_and_compared_within_the_shares_that_a_declaration_leaves_out(task, metric):
    model = declared(metric, task=task)
    (compared,) = model.gates.champion_gate.comparisons
    assert (model.drift.performance.metric, str(compared.metric)) == (metric, metric)
    assert (model.drift.performance.tolerance, compared.margin) == ("10%", "5%")


@pytest.mark.parametrize(
    ("task", "metric", "watched"),
    [
        ("binary", "recall(threshold=0.3)", "brier"),
        ("binary", "f_beta(beta=2, threshold=0.3)", "brier"),
        ("binary", "roc_auc", "brier"),
        ("multiclass", "macro_f1", "log_loss"),
        ("multiclass", "macro_roc_auc", "log_loss"),
        ("regression", "mape", "mae"),
        ("regression", "poisson_deviance", "mae"),
    ],
)
def test_any_other_metric_is_what_gates_compare_and_the_usual_loss_is_watched(task, metric, watched):
    model = declared(metric, task=task)
    (compared,) = model.gates.champion_gate.comparisons
    assert (model.drift.performance.metric, str(compared.metric)) == (watched, metric)
    expected = 0.025 if metric.startswith(("recall", "f_beta")) else "5%"
    assert compared.margin == expected


def test_a_metric_of_a_teams_own_is_watched_where_it_is_a_loss(own_module):  # noqa: F811
    own_module(
        "simulated_ours",
        """
        import numpy as np
        from include.domain.own_metrics import per_row, whole

        @per_row(better="lower", low=0)
        def lost(labels, scores):
            return np.where(labels == 1, 5 * (1 - scores), scores)

        @whole(better="higher", low=0, high=1)
        def at_the_top(labels, scores):
            return labels[np.argsort(-scores, kind="stable")[: len(scores) // 5]].mean()
        """,
    )
    assert declared("simulated_ours.lost").drift.performance.metric == "simulated_ours.lost"
    model = declared("simulated_ours.at_the_top")
    assert model.drift.performance.metric == "brier"
    assert str(model.gates.champion_gate.comparisons[0].metric) == "simulated_ours.at_the_top"


def test_left_out_it_is_what_it_was():
    model = declared(None)
    assert (model.drift.performance.metric, model.drift.performance.tolerance) == ("brier", "10%")
    (compared,) = model.gates.champion_gate.comparisons
    assert (str(compared.metric), compared.margin) == ("brier", "5%")


def test_a_metric_of_another_task_is_named_with_those_of_this_one():
    with pytest.raises(BadSetting, match=r"--metric is 'mae'; of a binary model it is one of brier, log_loss, error"):
        declared("mae")
    with pytest.raises(BadSetting, match="pinball"):
        declared("roc_auc", task="regression")


def test_labels_that_no_naive_model_measures_have_no_gap_and_still_get_a_margin():
    table = a_table(40).assign(y=lambda f: 10 * f["a"])
    assert pd.api.types.is_float_dtype(table["y"])
    stream = from_frame(table, Columns("t", "y"), KINDS, classifier=False).stream
    given = TableModel(REGRESSOR, {}, "y", timedelta(days=1), 20, 7, metric="poisson_deviance")
    assert declared_for(given, stream).gates.champion_gate.comparisons[0].margin == 0.05
