"""How uncertain the difference of two models is: over days and over rows, and never less than either."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan, sqrt

import numpy as np
import pytest
from scipy.stats import chi2, nct, norm, skew, t, ttest_rel

from include.domain.blocks import Blocks, ece_noise
from include.domain.day_means import DaySpread, waves
from include.domain.delong import delong
from include.domain.influences import influences
from include.domain.metrics import Task, metric_of
from include.domain.paired_spread import PairedSpread, RowSpread, at_random, paired_spread

ALPHA = 0.05


def row_spread(error=0.02, freedom=20.0, skew=0.0) -> RowSpread:
    return RowSpread(error, freedom, lambda scale: freedom * scale, skew)


def day_spread(**changed) -> DaySpread:
    return replace(DaySpread(days=14, freedom=4, slow=0.02, plain=0.01, skew=0.0, lag=0.2), **changed)


def upper_quartile(error: float, freedom: float) -> float:
    """The error of which three in four estimates are below, given one estimate."""
    return error * sqrt(freedom / chi2.ppf(0.25, freedom))


# --- rows ------------------------------------------------------------------------------------------------------------


def test_without_skewness_a_bound_is_students():
    assert row_spread().half(ALPHA, upper=True) == pytest.approx(t.isf(ALPHA, 20) * 0.02)
    assert row_spread().half(ALPHA, upper=False) == row_spread().half(ALPHA, upper=True)


@pytest.mark.parametrize(("long_tail", "upper"), [(0.3, True), (-0.3, False)])
def test_the_bound_on_the_side_of_the_long_tail_is_wider_by_johnsons_term_and_the_other_is_students(long_tail, upper):
    spread, student = row_spread(skew=long_tail), t.isf(ALPHA, 20)
    assert spread.half(ALPHA, upper=upper) == pytest.approx((student + 0.3 * (2 * student**2 + 1) / 6) * 0.02)
    assert spread.half(ALPHA, upper=not upper) == pytest.approx(student * 0.02)


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("long_tail", [0.0, 0.4, -0.4])
def test_an_equal_candidate_passes_as_often_as_its_bound_is_within_the_margin(scale, long_tail):
    """On more rows the margin is more errors wide, the degrees of freedom grow and the skewness shrinks."""
    margin, error, freedom = 0.05, upper_quartile(0.02, 20), 20 * scale
    reach = t.isf(ALPHA, freedom) + max(long_tail, 0) / sqrt(scale) / 2
    expected = nct.sf(reach, freedom, margin * sqrt(scale) / error)
    assert row_spread(skew=long_tail).chance(margin, scale, ALPHA) == pytest.approx(expected, abs=1e-6)


def test_with_very_many_rows_the_chance_is_the_normals():
    reach = 0.05 / upper_quartile(0.02, 1e5) - norm.isf(ALPHA)
    assert row_spread(freedom=1e5).chance(0.05, 1.0, ALPHA) == pytest.approx(norm.cdf(reach), abs=1e-4)
    assert row_spread(error=1e-4).chance(0.05, 1.0, ALPHA) == 1.0, "and so it is far beyond the margin"


@pytest.mark.parametrize(("margin", "chance"), [(0.01, 1.0), (0.0, 1.0), (-0.01, 0.0)])
def test_a_difference_that_does_not_vary_is_within_the_margin_or_is_not(margin, chance):
    assert row_spread(error=0.0).chance(margin, 1.0, ALPHA) == chance


# --- days ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "freedom"), [(0.1, 1.0), (0.5, 2.0), (1.0, 4.0), (2.0, 6.0)])
def test_of_more_days_more_waves_are_taken_and_an_equal_candidate_passes_oftener(scale, freedom):
    """Slow and plain errors shrink alike; of days without skewness the bound is Student's."""
    expected = nct.sf(
        day_spread(days=max(round(14 * scale), 2), freedom=freedom, slow=1.0, plain=0.5).half(ALPHA, upper=True),
        freedom,
        0.1 * sqrt(scale) / upper_quartile(0.02, 4),
    )
    found = PairedSpread(0.0, day_spread(), None, "")
    assert found.chance(0.1, scale, ALPHA) == pytest.approx(expected, abs=1e-6)


def test_there_is_one_wave_fewer_than_days_at_most():
    """Of 3.5 days two waves are asked for, twice as many for days in turns, and 2.5 are there."""
    turns = day_spread(days=7, freedom=2 * waves(7), lag=-0.3)
    reach = replace(turns, days=4, freedom=2, slow=1.0, plain=0.5).half(ALPHA, upper=True)
    expected = nct.sf(reach, 2.5, 0.1 * sqrt(0.5) / upper_quartile(0.02, 4))
    assert PairedSpread(0.0, turns, None, "").chance(0.1, 0.5, ALPHA) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("slow", "plain"), [(0.02, 0.05), (0.0, 0.01)])
def test_the_larger_of_both_errors_of_skewed_days_is_that_of_more_days_too(slow, plain):
    skewed = day_spread(slow=slow, plain=plain, skew=0.3)
    ratio = plain / slow if slow else 1.0
    reach = day_spread(days=28, freedom=waves(28), slow=1.0, plain=ratio, skew=0.3 / sqrt(2)).half(ALPHA, upper=True)
    error = upper_quartile(slow, 4)
    expected = nct.sf(reach, waves(28), 0.1 * sqrt(2) / error) if slow else 1.0
    assert PairedSpread(0.0, skewed, None, "").chance(0.1, 2.0, ALPHA) == pytest.approx(expected, abs=1e-6)


def test_days_that_were_asked_for_twice_the_waves_are_asked_so_again():
    twice = day_spread(freedom=2 * waves(14), lag=-0.3)
    expected = nct.sf(t.isf(ALPHA, 2 * waves(28)), 2 * waves(28), 0.1 * sqrt(2) / upper_quartile(0.02, 8))
    assert PairedSpread(0.0, twice, None, "").chance(0.1, 2.0, ALPHA) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("tail", ["skew", "row_skew"])
def test_skewness_shrinks_with_the_root_of_the_days_and_a_short_tail_promises_nothing(tail):
    def chance(value, scale):
        return PairedSpread(0.0, day_spread(**{tail: value}), None, "").chance(0.1, scale, ALPHA)

    halves = chance(0.4, 4.0) - chance(0.2, 4.0)
    assert chance(0.4, 1.0) < chance(0.0, 1.0)
    assert halves < 0
    assert chance(-0.4, 1.0) == chance(0.0, 1.0)
    by_hand = day_spread(days=56, freedom=waves(56), slow=1.0, plain=0.5, **{tail: 0.4 / 2}).half(ALPHA, upper=True)
    expected = nct.sf(by_hand, waves(56), 0.1 * 2 / upper_quartile(0.02, 4))
    assert chance(0.4, 4.0) == pytest.approx(expected, abs=1e-6)


def test_equal_days_are_within_the_margin():
    assert PairedSpread(0.0, day_spread(slow=0.0, plain=0.0), None, "").chance(0.01, 1.0, ALPHA) == 1


# --- both ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "rows", "wider"),
    [
        pytest.param(day_spread(slow=0.05), row_spread(), "days", id="days are wider"),
        pytest.param(day_spread(), row_spread(error=0.05), "rows", id="rows are wider"),
        pytest.param(day_spread(), None, "days", id="only days"),
        pytest.param(None, row_spread(), "rows", id="only rows"),
    ],
)
def test_the_wider_of_days_and_rows_counts_and_the_bias_is_added_on_both_sides(days, rows, wider):
    spread = PairedSpread(0.3, days, rows, "", inflation=0.01)
    half = {"days": days, "rows": rows}[wider].half(ALPHA, upper=True)
    assert spread.bounds(ALPHA) == pytest.approx((0.3 - half - 0.01, 0.3 + half + 0.01))
    chances = [PairedSpread(0.3, days, None, "")] * (days is not None)
    chances += [PairedSpread(0.3, None, rows, "")] * (rows is not None)
    expected = min(each.chance(0.1 - 0.01 / 2, 4.0, ALPHA) for each in chances)
    assert spread.chance(0.1, 4.0, ALPHA) == pytest.approx(expected)


def test_the_bounds_of_a_skewed_difference_are_each_of_its_own_side():
    spread = PairedSpread(0.3, day_spread(skew=0.2), row_spread(skew=0.3), "")
    low, high = (max(each.half(ALPHA, upper=upper) for each in (spread.days, spread.rows)) for upper in (False, True))
    assert spread.bounds(ALPHA) == pytest.approx((0.3 - low, 0.3 + high))
    assert high > 1.2 * low


@pytest.mark.parametrize("worse", [nan, inf])
def test_a_spread_is_known_where_each_of_its_parts_is_a_number(worse):
    known = PairedSpread(0.1, day_spread(), row_spread(), "")
    assert known.is_known
    assert replace(known, days=None).is_known
    assert replace(known, rows=None).is_known
    assert not replace(known, difference=worse).is_known
    assert not replace(known, days=day_spread(slow=worse)).is_known
    assert not replace(known, rows=row_spread(error=worse)).is_known


# --- from scores -----------------------------------------------------------------------------------------------------


def scores(rows: int = 280, task: Task = Task.REGRESSION):
    rng = np.random.default_rng(5)
    if task is Task.BINARY:
        y = (rng.random(rows) < 0.4).astype(float)
        return y, *(np.clip(0.3 * y + 0.6 * rng.random(rows), 0.01, 0.99) for _ in range(2))
    y = rng.normal(size=rows)
    return y, y + rng.gamma(1.0, 1.3, rows), y + rng.gamma(1.0, 1.0, rows)


def test_of_independent_rows_two_areas_are_compared_by_delong():
    y, ours, theirs = scores(task=Task.BINARY)
    found, areas = (
        paired_spread(metric_of(Task.BINARY, "roc_auc"), y, ours, theirs, None),
        delong(y, ours, theirs),
    )
    assert (found.method, found.days, found.inflation) == ("DeLong, paired", None, 0)
    assert found.difference == areas.second - areas.first
    assert (found.rows.error, found.rows.freedom, found.rows.skew) == (areas.error, areas.freedom, 0)
    assert found.rows.freedom_at(3.0) == pytest.approx(3 * areas.freedom)


def test_of_independent_rows_two_means_are_compared_by_students_t_with_the_rows_skewness():
    y, ours, theirs = scores()
    found = paired_spread(metric_of(Task.REGRESSION, "mae"), y, ours, theirs, None)
    losses = abs(y - ours), abs(y - theirs)
    student = ttest_rel(*losses)
    assert found.method == "Student's t over rows"
    assert found.difference == pytest.approx(losses[0].mean() - losses[1].mean())
    assert found.difference / found.rows.error == pytest.approx(student.statistic)
    assert (found.rows.freedom, found.rows.freedom_at(2.0), found.rows.freedom_at(1e-9)) == (279, 559, 1)
    by_hand = skew(losses[0] - losses[1]) * (279 / 280) ** 1.5 / sqrt(280)
    assert found.rows.skew == pytest.approx(by_hand)


def test_equal_models_have_no_spread_and_no_skewness_over_rows():
    y, ours, _ = scores()
    found = paired_spread(metric_of(Task.REGRESSION, "mae"), y, ours, ours, None)
    assert (found.difference, found.rows.error, found.rows.skew) == (0, 0, 0)


def test_a_metric_that_is_no_mean_is_jackknifed_over_random_groups_or_by_its_rows_where_these_vary_more():
    y, ours, theirs = scores()
    metric = metric_of(Task.REGRESSION, "rmse")
    found, groups = paired_spread(metric, y, ours, theirs, None), at_random(280).codes

    def worse(kept):
        return metric.value(y[kept], ours[kept]) - metric.value(y[kept], theirs[kept])

    whole = worse(groups >= 0)
    jackknife = sqrt(49 / 50 * sum((worse(groups != g) - whole) ** 2 for g in range(50)))
    by_row = influences(metric, y, ours) - influences(metric, y, theirs)
    assert found.method == "jackknife over 50 random groups, Student's t"
    assert (found.days, found.difference) == (None, pytest.approx(whole))
    assert found.rows.error == pytest.approx(max(jackknife, by_row.std(ddof=1) / sqrt(280)))
    assert found.rows.skew == pytest.approx(skew(by_row) * (279 / 280) ** 1.5 / sqrt(280), rel=1e-6)
    assert (found.rows.freedom, found.rows.freedom_at(9.0)) == (49, 49)


def test_groups_are_fifty_or_as_many_as_there_are_rows():
    assert [at_random(rows).count for rows in (30, 50, 51, 5000)] == [30, 50, 50, 50]
    assert at_random(30).drawn


@pytest.mark.parametrize(("task", "name"), [(Task.REGRESSION, "mae"), (Task.BINARY, "accuracy")])
def test_of_days_with_equally_many_rows_the_influences_are_the_days_own_means(task, name):
    y, ours, theirs = scores(task=task)
    days = np.arange(280) % 14
    metric = metric_of(task, name)
    found = paired_spread(metric, y, ours, theirs, Blocks.of(days))
    each = metric.worse_sign * (metric.per_row(y, ours) - metric.per_row(y, theirs))
    by_day = np.array([each[days == day].mean() for day in range(14)])
    expected = DaySpread.of(by_day - by_day.mean())
    assert found.difference == pytest.approx(each.mean())
    assert (found.days.slow, found.days.plain, found.days.skew, found.days.lag) == pytest.approx(
        (expected.slow, expected.plain, expected.skew, expected.lag)
    )
    assert found.days.row_skew == pytest.approx(skew(each) * (279 / 280) ** 1.5 / sqrt(280))
    assert found.rows.error == pytest.approx(each.std(ddof=1) / sqrt(280))
    assert found.method == f"jackknife over 14 days, EWC with {expected.freedom} waves"


@pytest.mark.parametrize("drawn", [True, False])
def test_rows_that_count_differently_are_judged_by_their_days_or_groups_alone(drawn):
    y, ours, theirs = scores()
    blocks = replace(Blocks.of(np.arange(280) % 14), weight=np.linspace(1, 2, 280), drawn=drawn)
    found = paired_spread(metric_of(Task.REGRESSION, "mae"), y, ours, theirs, blocks)
    assert (found.days is None, found.rows is None) == (drawn, not drawn)
    assert (found.rows.skew, found.rows.freedom) == (0, 13) if drawn else found.days.row_skew == 0


def test_a_calibration_error_is_wider_by_what_noise_alone_gives_the_champion():
    y, ours, theirs = scores(task=Task.BINARY)
    blocks = Blocks.of(np.arange(280) % 14)
    found = paired_spread(metric_of(Task.BINARY, "ece"), y, ours, theirs, blocks)
    assert found.inflation == ece_noise(y, theirs, blocks)
    assert (found.inflation > 0, found.rows) == (True, None)
    assert paired_spread(metric_of(Task.BINARY, "brier"), y, ours, theirs, blocks).inflation == 0
