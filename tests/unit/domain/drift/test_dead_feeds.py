"""A feed that is dead is seen on days of few rows too: shares above their bound by the exact binomial bound."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from test_drift import a_report

from include.domain.drift.report import SURELY, least_share


def of_day(rows, *, missing=0.0, unseen=0.0, infinite=0.0, seed=3):
    rng = np.random.default_rng(seed)
    wind = rng.normal(10, 3, rows)
    wind[: round(missing * rows)] = np.nan
    wind[: round(infinite * rows)] = np.inf
    carrier = np.where(np.arange(rows) < round(unseen * rows), "ZZ", "UA")
    return pd.DataFrame({"wind": wind, "carrier": carrier})


def found(frame):
    return [(f.feature, f.check) for f in a_report(frame).broken]


@pytest.mark.parametrize("rows", [24, 50, 299])
def test_a_wholly_missing_feed_is_seen_whatever_the_rows_of_a_day(rows):
    assert found(of_day(rows, missing=1.0)) == [("wind", "missing")]
    assert found(of_day(rows, infinite=1.0)) == [("wind", "infinite")]
    assert found(of_day(rows, unseen=1.0)) == [("carrier", "unseen")]


def test_of_few_rows_a_share_a_little_above_its_bound_is_no_finding():
    assert found(of_day(50, missing=0.3)) == []
    assert found(of_day(300, missing=0.3)) == [("wind", "missing")]


def test_three_rows_show_nothing():
    assert found(of_day(3, missing=1.0)) == []


def test_a_day_within_its_bound_is_called_broken_seldom():
    # The exact probability, at the bound itself, that the lower bound of 50 rows is above it.
    wrong = sum(binom.pmf(k, 50, 0.2) for k in range(51) if least_share(k / 50, 50, SURELY) > 0.2)
    assert 0 < wrong <= SURELY
