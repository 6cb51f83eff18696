"""Drift of the inputs: how often it is found where nothing changed, and that what is worth knowing is found."""

import numpy as np
import pandas as pd
import pytest
from drift_windows import DAYS, columns, one, weather
from scipy import stats

from include.domain.drift.feature_histograms import compare_features
from include.domain.drift.input_drift import DriftRules, input_drift
from include.domain.drift.profile import FeatureKind, count_window
from include.domain.drift.reference import build_profile


@pytest.mark.parametrize("references", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_f101_forty_features_without_drift_stay_quiet(references):
    """At most q = 5 % of the windows, twenty to a reference, have any false alarm: key one alone, the floor being as
    good as off."""
    rng = np.random.default_rng(7)
    alarms = 0
    for _ in range(references):
        profile = build_profile(
            columns(3000, 40, rng.integers(1 << 31)), {f"x{i}": FeatureKind.NUMERIC for i in range(40)}
        )
        for _ in range(20):
            current = count_window(profile, columns(600, 40, rng.integers(1 << 31)))
            found = input_drift(profile, current, rules=DriftRules(effect_at_least=1e-9))
            alarms += any(f.drifted for f in found.features)
    assert alarms <= stats.binom.isf(0.001, 20 * references, 0.05)


@pytest.mark.parametrize("categories", [5, 50, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rows", [500, 5000])
@pytest.mark.parametrize("windows", [60, pytest.param(400, marks=pytest.mark.slow)])
def test_the_chi_squared_p_of_categories_is_honest_without_drift(categories, rows, windows):
    rng = np.random.default_rng(categories + rows)
    share = rng.dirichlet(np.ones(categories))
    names = np.array([f"c{i}" for i in range(categories)])
    low = 0
    for _ in range(windows):
        profile = build_profile(pd.DataFrame({"x": rng.choice(names, 10_000, p=share)}), {"x": FeatureKind.CATEGORICAL})
        current = count_window(profile, pd.DataFrame({"x": rng.choice(names, rows, p=share)}))
        low += compare_features(profile.features[0], current.features[0]).p < 0.05
    assert low <= stats.binom.isf(0.001, windows, 0.06)


def shifted_by_a_fifth(rng):
    return rng.normal(size=20_000), rng.normal(0.2, 1, 5000), FeatureKind.NUMERIC


def five_percent_missing_instead_of_one(rng):
    windows = [np.where(rng.random(n) < m, np.nan, rng.normal(size=n)) for n, m in ((20_000, 0.01), (5000, 0.05))]
    return *windows, FeatureKind.NUMERIC


def five_points_more_of_a_category(rng):
    return rng.random(20_000) < 0.2, rng.random(5000) < 0.25, FeatureKind.BOOLEAN


@pytest.mark.parametrize(
    "change", [shifted_by_a_fifth, five_percent_missing_instead_of_one, five_points_more_of_a_category]
)
def test_changes_worth_knowing_are_found_at_five_thousand_rows(change):
    rng = np.random.default_rng(8)
    assert sum(bool(one(*change(rng), effect_at_least=0.005).drifted) for _ in range(40)) >= 39


def test_an_ordinary_day_is_no_alarm_once_the_reference_days_were_looked_at():
    rng = np.random.default_rng(9)
    naive = calm = strange = 0
    for _ in range(20):
        frame = weather(30, 300, rng)
        profile = build_profile(frame, {"temp": FeatureKind.NUMERIC}, days=list(np.repeat(DAYS, 300)))
        for _ in range(10):
            day = count_window(profile, weather(1, 300, rng))
            naive += bool(input_drift(profile, day, rules=DriftRules(calibrate=False)).features[0].drifted)
            calm += bool(input_drift(profile, day).features[0].drifted)
        storm = count_window(profile, weather(1, 300, rng, shift=3.0))
        strange += bool(input_drift(profile, storm).features[0].drifted)
    assert naive > 80
    assert calm <= stats.binom.isf(0.001, 200, 0.1)  # at most twice the declared 5 %
    assert strange >= 19
