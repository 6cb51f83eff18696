"""The latency gate: against a budget, and against the champion on the same machine."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan, nextafter

import pytest

from include.domain.gates import LatencyRules, Mode, Timing, Verdict, latency_gate

HERE = Timing(
    "here", 200, p50_ms=4.0, p99_ms=9.0, batch_ms_per_1k=20.0, model_bytes=2_000_000, batch_p90_ms_per_1k=30.0
)


def judged(rules, candidate=HERE, champion=HERE, *, has_champion=True):
    return latency_gate(rules, candidate, champion, mode=Mode.BLOCKING, has_champion=has_champion)


def times(factor, timing=HERE):
    return replace(
        timing,
        p50_ms=timing.p50_ms * factor,
        p99_ms=timing.p99_ms * factor,
        batch_ms_per_1k=timing.batch_ms_per_1k * factor,
    )


BUDGETS = {
    "p50_ms_at_most": 4.0,
    "p99_ms_at_most": 9.0,
    "batch_ms_per_1k_at_most": 20.0,
    "batch_p90_ms_per_1k_at_most": 30.0,
    "model_mb_at_most": 2.0,
}


@pytest.mark.parametrize(("bound", "value"), BUDGETS.items())
def test_f050_a_budget_is_inclusive_to_the_last_bit(bound, value):
    assert judged(LatencyRules(**{bound: value})).verdict is Verdict.PASS
    assert judged(LatencyRules(**{bound: nextafter(value, 0)})).verdict is Verdict.FAIL


@pytest.mark.parametrize("value", [nan, inf, -1.0, 0.0, None], ids=str)
@pytest.mark.parametrize(
    ("bound", "part"),
    [
        ("p50_ms_at_most", "p50_ms"),
        ("p99_ms_at_most", "p99_ms"),
        ("batch_ms_per_1k_at_most", "batch_ms_per_1k"),
        ("batch_p90_ms_per_1k_at_most", "batch_p90_ms_per_1k"),
        ("model_mb_at_most", "model_bytes"),
    ],
)
def test_f051_a_time_or_size_that_is_none_is_no_evidence(bound, part, value):
    assert judged(LatencyRules(**{bound: 1e9}), replace(HERE, **{part: value})).verdict is Verdict.INCONCLUSIVE


def test_a_model_ten_times_slower_than_the_champion_fails():
    result = judged(LatencyRules(times_champion_at_most=3.0), times(10))
    assert [(c.criterion, c.verdict) for c in result.criteria] == [
        ("p50 / champion's", Verdict.FAIL),
        ("batch / champion's", Verdict.FAIL),
    ]
    assert result.reason == "p50 / champion's is 10: more than 3 times the champion's."


def test_a_model_slow_only_in_batches_fails_too():
    result = judged(LatencyRules(times_champion_at_most=3.0), replace(HERE, batch_ms_per_1k=100.0))
    assert [c.verdict for c in result.criteria] == [Verdict.PASS, Verdict.FAIL]


def test_a_model_fifty_times_larger_fails():
    result = judged(LatencyRules(size_times_champion_at_most=5.0), replace(HERE, model_bytes=1e8))
    assert (result.verdict, result.criteria[0].measured) == (Verdict.FAIL, 50)


def test_an_equal_model_passes_every_bound():
    rules = LatencyRules(**BUDGETS, times_champion_at_most=1.5, size_times_champion_at_most=1.5)
    result = judged(rules)
    assert (result.verdict, len(result.criteria)) == (Verdict.PASS, 8)


def test_a_slow_champion_is_no_excuse_for_a_broken_budget():
    rules = LatencyRules(p99_ms_at_most=9.0, times_champion_at_most=3.0)
    assert judged(rules, times(10), times(10)).verdict is Verdict.FAIL


def test_times_of_another_machine_are_not_compared():
    result = judged(LatencyRules(times_champion_at_most=3.0), HERE, replace(HERE, machine="there"))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "the candidate was timed on here, the champion on there" in result.reason


def test_a_size_is_the_same_on_every_machine():
    rules = LatencyRules(size_times_champion_at_most=1.0)
    assert judged(rules, HERE, replace(HERE, machine="there")).verdict is Verdict.PASS


def test_too_few_timed_rows_show_no_quantile():
    result = judged(LatencyRules(p99_ms_at_most=100.0), replace(HERE, repeats=199))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "199 rows; at least 200 are needed" in result.reason


def test_f053_a_champion_that_could_not_be_timed_is_inconclusive():
    result = judged(LatencyRules(times_champion_at_most=3.0), champion=None)
    assert (result.verdict, "the champion was not measured" in result.reason) == (Verdict.INCONCLUSIVE, True)


def test_a_candidate_that_could_not_be_timed_is_inconclusive():
    rules = LatencyRules(p50_ms_at_most=1.0, times_champion_at_most=3.0)
    assert {c.verdict for c in judged(rules, candidate=None).criteria} == {Verdict.INCONCLUSIVE}


def test_f052_a_first_candidate_is_judged_on_the_budget_alone():
    rules = LatencyRules(p50_ms_at_most=5.0, times_champion_at_most=3.0)
    result = judged(rules, champion=None, has_champion=False)
    assert [c.criterion for c in result.criteria] == ["p50 of one row in ms"]
    assert result.verdict is Verdict.PASS


def test_f052_without_champion_and_budget_nothing_passes():
    assert judged(LatencyRules(times_champion_at_most=3.0), champion=None, has_champion=False).verdict is (
        Verdict.INCONCLUSIVE
    )


def test_no_bounds_pass_nothing():
    assert judged(LatencyRules()).verdict is Verdict.INCONCLUSIVE


ALL = LatencyRules(**BUDGETS, times_champion_at_most=1.5, size_times_champion_at_most=1.5)


def shown_of_champion(result):
    return {c.criterion: c.champion for c in result.criteria}


def test_the_champion_s_times_stand_beside_the_budget_and_its_size_does_wherever_it_was_measured():
    assert shown_of_champion(judged(ALL)) == {
        "p50 of one row in ms": 4.0,
        "p99 of one row in ms": 9.0,
        "ms per 1,000 rows": 20.0,
        "p90 of 1,000 rows in ms": 30.0,
        "model size in MB": 2.0,
        "p50 / champion's": 1.0,
        "batch / champion's": 1.0,
        "size / champion's": 1.0,
    }
    elsewhere = shown_of_champion(judged(ALL, champion=replace(HERE, machine="there")))
    assert {name for name, value in elsewhere.items() if value is not None} == {"model size in MB", "size / champion's"}


def test_a_candidate_that_was_not_timed_has_no_rows():
    assert {c.rows for c in judged(ALL, candidate=None).criteria} == {0}


@pytest.mark.parametrize(
    ("rules", "repeats", "expected"),
    [
        pytest.param(LatencyRules(batch_ms_per_1k_at_most=20.0), 1, Verdict.PASS, id="one batch shows its time"),
        pytest.param(LatencyRules(batch_ms_per_1k_at_most=20.0), 0, Verdict.INCONCLUSIVE, id="none shows none"),
        pytest.param(LatencyRules(model_mb_at_most=2.0), 0, Verdict.PASS, id="a size needs no time"),
        pytest.param(LatencyRules(p50_ms_at_most=4.0), 199, Verdict.INCONCLUSIVE, id="a median of rows needs them all"),
    ],
)
def test_each_part_needs_as_many_timed_rows_as_show_it(rules, repeats, expected):
    assert judged(rules, replace(HERE, repeats=repeats)).verdict is expected


def test_a_time_below_a_millisecond_is_a_time():
    assert judged(LatencyRules(p50_ms_at_most=0.5), replace(HERE, p50_ms=0.4)).verdict is Verdict.PASS
