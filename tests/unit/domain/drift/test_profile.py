"""A reference profile is small, adds up, and counts the odd values as its module says."""

import json

import numpy as np
import pandas as pd
import pytest

from include.domain.drift.profile import (
    BadProfile,
    CategoricalProfile,
    FeatureKind,
    NumericProfile,
    Profile,
    count_window,
    merge,
    score_frame,
)
from include.domain.drift.reference import (
    HeldOutScores,
    build_profile,
    profile_scores,
    quantile_edges,
    reference_profile,
)
from include.domain.losses import DayLoss

KINDS = {"wind": FeatureKind.NUMERIC, "carrier": FeatureKind.CATEGORICAL, "holiday": FeatureKind.BOOLEAN}


def a_frame(rows=2000, seed=1):
    rng = np.random.default_rng(seed)
    wind = rng.gamma(2, 5, rows)
    wind[rng.random(rows) < 0.2] = np.nan
    carrier = rng.choice(["UA", "B6", "EV", "DL"], rows, p=[0.4, 0.3, 0.2, 0.1])
    return pd.DataFrame({"wind": wind, "carrier": carrier, "holiday": rng.random(rows) < 0.1})


def numeric(values, bins=10):
    return build_profile(pd.DataFrame({"x": values}), {"x": FeatureKind.NUMERIC}, bins=bins).features[0]


def categorical(values, **options):
    return build_profile(pd.DataFrame({"x": values}), {"x": FeatureKind.CATEGORICAL}, **options).features[0]


def counted_in(reference, values):
    return count_window(Profile(reference.rows, (reference,)), pd.DataFrame({"x": values})).features[0]


def test_every_row_is_counted_once():
    profile = build_profile(a_frame(), KINDS)
    assert [f.rows for f in profile.features] == [2000, 2000, 2000]
    assert profile.feature("wind").missing == int(a_frame().wind.isna().sum())


def test_quantile_bins_of_the_reference_hold_equal_shares_and_nothing_is_outside():
    feature = numeric(np.random.default_rng(2).normal(size=10_000))
    assert feature.outside == 0
    assert len(feature.counts) == 12
    assert all(abs(c - 1000) <= 1 for c in feature.counts[1:-1])


def test_a_month_is_the_sum_of_its_days():
    frame, reference = a_frame(3000), build_profile(a_frame(seed=9), KINDS)
    parts = [count_window(reference, frame.iloc[i : i + 100]) for i in range(0, 3000, 100)]
    whole = parts[0]
    for part in parts[1:]:
        whole = merge(whole, part)
    assert whole == count_window(reference, frame)


def test_losses_of_the_same_day_add_up_when_profiles_do():
    a = Profile(1, (), losses=(DayLoss("2013-06-01", 2, 1.0, 0.5), DayLoss("2013-06-02", 1, 1.0, 1.0)))
    b = Profile(1, (), losses=(DayLoss("2013-06-01", 3, 1.0, 0.5),))
    assert merge(a, b).losses == (DayLoss("2013-06-01", 5, 2.0, 1.0), DayLoss("2013-06-02", 1, 1.0, 1.0))


def test_profiles_in_other_bins_are_not_added():
    with pytest.raises(BadProfile, match="'x' have other bins"):
        merge(Profile(1, (numeric([1.0, 2.0]),)), Profile(1, (numeric([1.0, 3.0]),)))
    with pytest.raises(BadProfile, match="other features"):
        merge(build_profile(a_frame(), KINDS), build_profile(a_frame(), {"wind": FeatureKind.NUMERIC}))


def test_a_profile_survives_json_unchanged():
    frame = a_frame()
    days = ["2013-05-0" + str(1 + i % 8) for i in range(len(frame))]
    losses = np.full(len(frame), 0.25)
    profile = reference_profile(
        frame, KINDS, days, held_out=HeldOutScores(scores=frame.wind.to_numpy(), score_days=days, losses=losses)
    )
    text = json.dumps(profile.as_json(), allow_nan=False)
    assert Profile.from_json(json.loads(text)) == profile
    assert len(text) < 20_000
    assert profile.losses[0] == DayLoss("2013-05-01", 250, 62.5, 15.625)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param([], id="no object"),
        pytest.param({"format": 99}, id="another format"),
        pytest.param({"format": 1, "rows": 3}, id="a part is missing"),
        pytest.param({"format": 1, "rows": "x", "features": [], "scores": [], "losses": []}, id="text for a number"),
        pytest.param(
            {
                "format": 1,
                "rows": 1,
                "scores": [],
                "losses": [],
                "features": [
                    {
                        "kind": "numeric",
                        "name": "x",
                        "edges": [0, 1],
                        "counts": [1],
                        "missing": 0,
                        "scale": 1,
                        "windows": [],
                    }
                ],
            },
            id="counts that do not fit the edges",
        ),
    ],
)
def test_a_damaged_profile_is_refused_with_the_way_out(damaged):
    with pytest.raises(BadProfile, match="Rebuild it from the training set"):
        Profile.from_json(damaged)


def test_missing_values_of_every_spelling_are_counted_as_missing():
    assert numeric([1.0, np.nan, None, pd.NA]).missing == 3
    assert numeric(pd.array([1, None, 3], dtype="Int64")).missing == 1
    assert categorical(["a", None, np.nan, pd.NA]).missing == 3


def test_what_is_no_number_in_a_numeric_column_is_missing():
    assert counted_in(numeric([1.0, 2.0]), ["1.5", "many", None]).missing == 2


def test_infinite_values_are_outside_the_range_and_do_not_move_the_bins():
    reference = numeric([1.0, 2.0, 3.0, np.inf, -np.inf])
    assert reference.edges[0] == 1.0
    assert reference.edges[-1] == np.nextafter(3.0, np.inf)
    assert reference.outside == 2
    assert counted_in(reference, [np.inf, 2.0]).outside == 1


def test_the_largest_value_of_the_reference_is_inside():
    assert counted_in(numeric([1.0, 2.0, 3.0]), [3.0, np.nextafter(3.0, 4)]).outside == 1


def test_a_tie_has_a_bin_of_its_own():
    rain = np.array([0.0] * 900 + list(np.linspace(0.01, 2, 100)))
    feature = numeric(rain)
    assert 900 in feature.counts
    # Rain that turned into drizzle stays between the same quantiles and is seen all the same.
    assert counted_in(feature, [0.001] * 10).counts[feature.counts.index(900)] == 0


def test_a_constant_is_one_bin_and_any_other_value_is_outside():
    feature = numeric([7.0] * 50)
    assert feature.counts == (0, 50, 0)
    assert feature.scale == 0
    assert counted_in(feature, [7.0, 7.1, 6.9]).outside == 2


def test_a_feature_that_was_always_missing_has_no_range_to_be_inside_of():
    feature = numeric([np.nan] * 10)
    assert (feature.edges, feature.missing, feature.scale) == ((), 10, None)
    assert counted_in(feature, [1.0, np.nan]).outside == 1


def test_huge_values_neither_overflow_nor_warn():
    feature = numeric([1e308, -1e308, 0.0, 1.7e308])
    assert feature.rows == 4
    json.dumps(Profile(4, (feature,)).as_json(), allow_nan=False)


def test_edges_ascend_whatever_the_ties():
    for values in ([0.0], [1.0, 1.0, 2.0], list(range(7)) * 50, [np.finfo(float).max] * 3):
        edges = quantile_edges(np.array(values, dtype=float), 10)
        assert list(edges) == sorted(set(edges))


def test_a_million_categories_are_bounded_and_marked_as_cut():
    values = [f"tail{i}" for i in range(100_000)] + ["N1"] * 50
    feature = categorical(values, max_categories=500)
    assert (len(feature.categories), feature.truncated, feature.rows) == (500, True, 100_050)
    assert feature.categories[0] == "N1"
    assert feature.unseen == 100_050 - sum(feature.counts)
    assert len(feature.new) <= 50


def test_an_endless_category_is_cut():
    assert len(categorical(["x" * 1_000_000]).categories[0]) == 200


def test_an_unseen_category_is_counted_and_named():
    feature = counted_in(categorical(["UA", "B6"]), ["UA", "ZZ", "ZZ", "YY"])
    assert (feature.unseen, feature.new) == (3, (("ZZ", 2), ("YY", 1)))


def test_a_boolean_knows_both_values_even_when_the_reference_had_one():
    feature = build_profile(pd.DataFrame({"x": [True, True]}), {"x": FeatureKind.BOOLEAN}).features[0]
    assert counted_in(feature, [True, False, False]).unseen == 0
    assert counted_in(feature, [1.0, 0.0, np.nan]).counts == (1, 1)
    assert counted_in(feature, [2]).unseen == 1


def test_a_column_that_vanished_is_missing_in_every_row():
    now = count_window(build_profile(a_frame(), KINDS), a_frame(10).drop(columns="wind"))
    assert now.feature("wind").missing == 10


def test_a_feature_that_was_not_profiled_is_named_with_those_that_were():
    with pytest.raises(BadProfile, match="no feature 'rain'; it has: wind, carrier, holiday"):
        build_profile(a_frame(), KINDS).feature("rain")


def test_each_reference_day_is_held_against_the_others():
    frame = a_frame(4000)
    days = np.repeat([f"2013-05-{d:02d}" for d in range(1, 11)], 400)
    frame.loc[days == "2013-05-10", "wind"] += 30
    windows = build_profile(frame, KINDS, days=list(days)).feature("wind").windows
    assert [w.day for w in windows] == sorted(set(days))
    assert windows[-1].psi > 10 * max(w.psi for w in windows[:-1])


def test_an_empty_window_counts_nothing():
    now = count_window(build_profile(a_frame(), KINDS), a_frame().iloc[:0])
    assert [f.rows for f in now.features] == [0, 0, 0]


def test_scores_of_several_classes_are_profiled_with_the_predicted_class():
    scores = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [np.nan, 0.5, 0.5]])
    profiled = profile_scores(scores, classes=["early", "on_time", "late"])
    assert [p.name for p in profiled] == ["score_early", "score_on_time", "score_late", "predicted_class"]
    assert isinstance(profiled[0], NumericProfile)
    assert isinstance(profiled[-1], CategoricalProfile)
    assert profiled[-1].missing == 1
    reference = Profile(3, (), profiled)
    assert count_window(reference, pd.DataFrame(index=range(3)), scores).scores[-1].counts == profiled[-1].counts
    assert list(score_frame(np.array([0.5])).columns) == ["score"]


def test_of_a_long_reference_days_evenly_spread_are_looked_at_one_by_one():
    frame = pd.DataFrame({"x": np.random.default_rng(3).normal(size=5000)})
    names = pd.date_range("2010-01-01", periods=1000).strftime("%Y-%m-%d")
    profile = build_profile(frame, {"x": FeatureKind.NUMERIC}, days=list(np.repeat(names, 5)))
    windows = profile.features[0].windows
    assert (len(windows), windows[0].day, windows[-1].day) == (400, "2010-01-01", "2012-09-26")
    assert profile.features[0].rows == 5000
