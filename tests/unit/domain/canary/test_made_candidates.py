"""Candidates that are made from past answers do what they are called for, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from include.domain.canary import made_candidates as made
from include.domain.canary.live_rows import ModelAnswer
from include.domain.canary.made_candidates import AskedBefore

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
FAILED = ModelAnswer(True, 90)


def rows(n: int = 2_000, **features: object) -> list[AskedBefore]:
    """Each with a score of its own, and a level that says which row it is."""
    return [
        AskedBefore(
            f"q{i}",
            f"u{i}",
            NOON + timedelta(seconds=i),
            ModelAnswer(False, 100 + i, i / n, "late"),
            {"city": "a", "level": float(i), **features},
        )
        for i in range(n)
    ]


def test_an_equal_one_has_the_champions_scores_in_the_times_of_other_rows():
    asked = rows()
    found = made.equal(asked, 0)
    assert [each.score for each in found] == [row.champion.score for row in asked]
    times = [each.us for each in found]
    assert sorted(times) == [row.champion.us for row in asked]
    assert times != sorted(times)
    assert made.equal(asked, 0) == found


def test_where_the_champion_failed_an_equal_one_failed_too():
    asked = [AskedBefore("q", "u", NOON, FAILED, None), *rows(3)]
    assert [each.failed for each in made.equal(asked, 0)] == [True, False, False, False]
    assert [each.failed for each in made.constant(asked, 0)] == [True, False, False, False]


def test_the_one_that_fails_does_so_for_one_unit_in_twenty_always_the_same():
    asked = rows()
    failed = [each.failed for each in made.failing(asked, 0)]
    assert sum(failed) == pytest.approx(0.05 * len(asked), rel=0.3)
    assert failed == [each.failed for each in made.failing(asked, 1)]


def test_the_slow_one_takes_ten_times_as_long_and_answers_the_same():
    asked = rows(50)
    assert sorted(each.us for each in made.slow(asked, 0)) == [10 * (100 + i) for i in range(50)]
    assert [each.score for each in made.slow(asked, 0)] == [row.champion.score for row in asked]
    several = [AskedBefore("q", "u", NOON, ModelAnswer(False, None, 0.5), None)]
    assert made.slow(several, 0)[0].us is None


def test_the_constant_one_gives_the_usual_answer():
    assert {each.score for each in made.constant(rows(101), 0)} == {50 / 101}
    of_three = [AskedBefore("q", "u", NOON, ModelAnswer(False, 9, (0.2, 0.3, 0.5)), None)]
    assert made.constant(of_three, 0)[0].score == (0.2, 0.3, 0.5)


def test_the_ruined_one_answers_the_opposite_where_the_feature_is_smallest_and_nowhere_else():
    asked = rows(1_000)
    found = made.ruined(asked, "level", 0)
    changed = [i for i, (row, each) in enumerate(zip(asked, found, strict=True)) if each.score != row.champion.score]
    assert changed == list(range(50))
    assert {found[i].score for i in changed} == {0.999}
    of_three = [AskedBefore("q", "u", NOON, ModelAnswer(False, 9, (0.2, 0.3, 0.5)), {"level": 1.0})]
    assert made.ruined(of_three, "level", 0)[0].score == (0.5, 0.3, 0.2)


def test_values_of_other_rows_are_those_of_the_feature_alone():
    asked = rows(100)
    wrong = made.of_other_rows(asked, "level", 0)
    assert sorted(each.features["level"] for each in wrong) == [float(i) for i in range(100)]
    assert [each.features["level"] for each in wrong] != [float(i) for i in range(100)]
    assert {each.features["city"] for each in wrong} == {"a"}
    assert [each.champion for each in wrong] == [row.champion for row in asked]


def test_scores_that_are_no_number_are_failures():
    asked = rows(3)
    found = made.scored(np.array([0.25, np.nan, np.inf]), asked, 0)
    assert [(each.failed, each.score) for each in found] == [(False, 0.25), (True, None), (True, None)]
    several = made.scored(np.array([[0.5, 0.5], [np.nan, 0.5], [0.1, 0.9]]), asked, 0)
    assert [each.score for each in several] == [(0.5, 0.5), None, (0.1, 0.9)]


def test_the_feature_is_the_first_that_is_a_number_on_most_rows_and_not_always_the_same():
    assert made.numeric(rows(10)) == "level"
    assert made.numeric([AskedBefore("q", "u", NOON, FAILED, {"flag": True, "city": "a", "one": 1.0})] * 5) is None
    assert made.numeric([*rows(3), AskedBefore("q", "u", NOON, FAILED, None)]) is None
