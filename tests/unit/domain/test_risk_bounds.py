"""The bounds of a risk on few days, each worked out row by row or one sequence at a time."""

import math
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from include.domain.drift.e_detector import rise
from include.domain.drift.sequences import bernstein_bound, t_bound
from include.domain.losses import DayLoss
from include.domain.performance import RealisedPerformance, realised_performance
from include.domain.risk_bounds import Band, Unit

FIRST = date(2013, 6, 1)
BAND = Band("mae", 0.01)


def cohorts(means, *, rows=100, start=FIRST, within=0.1):
    """Days with these mean losses; ``rows`` of all, or of each."""
    each = [rows] * len(means) if isinstance(rows, int) else rows
    return tuple(
        DayLoss((start + timedelta(days=i)).isoformat(), n, n * m, n * (m * m + within**2))
        for i, (m, n) in enumerate(zip(means, each, strict=True))
    )


def held_out(means, **given):
    return cohorts(means, start=FIRST - timedelta(days=len(means)), **given)


PAST = held_out([0.10, 0.14, 0.11, 0.16, 0.12, 0.15, 0.09, 0.13])


# --- by rows ----------------------------------------------------------------------------------------------------------


def test_by_rows_the_interval_is_split_in_proportion_to_the_variances():
    now = cohorts([0.20, 0.24, 0.22], rows=[100, 50, 150])
    found = realised_performance(PAST, now, BAND, unit=Unit.ROW, min_rows=300)
    many, few = 800, 300
    usual = sum(d.total for d in PAST) / many
    risk = sum(d.total for d in now) / few
    squares = sum(d.squares for d in (*PAST, *now)) - many * usual**2 - few * risk**2
    precision = 1 / many + 1 / few
    # A tenth of the root of a typical day's rows; the first of the sequences has half of alpha.
    far = t_bound(many + few - 2, 1 / precision, 1 / math.sqrt(100), 0.05 / 2)
    half = far * math.sqrt(squares / (many + few - 2) * precision)
    part = (1 / few) / precision
    assert found.reference_risk == pytest.approx(usual)
    assert found.risk == pytest.approx(risk)
    assert (found.low, found.high) == pytest.approx((risk - half * part, risk + half * part))
    assert found.reference_high == pytest.approx(usual + half * (1 - part))
    assert (found.run_length_days, found.evidence, found.lag, found.changed_on) == (None, None, None, None)


def test_by_rows_a_bounded_loss_has_bounds_from_how_well_earlier_days_predict_it():
    wrong = {"past": [20, 30, 10, 25], "now": [40, 35, 45]}
    past = held_out([w / 100 for w in wrong["past"]])
    past = tuple(replace(d, squares=d.total) for d in past)
    now = tuple(replace(d, squares=d.total) for d in cohorts([w / 100 for w in wrong["now"]]))
    found = realised_performance(past, now, Band("error", 0.0), unit=Unit.ROW, min_rows=100, window_days=5)

    def missed(days, guess):
        """Row by row: the squared distance of each loss from the mean of all rows of the days before."""
        total = seen = away = 0.0
        for bad in days:
            away += bad * (1 - guess) ** 2 + (100 - bad) * guess**2
            total, seen = total + bad, seen + 100
            guess = total / seen
        return away

    usual, risk = 85 / 400, 120 / 300
    variance = usual * (1 - usual)
    half = bernstein_bound(300, missed(wrong["now"], usual), variance * 100 * 5, 0.05 / 4)
    above = bernstein_bound(400, missed(wrong["past"], 0.5), variance * 400, 0.05 / 4)
    assert (found.low, found.high) == pytest.approx((risk - half, risk + half))
    assert found.reference_high == pytest.approx(usual + above)


def test_the_bounds_of_an_error_stay_between_none_and_all():
    def sure(share, start):
        return tuple(replace(d, squares=d.total) for d in cohorts([share] * 3, rows=10, start=start))

    none = realised_performance(
        sure(0.1, date(2013, 1, 1)), sure(0.1, FIRST), Band("error", 0.0), unit=Unit.ROW, min_rows=10
    )
    assert (none.low, none.out_of_band) == (0.0, False)
    every = realised_performance(
        sure(0.9, date(2013, 1, 1)), sure(0.9, FIRST), Band("error", 0.0), unit=Unit.ROW, min_rows=10
    )
    assert (every.high, every.reference_high) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("means", "window"),
    [
        pytest.param([0.1] * 9 + [0.3] * 6, 3, id="risen"),
        pytest.param([0.3] * 6 + [0.1] * 9, 3, id="fallen"),
        pytest.param([0.12, 0.2] * 7 + [0.3], 3, id="unsteady"),
        pytest.param([0.44, 0.08, 0.2, 0.12, 0.25], 1, id="the sequence of the highest mean is too short"),
    ],
)
def test_by_rows_the_sequence_decides_that_lies_farthest_above_and_the_jth_has_its_share_of_alpha(means, window):
    now = cohorts(means)

    def alone(order: int) -> RealisedPerformance:
        """The days from one start on, as the only sequence, which has half of its alpha."""
        share = replace(BAND, alpha=2 * 0.05 / ((order + 1) * (order + 2)))
        return realised_performance(PAST, now[order * window :], share, unit=Unit.ROW, min_rows=100, window_days=10_000)

    each = [alone(order) for order in range(len(means) // window)]
    worst = max(each, key=lambda e: e.low - e.reference_high)
    found = realised_performance(PAST, now, BAND, unit=Unit.ROW, min_rows=100, window_days=window)
    assert (found.since, found.days, found.rows) == (worst.since, worst.days, worst.rows)
    assert (found.low, found.high, found.reference_high) == pytest.approx((worst.low, worst.high, worst.reference_high))


def test_by_rows_so_does_that_of_a_bounded_loss():
    """The last days have the highest mean, and the first sequence the most rows and half of alpha."""
    shares = [0.31, 0.38, 0.28, 0.26, 0.18, 0.15, 0.36, 0.36]
    past, now = (tuple(replace(d, squares=d.total) for d in days) for days in (PAST, cohorts(shares)))
    found = realised_performance(past, now, Band("error", 0.0), unit=Unit.ROW, min_rows=100, window_days=1)
    assert (found.since, found.days) == ("2013-06-01", 8)
    usual = sum(d.total for d in PAST) / 800
    errors, guess = 0.0, usual
    for k, share in enumerate(shares):
        errors += 100 * (share - 2 * guess * share + guess**2)
        guess = float(np.mean(shares[: k + 1]))
    half = bernstein_bound(800, errors, usual * (1 - usual) * 100, 0.05 / 4)
    assert found.low == pytest.approx(np.mean(shares) - half)


def test_by_rows_a_sequence_may_begin_on_the_last_day():
    found = realised_performance(
        PAST, cohorts([0.1] * 6 + [0.5], rows=[100] * 6 + [600]), BAND, unit=Unit.ROW, min_rows=300, window_days=3
    )
    assert (found.since, found.days, found.rows) == ("2013-06-07", 1, 600)


def test_by_rows_a_start_with_too_few_rows_after_it_begins_no_sequence():
    now = cohorts([0.1] * 6 + [0.5] * 3)
    few, enough = (
        realised_performance(PAST, now, BAND, unit=Unit.ROW, min_rows=rows, window_days=3) for rows in (301, 300)
    )
    assert (enough.since, enough.days) == ("2013-06-07", 3)
    assert few.since != "2013-06-07"


# --- by days ----------------------------------------------------------------------------------------------------------


def test_a_day_counts_by_its_rows_up_to_those_of_a_typical_day():
    past = held_out([0.1, 0.2, 0.4], rows=[100, 50, 900])
    found = realised_performance(past, (), BAND, min_rows=1)
    assert found.reference_risk == pytest.approx((0.1 + 0.5 * 0.2 + 0.4) / 2.5)
    assert (found.reference_rows, found.reference_days) == (1050, 3)


@pytest.mark.parametrize("tolerance", [0.0, 0.01])
def test_by_days_the_bounds_are_the_e_detectors_of_the_losses_less_the_tolerance(tolerance):
    means = [0.13, 0.11, 0.15, 0.12, 0.16, 0.12]
    found = realised_performance(PAST, cohorts(means), Band("mae", tolerance), min_rows=100)
    alone = rise([d.mean for d in PAST], np.array(means) - tolerance, run_length_days=365)
    part = alone.share * alone.half
    assert (found.out_of_band, found.days, found.run_length_days) == (False, 6, 365.0)
    assert found.low == pytest.approx(alone.mean + tolerance - part)
    assert found.high == pytest.approx(np.mean(means) + part)
    assert found.reference_high == pytest.approx(alone.usual + alone.half - part)
    assert found.evidence == pytest.approx(math.exp(alone.log_evidence))
    assert (found.lag, found.effective_days) == (alone.lag, alone.effective_days)


def test_a_day_that_is_far_too_bad_counts_less_below_and_in_full_above():
    means = [0.13, 0.11, 0.15, 0.12, 0.16, 3.0]
    found = realised_performance(PAST, cohorts(means), Band("mae", 0.0), min_rows=100)
    alone = rise([d.mean for d in PAST], means, run_length_days=365)
    assert alone.mean < np.mean(means)
    assert found.risk == pytest.approx(np.mean(means))
    assert found.low == pytest.approx(alone.mean - alone.share * alone.half)
    assert found.high == pytest.approx(np.mean(means) + alone.share * alone.half)


def test_the_tolerance_of_a_root_is_taken_in_squares():
    now = cohorts([0.13, 0.11, 0.15, 0.12, 0.16, 0.12])
    rooted = realised_performance(PAST, now, Band("rmse", 0.02), min_rows=100)
    usual = math.sqrt(0.125)
    squared = realised_performance(PAST, now, Band("mae", (usual + 0.02) ** 2 - usual**2), min_rows=100)
    assert rooted.evidence == pytest.approx(squared.evidence)
    for name in ("risk", "low", "high", "reference_high", "reference_risk", "recent_risk"):
        assert getattr(rooted, name) == pytest.approx(math.sqrt(getattr(squared, name)))


@pytest.mark.parametrize(
    ("rows", "days"),
    [
        pytest.param([100, 34, 100, 100], 4, id="a third is a day"),
        pytest.param([100, 33, 100, 100], 3, id="less is joined to the next"),
        pytest.param([100, 100, 100, 33], 3, id="the last to the one before it"),
        pytest.param([33, 33, 33, 34], 2, id="until there is a third; what is left over to the one before it"),
        pytest.param([100, 10, 10, 100, 10], 2, id="several"),
    ],
)
def test_days_of_less_than_a_third_of_a_typical_days_rows_are_joined(rows, days):
    now = cohorts([0.13, 0.11, 0.15, 0.12, 0.14][: len(rows)], rows=rows)
    found = realised_performance(held_out([0.10, 0.14, 0.11, 0.16, 0.12], rows=102), now, BAND, min_rows=1)
    assert (found.days, found.rows, found.served_days, found.served_rows) == (days, sum(rows), len(rows), sum(rows))


def test_joined_days_have_the_mean_of_their_rows():
    apart = realised_performance(PAST, cohorts([0.1, 0.3, 0.1], rows=[100, 20, 80]), BAND, min_rows=1)
    joined = realised_performance(PAST, cohorts([0.1, 0.14], rows=[100, 100]), BAND, min_rows=1)
    assert (apart.risk, apart.evidence) == pytest.approx((joined.risk, joined.evidence))
    last = realised_performance(PAST, cohorts([0.3, 0.2, 0.1, 0.4], rows=[100, 100, 80, 20]), BAND, min_rows=1)
    before = realised_performance(PAST, cohorts([0.3, 0.2, 0.16], rows=[100, 100, 100]), BAND, min_rows=1)
    assert (last.risk, last.evidence) == pytest.approx((before.risk, before.evidence))


# --- what is said -----------------------------------------------------------------------------------------------------


def test_the_recent_risk_is_that_of_the_last_days_alone():
    means = [0.5] * 3 + [0.1, 0.2] * 2
    found = realised_performance(PAST, cohorts(means), BAND, min_rows=1, window_days=4)
    assert found.recent_risk == pytest.approx(0.15)
    without = realised_performance((), cohorts(means, rows=[9] * 6 + [18]), BAND, min_rows=1, window_days=4)
    assert without.recent_risk == pytest.approx((0.1 + 0.2 + 0.1 + 2 * 0.2) / 5)
    assert realised_performance(PAST, (), BAND).recent_risk is None


def test_where_nothing_else_is_said_the_last_days_are_those_of_a_week():
    """The eighth day before the end had 8, of which a part would be seen."""
    assert realised_performance(PAST, cohorts([8.0, *[0.1] * 7]), BAND).recent_risk == pytest.approx(0.1)
    assert realised_performance(PAST, cohorts([0.1, 0.8, *[0.1] * 6]), BAND).recent_risk == pytest.approx(0.2)


def test_the_sentence_of_a_band_that_was_left_has_every_number():
    now = cohorts([0.12] * 5 + [0.30, 0.34] * 5)
    found = realised_performance(PAST, now, BAND, min_rows=100)
    assert found.out_of_band is True
    assert (found.since, found.changed_on, found.days, found.rows) == ("2013-06-06", "2013-06-06", 10, 1000)
    assert (found.served_days, found.served_rows, found.until) == (15, 1500, "2013-06-15")
    assert found.reason == (
        f"Out of band: mae 0.32 over 1000 matured rows of 10 days since 2013-06-06, lower bound {found.low:.4g}; "
        f"reference 0.125, upper bound {found.reference_high:.4g}, tolerance 0.01."
    )


@pytest.mark.parametrize(("last", "out"), [(0.135, False), (0.1351, True)])
def test_a_rise_is_over_where_the_last_days_are_just_in_the_band(last, out):
    now = cohorts([0.30, 0.34] * 20 + [last] * 3)
    found = realised_performance(PAST, now, BAND, min_rows=100, window_days=3)
    assert found.out_of_band is out
    assert found.reason.startswith("Out of band" if out else "In band again: the last 3 days have 0.135; before, mae ")


def test_by_rows_the_lower_bound_must_be_above_the_upper_one_by_more_than_the_tolerance():
    now = cohorts([0.2] * 6)
    apart = realised_performance(PAST, now, BAND, unit=Unit.ROW, min_rows=100)
    gap = apart.low - apart.reference_high
    assert gap > 0
    below, above = (
        realised_performance(PAST, now, Band("mae", gap * part), unit=Unit.ROW, min_rows=100) for part in (0.999, 1.001)
    )
    assert (below.out_of_band, above.out_of_band) == (True, False)


def test_no_evidence_is_more_than_can_be_written():
    now = cohorts([0.3] * 60, within=0.0)
    steady = held_out([0.1] * 800, within=0.0)
    found = realised_performance(steady, now, BAND, min_rows=100)
    assert found.evidence == math.exp(690)


@pytest.mark.parametrize(
    ("past", "now", "unit", "judged"),
    [
        pytest.param(held_out([0.1] * 6, rows=10), 6, Unit.DAY, True, id="days: few rows of the reference are enough"),
        pytest.param(held_out([0.1] * 6, rows=10), 6, Unit.ROW, False, id="rows: they are not"),
        pytest.param(held_out([0.1] * 6), 6, Unit.ROW, True, id="rows: just enough of both"),
        pytest.param(held_out([0.1] * 6), 5, Unit.ROW, False, id="rows: too few now"),
        pytest.param(held_out([0.1] * 6), 5, Unit.DAY, False, id="days: too few rows now"),
        pytest.param(held_out([0.1], rows=5000), 6, Unit.DAY, False, id="one reference day"),
    ],
)
def test_what_there_must_be_to_judge(past, now, unit, judged):
    found = realised_performance(past, cohorts([0.1] * now), BAND, unit=unit, min_rows=600)
    assert (found.out_of_band is not None) is judged


@pytest.mark.parametrize(("last", "judged"), [(99, False), (100, True)])
def test_a_thousand_rows_are_the_fewest_where_nothing_else_is_said(last, judged):
    found = realised_performance(PAST, cohorts([0.1] * 10, rows=[100] * 9 + [last]), BAND)
    assert (found.out_of_band is not None) is judged


def test_rows_enough_of_a_single_day_are_too_few_days():
    found = realised_performance(PAST, cohorts([0.9], rows=1000), BAND)
    assert found.out_of_band is None
    assert found.reason == (
        "mae was measured on 1000 matured rows of 1 day: too few days to tell a rise from a bad day."
    )


def test_a_lower_bound_of_squares_below_nothing_is_a_root_of_nothing():
    found = realised_performance(PAST, cohorts([0.0, 0.2, 0.01]), Band("rmse", 0.0), min_rows=100)
    assert (found.out_of_band, found.low) == (False, 0.0)


def test_by_rows_a_lower_bound_of_just_the_upper_one_and_the_tolerance_is_in_band():
    def judged(tolerance: float) -> RealisedPerformance:
        return realised_performance(PAST, cohorts([0.2] * 6), Band("mae", tolerance), unit=Unit.ROW, min_rows=100)

    found = judged(0.0)
    gap = found.low - found.reference_high
    just = next(
        g for g in (gap, math.nextafter(gap, 0), math.nextafter(gap, 1)) if found.reference_high + g == found.low
    )
    assert judged(just).out_of_band is False
    assert judged(just * 0.9999).out_of_band is True


@pytest.mark.parametrize("means", [[0.001, 0.004, 0.002], [0.002]])
def test_by_rows_small_losses_are_not_rounded_up(means):
    """Sums of squares far below 1."""
    past, now = held_out([0.001, 0.003], rows=10, within=0.0005), cohorts(means, rows=10, within=0.0005)
    found = realised_performance(past, now, Band("mae", 0.0), unit=Unit.ROW, min_rows=10, window_days=9)
    bounded = realised_performance(past, now, Band("brier", 0.0), unit=Unit.ROW, min_rows=10, window_days=9)
    n, m = 10 * len(means), 20
    risk, usual = float(np.mean(means)), 0.002
    squares = sum(d.squares for d in (*past, *now)) - n * risk**2 - m * usual**2
    precision = 1 / n + 1 / m
    half = t_bound(n + m - 2, 1 / precision, 1 / math.sqrt(10), 0.025) * math.sqrt(squares / (n + m - 2) * precision)
    assert found.high == pytest.approx(risk + half * (1 / n) / precision)
    errors, guess = [], usual
    for k, day in enumerate(now):
        errors.append(day.squares - 2 * guess * day.total + day.rows * guess**2)
        guess = float(np.mean(means[: k + 1]))
    variance = sum(d.squares for d in past) / m - usual**2
    assert bounded.high == pytest.approx(risk + bernstein_bound(n, sum(errors), variance * 10 * 9, 0.0125))


def test_by_rows_losses_that_are_all_equal_have_no_spread_though_rounding_makes_their_squares_the_smaller_ones():
    past, now = held_out([0.7] * 3, within=0.0), cohorts([0.7] * 3, within=0.0)
    rows, total, squares = (sum(getattr(d, name) for d in now) for name in ("rows", "total", "squares"))
    assert squares - total**2 / rows < 0
    found = realised_performance(past, now, Band("mae", 0.0), unit=Unit.ROW, min_rows=100)
    assert found.low == found.high == found.risk == pytest.approx(0.7)


class TestByRowsTheSequenceWithTheFarthestBoundIsFoundWhateverTheOthersLookLike:
    @staticmethod
    def since(past, now, rows, *, of=100, metric="mae"):
        days = held_out(past, rows=of), cohorts(now, rows=rows)
        if metric == "error":
            days = tuple(tuple(replace(d, squares=d.total) for d in part) for part in days)
        found = realised_performance(*days, Band(metric, 0.0), unit=Unit.ROW, min_rows=2, window_days=1)
        return found.since, found.low

    def test_two_rows_that_are_far_above_have_no_bound_yet_and_leave_the_decision_to_those_that_have(self):
        since, low = self.since([0.3, 0.12, 0.5, 0.12], [0.2, 0.9], [50, 2])
        assert (since, low is None) == ("2013-06-01", False)

    @pytest.mark.parametrize(("past", "now"), [([0.3, 0.9], [0.9, 0.9]), ([0.3, 0.1], [0.1, 0.2])])
    def test_where_none_has_a_bound_all_the_days_are_shown(self, past, now):
        assert self.since(past, now, [2, 2], of=5) == ("2013-06-01", None)

    @pytest.mark.parametrize(
        ("past", "now", "rows", "since"),
        [
            pytest.param([0.1, 0.5, 0.9], [0.9, 0.2, 0.7], [10, 10, 400], "2013-06-03", id="the last, of many rows"),
            pytest.param([0.9, 0.1], [0.5, 0.9, 0.3], [10, 100, 10], "2013-06-02", id="the second"),
        ],
    )
    def test_the_search_does_not_end_before_it(self, past, now, rows, since):
        assert self.since(past, now, rows, of=10)[0] == since

    def test_nor_for_a_bounded_loss_whose_bounds_are_others(self):
        assert self.since([0.3, 0.1], [0.1, 0.3], [50, 10], of=5, metric="error")[0] == "2013-06-02"
