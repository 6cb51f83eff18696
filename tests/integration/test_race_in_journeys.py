"""A declared race in whole journeys: a former champion that knows the present is promoted again, as it was stored."""

from __future__ import annotations

from typing import Any

import pytest
from invariants import check_invariants
from journey_world import MODEL, NOW, JourneyWorld

from include.adapters.ledger import Ledger
from include.config import loader
from include.config.settings import settings
from include.domain.lifecycle import State
from include.workflows import tasks
from include.workflows.explain import lineage
from include.workflows.journey import step
from include.workflows.journey.facts import RecipeRace, ReferenceProfile, TrainingSets

TURNED = -2.0
"""The effect of the order turned around: what made late makes punctual."""
OTHER_ANSWERS = {**MODEL["shadow"], "disagreement": [0.00001, 0.9], "p99_delta_at_most": 0.999}


def racing(world: JourneyWorld, *recipes: str, **more: Any) -> None:
    race = {"recipes": list(recipes), **more}
    training = {**MODEL["training"], "race": race}
    # Three held-out days are few for the bounds of the champion gate: it says what it finds, and the others decide.
    gates = {**MODEL["gates"], "champion_gate": {**MODEL["gates"]["champion_gate"], "mode": "advisory"}}
    world.declare(world.model, training=training, gates=gates, shadow=OTHER_ANSWERS)


def two_champions_and_back(world: JourneyWorld) -> dict[str, Any]:
    """The concept turns round after the first champion and turns back after the second: a journey as of then, at its
    fit. By name the references of all three."""
    first = world.open("first", 13)
    assert world.to_shadow(first)
    world.to_the_end(first)
    for day in range(16, 25):
        world.next_day(day, score=False, effect=TURNED)
    second = world.open("second", 25)
    assert world.to_shadow(second)
    for day in (25, 26):
        world.next_day(day, effect=TURNED)
    assert world.to_the_end(second)["state"] == "champion"
    for day in range(27, 33):
        world.next_day(day, score=False)
    third = world.open("third", 33)
    world.train(third)
    return {"first": first, "second": second, "third": third}


def raced(reference: dict[str, Any]) -> RecipeRace:
    return facts_of(reference).kept(RecipeRace)


def facts_of(reference: dict[str, Any]) -> step.Journey:
    with Ledger.open(settings().ledger_url) as ledger:
        candidate = ledger.candidates.get(reference["candidate_id"])
        return step.Journey(loader.declarations().model(candidate.model), candidate, ledger)


def digest_of(world: JourneyWorld, reference: dict[str, Any]) -> str:
    return str(world.candidate(reference).facts.artifact_digest)


def promoted_again(world: JourneyWorld) -> None:
    racing(world, "window", "former")
    told = two_champions_and_back(world)
    first, third = told["first"], told["third"]
    race = raced(third)
    assert (race.winner, race.former) == (f"former {first['candidate_id']}", first["candidate_id"])
    assert race.losses[race.winner] < race.losses["window"]
    assert race.learned_rows == 0, "nothing was fitted for it"
    assert digest_of(world, third) == digest_of(world, first), "the very file that its gates saw then"
    # The fit again, as a retry has it, and then the same gates as for any candidate.
    tasks.train(third)
    assert raced(third) == race
    tasks.evaluate(third)
    assert world.judge_after("evaluate", third)
    tasks.register_challenger(third, NOW)
    assert [version for version, _ in world.versions_in_mlflow()] == [1, 2, 3]
    tasks.open_shadow_window(third)
    for day in (33, 34):
        world.next_day(day)
    assert world.to_the_end(third)["state"] == "champion"
    with Ledger.open(settings().ledger_url) as ledger:
        head = ledger.deployments.champion(world.model)
    assert (head.to_candidate, head.digest) == (third["candidate_id"], digest_of(world, first))
    (shown,) = lineage.of_candidate(third["candidate_id"]).find("race")
    assert shown.facts["former"] == first["candidate_id"]
    world.next_day(35)
    made = lineage.of_candidate(third["candidate_id"]).find("scored_day")
    assert any("2024-04-04" in day.text for day in made), "its file serves"
    check_invariants(world)


@pytest.mark.light
def test_a_former_champion_that_wins_goes_through_the_same_gates_and_serves_again(world):
    promoted_again(world)


@pytest.mark.slow
def test_mlflow_registers_the_former_champions_own_model_again(world):
    promoted_again(world)
    sources = dict(world.versions_in_mlflow())
    assert sources[3] == sources[1]


@pytest.mark.light
@pytest.mark.slow
def test_a_former_champion_that_was_rolled_back_does_not_race(world):
    racing(world, "window", "former")
    first = world.open("first", 13)
    assert world.to_shadow(first)
    world.to_the_end(first)
    world.declare(world.model, training={**MODEL["training"], "seed": 4, "window_days": 5}, shadow=OTHER_ANSWERS)
    world.next_day(16)
    second = world.open("second", 17)
    assert world.to_shadow(second)
    for day in (17, 18):
        world.next_day(day)
    assert world.to_the_end(second)["state"] == "champion"
    tasks.roll_back(world.model, "back", {"reason": "It answers nonsense since noon."}, "ada")
    racing(world, "window", "former")
    third = world.open("third", 19)
    world.train(third)
    assert world.candidate(second).state is State.ROLLED_BACK
    assert facts_of(third).found(RecipeRace) is None, "nobody else is there to race with"


@pytest.mark.light
@pytest.mark.slow
def test_a_former_champion_whose_file_is_gone_does_not_race_and_that_is_said(world, capsys):
    racing(world, "window", "recent_weighted", "former")
    first = world.open("first", 13)
    assert world.to_shadow(first)
    world.to_the_end(first)
    for day in range(16, 25):
        world.next_day(day, score=False, effect=TURNED)
    second = world.open("second", 25)
    assert world.to_shadow(second)
    for day in (25, 26):
        world.next_day(day, effect=TURNED)
    assert world.to_the_end(second)["state"] == "champion"
    for file in (settings().artifacts / "models").glob(f"{digest_of(world, first)}*"):
        file.unlink()
    world.registry.replace_file(world.model, 1, b"something else")
    third = world.open("third", 27)
    world.train(third)
    assert set(raced(third).losses) == {"window", "recent_weighted"}
    assert f"Former champion {first['candidate_id']} does not race: The registry gave a model file" in (
        capsys.readouterr().out
    )


@pytest.mark.light
def test_expanding_learns_from_every_published_day_and_the_window_stays_what_new_rows_are_held_against(world):
    racing(world, "window", "expanding")
    reference = world.open("first", 16)
    tasks.build_training_set(reference)
    built = facts_of(reference).kept(TrainingSets).train
    assert built.start[:10] == "2024-03-01", "the first published day, and not six days before the holdout"
    again = dict(tasks.build_training_set(reference))
    assert again["content_hash"] == built.content_hash
    world.judge_after("build_training_set", reference)
    tasks.train(reference)
    tasks.evaluate(reference)
    race, profile = raced(reference), facts_of(reference).kept(ReferenceProfile)
    assert set(race.losses) == {"window", "expanding"}
    learned = built.rows if race.winner == "expanding" else 6 * 108
    assert race.learned_rows == learned
    assert profile.profile["rows"] == learned


def test_replay_days_and_recipes_that_may_have_learned_from_them_are_refused_together(world):
    gates = {**MODEL["gates"], "champion_gate": {**MODEL["gates"]["champion_gate"], "replay": {"days": 3}}}
    race = {"recipes": ["window", "expanding", "former"]}
    world.declare(world.model, gates=gates, training={**MODEL["training"], "race": race})
    (said,) = map(str, loader.declarations().broken.values())
    assert "training.race.recipes names expanding and former, which may have learned from the days that" in said
