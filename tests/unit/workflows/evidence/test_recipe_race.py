"""The rows to learn from are chosen by evidence, on training days only."""

import numpy as np
import pandas as pd
import pytest

from include.adapters import estimators
from include.config import declarations
from include.config.race import DeclaredRace
from include.domain.recipes import DEFAULT_RECIPES, Known, RaceRules, Recipe, heat_of, window_rows, winner_of
from include.workflows.evidence import race
from include.workflows.evidence.race import FormerChampion, LearnedRows
from include.workflows.scoring import fitted_models

DAYS = [f"2021-01-{d:02d}" for d in range(1, 21)]
CHANGED_ON = "2021-01-11"
EVERYONE = ("window", "since_change", "expanding", "recent_weighted", "former")


class Fitted:
    """A pipeline that keeps what it learned from and answers by the sign it found."""

    def __init__(self):
        self.rows = 0
        self.sign = 0.0
        self.weights = None


@pytest.fixture
def asked(monkeypatch):
    """Twenty days of 200 rows; the declared model's metric and classes, a small learner instead of its estimator."""
    learned = []

    def fit(pipeline, features, label, weights=None):
        pipeline.rows, pipeline.weights = len(label), weights
        x = features["x"].to_numpy()
        weight = np.ones(len(label)) if weights is None else weights
        pipeline.sign = float(np.sign(np.sum(weight * (x - x.mean()) * (label - label.mean()))))
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


def a_model(**declared):
    model = declarations().model("flight_delay")
    if not declared:
        return model
    training = model.training.model_copy(update={"race": DeclaredRace(**declared)})
    return model.model_copy(update={"training": training})


def raced(model, sign_after, changed_on=CHANGED_ON, former=(), window_from=None):
    return race.fitted(model, Fitted, LearnedRows(*rows(sign_after), changed_on, window_from), former)


def a_former(sign, name="flight_delay-1", learned_until="2020-06-01"):
    pipeline = Fitted()
    pipeline.sign = sign
    return FormerChampion(name, pipeline, learned_until)


# --- the default: after an alarm, the window and the rows since the change -------------------------------------------


def test_where_the_concept_turned_the_rows_since_the_change_win(asked):
    # Two thirds of the window lie before the change in what races, so the whole window still learns the old sign.
    found = raced(a_model(), -1.0)
    assert (found.raced.winner, found.raced.recipe) == ("since_change", Recipe.SINCE_CHANGE)
    assert found.rows == found.pipeline.rows == 10 * 200
    assert found.raced.losses["since_change"] < found.raced.losses["window"]
    assert "since_change won the race on 600 rows after the change of 2021-01-11" in found.raced.sentence


def test_where_nothing_turned_all_rows_are_learned_from(asked):
    found = raced(a_model(), 1.0)
    assert found.raced.winner == "window"
    assert found.rows == found.pipeline.rows == 20 * 200


def test_no_recipe_of_the_race_has_seen_the_rows_it_is_scored_on(asked):
    raced(a_model(), -1.0)
    assert [pipeline.rows for pipeline in asked] == [17 * 200, 7 * 200, 10 * 200]


def test_without_an_alarm_nothing_races(asked):
    found = raced(a_model(), -1.0, changed_on=None)
    assert (found.raced, found.rows, len(asked)) == (None, 20 * 200, 1)


def test_a_former_champion_that_is_not_declared_does_not_race(asked):
    assert not race.admits_former(a_model())
    assert race.rules_of(a_model()).recipes == DEFAULT_RECIPES


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
    assert heat_of(Known(days, labels, changed_on)) is None


def test_a_recipe_without_a_finite_loss_cannot_win():
    assert winner_of({"window": 0.3, "since_change": float("nan")}) == "window"
    assert winner_of({"window": 0.3, "since_change": 0.3}) == "window"
    assert winner_of({"expanding": float("nan"), "former a": float("inf")}, "expanding") == "expanding"


# --- what is declared ------------------------------------------------------------------------------------------------


def test_declared_recipes_race_without_an_alarm_too_on_the_newest_days(asked):
    found = raced(a_model(recipes=("window", "recent_weighted")), 1.0, changed_on=None)
    # 14 days are held out; of 20 training days a third is judged at most.
    assert (found.raced.rows, found.raced.since, found.raced.after_change) == (6 * 200, "2021-01-15", False)
    assert "on 1,200 rows from 2021-01-15 on" in found.raced.sentence


def test_since_change_does_not_race_without_a_change(asked):
    found = raced(a_model(recipes=("window", "since_change")), 1.0, changed_on=None)
    assert (found.raced, found.rows) == (None, 20 * 200)


def test_where_the_concept_turned_newer_rows_weigh_more_and_win_over_the_window(asked):
    found = raced(a_model(recipes=("window", "recent_weighted"), half_life_days=2), -1.0)
    assert found.raced.winner == "recent_weighted"
    assert found.rows == 20 * 200
    weights = found.pipeline.weights
    assert (weights[-1], weights[-1 - 2 * 200]) == (1.0, 0.5)


def test_expanding_alone_learns_from_rows_before_the_window(asked):
    found = raced(a_model(recipes=("window", "expanding")), 1.0, window_from="2021-01-06")
    assert [pipeline.rows for pipeline in asked[:2]] == [12 * 200, 17 * 200]
    known = Known(rows(1.0)[2], None, CHANGED_ON, "2021-01-06")
    assert len(window_rows(known)) == 15 * 200
    assert found.rows == {"window": 15 * 200, "expanding": 20 * 200}[found.raced.winner]


def test_rows_before_the_window_are_not_learned_from_where_nothing_races(asked):
    found = raced(a_model(recipes=("expanding", "since_change"), fits_at_most=9), 1.0, None, window_from="2021-01-06")
    assert found.raced is None
    assert found.pipeline.rows == 15 * 200


def test_each_block_is_scored_by_fits_on_the_rows_before_it(asked):
    found = raced(a_model(recipes=("window", "since_change"), blocks=3), -1.0)
    assert [pipeline.rows // 200 for pipeline in asked] == [17, 18, 19, 7, 8, 9, 10]
    assert found.raced.rows == 600


def test_more_blocks_than_judged_days_are_as_many_as_there_are_days(asked):
    raced(a_model(recipes=("window", "since_change"), blocks=10, fits_at_most=21), -1.0)
    assert len(asked) == 2 * 3 + 1


# --- former champions ------------------------------------------------------------------------------------------------


def test_a_former_champion_that_knows_the_present_wins_without_a_fit_of_its_own(asked):
    again = a_former(-1.0)
    found = raced(a_model(recipes=("window", "former")), -1.0, former=[a_former(1.0, "flight_delay-2"), again])
    assert (found.raced.winner, found.raced.former) == ("former flight_delay-1", "flight_delay-1")
    assert found.pipeline is again.pipeline
    assert (found.rows, found.former, len(asked)) == (0, again, 1), "the window's fit for the race, and no other"
    assert set(found.raced.losses) == {"window", "former flight_delay-2", "former flight_delay-1"}


def test_of_equal_losses_a_recipe_wins_over_a_former_champion(asked):
    assert raced(a_model(recipes=("window", "former")), 1.0, former=[a_former(1.0)]).raced.winner == "window"


def test_a_former_champion_that_learned_from_a_judged_row_does_not_enter(asked):
    model = a_model(recipes=("window", "since_change", "former"))
    found = raced(model, -1.0, former=[a_former(-1.0, learned_until="2021-01-19")])
    assert set(found.raced.losses) == {"window", "since_change"}
    found = raced(model, -1.0, former=[a_former(-1.0, learned_until="2021-01-18")])
    assert "former flight_delay-1" in found.raced.losses, "the judged days begin where its own end"


def test_former_champions_race_against_one_recipe_and_never_alone():
    known = Known(np.repeat(DAYS, 200), None, CHANGED_ON)
    rules = RaceRules((Recipe.WINDOW, Recipe.FORMER))
    assert heat_of(known, rules) is None
    assert list(heat_of(known, rules, 1).rows) == [Recipe.WINDOW]
    assert heat_of(Known(np.repeat(DAYS, 2), None, CHANGED_ON), rules, 2) is None, "no recipe can learn"


def test_a_real_pipeline_is_built_again_for_each_recipe():
    """The pipeline that is returned is not the one that raced."""
    model = a_model(recipes=("window", "since_change", "recent_weighted"))
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
    learned = LearnedRows(frame, rng.integers(0, 2, n), np.repeat(DAYS, 60), CHANGED_ON)
    found = race.fitted(model, build, learned)
    assert set(found.raced.losses) == {"window", "since_change", "recent_weighted"}
    assert found.pipeline is built[3]
    assert len({id(each) for each in built}) == 4


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"recipes": ["window", "window"]}, "window is named twice"),
        ({"recipes": ["former"]}, "former alone has no one to race against"),
        ({"recipes": []}, "at least 1 item"),
        ({"recipes": ["month"]}, "Input should be 'window'"),
        ({"recipes": EVERYONE, "blocks": 2}, "9 fits are needed for 2 blocks and the winner, and fits_at_most is 8"),
        ({"half_life_days": 0}, "greater than 0"),
    ],
)
def test_a_race_that_makes_no_sense_is_refused_in_one_line(declared, says):
    with pytest.raises(ValueError, match=says):
        DeclaredRace(**declared)


def test_an_estimator_that_cannot_weigh_rows_is_refused_by_validate():
    model = a_model(recipes=("window", "recent_weighted"))
    path = "sklearn.neighbors.KNeighborsClassifier"
    other = model.model_copy(update={"estimator": model.estimator.model_copy(update={"path": path, "params": {}})})
    kinds = fitted_models.kinds_of(model)
    assert fitted_models.cannot_be_built(model, kinds) is None
    where, line = fitted_models.cannot_be_built(other, kinds)
    assert where == "training.race.recipes"
    assert line == f"training.race.recipes names recent_weighted, and {path} takes no sample_weight; leave it out."
