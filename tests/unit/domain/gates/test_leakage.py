"""Leakage: features that know the label, features from the future, and rows on both sides of the split."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf, nan

import numpy as np
import pandas as pd
import pytest

from include.domain.gates import Availability, LeakageRules, Split, Verdict, late_rows, leakage_gate, split_of
from include.domain.gates.leakage import NoFeatures, strength
from include.domain.metrics import Task

ROWS = 2000
RNG = np.random.default_rng(1)
LATE = (RNG.random(ROWS) < 0.25).astype(float)
MINUTES = RNG.normal(150, 60, ROWS)
HONEST = {
    "distance": RNG.random(ROWS),
    "carrier": RNG.choice(list("ABC"), ROWS),
    "dep_delay": LATE + RNG.normal(0, 1, ROWS),
}
KNOWN = Availability(ROWS, dict.fromkeys(HONEST, 0))
APART = Split(datetime(2013, 5, 31, 23, tzinfo=UTC), datetime(2013, 6, 1, tzinfo=UTC), 0, 100, 500)


def judged(features, *, y=LATE, task=Task.BINARY, availability=KNOWN, split=APART, **rules):
    return leakage_gate(LeakageRules(**rules), task, y, features, availability, split)


def failed(result):
    return [c.criterion for c in result.criteria if c.verdict is Verdict.FAIL]


def test_honest_features_pass():
    result = judged(HONEST)
    assert result.verdict is Verdict.PASS
    assert next(iter(result.notes["strongest alone"])) == "dep_delay"


LEAKS = {
    "the label itself": LATE,
    "the label turned around": 1 - LATE,
    "the label with a little noise": LATE + RNG.normal(0, 0.2, ROWS),
    "the label as text": np.where(LATE == 1, "late", "on time"),
    "the label as booleans": LATE == 1,
    "missing where the label is 1": np.where(LATE == 1, nan, RNG.random(ROWS)),
    "missing where the label is 0": np.where(LATE == 0, nan, RNG.random(ROWS)),
    "far from the middle where the label is 1": np.where(
        LATE == 1, RNG.choice([-5.0, 5.0], ROWS), RNG.normal(0, 1, ROWS)
    ),
    "infinite where the label is 1": np.where(LATE == 1, inf, RNG.random(ROWS)),
    "a category that only late rows have": np.where(LATE == 1, RNG.choice(["x", "y"], ROWS), "z"),
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_f033_a_feature_that_alone_tells_the_label_is_named(leak):
    result = judged({**HONEST, "arrived": leak})
    assert failed(result) == ["one feature's roc_auc"]
    assert "arrived (" in result.reason
    assert "distance" not in result.reason


REGRESSION_LEAKS = {
    "the label itself": MINUTES,
    "its negative": -MINUTES,
    "with a little noise": MINUTES + RNG.normal(0, 2, ROWS),
    "in hours, rounded": np.round(MINUTES / 60, 1),
    "its cube": MINUTES**3,
}


@pytest.mark.parametrize("leak", REGRESSION_LEAKS.values(), ids=REGRESSION_LEAKS)
def test_f033_a_feature_that_explains_a_regressions_label_is_named(leak):
    features = {"distance": MINUTES + RNG.normal(0, 15, ROWS), "arrived": leak}
    result = judged(features, y=MINUTES, task=Task.REGRESSION)
    assert failed(result) == ["one feature's r2"]
    assert "arrived (" in result.reason
    assert "distance" not in result.reason


def test_an_identifier_of_every_row_explains_nothing():
    ids = np.array([f"flight {i}" for i in range(ROWS)])
    assert strength(Task.BINARY, LATE, ids) == pytest.approx(0.5, abs=0.02)
    assert strength(Task.REGRESSION, MINUTES, ids) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("told", [0, 1, 2])
def test_one_class_of_many_told_by_a_feature_is_a_leak(told):
    kind = RNG.integers(0, 3, ROWS)
    result = judged({"cancelled": np.where(kind == told, 1.0, 0.0)}, y=kind, task=Task.MULTICLASS)
    assert failed(result) == ["one feature's roc_auc"]


def test_a_strong_feature_somebody_looked_at_is_shown_and_not_judged():
    result = judged({**HONEST, "arrived": LATE}, known_strong=("arrived",))
    assert (result.verdict, result.notes["known strong"]) == (Verdict.PASS, ["arrived"])
    assert result.notes["strongest alone"]["arrived"] == 1


def test_f050_the_bound_is_inclusive():
    alone = strength(Task.BINARY, LATE, HONEST["dep_delay"])
    assert judged(HONEST, auc_at_most=alone).verdict is Verdict.PASS
    assert judged(HONEST, auc_at_most=np.nextafter(alone, 0)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"features": {}}, "there are no features"),
        ({"features": {"x": LATE[:150]}, "y": LATE[:150]}, "at least 200 are needed"),
        ({"features": {"x": LATE}, "y": np.ones(ROWS)}, "all labels are the same"),
        ({"features": {"x": LATE}, "y": np.where(np.arange(ROWS) == 0, nan, LATE)}, "1 of 2,000 labels are missing"),
        ({"features": HONEST, "availability": None}, "no available times were looked at"),
        ({"features": HONEST, "availability": Availability(ROWS, {})}, "no available times were looked at"),
        ({"features": HONEST, "split": None}, "the split was not looked at"),
    ],
)
def test_what_was_not_looked_at_is_no_evidence(changes, why):
    result = judged(**changes)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert why in result.reason


def test_f033_a_feature_known_only_after_the_prediction_is_named():
    late = Availability(ROWS, {"temp": 0, "gust": 12}, {"gust": timedelta(hours=1)})
    result = judged(HONEST, availability=late)
    assert failed(result) == ["features from after the prediction"]
    assert result.reason == "The available time is after the prediction time in gust (12 rows, by up to 1:00:00)."


def test_f034_rows_trained_on_and_judged_on_are_counted():
    result = judged(HONEST, split=replace(APART, shared_rows=3))
    assert failed(result) == ["training rows in the holdout"]
    assert result.reason == "3 of 500 held-out rows were trained on: same keys, same event time."


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=1)], ids=["the same time", "a day later"])
def test_f034_training_that_reaches_into_the_holdout_fails(later):
    result = judged(HONEST, split=replace(APART, train_ends=APART.holdout_starts + later))
    assert failed(result) == ["training ends before the holdout"]


def test_f034_an_entity_on_both_sides_fails_where_it_may_not_repeat():
    assert judged(HONEST).verdict is Verdict.PASS
    result = judged(HONEST, entities_may_repeat=False)
    assert failed(result) == ["entities on both sides"]
    assert "100 entities are in training and in the holdout" in result.reason


def flights(keys, days):
    return pd.DataFrame({"tailnum": keys, "event_time": pd.to_datetime([f"2013-06-{d:02}" for d in days], utc=True)})


def test_f034_a_split_counts_shared_rows_and_entities():
    split = split_of(flights(["a", "b", "b"], [1, 1, 2]), flights(["b", "b", "c"], [2, 3, 3]), ["tailnum"])
    assert split == Split(
        datetime(2013, 6, 2, tzinfo=UTC),
        datetime(2013, 6, 2, tzinfo=UTC),
        shared_rows=1,
        shared_entities=1,
        holdout_rows=3,
    )
    assert split_of(flights([], []), flights(["b"], [2]), ["tailnum"]) is None


def test_available_times_are_compared_with_prediction_times():
    asked = pd.Series(pd.to_datetime(["2013-06-01 10:00"] * 3, utc=True))
    known = pd.Series(pd.to_datetime(["2013-06-01 10:00", "2013-06-01 10:30", None], utc=True))
    assert late_rows(known, asked) == (1, timedelta(minutes=30))
    assert late_rows(known[:1], asked[:1]) == (0, timedelta(0))


def test_a_time_without_a_zone_is_utc_and_the_latest_row_says_by_how_much():
    asked = pd.to_datetime(["2013-06-01 10:00", "2013-06-01 10:00"], utc=True)
    assert late_rows(["2013-06-01 10:30", "2013-06-01 12:00"], asked) == (2, timedelta(hours=2))
    assert late_rows(asked, ["2013-06-01 09:45", "2013-06-01 12:00"]) == (1, timedelta(minutes=15))


def test_a_feature_of_other_rows_is_refused():
    with pytest.raises(NoFeatures, match="has 5 rows, the labels 2000"):
        judged({"x": np.arange(5)})


def test_the_report_shows_the_ten_strongest_features_to_four_digits():
    noise = {f"n{i:02d}": LATE + RNG.normal(0, 1 + i, ROWS) for i in range(12)}
    shown = judged(noise, availability=Availability(ROWS, dict.fromkeys(noise, 0))).notes["strongest alone"]
    assert list(shown.values()) == sorted(shown.values(), reverse=True)
    assert len(shown) == 10
    assert shown["n00"] == round(strength(Task.BINARY, LATE, noise["n00"]), 4)
    assert strength(Task.BINARY, LATE, noise["n00"]) not in shown.values()


@pytest.mark.parametrize(
    ("y", "measured"),
    [
        pytest.param([0, 1, 0], False, id="three rows"),
        pytest.param([0, 1, 0, 1], True, id="four rows"),
        pytest.param([1, 1, 1, 1], False, id="one label"),
        pytest.param([0, 1, 0, nan], False, id="a label is missing"),
    ],
)
def test_a_strength_needs_four_rows_and_two_labels(y, measured):
    found = strength(Task.BINARY, np.array(y, float), np.arange(len(y)))
    assert (found is not None) is measured


def test_a_feature_that_explains_less_than_nothing_of_a_regression_explains_nothing():
    assert strength(Task.REGRESSION, MINUTES, [f"id{i}" for i in range(ROWS)]) == 0.0


def test_up_to_32_distinct_numbers_are_told_apart_however_often_each_is_and_more_are_put_together():
    many = np.repeat(np.arange(33.0), np.arange(33) % 3 * 40 + 20)
    assert strength(Task.BINARY, many[many < 32] % 2, many[many < 32]) == 1.0
    assert strength(Task.BINARY, many % 2, many) < 1.0


def test_a_number_that_falls_where_the_label_rises_is_as_strong():
    x = np.linspace(0, 1, 2001)
    assert strength(Task.BINARY, (x < 0.7003).astype(float), x) == 1.0


def test_a_column_is_read_by_its_rows_and_not_by_its_index():
    texts = pd.Series(np.where(LATE == 1, "late", "on time"), index=range(5, ROWS + 5))
    assert strength(Task.BINARY, LATE, texts) == 1.0


def test_more_numbers_are_cut_into_32_bins_of_equally_many_rows():
    order = np.arange(32 * 20)
    label = (order // 20) % 2.0
    assert strength(Task.BINARY, label, np.exp(order / 100)) == 1.0


def test_missing_numbers_are_a_value_of_their_own():
    x = np.tile([nan, 0.0, 1.0], 100)
    y = np.tile([5.0, -5.0, 0.0], 100)
    assert strength(Task.REGRESSION, y, x) == pytest.approx(1.0)


def test_missing_texts_are_a_value_of_their_own():
    assert strength(Task.BINARY, np.tile([1.0, 0.0, 0.0], 100), ["a" if i % 3 else None for i in range(300)]) == 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_missing_numbers_are_tried_below_and_above_all_others(label):
    x = np.linspace(0, 1, 2001)
    y = (x > 0.7003).astype(float)
    assert strength(Task.BINARY, y, np.where((y == label) & (np.arange(2001) % 3 == 0), nan, x)) == 1.0


def test_the_strength_of_a_value_is_learned_on_the_other_half_of_the_rows():
    y = np.arange(1000.0)
    # One value for all rows tells nothing; the mean of the other half is a little above or below the mean of all.
    assert strength(Task.REGRESSION, y, np.zeros(1000)) == 0.0
    pairs = np.repeat(np.arange(500), 2).astype(str)
    assert 0.0 < strength(Task.REGRESSION, np.repeat(RNG.normal(0, 1, 500), 2), pairs) < 0.7


@pytest.mark.parametrize(("known", "counts"), [(3, False), (4, True)])
def test_a_correlation_is_taken_over_four_values_or_more(known, counts):
    y, x = np.zeros(1000), np.full(1000, nan)
    y[:known] = x[:known] = np.arange(known) + 1.0
    assert (strength(Task.REGRESSION, y, x) > 0.1) is counts


def test_values_without_a_spread_correlate_with_nothing():
    y = RNG.normal(0, 1, 1000)
    assert strength(Task.REGRESSION, y, np.full(1000, 3.0)) == 0.0


def test_a_strong_relation_of_a_few_rows_explains_their_share_of_the_variance_only():
    y = RNG.normal(0, 1, ROWS)
    few = np.where(np.arange(ROWS) < 200, y, nan)
    share = np.sum((y[:200] - y[:200].mean()) ** 2) / np.sum((y - y.mean()) ** 2)
    assert strength(Task.REGRESSION, y, few) == pytest.approx(share, abs=0.02)


def test_200_rows_are_enough_to_judge_by_and_199_are_not():
    y = np.tile([0.0, 1.0], 100)
    assert judged({"x": y}, y=y).verdict is Verdict.FAIL
    assert "199 rows; at least 200 are needed" in judged({"x": y[:199]}, y=y[:199]).reason
    assert "all labels are the same" in judged({"x": y}, y=np.ones(200)).reason


def test_features_that_a_person_has_reviewed_all_are_judged_as_no_strength():
    result = judged({"arrived": LATE}, known_strong=("arrived",))
    (alone, *_) = result.criteria
    assert (alone.verdict, alone.measured) == (Verdict.PASS, 0.0)


def test_a_reviewed_feature_is_no_evidence_where_no_strength_could_be_measured():
    result = judged({"arrived": LATE, "x": LATE}, y=np.ones(ROWS), known_strong=("arrived",))
    assert "all labels are the same" in result.reason


def test_only_features_beyond_the_bound_are_named_the_strongest_first():
    weaker = np.where(np.arange(ROWS) < 20, 1 - LATE, LATE)
    at_bound = strength(Task.BINARY, LATE, weaker)
    result = judged({"weaker": weaker, "arrived": LATE}, auc_at_most=at_bound)
    assert "Alone, arrived (1.0000) tells the classes apart" in result.reason
    noisy = np.where(np.arange(ROWS) < 4, 1 - LATE, LATE)
    result = judged({"noisy": noisy, "arrived": LATE}, auc_at_most=at_bound)
    assert "Alone, arrived (1.0000), noisy (0.9" in result.reason


@pytest.mark.parametrize(("leaks", "tail"), [(5, "n4 (1.0000) tells"), (6, "n4 (1.0000) and 1 more tells")])
def test_five_leaks_are_named_and_the_others_counted(leaks, tail):
    features = {f"n{i}": LATE for i in range(leaks)}
    assert tail in judged(features).reason


@pytest.mark.parametrize(("late", "tail"), [(5, "e (1 rows)."), (6, "e (2 rows) and 1 more.")])
def test_five_late_features_are_named_those_late_most_often_first(late, tail):
    counts = {name: late - i for i, name in enumerate("abcdef"[:late])}
    result = judged(HONEST, availability=Availability(ROWS, dict(reversed(counts.items()))))
    assert result.reason.startswith(f"The available time is after the prediction time in a ({late} rows), b (")
    assert result.reason.endswith(tail)


def test_one_row_that_is_late_by_the_smallest_step_of_time_is_late():
    asked = pd.Series(pd.to_datetime(["2013-06-01 10:00"], utc=True).as_unit("ns"))
    count, _ = late_rows(asked + pd.Timedelta(1, "ns"), asked)
    assert count == 1
    assert failed(judged(HONEST, availability=Availability(ROWS, {"gust": count}))) == [
        "features from after the prediction"
    ]


@pytest.mark.parametrize("field", ["shared_rows", "shared_entities"])
def test_a_single_row_or_entity_on_both_sides_is_one_too_many(field):
    result = judged(HONEST, split=replace(APART, **{field: 1}), entities_may_repeat=field == "shared_rows")
    assert result.verdict is Verdict.FAIL


def test_no_entity_on_both_sides_passes_where_none_may_repeat():
    assert judged(HONEST, split=replace(APART, shared_entities=0), entities_may_repeat=False).verdict is Verdict.PASS


def test_one_empty_side_is_no_split():
    some, none = flights(["a"], [1]), flights([], [])
    assert (split_of(some, none, ["tailnum"]), split_of(none, some, ["tailnum"])) == (None, None)


def test_what_was_not_measured_says_so_without_a_row():
    result = judged(HONEST, availability=None, split=None)
    unmeasured = [c for c in result.criteria if c.verdict is Verdict.INCONCLUSIVE]
    assert [(c.rows, c.measured, c.allowed) for c in unmeasured] == [(0, None, "<= 0"), (0, None, "none")]


def test_a_feature_that_only_some_rows_have_explains_at_most_what_these_vary():
    rng = np.random.default_rng(3)
    y = rng.normal(10, 2, 400)
    known = np.arange(400) % 3 == 0
    share = np.sum((y[known] - y[known].mean()) ** 2) / np.sum((y - y.mean()) ** 2)
    assert strength(Task.REGRESSION, y, np.where(known, y, nan)) == pytest.approx(share)


def test_the_unit_of_a_feature_changes_nothing():
    """Few large values carry the correlation, so that ranks alone would not show it."""
    rng = np.random.default_rng(4)
    large = np.arange(400) % 20 == 0
    y, feature = (np.where(large, 1000.0 + 300 * (np.arange(400) % 7), rng.normal(0, 1, 400)) for _ in range(2))
    found = strength(Task.REGRESSION, y, feature)
    assert found > 0.99
    assert strength(Task.REGRESSION, y, feature * 1e-9) == pytest.approx(found)


def test_nothing_explains_more_than_all_of_a_label():
    for seed in range(40):
        y = np.random.default_rng(seed).normal(100, 1, 50)
        assert strength(Task.REGRESSION, y, y * 0.1 + 3) <= 1


@pytest.mark.parametrize(
    ("starts", "said"), [(2, "02T00:00:00+00:00."), (1, ": the candidate saw the days it is judged on.")]
)
def test_the_reason_says_whether_training_ends_before_the_holdout(starts, said):
    split = Split(datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 6, starts, tzinfo=UTC), 0, 100, 500)
    found = next(c for c in judged(HONEST, split=split).criteria if c.criterion == "training ends before the holdout")
    assert found.reason.endswith(said)


def test_strengths_are_shown_to_four_digits():
    shown = judged(HONEST).notes["strongest alone"]
    assert shown == {name: round(strength(Task.BINARY, LATE, HONEST[name]), 4) for name in shown}
