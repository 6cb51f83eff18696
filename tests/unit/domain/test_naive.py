"""Naive forecasts from the past: the newest value that was known, and that of a season ago."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domain.naive import KnownValues, season_ago, value_at

moments = st.integers(0, 40)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), moments, st.one_of(st.none(), st.integers(-5, 5))), max_size=30),
    asked=st.lists(st.tuples(st.integers(0, 3), moments), max_size=10),
)
def test_the_latest_value_of_the_series_at_or_before_the_moment(rows, asked):
    series, at, value = (np.array([row[i] for row in rows], dtype=float) for i in range(3))
    known = KnownValues(series.astype(np.intp), at.astype(np.int64), value)
    found = value_at(
        known, np.array([s for s, _ in asked], dtype=np.intp), np.array([m for _, m in asked], dtype=np.int64)
    )
    for (of, moment), answer in zip(asked, found, strict=True):
        before = [(t, v) for s, t, v in rows if s == of and t <= moment and v is not None]
        newest = max((t for t, _ in before), default=None)
        expected = np.mean([v for t, v in before if t == newest]) if before else np.nan
        assert answer == pytest.approx(expected, nan_ok=True)


@settings(deadline=None)
@given(event=st.integers(0, 1000), behind=st.integers(0, 300), season=st.integers(1, 50))
def test_a_season_ago_is_known_and_as_near_as_can_be(event, behind, season):
    (found,) = season_ago(np.array([event]), np.array([event - behind]), season)
    assert (event - found) % season == 0
    assert found < event
    assert found <= event - behind
    assert found + season > event - behind or found + season == event
