"""Realised performance: quiet while the champion is in its band, however often one looks; loud soon after it left."""

import json
import math
from datetime import timedelta

import numpy as np
import pytest
from days_of_losses import FIRST, ROWS, cohorts, judged, reference
from scipy import stats

from include.domain.drift.sequences import bernstein_bound, t_bound, t_evidence
from include.domain.gap import Gap, Tolerated
from include.domain.losses import BadLoss, DayLoss, correlation_within_days, losses_by_day, merged_losses, row_losses
from include.domain.metrics import Task, measure
from include.domain.performance import RealisedPerformance, realised_performance
from include.domain.risk_bounds import Band, Unit

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


def test_an_excursion_is_over_where_the_last_days_are_at_most_the_tolerance_above_the_reference():
    over = judged(cohorts((0.26, 0.32) * 12 + (0.143,) * 8))
    assert (over.out_of_band, over.recent_risk > over.reference_risk) == (False, True)
    past = reference((0.125,) * 14)
    just, above = (judged(cohorts((0.9,) * 40 + (last,) * 7), past, tolerance=0.125) for last in (0.25, 0.2501))
    assert (just.out_of_band, above.out_of_band) == (False, True)
    assert "In band again" in just.reason


def test_by_rows_the_lower_bound_must_be_above_the_upper_one_of_the_reference_by_the_tolerance():
    worse = cohorts((0.20, 0.26) * 7)
    found = judged(worse, tolerance=0.0, unit=Unit.ROW)
    apart = found.low - found.reference_high
    assert apart > 0
    verdicts = [judged(worse, tolerance=apart * part, unit=Unit.ROW).out_of_band for part in (0.0, 0.9, 1.1)]
    assert verdicts == [True, True, False]


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


# --- what is judged, to the row and to the day ------------------------------------------------------------------------


@pytest.mark.parametrize(("min_rows", "is_judged"), [(14 * ROWS, True), (14 * ROWS + 1, False)])
def test_by_days_the_rows_of_the_version_must_reach_the_fewest_and_those_of_the_reference_need_not(min_rows, is_judged):
    found = judged(cohorts((0.11, 0.17) * 7), reference((0.11, 0.17) * 3), min_rows=min_rows)
    assert (found.out_of_band is not None) is is_judged


@pytest.mark.parametrize(("min_rows", "is_judged"), [(6 * ROWS, True), (6 * ROWS + 1, False)])
def test_by_rows_those_of_the_reference_must_reach_the_fewest_too(min_rows, is_judged):
    found = judged(cohorts((0.11, 0.17) * 7), reference((0.11, 0.17) * 3), unit=Unit.ROW, min_rows=min_rows)
    assert (found.out_of_band is not None) is is_judged
    assert (found.reference_risk is not None) is is_judged


@pytest.mark.parametrize(
    ("min_rows", "said"), [(2 * ROWS, "too few days to tell a rise"), (2 * ROWS + 1, "at least 1801")]
)
def test_just_the_fewest_rows_of_too_few_days_lack_days_and_one_row_less_lacks_rows(min_rows, said):
    assert said in judged(cohorts((0.9, 0.9)), reference((0.1, 0.2)), min_rows=min_rows).reason


def test_the_recent_risk_is_that_of_the_last_days_of_the_calendar():
    means = (0.9, 0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.3)
    assert judged(cohorts(means)).recent_risk == pytest.approx(sum(means[1:]) / 7)
    without_a_day = tuple(day for n, day in enumerate(cohorts(means)) if n != 4)
    assert judged(without_a_day).recent_risk == pytest.approx((sum(means[1:]) - means[4]) / 6)


def test_without_a_reference_the_recent_risk_is_the_mean_of_the_rows():
    days = (*cohorts((0.1,), rows=300), *cohorts((0.4,), start=FIRST + timedelta(days=1), rows=100))
    found = realised_performance((), days, Band("brier", 0.0))
    assert (found.out_of_band, found.recent_risk) == (None, pytest.approx(0.175))


def test_a_verdict_names_the_first_and_the_last_day_it_is_about():
    found = judged(cohorts((0.11, 0.17) * 7))
    assert (found.since, found.until) == ("2013-06-01", "2013-06-14")


def test_only_by_days_there_is_a_run_of_quiet_days_and_evidence_for_a_rise():
    band = Band("brier", 0.005, run_length_days=200.0)
    by_days, by_rows = (
        realised_performance(reference(), cohorts((0.11, 0.17) * 7), band, unit=unit) for unit in (Unit.DAY, Unit.ROW)
    )
    assert (by_days.run_length_days, by_rows.run_length_days) == (200.0, None)
    assert 0 < by_days.evidence < 10
    assert by_rows.evidence is None


def test_evidence_beyond_every_doubt_is_still_a_number():
    sure = judged(cohorts((5.0, 5.001) * 180), reference((0.1, 0.101) * 180))
    assert sure.evidence == pytest.approx(math.exp(690))


def test_a_bound_of_squares_below_nothing_is_a_root_of_nothing():
    past = cohorts((0.04, 0.01) * 7, start=FIRST - timedelta(days=14), within=0.1)
    found = judged(cohorts((0.0, 0.9, 0.0, 0.0), within=0.1), past, metric="rmse", tolerance=0.0)
    assert found.low == 0.0
    assert found.reference_risk == pytest.approx(math.sqrt(0.025))


def test_a_verdict_says_of_what_its_tolerance_is_a_share():
    past, now = reference(), cohorts((0.11, 0.17) * 7)
    known = realised_performance(past, now, Band("brier", 0.004, share=0.1, gap=Gap(0.04, 0.2)))
    assert known.tolerated == Tolerated(0.004, 0.1, Gap(0.04, 0.2))
    assert realised_performance(past, now, Band("brier", 0.004)).tolerated == Tolerated(0.004)


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


# --- small days, and when it began ------------------------------------------------------------------------------------


def test_small_days_are_judged_together():
    """24 rows a day against a reference of 200: three days make one."""
    past = cohorts((0.11, 0.17, 0.14) * 5, start=FIRST - timedelta(days=15), rows=200)
    found = judged(cohorts((0.3,) * 15, rows=24), past, min_rows=100)
    assert found.out_of_band is True
    assert found.days < 15
    assert found.rows == 15 * 24


def test_a_change_is_dated_only_in_an_alarm():
    assert judged(cohorts((0.14,) * 20)).changed_on is None
    assert judged(cohorts((0.14,) * 10 + (0.24,) * 14)).changed_on == "2013-06-11"


@pytest.mark.parametrize(("evidence", "changed_on"), [(400.0, "2013-06-11"), (None, None)])
def test_a_report_from_before_the_date_was_kept_still_says_it(evidence, changed_on):
    """Then a lane of days began at the change; one of rows did not."""
    kept = judged(cohorts((0.14,) * 10 + (0.24,) * 14)).as_json() | {"evidence": evidence}
    del kept["changed_on"]
    assert RealisedPerformance.from_json(kept).changed_on == changed_on
