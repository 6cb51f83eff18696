"""Killed at every point between two writes of publishing, scoring, deciding, judging, telling and housekeeping.

As the sweep of the journey: each step runs once in a child that notes every crash point it passes; then it is killed
once at each of them, run again as Airflow would, and must leave what the undisturbed run left, on both databases.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crash_steps import MOMENTS, NOT_REPEATED, STEPS, THEN
from feature_world import day as feature_day
from forking import Forking
from on_databases import BOTH, kept_on
from release_story import Story
from sweeping import sweep
from swept import PASSED

from include.adapters.offline_store import OfflineStore
from include.config.settings import settings


@pytest.fixture(scope="module", params=BOTH)
def stores(request: pytest.FixtureRequest, story: Story) -> Iterator[str]:
    with kept_on(request.param) as database:
        yield database


def roles_of(story: Story, day: int) -> set[str]:
    """In which roles the day was answered."""
    rows = OfflineStore(settings().store).read_predictions(story.world.model, feature_day(day))
    return set(rows.column("role").to_pylist())


def swept(name: str, story: Story, forking: Forking, trace: Path) -> None:
    moment, told = STEPS[name]
    if moment not in story.moments:
        with kept_on("sqlite"):
            MOMENTS[moment](story)
            story.keep(moment)
    then = [THEN[name]] if name in THEN else []
    again = name not in NOT_REPEATED
    assert sweep(name, story, forking, trace, moment=moment, told=told, again=again, then=then) == PASSED[name]


NAMES = [*STEPS]
COLLECTING = ["collect in shadow", "collect of two"]
PUBLISHING, SCORING, TELLING = NAMES[:3], NAMES[3:5], ["tell", "send what is due", "repair notices"]
PEOPLE = ["override", "withdraw", "clear", "approve"]
NIGHTLY = ["end a stranded journey", "reconcile the aliases", "repair online", "repair view", "repair predictions"]
OTHERS = [n for n in NAMES if n not in (*PUBLISHING, *SCORING, *COLLECTING, *TELLING, *PEOPLE, *NIGHTLY)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHING)
def test_f027_a_publish_killed_at_any_point_is_finished_by_its_retry(name, stores, story, forking, tmp_path):
    swept(name, story, forking, tmp_path / "trace")


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORING)
def test_f183_a_scoring_killed_at_any_point_is_taken_over_by_its_retry(name, stores, story, forking, tmp_path):
    swept(name, story, forking, tmp_path / "trace")
    assert roles_of(story, 18 if name == "score" else 17) == ({"served"} if name == "score" else {"served", "shadow"})


@pytest.mark.slow
@pytest.mark.parametrize("name", COLLECTING)
def test_f159_a_collection_killed_at_any_point_is_finished_by_its_retry(name, stores, story, forking, tmp_path):
    swept(name, story, forking, tmp_path / "trace")
    expected = {"served", "shadow"} if name == "collect in shadow" else {"served", "also_served"}
    assert roles_of(story, 17 if name == "collect in shadow" else 18) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", NIGHTLY)
def test_f188_housekeeping_killed_at_any_point_ends_its_work_the_next_time(name, stores, story, forking, tmp_path):
    swept(name, story, forking, tmp_path / "trace")


@pytest.mark.slow
@pytest.mark.parametrize("name", TELLING)
def test_f189_a_notice_whose_sender_is_killed_at_any_point_is_told(name, stores, story, forking, tmp_path):
    swept(name, story, forking, tmp_path / "trace")


@pytest.mark.slow
@pytest.mark.parametrize("name", PEOPLE)
def test_what_a_person_decides_is_kept_once_wherever_it_was_killed(name, stores, story, forking, tmp_path):
    swept(name, story, forking, tmp_path / "trace")


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_any_other_step_killed_at_any_point_is_finished_by_its_retry(name, stores, story, forking, tmp_path):
    swept(name, story, forking, tmp_path / "trace")
