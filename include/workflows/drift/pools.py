"""Which days a lane of the sensor judges together: of the version's own earlier reports, or of a simulation's days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from include.adapters.ledger import Ledger
from include.config import ModelDeclaration
from include.domain.drift.estimate_reference import EstimateReference
from include.domain.drift.estimated import EstimatedPerformance, judged_before, rows_before
from include.domain.drift.estimated import least_rows_of_day as least_rows
from include.domain.drift.input_drift import DriftVerdict
from include.domain.drift.pooling import CountedDay, Pool, pooled, read_counts, said
from include.domain.drift.profile import Profile


def is_small(model: ModelDeclaration, rows: int) -> bool:
    """Whether a day of so many rows is judged with others, so that its counts are kept for them."""
    drift = model.drift
    return drift.pool_days > 1 and rows < max(drift.inputs.min_rows, drift.predictions.min_rows)


def counted_before(
    ledger: Ledger, model: ModelDeclaration, version: str, reference: Profile, today: CountedDay
) -> tuple[CountedDay, ...]:
    """The small days of the version that were judged before, where the day needs them.

    Raises:
        BadProfile: when a day was counted in other bins than the version's reference has.
    """
    if not is_small(model, today.profile.rows):
        return ()
    kept = ledger.drift.reports(model.name, last=model.drift.pool_days - 1, before=today.day)
    found = [(r.day, r.report.get("counts")) for r in kept if r.report["version"] == version]
    return tuple(CountedDay(day, read_counts(reference, counts)) for day, counts in found if counts)


def pool_of(model: ModelDeclaration, today: CountedDay, earlier: Sequence[CountedDay], min_rows: int) -> Pool:
    """The declared pool of the day, for a lane of ``min_rows``."""
    return pooled(today, earlier, min_rows=min_rows, most_days=model.drift.pool_days)


def compared_as(pool: Pool) -> str | None:
    """The day whose weekday a pool is compared with; None where its days are of several."""
    weekdays = {date.fromisoformat(day).weekday() for day in pool.days}
    return pool.days[-1] if len(weekdays) == 1 else None


def shown(verdict: DriftVerdict, pool: Pool) -> DriftVerdict:
    """The verdict with the days it is about."""
    if not pool.is_pooled:
        return verdict
    return replace(verdict, pooled=pool.days, reason=f"{verdict.reason} {said(pool.days)}")


def estimates_before(
    model: ModelDeclaration, reference: EstimateReference | None, estimates: Sequence[EstimatedPerformance]
) -> tuple[tuple[float, ...], int]:
    """The mean losses of the days of the version that count among those before, given and returned oldest first; and
    how many rows the newest of them add to the day's own, 0 where a day is judged by its own rows alone."""
    declared = model.drift
    least = (
        least_rows(reference, declared.estimated.min_rows) if declared.pool_days > 1 else declared.estimated.min_rows
    )
    losses = judged_before(estimates, least)
    if least >= declared.estimated.min_rows:
        return losses, 0
    return losses, rows_before(estimates, least, declared.pool_days - 1)
