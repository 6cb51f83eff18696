"""The estimated loss: near the realised one while only the rows change, and quiet while nothing does."""

import json

import numpy as np
import pandas as pd
import pytest
from estimated_rows import classes_of, days_of, estimated, events
from scipy import stats

from include.adapters import estimators
from include.domain.drift.calibration import (
    expected_roc_auc,
    fit_calibration,
)
from include.domain.drift.estimate_reference import (
    classifier_reference,
    cross_fitted,
    estimate_reference,
)
from include.domain.drift.estimated import estimated_performance
from include.domain.drift.loss_trees import LossTrees
from include.domain.losses import row_losses
from include.domain.metrics import Task, measure
from include.domain.risk_bounds import Band


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
