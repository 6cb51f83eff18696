"""Do the labels still come? The share of predictions whose label window has closed without a label.

Slow labels fill a day up after its window closed. So a day is held against the reference's days **at the same age**:
the share of rows that had no label so many days after their window closed. A steady share of late labels is then usual,
and what is above it is overdue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Cohort:
    """One day's predictions whose label window has closed: how many there are, and how many have a label."""

    day: str
    rows: int
    labelled: int


@dataclass(frozen=True, slots=True)
class LabelMaturity:
    """The overdue labels of the newest closed cohorts. ``overdue`` is None when too few rows were seen to judge.

    Some rows never get a label (a cancelled flight), and some get theirs late: ``reference_share`` is the share of the
    training data that had none at the age of the judged days, None where it is not known.
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


def lacking_by_age(
    closed_since: NDArray[np.float64], came_after: NDArray[np.float64], ages: int
) -> list[tuple[int, int]]:
    """For each age of 0 to ``ages`` days: the rows that are as old, and those of them that had no label then.

    Args:
        closed_since: ``(n,)`` how many days ago each row's day and its label window had closed; below 0 where they had
            not.
        came_after: ``(n,)`` how many days after that its label came; infinite where it has none.
        ages: The largest age asked for, in days.

    >>> lacking_by_age(np.array([5.0, 5.0, 1.0, -1.0]), np.array([-2.0, 1.5, np.inf, np.inf]), 2)
    [(3, 2), (3, 2), (2, 0)]
    """
    found = []
    for age in range(ages + 1):
        old = closed_since >= age
        found.append((int(old.sum()), int((old & ~(came_after <= age)).sum())))
    return found


def shares_by_age(*counted: Sequence[Sequence[int]]) -> tuple[float, ...]:
    """The share without a label at each age, over several parts as :func:`lacking_by_age` counted them; an age that no
    row has reached has the share of the age before it. Empty where nothing was counted.

    >>> shares_by_age([(3, 2), (0, 0)], [(1, 1), (0, 0)])
    (0.75, 0.75)
    """
    shares: list[float] = []
    for parts in zip(*counted, strict=False):
        rows, lacking = (sum(part[i] for part in parts) for i in (0, 1))
        if not rows and not shares:
            return ()
        shares.append(lacking / rows if rows else shares[-1])
    return tuple(shares)


def label_maturity(
    cohorts: Iterable[Cohort],
    reference_share: float | Sequence[float] | None,
    *,
    window_days: int,
    allowed_rise: float,
    min_rows: int,
    most_days: int = 1,
) -> LabelMaturity:
    """Judge the closed cohorts of the last ``window_days`` days, or of as many more as ``min_rows`` needs.

    Args:
        cohorts: Those whose label window has closed, in any order.
        reference_share: Share of the reference's rows without a label, at each age from 0 days on, older ones having
            the last share; or one for all ages. None or empty where it is not known.
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
    usual = _usual(known, (reference_share,) if isinstance(reference_share, float) else reference_share)
    if rows < min_rows or usual is None:
        lack = (
            "how many never come is not known of the reference" if rows >= min_rows else f"at least {min_rows} needed"
        )
        overdue, reason = None, f"Overdue labels were not judged: {rows} rows of closed label windows; {lack}."
    else:
        overdue = share - usual > allowed_rise
        at_age = " at the same age" if not isinstance(reference_share, float) else ""
        reason = (
            f"{share:.1%} of {rows} rows have no label though their label window closed ({known[0].day} to "
            f"{known[-1].day}), in training {usual:.1%}{at_age}; a rise of {allowed_rise:.1%} is allowed."
        )
    return LabelMaturity(
        overdue=overdue,
        reason=reason,
        rows=rows,
        missing=missing,
        share=share,
        reference_share=usual,
        allowed_rise=allowed_rise,
        since=known[0].day if known else None,
        until=known[-1].day if known else None,
    )


def _usual(known: Sequence[Cohort], by_age: Sequence[float] | None) -> float | None:
    """The share of the rows that would have no label if they came as those of the reference; days in order."""
    if not by_age:
        return None
    rows = sum(c.rows for c in known)
    if not rows:
        return float(by_age[-1])
    newest = date.fromisoformat(known[-1].day)
    ages = (min((newest - date.fromisoformat(c.day)).days, len(by_age) - 1) for c in known)
    return float(sum(c.rows * by_age[age] for c, age in zip(known, ages, strict=True)) / rows)
