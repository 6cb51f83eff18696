"""The guard as a process: killed at each of its crash points, the candidate is out after the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from guard_world import SHARES, GuardWorld
from swept import PASSED
from waiting import eventually

from include.config.settings import PROJECT
from include.serving.breakers import silent_s


@contextmanager
def running_guard(world: GuardWorld, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A guard of the world; killed at the end."""
    config = msgspec.json.encode(world.config).decode()
    child = subprocess.Popen(
        [sys.executable, "-m", "include.serving.guard", config], cwd=PROJECT, env={**os.environ, **environment}
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait(30)


def always(_n: int, _inside: bool) -> bool:
    return True


@pytest.fixture
def world(tmp_path: Path) -> GuardWorld:
    made = GuardWorld(tmp_path)
    made.publish()
    return made


@pytest.mark.parametrize("point", sorted(PASSED["guard"]))
def test_f089_a_guard_that_is_killed_at_a_crash_point_leaves_no_share_after_the_next_start(world, point):
    # It saves first when it begins to follow the rollout.
    nth = 2 if point == "guard.saved" else 1
    with running_guard(world, FAULT_CRASH=f"{point}:{nth}") as child:
        eventually(lambda: silent_s(world.files.folder) < 5)
        world.traffic(400, canary=always)
        assert child.wait(60) == -signal.SIGKILL
    with running_guard(world):
        eventually(lambda: world.share() == 0)
    (kept,) = world.files.breakers()
    assert (kept.kind, kept.told) == ("trip", "")


def test_f083_without_a_ledger_the_share_is_0_soon_after_the_fifth_failure(world):
    with running_guard(world):
        eventually(lambda: silent_s(world.files.folder) < 5)
        world.traffic(100)
        began = time.monotonic()
        world.traffic(400, canary=always)
        eventually(lambda: world.share() == 0)
        print(f"out after {time.monotonic() - began:.2f} s")


def test_a_guard_that_is_told_to_end_keeps_what_it_counted(world):
    with running_guard(world) as child:
        eventually(lambda: silent_s(world.files.folder) < 5)
        world.traffic(200)
        eventually(lambda: (world.files.folder / "seen.json").exists())
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    again = world.guard()
    again.look()
    assert again.state.followed["wind"].counts.now.rows + sum(again.state.followed["wind"].counts.now.others) > 0
    assert world.share() == SHARES[0]
