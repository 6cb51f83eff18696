"""Promotion and rollback: the ledger decides, the registry follows, and a person's reason is kept."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import mlflow
import pytest
from invariants import check_invariants
from journey_world import NOW, JourneyWorld, at, key
from ledger_fixtures import an_operator

from include.adapters import model_files
from include.adapters.ledger import Conflict, Ledger, NotCleared, NothingToRollBackTo
from include.adapters.registry import CHAMPION
from include.config.settings import settings
from include.domain.authority import OPERATORS
from include.domain.errors import Refusal
from include.domain.lifecycle import State
from include.workflows import tasks

IMPOSSIBLE = {
    "threshold_gate": {"min_rows": 100, "criteria": [{"metric": "roc_auc", "at_least": 0.999}]},
    "champion_gate": {
        "min_rows": 100,
        "comparisons": [{"metric": "brier", "margin": 0.05}],
        "beat_baseline_on": "brier",
    },
}


def to_the_offline_gates(world: JourneyWorld, reference: dict) -> list[bool]:
    """Every step up to the registration, whatever the gates say: what "mark success" on a red one leads to."""
    world.train(reference)
    tasks.evaluate(reference)
    return [world.judge(gate, reference)["passed"] for gate in ("threshold_gate", "champion_gate")]


def register_and_shadow(world: JourneyWorld, reference: dict) -> None:
    tasks.register_challenger(reference, NOW)
    tasks.open_shadow_window(reference)
    assert world.judge("shadow_gate", reference)["passed"]


def epochs(world: JourneyWorld):
    with Ledger.open(settings().ledger_url) as ledger:
        return ledger.deployments.epochs(world.model)


def champions(world: JourneyWorld) -> list[str | None]:
    return [epoch.model_version for epoch in epochs(world)]


# --- promotion -------------------------------------------------------------------------------------------------------


def test_f059_a_failed_gate_marked_success_registers_and_promotes_nothing(world):
    world.declare(world.model, gates=IMPOSSIBLE)
    reference = world.open("r", 13)
    assert to_the_offline_gates(world, reference) == [False, True]
    with pytest.raises(Refusal, match=rf"^{reference['candidate_id']} is not registered: threshold_gate is FAIL"):
        tasks.register_challenger(reference, NOW)
    with pytest.raises(Refusal, match=rf"^{reference['candidate_id']} was never registered"):
        tasks.promote(reference, NOW)
    assert world.versions_in_mlflow() == []
    assert epochs(world) == []
    closed = tasks.close_journey(reference)
    assert closed["state"] == "rejected"
    assert closed["outcome"].startswith("Rejected: threshold_gate: roc_auc")
    check_invariants(world)


def test_f059_a_gate_that_fails_when_judged_again_is_what_promote_reads(world):
    reference = world.open("r", 13)
    to_the_offline_gates(world, reference)
    register_and_shadow(world, reference)
    world.declare(world.model, gates=IMPOSSIBLE)
    assert not world.judge("threshold_gate", reference)["passed"]
    with pytest.raises(NotCleared) as refused:
        tasks.promote(reference, NOW)
    assert str(refused.value).startswith(
        f"Candidate {reference['candidate_id']} is not cleared for promotion: threshold_gate is FAIL"
    )
    assert world.registry.alias(world.model, CHAMPION) is None
    assert epochs(world) == []
    assert tasks.close_journey(reference)["state"] == "rejected"
    check_invariants(world)


def test_f059_a_gate_that_never_ran_promotes_nothing(world):
    reference = world.open("r", 13)
    to_the_offline_gates(world, reference)
    tasks.register_challenger(reference, NOW)
    with pytest.raises(NotCleared, match=r"is not cleared for promotion: shadow_gate "):
        tasks.promote(reference, NOW)
    assert tasks.close_journey(reference)["state"] == "failed"
    check_invariants(world)


def test_a_live_override_lets_the_candidate_pass_and_stays_on_the_record(world):
    world.declare(world.model, gates=IMPOSSIBLE)
    reference = world.open("r", 13)
    to_the_offline_gates(world, reference)
    with Ledger.open(settings().ledger_url) as ledger:
        ledger.gates.override(
            reference["candidate_id"],
            "threshold_gate",
            by=an_operator("eve"),
            approvers=OPERATORS,
            why="the bound is a typo",
            expires_at=NOW + timedelta(days=7),
            now=NOW,
        )
    assert world.judge("threshold_gate", reference)["passed"]
    register_and_shadow(world, reference)
    assert tasks.promote(reference, NOW)["revision"] == 1
    assert epochs(world)[0].cleared_by["overridden"]["threshold_gate"]["who"] == "eve"
    tasks.close_journey(reference)
    check_invariants(world)


def test_f057_an_artifact_replaced_after_its_gates_is_not_promoted(world, mlflow_server):
    reference = world.open("r", 13)
    assert world.to_shadow(reference)
    world.judge("shadow_gate", reference)
    digest = str(world.candidate(reference).facts.artifact_digest)
    (file,) = files_of_the_model(mlflow_server.home, world)
    kept = file.read_bytes()
    file.write_bytes(kept[:-1] + b"x")
    with pytest.raises(Refusal, match=rf"was trained as digest {digest}, but the registry holds"):
        tasks.promote(reference, NOW)
    assert epochs(world) == []
    file.write_bytes(kept)
    assert tasks.promote(reference, NOW)["revision"] == 1
    tasks.close_journey(reference)
    check_invariants(world)


def test_a_registry_asks_its_own_server_whichever_the_process_talks_to(world, tmp_path, monkeypatch):
    champion = world.first_champion().facts
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'another.db'}")
    with world.registry.fetched(world.model, int(str(champion.model_version))) as file:
        assert model_files.digest(file) == champion.artifact_digest


def test_logging_a_model_leaves_the_process_talking_to_whom_it_did(world, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", world.registry.url)
    world.first_champion()
    assert os.environ["MLFLOW_TRACKING_URI"] == world.registry.url
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert mlflow.get_tracking_uri() != world.registry.url


def files_of_the_model(home: Path, world: JourneyWorld) -> list[Path]:
    """The model file of the world's one candidate, on the server's own disk."""
    ((_, source),) = world.versions_in_mlflow()
    return [f for f in (home / "artifacts").rglob("model.skops") if source.rpartition("/")[2] in str(f)]


def test_a_champion_that_changed_since_the_comparison_stops_the_promotion(world):
    world.first_champion()
    world.next_day(16)
    reference = world.open("second", 17)
    assert world.to_shadow(reference)
    for day in (17, 18):
        world.next_day(day)
    world.judge("shadow_gate", reference)
    with Ledger.open(settings().ledger_url) as ledger:
        head = ledger.deployments.champion(world.model)
    evaluation = settings().artifacts / "journeys" / reference["candidate_id"] / "evaluation.json"
    evaluation.write_text(evaluation.read_text().replace('"champion_revision": 1', '"champion_revision": 0'))
    with pytest.raises(Conflict, match=f"was expected at revision 0 but it is 1, made by run {head.run_id}"):
        tasks.promote(reference, NOW)
    assert world.registry.alias(world.model, CHAMPION) == 1
    tasks.close_journey(reference)
    check_invariants(world)


# --- rollback --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three_champions(shared_world: JourneyWorld) -> JourneyWorld:
    """Three champions one after the other, effective from the 13th, the 18th and the 20th; each scored its days."""
    world = shared_world
    world.declare(world.model, shadow={**SHADOW, "min_days": 1, "min_rows": 100})
    world.first_champion()
    world.next_day(16)
    for run_id, day in (("second", 17), ("third", 19)):
        reference = world.open(run_id, day)
        assert world.to_shadow(reference)
        world.next_day(day)
        assert world.to_the_end(reference)["state"] == "champion"
        world.next_day(day + 1)
    return world


SHADOW = {"max_days": 4, "disagreement": [0.00001, 0.2], "p99_delta_at_most": 0.5}


@pytest.mark.parametrize(
    ("conf", "line"),
    [
        pytest.param(
            None, "reason is missing; say why the champion must go, in 3 to 500 characters.", id="nothing at all"
        ),
        pytest.param(
            {"reason": "  "}, "reason is '  '; say why the champion must go, in 3 to 500 characters.", id="blanks"
        ),
        pytest.param(
            {"reason": 3}, "reason is 3; say why the champion must go, in 3 to 500 characters.", id="a number"
        ),
        pytest.param(
            {"reason": "bad", "as_of": "2024-03-01"},
            "as_of is '2024-03-01'; there is no such field; allowed are: reason, requested_by, revision.",
            id="unknown key",
        ),
    ],
)
def test_a_rollback_needs_a_reason_and_says_which(three_champions, conf, line):
    before = champions(three_champions)
    with pytest.raises(Refusal) as refused:
        tasks.roll_back(three_champions.model, "rollback-x", conf, "ada")
    assert str(refused.value) == line
    assert champions(three_champions) == before


def test_a_model_that_never_had_a_champion_has_nothing_to_roll_back(world):
    with pytest.raises(NothingToRollBackTo) as refused:
        tasks.roll_back(world.model, "rollback-1", {"reason": "late flights missed"}, "ada")
    assert str(refused.value) == (
        f"{world.model} has nothing to roll back to: it never had a champion. Start a retrain instead."
    )


def test_rollbacks_go_back_one_good_champion_each_and_then_there_is_none(three_champions):
    world = three_champions
    assert champions(world) == ["1", "2", "3"]
    log = world.table_versions()
    why = {"reason": "late flights missed"}

    first = tasks.roll_back(world.model, "rollback-1", why, "ada")
    assert first["revision"] == 4
    assert world.registry.alias(world.model, CHAMPION) == 2
    assert tasks.roll_back(world.model, "rollback-1", why, "ada")["revision"] == 4, "the same run rolls back once"

    world.next_day(21)
    with Ledger.open(settings().ledger_url) as ledger:
        served = ledger.deployments.champion_at(world.model, at(21))
        rolled_back = [c for c in ledger.candidates.of(world.model) if c.state is State.ROLLED_BACK]
    assert (served.model_version, served.actor, served.reason) == ("2", "ada", "late flights missed")
    assert [c.outcome for c in rolled_back] == ["Rolled back: late flights missed"]

    tasks.roll_back(world.model, "rollback-2", why, "ada")
    assert champions(world) == ["1", "2", "3", "2", "1"]
    assert world.registry.alias(world.model, CHAMPION) == 1
    with pytest.raises(NothingToRollBackTo, match=r"champion .* is the oldest one left"):
        tasks.roll_back(world.model, "rollback-3", why, "ada")

    for day in range(16, 22):
        assert tasks.score(world.model, key(day), "again")["skipped"] is None
    changed = {name for name, version in world.table_versions().items() if version != log.get(name)}
    served = {name for name in changed if name.startswith(f"served/{world.model}/")}
    assert len(served) == 1, "what was served lies beside the predictions"
    tables = {f"predictions/{world.model}", "features/trip_plan/v1", "features/station_level/v1"}
    assert changed - served == tables
    check_invariants(world)
