"""``make bench B=policy``: a row for each world, and what was not come to."""

from __future__ import annotations

import math

from benchmarks.policy import WORLDS, as_table, measured
from benchmarks.policy_lab.study import Outcome
from benchmarks.policy_lab.worlds import KINDS, World


def outcome(world: str, seed: int, cost: float, learned: float = 10.0) -> Outcome:
    return Outcome(world, seed, "today", cost, 100.0, 90.0, 80.0, 2, 2, learned, 1)


def test_a_world_has_its_mean_over_seeds_with_the_interval_and_the_days_until_it_was_learned_from():
    found = [outcome("turned", 0, 81.0, 10.0), outcome("turned", 1, 99.0, 30.0), outcome("turned", 2, 90.0, math.inf)]
    row = as_table(found).splitlines()[-1]
    assert row.startswith("| turned | 3 | 1.000 (0.752–1.248) | 0.900 | 1.125 | 2.0 |")
    assert row.endswith("| 10–30, never in 1 |")


def test_one_seed_has_no_interval_and_a_world_without_change_no_days():
    assert as_table([outcome("quiet", 0, 90.0, math.nan)]).endswith("| quiet | 1 | 1.000 | 0.900 | 1.125 | 2.0 | – |")


def test_a_world_that_was_not_come_to_is_named():
    found, left = measured([World("turned"), World("quiet")], seeds=3, minutes=-1.0)
    assert (found, left) == ([], ["turned", "quiet"])


def test_every_kind_of_change_is_measured_and_so_are_other_learners_delays_sizes_and_tasks():
    assert {world.kind for world in WORLDS} == set(KINDS)
    assert {world.learner for world in WORLDS} == {"linear", "boosting"}
    assert {world.rows_a_day for world in WORLDS} == {50, 200, 5000}
    assert {world.delay_days for world in WORLDS} == {1, 3, 30}
    assert {world.task for world in WORLDS} == {"binary", "regression", "multiclass"}
    assert len({world.name for world in WORLDS}) == len(WORLDS)
