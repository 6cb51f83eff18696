"""What the loss probably is before labels come: near the realised one while only the rows change, and void where it
cannot know."""

import json

import numpy as np
import pytest
from estimated_rows import classes_of, days_of, estimated, events
from scipy import special

from include.domain.drift.calibration import (
    BadEstimate,
    Calibration,
    fit_calibration,
)
from include.domain.drift.estimate_reference import (
    EstimateReference,
    classifier_reference,
)
from include.domain.drift.estimated import BesideEstimate, EstimatedPerformance, estimated_performance, outside_support
from include.domain.drift.input_drift import DriftVerdict, FeatureDrift
from include.domain.losses import row_losses
from include.domain.risk_bounds import Band

# --- the estimate -----------------------------------------------------------------------------------------------------


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
