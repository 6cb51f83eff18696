"""What the loss probably is before labels come: near the realised one while only the rows change, and void where it
cannot know."""

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from include.adapters import estimators
from include.domain.drift.calibration import (
    BadEstimate,
    Calibration,
    expected_losses,
    expected_roc_auc,
    fit_calibration,
)
from include.domain.drift.estimate_reference import (
    EstimateReference,
    classifier_reference,
    cross_fitted,
    estimate_reference,
)
from include.domain.drift.estimated import BesideEstimate, EstimatedPerformance, estimated_performance, outside_support
from include.domain.drift.input_drift import DriftVerdict, FeatureDrift
from include.domain.drift.loss_trees import LossTrees
from include.domain.losses import row_losses
from include.domain.metrics import Task, measure
from include.domain.risk_bounds import Band


def days_of(rows, days=14):
    first = date(2013, 5, 1)
    return [(first + timedelta(days=i * days // rows)).isoformat() for i in range(rows)]


def events(rng, rows, *, at=0.0, slope=1.5, miscalibrated=1.0):
    """Labels of a logistic world around ``at``, and the scores of a model that knows it, as odds to a power."""
    x = rng.normal(at, 1, rows)
    logit = slope * x - 1
    return (rng.random(rows) < special.expit(logit)).astype(int), special.expit(miscalibrated * logit)


def classes_of(rng, rows, *, at=0.0, miscalibrated=1.0):
    x = rng.normal(at, 1, (rows, 1))
    logits = x * np.array([[-1.5, 0.0, 1.5]])
    chances = special.softmax(logits, axis=1)
    y = (rng.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return y, special.softmax(miscalibrated * logits, axis=1)


def estimated(reference, scores, *, metric=None, tolerance=0.005, alpha=0.05, **options):
    losses = expected_losses(reference.metric, scores, reference.calibration(scores))
    band = Band(metric or reference.metric, tolerance, alpha)
    return estimated_performance(reference, losses, band, **options)


# --- the estimate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("miscalibrated", [1.0, 2.0])
@pytest.mark.parametrize("metric", ["brier", "log_loss", "error"])
@pytest.mark.parametrize("world", [events, classes_of])
def test_under_covariate_shift_the_estimated_loss_is_the_realised_one(world, metric, miscalibrated):
    rng = np.random.default_rng(1)
    y, scores = world(rng, 20_000, miscalibrated=miscalibrated)
    reference = classifier_reference(metric, days_of(20_000), y, scores)
    truth, shifted = world(rng, 20_000, at=0.6, miscalibrated=miscalibrated)
    found = estimated(reference, shifted)
    assert found.void is False
    realised = row_losses(metric, truth, shifted).mean()
    assert found.risk == pytest.approx(realised, rel=0.05)
    assert abs(reference.bias) < 0.03 * reference.realised


def test_under_covariate_shift_the_estimated_auc_is_within_two_points_of_the_realised_one():
    rng = np.random.default_rng(2)
    for at, miscalibrated in ((0.0, 1.0), (1.0, 1.0), (-0.7, 2.0), (0.5, 0.5)):
        y, scores = events(rng, 10_000, miscalibrated=miscalibrated)
        truth, shifted = events(rng, 10_000, at=at, miscalibrated=miscalibrated)
        found = expected_roc_auc(shifted, fit_calibration(y, scores)(shifted))
        assert found == pytest.approx(measure(Task.BINARY, "roc_auc", truth, shifted).value, abs=0.02)


def test_the_expected_auc_is_the_mean_over_drawn_labels():
    rng = np.random.default_rng(3)
    scores = np.round(rng.random(60), 1)
    chances = rng.random(60)
    drawn = [measure(Task.BINARY, "roc_auc", (rng.random(60) < chances).astype(int), scores).value for _ in range(4000)]
    assert expected_roc_auc(scores, chances) == pytest.approx(np.mean(drawn), abs=0.005)
    assert expected_roc_auc(np.array([0.3, 0.4]), np.array([1.0, 1.0])) is None


def test_concept_drift_is_not_seen():
    """What no estimate without labels can see: it is why one may never promote."""
    rng = np.random.default_rng(4)
    y, scores = events(rng, 20_000)
    reference = classifier_reference("brier", days_of(20_000), y, scores)
    _, same_rows = events(rng, 5000)
    flipped = 1 - (rng.random(5000) < same_rows).astype(int)
    found = estimated(reference, same_rows)
    assert found.out_of_band is False
    assert row_losses("brier", flipped, same_rows).mean() > found.risk + 0.1


def trips(rng, rows, *, at=0.0):
    """A regression whose noise grows with the distance; the wind is missing at times; one carrier is erratic."""
    distance = np.exp(rng.normal(6 + at, 0.5, rows))
    carrier = rng.choice(["UA", "B6", "EV"], rows, p=[0.5, 0.3, 0.2])
    wind = np.where(rng.random(rows) < 0.2, np.nan, rng.normal(10, 3, rows))
    frame = pd.DataFrame({"distance": distance, "carrier": carrier, "wind": wind})
    predicted = distance / 7
    noise = distance / 100 * np.where(carrier == "EV", 2.0, 1.0)
    return frame, predicted, predicted + rng.normal(size=rows) * noise


KINDS = {"distance": "numeric", "carrier": "categorical", "wind": "numeric"}


def regression_reference(rng, metric, rows=8000):
    frame, predicted, y = trips(rng, rows)
    losses, days = row_losses(metric, y, predicted), days_of(rows)

    def fitted(at):
        return estimators.fit_loss_trees(frame.iloc[at], predicted[at], losses[at], KINDS, seed=1)

    found = cross_fitted(days, lambda known, asked: fitted(known).estimated(frame.iloc[asked], predicted[asked]))
    return estimate_reference(metric, days, losses, found, trees=fitted(slice(None)))


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_a_loss_regressor_finds_rows_that_are_harder_to_answer(metric):
    rng = np.random.default_rng(5)
    reference = regression_reference(rng, metric)
    assert reference.skill > 0.2
    for at, out in ((0.0, False), (0.35, True)):
        frame, predicted, y = trips(rng, 2000, at=at)
        found = estimated_performance(
            reference, reference.trees.estimated(frame, predicted), band=Band(metric=metric, tolerance=0.2)
        )
        realised = row_losses(metric, y, predicted).mean() ** (0.5 if metric == "rmse" else 1)
        assert found.out_of_band is out, found.reason
        assert found.risk == pytest.approx(realised, rel=0.15)


def test_the_kept_trees_answer_as_the_library_that_fitted_them():
    from sklearn.ensemble import RandomForestRegressor

    from include.domain.drift.loss_trees import PREDICTION, tree_inputs

    rng = np.random.default_rng(6)
    frame, predicted, y = trips(rng, 3000)
    losses = np.abs(y - predicted)
    kept = estimators.fit_loss_trees(frame, predicted, losses, KINDS, seed=2)
    inputs = (*KINDS, PREDICTION)
    forest = RandomForestRegressor(
        n_estimators=20, max_leaf_nodes=48, min_samples_leaf=15, max_features=0.5, random_state=2
    )
    forest.fit(tree_inputs(frame, predicted, inputs, kept.categories), losses)
    other, asked, _ = trips(rng, 500, at=0.5)
    other.loc[:20, "carrier"] = "never seen"
    other.loc[10:40, "carrier"] = None
    expected = forest.predict(tree_inputs(other, asked, inputs, kept.categories))
    assert kept.estimated(other, asked) == pytest.approx(expected, rel=1e-9)
    assert LossTrees.from_json(json.loads(json.dumps(kept.as_json()))) == kept


# --- calibration ------------------------------------------------------------------------------------------------------


def test_calibration_mends_scores_that_are_too_bold():
    rng = np.random.default_rng(7)
    y, scores = events(rng, 20_000, miscalibrated=3.0)
    mapped = fit_calibration(y, scores)(scores)
    assert np.abs(mapped - special.expit(special.logit(scores) / 3)).mean() < 0.02


def test_calibration_is_a_rising_line_that_ends_where_the_scores_did():
    calibration = fit_calibration(np.array([0, 1, 0, 1]), np.array([0.2, 0.4, 0.6, 0.8]))
    assert calibration(np.array([0.0, 0.2, 0.5, 0.8, 1.0])).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_probabilities_of_several_classes_add_up():
    y, scores = classes_of(np.random.default_rng(8), 3000, miscalibrated=2.0)
    mapped = fit_calibration(y, scores)(scores)
    assert mapped.sum(axis=1) == pytest.approx(1.0)
    with pytest.raises(BadEstimate, match="3 columns of scores, not 2"):
        fit_calibration(y, scores)(scores[:, :2])
    with pytest.raises(BadEstimate, match="No rows"):
        fit_calibration(y[:0], scores[:0])


# --- when it says nothing ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference():
    y, scores = events(np.random.default_rng(9), 14_000)
    return classifier_reference("brier", days_of(14_000), y, scores)


def test_an_estimate_in_its_band_says_so_with_its_numbers(reference):
    _, scores = events(np.random.default_rng(10), 1000)
    found = estimated(reference, scores, beside=BesideEstimate(roc_auc=0.7))
    assert found.out_of_band is False
    assert found.reason.startswith("Estimated in band: brier 0.1")
    assert "on 1000 rows without labels; a usual day is estimated at up to 0.1" in found.reason
    assert (found.roc_auc, found.reference_days, found.reference_rows) == (0.7, 14, 14_000)


def test_rows_that_are_harder_are_out_of_band(reference):
    _, scores = events(np.random.default_rng(11), 1000, at=0.7)
    assert estimated(reference, scores).out_of_band is True
    assert estimated(reference, scores, tolerance=0.2).out_of_band is False


def test_days_like_the_references_are_out_of_band_at_most_alpha_of_the_times():
    """The interval's chance is over references and windows alike; windows of fewer rows than a reference's day too."""
    rng = np.random.default_rng(12)
    alarms = 0
    for _ in range(50):
        y, scores = events(rng, 5600)
        reference = classifier_reference("brier", days_of(5600), y, scores)
        alarms += sum(
            bool(estimated(reference, events(rng, rows)[1], tolerance=0.0).out_of_band)
            for rows in (400, 310)
            for _ in range(4)
        )
    assert alarms <= stats.binom.isf(0.001, 400, 0.05)


def test_too_few_rows_or_days_and_no_reference_are_inconclusive(reference):
    _, scores = events(np.random.default_rng(13), 500)
    assert "200 rows; at least 300 are needed" in estimated(reference, scores[:200]).reason
    y, short = events(np.random.default_rng(13), 5000)
    week = classifier_reference("brier", days_of(5000, days=5), y, short)
    assert "the reference has 5 days; at least 6 are needed" in estimated(week, scores).reason
    nothing = estimated_performance(None, np.empty(0), band=Band(metric="brier", tolerance=0.0))
    assert "Train again" in nothing.reason
    for found in (estimated(reference, scores[:200]), estimated(week, scores), nothing):
        assert (found.out_of_band, found.void) == (None, False)


def test_an_estimate_outside_the_references_support_is_void(reference):
    _, scores = events(np.random.default_rng(14), 1000, at=0.7)
    found = estimated(reference, scores, outside_share=0.3)
    assert (found.out_of_band, found.void) == (None, True)
    assert "30.0% of what the model reads is outside the reference's support; 10.0% is allowed" in found.reason


def test_an_estimate_that_missed_the_held_out_days_is_void():
    rng = np.random.default_rng(15)
    y, scores = events(rng, 14_000)
    half = np.arange(14_000) >= 7000
    y[half] = rng.random(7000) < 0.5  # the second week was another world: no calibration fits both
    reference = classifier_reference("brier", days_of(14_000), y, scores)
    skewed = EstimateReference(
        "brier", tuple(d for d in reference.days if d.day < "2013-05-08"), reference.skill, reference.calibration
    )
    found = estimated(skewed, scores[:1000])
    assert (found.out_of_band, found.void) == (None, True)
    assert "it is not calibrated" in found.reason


def test_an_estimate_that_knows_nothing_of_the_loss_is_void():
    rng = np.random.default_rng(16)
    scores = 0.3 + 0.001 * rng.random(14_000)
    reference = classifier_reference("brier", days_of(14_000), (rng.random(14_000) < 0.3).astype(int), scores)
    found = estimated(reference, scores[:1000])
    assert found.void is True
    assert "no better than chance" in found.reason


def test_one_day_alone_cannot_check_an_estimate():
    y, scores = events(np.random.default_rng(17), 100)
    with pytest.raises(BadEstimate, match="the reference has 1 day"):
        classifier_reference("brier", ["2013-05-01"] * 100, y, scores)


def test_support_is_weighted_by_importance_and_scores_count_whole():
    def feature(name, importance, outside=0.0, unseen=0.0):
        values = dict.fromkeys(FeatureDrift.__slots__, 0.0)
        return FeatureDrift(
            **(values | {"name": name, "importance": importance, "outside_share": outside, "unseen_share": unseen})
        )

    inputs = DriftVerdict(False, "", 100, 0.0, (feature("a", 0.9, outside=0.1), feature("b", 0.1, unseen=0.5)))
    assert outside_support(inputs, DriftVerdict(None, "", 0, 0.0, ())) == pytest.approx(0.14)
    assert outside_support(inputs, DriftVerdict(False, "", 0, 0.0, (feature("score", 1.0, outside=0.4),))) == 0.4
    assert outside_support(DriftVerdict(None, "", 0, 0.0, ()), DriftVerdict(None, "", 0, 0.0, ())) == 0.0


def test_the_reference_and_the_verdict_survive_json(reference):
    again = EstimateReference.from_json(json.loads(json.dumps(reference.as_json(), allow_nan=False)))
    assert again == reference
    assert isinstance(again.calibration, Calibration)
    _, scores = events(np.random.default_rng(18), 1000)
    found = estimated(reference, scores)
    assert EstimatedPerformance.from_json(json.loads(json.dumps(found.as_json(), allow_nan=False))) == found
