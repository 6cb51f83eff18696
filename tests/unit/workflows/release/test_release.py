"""Promotion and rollback: the ledger decides, the registry follows, and a person's reason is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from journey_world import NOW, at, key
from ledger_fixtures import an_operator
from light_world import LightWorld

from include.adapters.ledger import Conflict, NotCleared, NothingToRollBackTo, OverrideRequest
from include.adapters.registry import CHAMPION
from include.config.settings import settings
from include.domain.authority import OPERATORS
from include.domain.errors import Refusal
from include.domain.lifecycle import State
from include.workflows import stores, tasks

IMPOSSIBLE = {
    "threshold_gate": {"min_rows": 100, "criteria": [{"metric": "roc_auc", "at_least": 0.999}]},
    "champion_gate": {
        "min_rows": 100,
        "comparisons": [{"metric": "brier", "margin": 0.05}],
        "beat_baseline_on": "brier",
    },
}


def register_and_shadow(world: LightWorld, reference: dict) -> None:
    tasks.register_challenger(reference, NOW)
    tasks.open_shadow_window(reference)
    assert world.judge("shadow_gate", reference)["passed"]


def epochs(world: LightWorld):
    with stores.open_ledger() as ledger:
        return ledger.deployments.epochs(world.model)


def champions(world: LightWorld) -> list[str | None]:
    return [epoch.model_version for epoch in epochs(world)]


# --- promotion -------------------------------------------------------------------------------------------------------


def test_f059_a_failed_gate_marked_success_registers_and_promotes_nothing(world):
    world.declare(world.model, gates=IMPOSSIBLE)
    reference = world.references["r"]
    assert world.judge_offline(reference) == [True, False, True]
    with pytest.raises(Refusal, match=rf"^{reference['candidate_id']} is not registered: threshold_gate is FAIL"):
        tasks.register_challenger(reference, NOW)
    with pytest.raises(Refusal, match=rf"^{reference['candidate_id']} was never registered"):
        tasks.promote(reference, NOW)
    assert world.versions_in_mlflow() == []
    assert epochs(world) == []
    closed = tasks.close_journey(reference)
    assert closed["state"] == "rejected"
    assert closed["outcome"].startswith("Rejected: threshold_gate: roc_auc")


def test_f059_a_gate_that_fails_when_judged_again_is_what_promote_reads(world):
    reference = world.references["r"]
    world.judge_offline(reference)
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


def test_f059_a_gate_that_never_ran_promotes_nothing(world):
    reference = world.references["r"]
    world.judge_offline(reference)
    tasks.register_challenger(reference, NOW)
    with pytest.raises(NotCleared, match=r"is not cleared for promotion: shadow_gate "):
        tasks.promote(reference, NOW)
    assert tasks.close_journey(reference)["state"] == "failed"


def test_a_live_override_lets_the_candidate_pass_and_stays_on_the_record(world):
    world.declare(world.model, gates=IMPOSSIBLE)
    reference = world.references["r"]
    world.judge_offline(reference)
    with stores.open_ledger() as ledger:
        ledger.gates.override(
            OverrideRequest(
                reference["candidate_id"], "threshold_gate", "the bound is a typo", NOW + timedelta(days=7)
            ),
            by=an_operator("eve"),
            approvers=OPERATORS,
            now=NOW,
        )
    assert world.judge("threshold_gate", reference)["passed"]
    register_and_shadow(world, reference)
    assert tasks.promote(reference, NOW)["revision"] == 1
    assert epochs(world)[0].cleared_by["overridden"]["threshold_gate"]["who"] == "eve"
    tasks.close_journey(reference)


def test_f057_an_artifact_replaced_after_its_gates_is_not_promoted(world):
    reference = world.references["r"]
    world.judge_offline(reference)
    register_and_shadow(world, reference)
    digest = str(world.candidate(reference).facts.artifact_digest)
    with world.registry.fetched(world.model, 1) as file:
        kept = file.read_bytes()
    world.registry.replace_file(world.model, 1, kept[:-1] + b"x")
    with pytest.raises(Refusal, match=rf"was trained as digest {digest}, but the registry holds"):
        tasks.promote(reference, NOW)
    assert epochs(world) == []
    world.registry.replace_file(world.model, 1, kept)
    assert tasks.promote(reference, NOW)["revision"] == 1
    tasks.close_journey(reference)


@pytest.mark.moment("second judged")
def test_a_champion_that_changed_since_the_comparison_stops_the_promotion(world):
    reference = world.references["second"]
    with stores.open_ledger() as ledger:
        head = ledger.deployments.champion(world.model)
    evaluation = settings().artifacts / "journeys" / reference["candidate_id"] / "evaluation.json"
    evaluation.write_text(evaluation.read_text().replace('"champion_revision": 1', '"champion_revision": 0'))
    with pytest.raises(Conflict, match=f"was expected at revision 0 but it is 1, made by run {head.run_id}"):
        tasks.promote(reference, NOW)
    assert world.registry.alias(world.model, CHAMPION) == 1
    tasks.close_journey(reference)


# --- rollback --------------------------------------------------------------------------------------------------------


@pytest.mark.moment("third champion")
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
def test_a_rollback_needs_a_reason_and_says_which(world, conf, line):
    before = champions(world)
    with pytest.raises(Refusal) as refused:
        tasks.roll_back(world.model, "rollback-x", conf, "ada")
    assert str(refused.value) == line
    assert champions(world) == before


def test_a_model_that_never_had_a_champion_has_nothing_to_roll_back(world):
    with pytest.raises(NothingToRollBackTo) as refused:
        tasks.roll_back(world.model, "rollback-1", {"reason": "late flights missed"}, "ada")
    assert str(refused.value) == (
        f"{world.model} has nothing to roll back to: it never had a champion. Start a retrain instead."
    )


@pytest.mark.moment("third champion")
def test_rollbacks_go_back_one_good_champion_each_and_then_there_is_none(world):
    assert champions(world) == ["1", "2", "3"]
    log = world.table_versions()
    why = {"reason": "late flights missed"}

    first = tasks.roll_back(world.model, "rollback-1", why, "ada")
    assert first["revision"] == 4
    assert world.registry.alias(world.model, CHAMPION) == 2
    assert tasks.roll_back(world.model, "rollback-1", why, "ada")["revision"] == 4, "the same run rolls back once"

    world.next_day(21)
    with stores.open_ledger() as ledger:
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
