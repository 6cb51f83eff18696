"""The shadow window: when it is full and what stops a challenger in it."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import numpy as np
import pytest
from scipy.stats import norm

from include.domain.gates import ComparisonRule, GateResult, Mode, Verdict
from include.domain.metrics import Task
from include.domain.shadow import Latency, ShadowEvidence, ShadowRules, Window, shadow_gate, window_state

RULES = ShadowRules(min_rows=1000, min_days=3, max_days=7, mean_delta=(0.001, 0.1), p99_delta_at_most=0.3)
LABELLED = replace(RULES, comparison=ComparisonRule("roc_auc", 0.02))


def window(rows=4000, *, days=5, differing_by=0.05, errors=0, unanswered=0, nans=0, labels=0, better_by=0.0, seed=1):
    """A window whose challenger differs from the champion by noise of that size; ``labels`` rows have matured."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.3).astype(float)
    champion = norm.cdf(y + rng.standard_normal(rows) - 1)
    moved = differing_by * rng.standard_normal(rows) + better_by * (y - 0.3)
    challenger = np.clip(champion + moved, 0, 1)
    challenger[:nans] = nan
    y[labels:] = nan
    return ShadowEvidence(
        Task.BINARY, rows + errors + unanswered, errors, champion, challenger, np.arange(rows) % days, y=y
    )


def judged(on, rules=RULES, **kwargs) -> GateResult:
    return shadow_gate(rules, on, mode=Mode.BLOCKING, **kwargs)


def failed(result):
    return [c.criterion for c in result.criteria if c.verdict is Verdict.FAIL]


@pytest.mark.parametrize(
    ("rows", "days", "expected"),
    [
        pytest.param(999, 3, Window.OPEN, id="one row short"),
        pytest.param(50_000, 2, Window.OPEN, id="rows alone do not fill it"),
        pytest.param(1000, 3, Window.FULL, id="rows and days"),
        pytest.param(1000, 7, Window.FULL, id="full on the last day"),
        pytest.param(999, 7, Window.SHORT, id="the last day is over without enough rows"),
        pytest.param(0, 9, Window.SHORT, id="no rows at all"),
    ],
)
def test_a_window_is_full_when_it_has_the_rows_and_the_days(rows, days, expected):
    assert window_state(RULES, rows=rows, days=days) is expected


def test_an_honest_challenger_passes():
    assert judged(window()).verdict is Verdict.PASS


def test_the_same_model_wired_twice_fails_by_the_name_of_the_mistake():
    result = judged(window(differing_by=0))
    assert failed(result) == ["mean |delta|, lowest"]
    assert result.reason == (
        "Challenger and champion agree on every row (mean |delta| 0 is below 0.001 on 4,000 rows): "
        "the same model is wired twice, or the candidate is no new model."
    )


def test_a_challenger_that_answers_quite_otherwise_fails():
    assert failed(judged(window(differing_by=0.4))) == ["mean |delta|, highest", "p99 |delta|"]


def test_a_few_rows_answered_wildly_show_in_the_tail_only():
    on = window()
    wild = on.challenger.copy()
    wild[:80] = 1 - on.champion[:80].round()
    assert failed(judged(replace(on, challenger=wild))) == ["p99 |delta|"]


def test_rows_that_were_never_answered_are_missed():
    assert failed(judged(window(unanswered=5))) == ["coverage"]


@pytest.mark.parametrize("fault", [{"errors": 1}, {"nans": 1}], ids=["exception", "nan"])
def test_f073_f076_an_exception_or_a_nan_is_an_error_and_is_not_averaged_in(fault):
    result = judged(window(**fault))
    assert failed(result) == ["errors and NaN"]
    assert result.criteria[3].measured == pytest.approx(0.04, abs=0.005)


@pytest.mark.parametrize("fault", [{"rows": 900}, {"days": 2}], ids=["too few rows", "too few days"])
def test_f079_a_window_that_is_not_full_is_neither_a_pass_nor_a_failure(fault):
    for on in (window(**fault), window(**fault, errors=30)):
        result = judged(on)
        assert {c.verdict for c in result.criteria} == {Verdict.INCONCLUSIVE}
        assert "it needs 1,000 rows and 3 days to be judged" in result.reason


def test_an_empty_window_is_inconclusive():
    nothing = ShadowEvidence(Task.BINARY, 0, 0, np.empty(0), np.empty(0), np.empty(0))
    assert judged(nothing, LABELLED).verdict is Verdict.INCONCLUSIVE


def test_labels_that_have_not_matured_are_noted_and_hold_nobody_up():
    result = judged(window(labels=100), LABELLED)
    assert result.verdict is Verdict.PASS
    assert result.notes["matured"]["judged"] is False
    assert result.notes["matured"]["why"] == "matured roc_auc was compared on 100 rows; at least 500 are needed."


def test_labels_that_have_not_matured_are_inconclusive_where_they_are_required():
    assert judged(window(labels=100), replace(LABELLED, labels_required=True)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("better_by", "expected"), [(0.05, Verdict.PASS), (-0.15, Verdict.FAIL)], ids=["better", "worse"]
)
def test_matured_labels_judge_the_challenger_by_the_paired_test(better_by, expected):
    result = judged(window(labels=3000, better_by=better_by), LABELLED)
    line = result.criteria[-1]
    assert (line.criterion, line.rows, line.verdict) == ("matured roc_auc", 3000, expected)


def test_decisions_that_differ_are_reported_and_judged_only_where_declared():
    assert 0 < judged(window()).notes["decisions_differ"] < 0.2
    declared = replace(RULES, decisions_differ=(0.0, 0.001))
    assert failed(judged(window(), declared)) == ["decisions that differ, highest"]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        pytest.param(20.0, 15.0, Verdict.PASS, id="within both"),
        pytest.param(200.0, 20.0, Verdict.FAIL, id="ten times slower"),
        pytest.param(None, 15.0, Verdict.INCONCLUSIVE, id="not measured"),
        pytest.param(20.0, 0.0, Verdict.INCONCLUSIVE, id="champion not measured"),
    ],
)
def test_latency_is_judged_where_it_is_declared(ours, theirs, expected):
    rules = replace(RULES, latency=Latency(p99_ms_at_most=50, times_champion_at_most=2))
    assert judged(replace(window(), challenger_p99_ms=ours, champion_p99_ms=theirs), rules).verdict is expected


def test_many_classes_differ_by_the_class_that_moved_most():
    rng = np.random.default_rng(0)
    champion = rng.dirichlet([1, 1, 1], 2000)
    moved = champion[:, [1, 0, 2]]
    on = ShadowEvidence(Task.MULTICLASS, 2000, 0, champion, moved, np.arange(2000) % 5)
    result = judged(on)
    assert "mean |delta|, highest" in failed(result)
    assert result.notes["decisions_differ"] == pytest.approx(2 / 3, abs=0.05)
