"""A watched business metric that reads features is measured on what each request was answered from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_world import TRIPS, at, days
from journey_world import LENIENT, MODEL, key
from light_world import LightWorld, told

from include.config import loader
from include.config.settings import settings
from include.domain.intervals import Interval
from include.domain.verdicts import Verdict
from include.workflows import stores, tasks
from include.workflows.drift import labels_behind_alarm
from include.workflows.drift import reference as references
from include.workflows.evidence import evaluation, journey_rows
from include.workflows.journey import fact_files
from include.workflows.journey.facts import RecipeRace, ReferenceProfile
from include.workflows.journey.step import Journey
from include.workflows.lineage import promised
from include.workflows.pairs import predictions
from include.workflows.scoring import matured_labels, point_in_time_rows
from include.workflows.simulation import stream as streams
from include.workflows.simulation.replayed_candidate import losses_of

SQL = """
SELECT row, CASE WHEN label = 'late' THEN (1 + abs("order")) * (1 - score) ELSE score END AS value
FROM scored WHERE event_time IS NOT NULL ORDER BY score
"""
WATCHED = {
    "business_metrics": [{"name": "lost", "sql": "lost.sql", "direction": "lower"}],
    "gates": LENIENT,
    "drift": {**MODEL["drift"], "performance": {"metric": "lost", "tolerance": 0.2, "min_rows": 100}},
}


@told("watched by what is lost", "published")
def watching(world: LightWorld) -> None:
    """The model is watched by what a late trip of a large order costs."""
    folder = world.root / "declared" / "models" / world.model
    (folder / "lost.sql").write_text(SQL, encoding="utf-8")
    world.declare(world.model, **WATCHED)


@told("served three days, watched by what is lost", "watched by what is lost")
def served(world: LightWorld) -> None:
    """Its first champion has served three days."""
    world.first_champion("r", 13)
    for number in (16, 17, 18):
        world.next_day(number)


def by_hand(late: np.ndarray, order: np.ndarray, score: np.ndarray) -> np.ndarray:
    return np.where(late, (1 + np.abs(order)) * (1 - score), score)


def epoch_of(model):
    with stores.open_ledger() as ledger:
        return ledger.claims.server(model.name, "2024-03-18")


def matured(model):
    return references.matured(model, epoch_of(model), Interval.of_day("2024-03-18"))


def answered(model, day: str = "2024-03-16") -> pd.DataFrame:
    """Score, order and label of the day's trips, joined here by their key."""
    interval = Interval.of_day(day)
    with stores.open_ledger() as ledger:
        log = promised.predictions(ledger, model.name, interval).to_pandas().set_index("trip_id")
        (scored,) = ledger.lineage.scorings(model.name, day, "2024-03-17")
    kept = stores.offline_store().read_served(model.name, scored.feature_set, day).to_pandas().set_index("trip_id")
    labels = matured_labels.matured_labels(model, interval, at(19)).to_pandas().set_index("trip_id")
    found = log[["score"]].join(kept["f_order"].rename("order")).join(labels["label"], how="inner")
    return found[found["label"].notna()]


def lose_features(model) -> None:
    shutil.rmtree(Path(settings().store) / "served" / model.name)


@pytest.mark.moment("served three days, watched by what is lost")
def test_matured_days_have_the_losses_that_follow_from_the_features_of_each_request(world):
    model = loader.declarations().model(world.model)
    rows = answered(model)
    expected = by_hand(rows["label"] == "late", rows["order"], rows["score"])
    losses, _, unmeasured = matured(model)
    first = next(day for day in losses if day.day == "2024-03-16")
    assert unmeasured is None
    assert (first.rows, first.total) == (len(rows), pytest.approx(expected.sum()))
    assert expected.sum() > 1.2 * by_hand(rows["label"] == "late", 0 * rows["order"], rows["score"]).sum()


@pytest.mark.moment("served three days, watched by what is lost")
def test_a_simulation_gives_the_same_rows_the_same_values(world):
    model = loader.declarations().model(world.model)
    seen = streams.stored(model, Interval(at(16), at(17)), first=at(16))
    rows = answered(model)
    known = np.flatnonzero(np.isfinite(seen.y))
    scores = rows["score"].reindex(seen.keys["trip_id"].iloc[known]).to_numpy()
    found = losses_of(model, seen, known, scores)
    day = next(day for day in matured(model).losses if day.day == "2024-03-16")
    assert (len(found), found.sum()) == (day.rows, pytest.approx(day.total))


@pytest.mark.moment("served three days, watched by what is lost")
def test_a_view_that_is_corrected_later_changes_no_day_that_was_served(world):
    model = loader.declarations().model(world.model)
    before = matured(model)
    world.change(TRIPS, TRIPS.c.trip_id == "16-003", order=99.0)
    world.materialize("trip_plan", days(16, 17))
    now = point_in_time_rows.features_for(model, Interval.of_day("2024-03-16"), at(17)).to_pandas()
    assert now.set_index("trip_id")["order"]["16-003"] == 99.0
    assert matured(model) == before


@pytest.mark.moment("served three days, watched by what is lost")
def test_days_whose_features_are_lost_are_not_judged_and_say_why_until_they_are_scored_again(world):
    model = loader.declarations().model(world.model)
    before = matured(model)
    lose_features(model)
    lost = matured(model)
    assert (lost.losses, lost.cohorts) == ((), before.cohorts)
    assert lost.unmeasured.startswith("lost was not measured on labels: what ")
    assert f"slipway repair predictions {model.name}" in lost.unmeasured
    assert "\n" not in lost.unmeasured

    found = tasks.measure_drift(world.model, key(18), "drift-18")
    assert found["flags"]["realised"] is None
    assert found["flags"]["inputs"] is not None  # the rest of the day is judged
    with stores.open_ledger() as ledger:
        report = ledger.drift.get(found["report_id"]).report
        journey = Journey(model, ledger.candidates.of(model.name)[0], ledger)
        held = labels_behind_alarm.labels_show_it(journey, journey.candidate_id, "2024-03-17", at(19))
    assert report["realised"]["reason"] == lost.unmeasured
    assert report["estimated"]["reason"].startswith("lost was not estimated: what 120 requests of 120 from 2024-03-18")
    assert report["estimated"]["out_of_band"] is None
    assert held.verdict is Verdict.INCONCLUSIVE
    assert lost.unmeasured in held.reason

    predictions.repair(at(19), model.name)
    assert matured(model) == before


@pytest.mark.moment("served three days, watched by what is lost")
def test_a_row_without_a_value_leaves_the_days_unjudged(world):
    model = loader.declarations().model(world.model)
    folder = world.root / "declared" / "models" / world.model
    (folder / "lost.sql").write_text(SQL.replace("ELSE score", 'WHEN "order" < 0 THEN NULL ELSE score'), "utf-8")
    losses, _, unmeasured = matured(model)
    assert losses == ()
    assert unmeasured.startswith("lost was not measured on labels: lost gave ")
    assert unmeasured.endswith("values that are no number.")


@pytest.mark.moment("watched by what is lost")
def test_the_reference_and_the_race_are_measured_on_the_features_of_their_rows(world):
    training = {**MODEL["training"], "race": {"recipes": ["window", "recent_weighted"]}}
    world.declare(world.model, **WATCHED, training=training)
    reference = world.open("r", 13)
    world.train(reference)
    tasks.evaluate(reference)
    with stores.open_ledger() as ledger:
        journey = Journey(loader.declarations().model(world.model), world.candidate(reference), ledger)
        seen = evaluation.evidence_of(journey)
        features, y, _ = journey_rows.frames(journey, "holdout")
        expected = by_hand(y == 1, features["order"].to_numpy(), seen.candidate)
        kept = fact_files.read(journey.folder, ReferenceProfile)
        raced = journey.kept(RecipeRace)
    assert sum(day["total"] for day in kept.profile["losses"]) == pytest.approx(expected.sum())
    assert sum(d["rows"] * d["realised"] for d in kept.estimate["days"]) == pytest.approx(expected.sum())
    assert kept.naive == pytest.approx(by_hand(y == 1, features["order"].to_numpy(), seen.baseline).mean())
    assert (raced.metric, set(raced.losses)) == ("lost", {"window", "recent_weighted"})
    assert all(value > 0 for value in raced.losses.values())


@pytest.mark.moment("served three days, watched by what is lost")
def test_the_labels_of_a_shadow_window_compare_by_it(world):
    comparison = {"metric": "lost", "margin": 0.2, "min_rows": 50}
    bounds = {"min_days": 3, "max_days": 4, "disagreement": [0.0, 0.9], "p99_delta_at_most": 1.0}
    shadow = {**MODEL["shadow"], **bounds, "comparison": comparison}
    world.declare(world.model, **WATCHED, shadow=shadow)
    reference = world.open("second", 19)
    assert world.to_shadow(reference)
    for number in (19, 20, 21):
        world.next_day(number)
    world.judge("shadow_gate", reference)
    model, interval = loader.declarations().model(world.model), Interval(at(19), at(22))
    with stores.open_ledger() as ledger:
        judged = ledger.gates.latest(str(reference["candidate_id"]))["shadow_gate"].result
        log = promised.predictions(ledger, model.name, interval, str(reference["candidate_id"])).to_pandas()
    (line,) = [c for c in judged.criteria if c.criterion == "matured lost"]
    labels = matured_labels.matured_labels(model, interval, at(22)).to_pandas().set_index("trip_id")["label"].dropna()
    rows = log.set_index("trip_id").loc[labels.index]
    orders = point_in_time_rows.features_for(model, interval, at(22)).to_pandas().set_index("trip_id")["order"]
    expected = by_hand(labels == "late", orders.loc[labels.index], rows["score"]).mean()
    assert line.rows == len(labels)
    assert line.measured == pytest.approx(expected)
