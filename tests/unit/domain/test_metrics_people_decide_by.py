"""Metrics of decisions, costs, quantiles and counts: equal to scikit-learn's, and silent where the rows are too few."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from include.domain.blocks import Blocks, block_statistic
from include.domain.comparison import PairedScores, compare
from include.domain.gates import Bound, Evidence, threshold_gate
from include.domain.losses import BadLoss, row_losses
from include.domain.metric_names import BadSettings, normal, text_of
from include.domain.metrics import Task, UnknownMetric, measure, metric_of
from include.domain.verdicts import Direction, Mode, Verdict

B, M, R = Task.BINARY, Task.MULTICLASS, Task.REGRESSION
COSTS = [[0, 1, 4], [5, 0, 1], [2, 7, 0.5]]

BINARY = {
    "precision(threshold=0.3)": lambda y, p: reference.precision_score(y, p > 0.3),
    "recall(threshold=0.3)": lambda y, p: reference.recall_score(y, p > 0.3),
    "f_beta(beta=2, threshold=0.3)": lambda y, p: reference.fbeta_score(y, p > 0.3, beta=2),
    "f_beta(beta=0.5, threshold=0.6)": lambda y, p: reference.fbeta_score(y, p > 0.6, beta=0.5),
    "balanced_accuracy(threshold=0.3)": lambda y, p: reference.balanced_accuracy_score(y, p > 0.3),
    "cost(matrix=[[0, 1], [5, 0]], threshold=0.2)": lambda y, p: np.mean(
        [5 if yes and not q > 0.2 else 1 if q > 0.2 and not yes else 0 for yes, q in zip(y, p, strict=True)]
    ),
}
MULTICLASS = {
    "brier": lambda y, p: reference.brier_score_loss(y, p, scale_by_half=True, labels=[0, 1, 2]),
    "macro_roc_auc": lambda y, p: reference.roc_auc_score(y, p, multi_class="ovr", average="macro"),
    "balanced_accuracy": lambda y, p: reference.balanced_accuracy_score(y, p.argmax(axis=1)),
    "macro_precision": lambda y, p: reference.precision_score(y, p.argmax(axis=1), average="macro"),
    "macro_recall": lambda y, p: reference.recall_score(y, p.argmax(axis=1), average="macro"),
    "macro_f1": lambda y, p: reference.f1_score(y, p.argmax(axis=1), average="macro"),
    f"cost(matrix={COSTS})": lambda y, p: np.mean(
        [COSTS[int(a)][int(b)] for a, b in zip(y, p.argmax(axis=1), strict=True)]
    ),
}
REGRESSION = {
    "mape": reference.mean_absolute_percentage_error,
    "poisson_deviance": reference.mean_poisson_deviance,
    "pinball(quantile=0.9)": lambda y, s: reference.mean_pinball_loss(y, s, alpha=0.9),
    "pinball(quantile=0.05)": lambda y, s: reference.mean_pinball_loss(y, s, alpha=0.05),
}
ALL = [(B, n, f) for n, f in BINARY.items()] + [(M, n, f) for n, f in MULTICLASS.items()]
ALL += [(R, n, f) for n, f in REGRESSION.items()]
IDS = [f"{task.value} {name}" for task, name, _ in ALL]


def rows_of(task, rows, seed, *, tenths=False):
    """Labels and scores of a model that knows something; with ``tenths`` many scores are equal, and on a threshold."""
    rng = np.random.default_rng(seed)
    if task is R:
        mean = rng.gamma(2.0, 2.0, rows) + 0.1
        return rng.poisson(mean) + 1.0, mean * rng.uniform(0.5, 1.5, rows)
    if task is B:
        p = rng.beta(1, 2, rows)
        return (rng.random(rows) < p).astype(float), p.round(1) if tenths else p
    p = rng.dirichlet([1.0, 1.5, 2.0], rows)
    y = (p.cumsum(axis=1) < rng.random(rows)[:, None]).sum(axis=1).astype(float)
    return y, p


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 300), seed=st.integers(0, 10**6), tenths=st.booleans())
@pytest.mark.parametrize(("task", "name", "expected"), ALL, ids=IDS)
def test_each_equals_scikit_learns_or_says_why_it_has_no_value(task, name, expected, rows, seed, tenths):
    y, score = rows_of(task, rows, seed, tenths=tenths)
    found = measure(task, name, y, score)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            value = float(expected(y, score))
        except ValueError:
            value = float("nan")
    if warned or np.isnan(value):
        # scikit-learn warns and gives 0, or nothing: here that is no value, or the zero it is by definition.
        assert found.value is None or found.value == value
        assert (found.value is None) == (found.reason is not None)
    elif found.value is None:
        assert "class" in found.reason  # a mean over classes, one of which has no row
    else:
        assert found.value == pytest.approx(value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("task", "name", "expected"), ALL, ids=IDS)
def test_many_rows_have_a_value_and_it_is_in_its_range(task, name, expected):
    y, score = rows_of(task, 3000, 5)
    metric = metric_of(task, name)
    found = measure(task, name, y, score)
    assert found.value == pytest.approx(expected(y, score), rel=1e-9)
    assert metric.low <= found.value <= metric.high
    assert found.metric == name


@pytest.mark.parametrize(("task", "name", "expected"), ALL, ids=IDS)
def test_counting_blocks_equals_repeating_their_rows(task, name, expected):
    y, score = rows_of(task, 600, 3)
    days = np.random.default_rng(1).integers(0, 6, 600)
    counts = np.random.default_rng(0).multinomial(6, np.full(6, 1 / 6), 12).astype(float)
    repeated = [np.concatenate([np.flatnonzero(days == d) for d in range(6) for _ in range(int(c[d]))]) for c in counts]
    metric = metric_of(task, name)
    values = [metric.value(y[rows], score[rows]) for rows in repeated]
    assert block_statistic(metric, y, score, Blocks.of(days))(counts) == pytest.approx(values, abs=1e-12)


@pytest.mark.parametrize(("task", "name", "expected"), ALL, ids=IDS)
@pytest.mark.parametrize("days", [None, 20], ids=["independent rows", "days"])
def test_a_worse_model_is_worse_by_every_metric_whatever_its_direction(task, name, expected, days):
    y, score = rows_of(task, 4000, 8)
    order = np.random.default_rng(2).permutation(len(y))
    guessing = np.where(np.arange(len(y)) % 2 == 0, order, np.arange(len(y)))  # every second row gets another's answer
    of_day = None if days is None else np.arange(len(y)) % days
    found = compare(PairedScores(task, y, score[guessing], score, of_day), name)
    assert found.low < found.difference < found.high
    assert found.difference > 0
    metric = metric_of(task, name)
    assert found.difference == pytest.approx(metric.worse_sign * (found.candidate - found.champion))


# --- too few rows ----------------------------------------------------------------------------------------------------


def few_positives(positives, rows=2000):
    y = (np.arange(rows) < positives).astype(float)
    return y, np.where(y == 1, 0.9, 0.1)


@pytest.mark.parametrize(
    ("metric", "what"),
    [
        ("recall(threshold=0.5)", "the positive class has 19 rows"),
        ("precision(threshold=0.5)", "the positive class is answered on 19 rows"),
        ("f_beta(beta=1, threshold=0.5)", "the positive class has 19 rows"),
        ("balanced_accuracy(threshold=0.5)", "the rarer class has 19 rows"),
        ("average_precision", "the rarer class has 19 rows"),
    ],
)
def test_too_few_positives_are_no_evidence_and_are_counted(metric, what):
    y, score = few_positives(19)
    (result,) = threshold_gate(
        [Bound(metric, Direction.AT_LEAST, 0.1)], Evidence(B, y, score), mode=Mode.BLOCKING, min_rows=500
    ).criteria
    assert (result.verdict, result.measured) == (Verdict.INCONCLUSIVE, 1.0)
    assert result.reason == f"{metric} is 1, and {what}; at least 20 are needed; that is no evidence."
    assert compare(PairedScores(B, y, score, score * 0.99), metric).reason == f"{what}; at least 20 are needed"
    y, score = few_positives(20)
    (enough,) = threshold_gate(
        [Bound(metric, Direction.AT_LEAST, 0.1)], Evidence(B, y, score), mode=Mode.BLOCKING, min_rows=500
    ).criteria
    assert enough.verdict is Verdict.PASS


def test_a_model_that_never_answers_a_class_has_no_precision_of_it():
    y = np.arange(900) % 3.0
    never = np.tile([0.5, 0.4, 0.1], (900, 1))
    never[::2] = [0.4, 0.5, 0.1]
    assert measure(M, "macro_precision", y, never).reason == "class 2 is answered on 0 rows; at least 20 are needed"
    assert measure(M, "macro_f1", y, never).value == pytest.approx(2 / 3 * 0.4, abs=0.03)
    found = measure(B, "precision(threshold=0.5)", y == 0, np.full(900, 0.1))
    assert found.reason == "the positive class is answered on 0 rows; at least 20 are needed"


def test_a_class_without_rows_leaves_no_mean_over_the_classes():
    y, p = rows_of(M, 300, 1)
    for name in ("macro_recall", "macro_f1", "macro_roc_auc", "balanced_accuracy"):
        assert measure(M, name, np.minimum(y, 1), p).reason == "no label is of class 2, one of 3"


@pytest.mark.parametrize(
    ("name", "y", "score", "reason"),
    [
        ("mape", [0, 2, 0], [1, 2, 3], "2 of 3 labels are 0, and nothing is a percentage of 0"),
        ("poisson_deviance", [-1, 2], [1, 2], "1 of 2 labels are below 0, and a count is not"),
        ("poisson_deviance", [0, 2], [0, 2], "1 of 2 predictions are not above 0, as the mean of a count is"),
    ],
)
def test_rows_that_allow_no_such_metric_are_counted(name, y, score, reason):
    assert measure(R, name, y, score).reason == reason


# --- rows that are decided the same way -----------------------------------------------------------------------------


@pytest.mark.parametrize("days", [None, 14], ids=["independent rows", "days"])
@pytest.mark.parametrize("name", ["recall(threshold=0.5)", "f_beta(beta=1, threshold=0.5)"])
def test_models_that_decide_every_row_the_same_way_are_not_proven_equal(name, days):
    y, score = rows_of(B, 1000, 4)
    of_day = None if days is None else np.arange(1000) % days
    found = compare(PairedScores(B, y, np.where(score > 0.5, 0.8, 0.2), score, of_day), name, margin=0.01)
    assert found.difference == 0
    assert found.high == -found.low
    # The rule of three: as if three more of the positives were missed.
    assert found.high == pytest.approx(3 / y.sum(), rel=0.3)


def test_few_rows_that_are_decided_otherwise_widen_the_interval_and_many_do_not():
    y, score = rows_of(B, 40_000, 6)
    noise = np.random.default_rng(3).normal(0, 0.05, len(y))
    other = np.clip(score + noise, 0, 1)
    many = compare(PairedScores(B, y, other, score), "recall(threshold=0.5)")
    usual = compare(PairedScores(B, y, other, score), "brier")
    assert many.high - many.difference < 0.012
    assert usual.method == "Student's t over rows"


# --- losses that may be watched --------------------------------------------------------------------------------------


def test_a_cost_matrix_and_a_quantile_give_each_row_its_loss():
    costs = "cost(matrix=[[0, 1], [5, 0]], threshold=0.2)"
    assert row_losses(costs, np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.2, 0.9])).tolist() == [0, 1, 5, 0]
    assert row_losses("pinball(quantile=0.9)", np.array([10.0, 10.0]), np.array([8.0, 12.0])) == pytest.approx(
        [1.8, 0.2]
    )
    three = row_losses(f"cost(matrix={COSTS})", np.array([0, 2]), np.array([[0.1, 0.2, 0.7], [0.1, 0.6, 0.3]]))
    assert three.tolist() == [4, 7]


def test_a_cost_matrix_of_other_classes_is_refused():
    with pytest.raises(BadLoss, match="they are of 2 classes and the cost matrix of 3"):
        row_losses(f"cost(matrix={COSTS})", np.array([0, 1]), np.array([[0.3, 0.7], [0.2, 0.8]]))
    assert measure(M, f"cost(matrix={COSTS})", [0, 1], [[0.3, 0.7], [0.2, 0.8]]).value is None


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_metric_with_settings_has_one_text_however_it_is_written():
    assert text_of("f_beta", {"threshold": 0.30, "beta": 2.0}) == "f_beta(beta=2, threshold=0.3)"
    assert normal("f_beta( threshold=.3,beta=2 )") == "f_beta(beta=2, threshold=0.3)"
    assert metric_of(B, "f_beta(threshold=0.3, beta=2)").name == "f_beta(beta=2, threshold=0.3)"
    assert normal("our_metrics.cost") == "our_metrics.cost"


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("f_beta", {"beta": 2}, "f_beta needs threshold: a number between 0 and 1, both excluded"),
        ("f_beta", {"beta": 0, "threshold": 0.3}, "beta of f_beta is 0; it must be a number above 0"),
        ("pinball", {"quantile": 1}, "quantile of pinball is 1; it must be a number between 0 and 1, both excluded"),
        ("brier", {"threshold": 0.3}, "brier has no setting 'threshold'; it takes none"),
        ("recall", {"threshold": 0.3, "beta": 1}, "recall has no setting 'beta'; it takes threshold"),
        ("cost", {"matrix": [[0, 1]], "threshold": 0.3}, "matrix of cost is [[0, 1]]; it must be the cost of each"),
        ("cost", {"matrix": [[0, -1], [1, 0]], "threshold": 0.3}, "it must be the cost of each answer"),
        ("costs", {"threshold": 0.3}, "'costs' is no metric that takes settings; these are balanced_accuracy, cost"),
    ],
)
def test_a_wrong_setting_is_said_in_one_clause(name, given, said):
    with pytest.raises(BadSettings) as told:
        text_of(name, given)
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("task", "name", "said"),
    [
        (B, "recall", "recall needs threshold"),
        (B, "f_beta(beta=2)", "f_beta needs threshold"),
        (M, "balanced_accuracy(threshold=0.3)", "balanced_accuracy of a multiclass model has no setting 'threshold'"),
        (R, "recall(threshold=0.3)", "no metric 'recall(threshold=0.3)' for a regression model"),
        (B, "recall(0.3)", "write it as f_beta(beta=2, threshold=0.3)"),
    ],
)
def test_a_metric_that_the_task_has_not_like_that_is_refused(task, name, said):
    with pytest.raises(UnknownMetric) as told:
        metric_of(task, name)
    assert said in str(told.value)
