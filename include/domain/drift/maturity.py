"""Do the labels still come? The share of predictions whose label window has closed without a label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Cohort:
    """One day's predictions whose label window has closed: how many there are, and how many have a label."""

    day: str
    rows: int
    labelled: int


@dataclass(frozen=True, slots=True)
class LabelMaturity:
    """The overdue labels of the newest closed cohorts. ``overdue`` is None when too few rows were seen to judge.

    Some rows never get a label (a cancelled flight): ``reference_share`` is their share in the training data, None
    where it is not known.
    """

    overdue: bool | None
    reason: str
    rows: int
    missing: int
    share: float
    reference_share: float | None
    allowed_rise: float
    since: str | None
    until: str | None

    @property
    def rise(self) -> float:
        return self.share - (self.reference_share or 0.0)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LabelMaturity:
        return cls(**data)


def label_maturity(
    cohorts: Iterable[Cohort],
    reference_share: float | None,
    *,
    window_days: int,
    allowed_rise: float,
    min_rows: int,
    most_days: int = 1,
) -> LabelMaturity:
    """Judge the closed cohorts of the last ``window_days`` days, or of as many more as ``min_rows`` needs.

    Args:
        cohorts: Those whose label window has closed, in any order.
        reference_share: Share of the reference's rows that never got a label; None where it is not known.
        window_days: Days back from the newest cohort, that day included.
        allowed_rise: Rise of the share over the reference's that is still usual; above it the labels are overdue.
        min_rows: Fewest rows that are judged.
        most_days: How many days back from the newest cohort the window may grow until it has ``min_rows`` rows; the
            window's own days where those are more.

    >>> days = [Cohort("2013-06-01", 900, 880), Cohort("2013-06-02", 900, 0)]
    >>> label_maturity(days, 0.02, window_days=7, allowed_rise=0.1, min_rows=300).overdue
    True
    """
    known = sorted(cohorts, key=lambda c: c.day)
    if known:
        start = (date.fromisoformat(known[-1].day) - timedelta(days=window_days - 1)).isoformat()
        furthest = (date.fromisoformat(known[-1].day) - timedelta(days=max(most_days, window_days) - 1)).isoformat()
        rows, taken = 0, 0
        for each in reversed(known):
            if each.day < start and (rows >= min_rows or each.day < furthest):
                break
            rows, taken = rows + each.rows, taken + 1
        known = known[-taken:]
    rows = sum(c.rows for c in known)
    missing = rows - sum(c.labelled for c in known)
    share = missing / rows if rows else 0.0
    if rows < min_rows or reference_share is None:
        lack = (
            "how many never come is not known of the reference" if rows >= min_rows else f"at least {min_rows} needed"
        )
        overdue, reason = None, f"Overdue labels were not judged: {rows} rows of closed label windows; {lack}."
    else:
        overdue = share - reference_share > allowed_rise
        reason = (
            f"{share:.1%} of {rows} rows have no label though their label window closed ({known[0].day} to "
            f"{known[-1].day}), in training {reference_share:.1%}; a rise of {allowed_rise:.1%} is allowed."
        )
    return LabelMaturity(
        overdue=overdue,
        reason=reason,
        rows=rows,
        missing=missing,
        share=share,
        reference_share=reference_share,
        allowed_rise=allowed_rise,
        since=known[0].day if known else None,
        until=known[-1].day if known else None,
    )
