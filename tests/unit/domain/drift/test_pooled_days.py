"""Days of few rows are judged together: what a pool is, what it finds, and how often it alarms without a change."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from include.domain.drift.estimate_reference import DayEstimate, EstimateReference
from include.domain.drift.estimated import (
    BesideEstimate,
    estimated_performance,
    judged_before,
    least_rows_of_day,
    rows_before,
)
from include.domain.drift.input_drift import DriftRules, input_drift
from include.domain.drift.maturity import Cohort, label_maturity
from include.domain.drift.pooling import CountedDay, kept_counts, pooled, read_counts
from include.domain.drift.prediction_drift import prediction_drift
from include.domain.drift.profile import BadProfile, FeatureKind, Profile, count_window
from include.domain.drift.reference import build_profile, profile_scores
from include.domain.drift.report import DataBounds, DriftMeasurements, ScoredDay, drift_report
from include.domain.performance import realised_performance
from include.domain.risk_bounds import Band

ROWS = 24
"""Of a day of hourly data."""
KINDS = {"wind": FeatureKind.NUMERIC, "rain": FeatureKind.NUMERIC, "carrier": FeatureKind.CATEGORICAL}
Q = 0.05


def day_name(at: int) -> str:
    return (date(2013, 1, 1) + timedelta(days=at)).isoformat()


def rows_of(rng: np.random.Generator, rows: int, *, shift: float = 0.0, missing: float = 0.0) -> pd.DataFrame:
    wind = rng.normal(shift, 1, rows)
    wind[: round(missing * rows)] = np.nan
    return pd.DataFrame({"wind": wind, "rain": rng.exponential(1, rows), "carrier": rng.choice(["UA", "AA"], rows)})


def reference_of(rng: np.random.Generator, days: int, min_rows: int) -> Profile:
    names = list(np.repeat([day_name(d) for d in range(days)], ROWS))
    return build_profile(rows_of(rng, days * ROWS), KINDS, days=names, window_rows=min_rows)


def days_of(reference: Profile, frames: list[pd.DataFrame], first: int = 200) -> list[CountedDay]:
    return [CountedDay(day_name(first + i), count_window(reference, frame)) for i, frame in enumerate(frames)]


def drifted(reference: Profile, days: list[CountedDay], min_rows: int, most_days: int = 28) -> bool | None:
    pool = pooled(days[-1], days[:-1], min_rows=min_rows, most_days=most_days)
    return input_drift(reference, pool.profile, DriftRules(q=Q, share_at_least=0.0, min_rows=min_rows)).drifted


# --- what a pool is ---------------------------------------------------------------------------------------------------


def test_a_pool_takes_the_newest_days_until_the_rows_are_enough_and_says_which():
    rng = np.random.default_rng(1)
    reference = reference_of(rng, 40, 60)
    days = days_of(reference, [rows_of(rng, ROWS) for _ in range(6)])
    pool = pooled(days[-1], days[::-1], min_rows=60, most_days=28)
    assert pool.days == (day_name(203), day_name(204), day_name(205))
    assert pool.profile == count_like(days[3:])
    assert pooled(days[-1], days, min_rows=24, most_days=28).days == (day_name(205),)


def count_like(days: list[CountedDay]) -> Profile:
    from functools import reduce

    from include.domain.drift.profile import merge

    return reduce(merge, [d.profile for d in reversed(days)])


def test_a_pool_is_no_longer_than_declared_and_never_looks_ahead():
    rng = np.random.default_rng(1)
    reference = reference_of(rng, 40, 60)
    days = days_of(reference, [rows_of(rng, ROWS) for _ in range(6)])
    assert pooled(days[3], days, min_rows=300, most_days=3).days == (day_name(201), day_name(202), day_name(203))
    assert pooled(days[3], days, min_rows=300, most_days=1).days == (day_name(203),)
    assert drifted(reference, days, 300, most_days=3) is None


def test_a_days_counts_are_kept_as_small_json_and_read_in_the_bins_of_the_reference():
    rng = np.random.default_rng(2)
    reference = reference_of(rng, 40, 60)
    frame = rows_of(rng, ROWS, missing=0.1)
    frame.loc[3, "carrier"], frame.loc[4, "wind"] = "ZZ", np.inf
    day = count_window(reference, frame)
    text = json.dumps(kept_counts(day), allow_nan=False)
    assert read_counts(reference, json.loads(text)) == day
    assert len(text) < 1000
    with pytest.raises(BadProfile, match="Judge the day again"):
        read_counts(Profile(0, reference.features[:2]), json.loads(text))


# --- what it finds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("min_rows", [30, 300])
def test_a_shift_that_no_single_day_of_24_rows_may_be_judged_on_is_found_by_the_pool(min_rows):
    rng = np.random.default_rng(3)
    reference = reference_of(rng, 90, min_rows)
    assert drifted(reference, days_of(reference, [rows_of(rng, ROWS, shift=1.5)]), min_rows) is None
    quiet = days_of(reference, [rows_of(rng, ROWS) for _ in range(14)])
    assert drifted(reference, quiet, min_rows) is False
    moved = days_of(reference, [rows_of(rng, ROWS, shift=1.5) for _ in range(14)])
    assert drifted(reference, moved, min_rows) is True


def test_the_answers_of_small_days_are_judged_together_too():
    rng = np.random.default_rng(4)
    names = list(np.repeat([day_name(d) for d in range(40)], ROWS))
    reference = Profile(960, (), profile_scores(rng.random(960), days=names, window_rows=60))
    assert len(reference.scores[0].windows) == 13
    days = [
        CountedDay(day_name(200 + i), count_window(reference, pd.DataFrame(index=range(ROWS)), rng.random(ROWS) ** 3))
        for i in range(3)
    ]
    pool = pooled(days[-1], days, min_rows=60, most_days=28)
    assert prediction_drift(reference, pool.profile, DriftRules(min_rows=60)).drifted is True


def a_report(reference: Profile, days: list[CountedDay], min_rows: int, **bounds: float):
    pool = pooled(days[-1], days[:-1], min_rows=min_rows, most_days=28)
    inputs = input_drift(reference, pool.profile, DriftRules(min_rows=min_rows))
    realised = realised_performance((), (), Band("brier", 0.01))
    return drift_report(
        ScoredDay("m", "v", days[-1].day),
        reference,
        days[-1].profile,
        DriftMeasurements(inputs, prediction_drift(reference, pool.profile), realised, pool=pool, keeps_counts=True),
        DataBounds(min_rows=min_rows, **bounds),
    )


def test_a_share_too_small_to_show_on_one_day_is_a_finding_of_the_pool_and_ends_with_the_day_it_is_repaired():
    rng = np.random.default_rng(5)
    reference = reference_of(rng, 90, 300)
    broken = days_of(reference, [rows_of(rng, ROWS, missing=0.33) for _ in range(14)])
    assert a_report(reference, broken[:1], 300).broken == ()
    (found,) = a_report(reference, broken, 300).broken
    assert (found.feature, found.check, found.measured) == ("wind", "missing", pytest.approx(8 / 24))
    repaired = [*broken, *days_of(reference, [rows_of(rng, ROWS)], first=214)]
    assert a_report(reference, repaired, 300).broken == ()


@pytest.mark.parametrize(
    ("missing", "last", "found"),
    [
        pytest.param([8] * 13, 6, 0, id="the day is at the bound"),
        pytest.param([8] * 13, 7, 1, id="both are above it"),
        pytest.param([6, 0, *[6] * 11], 12, 0, id="the pool is at the bound"),
    ],
)
def test_a_quarter_that_is_allowed_is_no_finding_of_the_day_and_none_of_the_pool(missing, last, found):
    rng = np.random.default_rng(5)
    reference = reference_of(rng, 90, 300)
    days = days_of(reference, [rows_of(rng, ROWS, missing=n / ROWS) for n in [*missing, last]])
    assert len(a_report(reference, days, 300, missing_jump=0.25).broken) == found


def test_rows_outside_support_are_a_finding_of_the_pool_while_the_day_has_them():
    rng = np.random.default_rng(6)
    reference = reference_of(rng, 90, 300)
    away = days_of(reference, [rows_of(rng, ROWS, shift=9.0) for _ in range(14)])
    assert a_report(reference, away[:1], 300).flags.outside is None
    assert [f.check for f in a_report(reference, away, 300).outside] == ["outside_support"]
    back = [*away, *days_of(reference, [rows_of(rng, ROWS)], first=214)]
    assert a_report(reference, back, 300).outside == ()


def test_the_window_of_closed_labels_grows_until_it_has_the_rows():
    days = [Cohort(f"2013-06-{n:02d}", ROWS, 20) for n in range(1, 29)]
    few = label_maturity(days, 0.1, window_days=7, allowed_rise=0.1, min_rows=300)
    assert few.overdue is None
    found = label_maturity(days, 0.1, window_days=7, allowed_rise=0.1, min_rows=300, most_days=28)
    assert (found.overdue, found.since, found.rows) == (False, "2013-06-16", 312)
    short = label_maturity(days, 0.1, window_days=7, allowed_rise=0.1, min_rows=300, most_days=10)
    assert (short.overdue, short.rows) == (None, 240)
    # Enough rows within the window's own days: it does not grow.
    assert label_maturity(days, 0.1, window_days=7, allowed_rise=0.1, min_rows=100, most_days=28).rows == 168


# --- the estimate -----------------------------------------------------------------------------------------------------


def small_reference(rng: np.random.Generator) -> EstimateReference:
    means = rng.normal(0.15, 0.02, 14)
    return EstimateReference("brier", tuple(DayEstimate(day_name(i), ROWS, m, m) for i, m in enumerate(means)), 0.3)


def estimated_by_day(reference: EstimateReference, means: np.ndarray, min_rows: int = 300):
    """Each day's estimate, with the days before it as the sensor adds them."""
    found = []
    for mean in means:
        least = least_rows_of_day(reference, min_rows)
        before = judged_before(found, least)
        beside = BesideEstimate(before, pooled_rows=rows_before(found, least, 27))
        band = Band("brier", 0.0, 0.05, run_length_days=365.0)
        found.append(estimated_performance(reference, np.full(ROWS, mean), band, min_rows=min_rows, beside=beside))
    return found


def test_days_of_24_rows_are_estimated_once_the_days_together_have_the_rows_and_days_are_judged_as_days():
    rng = np.random.default_rng(7)
    found = estimated_by_day(small_reference(rng), rng.normal(0.15, 0.02, 20))
    assert [e.out_of_band for e in found] == [None] * 12 + [False] * 8
    assert found[11].reason == "brier was not estimated: 24 rows, 288 with the days before; at least 300 are needed."
    assert "by 20 days together" in found[-1].reason


def test_a_risen_estimate_of_small_days_is_found():
    rng = np.random.default_rng(8)
    found = estimated_by_day(small_reference(rng), np.concatenate([rng.normal(0.15, 0.02, 20), np.full(10, 0.25)]))
    assert any(e.out_of_band for e in found[20:])


def test_a_nearly_empty_day_of_a_small_model_says_nothing_and_days_of_a_large_one_need_their_rows():
    rng = np.random.default_rng(9)
    reference = small_reference(rng)
    assert least_rows_of_day(reference, 300) == 8
    few = estimated_performance(
        reference, np.full(7, 0.9), Band("brier", 0.0), beside=BesideEstimate((), pooled_rows=900)
    )
    assert few.out_of_band is None
    assert few.reason.endswith("7 rows; at least 8 are needed.")
    large = EstimateReference("brier", tuple(DayEstimate(day_name(i), 900, 0.1, 0.1) for i in range(14)), 0.3)
    assert least_rows_of_day(large, 300) == 300


# --- how often it alarms ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("min_rows", "pool"), [(30, 2), (300, 13)])
def test_overlapping_pools_alarm_on_no_larger_share_of_reports_than_promised(min_rows, pool):
    """Every day looks at a pool that shares all but one day with yesterday's, and days have a level of their own, as
    weather has. A share q of the reports may alarm; the next look is one of the same rate, not one more chance."""
    rng, worlds, looks = np.random.default_rng([11, min_rows]), 150, 3
    alarms = reports = 0
    for _ in range(worlds):
        frames = [rows_of(rng, ROWS, shift=s) for s in rng.normal(0, 0.2, 90)]
        names = list(np.repeat([day_name(d) for d in range(90)], ROWS))
        reference = build_profile(pd.concat(frames), KINDS, days=names, window_rows=min_rows)
        days = days_of(reference, [rows_of(rng, ROWS, shift=s) for s in rng.normal(0, 0.2, pool * looks)])
        # Pools without a common day are independent, so a binomial bound holds for them.
        for last in range(pool, pool * looks + 1, pool):
            alarms += drifted(reference, days[:last], min_rows) is True
            reports += 1
    assert alarms <= stats.binom.ppf(0.99, reports, Q)
    assert stats.binom.ppf(0.99, reports, Q) < stats.binom.ppf(0.1, reports, 2 * Q)
