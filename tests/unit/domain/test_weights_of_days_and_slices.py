"""Days, slices, groups and estimates of rows that count differently."""

from __future__ import annotations

import numpy as np
import pytest

from include.domain.drift.calibration import fit_calibration
from include.domain.drift.estimate_reference import classifier_reference
from include.domain.drift.estimated import BesideEstimate, estimated_performance
from include.domain.gates import (
    ComparisonRule,
    Evidence,
    FairnessRule,
    Measure,
    SliceRules,
    TrainingDataRules,
    TrainingDataSummary,
    slice_gate,
    training_data_gate,
)
from include.domain.losses import losses_by_day, weighted_day, weighted_sums
from include.domain.metrics import Task
from include.domain.risk_bounds import Band
from include.domain.shadow import ShadowEvidence, ShadowRules, shadow_gate
from include.domain.verdicts import Mode, Verdict

DAYS = np.repeat([f"2024-01-{d:02d}" for d in range(1, 21)], 200)


def answers(seed: int = 1, rows: int = len(DAYS)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.05, 0.95, rows)
    return (rng.random(rows) < score).astype(float), score


# --- a day ------------------------------------------------------------------------------------------------------------


def test_a_day_of_whole_weights_has_the_mean_of_its_rows_repeated_so_often():
    rng = np.random.default_rng(3)
    losses, weights = rng.random(len(DAYS)), rng.integers(0, 4, len(DAYS)).astype(float)
    weighted = losses_by_day(DAYS, losses, weights)
    repeated = losses_by_day(np.repeat(DAYS, weights.astype(int)), np.repeat(losses, weights.astype(int)))
    assert [d.day for d in weighted] == [d.day for d in repeated]
    for one, other in zip(weighted, repeated, strict=True):
        assert one.mean == pytest.approx(other.mean)
        assert one.squares / one.rows == pytest.approx(other.squares / other.rows)


def test_a_day_counts_the_rows_that_its_own_are_worth_and_one_without_weight_is_left_out():
    weights = np.ones(len(DAYS))
    weights[DAYS == "2024-01-02"] = 0.0
    weights[DAYS == "2024-01-03"] = np.append(1e6, np.zeros(199) + 1e-6)
    found = {d.day: d.rows for d in losses_by_day(DAYS, np.ones(len(DAYS)), weights)}
    assert (found["2024-01-01"], found["2024-01-03"]) == (200, 1)
    assert "2024-01-02" not in found


def test_weights_in_another_unit_change_nothing():
    losses, weights = np.random.default_rng(4).gamma(1.0, 1.0, (2, len(DAYS)))
    for one, other in zip(losses_by_day(DAYS, losses, weights), losses_by_day(DAYS, losses, 7 * weights), strict=True):
        assert (one.rows, one.mean) == (other.rows, pytest.approx(other.mean))


def test_the_sums_of_a_days_two_halves_make_the_day():
    losses, weights = np.random.default_rng(5).gamma(1.0, 1.0, (2, 200))
    index = np.zeros(100, dtype=np.intp)
    halves = [weighted_sums(index, 1, losses[half], weights[half]) for half in (slice(100), slice(100, None))]
    made, whole = weighted_day(DAYS[0], (halves[0] + halves[1])[:, 0]), losses_by_day(DAYS[:200], losses, weights)[0]
    assert (made.day, made.rows) == (whole.day, whole.rows)
    assert (made.total, made.squares) == (pytest.approx(whole.total), pytest.approx(whole.squares))


# --- the training set -------------------------------------------------------------------------------------------------


def test_what_the_rows_are_worth_is_held_against_the_fewest_rows():
    counted = {"rows": 5000, "holdout_rows": 900, "distinct_labels": 2, "null_shares": {"a": 0.0}}
    rules = TrainingDataRules(min_rows=1000, min_holdout_rows=500)
    even = training_data_gate(rules, TrainingDataSummary(**counted, worth=(1000, 500)))
    few = training_data_gate(rules, TrainingDataSummary(**counted, worth=(999, 499)))
    assert even.verdict is Verdict.PASS
    failed = {c.criterion: c.measured for c in few.criteria if c.verdict is Verdict.FAIL}
    assert failed == {"rows, by their weights": 999, "holdout rows, by their weights": 499}


# --- slices and groups ------------------------------------------------------------------------------------------------


def two_models(weight: np.ndarray | None, worse_in_b: float = 0.0) -> tuple[Evidence, dict[str, np.ndarray]]:
    y, score = answers(7)
    rng = np.random.default_rng(8)
    where = rng.permutation(np.repeat(["a", "b", "c", "d"], len(y) // 4))
    ours, theirs = (np.clip(score + 0.02 * rng.standard_normal(len(y)), 0.01, 0.99) for _ in range(2))
    spoiled = (where == "b") & (rng.random(len(y)) < worse_in_b)
    ours = np.where(spoiled, 1 - ours, ours)
    return Evidence(Task.BINARY, y, ours, theirs, np.full(len(y), y.mean()), DAYS).weighted(weight), {"where": where}


RULES = SliceRules(metric="brier", margin=0.02, floor=0.02, by=("where",), large_rows=700, min_rows=300)


def test_equal_weights_judge_slices_as_none_do():
    evidence, columns = two_models(None, 0.3)
    plain = slice_gate(RULES, evidence, columns, mode=Mode.BLOCKING, has_champion=True)
    same = slice_gate(
        RULES, evidence.weighted(np.full(evidence.rows, 2.5)), columns, mode=Mode.BLOCKING, has_champion=True
    )
    assert [c.criterion for c in same.criteria] == [c.criterion for c in plain.criteria]
    for one, other in zip(same.criteria, plain.criteria, strict=True):
        assert (one.verdict, one.measured) == (other.verdict, pytest.approx(other.measured))
    assert same.verdict is Verdict.FAIL


def test_a_slice_that_is_worse_where_weight_is_stops_and_one_worse_where_there_is_none_does_not():
    evidence, columns = two_models(None, 0.3)
    spoiled = np.abs(evidence.candidate - np.asarray(evidence.champion)) > 0.1
    heavy = slice_gate(
        RULES, evidence.weighted(np.where(spoiled, 1.0, 0.7)), columns, mode=Mode.BLOCKING, has_champion=True
    )
    light = slice_gate(
        RULES, evidence.weighted(np.where(spoiled, 1e-6, 1.0)), columns, mode=Mode.BLOCKING, has_champion=True
    )
    assert (heavy.verdict, light.verdict) == (Verdict.FAIL, Verdict.PASS)


def test_a_slice_whose_weight_lies_on_few_rows_is_under_the_support():
    evidence, columns = two_models(None)
    weight = np.ones(evidence.rows)
    weight[np.flatnonzero(columns["where"] == "b")[:20]] = 1000.0
    rules = SliceRules(metric="brier", margin=0.02, floor=0.02, protected=("where",), min_rows=300)
    found = slice_gate(rules, evidence.weighted(weight), columns, mode=Mode.BLOCKING, has_champion=True)
    (few,) = (c for c in found.criteria if c.criterion == "where support")
    assert (few.verdict, few.measured) == (Verdict.INCONCLUSIVE, 22)


@pytest.mark.parametrize("groups", [2, 6], ids=["each pair by itself", "pooled"])
def test_groups_of_whole_weights_have_the_rates_of_their_rows_repeated_so_often(groups):
    y, score = answers(9)
    rng = np.random.default_rng(10)
    column = rng.integers(0, groups, len(y)).astype(str)
    weight = rng.integers(1, 4, len(y)).astype(float)
    rule = FairnessRule("group", Measure.EQUALIZED_ODDS, margin=0.05)
    rules = SliceRules(metric="brier", margin=0.02, floor=0.02, fairness=(rule,))

    def judged(times: np.ndarray | None, given: np.ndarray | None):
        each = np.arange(len(y)) if times is None else np.repeat(np.arange(len(y)), times.astype(int))
        evidence = Evidence(Task.BINARY, y[each], score[each], score[each], None, DAYS[each]).weighted(given)
        return slice_gate(rules, evidence, {"group": column[each]}, mode=Mode.BLOCKING, has_champion=True)

    by_weight, by_rows = judged(None, weight), judged(weight, None)
    shown = [g.notes["fairness"][rule.name]["candidate"] for g in (by_weight, by_rows)]
    for rate, values in shown[0]["rates"].items():
        assert values == pytest.approx(shown[1]["rates"][rate])
    (one,), (other,) = by_weight.criteria, by_rows.criteria
    assert one.measured == pytest.approx(other.measured)
    assert one.high is not None
    assert one.high >= other.high > 0  # the same rows are no more for being repeated


def test_a_group_whose_weight_lies_on_few_rows_is_under_the_support():
    y, score = answers(11)
    column = np.where(np.arange(len(y)) % 2 == 0, "a", "b")
    weight = np.ones(len(y))
    weight[np.flatnonzero(column == "b")[:10]] = 1e4
    rule = FairnessRule("group", Measure.DEMOGRAPHIC_PARITY, margin=0.05, min_rows=100)
    evidence = Evidence(Task.BINARY, y, score, score, None, DAYS).weighted(weight)
    rules = SliceRules(metric="brier", margin=0.02, floor=0.02, fairness=(rule,))
    (found,) = slice_gate(rules, evidence, {"group": column}, mode=Mode.BLOCKING, has_champion=True).criteria
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "fewer than 100 rows: b (10)" in found.reason


# --- the shadow window ------------------------------------------------------------------------------------------------


def in_shadow(weight: np.ndarray | None) -> Verdict:
    y, score = answers(12)
    spoiled = np.random.default_rng(13).random(len(y)) < 0.3
    challenger = np.where(spoiled, 1 - score, score)
    rules = ShadowRules(
        min_rows=100,
        min_days=5,
        max_days=30,
        mean_delta=(0.0, 1.0),
        p99_delta_at_most=1.0,
        comparison=ComparisonRule("brier", 0.02),
        labels_required=True,
    )
    weight = None if weight is None else np.where(spoiled, weight[0], weight[1])
    evidence = ShadowEvidence(Task.BINARY, len(y), 0, score, challenger, DAYS, y, weight)
    found = shadow_gate(rules, evidence, mode=Mode.BLOCKING)
    return next(c.verdict for c in found.criteria if c.criterion == "matured brier")


def test_matured_labels_of_a_shadow_window_count_by_their_weights():
    assert in_shadow(None) is in_shadow(np.array([2.0, 2.0])) is Verdict.FAIL
    assert in_shadow(np.array([1e-6, 1.0])) is Verdict.PASS


# --- estimates --------------------------------------------------------------------------------------------------------


def test_scores_are_calibrated_as_if_rows_were_repeated_by_their_weights():
    y, score = answers(14)
    weight = np.random.default_rng(15).integers(0, 4, len(y)).astype(float)
    times = weight.astype(int)
    asked = np.linspace(0.1, 0.9, 9)
    weighted, repeated = (
        fit_calibration(y, score, weight),
        fit_calibration(np.repeat(y, times), np.repeat(score, times)),
    )
    assert weighted(asked) == pytest.approx(repeated(asked))


def test_an_estimate_follows_the_rows_that_count():
    """The heavy half of the rows is answered well, the light one badly; then the weights change sides."""
    rng = np.random.default_rng(16)
    n = len(DAYS)
    sure = np.arange(n) % 2 == 0
    score = np.where(sure, 0.05, 0.5)
    y = (rng.random(n) < score).astype(float)
    weight = np.where(sure, 10.0, 1.0)
    reference = classifier_reference("brier", DAYS.tolist(), y, score, weight)
    assert reference.realised == pytest.approx(np.average((y - score) ** 2, weights=weight), rel=0.02)
    assert abs(reference.bias) < 0.01
    expected = np.where(sure, 0.05 * 0.95, 0.25)[:2000]

    def judged(weights: np.ndarray | None):
        band = Band("brier", tolerance=0.02)
        return estimated_performance(reference, expected, band, beside=BesideEstimate(weights=weights))

    same, turned = judged(weight[:2000]), judged(11.0 - weight[:2000])
    assert same.risk == pytest.approx(np.average(expected, weights=weight[:2000]))
    assert (same.out_of_band, turned.out_of_band) == (False, True)
    assert same.rows == 1198  # 2,000 rows of the weights 10 and 1


def test_an_estimate_needs_the_rows_that_its_own_are_worth():
    y, score = answers(17)
    reference = classifier_reference("brier", DAYS.tolist(), y, score, np.ones(len(y)))
    weights = np.append(np.full(10, 1e6), np.ones(990))
    found = estimated_performance(
        reference, np.full(1000, 0.2), Band("brier", 0.02), beside=BesideEstimate(weights=weights)
    )
    assert found.out_of_band is None
    assert "was not estimated: 10 rows; at least" in found.reason
