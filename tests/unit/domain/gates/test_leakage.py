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


def test_one_class_of_many_told_by_a_feature_is_a_leak():
    kind = RNG.integers(0, 3, ROWS)
    result = judged({"cancelled": np.where(kind == 2, 1.0, 0.0)}, y=kind, task=Task.MULTICLASS)
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
