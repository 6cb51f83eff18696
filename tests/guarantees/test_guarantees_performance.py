"""Realised performance: how often a champion in its band is called out, and how soon one that left it is."""

import math
from datetime import date, timedelta

import numpy as np
import pytest
from days_of_losses import FIRST, cohorts, judged
from scipy import stats

from include.domain.losses import DayLoss
from include.domain.risk_bounds import Unit


def days_of_weather(rng, days, *, mean=0.14, sd=0.03, carry_over=0.0, skewed=False):
    """Day means around ``mean``; with ``carry_over`` a bad day is followed by another one, skewed means storms."""
    level = rng.normal(size=days)
    for i in range(1, days):
        level[i] = carry_over * level[i - 1] + math.sqrt(1 - carry_over**2) * level[i]
    if skewed:
        level = (np.exp(0.6 * level) - math.exp(0.18)) / math.sqrt((math.exp(0.36) - 1) * math.exp(0.36))
    return mean + sd * level


def first_alarm(past, current, **options):
    """The 1-based day on which two of the last three looks were out of band; None when none was."""
    seen: list[bool] = []
    for i in range(len(current)):
        seen.append(bool(judged(current[: i + 1], past, **options).out_of_band))
        if seen[-1] and sum(seen[-3:]) >= 2:
            return i + 1
    return None


def alarm_days(runs, seed, *, rise, days, past_days=14, tolerance=0.005, **weather):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        means = days_of_weather(rng, past_days + days, **weather)
        means[past_days:] += rise
        past = cohorts(means[:past_days], start=FIRST - timedelta(days=past_days))
        found.append(first_alarm(past, cohorts(means[past_days:]), tolerance=tolerance))
    return found


TWO_MONTHS = 60 / 365
"""How often a champion in its band may be called out within 60 days, at the default run length of a year."""
CHAMPIONS = [25, pytest.param(400, marks=pytest.mark.slow)]


@pytest.mark.parametrize("champions", CHAMPIONS)
def test_a_champion_in_its_band_is_called_out_at_most_once_a_year(champions):
    alarms = alarm_days(champions, 1, rise=0.0, days=60)
    assert sum(a is not None for a in alarms) <= stats.binom.isf(0.001, champions, TWO_MONTHS)


@pytest.mark.parametrize("champions", CHAMPIONS)
def test_nor_more_often_where_storms_last_and_come_in_rows(champions):
    alarms = alarm_days(champions, 2, rise=0.0, days=60, carry_over=0.3, skewed=True)
    assert sum(a is not None for a in alarms) <= stats.binom.isf(0.001, champions, TWO_MONTHS)


@pytest.mark.parametrize(
    ("past_days", "tolerance"),
    [
        pytest.param(14, 0.0, id="two weeks of holdout, no tolerance"),
        pytest.param(28, 0.005, id="four weeks of holdout, a tolerance of 0.005"),
    ],
)
@pytest.mark.parametrize("champions", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_a_rise_from_0_14_to_0_18_is_found_within_four_weeks_more_often_than_not(past_days, tolerance, champions):
    alarms = alarm_days(champions, 3, rise=0.04, days=28, past_days=past_days, tolerance=tolerance)
    assert np.median([a or 99 for a in alarms]) <= 28


def test_a_rise_to_three_spreads_more_is_found_within_two_weeks():
    alarms = alarm_days(60, 5, rise=0.09, days=14, tolerance=0.005)
    assert sum(a is not None for a in alarms) >= 0.9 * 60


def test_power_does_not_fade_with_the_age_of_the_champion():
    """The same rise after 14 quiet days and after two years."""

    def found(age):
        rng = np.random.default_rng(8)
        caught = 0
        for _ in range(40):
            means = days_of_weather(rng, 14 + age + 14)
            means[-14:] += 0.06
            past = cohorts(means[:14], start=FIRST - timedelta(days=14))
            caught += bool(judged(cohorts(means[14:]), past, tolerance=0.0).out_of_band)
        return caught / 40

    young, old = found(14), found(730)
    assert young >= 0.5
    assert old >= 0.9 * young


def test_the_change_point_is_near_the_first_day_of_the_rise():
    rng = np.random.default_rng(9)
    apart = []
    for _ in range(40):
        means = days_of_weather(rng, 14 + 30 + 14)
        means[-14:] += 0.1
        found = judged(cohorts(means[14:]), cohorts(means[:14], start=FIRST - timedelta(days=14)))
        if found.changed_on:
            apart.append(abs((date.fromisoformat(found.changed_on) - FIRST).days - 30))
    assert len(apart) >= 30
    assert np.median(apart) <= 2


def test_taking_rows_of_one_day_as_independent_would_cry_wolf():
    """Why the day is the default unit: the same quiet champions, judged by rows."""
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(30):
        means = days_of_weather(rng, 44)
        past, current = cohorts(means[:14], start=FIRST - timedelta(days=14)), cohorts(means[14:])
        alarms += first_alarm(past, current, unit=Unit.ROW) is not None
    assert alarms > 30 * 0.15


@pytest.mark.parametrize("metric", ["error", "log_loss"])
@pytest.mark.parametrize("runs", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_exchangeable_rows_are_ever_called_out_at_most_alpha_of_the_times(metric, runs):
    """One look a cohort of 100 rows, 10,000 rows a run; error is bounded (empirical Bernstein), log loss is not."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(runs):
        past, current = rows_without_drift(rng, metric)
        alarms += any(
            judged(current[: i + 1], past, metric=metric, tolerance=0.0, unit=Unit.ROW).out_of_band
            for i in range(9, 100, 3)
        )
    assert alarms <= stats.binom.isf(0.001, runs, 0.05)


def rows_without_drift(rng, metric, *, rise=0.0, cohort=100, count=100):
    def losses(n, share):
        wrong = rng.random((n, cohort)) < share
        values = wrong.astype(float) if metric == "error" else np.where(wrong, 1.8, 0.18)
        return values.mean(axis=1), (values**2).mean(axis=1)

    def days(n, share, start):
        mean, square = losses(n, share)
        return tuple(
            DayLoss((start + timedelta(days=i)).isoformat(), cohort, cohort * float(m), cohort * float(s))
            for i, (m, s) in enumerate(zip(mean, square, strict=True))
        )

    return days(200, 0.2, FIRST - timedelta(days=200)), days(count, 0.2 + rise, FIRST)


def test_three_points_more_error_are_found_within_three_thousand_rows_where_rows_are_exchangeable():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(25):
        past, current = rows_without_drift(rng, "error", rise=0.03, count=60)
        past = tuple(DayLoss(d.day, 10 * d.rows, 10 * d.total, 10 * d.squares) for d in past)
        seen = (
            i + 1
            for i in range(9, 60)
            if judged(current[: i + 1], past, metric="error", tolerance=0.0, unit=Unit.ROW, window_days=30).out_of_band
        )
        found.append(100 * next(seen, 99))
    assert np.median(found) <= 3000
