"""Realised performance of two tables, compared once: Welch's test, or against the usual variation between windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from include.domain.drift.once import risk_rise
from include.domain.gap import Tolerated

RNG = np.random.default_rng(1)
PAST, NOW = RNG.gamma(2.0, 0.1, 900), RNG.gamma(2.0, 0.11, 400)


def rise(reference, current, **options):
    tolerated = Tolerated(options.pop("tolerance", 0.0))
    return risk_rise(reference, current, **{"metric": "brier", "tolerance": tolerated, **options})


@pytest.mark.parametrize(("past", "now"), [(PAST, NOW), (PAST[:5], NOW[:4])], ids=["many rows", "a few"])
def test_what_chance_gives_is_that_of_welch_s_one_sided_test(past, now):
    welch = stats.ttest_ind(now, past, equal_var=False, alternative="greater")
    error = (now.mean() - past.mean()) / welch.statistic
    found = rise(past, now, min_rows=2)
    assert found.allowed == pytest.approx(past.mean() + stats.t.isf(0.05, welch.df) * error)
    assert (found.rows, found.reference_rows) == (len(now), len(past))
    assert (found.risk, found.reference_risk) == (pytest.approx(now.mean()), pytest.approx(past.mean()))


def test_it_is_out_of_band_where_that_test_finds_the_difference():
    p = stats.ttest_ind(NOW, PAST, equal_var=False, alternative="greater").pvalue
    assert rise(PAST, NOW, alpha=p * 1.01).out_of_band is True
    assert rise(PAST, NOW, alpha=p * 0.99).out_of_band is False


def test_a_tolerance_is_added_to_what_chance_gives():
    assert rise(PAST, NOW, tolerance=0.5).allowed == pytest.approx(rise(PAST, NOW).allowed + 0.5)


def test_losses_without_a_spread_are_compared_as_they_are_and_the_bound_is_in_band():
    quarter = np.full(300, 0.25)
    equal, above = rise(quarter, quarter), rise(quarter, quarter + 0.125)
    assert (equal.out_of_band, equal.allowed) == (False, 0.25)
    assert (above.out_of_band, above.allowed) == (True, 0.25)
    assert equal.reason.startswith("Realised in band: brier 0.25 on 300 labelled rows")
    assert above.reason.startswith("Realised out of band: brier 0.375 on 300 labelled rows")
    assert rise(quarter, quarter + 0.125, tolerance=0.125).out_of_band is False


def test_of_rmse_the_roots_are_compared():
    found = rise(np.full(300, 4.0), np.full(300, 9.0), metric="rmse", tolerance=1.0)
    assert (found.reference_risk, found.risk, found.allowed, found.out_of_band) == (2.0, 3.0, 3.0, False)


def test_the_bound_of_a_root_is_never_below_zero():
    rare = np.append(np.zeros(299), 1.0)
    assert rise(rare, rare, metric="rmse", alpha=0.999, tolerance=0.25).allowed == 0.25


@pytest.mark.parametrize(("past", "now", "judged"), [(300, 300, True), (299, 300, False), (300, 299, False)])
def test_300_rows_of_either_are_enough_and_299_are_not(past, now, judged):
    found = rise(PAST[:past], NOW[:now])
    assert (found.out_of_band is not None, found.allowed is not None) == (judged, judged)
    if not judged:
        assert found.reason == (
            f"brier was measured on {now} labelled rows against {past}; at least 300 of each are needed."
        )
        assert found.risk == pytest.approx(NOW[:now].mean())


def test_no_rows_have_no_risk():
    found = rise(np.empty(0), NOW, min_rows=0)
    assert (found.out_of_band, found.reference_risk, found.risk) == (None, None, pytest.approx(NOW.mean()))
    assert rise(PAST, np.empty(0), min_rows=0).out_of_band is None


def test_windows_that_usually_differ_allow_for_it():
    means = 0.2 + RNG.normal(0, 0.05, 30)
    windows = np.repeat(np.arange(30), 50)
    past = np.repeat(means, 50)
    found = rise(past, np.full(400, 0.26), windows=windows)
    usual = means.mean() + stats.t.isf(0.05, 29) * means.std(ddof=1) * math.sqrt(1 + 1 / 30)
    assert found.allowed == pytest.approx(usual)
    assert "on 30 reference windows" in found.reason
    assert found.out_of_band is False
    assert rise(past, np.full(400, 0.26)).out_of_band is True


def test_a_window_of_fewer_rows_than_the_reference_s_varies_more_by_chance():
    means = 0.2 + RNG.normal(0, 0.05, 30)
    windows, past = np.repeat(np.arange(30), 500), np.repeat(means, 500)
    spread = np.tile([0.1, 0.3], 200)
    chance = spread.var() * (1 / 400 - 1 / 500)
    found = rise(past, spread, windows=windows)
    width = math.sqrt(means.var(ddof=1) * (1 + 1 / 30) + chance)
    assert found.allowed == pytest.approx(means.mean() + stats.t.isf(0.05, 29) * width)


def test_a_few_windows_do_not_show_how_they_vary_so_rows_count_as_independent():
    found = rise(PAST, NOW, windows=np.repeat([0, 1], 450))
    assert found.allowed == rise(PAST, NOW).allowed
    assert "by chance" in found.reason
