"""What one policy did on a past stream, and what it cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from include.domain.simulation.incidents import SimulatedIncident


class PolicyKind(Enum):
    """Where a policy comes from: the declaration, or a yardstick that uses no evidence."""

    DECLARED = "declared"
    NEVER = "never"
    EVERY = "every"
    EVERY_SHADOWED = "every_after_shadow"
    """As ``EVERY``, and each model serves only after the shadow days that the declaration asks of a candidate."""
    ALWAYS = "always"
    HINDSIGHT = "hindsight"


@dataclass(frozen=True, slots=True)
class SimulatedJourney:
    """One candidate's way.

    ``as_of`` and ``serves_from`` are days, ``YYYY-MM-DD``; ``serves_from`` is None unless it was promoted.
    ``verdicts`` are of the gates that judged it, ``stopped_by`` is the reason of the first that did not pass.
    """

    as_of: str
    trigger: str
    reason: str
    verdicts: Mapping[str, str]
    outcome: str
    serves_from: str | None = None
    stopped_by: str | None = None
    recipe: str | None = None
    """Which recipe won the race; None where none raced."""

    def as_json(self) -> dict[str, Any]:
        return {
            "as_of": self.as_of,
            "trigger": self.trigger,
            "reason": self.reason,
            "verdicts": dict(self.verdicts),
            "outcome": self.outcome,
            "serves_from": self.serves_from,
            "stopped_by": self.stopped_by,
            "recipe": self.recipe,
        }


@dataclass(frozen=True, slots=True)
class SimulatedDecision:
    """What was decided at the end of one day with rows, by which rule, and on which flags (None: could not say)."""

    day: str
    action: str
    rule: str
    reason: str
    inputs: bool | None
    predictions: bool | None
    estimated: bool | None
    realised: bool | None

    def as_json(self) -> dict[str, Any]:
        names = ("day", "action", "rule", "reason", "inputs", "predictions", "estimated", "realised")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class DayCost:
    """The realised loss of one day: the sum over its labelled rows, and their number."""

    day: str
    rows: int
    loss: float


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """One policy on one stream.

    Attributes:
        name: as a person knows it.
        kind: where it comes from.
        metric: the loss; a total of ``rmse`` is of squared errors.
        price: of one retrain, in units of the summed loss.
        retrained_on: the as-of day of each candidate it had trained, after the first champion.
        days: every day with labelled rows, in order.
        serving: the as-of day of the model that served, by the first day it did.
        journeys: the candidates' ways; yardsticks have none.
        decisions: one for each day with rows; yardsticks have none.
        incidents: the alarms that persisted, and what became of them; yardsticks have none.
    """

    name: str
    kind: PolicyKind
    metric: str
    price: float
    retrained_on: tuple[str, ...]
    days: tuple[DayCost, ...]
    serving: tuple[tuple[str, str], ...]
    journeys: tuple[SimulatedJourney, ...] = ()
    decisions: tuple[SimulatedDecision, ...] = ()
    notes: tuple[str, ...] = field(default=())
    incidents: tuple[SimulatedIncident, ...] = ()

    @property
    def retrains(self) -> int:
        return len(self.retrained_on)

    @property
    def rows(self) -> int:
        return sum(d.rows for d in self.days)

    @property
    def total_loss(self) -> float:
        return math.fsum(d.loss for d in self.days)

    @property
    def mean_loss(self) -> float | None:
        """In the metric's unit; None without a labelled row."""
        if not self.rows:
            return None
        mean = self.total_loss / self.rows
        return math.sqrt(mean) if self.metric == "rmse" else mean

    @property
    def cost(self) -> float:
        """Realised loss summed over all rows, plus the price of each retrain."""
        return self.total_loss + self.price * self.retrains

    def priced(self, price: float) -> PolicyOutcome:
        """The same at another price of a retrain."""
        return replace(self, price=price)

    def costs_by_day(self, days: Sequence[str]) -> list[float]:
        """What each of the days cost: its loss, and the price of the retrains paid on it; after the last, on the last.

        Args:
            days: ``YYYY-MM-DD`` in order, all that this policy was replayed on.
        """
        losses = {d.day: d.loss for d in self.days}
        paid = Counter(min(day, days[-1]) for day in self.retrained_on)
        return [losses.get(day, 0.0) + self.price * paid[day] for day in days]

    @property
    def actions(self) -> Counter[str]:
        return Counter(d.action for d in self.decisions)

    @property
    def alarms(self) -> int:
        """Days on which realised performance was out of its band."""
        return sum(d.realised is True for d in self.decisions)

    @property
    def promotions(self) -> int:
        return sum(j.serves_from is not None for j in self.journeys)

    @property
    def rejections(self) -> Counter[str]:
        """Journeys by the first gate that did not pass."""
        return Counter(
            next(gate for gate, verdict in j.verdicts.items() if verdict != "PASS")
            for j in self.journeys
            if j.stopped_by is not None
        )

    def as_json(self, *, daily: bool = True) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind.value,
            "metric": self.metric,
            "rows": self.rows,
            "mean_loss": self.mean_loss,
            "total_loss": self.total_loss,
            "price": self.price,
            "retrains": self.retrains,
            "retrained_on": list(self.retrained_on),
            "cost": self.cost,
            "serving": [{"from": day, "as_of": as_of} for day, as_of in self.serving],
            "notes": list(self.notes),
        }
        if self.kind is PolicyKind.DECLARED:
            found |= {
                "alarms": self.alarms,
                "actions": dict(self.actions),
                "promotions": self.promotions,
                "rejections": dict(self.rejections),
                "incidents": [i.as_json() for i in self.incidents],
                "journeys": [j.as_json() for j in self.journeys],
                "decisions": [d.as_json() for d in self.decisions],
            }
        if daily:
            found["days"] = [{"day": d.day, "rows": d.rows, "loss": d.loss} for d in self.days]
        return found
