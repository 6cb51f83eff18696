"""Advice: chosen on the first part of a past, and only given where the rest shows it."""

from __future__ import annotations

import numpy as np
import pytest

from include.domain.intervals import Interval
from include.domain.simulation.advice import (
    AdviceAnswer,
    PastTooShort,
    Trial,
    answer_of,
    cheapest,
    gain_over_days,
    parts_of,
)

DAYS = 60


def trial(name: str, cost: float) -> Trial:
    return Trial(name, (), cost, 0, cost)


def test_the_days_that_choose_and_the_days_that_confirm_are_the_whole_and_share_none():
    whole = Interval.between("2024-01-01", "2024-03-31")
    first, rest = parts_of(whole)
    assert (first.start, first.end, rest.end) == (whole.start, rest.start, whole.end)


def test_a_past_too_short_to_confirm_anything_is_refused_with_the_days_it_takes():
    with pytest.raises(PastTooShort, match=r"--advise needs 50 days.*2024-01-01 to 2024-02-09 are 39"):
        parts_of(Interval.between("2024-01-01", "2024-02-09"))


def test_of_equal_costs_what_is_declared_stays():
    declared = trial("declared", 5.0)
    assert cheapest([declared, trial("weekly", 5.0)]) is declared
    assert answer_of(declared, declared, None) is AdviceAnswer.KEEP


@pytest.mark.parametrize(("gained", "answer"), [(2.0, AdviceAnswer.CHANGE), (0.0, AdviceAnswer.NOT_SHOWN)])
def test_a_cheaper_trial_is_advised_only_where_the_rest_shows_it(gained, answer):
    noise = np.random.default_rng(1).normal(0.0, 1.0, DAYS)
    gain = gain_over_days(10.0 + gained + noise, np.full(DAYS, 10.0))
    assert answer_of(trial("declared", 9.0), trial("weekly", 8.0), gain) is answer


def test_a_gain_without_dependable_days_has_no_interval_and_is_not_shown():
    found = gain_over_days([3.0] * 2, [1.0] * 2)
    assert (found.total, found.is_shown) == (4.0, False)
    assert found.as_json()["low"] is None
    assert "there are 2 days" in (found.why_unknown or "")


@pytest.mark.parametrize(("lag", "at_most"), [(0.0, 0.035), (0.3, 0.055), (0.5, 0.075)])
def test_without_a_gain_one_is_rarely_shown_whatever_neighbouring_days_share(lag, at_most):
    """The promise is 2.5 % on independent days; a rate of twice what is promised would break each bound."""
    rng, runs = np.random.default_rng(7), 1500
    steps = rng.normal(size=(runs, DAYS + 50))
    days = np.zeros_like(steps)
    for i in range(1, steps.shape[1]):
        days[:, i] = lag * days[:, i - 1] + steps[:, i]
    shown = sum(gain_over_days(run, np.zeros(DAYS)).is_shown for run in days[:, 50:])
    assert shown / runs <= at_most
