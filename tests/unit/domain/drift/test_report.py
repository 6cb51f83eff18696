"""What a drift report keeps for its plots, and when rows outside the reference's range are a finding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from include.domain.drift.input_drift import DriftRules, input_drift
from include.domain.drift.prediction_drift import prediction_drift
from include.domain.drift.profile import FeatureKind, Profile, count_window
from include.domain.drift.reference import build_profile, profile_scores
from include.domain.drift.report import (
    DataBounds,
    DriftMeasurements,
    Finding,
    ScoredDay,
    drift_report,
    histograms,
    least_share,
)
from include.domain.losses import DayLoss
from include.domain.performance import realised_performance
from include.domain.risk_bounds import Band

NUMERIC, TEXT = FeatureKind.NUMERIC, FeatureKind.CATEGORICAL


def windows(past, now, kinds):
    reference = build_profile(pd.DataFrame(past), kinds)
    return reference, count_window(reference, pd.DataFrame(now))


def test_each_feature_is_plotted_with_both_windows_counts():
    past = {"x": [1.0, 2.0, 3.0, 4.0, np.nan, np.inf], "place": ["a", "a", "b", "b", "c", None]}
    now = {"x": [1.0, np.nan, np.nan, -np.inf, np.inf, 2.0], "place": ["a", "new", "b", "b", None, None]}
    shown = histograms(*windows(past, now, {"x": NUMERIC, "place": TEXT}))
    assert set(shown) == {"x", "place"}
    x, place = shown["x"], shown["place"]
    assert (x["kind"], x["missing"], x["infinite"]) == ("numeric", [1, 2], [1, 2])
    assert (sum(x["reference"]), sum(x["current"])) == (4, 2)
    assert (place["kind"], place["missing"], place["unseen"]) == ("categorical", [1, 2], [0, 1])
    of = dict(zip(place["categories"], zip(place["reference"], place["current"], strict=True), strict=True))
    assert of == {"a": (2, 1), "b": (2, 2), "c": (1, 0)}
    assert place["others"] == [0, 0]


def test_twenty_categories_are_plotted_and_the_rows_of_the_others_are_counted():
    values = [f"v{i:02d}" for i in range(25) for _ in range(25 - i)]
    place = histograms(*windows({"place": values}, {"place": values}, {"place": TEXT}))["place"]
    assert (len(place["categories"]), len(place["reference"]), len(place["current"])) == (20, 20, 20)
    assert place["others"] == [5 + 4 + 3 + 2 + 1] * 2


def test_windows_of_other_features_are_not_plotted_side_by_side():
    one = build_profile(pd.DataFrame({"x": [1.0, 2.0]}), {"x": NUMERIC})
    two = build_profile(pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]}), {"x": NUMERIC, "y": NUMERIC})
    with pytest.raises(ValueError, match="shorter"):
        histograms(two, one)


def report_of(shares, importances, *, rows=1000, missing=0, keeps_counts=False, **bounds):
    """Of features each of which is above the reference's range in such a share of the rows, and has no value in as many
    of the first rows as are ``missing``."""
    rng, kinds = np.random.default_rng(1), dict.fromkeys(shares, NUMERIC)
    past = {name: rng.uniform(0, 1, 4000) for name in shares}
    now = {
        name: np.where(np.arange(rows) < share * rows, 9.0, rng.uniform(0.1, 0.9, rows))
        for name, share in shares.items()
    }
    for values in now.values():
        values[:missing] = np.nan
    reference, current = windows(past, now, kinds)
    losses = [DayLoss(f"2013-05-{d:02d}", 900, 126.0, 40.0) for d in range(1, 21)]
    realised = realised_performance(losses[:14], losses[14:], Band("brier", 0.01))
    answers = Profile(4000, (), profile_scores(rng.random(4000)))
    answered = prediction_drift(answers, count_window(answers, pd.DataFrame(index=range(rows)), rng.random(rows)))
    inputs = input_drift(reference, current, DriftRules(), importances=importances)
    measured = DriftMeasurements(inputs, answered, realised, keeps_counts=keeps_counts)
    return drift_report(ScoredDay("m", "m-1", "2013-06-15"), reference, current, measured, DataBounds(**bounds))


def test_a_share_outside_is_weighted_by_what_matters_to_the_model():
    (finding,) = report_of({"x": 0.5, "y": 0.0}, {"x": 0.75, "y": 0.25}).outside
    assert (finding.feature, finding.measured) == ("x", pytest.approx(0.375))
    assert "(x in 50.0% of rows); 30.0% is allowed" in finding.reason
    assert report_of({"x": 0.5, "y": 0.0}, {"x": 0.25, "y": 0.75}).outside == ()


def test_three_features_outside_are_named_those_that_weigh_most_first():
    shares = {"a": 0.4, "b": 0.6, "c": 0.8, "d": 0.5}
    (finding,) = report_of(shares, dict.fromkeys(shares, 0.25)).outside
    assert finding.feature == "c"
    assert "(c in 80.0% of rows, b in 60.0% of rows, d in 50.0% of rows)" in finding.reason


def test_the_bound_of_the_share_outside_is_exclusive():
    assert report_of({"x": 0.5}, {"x": 1.0}, outside_support=0.5).outside == ()
    assert len(report_of({"x": 0.5}, {"x": 1.0}, outside_support=0.499).outside) == 1


@pytest.mark.parametrize(("rows", "found"), [(300, 1), (299, 0)])
def test_300_rows_are_enough_to_be_outside_and_299_are_not(rows, found):
    assert len(report_of({"x": 1.0}, {"x": 1.0}, rows=rows).outside) == found


def test_what_is_missing_from_300_rows_is_a_finding_as_it_is_measured_and_from_299_it_must_be_sure():
    (finding,) = report_of({"x": 0.0}, {"x": 1.0}, rows=300, missing=61).broken
    assert (finding.check, finding.measured) == ("missing", pytest.approx(61 / 300))
    assert report_of({"x": 0.0}, {"x": 1.0}, rows=299, missing=61).broken == ()


@pytest.mark.parametrize(("missing", "found"), [(21, 0), (22, 2)])
def test_of_few_rows_the_chance_of_a_false_finding_is_divided_over_three_checks_of_each_feature(missing, found):
    """Of 50 rows and with a sixth of 0.001, 22 show that more than a fifth are missing; with more of it 21 would."""
    assert len(report_of({"x": 0.0, "y": 0.0}, {"x": 0.5, "y": 0.5}, rows=50, missing=missing).broken) == found


def test_the_days_own_counts_are_kept_where_later_days_need_them_and_nowhere_else():
    assert report_of({"x": 0.0}, {"x": 1.0}).counts is None
    assert report_of({"x": 0.0}, {"x": 1.0}, keeps_counts=True).counts


class TestTheFlagsOfBrokenDataAndOfRowsOutside:
    FINDING = Finding("x", "missing", 0.5, 0.2, "x is missing.")

    @staticmethod
    def report(*drifted):
        """Of two features, each with whether it drifted; None where it was not judged."""
        report = report_of({"x": 0.0, "y": 0.0}, {"x": 0.5, "y": 0.5})
        features = (replace(f, drifted=of) for f, of in zip(report.inputs.features, drifted, strict=True))
        return replace(report, inputs=replace(report.inputs, features=tuple(features)), broken=(), outside=())

    def test_are_down_where_a_feature_was_judged_and_nothing_was_found(self):
        flags = self.report(None, False).flags
        assert (flags.broken, flags.outside) == (False, False)

    def test_are_not_known_where_no_feature_could_be_judged(self):
        flags = self.report(None, None).flags
        assert (flags.broken, flags.outside) == (None, None)

    @pytest.mark.parametrize("drifted", [(False, True), (None, None)])
    def test_are_up_with_a_finding_however_much_was_judged(self, drifted):
        report = self.report(*drifted)
        broken, outside = replace(report, broken=(self.FINDING,)), replace(report, outside=(self.FINDING,))
        assert (broken.flags.broken, outside.flags.outside) == (True, True)
        assert broken.flags.outside is not True
        assert outside.flags.broken is not True


class TestTheLeastShareThatFewRowsShow:
    def test_of_one_row_in_ten_it_is_what_is_seen_once_by_a_chance_of_just_so_much(self):
        assert least_share(0.1, 10, 0.05) == pytest.approx(1 - 0.95**0.1)

    def test_of_every_row_it_is_what_is_seen_each_time_by_just_that_chance(self):
        assert least_share(1.0, 50, 0.001) == pytest.approx(0.001 ** (1 / 50))
