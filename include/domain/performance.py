"""Realised performance: is the champion's risk on matured labels above its reference's by more than the tolerance?

**The unit of evidence is the day, by default.** Rows of one day share its weather, its outage, its holiday: with about
900 rows a day and a standard deviation of 0.03 between days in the Brier score, a week of rows taken as independent
claims five times the precision it has, and with a tolerance of 0.01 calls a champion that did not change out of its
band within two months in three to six of ten cases. Taken by days, at most once a year; and a rise from 0.14 to 0.18
is found within four weeks more often than not, given two weeks of holdout and no tolerance, or four weeks and 0.005
(simulated; see the tests). ``Unit.ROW`` asks another question, and is the right unit where rows are
exchangeable: was the risk *on these very rows* above the reference's, for any reason? Then the tolerance alone
must allow for bad weeks.

**Any time, at any age.** Days are watched by an e-detector (:mod:`include.domain.drift.e_detector`): evidence is
gathered from every start, and the band is left where it adds up to ``run_length_days``. A champion in its band is
called out once in that many days on average, and a rise is found as soon in its second year as in its second month.
The start with the most evidence is the change point. Rows (``Unit.ROW``) are watched by sequences, one from every
``window_days``-th day; the j-th spends ``alpha / ((j + 1) (j + 2))``, so that alpha is the chance of *ever* being
called out.

The bounds themselves: :mod:`include.domain.risk_bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from include.domain.drift.e_detector import Rise
from include.domain.gap import Gap, Tolerated
from include.domain.losses import BadLoss, DayLoss, merged_losses
from include.domain.risk_bounds import Band, DetectedRise, ReferenceRisk, RiskSince, Unit
from include.domain.wording import count_of


@dataclass(frozen=True, slots=True)
class RealisedPerformance:
    """The verdict on matured labels. Risks are in the metric's unit; rmse is the root of the mean squared error.

    ``out_of_band`` is None when there was too little to judge. ``low``, ``high`` and ``reference_high`` are None
    where no finite bound exists yet. ``recent_risk`` is the risk of the last ``window_days`` alone.
    """

    metric: str
    unit: Unit
    out_of_band: bool | None
    reason: str
    risk: float | None
    low: float | None
    high: float | None
    recent_risk: float | None
    reference_risk: float | None
    reference_high: float | None
    tolerance: float
    alpha: float
    rows: int
    days: int
    since: str | None
    until: str | None
    reference_rows: int
    reference_days: int
    run_length_days: float | None = None
    """How many quiet days there are on average before a false alarm; None by rows, and in reports from before it."""
    evidence: float | None = None
    """How much likelier the days are with a rise than without one, summed over all starts; the band is left where it
    reaches ``run_length_days``. At most 1e300; None by rows, and where nothing was judged."""
    lag: float | None = None
    """The lag-1 correlation of the reference's days that was allowed for."""
    effective_days: float | None = None
    """The equivalent number of independent days of the reference."""
    served_days: int | None = None
    """The matured days of the version, with those before the likeliest change."""
    served_rows: int | None = None
    accepted_on: str | None = None
    """When a person accepted the level that is the reference here, as a judged day; None where it is the holdout's."""
    changed_on: str | None = None
    """The likeliest first day of the rise; None while the risk is in its band, by rows, or not judged."""
    tolerance_share: float | None = None
    """Of the gap, where the tolerance was declared as a share; None where it was as an amount."""
    gap: float | None = None
    """How much better than the naive baseline the reference is, in the metric's unit; None where not measured."""
    to_perfect: float | None = None
    """How far from a perfect model the reference is, in the metric's unit; None where there is none, where it was not
    measured, and in reports from before it."""

    @property
    def tolerated(self) -> Tolerated:
        """The tolerance with what it is of the gap."""
        gap = None if self.gap is None else Gap(self.gap, self.to_perfect)
        return Tolerated(self.tolerance, self.tolerance_share, gap)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"unit": self.unit.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RealisedPerformance:
        read = dict(data) | {"unit": Unit(data["unit"])}
        if "changed_on" not in read and read["out_of_band"] and read.get("evidence") is not None:
            read["changed_on"] = read["since"]
        return cls(**read)


def realised_performance(
    reference: Iterable[DayLoss],
    current: Iterable[DayLoss],
    band: Band,
    *,
    window_days: int = 7,
    min_rows: int = 1000,
    unit: Unit = Unit.DAY,
) -> RealisedPerformance:
    """Judge the matured cohorts of one model version against its reference.

    Args:
        reference: The version's losses on its holdout, by day.
        current: Every matured cohort since the version became champion; leave out cohorts whose label window is open.
        band: The band to keep.
        window_days: The days whose own risk must be above the band, so that an old excursion that is over raises no
            alarm; by rows a further sequence starts after as many.
        min_rows: Fewest rows of the current days, or by rows of a sequence, and of the reference, that are judged.
        unit: What counts as one observation; see the module.
    """
    metric, tolerance, alpha = band.metric, band.tolerance, band.alpha
    past = tuple(c for c in merged_losses(reference) if c.rows)
    now = tuple(c for c in merged_losses(current) if c.rows)
    rows, reference_rows = sum(c.rows for c in now), sum(c.rows for c in past)
    # By days the detector itself says how many days it needs; rows alone have no such measure.
    enough = len(past) > 1 and (unit is Unit.DAY or reference_rows >= min_rows)
    judge = ReferenceRisk(metric, tolerance, alpha, unit, past) if enough else None
    detected = None
    if judge is None:
        best = None
    elif unit is Unit.ROW:
        best = judge.worst(now, window_days, min_rows)
    else:
        detected = DetectedRise.of(judge, now, band) if rows >= min_rows else None
        best = detected.sequence if detected else None
    recent = tuple(c for c in now if c.day >= _days_before(now[-1].day, window_days - 1)) if now else ()
    shown = _Shown(metric, judge, best, recent)
    if best is None or best.low is None:
        out, reason = (
            None,
            _too_little(
                metric,
                rows,
                len(now),
                f"{reference_rows} rows of {count_of(len(past), 'day')}",
                judge is not None,
                min_rows,
            ),
        )
    else:
        out, reason = shown.verdict(band, window_days, detected.found if detected else None)
    lane = best.cohorts if best else now
    return RealisedPerformance(
        metric=metric,
        unit=unit,
        out_of_band=out,
        reason=reason,
        risk=shown.root(best.risk) if best else None,
        low=shown.root(best.low) if best else None,
        high=shown.root(best.high) if best else None,
        recent_risk=shown.recent,
        reference_risk=shown.root(judge.risk) if judge else None,
        reference_high=shown.root(best.reference_high) if best else None,
        tolerance=tolerance,
        alpha=alpha,
        rows=sum(c.rows for c in lane),
        days=len(lane),
        since=lane[0].day if lane else None,
        until=lane[-1].day if lane else None,
        reference_rows=reference_rows,
        reference_days=len(past),
        run_length_days=band.run_length_days if unit is Unit.DAY else None,
        evidence=math.exp(min(detected.found.log_evidence, 690.0)) if detected else None,
        lag=detected.found.lag if detected else None,
        effective_days=detected.found.effective_days if detected else None,
        served_days=len(now),
        served_rows=rows,
        changed_on=lane[0].day if out and detected else None,
        tolerance_share=band.share,
        gap=None if band.gap is None else band.gap.above_naive,
        to_perfect=None if band.gap is None else band.gap.to_perfect,
    )


class _Shown:
    """The numbers as a person reads them: in the metric's unit, with the sentence."""

    def __init__(
        self, metric: str, judge: ReferenceRisk | None, best: RiskSince | None, recent: tuple[DayLoss, ...]
    ) -> None:
        self.metric, self.judge, self.best = metric, judge, best
        # Without a reference there is still a level of today, which an incident is judged by.
        plain = sum(c.total for c in recent) / sum(c.rows for c in recent) if recent else None
        self.recent = self.root(judge.mean(recent) if judge and recent else plain)

    def root(self, value: float | None) -> float | None:
        if value is None or self.metric != "rmse":
            return value
        return math.sqrt(max(value, 0.0))

    def verdict(self, band: Band, window_days: int, found: Rise | None) -> tuple[bool, str]:
        best, judge, recent, tolerance = self.best, self.judge, self.recent, band.tolerance
        low = self.root(best.low) if best else None
        high = self.root(best.reference_high) if best else None
        usual = self.root(judge.risk) if judge else None
        if best is None or low is None or high is None or usual is None or recent is None:
            raise BadLoss(f"{self.metric} has no bounds to compare.")
        risk = self.root(best.risk)
        rows, days, since = sum(c.rows for c in best.cohorts), len(best.cohorts), best.cohorts[0].day
        numbers = (
            f"{self.metric} {risk:.4g} over {rows} matured rows of {count_of(days, 'day')} since {since}, "
            f"lower bound {low:.4g}; reference {usual:.4g}, upper bound {high:.4g}, tolerance {band.tolerated}"
        )
        if not (found.alarm if found else low > high + tolerance):
            return False, f"In band: {numbers}."
        if recent <= usual + tolerance:
            return False, f"In band again: the last {window_days} days have {recent:.4g}; before, {numbers}."
        return True, f"Out of band: {numbers}."


def _days_before(day: str, days: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()


def _too_little(metric: str, rows: int, days: int, reference: str, judged: bool, min_rows: int) -> str:
    if not judged:
        return (
            f"{metric} cannot be judged: the reference has {reference}; at least {min_rows} rows of 2 days are needed."
        )
    measured = f"{metric} was measured on {rows} matured rows of {count_of(days, 'day')}"
    if rows < min_rows:
        return f"{measured}; at least {min_rows} rows are needed."
    return f"{measured}: too few days to tell a rise from a bad day."
