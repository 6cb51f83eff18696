"""Two keys: drift is what is significant and large, beyond what no drift and an ordinary day give."""

import numpy as np
import pandas as pd
import pytest
from drift_windows import DAYS, columns, judged, one, weather
from scipy import stats

from include.domain.drift.distances import compare, expected_stability, population_stability, wasserstein
from include.domain.drift.input_drift import DriftVerdict, input_drift
from include.domain.drift.prediction_drift import prediction_drift
from include.domain.drift.profile import FeatureKind, Profile, count_window
from include.domain.drift.reference import build_profile, profile_scores
from include.domain.drift.report import DataBounds, DriftMeasurements, DriftReport, ScoredDay, drift_report
from include.domain.losses import DayLoss
from include.domain.performance import realised_performance
from include.domain.risk_bounds import Band

# --- distances --------------------------------------------------------------------------------------------------------


def test_the_index_has_the_stated_mean_without_drift():
    rng = np.random.default_rng(3)
    share = np.full(12, 1 / 12)
    found = [
        population_stability(rng.multinomial(4000, share).astype(float), rng.multinomial(1000, share).astype(float))
        for _ in range(2000)
    ]
    assert np.mean(found) == pytest.approx(expected_stability(12, 4000, 1000), rel=0.05)


def test_a_known_index_is_reproduced():
    p, q = np.array([5000.0, 5000.0]), np.array([4000.0, 6000.0])
    assert population_stability(p, q) == pytest.approx(-0.1 * np.log(0.8) + 0.1 * np.log(1.2), rel=1e-3)


def test_jensen_shannon_is_in_base_two_so_that_disjoint_windows_are_one_apart():
    assert compare(np.array([1000.0, 0.0]), np.array([0.0, 1000.0])).jensen_shannon == pytest.approx(1.0)


def test_the_earth_movers_distance_of_a_shift_is_the_shift_in_standard_deviations():
    reference, current = np.random.default_rng(4).normal(10, 2, 50_000), np.random.default_rng(5).normal(11, 2, 50_000)
    profile = build_profile(pd.DataFrame({"x": reference}), {"x": FeatureKind.NUMERIC}, bins=20)
    found = input_drift(profile, count_window(profile, pd.DataFrame({"x": current}))).features[0].wasserstein
    assert found == pytest.approx(stats.wasserstein_distance(reference, current) / 2, abs=0.05)
    counts = np.array([5.0, 5.0])
    assert wasserstein(counts, counts, np.array([1.0, 2.0]), 0.0) is None


def test_identical_windows_are_nothing_apart():
    counts = np.array([10.0, 500.0, 490.0])
    same = compare(counts, counts)
    assert (same.psi, same.effect, same.jensen_shannon) == (0.0, 0.0, 0.0)
    assert same.p == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        pytest.param([0.0, 0.0], [0.0, 0.0], id="no rows at all"),
        pytest.param([100.0, 0.0], [0.0, 0.0], id="empty window"),
        pytest.param([100.0], [100.0], id="one bin"),
        pytest.param([1.0, 1.0], [1.0, 0.0], id="a handful of rows"),
    ],
)
def test_where_nothing_can_differ_nothing_does(reference, current):
    found = compare(np.array(reference), np.array(current))
    assert (found.effect, found.p) == (0.0, 1.0)


# --- the two keys -----------------------------------------------------------------------------------------------------


def test_a_shift_in_one_feature_is_named_and_the_others_are_not():
    found = judged(columns(20_000, 10, 1), columns(5000, 10, 2, shifted_by_sd=0.5, shifted=1))
    assert [f.name for f in found.features if f.drifted] == ["x0"]
    assert found.features[0].wasserstein == pytest.approx(0.5, abs=0.1)


def test_the_inputs_drift_when_the_weighted_share_reaches_the_floor():
    current = columns(5000, 10, 2, shifted_by_sd=0.5, shifted=2)
    reference = columns(20_000, 10, 1)
    assert judged(reference, current, share_at_least=0.3).drifted is False
    assert judged(reference, current, share_at_least=0.2).drifted is True
    heavy = judged(reference, current, importances={"x0": 5.0, "x5": 5.0})
    assert (heavy.share, heavy.drifted) == (0.5, True)
    assert "2 of 10 features (x" in heavy.reason
    assert "weighted share 0.5 >= 0.3 on 5000 rows" in heavy.reason


def test_importances_that_are_no_weights_count_as_none():
    current = columns(5000, 2, 2, shifted_by_sd=0.5, shifted=1)
    found = judged(columns(20_000, 2, 1), current, importances={"x0": float("nan"), "x1": -1.0})
    assert [f.importance for f in found.features] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        pytest.param([0.0] * 990 + [np.nan] * 10, [0.0] * 700 + [np.nan] * 300, id="missing"),
        pytest.param([1.0, 2.0, 3.0] * 400, [4.0] * 1000, id="outside the range"),
        pytest.param([0.0] * 950 + [5.0] * 50, [0.0] * 600 + [5.0] * 400, id="a tie"),
        pytest.param([np.nan] * 1000, [1.0] * 1000, id="filled at last"),
    ],
)
def test_numeric_changes_of_every_sort_are_found(reference, current):
    assert one(reference, current, FeatureKind.NUMERIC).drifted is True


@pytest.mark.parametrize(
    ("reference", "current", "kind"),
    [
        pytest.param(["a", "b"] * 500, ["a"] * 800 + ["b"] * 200, FeatureKind.CATEGORICAL, id="another mix"),
        pytest.param(["a"] * 1000, ["z"] * 1000, FeatureKind.CATEGORICAL, id="an unseen category"),
        pytest.param(["a"] * 1000, ["a"] * 700 + [None] * 300, FeatureKind.CATEGORICAL, id="missing"),
        pytest.param(
            [f"c{i % 500}" for i in range(5000)],
            [f"d{i}" for i in range(1000)],
            FeatureKind.CATEGORICAL,
            id="all ids new",
        ),
        pytest.param([True, False] * 500, [True] * 1000, FeatureKind.BOOLEAN, id="a flag stuck"),
    ],
)
def test_categorical_changes_of_every_sort_are_found(reference, current, kind):
    assert one(reference, current, kind).drifted is True


@pytest.mark.parametrize(("count", "most"), [pytest.param(1900, 0.02, id="named"), pytest.param(4000, 0.1, id="cut")])
def test_what_a_column_of_ids_does_every_day_is_no_drift(count, most):
    rng = np.random.default_rng(5)
    weights = rng.pareto(1.2, count) + 0.1
    ids = np.array([f"N{i}" for i in range(count)])
    draws = [rng.choice(ids, n, p=weights / weights.sum()) for n in (20_000, 900)]
    found = one(*draws, FeatureKind.CATEGORICAL)
    assert found.drifted is None  # most rows have a rare value, so that no drift shows is no answer
    assert found.adjusted_p > 0.05
    assert found.unseen_share < most


def test_unseen_share_is_what_the_references_rare_categories_do_not_explain():
    found = one(["a"] * 900 + [f"r{i}" for i in range(100)], ["a"] * 600 + ["z"] * 400, FeatureKind.CATEGORICAL)
    assert found.unseen_share == pytest.approx(0.4 - 0.1)
    assert found.new_categories == ("z",)


def test_a_report_says_what_both_keys_said():
    reason = one(np.arange(5000.0), np.arange(2500.0), FeatureKind.NUMERIC).reason
    assert reason.startswith("x drifted: effect ")
    assert ">= 0.005, adjusted p " in reason
    assert "< 0.05, 2500 rows." in reason


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="empty"),
        pytest.param([np.nan] * 150, id="all NaN"),
        pytest.param([1.0] * 199, id="199 rows"),
    ],
)
def test_f099_a_window_too_small_to_judge_is_inconclusive(values):
    found = judged(columns(5000, 1, 1), pd.DataFrame({"x0": np.array(values, dtype=float)}))
    assert (found.drifted, found.features[0].drifted, found.features[0].adjusted_p) == (None, None, None)
    assert "at least 300 rows are needed" in found.reason


def test_f099_a_window_of_missing_values_alone_is_a_finding_not_a_crash():
    found = judged(columns(5000, 1, 1), pd.DataFrame({"x0": [np.nan] * 1000}))
    assert found.features[0].drifted is True
    assert found.features[0].missing_jump == 1.0


def test_f100_a_tiny_shift_in_a_million_rows_is_significant_but_not_large():
    rng = np.random.default_rng(6)
    found = one(
        rng.normal(size=1_000_000), rng.normal(0.01, 1, size=1_000_000), FeatureKind.NUMERIC, effect_at_least=0.005
    )
    assert found.p is not None
    assert found.p < 1e-4
    assert found.drifted is False


def test_f102_empty_bins_new_categories_and_constants_stay_finite():
    for reference, current, kind in [
        ([0.0] * 1000, [1.0] * 1000, FeatureKind.NUMERIC),
        ([1.0, 2.0] * 500, [1.0] * 1000, FeatureKind.NUMERIC),
        ([1.0] * 500, [np.inf] * 500, FeatureKind.NUMERIC),
        (["a"] * 1000, ["b"] * 1000, FeatureKind.CATEGORICAL),
    ]:
        found = one(reference, current, kind)
        assert found.drifted is True
        assert np.isfinite([found.psi, found.effect, found.p, found.jensen_shannon]).all()
    assert one([1.0] * 500, [1.0] * 500, FeatureKind.NUMERIC).drifted is False


# --- days are alike ---------------------------------------------------------------------------------------------------


def test_too_few_reference_days_calibrate_nothing():
    frame = weather(4, 300, np.random.default_rng(10))
    profile = build_profile(frame, {"temp": FeatureKind.NUMERIC}, days=list(np.repeat(DAYS[:4], 300)))
    assert input_drift(profile, count_window(profile, frame)).features[0].usual_high is None


def test_reference_days_that_are_all_the_same_leave_no_room():
    frame = pd.DataFrame({"x": [0.0, 1.0] * 4000})
    profile = build_profile(frame, {"x": FeatureKind.NUMERIC}, days=list(np.repeat(DAYS[:10], 800)))
    assert input_drift(profile, count_window(profile, frame.iloc[:800])).features[0].drifted is False
    assert input_drift(profile, count_window(profile, pd.DataFrame({"x": [0.0] * 800}))).features[0].drifted is True


# --- predictions ------------------------------------------------------------------------------------------------------


def scored(reference_scores, current_scores, classes=()):
    reference = Profile(1, (), profile_scores(reference_scores, classes=classes))
    return reference, count_window(reference, pd.DataFrame(index=range(len(current_scores))), current_scores)


def test_scores_that_moved_are_prediction_drift():
    rng = np.random.default_rng(11)
    found = prediction_drift(*scored(rng.beta(2, 6, 5000), rng.beta(4, 6, 2000)))
    assert found.drifted is True
    assert found.reason.startswith("Predictions: score drifted: effect ")
    assert prediction_drift(*scored(rng.beta(2, 6, 5000), rng.beta(2, 6, 2000))).drifted is False


def test_a_class_that_is_never_predicted_any_more_is_prediction_drift():
    rng = np.random.default_rng(12)
    before, after = rng.dirichlet([1, 1, 1], 3000), rng.dirichlet([3, 1, 0.1], 1000)
    found = prediction_drift(*scored(before, after, ["a", "b", "c"]))
    assert next(f for f in found.features if f.name == "predicted_class").drifted is True


def test_without_scores_nothing_is_said_of_predictions():
    reference, current = scored(np.linspace(0, 1, 500), np.linspace(0, 1, 500))
    assert (
        prediction_drift(Profile(1, ()), current).reason == "Predictions were not judged: the reference has no scores."
    )
    assert prediction_drift(reference, Profile(1, ())).drifted is None
    few = scored(np.linspace(0, 1, 500), np.linspace(0, 1, 20))
    assert prediction_drift(*few).drifted is None


# --- the report -------------------------------------------------------------------------------------------------------


def a_report(frame, wind_weight=0.5, *, labels=None, **bounds):
    rng = np.random.default_rng(13)
    reference_frame = pd.DataFrame({"wind": rng.gamma(2, 5, 5000), "carrier": rng.choice(["UA", "B6"], 5000)})
    kinds = {"wind": FeatureKind.NUMERIC, "carrier": FeatureKind.CATEGORICAL}
    reference = build_profile(reference_frame, kinds)
    scores = rng.random(5000)
    reference = Profile(5000, reference.features, profile_scores(scores))
    current = count_window(reference, frame, np.full(len(frame), 0.5))
    losses = [DayLoss(d, 900, 126.0, 40.0) for d in DAYS]
    realised = realised_performance(losses[:14], losses[14:20], band=Band(metric="brier", tolerance=0.01))
    inputs = input_drift(reference, current, importances={"wind": wind_weight, "carrier": 1 - wind_weight})
    measured = DriftMeasurements(inputs, prediction_drift(reference, current), realised, labels=labels)
    day = ScoredDay("flight_delay", "flight_delay-20130601-abcdef", "2013-06-15")
    return drift_report(day, reference, current, measured, DataBounds(**bounds))


def test_broken_data_is_named_with_what_was_measured_and_allowed():
    report = a_report(pd.DataFrame({"wind": [np.nan] * 500 + [5.0] * 500, "carrier": ["UA"] * 600 + ["ZZ"] * 400}))
    assert [(f.feature, f.check) for f in report.broken] == [("wind", "missing"), ("carrier", "unseen")]
    assert report.broken[0].reason == (
        "wind is missing in 50.0% of rows, in training in 0.0%; a rise of 50.0%; 20.0% is allowed."
    )
    assert "(ZZ) in 40.0%" in report.broken[1].reason
    assert report.sentences[0] == report.broken[0].reason


def test_rows_outside_training_are_a_finding_of_their_own():
    report = a_report(pd.DataFrame({"wind": [5.0] * 100 + [1e6] * 900, "carrier": ["UA"] * 1000}))
    assert [(f.feature, f.measured) for f in report.outside] == [("wind", pytest.approx(0.45))]
    assert "wind in 90.0% of rows" in report.outside[0].reason
    assert not report.broken


def test_what_the_model_hardly_reads_may_leave_its_range_without_calling_a_person():
    report = a_report(pd.DataFrame({"wind": [5.0] * 100 + [1e6] * 900, "carrier": ["UA"] * 1000}), wind_weight=0.05)
    assert report.outside == ()


def test_a_share_on_its_bound_is_allowed_and_three_rows_are_no_finding():
    half = pd.DataFrame({"wind": [np.nan] * 500 + [5.0] * 500, "carrier": ["UA"] * 1000})
    assert not a_report(half, missing_jump=0.5).broken
    assert not a_report(pd.DataFrame({"wind": [np.nan] * 3, "carrier": ["UA"] * 3})).broken


def test_a_report_survives_json_and_its_flags_say_what_each_part_said():
    import json

    report = a_report(pd.DataFrame({"wind": [np.nan] * 500 + [5.0] * 500, "carrier": ["UA"] * 1000}))
    text = json.dumps(report.as_json(), allow_nan=False)
    assert DriftReport.from_json(json.loads(text)) == report
    flags = report.flags
    assert (flags.day, flags.inputs, flags.predictions, flags.realised) == ("2013-06-15", True, True, False)
    assert DriftVerdict.from_json(json.loads(text)["inputs"]) == report.inputs


def test_overdue_labels_are_broken_data_and_usual_gaps_are_not():
    from include.domain.drift.maturity import Cohort, LabelMaturity, label_maturity

    def found(*labelled, reference=0.02, rows=900, **limits):
        cohorts = [Cohort(f"2013-06-{i + 1:02d}", rows, n) for i, n in enumerate(labelled)]
        return label_maturity(cohorts, reference, **({"window_days": 7, "allowed_rise": 0.1, "min_rows": 300} | limits))

    assert found(880, 885, 870).overdue is False
    assert found(880, 885, 0).overdue is True
    assert found(0, 880, 880, 880, 880, 880, 880, 880).overdue is False  # the outage has left the window
    assert found(792, reference=0.02).overdue is False  # a rise of exactly the bound is allowed
    assert found().overdue is None
    assert found(100, rows=200).overdue is None
    assert found(0, reference=None).overdue is None
    late = found(880, 0)
    assert (late.missing, late.since, late.until) == (920, "2013-06-01", "2013-06-02")
    assert LabelMaturity.from_json(late.as_json()) == late
    report = a_report(pd.DataFrame({"wind": [5.0] * 1000, "carrier": ["UA"] * 1000}), labels=late)
    assert [f.check for f in report.broken] == ["labels"]
    assert report.sentences[0].startswith("Labels are overdue: 51.1% of 1800 rows have no label")
    assert DriftReport.from_json(report.as_json()).labels == late


def test_reports_from_before_estimates_and_overdue_labels_can_still_be_read():
    data = a_report(pd.DataFrame({"wind": [5.0] * 1000, "carrier": ["UA"] * 1000})).as_json()
    del data["estimated"], data["labels"]
    old = DriftReport.from_json(data)
    assert (old.estimated, old.labels, old.flags.estimated) == (None, None, None)
