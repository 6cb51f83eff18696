"""A model goes over to a new version of a view, or to other features: like any change, by a candidate that is compared.

Until it is promoted, the champion is asked about what it learned from.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from feature_world import STATION_LEVEL, STATION_LEVEL_SQL, days
from invariants import check_invariants
from journey_world import MODEL, JourneyWorld, at, champion_that_served, journey_world
from sklearn.metrics import roc_auc_score

from include.adapters import estimators
from include.adapters.ledger import Ledger
from include.adapters.ledger.errors import NothingToRollBackTo
from include.adapters.offline_store import OfflineStore
from include.config import declarations, loader
from include.config.settings import settings
from include.domain.intervals import Interval
from include.domain.verdicts import Verdict
from include.workflows import stores, tasks
from include.workflows.drift import sensor
from include.workflows.evidence import evaluation
from include.workflows.explain import catalogue, consistency
from include.workflows.journey import step
from include.workflows.journey.facts import TrainingSet, TrainingSets
from include.workflows.scoring import as_trained, daily, fitted_models, point_in_time_rows, training_sets

TRIPS_READ, LEVELS_READ = MODEL["views"]
NEW = {"view": "station_level", "version": 2, "features": ["depth", "mean_level_3h"]}
"""What the model reads of version 2: the level has another name and another unit there."""
NEW_SQL = STATION_LEVEL_SQL.replace("any_value(reading.level) AS level", "900 - 7 * any_value(reading.level) AS depth")
NEW_VIEW = {
    **STATION_LEVEL,
    "version": 2,
    "columns": [{"name": "depth"}, {"name": "mean_level_3h"}],
    "quality": {
        "expectations": [
            {"expectation": "expect_column_values_to_be_between", "kwargs": {"column": "depth", "min_value": 0}}
        ]
    },
}


@pytest.fixture(scope="module")
def champion_days(published_days, tmp_path_factory, mlflow_server) -> tuple[Path, str, str]:
    """A folder with a champion of version 1 that served the 13th, its model and its candidate id."""
    return champion_that_served(published_days, tmp_path_factory.mktemp("changed"), mlflow_server.url, 13)


@pytest.fixture
def world(champion_days, tmp_path, mlflow_server) -> Iterator[JourneyWorld]:
    root, model, _ = champion_days
    with journey_world(root, tmp_path, mlflow_server.url, model) as made:
        yield made
        check_invariants(made)


@pytest.fixture
def champion_id(champion_days) -> str:
    return champion_days[2]


@pytest.fixture
def own(published_days, tmp_path, mlflow_server) -> Iterator[JourneyWorld]:
    """A world with a model of its own, whose registry may be written to; ``own.first`` is its champion."""
    with journey_world(published_days, tmp_path, mlflow_server.url) as made:
        made.first = made.first_champion().candidate_id
        made.score(13)
        yield made
        check_invariants(made)


def go_over(world: JourneyWorld, *, keep: bool = True, renamed: bool = True) -> None:
    """Steps 1 to 3 of ADR 0018: version 1 is kept beside, version 2 has its history, the model reads version 2."""
    folder = world.root / "declared" / "features" / "station_level"
    if keep:
        (folder / "v1").mkdir()
        for name in ("view.yaml", "features.sql"):
            shutil.copy(folder / name, folder / "v1" / name)
    if renamed:
        world.declare_view(NEW_VIEW, NEW_SQL)
    else:
        doubled = STATION_LEVEL_SQL.replace("avg(past.level)", "2 * avg(past.level)")
        world.declare_view(STATION_LEVEL, doubled, version=2)
    world.declare(world.model, views=[TRIPS_READ, NEW if renamed else {**LEVELS_READ, "version": 2}])
    world.materialize("station_level", days(1, 16))


def next_day(world: JourneyWorld, number: int) -> None:
    """What the Dags do of a day while both versions are kept."""
    world.next_day(number, score=False)
    world.run_day("station_level@v1", number)
    world.score(number)


def log(world: JourneyWorld, number: int, candidate_id: str) -> pd.DataFrame:
    day = Interval.of_day(at(number).date())
    rows = OfflineStore(settings().store).read_predictions(world.model, day, candidate_id)
    return rows.to_pandas().set_index("request_id")


def scorings(world: JourneyWorld, number: int) -> dict[str, dict[str, int]]:
    """Whose answers of the day were computed from which version of which view."""
    with Ledger.open(settings().ledger_url) as ledger:
        found = ledger.lineage.scorings(world.model, at(number).date(), at(number + 1).date())
    return {each.candidate_id: {read.view: read.view_version for read in each.sources} for each in found}


def expected_of_champion(world: JourneyWorld, champion_id: str, made: TrainingSet) -> tuple[pd.DataFrame, list[float]]:
    """The set's rows as version 1 gives them, and the champion's answers to them, computed here by hand."""
    world.declare("by_hand", views=[TRIPS_READ, {**LEVELS_READ, "view": "station_level@v1"}])
    reading_v1 = declarations().model("by_hand")
    window = Interval(pd.Timestamp(made.start), pd.Timestamp(made.end))
    rows = point_in_time_rows.features_for(reading_v1, window, at(15)).to_pandas()
    with Ledger.open(settings().ledger_url) as ledger:
        facts = ledger.candidates.get(champion_id).facts
    pipeline = fitted_models.load(stores.registry(), world.model, int(facts.model_version), facts.artifact_digest)
    features = estimators.as_input(rows, fitted_models.kinds_of(reading_v1))
    return rows, list(estimators.predict(pipeline, features, classes=2))


def test_the_champion_serves_on_as_if_nothing_had_been_declared(world, champion_id):
    world.score(14)
    before = log(world, 14, champion_id)["score"]
    go_over(world)
    world.score(14)
    assert log(world, 14, champion_id)["score"].equals(before)
    assert scorings(world, 14) == {champion_id: {"trip_plan": 1, "station_level": 1}}
    used_by = {facts.view: facts.used_by for facts in catalogue.views()}
    assert used_by["station_level"] == used_by["trip_plan"] == (world.model,)
    assert used_by["station_level@v1"] == (f"{world.model} (learned from it)",)


@pytest.mark.parametrize("renamed", [True, False], ids=["a renamed feature", "the same name"])
def test_candidate_and_champion_are_compared_on_the_same_rows_each_as_it_reads_them(world, champion_id, renamed):
    go_over(world, renamed=renamed)
    journey = world.open(f"compared-{renamed}", 15)
    world.train(journey)
    tasks.evaluate(journey)
    folder = step.journey_folder(str(journey["candidate_id"]))
    kept = pd.read_parquet(folder / evaluation.ROWS)
    made = step.Journey(declarations().model(world.model), world.candidate(journey), None).kept(TrainingSets)
    rows, answers = expected_of_champion(world, champion_id, made.holdout)
    held_out = training_sets.read(made.holdout).to_pandas()
    by_trip = dict(zip(rows["trip_id"], answers, strict=True))
    assert kept["champion"].tolist() == [by_trip[trip] for trip in held_out["trip_id"]]
    assert roc_auc_score(kept["y"], kept["candidate"]) > 0.6
    world.judge("champion_gate", journey)
    with Ledger.open(settings().ledger_url) as ledger:
        result = ledger.gates.latest(str(journey["candidate_id"]))["champion_gate"].result
    [compared] = [c for c in result.criteria if c.criterion == "brier"]
    assert compared.verdict is not Verdict.INCONCLUSIVE
    assert compared.champion == pytest.approx(((kept["champion"] - kept["y"]) ** 2).mean())


@pytest.mark.slow
def test_a_candidate_of_the_new_version_goes_through_shadow_and_is_promoted_with_nobody_asked(own):
    go_over(own)
    journey = own.open("promoted", 14)
    assert own.to_shadow(journey)
    challenger = str(journey["candidate_id"])
    for number in (16, 17):
        next_day(own, number)
        assert scorings(own, number) == {
            own.first: {"trip_plan": 1, "station_level": 1},
            challenger: {"trip_plan": 1, "station_level": 2},
        }
        ours, theirs = log(own, number, own.first), log(own, number, challenger)
        assert ours.index.sort_values().equals(theirs.index.sort_values())
        assert theirs["error"].isna().all()
    own.to_the_end(journey)
    assert own.candidate(journey).state.value == "champion"
    assert consistency.check(own.model, Interval(at(13), at(18))).is_consistent
    own.next_day(18)
    assert scorings(own, 18) == {challenger: {"trip_plan": 1, "station_level": 2}}


@pytest.mark.slow
def test_a_rollback_goes_to_a_champion_that_can_be_asked_or_nowhere(own, capsys):
    go_over(own)
    journey = own.open("rolled-back", 14)
    assert own.to_shadow(journey)
    for number in (16, 17):
        next_day(own, number)
    own.to_the_end(journey)
    folder = own.root / "declared" / "features" / "station_level"
    (folder / "v1").rename(own.root / "aside")
    loader.declarations.cache_clear()
    with pytest.raises(NothingToRollBackTo):
        tasks.roll_back(own.model, "rollback-1", {"reason": "a test asks"}, "ada")
    said = capsys.readouterr().out
    assert f"{own.first} cannot be restored: " in said
    assert "station_level version 1, which is not declared any more" in said

    (own.root / "aside").rename(folder / "v1")
    loader.declarations.cache_clear()
    assert tasks.roll_back(own.model, "rollback-2", {"reason": "a test asks"}, "ada")["champion"] == own.first
    next_day(own, 18)
    assert scorings(own, 18) == {own.first: {"trip_plan": 1, "station_level": 1}}


@pytest.mark.slow
def test_what_was_served_from_each_version_is_kept_apart_and_stays_consistent(own):
    """Both versions have a feature of the same name; one day's answers of both must not share a table."""
    go_over(own, renamed=False)
    journey = own.open("apart", 14)
    assert own.to_shadow(journey)
    next_day(own, 16)
    assert consistency.check(own.model, Interval(at(13), at(17))).is_consistent
    with Ledger.open(settings().ledger_url) as ledger:
        made = ledger.lineage.scorings(own.model, at(16).date(), at(17).date())
    store, means = OfflineStore(settings().store), {}
    for each in made:
        rows = store.read_served(own.model, each.feature_set, each.day).to_pandas().set_index("request_id")
        means[each.candidate_id] = rows["f_mean_level_3h"]
    old, new = means[own.first], means[str(journey["candidate_id"])]
    pd.testing.assert_series_equal(new, 2 * old)


def test_the_drift_sensor_holds_the_champion_against_what_it_reads(world, champion_id):
    world.score(14)
    sensor.measure(world.model, "2024-03-14", "before")
    with Ledger.open(settings().ledger_url) as ledger:
        (before,) = ledger.drift.reports(world.model, last=1)
    go_over(world)
    world.score(15)
    reference = sensor.measure(world.model, "2024-03-15", "after")
    with Ledger.open(settings().ledger_url) as ledger:
        after = ledger.drift.get(reference["report_id"])
    features = [sorted(each["name"] for each in made.report["inputs"]["features"]) for made in (before, after)]
    assert features[0] == features[1] == ["level", "mean_level_3h", "order", "station"]
    assert not after.report["flags"]["inputs"]


def test_a_day_that_only_the_kept_version_lacks_is_waited_for(world):
    go_over(world)
    world.fill_days(16, 17)
    world.publish_day(16)
    with pytest.raises(daily.NotYetPublished, match="station_level@v1 has no published 2024-03-16"):
        world.score(16)
    world.run_day("station_level@v1", 16)
    assert world.score(16)["facts"]["rows"] == 120


def test_without_the_kept_version_nobody_guesses(world, champion_id):
    """Scoring is refused with the way out, and the comparison has no evidence: a person decides."""
    go_over(world, keep=False)
    line = (
        rf"{champion_id} learned from station_level version 1, which is not declared any more. Put it back as features"
    )
    with pytest.raises(as_trained.NotAskable, match=line):
        world.score(14)
    journey = world.open("nobody", 15)
    world.train(journey)
    tasks.evaluate(journey)
    judged = world.judge("champion_gate", journey)
    assert (judged["passed"], judged["verdict"]) == (False, "INCONCLUSIVE")


def test_a_champion_takes_the_features_it_learned_from_though_the_model_now_takes_others(world, champion_id):
    world.score(14)
    before = log(world, 14, champion_id)["score"]
    world.declare(world.model, views=[TRIPS_READ, {**LEVELS_READ, "features": ["mean_level_3h"]}])
    world.score(14)
    assert log(world, 14, champion_id)["score"].equals(before)
    journey = world.open("fewer", 15)
    world.train(journey)
    assert tasks.evaluate(journey)["metrics"]["champion"]
    assert consistency.check(world.model, Interval(at(13), at(15))).is_consistent


def test_a_feature_that_no_declared_view_has_is_named(world, champion_id):
    """The columns of a view may not change under one version; where they did all the same, nothing is guessed."""
    view = {**STATION_LEVEL, "columns": [{"name": "mean_level_3h"}], "quality": NEW_VIEW["quality"]}
    world.declare_view(view, STATION_LEVEL_SQL)
    world.declare(world.model, views=[TRIPS_READ, {**LEVELS_READ, "features": ["mean_level_3h"]}])
    loader.declarations.cache_clear()
    with pytest.raises(as_trained.NotAskable, match=r"learned from a feature 'level', which none of .* has now"):
        world.score(14)
    # What is online was published under the definition that was there; the invariants compare with that one.
    world.declare_view(STATION_LEVEL, STATION_LEVEL_SQL)
    loader.declarations.cache_clear()
