"""After an alarm the rows to learn from are chosen by evidence, on training days only."""

import numpy as np
import pandas as pd
import pytest

from include.adapters import estimators
from include.config import declarations
from include.domain.recipes import Recipe, heat_of, winner_of
from include.workflows.evidence import race
from include.workflows.scoring import fitted_models

DAYS = [f"2021-01-{d:02d}" for d in range(1, 21)]
CHANGED_ON = "2021-01-11"


class Fitted:
    """A pipeline that keeps what it learned from and answers by the sign it found."""

    def __init__(self):
        self.rows = 0
        self.sign = 0.0


@pytest.fixture
def asked(monkeypatch):
    """Twenty days of 200 rows; the declared model's metric and classes, a small learner instead of its estimator."""
    learned = []

    def fit(pipeline, features, label):
        pipeline.rows = len(label)
        pipeline.sign = float(np.sign(np.corrcoef(features["x"], label)[0, 1]))
        learned.append(pipeline)
        return pipeline

    def predict(pipeline, features, *, classes):
        return 1 / (1 + np.exp(-3 * pipeline.sign * features["x"].to_numpy()))

    monkeypatch.setattr(estimators, "fit", fit)
    monkeypatch.setattr(estimators, "predict", predict)
    return learned


def rows(sign_after, seed=3):
    rng = np.random.default_rng(seed)
    days = np.repeat(DAYS, 200)
    x = rng.standard_normal(len(days))
    sign = np.where(days >= CHANGED_ON, sign_after, 1.0)
    y = (rng.random(len(days)) < 1 / (1 + np.exp(-3 * sign * x))).astype(int)
    return pd.DataFrame({"x": x}), y, days


def test_where_the_concept_turned_the_rows_since_the_change_win(asked):
    features, y, days = rows(-1.0)
    # Two thirds of the window lie before the change in what races, so the whole window still learns the old sign.
    found, raced, learned = race.fitted(a_model(), Fitted, features, y, days, CHANGED_ON)
    assert raced.winner is Recipe.SINCE_CHANGE
    assert learned == found.rows == 10 * 200
    assert raced.losses[Recipe.SINCE_CHANGE] < raced.losses[Recipe.WINDOW]
    assert "since_change won the race on 600 rows after the change of 2021-01-11" in raced.sentence


def test_where_nothing_turned_all_rows_are_learned_from(asked):
    found, raced, learned = race.fitted(a_model(), Fitted, *rows(1.0), CHANGED_ON)
    assert raced.winner is Recipe.WINDOW
    assert learned == found.rows == 20 * 200


def test_no_recipe_of_the_race_has_seen_the_rows_it_is_scored_on(asked):
    race.fitted(a_model(), Fitted, *rows(-1.0), CHANGED_ON)
    assert [pipeline.rows for pipeline in asked] == [17 * 200, 7 * 200, 10 * 200]


def test_without_an_alarm_nothing_races(asked):
    _, raced, learned = race.fitted(a_model(), Fitted, *rows(-1.0), None)
    assert raced is None
    assert learned == 20 * 200
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("days", "labels", "changed_on"),
    [
        pytest.param(np.repeat(DAYS, 5), None, "2021-01-11", id="too few rows since the change"),
        pytest.param(np.repeat(DAYS, 200), None, "2021-01-20", id="one day since the change"),
        pytest.param(np.repeat(DAYS, 200), None, "2021-01-01", id="no day before it"),
        pytest.param(
            np.repeat(DAYS, 200),
            np.repeat([0, 1] * 5 + [0] * 10, 200),
            "2021-01-11",
            id="a class is missing since the change",
        ),
    ],
)
def test_a_recipe_that_could_not_learn_does_not_race(days, labels, changed_on):
    assert heat_of(days, labels, changed_on) is None


def test_a_recipe_without_a_finite_loss_cannot_win():
    assert winner_of({Recipe.WINDOW: 0.3, Recipe.SINCE_CHANGE: float("nan")}) is Recipe.WINDOW
    assert winner_of({Recipe.WINDOW: 0.3, Recipe.SINCE_CHANGE: 0.3}) is Recipe.WINDOW


def a_model():
    return declarations().model("flight_delay")


def test_a_real_pipeline_is_built_again_for_each_recipe():
    """The pipeline that is returned is not the one that raced."""
    model = a_model()
    spec = fitted_models.spec_of(model)
    built = []

    def build():
        built.append(estimators.build(spec))
        return built[-1]

    rng = np.random.default_rng(1)
    kinds = fitted_models.kinds_of(model)
    n = 20 * 60
    frame = estimators.as_input(
        pd.DataFrame(
            {
                name: rng.standard_normal(n) if kind == "numeric" else rng.choice(["a", "b"], n)
                for name, kind in kinds.items()
            }
        ),
        kinds,
    )
    found, raced, _ = race.fitted(model, build, frame, rng.integers(0, 2, n), np.repeat(DAYS, 60), CHANGED_ON)
    assert raced is not None
    assert found is built[2]
    assert len({id(each) for each in built}) == 3
