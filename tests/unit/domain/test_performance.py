"""Realised performance: quiet while the champion is in its band, however often one looks; loud soon after it left."""

import json
import math
from datetime import date, timedelta

import numpy as np
import pytest
from scipy import stats

from include.domain.drift.sequences import bernstein_bound, t_bound, t_evidence
from include.domain.losses import BadLoss, DayLoss, correlation_within_days, losses_by_day, merged_losses, row_losses
from include.domain.metrics import Task, measure
from include.domain.performance import RealisedPerformance, realised_performance
from include.domain.risk_bounds import Band, Unit

ROWS = 900
WITHIN_DAY_SD = 0.18
FIRST = date(2013, 6, 1)


def cohorts(means, start=FIRST, rows=ROWS, within=WITHIN_DAY_SD):
    """Days with these mean losses, one after the other; rows spread around the day's mean."""
    return tuple(
        DayLoss((start + timedelta(days=i)).isoformat(), rows, rows * m, rows * (m * m + within**2))
        for i, m in enumerate(means)
    )


def reference(means=(0.11, 0.17) * 7):
    return cohorts(means, start=FIRST - timedelta(days=len(means)))


def days_of_weather(rng, days, *, mean=0.14, sd=0.03, carry_over=0.0, skewed=False):
    """Day means around ``mean``; with ``carry_over`` a bad day is followed by another one, skewed means storms."""
    level = rng.normal(size=days)
    for i in range(1, days):
        level[i] = carry_over * level[i - 1] + math.sqrt(1 - carry_over**2) * level[i]
    if skewed:
        level = (np.exp(0.6 * level) - math.exp(0.18)) / math.sqrt((math.exp(0.36) - 1) * math.exp(0.36))
    return mean + sd * level


def judged(current, past=None, *, metric="brier", tolerance=0.005, alpha=0.05, **options):
    return realised_performance(past or reference(), current, Band(metric, tolerance, alpha), **options)


def first_alarm(past, current, **options):
    """The 1-based day on which two of the last three looks were out of band; None when none was."""
    seen: list[bool] = []
    for i in range(len(current)):
        seen.append(bool(judged(current[: i + 1], past, **options).out_of_band))
        if seen[-1] and sum(seen[-3:]) >= 2:
            return i + 1
    return None


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "labels", "predictions", "expected"),
    [
        pytest.param("brier", [1, 0], [0.8, 0.4], [0.04, 0.16], id="brier"),
        pytest.param("brier", [2], [[0.2, 0.3, 0.5]], [(0.04 + 0.09 + 0.25) / 2], id="brier of three classes"),
        pytest.param("log_loss", [1, 0], [0.5, 0.0], [math.log(2), 0.0], id="log loss"),
        pytest.param("log_loss", [1], [0.0], [-math.log(2**-52)], id="log loss of an impossible event is finite"),
        pytest.param("error", [1, 0, 1], [0.5, 0.5, 0.6], [1, 0, 0], id="a tie is answered negative, as it is served"),
        pytest.param("error", [0, 2], [[0.4, 0.3, 0.3], [0.5, 0.2, 0.3]], [0, 1], id="error of three classes"),
        pytest.param("mae", [100.0], [90.0], [10.0], id="absolute error"),
        pytest.param("rmse", [100.0], [90.0], [100.0], id="squared error"),
        pytest.param("brier", [], [], [], id="no rows"),
    ],
)
def test_each_loss_is_what_its_name_says(metric, labels, predictions, expected):
    assert row_losses(metric, np.array(labels), np.array(predictions)) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_watched_is_what_the_gates_measure_ties_and_impossible_events_included(classes):
    rng = np.random.default_rng(classes)
    y = rng.integers(0, classes, 60)
    scores = np.array([0.0, 0.25, 0.5, 1.0])[rng.integers(0, 4, 60)] if classes == 2 else rng.dirichlet([0.3] * 3, 60)
    task, names = (Task.BINARY if classes == 2 else Task.MULTICLASS), ("brier", "log_loss")
    watched = {name: row_losses(name, y, scores).mean() for name in (*names, "error")}
    for name in names:
        assert watched[name] == pytest.approx(measure(task, name, y, scores).value, abs=1e-12)
    assert watched["error"] == pytest.approx(1 - measure(task, "accuracy", y, scores).value, abs=1e-12)
    if classes == 2:
        for name, mean in (("mae", lambda losses: losses.mean()), ("rmse", lambda losses: losses.mean() ** 0.5)):
            value = measure(Task.REGRESSION, name, 10.0 * y, 10 * scores).value
            assert mean(row_losses(name, 10.0 * y, 10 * scores)) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("metric", "labels", "predictions", "message"),
    [
        pytest.param("auc", [1], [0.5], "'auc' is no loss; allowed are brier", id="no such loss"),
        pytest.param("brier", [1, 0], [0.5], "2 labels and 1 predictions", id="lengths"),
        pytest.param("brier", [np.nan], [0.5], "1 of 1 labels are missing or infinite", id="missing label"),
        pytest.param("mae", [1.0], [np.inf], "1 of 1 predictions", id="infinite prediction"),
        pytest.param("brier", [1], [1.2], "probabilities in", id="no probability"),
        pytest.param("error", [2], [0.5], "class indices from 0 to 1", id="no such class"),
        pytest.param("log_loss", [0.5], [0.5], "class indices", id="half a class"),
    ],
)
def test_what_has_no_loss_is_refused_with_the_reason(metric, labels, predictions, message):
    with pytest.raises(BadLoss, match=message):
        row_losses(metric, np.array(labels), np.array(predictions))


def test_cohorts_add_up_by_day():
    one = losses_by_day(["2013-06-02", "2013-06-01", "2013-06-02"], np.array([1.0, 2.0, 3.0]))
    assert one == (DayLoss("2013-06-01", 1, 2.0, 4.0), DayLoss("2013-06-02", 2, 4.0, 10.0))
    assert merged_losses(one, one)[1] == DayLoss("2013-06-02", 4, 8.0, 20.0)
    assert one[1].mean == 2.0


def test_the_correlation_of_rows_within_a_day_is_found():
    rng = np.random.default_rng(7)
    for share in (0.0, 0.2):
        level = rng.normal(0, math.sqrt(share), 400)[:, None]
        losses = level + rng.normal(0, math.sqrt(1 - share), (400, 50))
        days = [f"d{i:03d}" for i in range(400) for _ in range(50)]
        assert correlation_within_days(losses_by_day(days, losses.ravel())) == pytest.approx(share, abs=0.03)
    assert correlation_within_days(cohorts((0.1,))) is None


# --- the verdict ------------------------------------------------------------------------------------------------------


def test_a_champion_as_good_as_its_reference_is_in_band():
    found = judged(cohorts((0.11, 0.17) * 7))
    assert found.out_of_band is False
    assert found.reason.startswith("In band: brier 0.14 over 12600 matured rows of 14 days since 2013-06-01")


def test_a_champion_that_got_much_worse_is_out_of_band_and_says_by_what():
    found = judged(cohorts((0.20, 0.26) * 5))
    assert found.out_of_band is True
    assert found.risk == pytest.approx(0.23)
    assert found.reference_risk == pytest.approx(0.14)
    assert found.low > found.reference_high + 0.005
    assert "lower bound" in found.reason
    assert "tolerance 0.005" in found.reason


def test_a_champion_that_got_better_is_in_band():
    assert judged(cohorts((0.02, 0.03) * 10)).out_of_band is False


def test_the_tolerance_is_what_may_be_lost():
    worse = cohorts((0.20, 0.26) * 7)
    assert judged(worse, tolerance=0.0).out_of_band is True
    assert judged(worse, tolerance=0.1).out_of_band is False


def test_late_drift_is_not_diluted_by_the_quiet_weeks_before_it():
    found = judged(cohorts((0.11, 0.17) * 21 + (0.22, 0.28) * 7))
    assert found.out_of_band is True
    assert found.since == found.changed_on == "2013-07-13"
    assert found.days == 14


def test_an_excursion_that_is_over_raises_no_alarm():
    found = judged(cohorts((0.26, 0.32) * 12 + (0.11, 0.15) * 4))
    assert found.out_of_band is False
    assert "In band again: the last 7 days have 0.13" in found.reason


def test_one_terrible_day_is_a_bad_day_and_no_drift():
    assert judged(cohorts((0.11, 0.17, 0.14, 0.60))).out_of_band is not True


def test_a_day_of_enormous_traffic_is_one_day():
    busy = (*cohorts((0.11, 0.17, 0.14)), DayLoss("2013-06-04", 50 * ROWS, 50 * ROWS * 0.25, 50 * ROWS * 0.1))
    assert judged(busy).out_of_band is not True


@pytest.mark.parametrize(
    ("past", "current", "message"),
    [
        pytest.param((), cohorts((0.2,) * 9), "the reference has 0 rows of 0 days", id="no reference"),
        pytest.param(reference((0.1,)), cohorts((0.2,) * 9), "the reference has 900 rows of 1 day", id="one day"),
        pytest.param(reference(), (), "0 matured rows of 0 days; at least 1000", id="no labels yet"),
        pytest.param(reference(), cohorts((0.9,)), "900 matured rows of 1 day; at least 1000 rows", id="too few rows"),
        pytest.param(reference(), (DayLoss("2013-06-01", 0, 0.0, 0.0),), "0 matured rows", id="a day without labels"),
        pytest.param(
            reference((0.1, 0.2)), cohorts((0.9, 0.9)), "too few days to tell a rise from a bad day", id="too few days"
        ),
    ],
)
def test_what_cannot_be_judged_is_neither_in_nor_out_of_band(past, current, message):
    found = realised_performance(past, current, band=Band(metric="brier", tolerance=0.0))
    assert found.out_of_band is None
    assert message in found.reason


def test_days_with_exactly_the_same_loss_leave_no_doubt():
    assert judged(cohorts((0.2,) * 8), reference((0.14,) * 14)).out_of_band is True
    assert judged(cohorts((0.14,) * 8), reference((0.14,) * 14)).out_of_band is False


def test_rmse_is_judged_in_its_own_unit():
    past = cohorts((100.0, 121.0) * 7, start=FIRST - timedelta(days=14), within=30.0)
    found = judged(cohorts((256.0, 225.0) * 7, within=30.0), past, metric="rmse", tolerance=2.0)
    assert found.out_of_band is True
    assert found.risk == pytest.approx(math.sqrt(240.5))
    assert found.reference_risk == pytest.approx(math.sqrt(110.5))
    assert judged(cohorts((256.0, 225.0) * 7, within=30.0), past, metric="rmse", tolerance=5.5).out_of_band is False


@pytest.mark.parametrize("unit", list(Unit))
def test_a_verdict_survives_json(unit):
    found = judged(cohorts((0.11, 0.17) * 4), unit=unit)
    assert RealisedPerformance.from_json(json.loads(json.dumps(found.as_json(), allow_nan=False))) == found


# --- the bounds behind it ---------------------------------------------------------------------------------------------


def test_the_evidence_for_a_rise_agrees_with_a_direct_integration():
    t, freedom, effective, scale = 2.3, 19.0, 14 * 7 / 21, 1.0
    effects = np.linspace(0, 8 * scale, 20_001)
    likelihood = stats.nct.pdf(t, freedom, np.maximum(effects * math.sqrt(effective), 1e-12)) / stats.t.pdf(t, freedom)
    prior = 2 * stats.norm.pdf(effects, scale=scale)
    assert t_evidence(t, freedom, effective, scale) == pytest.approx(
        math.log(np.trapezoid(likelihood * prior, effects)), abs=1e-4
    )


def test_a_bound_that_holds_at_any_time_is_wider_than_one_that_holds_once():
    assert t_bound(20, 14 * 8 / 22, 1.0, 0.05) > stats.t.isf(0.05, 20)
    assert bernstein_bound(6300, 6300 * 0.04, 6300 * 0.04, 0.05) > stats.norm.isf(0.05) * math.sqrt(0.04 / 6300)


def test_three_days_can_never_prove_anything():
    assert t_bound(1, 2 / 3, 1.0, 0.05) == math.inf


# --- guarantees, by simulation ----------------------------------------------------------------------------------------


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


def test_small_days_are_judged_together():
    """24 rows a day against a reference of 200: three days make one."""
    past = cohorts((0.11, 0.17, 0.14) * 5, start=FIRST - timedelta(days=15), rows=200)
    found = judged(cohorts((0.3,) * 15, rows=24), past, min_rows=100)
    assert found.out_of_band is True
    assert found.days < 15
    assert found.rows == 15 * 24


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


def test_a_change_is_dated_only_in_an_alarm():
    assert judged(cohorts((0.14,) * 20)).changed_on is None
    assert judged(cohorts((0.14,) * 10 + (0.24,) * 14)).changed_on == "2013-06-11"


@pytest.mark.parametrize(("evidence", "changed_on"), [(400.0, "2013-06-11"), (None, None)])
def test_a_report_from_before_the_date_was_kept_still_says_it(evidence, changed_on):
    """Then a lane of days began at the change; one of rows did not."""
    kept = judged(cohorts((0.14,) * 10 + (0.24,) * 14)).as_json() | {"evidence": evidence}
    del kept["changed_on"]
    assert RealisedPerformance.from_json(kept).changed_on == changed_on
