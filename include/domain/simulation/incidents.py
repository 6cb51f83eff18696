"""The incidents of a simulated past, from what each day's decision left of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from include.domain.incident import Incident, Stage


@dataclass(frozen=True, slots=True)
class SimulatedIncident:
    """One incident, from its alarm to its end.

    Attributes:
        opened_on: the day of the alarm, ``YYYY-MM-DD``.
        changed_on: the likeliest first day of the change, as it was dated last.
        anchor: the risk of the champion that raised it, in the metric's unit.
        band: the highest risk that is back.
        stages: from which day it was open or recovering, in order.
        closed_on, note: None while it is open.
        dated: whether the day of the change is known.
    """

    opened_on: str
    changed_on: str
    anchor: float
    band: float
    stages: tuple[tuple[str, str], ...]
    closed_on: str | None = None
    note: str | None = None
    dated: bool = True

    def spans(self, last: str) -> list[tuple[str, str, str]]:
        """Stage, first day and the day after its last; ``last`` ends one that is not closed."""
        ends = [*(day for day, _ in self.stages[1:]), self.closed_on or last]
        return [(stage, day, end) for (day, stage), end in zip(self.stages, ends, strict=True)]

    @property
    def sentence(self) -> str:
        recovering = next((day for day, stage in self.stages if stage == Stage.RECOVERING.value), None)
        change = f"{'another ' if self.changed_on > self.opened_on else ''}change about {self.changed_on}"
        return (
            f"Incident of {self.opened_on}, {change if self.dated else 'not dated'}: "
            f"{self.anchor:.4g} before, up to "
            f"{self.band:.4g} is in its band"
            + (f"; recovering from {recovering}" if recovering else "")
            + (f"; closed on {self.closed_on}." if self.closed_on else "; not closed at the end.")
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "opened_on": self.opened_on,
            "changed_on": self.changed_on,
            "anchor": self.anchor,
            "band": self.band,
            "stages": [{"from": day, "stage": stage} for day, stage in self.stages],
            "closed_on": self.closed_on,
            "note": self.note,
            "dated": self.dated,
        }


def incidents_of(days: Iterable[tuple[str, Incident | None]]) -> tuple[SimulatedIncident, ...]:
    """Every incident of the days, in order.

    Args:
        days: each day and the incident as its decision left it; a closed one may be repeated.

    >>> first = Incident("2024-03-01", "a", "brier", 0.1, 0.11, "2024-02-25", Stage.OPEN, "a")
    >>> later = first.moved(Stage.RECOVERING)
    >>> (found,) = incidents_of([("2024-03-01", first), ("2024-03-02", first), ("2024-03-09", later)])
    >>> found.spans("2024-03-20")
    [('open', '2024-03-01', '2024-03-09'), ('recovering', '2024-03-09', '2024-03-20')]
    """
    kept: dict[str, tuple[Incident, list[tuple[str, str]]]] = {}
    for day, incident in days:
        if incident is None:
            continue
        stages = kept[incident.opened_on][1] if incident.opened_on in kept else []
        if incident.is_open and (not stages or stages[-1][1] != incident.stage.value):
            stages.append((day, incident.stage.value))
        kept[incident.opened_on] = (incident, stages)
    return tuple(
        SimulatedIncident(
            opened_on=last.opened_on,
            changed_on=last.changed_on,
            anchor=last.anchor,
            band=last.band,
            stages=tuple(stages),
            closed_on=last.closed_on,
            note=last.note,
            dated=last.dated,
        )
        for last, stages in kept.values()
        if stages
    )
