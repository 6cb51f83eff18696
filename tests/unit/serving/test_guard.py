"""The guard: a candidate that does harm has no share any more, without a ledger, wherever the guard is killed."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import guard_world
import msgspec
import pytest
from guard_world import CANDIDATE, MODEL, NOON, SHARES, GuardWorld

from include.adapters.boot_clock import boot_seconds
from include.domain.canary.harm import Harmed
from include.serving import guard as guarding
from include.serving.breakers import BEAT, beat, silent_s

NOTHING = timedelta(0)


@pytest.fixture
def world(tmp_path: Path) -> GuardWorld:
    made = GuardWorld(tmp_path)
    made.publish()
    return made


def every(n: int):
    """Fails on each n-th row."""
    return lambda at, _inside: at % n == 0


def test_f083_a_candidate_that_fails_is_out_by_the_hard_wire_at_the_first_look_after_its_fifth_failure(world):
    guard = world.guard()
    assert guard.look() == []
    world.traffic(200, canary=every(1))
    (done,) = guard.look()
    assert (done.kind, done.candidate, done.number, done.route_revision) == ("trip", CANDIDATE, 1, 2)
    assert done.reason == "The canary failed on 5 of 20 rows that the champion answered."
    assert world.share() == 0
    assert world.writer.current().arms[MODEL].ended == done.reason
    assert world.files.breakers() == [done]
    assert guard.look() == [], "once"


def test_f083_fewer_failures_than_the_wire_are_out_by_evidence(world):
    guard = world.guard()
    guard.look()
    done = []
    while not done and world.asked < 4_000:
        world.traffic(20, canary=lambda _n, _inside: world.asked % 7 == 0)
        done = guard.look()
    assert "more failures" in done[0].reason
    assert done[0].evidence["criterion"] == "more failures"
    assert world.asked < 2_500
    assert world.share() == 0


def test_f084_ten_times_the_champions_time_without_a_failure_is_out_by_slow_answers(world):
    world.writer.publish(world.writer.current().models, NOON)
    guard = world.guard()
    world.traffic_without_share(1_100)
    guard.look()
    world.publish(revision=3)
    guard.look()
    world.times_us["canary"] = 1_000
    done = []
    while not done and world.asked < 3_000:
        world.traffic(20, revision=3)
        done = guard.look()
    assert "more slow answers" in done[0].reason
    assert world.asked < 1_500


def test_f085_what_both_fail_on_holds_and_blames_neither(world):
    guard = world.guard()
    guard.look()
    world.traffic(400, canary=every(1), champion=every(1))
    (done,) = guard.look()
    assert done.kind == "hold"
    assert "neither is blamed" in done.reason
    assert world.share() == 0


def test_f171_a_failing_champion_beside_a_whole_candidate_is_no_reason(world):
    guard = world.guard()
    guard.look()
    for _ in range(10):
        world.traffic(100, champion=lambda n, inside: not inside)
        assert guard.look() == []
    assert guard.state.followed[MODEL].counts.evidence(NOTHING).failed[0].canary == 0


def test_f173_units_that_are_not_drawn_as_declared_hold(world, monkeypatch):
    monkeypatch.setattr(guard_world, "within", lambda at, share: at % 100 < 10)
    guard = world.guard()
    guard.look()
    world.traffic(3_000)
    (done,) = guard.look()
    assert done.kind == "hold"
    assert "do not come into the canary as drawn" in done.reason


def test_an_equal_candidate_goes_on(world):
    guard = world.guard()
    for _ in range(20):
        world.traffic(200, canary=every(200), champion=every(200))
        assert guard.look() == []
    assert world.share() == SHARES[0]


def test_f087_without_traffic_nothing_is_decided_here(world):
    guard = world.guard()
    assert [guard.look() for _ in range(3)] == [[], [], []]
    assert world.share() == SHARES[0]


def test_f095_it_looks_while_the_ledger_is_away_and_a_lease_that_is_over_ends_the_share_without_it(world):
    arm = world.writer.current().arms[MODEL]
    over = msgspec.structs.replace(arm, until_s=boot_seconds() - 1.0)
    world.writer.publish(world.writer.current().models, NOON, {MODEL: over})
    assert world.share() == 0
    assert world.guard().look() == []


def test_a_rollout_whose_rules_are_not_known_has_no_share(tmp_path):
    world = GuardWorld(tmp_path)
    world.publish(rules=False)
    world.guard().look()
    (kept,) = world.files.breakers()
    assert (kept.kind, world.share()) == ("hold", 0)
    assert "What it is judged by is not known" in kept.reason


def test_f089_a_guard_that_is_killed_goes_on_where_it_was(world):
    guard = world.guard()
    guard.look()
    for _ in range(4):
        world.traffic(100, canary=lambda _n, _inside: world.asked % 9 == 0)
        guard.look()
        guard.save()
        guard = world.guard()
    counts = guard.state.followed[MODEL].counts
    (exposed,) = counts.evidence(NOTHING).exposed
    assert exposed.canary + exposed.champion == 400
    assert (counts.repeated, counts.outside) == (0, 0)


def test_f089_a_guard_that_is_killed_without_saving_reads_again_and_counts_nothing_twice(world):
    guard = world.guard()
    guard.look()
    guard.save()
    world.traffic(300)
    guard.look()
    again = world.guard()
    again.look()
    now, before = (g.state.followed[MODEL].counts.evidence(NOTHING) for g in (again, guard))
    assert now == before


@pytest.mark.parametrize("point", ["guard.decided", "guard.kept", "guard.ended", "guard.saved"])
def test_f089_wherever_it_is_killed_the_next_one_finds_the_candidate_out_or_takes_it_out(world, monkeypatch, point):
    class Killed(BaseException):
        pass

    def kill(name: str) -> None:
        if name == point:
            raise Killed

    guard = world.guard()
    guard.look()
    guard.save()
    world.traffic(300, canary=every(1))
    monkeypatch.setattr(guarding, "crashpoint", kill)
    with pytest.raises(Killed):
        guard.look()
    monkeypatch.setattr(guarding, "crashpoint", lambda _name: None)
    world.guard().look()
    (kept,) = world.files.breakers()
    assert (kept.kind, kept.told, world.share()) == ("trip", "", 0)


def test_a_state_that_cannot_be_read_is_said_and_counted_again_from_the_journal(world):
    guard = world.guard()
    world.traffic(200)
    guard.look()
    guard.save()
    (Path(world.config.folder) / "state.bin").write_bytes(b"\xc1 nothing")
    again = world.guard()
    assert "counting begins again" in again.damaged
    again.look()
    assert again.state.followed[MODEL].counts.now.rows == guard.state.followed[MODEL].counts.now.rows


def test_rows_of_a_route_before_the_rollout_are_another_rollouts(world):
    world.publish(revision=7)
    guard = world.guard()
    guard.look()
    world.traffic(200, canary=every(1), revision=3)
    assert guard.look() == []


def test_a_next_step_is_judged_by_its_own_rows_and_the_harmed_units_of_all(world):
    guard = world.guard()
    guard.look()
    world.traffic(400, champion=lambda n, inside: not inside and n % 50 == 0)
    guard.look()
    world.publish(revision=3, share=SHARES[1])
    guard.look()
    found = guard.state.followed[MODEL].counts.evidence(NOTHING)
    assert (found.step, found.rows) == (1, 0)
    assert found.failed[0] == Harmed(SHARES[0], 0, found.failed[0].champion)
    assert found.failed[0].champion > 3


def test_it_says_that_it_looks_by_a_clock_that_is_never_set(world, tmp_path):
    folder = tmp_path / "serve" / "guard"
    assert silent_s(folder) == float("inf")
    world.guard().look()
    assert silent_s(folder) < 5
    os.utime(folder / BEAT, (boot_seconds() - 60, boot_seconds() - 60))
    assert 59 < silent_s(folder) < 70
    os.utime(folder / BEAT, (time.time() + 1e9, time.time() + 1e9))
    assert silent_s(folder) == float("inf"), "another start of the machine wrote it"
    beat(folder)
    assert silent_s(folder) < 5
