"""Input drift: a feature has drifted only when two tests agree, significance and size. Neither is enough alone.

With many rows everything is significant (a shift of 0.02 standard deviations is, at 100,000); with few rows nothing
is small (no drift at all makes a large index over 50 categories of 500 rows).

- **Size**: the population stability index less its mean without drift at these sizes, at least a declared floor.
- **Significance**: the chi-squared test on both histograms, adjusted over the features by Benjamini and Hochberg.
- **What is usual**: rows of one day are correlated, so tests that take rows as independent alarm on every real day.
  With enough reference days a feature's index is also compared with those of the reference's own days (each against
  the others), by the prediction interval ``mean + t s sqrt(1 + 1/k)`` of a new day; the larger of the two p values
  counts. The interval is taken on the cube root of the index, which makes a chi-squared nearly normal (Wilson and
  Hilferty 1931).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special, stats

from include.domain.drift.blind_spots import NO_DOUBTS, Doubts, blind_to
from include.domain.drift.distances import HistogramComparison, wasserstein
from include.domain.drift.feature_histograms import (
    compare_features,
    infinite_share,
    new_categories,
    outside_share,
    share_of,
    unseen_share,
)
from include.domain.drift.profile import FeatureProfile, NumericProfile, Profile

LEAST_WINDOWS = 6
"""Fewest reference days from which day-to-day variation is estimated; with fewer the interval would say nothing."""

EFFECT_AT_LEAST = 0.005
"""The floor under the effect unless a declaration says otherwise. A shift of 0.2 standard deviations has an index of
0.04, five points more of a category 0.014; a shift of 0.02, which is too small to report, 0.0004."""


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """What one feature did. Shares are of all rows of the window; an effect is in units of the index.

    ``drifted`` is None when too few rows were seen (``p`` and ``adjusted_p`` are None then too), or when no drift
    shows and the test could not have seen it (:mod:`include.domain.drift.blind_spots`). ``usual_high`` is the
    index that a day without drift stays below with probability 1 - q, None without enough reference days.
    ``wasserstein`` is in standard deviations of the reference, None for categories.
    """

    name: str
    kind: str
    drifted: bool | None
    reason: str
    rows: int
    reference_rows: int
    effect: float
    psi: float
    p: float | None
    adjusted_p: float | None
    usual_high: float | None
    jensen_shannon: float
    wasserstein: float | None
    importance: float
    missing_share: float
    reference_missing_share: float
    outside_share: float
    unseen_share: float
    """Rows with a category the reference never named, less the share of such rows in the reference itself."""
    new_categories: tuple[str, ...] = ()
    """Some of them; none of a reference that does not name all of its own, because they need not be new."""
    infinite_share: float = 0.0
    reference_infinite_share: float = 0.0

    @property
    def missing_jump(self) -> float:
        return self.missing_share - self.reference_missing_share

    @property
    def infinite_jump(self) -> float:
        return self.infinite_share - self.reference_infinite_share

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FeatureDrift:
        return cls(**(dict(data) | {"new_categories": tuple(data.get("new_categories", ()))}))


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """Drift over several features (or scores).

    ``drifted`` is None when too little was judged to say: when there are too few rows, or when the features that were
    not judged could make the difference.
    """

    drifted: bool | None
    reason: str
    rows: int
    share: float
    """The importance-weighted share of drifted features."""
    features: tuple[FeatureDrift, ...]
    pooled: tuple[str, ...] = ()
    """The days that were judged together, oldest first, where the newest alone had too few rows; else empty."""

    @property
    def blind(self) -> tuple[FeatureDrift, ...]:
        """The features that were not judged although both windows have enough rows."""
        return tuple(f for f in self.features if f.drifted is None and f.adjusted_p is not None)

    def as_json(self) -> dict[str, Any]:
        return {
            "drifted": self.drifted,
            "reason": self.reason,
            "rows": self.rows,
            "share": self.share,
            "features": [f.as_json() for f in self.features],
            "pooled": list(self.pooled),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DriftVerdict:
        features = tuple(FeatureDrift.from_json(f) for f in data["features"])
        pooled = tuple(data.get("pooled", ()))
        return cls(data["drifted"], data["reason"], data["rows"], data["share"], features, pooled)


@dataclass(frozen=True, slots=True)
class DriftRules:
    """When a feature of a window counts as drifted, and what its window is compared with.

    Attributes:
        q: False discovery rate over the features.
        effect_at_least: The floor under the effect, inclusive.
        share_at_least: The importance-weighted share of drifted features from which the inputs count as drifted,
            inclusive.
        min_rows: Fewest rows, of either window and of one feature, that are judged.
        calibrate: Whether day-to-day variation of the reference is allowed for. The window must then be of the length
            of the reference's windows, one day.
        day: The window's ``YYYY-MM-DD``: where the reference holds enough days of that weekday it is compared with
        those, so that a Sunday is no drift. None compares it with all.
    """

    q: float = 0.05
    effect_at_least: float = EFFECT_AT_LEAST
    share_at_least: float = 0.3
    min_rows: int = 300
    calibrate: bool = True
    day: str | None = None


DEFAULT_RULES = DriftRules()


def input_drift(
    reference: Profile,
    current: Profile,
    rules: DriftRules = DEFAULT_RULES,
    *,
    importances: Mapping[str, float] | None = None,
    doubts: Doubts = NO_DOUBTS,
) -> DriftVerdict:
    """Judge the features of a window against the reference.

    Args:
        reference: As built at training.
        current: The window, counted in the reference's bins.
        rules: What counts as drift.
        importances: Weight of each feature, 0 or more; equal where left out.
        doubts: What is known of the features beyond their counts.
    """
    weights = _weights([f.name for f in reference.features], importances)
    features = judged_features(reference.features, current.features, weights, rules, doubts)
    enough = sum(f.adjusted_p is not None for f in features)
    if current.rows < rules.min_rows or not enough:
        reason = (
            f"Inputs were not judged: {current.rows} rows, and {enough} features with enough of them; "
            f"at least {rules.min_rows} rows are needed."
        )
        return DriftVerdict(None, reason, current.rows, 0.0, features)
    return _summed_up(features, current.rows, rules.share_at_least)


SHOWN = 5
"""Features that a sentence names."""


def _summed_up(features: tuple[FeatureDrift, ...], rows: int, share_at_least: float) -> DriftVerdict:
    """The whole of the features, of which some were judged.

    Unknown is neither drifted nor quiet: a feature that was not judged is left out of the share, and when their weight
    could bring the share to its bound, the whole is unknown too.
    """
    judged = [f for f in features if f.drifted is not None]
    unjudged = [f for f in features if f.drifted is None]
    if not judged:
        reason = f"Inputs were not judged: none of {len(features)} features could be ({_named(unjudged)})."
        return DriftVerdict(None, reason, rows, 0.0, features)
    drifted = [f for f in judged if f.drifted]
    total, unknown, moved = (math.fsum(f.importance for f in part) for part in (judged, unjudged, drifted))
    share = moved / total if total else 0.0
    out: bool | None = bool(drifted) and share >= share_at_least
    if not out and unjudged and moved + unknown >= share_at_least * (total + unknown):
        out = None
    word = {True: "drifted", False: "did not drift", None: "were not judged as a whole"}[out]
    reason = f"Inputs {word}: {len(drifted)} of {len(judged)} features"
    if drifted:
        named = _named(sorted(drifted, key=lambda f: -f.effect))
        reason += (
            f" ({named}), weighted share {share:.3g} {'>=' if share >= share_at_least else '<'} {share_at_least:g}"
        )
    reason += f" on {rows} rows."
    if unjudged:
        named = _named(sorted(unjudged, key=lambda f: -f.importance))
        reason = f"{reason[:-1]}; {len(unjudged)} {'was' if len(unjudged) == 1 else 'were'} not judged ({named})."
    return DriftVerdict(out, reason, rows, share, features)


def _named(features: Sequence[FeatureDrift]) -> str:
    more = f" and {len(features) - SHOWN} more" if len(features) > SHOWN else ""
    return ", ".join(f.name for f in features[:SHOWN]) + more


def judged_features(
    reference: Sequence[FeatureProfile],
    current: Sequence[FeatureProfile],
    weights: Mapping[str, float],
    rules: DriftRules,
    doubts: Doubts = NO_DOUBTS,
) -> tuple[FeatureDrift, ...]:
    """Each feature with both keys; p values are adjusted over those of enough rows."""
    measured = [_measured(past, now, rules) for past, now in zip(reference, current, strict=True)]
    raw = [m.p for m in measured if m.p is not None]
    adjusted = iter(stats.false_discovery_control(raw)) if raw else iter(())
    return tuple(
        _judged(m, float(next(adjusted)) if m.p is not None else None, weights[m.past.name], rules, doubts)
        for m in measured
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """One feature of both windows, compared. ``p`` is None where one of them has too few rows."""

    past: FeatureProfile
    now: FeatureProfile
    usual: _Usual | None
    comparison: HistogramComparison
    p: float | None


def _measured(past: FeatureProfile, now: FeatureProfile, rules: DriftRules) -> _Measured:
    usual = _Usual.of(past, rules.day) if rules.calibrate else None
    comparison = compare_features(past, now)
    enough_rows = min(now.rows, past.rows) >= rules.min_rows
    p = max(comparison.p, usual.p(comparison, now.rows)) if usual else comparison.p
    return _Measured(past, now, usual, comparison, p if enough_rows else None)


@lru_cache(maxsize=1024)
def _weekday(day: str) -> int:
    return date.fromisoformat(day).weekday()


@dataclass(frozen=True, slots=True)
class _Usual:
    """The index of a day without drift: mean and standard deviation of its cube root over k reference days."""

    mean: float
    sd: float
    k: int
    rows: float

    @classmethod
    def of(cls, feature: FeatureProfile, day: str | None) -> _Usual | None:
        windows = feature.windows
        if day is not None:
            of_weekday = tuple(w for w in windows if _weekday(w.day) == _weekday(day))
            windows = of_weekday if len(of_weekday) >= LEAST_WINDOWS else windows
        if len(windows) < LEAST_WINDOWS:
            return None
        roots = np.cbrt([w.psi for w in windows])
        # The harmonic mean, and Student's distribution from scipy.special: scipy.stats checks its arguments for longer
        # than all the rest of a day's report takes.
        rows = float(len(windows) / np.sum(1 / np.array([w.rows for w in windows])))
        return cls(float(roots.mean()), float(roots.std(ddof=1)), len(windows), rows)

    def p(self, found: HistogramComparison, rows: int) -> float:
        """The probability that a day without drift has an index at least as high."""
        if found.psi <= 0 or rows == 0:
            return 1.0
        # A window of fewer rows than the reference's days has a higher index by chance alone, and the other way round.
        chance = (found.bins - 1) * (1 / rows - 1 / self.rows)
        root = float(np.cbrt(max(found.psi - chance, 0.0)))
        width = self.sd * math.sqrt(1 + 1 / self.k)
        if width == 0:
            return 0.0 if root > self.mean else 1.0
        return float(special.stdtr(self.k - 1, -(root - self.mean) / width))

    def high(self, q: float) -> float:
        quantile = -float(special.stdtrit(self.k - 1, q))
        return float((self.mean + quantile * self.sd * math.sqrt(1 + 1 / self.k)) ** 3)


def _judged(
    measured: _Measured, adjusted: float | None, importance: float, rules: DriftRules, doubts: Doubts
) -> FeatureDrift:
    past, now, usual, found = measured.past, measured.now, measured.usual, measured.comparison
    q, effect_at_least, min_rows = rules.q, rules.effect_at_least, rules.min_rows
    high = usual.high(q) if usual else None
    if adjusted is None:
        drifted: bool | None = None
        reason = f"{past.name} has {now.rows} rows against {past.rows}; at least {min_rows} of each are needed."
    else:
        drifted = adjusted < q and found.effect >= effect_at_least
        keys = (
            f"effect {found.effect:.3g} {'>=' if found.effect >= effect_at_least else '<'} {effect_at_least:g}, "
            f"adjusted p {adjusted:.2g} {'<' if adjusted < q else '>='} {q:g}"
        )
        days = (
            ""
            if high is None or usual is None
            else f" (a usual day's index reaches {high:.3g} on {usual.k} reference days)"
        )
        reason = f"{past.name} {'drifted' if drifted else 'did not drift'}: {keys}{days}, {now.rows} rows."
        if not drifted and (blind := blind_to(past, now, doubts)) is not None:
            drifted, reason = None, f"{past.name} was not judged: it {blind}."
    distance = None
    if isinstance(past, NumericProfile) and isinstance(now, NumericProfile):
        distance = wasserstein(
            np.array(past.counts, dtype=np.float64),
            np.array(now.counts, dtype=np.float64),
            np.array(past.centres),
            past.scale or 0.0,
        )
    return FeatureDrift(
        name=past.name,
        kind=past.kind.value,
        drifted=drifted,
        reason=reason,
        rows=now.rows,
        reference_rows=past.rows,
        effect=found.effect,
        psi=found.psi,
        p=measured.p,
        adjusted_p=adjusted,
        usual_high=high,
        jensen_shannon=found.jensen_shannon,
        wasserstein=distance,
        importance=importance,
        missing_share=share_of(now.missing, now.rows),
        reference_missing_share=share_of(past.missing, past.rows),
        outside_share=outside_share(past, now),
        unseen_share=unseen_share(past, now),
        new_categories=new_categories(past, now),
        infinite_share=infinite_share(now),
        reference_infinite_share=infinite_share(past),
    )


def _weights(names: Sequence[str], importances: Mapping[str, float] | None) -> dict[str, float]:
    """Each feature's share of all importance; equal shares when none is given or none is above 0."""
    given = {name: max((importances or {}).get(name, 0.0), 0.0) for name in names}
    total = math.fsum(v for v in given.values() if math.isfinite(v))
    if not total > 0:
        return {name: 1 / len(names) for name in names}
    return {name: (v if math.isfinite(v) else 0.0) / total for name, v in given.items()}
