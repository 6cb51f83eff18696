"""The estimated lane over time: how often it alarms while nothing changes, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from include.domain.drift.estimate_reference import DayEstimate, EstimateReference
from include.domain.drift.estimated import BesideEstimate, EstimatedPerformance, estimated_performance, judged_before
from include.domain.risk_bounds import Band

REFERENCE, KEPT, ROWS = 14, 120, 300
USUAL, SPREAD = 0.15, 0.006
BAND = Band("brier", 0.0, 0.05, run_length_days=365.0)


def estimates(rng: np.random.Generator, count: int, lag: float) -> np.ndarray:
    z = np.empty(count)
    z[0] = rng.standard_normal()
    for i in range(1, count):
        z[i] = lag * z[i - 1] + np.sqrt(1 - lag * lag) * rng.standard_normal()
    return USUAL + SPREAD * z


def reference_of(days: np.ndarray) -> EstimateReference:
    kept = tuple(DayEstimate(f"2024-01-{i + 1:02d}", ROWS, float(e), float(e)) for i, e in enumerate(days))
    return EstimateReference("brier", kept, skill=0.3)


def judged(reference: EstimateReference, days: np.ndarray, at: int, band: Band = BAND) -> EstimatedPerformance:
    earlier = tuple(float(e) for e in days[max(at - KEPT, 0) : at])
    return estimated_performance(reference, np.full(ROWS, days[at]), band, beside=BesideEstimate(earlier))


def starts(reference: EstimateReference, days: np.ndarray) -> int | None:
    """The first day on which two of the last three days are out of band, the newest among them."""
    flags: list[bool] = []
    for at in range(len(days)):
        flags.append(judged(reference, days, at).out_of_band is True)
        if flags[-1] and sum(flags[-3:]) >= 2:
            return at
    return None


@pytest.mark.slow
@pytest.mark.parametrize("lag", [0.0, 0.3, 0.5])
def test_a_model_whose_rows_do_not_change_starts_at_most_one_preparation_a_year(lag):
    rng, years = np.random.default_rng([5, int(10 * lag)]), 40
    began = 0
    for _ in range(years):
        days = estimates(rng, REFERENCE + 365, lag)
        began += starts(reference_of(days[:REFERENCE]), days[REFERENCE:]) is not None
    # One a year on average is a share of 1 - 1/e of the years with any; twice that would break the bound.
    assert began <= stats.binom.ppf(0.99, years, 1 - np.exp(-1.0))
    assert began < stats.binom.ppf(0.01, years, 1 - np.exp(-2.0))


@pytest.mark.parametrize("age", [5, 100])
def test_rows_that_become_harder_are_found_within_ten_days_at_any_age(age):
    rng, found = np.random.default_rng(6), 0
    for _ in range(20):
        days = estimates(rng, REFERENCE + age + 10, 0.3)
        days[REFERENCE + age :] += 4 * SPREAD
        reference = reference_of(days[:REFERENCE])
        flags = [judged(reference, days[REFERENCE:], at).out_of_band for at in range(age, age + 10)]
        found += any(flags)
    assert found >= 18


def test_a_first_day_alone_is_not_judged_and_says_what_is_needed():
    days = estimates(np.random.default_rng(1), REFERENCE + 1, 0.0)
    found = judged(reference_of(days[:REFERENCE]), days[REFERENCE:], 0)
    assert found.out_of_band is None
    assert "brier was not judged without labels: 1 day of this version and 14 reference days" in found.reason


def test_an_alarm_ends_when_the_days_are_usual_again():
    days = np.full(30, USUAL) + np.tile([0.001, -0.001], 15)
    reference = reference_of(days[:REFERENCE])
    later = np.concatenate([np.full(6, 0.3), [USUAL]])
    assert judged(reference, later, 5).out_of_band is True
    last = judged(reference, later, 6)
    assert last.out_of_band is False
    assert last.evidence is not None


def test_a_rise_within_the_tolerance_is_in_band():
    days = np.full(30, USUAL) + np.tile([0.001, -0.001], 15)
    reference, later = reference_of(days[:REFERENCE]), np.full(20, USUAL + 0.03)
    wide = Band("brier", 0.05, 0.05, run_length_days=365.0)
    assert judged(reference, later, 19, wide).out_of_band is False
    assert judged(reference, later, 19).out_of_band is True


def test_void_days_and_small_ones_do_not_count_among_those_before():
    days = estimates(np.random.default_rng(1), REFERENCE, 0.0)
    good = judged(reference_of(days), np.array([0.2, 0.2]), 1)
    small = estimated_performance(reference_of(days), np.full(10, 0.2), BAND, beside=BesideEstimate(()))
    void = estimated_performance(
        reference_of(days), np.full(ROWS, 0.2), BAND, outside_share=0.5, beside=BesideEstimate(())
    )
    assert judged_before([good, small, void], 300) == (pytest.approx(0.2),)
    assert EstimatedPerformance.from_json(good.as_json()) == good
