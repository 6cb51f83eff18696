"""Killed at every point of a race, of a fit on everything and of what serves it, on MLflow and both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forking import Forking
from journey_world import NOW, journey_world, living_in
from mlflow_server import MlflowServer
from on_databases import BOTH, kept_on
from release_story import Story, tell_of_a_refit
from sweeping import Told, sweep
from swept import PASSED

from include.adapters.ledger import Ledger
from include.config.settings import settings
from include.workflows import tasks

pytestmark = pytest.mark.slow


def _of_second(task: str, *more: object) -> Callable[[Story], Told]:
    return lambda story: (f"include.workflows.tasks:{task}", [story.references["second"], *more])


def _roll_back(story: Story) -> Told:
    conf = {"reason": "late flights missed"}
    return "include.workflows.tasks:roll_back", [story.world.model, "rollback-1", conf, "ada"]


STEPS: dict[str, tuple[str, Callable[[Story], Told]]] = {
    "train with a race": ("fit", _of_second("train")),
    "refit": ("refit", _of_second("refit")),
    "register the refitted": ("registration", _of_second("register_challenger", NOW)),
    "promote the refitted": ("promotion", _of_second("promote", NOW)),
    "roll back to the refitted": ("rollback", _roll_back),
}


@pytest.fixture(scope="module")
def refitted_story(
    published_days: Path, tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer
) -> Iterator[Story]:
    with journey_world(published_days, tmp_path_factory.mktemp("refitted"), mlflow_server.url) as world:
        story = tell_of_a_refit(world, mlflow_server, tmp_path_factory.mktemp("moments"))
    with living_in(story.world.root, story.server.url):
        yield story


@pytest.fixture(scope="module", params=BOTH)
def stores(request: pytest.FixtureRequest, refitted_story: Story) -> Iterator[str]:
    with kept_on(request.param) as database:
        yield database


@pytest.mark.parametrize("name", STEPS)
def test_f061_a_refitted_candidate_killed_at_any_point_is_finished_by_its_retry(
    name, stores, refitted_story, forking: Forking, tmp_path: Path
):
    moment, told = STEPS[name]
    passed = sweep(name, refitted_story, forking, tmp_path / "trace", moment=moment, told=told)
    assert passed == PASSED[name]


def test_f061_cleared_from_the_fit_on_a_refitted_candidate_is_refitted_and_judged_again(stores, refitted_story):
    """A person clears the run from train on, after the refit: the same files come of it, and the same promotion."""
    story = refitted_story
    second = story.references["second"]
    story.back_to("registration")
    before = story.world.candidate(second).facts
    tasks.train(second)
    tasks.evaluate(second)
    assert story.world.judge_after("evaluate", second)
    tasks.refit(second)
    after = story.world.candidate(second).facts
    assert (after.artifact_digest, after.served_digest) == (before.artifact_digest, before.served_digest)
    tasks.register_challenger(second, NOW)
    assert story.world.judge_after("register_challenger", second)
    tasks.open_shadow_window(second)
    story.world.next_day(17)
    assert story.world.to_the_end(second)["state"] == "champion"
    with Ledger.open(settings().ledger_url) as ledger:
        assert ledger.deployments.champion(story.world.model).digest == before.served_digest
