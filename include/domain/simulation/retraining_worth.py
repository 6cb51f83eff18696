"""What retraining was worth on a past stream: the declared policy beside the same first champion for ever."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from include.domain.simulation.advice import GainOverDays, gain_over_days
from include.domain.simulation.outcome import PolicyOutcome
from include.domain.wording import count_of


@dataclass(frozen=True, slots=True)
class RetrainingWorth:
    """The realised loss with and without retraining, since the first successor served.

    Attributes:
        start: the first day that a successor served, ``YYYY-MM-DD``.
        metric: the loss of a row; ``squared error`` where the metric is ``rmse``.
        rows: labelled rows since then.
        with_it, without: the mean loss of a row with retraining, and of the first champion on the same rows.
        gain: the summed loss that was saved, with its 95 % interval over days that may resemble their neighbours.
    """

    start: str
    metric: str
    rows: int
    with_it: float
    without: float
    gain: GainOverDays

    @property
    def sentence(self) -> str:
        how = "less" if self.gain.total >= 0 else "more"
        share = f", {abs(self.without - self.with_it) / self.without:.1%}" if self.without > 0 else ""
        said = (
            f"{self.metric} {self.with_it:.4g} a row with it and {self.without:.4g} without, on {self.rows:,} rows of "
            f"{count_of(self.gain.days, 'day')} from {self.start} on: {abs(self.without - self.with_it):.4g} "
            f"{how}{share}"
        )
        if self.gain.why_unknown is not None:
            return f"{said}; no interval, because {self.gain.why_unknown}."
        low, high = self.gain.low / self.rows, self.gain.high / self.rows
        tells = "" if low > 0 or high < 0 else " These days do not tell whether it was worth anything."
        return f"{said} (between {low:.4g} and {high:.4g} less, 95 %).{tells}"

    def as_json(self) -> dict[str, Any]:
        return {
            "start": self.start,
            "metric": self.metric,
            "rows": self.rows,
            "with": self.with_it,
            "without": self.without,
            "gain": self.gain.as_json(),
        }


def retraining_worth(declared: PolicyOutcome, never: PolicyOutcome) -> RetrainingWorth | None:
    """What the promotions of a policy were worth; None where it promoted nothing, or no row since has a label.

    Args:
        declared: a policy that retrains.
        never: the same first champion on the same rows, and no other.
    """
    if len(declared.serving) < 2:
        return None
    start = declared.serving[1][0]
    ours = {day.day: day for day in declared.days if day.day >= start}
    theirs = {day.day: day for day in never.days if day.day in ours}
    days = sorted(theirs)
    rows = sum(ours[day].rows for day in days)
    if not rows:
        return None
    with_it, without = ([found[day].loss for day in days] for found in (ours, theirs))
    return RetrainingWorth(
        start=start,
        metric="squared error" if declared.metric == "rmse" else declared.metric,
        rows=rows,
        with_it=math.fsum(with_it) / rows,
        without=math.fsum(without) / rows,
        gain=gain_over_days(without, with_it),
    )
