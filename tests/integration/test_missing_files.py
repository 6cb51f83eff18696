"""A data file that is cut off or gone is the store's own error wherever it is read: which table, which day, and what
mends it. And what mends it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from invariants import check_invariants
from journey_world import NOW, JourneyWorld, at, key

from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore, PartitionDamaged
from include.config import loader
from include.config.settings import settings
from include.domain.intervals import Interval
from include.domain.lifecycle import Event
from include.workflows import tasks
from include.workflows.journey import step

DAMAGES = ["gone", "truncated"]


@pytest.fixture
def store() -> OfflineStore:
    return OfflineStore(settings().store)


@pytest.fixture
def scored(world: JourneyWorld) -> JourneyWorld:
    world.first_champion()
    for day in (13, 14):
        world.score(day)
    return world


def damage(folder: str, how: str) -> None:
    files = sorted(Path(folder).rglob("*.parquet"))
    assert files
    for file in files:
        if how == "gone":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def refused(what) -> str:
    with pytest.raises(PartitionDamaged) as said:
        what()
    line = str(said.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("how", DAMAGES)
def test_answers_whose_file_is_damaged_are_named_with_their_day_and_scoring_it_again_mends_them(scored, store, how):
    path = store.log_path(scored.model)
    damage(f"{path}/day=2024-03-14", how)
    march = Interval(at(13), at(15))
    for read in (
        lambda: store.read_predictions(scored.model, march),
        lambda: tasks.measure_drift(scored.model, key(14), "drift-14"),
        lambda: store.find_prediction(scored.model, f"{champion(scored)}|14-001", champion(scored)),
    ):
        line = refused(read)
        assert line.startswith(f"{path} cannot be read for 2024-03-14: "), line
        assert line.endswith(f"(run score_{scored.model} for them); that replaces the damaged files.")
    scored.score(14)
    assert tasks.measure_drift(scored.model, key(14), "drift-14")["report_id"]
    check_invariants(scored)


@pytest.mark.parametrize("how", DAMAGES)
def test_features_whose_file_is_damaged_are_named_in_training_and_in_scoring_and_the_next_publish_mends_them(
    scored, store, how
):
    view = loader.declarations().view("station_level")
    path = store.view_path(view)
    damage(f"{path}/day=2024-03-14", how)
    for read in (lambda: scored.score(14), lambda: tasks.build_training_set(scored.open("second", 16))):
        line = refused(read)
        assert line.startswith(f"{path} in version "), line
        assert " cannot be read for 2024-03-14: " in line
        assert line.endswith("Materialize those days again; that replaces the damaged files.")
    with Ledger.open(settings().ledger_url) as ledger:
        live = ledger.candidates.live(scored.model)
    closed = tasks.close_journey(step.reference_of(live))
    assert closed["outcome"].startswith(f"Failed at build_training_set: {path} in version ")
    scored.publish_day(14)
    scored.score(14)


@pytest.mark.parametrize("how", DAMAGES)
def test_served_features_whose_file_is_damaged_are_named(scored, store, how):
    with Ledger.open(settings().ledger_url) as ledger:
        (made,) = ledger.lineage.scorings(scored.model, "2024-03-14", "2024-03-15")
    path = store.served_path(scored.model, made.feature_set)
    damage(f"{path}/day=2024-03-14", how)
    line = refused(lambda: store.read_served(scored.model, made.feature_set, "2024-03-14"))
    assert line.startswith(f"{path} cannot be read for 2024-03-14: ")
    scored.score(14)
    assert store.read_served(scored.model, made.feature_set, "2024-03-14").num_rows == 120


def test_a_list_of_files_that_is_damaged_is_named_with_its_table(scored, store):
    path = store.log_path(scored.model)
    for file in Path(path, "_delta_log").glob("*.json"):
        file.write_text("{ no json")
    line = refused(lambda: store.read_predictions(scored.model, Interval(at(13), at(15))))
    assert line.startswith(f"{path} cannot be read for any day: ")
    assert line.endswith("Restore the table's folder from a backup, or move it away and make its days again.")


def champion(world: JourneyWorld) -> str:
    with Ledger.open(settings().ledger_url) as ledger:
        return ledger.deployments.champion(world.model).to_candidate


# --- advice that can be followed --------------------------------------------------------------------------------------


def lose(world: JourneyWorld, version: int) -> None:
    from mlflow import MlflowClient

    MlflowClient(settings().mlflow_url, settings().mlflow_url).delete_model_version(world.model, str(version))


def lost_of(world: JourneyWorld) -> dict[str, str]:
    from include.workflows.release import reconcile

    found = reconcile.reconcile([world.model])
    return {f.kind.value: f.message for f in found if f.kind.value.endswith("_lost")}


def test_a_lost_champion_without_a_predecessor_is_not_told_to_be_rolled_back(world):
    world.first_champion()
    lose(world, 1)
    advice = lost_of(world)["champion_lost"]
    assert "slipway rollback" not in advice
    assert advice.endswith(
        "No earlier champion is left to roll back to. Restore the version's file in MLflow from a backup, or train a "
        f'new champion: slipway retrain {world.model} --as-of DAY --reason "..."'
    )


@pytest.mark.slow
def test_a_lost_champion_names_the_one_that_a_rollback_restores_and_says_where_none_is_left(world):
    first = world.first_champion()
    world.next_day(16)
    second = world.open("second", 17)
    assert world.to_shadow(second)
    for day in (17, 18):
        world.next_day(day)
    world.to_the_end(second)
    lose(world, 2)
    assert (
        f"Restore the previous good champion {first.candidate_id}: slipway rollback" in lost_of(world)["champion_lost"]
    )
    lose(world, 1)
    found = lost_of(world)
    assert "No earlier champion is left to roll back to." in found["champion_lost"]
    assert found["fallback_lost"].endswith("A rollback would be refused: no other is left.")


def test_only_a_journey_that_can_be_opened_again_is_told_to_be_cleared(world):
    reference = world.open("first", 13)
    with Ledger.open(settings().ledger_url) as ledger:
        ledger.candidates.close(reference["candidate_id"], Event.REJECT, outcome="Rejected by eve: no", actor="eve")
    with pytest.raises(step.JourneyIsOver, match="Clear the run from open_journey on"):
        tasks.train(reference)
    world.open("first", 13)
    world.open("second", 13, supersede=True)
    with pytest.raises(step.JourneyIsOver) as over:
        tasks.promote(reference, NOW)
    assert str(over.value).endswith("It is superseded for good, so clearing changes nothing. Start a new retrain.")
