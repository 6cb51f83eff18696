"""``weight``: a column of the entity's view by which rows count, from the fit to the drift sensor."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from feature_world import TRIP_PLAN, TRIP_PLAN_SQL, days
from journey_world import END_DAY, FIRST_DAY, LENIENT, MODEL, key
from light_world import LightWorld, told
from sklearn.metrics import brier_score_loss

from include.adapters import estimators
from include.config import loader
from include.domain.intervals import Interval
from include.domain.losses import losses_by_day
from include.domain.weights import BadWeights, counted_rows
from include.workflows import stores, tasks
from include.workflows.drift import reference as references
from include.workflows.evidence import evaluation, journey_rows
from include.workflows.journey import fact_files
from include.workflows.journey.facts import Evaluated, ReferenceProfile, TrainingSets
from include.workflows.journey.step import Journey
from include.workflows.scoring import fitted_models, row_weights, training_sets
from include.workflows.scoring.point_in_time_rows import WEIGHT

WORTH = """CASE WHEN trip_id LIKE '%-%1' THEN 0 ELSE 1 + 4 * abs("order") END"""
"""Trips of a larger order are worth more; every tenth, with a label, is worth nothing."""
DAYS = {**MODEL["drift"]["performance"], "unit": "day"}
WEIGHED = {
    **MODEL,
    "weight": "worth",
    "views": [{**MODEL["views"][0], "version": 2}, MODEL["views"][1]],
    "gates": LENIENT,
    "drift": {**MODEL["drift"], "performance": DAYS},
}


def weighed_trips(world: LightWorld, worth: str = WORTH) -> None:
    sql = TRIP_PLAN_SQL.replace("SELECT trip_id", f"SELECT trip_id, {worth} AS worth")
    world.declare_view(TRIP_PLAN, sql, version=2, carries=["worth"])
    loader.declarations.cache_clear()
    world.materialize("trip_plan", days(FIRST_DAY, END_DAY))


@told("weighing", "published")
def weighing(world: LightWorld) -> None:
    """The view says what a trip is worth, and the model weighs by it."""
    weighed_trips(world)
    world.declare(world.model, **{name: value for name, value in WEIGHED.items() if name != "name"})


def journey_of(world: LightWorld, run_id: str = "r", day: int = 13) -> tuple[dict, Journey]:
    reference = world.open(run_id, day)
    tasks.build_training_set(reference)
    ledger = stores.open_ledger()
    model = loader.declarations().model(world.model)
    return reference, Journey(model, world.candidate(reference), ledger.__enter__())


def criterion(journey: Journey, gate: str, name: str):
    judged = journey.ledger.gates.latest(journey.candidate_id)[gate].result
    return next(c for c in judged.criteria if c.criterion == name)


# --- what is declared -------------------------------------------------------------------------------------------------


@pytest.mark.moment("weighing")
def test_a_weight_that_is_no_column_of_the_entitys_view_is_named_with_those_that_are(world):
    world.declare(world.model, **{**{k: v for k, v in WEIGHED.items() if k != "name"}, "weight": "wroth"})
    (said,) = map(str, loader.declarations().broken.values())
    assert "weight is 'wroth', which is no numeric feature and no carried column of 'trip_plan'" in said
    assert "order, worth" in said
    assert "\n" not in said


@pytest.mark.moment("weighing")
def test_rows_that_are_taken_for_equal_are_not_weighed(world):
    changed = deepcopy({k: v for k, v in WEIGHED.items() if k != "name"})
    changed["drift"]["performance"]["unit"] = "row"
    world.declare(world.model, **changed)
    (said,) = map(str, loader.declarations().broken.values())
    assert "weight is 'worth' and drift.performance.unit is row" in said


@pytest.mark.moment("weighing")
def test_an_estimator_that_cannot_weigh_rows_is_refused_with_a_line(world):
    path = "sklearn.neighbors.KNeighborsClassifier"
    changed = {**{k: v for k, v in WEIGHED.items() if k != "name"}, "estimator": {"path": path, "impute": True}}
    world.declare(world.model, **changed)
    model = loader.declarations().model(world.model)
    assert fitted_models.cannot_be_built(model, fitted_models.kinds_of(model)) == (
        "weight",
        f"weight is 'worth', and {path} takes no sample_weight; name an estimator whose fit takes it, or leave weight "
        "out.",
    )


# --- weights that cannot be used --------------------------------------------------------------------------------------


@pytest.mark.moment("published")
@pytest.mark.parametrize(
    ("worth", "said"),
    [
        ("CASE WHEN trip_id LIKE '05-%2' THEN NULL ELSE 1 END", "is nan"),
        ("CASE WHEN trip_id LIKE '05-%2' THEN -1 ELSE 1 END", "is -1"),
        ("CASE WHEN trip_id LIKE '05-%2' THEN 'Infinity'::DOUBLE ELSE 1 END", "is inf"),
        ("0", "is 0 in all"),
    ],
    ids=["missing", "negative", "infinite", "all zero"],
)
def test_a_weight_that_cannot_be_used_stops_the_training_set_with_one_line(world, worth, said):
    weighed_trips(world, worth)
    world.declare(world.model, **{name: value for name, value in WEIGHED.items() if name != "name"})
    with pytest.raises(BadWeights) as refused:
        tasks.build_training_set(world.open("r", 10))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "Correct it in the SQL of view 'trip_plan'" in str(refused.value)


# --- from the fit to the sensor ---------------------------------------------------------------------------------------


@pytest.mark.moment("weighing")
def test_rows_count_by_their_weights_in_the_fit_the_metrics_the_gates_and_the_reference(world):
    reference, journey = journey_of(world)
    made = journey.kept(TrainingSets).train
    rows = training_sets.read(made).to_pandas()
    assert rows[WEIGHT].to_numpy() == pytest.approx(1 + 4 * rows["order"].abs())  # and none of the weight 0
    assert not rows["trip_id"].str.endswith("1").any()
    worth = counted_rows(rows[WEIGHT].to_numpy())
    assert worth < 0.8 * made.rows
    assert world.judge("training_data_gate", reference)["passed"]
    assert criterion(journey, "training_data_gate", "rows, by their weights").measured == worth

    tasks.train(reference)
    features, label, _ = journey_rows.frames(journey, "train")
    weight = journey_rows.weights(journey, "train")
    twin = estimators.build(fitted_models.spec_of(journey.model)).fit(
        features, label, estimator__sample_weight=weight / weight.mean()
    )
    tasks.evaluate(reference)
    seen = evaluation.evidence_of(journey)
    held_out, y, days_of = journey_rows.frames(journey, "holdout")
    weight = journey_rows.weights(journey, "holdout")
    assert seen.candidate == pytest.approx(twin.predict_proba(held_out)[:, 1])
    expected = brier_score_loss(y, seen.candidate, sample_weight=weight)
    assert abs(expected - brier_score_loss(y, seen.candidate)) > 0.005
    measured = fact_files.read(journey.folder, Evaluated).metrics
    assert measured["candidate"]["brier"] == pytest.approx(expected)
    mean = np.average(label, weights=journey_rows.weights(journey, "train"))
    assert measured["baseline"]["brier"] == pytest.approx(
        brier_score_loss(y, np.full(len(y), mean), sample_weight=weight)
    )
    world.judge("threshold_gate", reference)
    brier = criterion(journey, "threshold_gate", "brier")
    assert (brier.measured, brier.rows) == (pytest.approx(expected), counted_rows(weight))
    kept = fact_files.read(journey.folder, ReferenceProfile)
    losses = losses_by_day(days_of.tolist(), (seen.candidate - y) ** 2, weight)
    assert [day["rows"] for day in kept.profile["losses"]] == [day.rows for day in losses]
    assert kept.weight == "worth"


@pytest.mark.moment("weighing")
def test_a_champion_is_watched_by_the_weights_it_was_judged_by(world):
    world.first_champion("r", 13)
    for number in (16, 17, 18):
        world.next_day(number)
    model = loader.declarations().model(world.model)
    with stores.open_ledger() as ledger:
        epoch = ledger.claims.server(model.name, "2024-03-18")
    losses, cohorts, _ = references.matured(model, epoch, Interval.of_day("2024-03-18"))
    unweighed = model.model_copy(update={"weight": None})
    plain, same, _ = references.matured(unweighed, epoch, Interval.of_day("2024-03-18"))
    assert cohorts == same
    assert {d.day: d.rows for d in losses}["2024-03-16"] < {d.day: d.rows for d in plain}["2024-03-16"]
    assert losses[0].mean != pytest.approx(plain[0].mean)
    report = tasks.measure_drift(world.model, key(18), "drift-18")
    assert report["flags"] is not None

    # What it was judged by counts, whatever is declared since: its reference is of weighted rows.
    reference = references.reference_of(epoch)
    dropped = model.model_copy(update={"weight": None})
    assert reference.as_weighed(dropped).weight == "worth"
    requests = ["16-003|2024-03-16T00:36:00Z", "16-001|2024-03-16T00:12:00Z"]
    found = row_weights.of_requests(model, Interval.of_day("2024-03-16"), pd.Index(requests), "two rows")
    assert found[0] > 1
    assert found[1] == 0
