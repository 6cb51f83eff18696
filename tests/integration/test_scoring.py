"""Scoring days: which champion answers which day, what a rerun changes, and what a sick challenger costs."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable
from invariants import check_invariants
from journey_world import NOW, JourneyWorld, at, key

from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore, content_hash
from include.config.settings import settings
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.workflows import tasks


def log(world: JourneyWorld, first: int = 1, end: int = 30):
    """The prediction log's rows, as a frame, and the version of its table."""
    store = OfflineStore(settings().store)
    rows = store.read_predictions(world.model, Interval(at(first), at(end)))
    return rows, DeltaTable(store.log_path(world.model)).version()


def shadowed(world: JourneyWorld) -> dict:
    """A champion, and a challenger in its shadow window from the 17th on."""
    world.first_champion()
    world.next_day(16)
    reference = world.open("second", 17)
    assert world.to_shadow(reference)
    return reference


@pytest.mark.slow
def test_days_scored_again_after_a_promotion_get_the_same_answers_by_the_same_models(world):
    for day in (13, 14, 15):
        assert world.score(day)["skipped"] == (
            f"{world.model} has no champion on 2024-03-{day}, so there is nothing to score with."
        )
    reference = shadowed(world)
    for day in (13, 14, 15):
        world.score(day)
    for day in (17, 18):
        world.next_day(day)
    world.to_the_end(reference)
    world.next_day(19)
    rows, version = log(world)
    served = rows.to_pandas().query("role == 'served'").groupby(rows.to_pandas()["event_time"].dt.day)
    assert served["model_version"].unique().map(list).to_dict() == {
        **{day: ["1"] for day in range(13, 19)},
        19: ["2"],
    }
    for day in (13, 17, 18, 19):
        world.score(day)
    again, same_version = log(world)
    assert (content_hash(again), same_version) == (content_hash(rows), version)
    check_invariants(world)


@pytest.mark.slow
def test_a_day_served_while_the_promotion_waited_stays_the_old_champions(world):
    reference = shadowed(world)
    for day in (17, 18):
        world.next_day(day)
    world.judge("shadow_gate", reference)
    world.next_day(19)  # the window is full; a person is still asleep, and the champion serves another day
    assert tasks.promote(reference, NOW)["effective_from"] == at(20).isoformat()
    tasks.close_journey(reference)
    rows, version = log(world)
    world.score(19)
    again, same_version = log(world)
    assert (content_hash(again), same_version) == (content_hash(rows), version)
    world.next_day(20)
    with Ledger.open(settings().ledger_url) as ledger:
        assert ledger.deployments.champion_at(world.model, at(20)).model_version == "2"
    check_invariants(world)


@pytest.mark.slow
def test_f073_a_challenger_that_was_replaced_costs_only_itself(world, mlflow_server):
    reference = shadowed(world)
    challenger = world.candidate(reference)
    assert world.next_day(17)["facts"]["shadow"][0]["answered"] == 120

    copy = settings().artifacts / "models" / f"{challenger.facts.artifact_digest}.skops"
    copy.unlink()

    (file,) = [f for f in (mlflow_server.home / "artifacts").rglob("model.skops") if str(f).count(source_of(world, 2))]
    file.write_bytes(file.read_bytes() + b"x")
    facts = world.next_day(18)["facts"]
    assert (facts["rows"], facts["shadow"][0]["answered"]) == (120, 0)

    rows = log(world)[0].to_pandas()
    served, shadow = rows[rows["role"] == "served"], rows[rows["role"] == "shadow"]
    assert served["error"].isna().all()
    assert served["score"].between(0, 1).all()
    assert set(shadow["error"].dropna().str.split(":").str[0]) == {"ModelFileRefused"}
    assert shadow["error"].isna().sum() == shadow["score"].notna().sum() == 120
    for day in (19, 20):
        world.next_day(day)
    judged = world.judge("shadow_gate", reference)
    assert not judged["passed"]
    assert tasks.close_journey(reference)["state"] == "rejected"
    check_invariants(world)


def source_of(world: JourneyWorld, version: int) -> str:
    """The id of the version's logged model, which is in its path on the server's disk."""
    return dict(world.versions_in_mlflow())[version].rpartition("/")[2]


def test_f008_an_empty_day_is_scored_by_nobody_and_is_no_error(world):
    world.first_champion()
    world.publish_day(16)  # nothing was planned for it: both views publish an empty day
    assert world.score(16)["skipped"] == "No row of trip_plan on 2024-03-16: nothing to score."
    check_invariants(world)


def test_a_day_that_was_not_published_is_refused_with_the_dag_to_run(world):
    world.first_champion()
    with pytest.raises(Refusal) as refused:
        world.score(16)
    assert str(refused.value) == (
        f"trip_plan has no published 2024-03-16, so {world.model} cannot be scored. "
        "Run features_trip_plan for it first."
    )


def test_a_run_without_a_partition_is_refused(world):
    with pytest.raises(Refusal, match=r"This run has no partition, so no day\. Trigger it with a partition key"):
        tasks.score(world.model, None, "r")


def test_f009_a_key_that_is_no_day_is_refused(world):
    with pytest.raises(Refusal, match="2024-03-16T07:00:00 is not the start of a UTC day"):
        tasks.score(world.model, f"{key(16)[:11]}07:00:00", "r")


def test_a_version_whose_file_is_gone_is_named_and_not_retried(world, mlflow_server):
    champion = world.first_champion()
    (file,) = [f for f in (mlflow_server.home / "artifacts").rglob("model.skops") if source_of(world, 1) in str(f)]
    (settings().artifacts / "models" / f"{champion.facts.artifact_digest}.skops").unlink()
    file.rename(file.with_suffix(".elsewhere"))
    with pytest.raises(Refusal, match="is gone from MLflow"):
        world.score(14)
    file.with_suffix(".elsewhere").rename(file)
    assert world.score(14)["facts"]["rows"] == 120
    check_invariants(world)
