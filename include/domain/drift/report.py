"""The drift report of one scored partition: what was measured, what was found broken, and the flags that a decision is
based on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.special import betaincinv

from include.domain.drift.estimated import EstimatedPerformance
from include.domain.drift.feature_histograms import (
    infinite_share,
    new_categories,
    outside_share,
    share_of,
    unseen_share,
)
from include.domain.drift.input_drift import DriftVerdict, FeatureDrift
from include.domain.drift.maturity import LabelMaturity
from include.domain.drift.pooling import Pool, kept_counts, said
from include.domain.drift.profile import FeatureProfile, NumericProfile, Profile
from include.domain.performance import RealisedPerformance


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that makes the data itself suspect; a person is asked, nothing is retrained."""

    feature: str
    check: str
    """``missing``, ``infinite``, ``unseen``, ``labels`` (overdue) or ``outside_support``."""
    measured: float
    allowed: float
    reason: str

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("feature", "check", "measured", "allowed", "reason")}


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of one report; None when not judged."""

    day: str
    inputs: bool | None = None
    predictions: bool | None = None
    estimated: bool | None = None
    """Whether the estimated performance (no labels yet) is out of its band."""
    realised: bool | None = None
    """Whether the realised performance (matured labels) is out of its band."""
    broken: bool | None = None
    """Whether the data is broken."""
    outside: bool | None = None
    """Whether too many rows are outside what the model was trained on."""

    def as_json(self) -> dict[str, Any]:
        names = ("day", "inputs", "predictions", "estimated", "realised", "broken", "outside")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class DriftReport:
    """One scored partition judged against the reference of the version that scored it."""

    model: str
    version: str
    """The candidate id of the champion that scored the rows."""
    day: str
    rows: int
    inputs: DriftVerdict
    predictions: DriftVerdict
    realised: RealisedPerformance
    broken: tuple[Finding, ...]
    """Missing, infinite and unseen values, and overdue labels, above their bounds."""
    outside: tuple[Finding, ...]
    """Numeric features whose rows left the reference's range."""
    histograms: Mapping[str, Any]
    """Per feature and score the bins and both windows' counts, for the plot; small JSON."""
    estimated: EstimatedPerformance | None = None
    """None in reports from before it was measured."""
    labels: LabelMaturity | None = None
    """None in reports from before it was measured."""
    counts: Mapping[str, Any] | None = None
    """The day's own counts, for the pools of later days; None of a day with rows enough for itself, and in reports from
    before days were pooled."""

    @property
    def flags(self) -> Flags:
        estimated = self.estimated.out_of_band if self.estimated else None
        # On a day on which no feature could be judged there were too few rows for a finding too.
        none = None if all(f.drifted is None for f in self.inputs.features) else False
        return Flags(
            self.day,
            self.inputs.drifted,
            self.predictions.drifted,
            estimated,
            self.realised.out_of_band,
            broken=True if self.broken else none,
            outside=True if self.outside else none,
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The report in words, the most serious first; why a feature was not judged among enough rows at the end."""
        found = tuple(f.reason for f in (*self.broken, *self.outside))
        estimate = (self.estimated.reason,) if self.estimated else ()
        labels = (self.labels.reason,) if self.labels and not self.labels.overdue else ()
        return (
            *found,
            self.realised.reason,
            *estimate,
            self.predictions.reason,
            self.inputs.reason,
            *labels,
            *(f.reason for f in self._blind),
        )

    @property
    def unjudged(self) -> tuple[str, ...]:
        """The features and scores that were not judged although there are enough rows."""
        return tuple(f.name for f in self._blind)

    @property
    def _blind(self) -> tuple[FeatureDrift, ...]:
        return tuple(f for drift in (self.inputs, self.predictions) for f in drift.blind)

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "version": self.version,
            "day": self.day,
            "rows": self.rows,
            "flags": self.flags.as_json(),
            "inputs": self.inputs.as_json(),
            "predictions": self.predictions.as_json(),
            "realised": self.realised.as_json(),
            "estimated": self.estimated.as_json() if self.estimated else None,
            "labels": self.labels.as_json() if self.labels else None,
            "broken": [f.as_json() for f in self.broken],
            "outside": [f.as_json() for f in self.outside],
            "histograms": dict(self.histograms),
            "counts": dict(self.counts) if self.counts else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DriftReport:
        return cls(
            model=data["model"],
            version=data["version"],
            day=data["day"],
            rows=data["rows"],
            inputs=DriftVerdict.from_json(data["inputs"]),
            predictions=DriftVerdict.from_json(data["predictions"]),
            realised=RealisedPerformance.from_json(data["realised"]),
            broken=tuple(Finding(**f) for f in data["broken"]),
            outside=tuple(Finding(**f) for f in data["outside"]),
            histograms=data["histograms"],
            estimated=EstimatedPerformance.from_json(data["estimated"]) if data.get("estimated") else None,
            labels=LabelMaturity.from_json(data["labels"]) if data.get("labels") else None,
            counts=data.get("counts"),
        )


@dataclass(frozen=True, slots=True)
class ScoredDay:
    """Whose rows of which day a report is about.

    Attributes:
        model: The model's name.
        version: The candidate id that scored the rows.
        day: ``YYYY-MM-DD``.
    """

    model: str
    version: str
    day: str


@dataclass(frozen=True, slots=True)
class DriftMeasurements:
    """What was measured of one day.

    Attributes:
        inputs: From :func:`~include.domain.drift.input_drift.input_drift`, of the pool where there is one.
        predictions: From :func:`~include.domain.drift.prediction_drift.prediction_drift`.
        realised: From :func:`~include.domain.performance.realised_performance`.
        estimated: From :func:`~include.domain.drift.estimated.estimated_performance`; None where it was not.
        labels: From :func:`~include.domain.drift.maturity.label_maturity`; overdue ones are broken data.
        pool: What the inputs were judged on; None where it was the day alone.
        keeps_counts: Whether the day's own counts are kept for the pools of later days.
    """

    inputs: DriftVerdict
    predictions: DriftVerdict
    realised: RealisedPerformance
    estimated: EstimatedPerformance | None = None
    labels: LabelMaturity | None = None
    pool: Pool | None = None
    keeps_counts: bool = False


@dataclass(frozen=True, slots=True)
class DataBounds:
    """From where on data is broken or out of range. Each bound is exclusive: above it counts.

    Attributes:
        missing_jump: Rise of a feature's missing share over the reference's, and of its infinite share.
        unseen_share: Share of rows with a category the reference never held, beyond what its rare categories explain.
        outside_support: Share of rows outside the reference's range, over the numeric features weighted by importance:
            a seasonal change in a feature that the model hardly uses is no reason to call a person.
        min_rows: Fewest rows from which a measured share is a finding: of three rows one missing value is a third. Of
            fewer rows the share must be shown to be above its bound (``SURELY``), or be above it on the day itself and
            in a pool of as many rows.
    """

    missing_jump: float = 0.2
    unseen_share: float = 0.2
    outside_support: float = 0.3
    min_rows: int = 300


DEFAULT_BOUNDS = DataBounds()
SURELY = 0.001
"""The chance that a day of few rows is called broken by some feature although its shares are within their bounds."""


def drift_report(
    scored: ScoredDay,
    reference: Profile,
    current: Profile,
    measured: DriftMeasurements,
    bounds: DataBounds = DEFAULT_BOUNDS,
) -> DriftReport:
    """Join the measurements of one day and look for broken data.

    Args:
        scored: What the report is about.
        reference: As built at training.
        current: The day, counted in the reference's bins.
        measured: What was measured of it.
        bounds: From where on data is broken.
    """
    inputs, labels = measured.inputs, measured.labels
    broken = _broken(reference, current, measured, bounds)
    outside: list[Finding] = []
    if labels is not None and labels.overdue:
        reason = f"Labels are overdue: {labels.reason}"
        broken.append(Finding("label", "labels", labels.rise, labels.allowed_rise, reason))
    pool = measured.pool
    if (pool.profile.rows if pool else current.rows) >= bounds.min_rows and (
        pool is None or _outside_today(reference, current, inputs) > bounds.outside_support
    ):
        outside += _outside(inputs, bounds.outside_support)
    return DriftReport(
        model=scored.model,
        version=scored.version,
        day=scored.day,
        rows=current.rows,
        inputs=inputs,
        predictions=measured.predictions,
        realised=measured.realised,
        broken=tuple(broken),
        outside=tuple(outside),
        histograms=histograms(reference, pool.profile if pool else current),
        estimated=measured.estimated,
        labels=labels,
        counts=kept_counts(current) if measured.keeps_counts else None,
    )


def _broken(reference: Profile, current: Profile, measured: DriftMeasurements, bounds: DataBounds) -> list[Finding]:
    """Missing, infinite and unseen values above their bounds.

    Of a pool a share is a finding only where the day's own is above the bound too: days that are over are no finding of
    today.
    """
    pool, features = measured.pool, measured.inputs.features
    few = current.rows < bounds.min_rows
    enough = pool if pool is not None and pool.profile.rows >= bounds.min_rows else None
    chance = SURELY / max(3 * len(features), 1)
    found: list[Finding] = []
    for f, past, now in zip(features, reference.features, current.features, strict=True):
        for own, of_pool in zip(_checks(f, past, now), _checks(f), strict=True):
            allowed = bounds.unseen_share if own.check == "unseen" else bounds.missing_jump
            shown = least_share(own.share, current.rows, chance) > allowed + own.share - own.rise
            if own.rise > allowed and (shown or not few):
                found.append(own.finding(f.name, allowed))
            elif own.rise > allowed and enough is not None and of_pool.rise > allowed:
                found.append(of_pool.finding(f.name, allowed, said(enough.days)))
    return found


@dataclass(frozen=True, slots=True)
class _Check:
    """One share of a feature's rows, how far it rose, and what is said of it."""

    check: str
    share: float
    rise: float
    words: str

    def finding(self, feature: str, allowed: float, pooled: str = "") -> Finding:
        reason = f"{self.words} {self.rise:.1%}; {allowed:.1%} is allowed.{' ' + pooled if pooled else ''}"
        return Finding(feature, self.check, self.rise, allowed, reason)


def _checks(
    f: FeatureDrift, past: FeatureProfile | None = None, now: FeatureProfile | None = None
) -> tuple[_Check, _Check, _Check]:
    """The shares as they were judged; with both profiles those of the window ``now``."""
    missing, infinite, unseen, new = f.missing_share, f.infinite_share, f.unseen_share, f.new_categories
    if past is not None and now is not None:
        missing, infinite = share_of(now.missing, now.rows), infinite_share(now)
        unseen, new = unseen_share(past, now), new_categories(past, now)
    named = f" ({', '.join(new)})" if new else ""
    usual, usual_infinite = f.reference_missing_share, f.reference_infinite_share
    return (
        _Check(
            "missing",
            missing,
            missing - usual,
            f"{f.name} is missing in {missing:.1%} of rows, in training in {usual:.1%}; a rise of",
        ),
        _Check(
            "infinite",
            infinite,
            infinite - usual_infinite,
            f"{f.name} is infinite in {infinite:.1%} of rows, in training in {usual_infinite:.1%}; a rise of",
        ),
        _Check("unseen", unseen, unseen, f"{f.name} has categories never seen in training{named} in"),
    )


def least_share(share: float, rows: int, chance: float) -> float:
    """The exact lower bound of a share that was measured on so many rows, wrong with ``chance`` at most.

    Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26:404-413.

    >>> round(least_share(1.0, 50, 0.001), 2), least_share(0.0, 50, 0.001)
    (0.87, 0.0)
    """
    seen = round(share * rows)
    return float(betaincinv(seen, rows - seen + 1, chance)) if seen > 0 else 0.0


def _outside(inputs: DriftVerdict, allowed: float) -> list[Finding]:
    """The importance-weighted share of rows outside the reference's range, and the features that make it up."""
    total = sum(f.importance for f in inputs.features)
    parts = sorted(((f.importance * f.outside_share / total, f) for f in inputs.features if total), key=lambda p: -p[0])
    share = sum(part for part, _ in parts)
    if share <= allowed:
        return []
    named = ", ".join(f"{f.name} in {f.outside_share:.1%} of rows" for part, f in parts[:3] if part > 0)
    reason = (
        f"Weighted by what matters to the model, {share:.1%} of the inputs are outside training's range "
        f"({named}); {allowed:.1%} is allowed."
    )
    return [Finding(parts[0][1].name, "outside_support", share, allowed, reason)]


def _outside_today(reference: Profile, current: Profile, inputs: DriftVerdict) -> float:
    """The importance-weighted share of the day's own rows outside the reference's range."""
    total = sum(f.importance for f in inputs.features)
    shares = (outside_share(past, now) for past, now in zip(reference.features, current.features, strict=True))
    return sum(f.importance * share / total for f, share in zip(inputs.features, shares, strict=True) if total)


SHOWN_CATEGORIES = 20


def histograms(reference: Profile, current: Profile) -> dict[str, Any]:
    """The bins and both windows' counts of each feature and score, by name."""
    shown: dict[str, Any] = {}
    pairs = [
        *zip(reference.features, current.features, strict=True),
        *zip(reference.scores, current.scores, strict=False),
    ]
    for past, now in pairs:
        plot: dict[str, Any] = {"kind": past.kind.value, "missing": [past.missing, now.missing]}
        if isinstance(past, NumericProfile):
            plot |= {"edges": list(past.edges), "reference": list(past.counts), "current": list(now.counts)}
            if isinstance(now, NumericProfile):
                plot["infinite"] = [sum(past.infinite), sum(now.infinite)]
        elif not isinstance(now, NumericProfile):
            plot |= {
                "categories": list(past.categories[:SHOWN_CATEGORIES]),
                "reference": list(past.counts[:SHOWN_CATEGORIES]),
                "current": list(now.counts[:SHOWN_CATEGORIES]),
                "others": [sum(past.counts[SHOWN_CATEGORIES:]), sum(now.counts[SHOWN_CATEGORIES:])],
                "unseen": [past.unseen, now.unseen],
            }
        shown[past.name] = plot
    return shown
