"""The shadow window: when it is full and what stops a challenger in it."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import numpy as np
import pytest
from scipy.stats import binom, norm

from include.domain.gates import ComparisonRule, GateResult, Mode, RowValues, Verdict
from include.domain.metrics import Task
from include.domain.own_metrics import of_values
from include.domain.shadow import Latency, ShadowEvidence, ShadowRules, Window, shadow_gate, window_state
from include.domain.wording import bounds_in_words

RULES = ShadowRules(min_rows=1000, min_days=3, max_days=7, mean_delta=(0.001, 0.1), p99_delta_at_most=0.3)
SAVED = of_values("saved", "higher")
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


@pytest.mark.parametrize(
    ("better_by", "rule", "expected"),
    [
        (0.1, ComparisonRule(SAVED, 0.02), Verdict.PASS),
        (-0.1, ComparisonRule(SAVED, 0.02), Verdict.FAIL),
        # The mean label would have saved nothing, the champion 1: half of that gap is tolerated.
        (-0.1, ComparisonRule(SAVED, 0.0, share=0.5), Verdict.PASS),
        (-0.6, ComparisonRule(SAVED, 0.0, share=0.5), Verdict.FAIL),
    ],
)
def test_matured_labels_compare_by_what_each_row_is_worth_whatever_its_scores(better_by, rule, expected):
    worth = 1 + np.random.default_rng(2).normal(0, 0.2, 4000)
    values = RowValues(worth + better_by, worth, np.zeros(4000))
    result = judged(replace(window(labels=3000), values=values), replace(RULES, comparison=rule))
    line = result.criteria[-1]
    assert (line.criterion, line.rows, line.verdict) == ("matured saved", 3000, expected)
    assert abs(result.notes["matured"]["difference"]) == pytest.approx(abs(better_by))


def test_rows_whose_worth_is_not_known_are_no_pass_once_there_are_enough_of_them():
    rules, why = replace(RULES, comparison=ComparisonRule(SAVED, 0.02)), "saved was not measured: it is gone."
    result = judged(replace(window(labels=500), unvalued=why), rules)
    assert (result.verdict, result.criteria[-1].reason) == (Verdict.INCONCLUSIVE, why)
    few = judged(replace(window(labels=499), unvalued=why), rules)
    assert (few.verdict, few.notes["matured"]) == (Verdict.PASS, {"judged": False, "why": why})
    required = replace(rules, labels_required=True)
    assert judged(replace(window(labels=499), unvalued=why), required).verdict is Verdict.INCONCLUSIVE


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


def of_three_classes(champion, challenger, rows=1000):
    scores = (np.tile(np.array(answer), (rows, 1)) for answer in (champion, challenger))
    return ShadowEvidence(Task.MULTICLASS, rows, 0, *scores, np.arange(rows) % 5)


def line(result, name):
    return next(c for c in result.criteria if c.criterion == name)


def test_how_far_a_row_moved_is_how_far_its_class_moved_that_moved_most():
    result = judged(of_three_classes([0.5, 0.3, 0.2], [0.3, 0.35, 0.35]))
    assert line(result, "mean |delta|, highest").measured == pytest.approx(0.2)
    assert line(result, "p99 |delta|").measured == pytest.approx(0.2)


def test_a_row_with_one_class_that_is_no_number_is_an_error():
    on = of_three_classes([0.5, 0.3, 0.2], [0.45, 0.3, 0.25])
    on.challenger[0, 2] = nan
    assert line(judged(on), "errors and NaN").measured == 1 / 1000
    assert line(judged(on), "mean |delta|, highest").rows == 999


def test_a_window_that_is_not_full_shows_what_was_measured_so_far_in_each_line_but_its_own():
    full, early = judged(window()), judged(window(rows=900))
    assert [c.criterion for c in early.criteria] == [c.criterion for c in full.criteria]
    own, *others = early.criteria
    assert own.reason == "The shadow window has 900 rows on 5 days; it needs 1,000 rows and 3 days to be judged."
    assert all(c.reason.startswith(f"{own.reason} So far: ") for c in others)


def test_a_row_answered_with_an_error_is_answered_and_one_never_answered_is_not():
    result = judged(window(errors=40, unanswered=60))
    assert line(result, "coverage").measured == 4040 / 4100
    assert line(result, "errors and NaN").measured == 40 / 4100


def test_a_score_of_just_a_half_decides_against_the_event():
    half, more = np.full(1000, 0.5), np.full(1000, 0.51)
    days = np.arange(1000) % 5
    assert judged(ShadowEvidence(Task.BINARY, 1000, 0, half, half, days)).notes["decisions_differ"] == 0
    assert judged(ShadowEvidence(Task.BINARY, 1000, 0, half, more, days)).notes["decisions_differ"] == 1
    assert judged(ShadowEvidence(Task.BINARY, 1000, 0, more, half, days)).notes["decisions_differ"] == 1


@pytest.mark.parametrize(
    ("bounds", "lines"),
    [
        (Latency(p99_ms_at_most=50), {"p99 latency in ms": 20.0}),
        (Latency(times_champion_at_most=2), {"p99 latency / champion's": 20.0 / 16.0}),
        (Latency(), {}),
    ],
)
def test_of_latency_only_what_is_declared_is_judged(bounds, lines):
    result = judged(replace(window(), challenger_p99_ms=20.0, champion_p99_ms=16.0), replace(RULES, latency=bounds))
    assert {c.criterion: c.measured for c in result.criteria if "latency" in c.criterion} == lines


def test_where_nobody_counted_the_candidates_of_a_window_alpha_is_whole_and_otherwise_it_is_shared():
    on = window(labels=3000)
    assert judged(on, LABELLED).notes["matured"]["alpha"] == 0.05
    assert judged(on, LABELLED, attempts=2).notes["matured"]["alpha"] == 0.025


def test_just_enough_matured_labels_are_judged():
    assert judged(window(labels=500), LABELLED).criteria[-1].criterion == "matured roc_auc"
    assert judged(window(labels=499), LABELLED).criteria[-1].criterion != "matured roc_auc"


def test_how_many_rows_would_do_is_said_where_a_margin_is_tolerated_and_not_where_a_gain_is_demanded():
    on = window(labels=3000)
    gain = replace(RULES, comparison=ComparisonRule("roc_auc", 0.02, superiority=True))
    assert judged(on, LABELLED).notes["matured"]["sufficient_rows"] > 0
    assert judged(on, gain).notes["matured"]["sufficient_rows"] is None


# --- stopped only where it is shown to be worse ----------------------------------------------------------------------

SHOWN = replace(LABELLED, only_if_shown_worse=True)


@pytest.mark.parametrize(
    ("better_by", "margin", "expected"),
    [
        pytest.param(0.0, 0.005, Verdict.PASS, id="not shown to be"),
        pytest.param(-0.3, 0.005, Verdict.FAIL, id="shown to be worse by more than the margin"),
        pytest.param(-0.3, 0.5, Verdict.PASS, id="shown to be worse, within the margin"),
    ],
)
def test_labels_stop_only_a_challenger_that_is_shown_to_be_worse(better_by, margin, expected):
    rules = replace(SHOWN, comparison=ComparisonRule("brier", margin), mean_delta=(0.001, 1.0), p99_delta_at_most=1.0)
    result = judged(window(labels=3000, better_by=better_by, days=14), replace(rules, max_days=20))
    assert result.criteria[-1].verdict is expected
    assert result.criteria[-1].reason.endswith("is stopped nine times in ten.")


def test_worse_and_beyond_the_margin_but_not_shown_to_be_is_for_a_person():
    on = window(labels=3000, better_by=-0.3, days=14)
    found = judged(on, replace(SHOWN, comparison=ComparisonRule("brier", 0.0))).criteria[-1]
    between = (found.low + found.measured - found.champion) / 2
    asked = judged(on, replace(SHOWN, comparison=ComparisonRule("brier", between))).criteria[-1]
    assert asked.verdict is Verdict.INCONCLUSIVE
    assert "labels cannot tell whether by more than" in asked.reason


def test_worse_by_more_than_the_margin_but_perhaps_not_at_all_is_no_reason_to_stop():
    on = window(2000, labels=1500, better_by=-0.005, days=14)
    found = judged(on, replace(SHOWN, comparison=ComparisonRule("brier", 0.0)))
    assert found.criteria[-1].low < 0 < found.notes["matured"]["difference"]
    assert found.criteria[-1].verdict is Verdict.PASS


def test_the_margin_itself_is_tolerated():
    """Neither a lower bound of just the margin nor a difference of just the margin is beyond it."""
    on = window(labels=3000, better_by=-0.3, days=14)

    def with_margin(margin):
        return judged(on, replace(SHOWN, comparison=ComparisonRule("brier", margin)))

    loose = with_margin(0.0)
    low, difference = loose.criteria[-1].low, loose.notes["matured"]["difference"]
    assert with_margin(np.nextafter(low, 0)).criteria[-1].verdict is Verdict.FAIL
    assert with_margin(low).criteria[-1].verdict is Verdict.INCONCLUSIVE
    assert with_margin(np.nextafter(difference, 0)).criteria[-1].verdict is Verdict.INCONCLUSIVE
    assert with_margin(difference).criteria[-1].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("better_by", "margin", "side", "alpha"),
    [(-0.3, 0.0, "worse", 0.05), (-0.3, 0.5, "worse", 0.05), (0.1, 0.005, "better", 0.1)],
)
def test_the_reason_says_what_a_challenger_must_be_worse_by_to_be_stopped(better_by, margin, side, alpha):
    """It is stopped where its measured difference less the reach of the bound is above 0, and the difference above the
    margin; nine times in ten it is measured so if it is worse by 1.28 standard errors more."""
    rules = replace(SHOWN, comparison=ComparisonRule("brier", margin), alpha=alpha)
    result = judged(window(labels=3000, better_by=better_by, days=14), rules)
    line, difference = result.criteria[-1], result.notes["matured"]["difference"]
    reach = difference - line.low
    stopped_from = max(reach, margin) + reach * norm.ppf(0.9) / norm.ppf(1 - alpha)
    assert f": {side} by {abs(difference):.4g} ({bounds_in_words(line.low, line.high)}, " in line.reason
    assert f"each bound at {100 - 100 * alpha:g} %" in line.reason
    assert line.reason.endswith(f"and is worse by {stopped_from:.3g} is stopped nine times in ten.")


def test_equal_models_are_worse_by_nothing():
    on = window(labels=3000, differing_by=0, days=14)
    rules = replace(SHOWN, mean_delta=(0.0, 1.0), comparison=ComparisonRule("brier", 0.01))
    assert ": worse by 0 (0 to 0 worse" in judged(on, rules).criteria[-1].reason


def test_too_few_labels_are_inconclusive_where_they_are_required_whatever_is_asked():
    assert judged(window(labels=100), replace(SHOWN, labels_required=True)).verdict is Verdict.INCONCLUSIVE
    assert judged(window(labels=100), SHOWN).verdict is Verdict.PASS


def of_equals(seed):
    """A window whose two models are noisy alike: on each row it is a coin whose answer is whose."""
    on, coin = window(2000, labels=1500, days=7, seed=seed), np.random.default_rng(10_000 + seed).random(2000) < 0.5
    return replace(
        on,
        champion=np.where(coin, on.challenger, on.champion),
        challenger=np.where(coin, on.champion, on.challenger),
    )


@pytest.mark.slow
def test_labels_stop_an_equal_challenger_at_most_alpha_of_the_time():
    rules = replace(SHOWN, comparison=ComparisonRule("brier", 0.0))
    stopped = sum(judged(of_equals(seed), rules).criteria[-1].verdict is not Verdict.PASS for seed in range(400))
    assert 0 < stopped <= binom.ppf(0.999, 400, 0.05)


@pytest.mark.parametrize(
    ("days", "matured", "expected"),
    [
        pytest.param(4, 2, Window.OPEN, id="waits for the labels"),
        pytest.param(6, 3, Window.FULL, id="has the days of labels"),
        pytest.param(7, 0, Window.SHORT, id="the last day is over"),
        pytest.param(4, None, Window.FULL, id="nobody asks"),
    ],
)
def test_where_labels_are_required_the_window_waits_for_days_of_them(days, matured, expected):
    rules = replace(LABELLED, labels_required=True, min_matured_days=3)
    assert window_state(rules, rows=5000, days=days, matured_days=matured) is expected
