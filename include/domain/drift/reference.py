"""Builds the reference: fixes the bins, counts, and measures what change is usual from one of its days to another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.domain.drift.feature_histograms import compare_features
from include.domain.drift.input_drift import LEAST_WINDOWS
from include.domain.drift.profile import (
    BOOLEAN_CATEGORIES,
    PREDICTED_CLASS,
    CategoricalProfile,
    FeatureKind,
    FeatureProfile,
    NumericProfile,
    Profile,
    ReferenceWindow,
    as_numbers,
    category_counts,
    column_of,
    counted,
    merged_feature,
    score_frame,
    without,
)
from include.domain.losses import losses_by_day

MAX_CATEGORIES = 2000
OTHERS = "other days"
MOST_WINDOWS = 400
"""How many days are measured one by one; of a longer reference this many, evenly spread. More days give no better
estimate of the usual variation."""


def build_profile(
    frame: pd.DataFrame,
    kinds: Mapping[str, FeatureKind],
    *,
    days: Sequence[str] | NDArray[Any] | None = None,
    bins: int = 10,
    max_categories: int = MAX_CATEGORIES,
    window_rows: int = 1,
) -> Profile:
    """Profile the reference window: fix the bins, count, and measure how far each of its days is from the others.

    Args:
        frame: One row a prediction; other columns than those of ``kinds`` are ignored.
        kinds: The features, in order.
        days: Shape (rows,): each row's ``YYYY-MM-DD``, or another name of its window. Without it rows count as
            exchangeable, and no day-to-day variation is allowed for.
        bins: Quantile bins of a numeric feature.
        max_categories: Most categories named of one feature.
        window_rows: Rows from which on a window is judged: where a typical day has fewer, days are measured together.
    """
    empty = Profile(0, tuple(_bins_for(frame, name, kind, bins, max_categories) for name, kind in kinds.items()))
    return _counted_by_day(empty, frame, days, window_rows)


def profile_scores(
    scores: NDArray[Any],
    *,
    days: Sequence[str] | NDArray[Any] | None = None,
    bins: int = 10,
    classes: Sequence[str] = (),
    window_rows: int = 1,
) -> tuple[FeatureProfile, ...]:
    """Profile a champion's scores on rows it was not trained on.

    Args:
        scores: Shape (n,) or (n, classes).
        days: As in :func:`build_profile`.
        bins: Quantile bins.
        classes: The class names of a multiclass model, in the order of the columns; the predicted class is then
            profiled too.
        window_rows: As in :func:`build_profile`.
    """
    frame = score_frame(scores, classes)
    kinds = {
        name: FeatureKind.CATEGORICAL if name == PREDICTED_CLASS else FeatureKind.NUMERIC for name in frame.columns
    }
    return build_profile(frame, kinds, days=days, bins=bins, window_rows=window_rows).features


def pooled_days(rows: NDArray[np.intp], window_rows: int) -> NDArray[np.intp]:
    """Which window each day belongs to, shape (days,), ascending: days in a row are one window once they have
    ``window_rows`` rows together, and what is left over at the end joins the last.

    Each day is its own window where a typical day has as many rows, or where the days make fewer windows than are
    needed to say what is usual.

    Args:
        rows: Shape (days,): the rows of each day, in order.
        window_rows: As in :func:`build_profile`.

    >>> pooled_days(np.array([24] * 13), 48).tolist()
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5]
    >>> pooled_days(np.array([24] * 4), 48).tolist(), pooled_days(np.array([50, 20, 50]), 48).tolist()
    ([0, 1, 2, 3], [0, 1, 2])
    """
    alone = np.arange(len(rows))
    if not len(rows) or float(np.median(rows)) >= window_rows:
        return alone
    found, window, gathered = np.empty(len(rows), dtype=np.intp), 0, 0
    for at, count in enumerate(rows):
        found[at] = window
        gathered += int(count)
        if gathered >= window_rows:
            window, gathered = window + 1, 0
    return np.minimum(found, window - 1) if window >= LEAST_WINDOWS else alone


def _counted_by_day(
    empty: Profile, frame: pd.DataFrame, days: Sequence[str] | NDArray[Any] | None, window_rows: int
) -> Profile:
    if days is None:
        return replace(empty, rows=len(frame), features=counted(empty.features, frame))
    codes, found = pd.factorize(np.asarray(days), sort=True)
    window_of = pooled_days(np.bincount(codes, minlength=len(found)), window_rows)
    # A window is named by its last day, as a pool is.
    names = [str(found[last]) for last in np.flatnonzero(np.diff(window_of, append=len(window_of)))]
    codes = window_of[codes]
    if len(names) > MOST_WINDOWS:
        chosen = np.linspace(0, len(names) - 1, MOST_WINDOWS).astype(np.intp)
        apart = np.full(len(names), MOST_WINDOWS)
        apart[chosen] = np.arange(MOST_WINDOWS)
        codes, names = apart[codes], [*(names[i] for i in chosen), OTHERS]
    # Sorted once, so that each day is a slice: looking every day up in all rows takes days times as long.
    ordered = frame.iloc[np.argsort(codes, kind="stable")]
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    by_day = [
        counted(empty.features, ordered.iloc[start:end]) for start, end in zip((0, *ends[:-1]), ends, strict=True)
    ]
    features = []
    for position, feature in enumerate(empty.features):
        daily = [day[position] for day in by_day]
        whole = feature
        for one in daily:
            whole = merged_feature(whole, one)
        features.append(replace(whole, windows=_windows(whole, dict(zip(names, daily, strict=True)))))
    return replace(empty, rows=len(frame), features=tuple(features))


def _windows(whole: FeatureProfile, daily: Mapping[str, FeatureProfile]) -> tuple[ReferenceWindow, ...]:
    """Each day against all the others: a day compared with a whole that contains it seems nearer than it is."""
    if len(daily) < 2:
        return ()
    return tuple(
        ReferenceWindow(day, one.rows, compare_features(without(whole, one), one).psi)
        for day, one in daily.items()
        if one.rows and day != OTHERS
    )


def _bins_for(frame: pd.DataFrame, name: str, kind: FeatureKind, bins: int, max_categories: int) -> FeatureProfile:
    column = column_of(frame, name)
    if kind is FeatureKind.NUMERIC:
        values = as_numbers(column)
        finite = values[np.isfinite(values)]
        edges = quantile_edges(finite, bins)
        with np.errstate(over="ignore"):
            spread = float(finite.std()) if finite.size else math.nan
        scale = spread if math.isfinite(spread) else None
        return NumericProfile(name, edges, (0,) * (len(edges) + 1), 0, _centres(finite, edges), scale)
    if kind is FeatureKind.BOOLEAN:
        return CategoricalProfile(name, kind, BOOLEAN_CATEGORIES, (0, 0), 0)
    found = category_counts(column, kind)[0]
    named = tuple(c for c, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:max_categories])
    return CategoricalProfile(name, kind, named, (0,) * len(named), 0, truncated=len(found) > len(named))


def _centres(finite: NDArray[np.float64], edges: tuple[float, ...]) -> tuple[float, ...]:
    """Shape (edges + 1,): the mean of each bin's values, the middle of a bin without any, and the edge for the outer
    two."""
    if not edges:
        return ()
    at = np.asarray(edges)
    codes = np.searchsorted(at, finite, side="right")
    rows = np.bincount(codes, minlength=len(at) + 1)
    # Sums of shares instead of shares of sums: values near the largest float do not overflow.
    shares = finite / np.maximum(rows[codes], 1)
    means = np.bincount(codes, weights=shares, minlength=len(at) + 1)
    means = np.where(rows > 0, means, np.concatenate([at[:1], at[:-1] / 2 + at[1:] / 2, at[-1:]]))
    return tuple(float(m) for m in np.concatenate([at[:1], means[1:-1], at[-1:]]))


def quantile_edges(finite: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Ascending edges ``e_0 .. e_m`` of half-open bins ``[e_i, e_i+1)`` that hold all of the values.

    A quantile that repeats is a tie: the value gets a bin of its own.

    >>> quantile_edges(np.array([0.0] * 90 + [1.0] * 10), 10)
    (0.0, 5e-324, 1.0000000000000002)
    """
    if not finite.size:
        return ()
    quantiles = np.quantile(finite, np.linspace(0, 1, bins + 1), method="inverted_cdf")
    values, repeats = np.unique(quantiles, return_counts=True)
    tied = repeats > 1
    with np.errstate(over="ignore"):
        after = np.nextafter(np.append(values[tied], values[-1]), np.inf)
    # The largest value closes the last bin; it is an edge itself only where it is tied.
    edges = np.unique(np.concatenate([values[:-1], values[tied], after]))
    return tuple(float(e) for e in edges if math.isfinite(e))


@dataclass(frozen=True, slots=True)
class HeldOutScores:
    """What a candidate answered on its holdout, never on training rows, where its losses are too small.

    Attributes:
        scores: Shape (holdout rows,), or (holdout rows, classes).
        score_days: Shape (holdout rows,): the day of each holdout row.
        losses: Shape (holdout rows,): the loss of each, from :func:`include.domain.losses.row_losses`.
        classes: As in :func:`profile_scores`.
        weights: Shape (holdout rows,): how much each counts; None where all count the same.
    """

    scores: NDArray[Any]
    score_days: Sequence[str]
    losses: NDArray[np.float64]
    classes: Sequence[str] = ()
    weights: NDArray[np.float64] | None = None


def reference_profile(
    frame: pd.DataFrame,
    kinds: Mapping[str, FeatureKind],
    days: Sequence[str],
    *,
    held_out: HeldOutScores,
    bins: int = 10,
    window_rows: tuple[int, int] = (1, 1),
) -> Profile:
    """The whole reference of a model version, kept with it.

    Args:
        frame: The features of the training window.
        kinds: The features, in order.
        days: Shape (rows,): the day of each training row.
        held_out: Its scores, and what they lose.
        bins: Quantile bins.
        window_rows: Of the inputs and of the scores, as in :func:`build_profile`.
    """
    of_inputs, of_scores = window_rows
    profile = build_profile(frame, kinds, days=days, bins=bins, window_rows=of_inputs)
    scored = profile_scores(
        held_out.scores, days=held_out.score_days, bins=bins, classes=held_out.classes, window_rows=of_scores
    )
    return replace(profile, scores=scored, losses=losses_by_day(held_out.score_days, held_out.losses, held_out.weights))
