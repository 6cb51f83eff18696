"""Which recipes race over a training set, what each learns from, and which one wins."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from include.domain.recipes import Heat, Known, Raced, Recipe, winner_of
from include.domain.recipes import heat_of as raced_by

WINDOW, SINCE = Recipe.WINDOW, Recipe.SINCE_CHANGE


def days(*rows):
    """So many rows on each day from 1 January 2021 on."""
    return np.repeat([f"2021-01-{i:02d}" for i in range(1, len(rows) + 1)], rows)


def heat_of(days, labels, changed_on) -> Heat | None:
    """How the default recipes race over the rows."""
    return raced_by(Known(days, labels, changed_on))


def of(heat):
    """First and last position that each recipe learns from in the race, and when it has won, and of what is judged."""
    race, won = ({r: (int(p[0]), int(p[-1])) for r, p in rows.items()} for rows in (heat.blocks[0].rows, heat.rows))
    return race, won, (int(heat.judged[0]), int(heat.judged[-1]))


def test_the_window_races_with_what_came_from_the_change_on_and_the_newest_days_judge():
    race, won, judged = of(heat_of(days(100, 100, 100, 100), None, "2021-01-02"))
    assert race == {WINDOW: (0, 299), SINCE: (100, 299)}
    assert won == {WINDOW: (0, 399), SINCE: (100, 399)}
    assert judged == (300, 399)


@pytest.mark.parametrize(("after", "judging"), [(2, 1), (3, 1), (5, 1), (6, 2), (9, 3)])
def test_a_third_of_the_days_since_the_change_judges_and_at_least_one(after, judging):
    heat = heat_of(days(*[100] * (after + 1)), None, "2021-01-02")
    assert len(heat.judged) == judging * 100


def test_a_day_without_rows_counts_for_nothing():
    heat = heat_of(days(100, 100, 0, 0, 0, 0, 100), None, "2021-01-02")
    assert of(heat)[2] == (200, 299)


@pytest.mark.parametrize(
    ("rows", "changed_on"),
    [
        pytest.param((), "2021-01-02", id="no rows"),
        pytest.param((100, 100, 100), None, id="no change"),
        pytest.param((100, 100, 100), "2021-01-03", id="one day since the change"),
        pytest.param((100, 100, 100), "2021-01-01", id="no day before it"),
        pytest.param((100, 100, 100), "2021-01-04", id="no day since it"),
    ],
)
def test_there_is_no_race_without_days_before_the_change_and_two_since(rows, changed_on):
    assert heat_of(days(*rows), None, changed_on) is None


@pytest.mark.parametrize(("learned", "races"), [(100, True), (99, False)])
def test_a_recipe_learns_from_a_hundred_rows_or_more(learned, races):
    assert (heat_of(days(500, learned, 500), None, "2021-01-02") is not None) is races


def test_a_recipe_must_have_learned_each_class():
    asked = days(200, 200, 200)
    both, late = np.arange(600) % 2, np.where(np.arange(600) < 400, 0, np.arange(600) % 2)
    assert heat_of(asked, both, "2021-01-02") is not None
    assert heat_of(asked, late, "2021-01-02") is None


@pytest.mark.parametrize(
    ("losses", "winner"),
    [
        ({"window": 0.2, "since_change": 0.1}, "since_change"),
        ({"window": 0.1, "since_change": 0.2}, "window"),
        ({"window": 0.1, "since_change": 0.1}, "window"),
        ({"window": nan, "since_change": 0.2}, "since_change"),
        ({"window": inf, "since_change": 0.2}, "since_change"),
        ({"window": nan, "since_change": nan}, "window"),
    ],
)
def test_the_lowest_finite_loss_wins_and_of_equal_ones_the_window(losses, winner):
    assert winner_of(losses) == winner


def test_the_race_is_told_in_one_sentence():
    losses = {"window": 0.25, "since_change": 0.125}
    assert Raced("since_change", Recipe.SINCE_CHANGE, losses, 1200, "2021-01-02").sentence == (
        "since_change won the race on 1,200 rows after the change of 2021-01-02: window 0.25, since_change 0.125."
    )
