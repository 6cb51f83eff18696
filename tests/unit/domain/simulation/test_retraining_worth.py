"""What retraining was worth is said on the rows since the first successor served, with an interval."""

from __future__ import annotations

import pytest

from include.domain.simulation.outcome import DayCost, PolicyKind, PolicyOutcome
from include.domain.simulation.retraining_worth import retraining_worth

DAYS = [f"2024-01-{day:02}" for day in range(1, 31)]


def outcome(losses, serving, metric="mae", kind=PolicyKind.DECLARED):
    days = tuple(DayCost(day, 10, loss) for day, loss in zip(DAYS, losses, strict=True))
    return PolicyOutcome("declared", kind, metric, 0.0, (), days, tuple(serving))


def never(losses, metric="mae"):
    return outcome(losses, [(DAYS[0], "a")], metric, PolicyKind.NEVER)


PROMOTED = [(DAYS[0], "a"), (DAYS[9], "b")]
WAVE = [1.0, -1.0, 0.5, -0.5, 0.0] * 6


def test_the_means_are_of_the_rows_since_the_successor_served():
    found = retraining_worth(outcome([90.0] * 9 + [20.0] * 21, PROMOTED), never([90.0] * 9 + [50.0] * 21))
    assert found is not None
    assert (found.start, found.rows, found.with_it, found.without) == (DAYS[9], 210, 2.0, 5.0)
    assert found.gain.total == pytest.approx(21 * 30.0)


def test_a_gain_that_days_show_is_said_with_its_interval_and_share():
    better = outcome([20.0 + w for w in WAVE], PROMOTED)
    found = retraining_worth(better, never([50.0] * 30))
    assert found is not None
    assert found.gain.is_shown
    assert found.sentence.startswith(
        "mae 2 a row with it and 5 without, on 210 rows of 21 days from 2024-01-10 on: 3 less, 60.0% (between 2.9"
    )
    assert "do not tell" not in found.sentence


def test_days_that_scatter_more_than_the_gain_do_not_tell():
    scattered = outcome([49.0 + 20.0 * w for w in WAVE], PROMOTED)
    found = retraining_worth(scattered, never([50.0] * 30))
    assert found is not None
    assert not found.gain.is_shown
    assert found.sentence.endswith("These days do not tell whether it was worth anything.")


def test_a_successor_that_lost_more_is_said_to():
    found = retraining_worth(outcome([60.0 + w for w in WAVE], PROMOTED), never([50.0] * 30))
    assert found is not None
    assert found.gain.high < 0
    assert ": 1 more, 20.0% (between -1" in found.sentence
    assert "do not tell" not in found.sentence


def test_two_days_give_no_interval_and_say_why():
    last = [(DAYS[0], "a"), (DAYS[28], "b")]
    found = retraining_worth(outcome([20.0] * 30, last), never([50.0] * 30))
    assert found is not None
    assert found.sentence.endswith("no interval, because there are 2 days.")


def test_a_root_of_squared_errors_is_not_what_is_summed():
    found = retraining_worth(outcome([20.0] * 30, PROMOTED, "rmse"), never([50.0] * 30, "rmse"))
    assert found is not None
    assert found.sentence.startswith("squared error 2 a row")


def test_without_a_promotion_nothing_is_said_to_be_worth_something():
    assert retraining_worth(outcome([20.0] * 30, [(DAYS[0], "a")]), never([20.0] * 30)) is None
