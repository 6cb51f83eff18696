"""Killed at every point between two writes of opening, registering, promoting, rolling back and closing.

Each step runs once in a child that notes every crash point it passes and every write it makes; then it is killed once
at each of them, run again as Airflow would, and must leave what the undisturbed run left. On either database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from forking import KILLED, Forking
from invariants import check_invariants
from journey_world import NOW, at
from on_databases import BOTH, kept_on
from release_story import Story, left
from swept import PASSED

pytestmark = pytest.mark.slow

SHADOW = {"max_days": 4, "disagreement": [0.00001, 0.2], "p99_delta_at_most": 0.5, "min_days": 1, "min_rows": 100}


def promote(who: str) -> Callable[[Story], tuple[str, list[Any]]]:
    return lambda story: ("include.workflows.tasks:promote", [story.references[who], NOW])


def register(story: Story) -> tuple[str, list[Any]]:
    return "include.workflows.tasks:register_challenger", [story.references["second"], NOW]


def close(story: Story) -> tuple[str, list[Any]]:
    return "include.workflows.tasks:close_journey", [story.references["second"]]


def roll_back(story: Story) -> tuple[str, list[Any]]:
    conf = {"reason": "late flights missed"}
    return "include.workflows.tasks:roll_back", [story.world.model, "rollback-1", conf, "ada"]


def supersede(story: Story) -> tuple[str, list[Any]]:
    conf = {"as_of": at(17).isoformat(), "reason": "newer data", "supersede": True}
    return "include.workflows.tasks:open_journey", [story.world.model, "third", "manual", conf, NOW, "ada"]


STEPS = {
    "supersede": ("registration", supersede),
    "register": ("registration", register),
    "register beside a twin": ("registration beside a twin", register),
    "promote the first": ("first promotion", promote("first")),
    "promote": ("promotion", promote("second")),
    "close the winner": ("close of the winner", close),
    "close a challenger that was not promoted": ("promotion", close),
    "roll back": ("rollback", roll_back),
}


@pytest.fixture(scope="module", params=BOTH)
def database(request: pytest.FixtureRequest, story: Story) -> Iterator[str]:
    with kept_on(request.param) as name:
        yield name


@pytest.fixture(scope="module")
def traces(
    database: str, story: Story, forking: Forking, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What each step passes, undisturbed: crash points by name, and writes as ``write what``."""
    found = {}
    for name, (moment, step) in STEPS.items():
        story.back_to(moment)
        trace = tmp_path_factory.mktemp("trace") / "trace"
        call, args = step(story)
        pid = forking.start(call, *args, FAULT_TRACE=str(trace))
        assert forking.wait(pid) == 0, forking.said(pid)
        found[name] = trace.read_text(encoding="utf-8").splitlines()
    return found


@pytest.mark.parametrize("name", STEPS)
def test_f061_killed_at_any_point_the_retry_leaves_what_an_undisturbed_run_leaves(name, story, forking, traces):
    moment, step = STEPS[name]
    call, args = step(story)
    story.back_to(moment)
    assert forking.run(call, *args) == 0
    expected = left(story.world)
    passed: Counter[str] = Counter()
    points = [line for line in traces[name] if not line.startswith("write ")]
    assert points
    for point in points:
        passed[point] += 1
        where = f"{point}:{passed[point]}"
        story.back_to(moment)
        pid = forking.start(call, *args, FAULT_CRASH=where)
        assert forking.wait(pid) == KILLED, f"{where}: {forking.said(pid)}"
        pid = forking.start(call, *args)
        assert forking.wait(pid) == 0, f"{where}: {forking.said(pid)}"
        assert left(story.world) == expected, where
        if name != "supersede":  # its challenger alias is dropped by the superseded run's own close_journey
            check_invariants(story.world)


@pytest.mark.parametrize("name", STEPS)
def test_between_any_two_writes_of_a_step_stands_a_crash_point(name, traces):
    bare = [(a, b) for a, b in pairwise(traces[name]) if a.startswith("write ") and b.startswith("write ")]
    assert bare == []


@pytest.mark.parametrize("name", STEPS)
def test_a_step_passes_the_crash_points_that_the_list_of_the_sweep_has(name, traces):
    assert {line for line in traces[name] if not line.startswith("write ")} == PASSED[name]
