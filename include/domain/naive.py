"""Naive forecasts of a number from its own past: the last value, and the value of a season ago.

Both use only labels that had matured when the prediction was asked for: a naive forecaster that looks at what was not
known yet is no standard.

Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, 5.2: for a horizon beyond one season
the seasonal-naive forecast is the value of the last season that is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Moments = NDArray[np.int64]
"""Microseconds since 1970, UTC."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownValues:
    """Labels ``value`` of rows that happened at ``at``, each of one ``series``; all ``(n,)``. NaN labels are none."""

    series: NDArray[np.intp]
    at: Moments
    value: Floats


def value_at(known: KnownValues, series: NDArray[np.intp], moments: Moments) -> Floats:
    """For each asked series and moment the value of the latest row at or before it, ``(m,)``; NaN where there is none.
    Rows of one series at one time count with their mean.

    >>> past = KnownValues(np.array([0, 0, 1]), np.array([10, 20, 20]), np.array([1.0, 2.0, 5.0]))
    >>> value_at(past, np.array([0, 0, 1, 0]), np.array([19, 20, 25, 9])).tolist()
    [1.0, 2.0, 5.0, nan]
    """
    usable = np.isfinite(known.value)
    times = np.unique(known.at[usable])
    found = np.full(len(moments), np.nan)
    if not len(times):
        return found
    # One number orders rows by series and then by time; rank 0 is before the first time.
    wide = len(times) + 1
    keys = known.series[usable].astype(np.int64) * wide + np.searchsorted(times, known.at[usable]) + 1
    places, index, rows = np.unique(keys, return_inverse=True, return_counts=True)
    means = np.bincount(index, weights=known.value[usable]) / rows
    asked = series.astype(np.int64) * wide + np.searchsorted(times, moments, side="right")
    last = np.searchsorted(places, asked, side="right") - 1
    same = (last >= 0) & (places[np.maximum(last, 0)] // wide == series)
    found[same] = means[last[same]]
    return found


def season_ago(event: Moments, latest: Moments, season: int) -> Moments:
    """The moment ``event`` less as few whole seasons, one or more, as bring it to ``latest`` or before, ``(m,)``.

    >>> season_ago(np.array([100, 100]), np.array([100, 85]), 7).tolist()
    [93, 79]
    """
    seasons = np.maximum(-((latest - event) // season), 1)
    found: Moments = event - seasons * season
    return found
