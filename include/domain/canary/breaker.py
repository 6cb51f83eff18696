"""What the guard of a service has done by itself, until the ledger knows it and after."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

Kind = Literal["trip", "hold"]


class Breaker(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rollout that has no share on this host, whatever the ledger says, until the ledger was told."""

    model: str
    candidate: str
    number: int
    """Which rollout of the candidate."""
    kind: Kind
    """``trip``: it did harm, and is over. ``hold``: it may come back when a person resumes it."""
    reason: str
    route_revision: int
    """Of the route under which it was taken out."""
    instance: str
    at: datetime
    """By the machine's clock; UTC."""
    evidence: dict[str, Any] = {}
    told: str = ""
    """What the ledger made of it; empty until it was told."""

    @property
    def key(self) -> str:
        """Names the event in the ledger: told twice, it happens once."""
        return f"guard/{self.instance}/{self.kind}/{self.route_revision}"

    def holds_against(self, candidate: str, number: int, route_revision: int) -> bool:
        """Whether a share that this revision of the route gives to the rollout is refused. Once the ledger was told,
        a later revision was made by somebody who knew.

        >>> from datetime import UTC
        >>> held = Breaker("wind", "wind-7", 1, "hold", "both failed", 4, "here", datetime(2026, 3, 1, tzinfo=UTC))
        >>> told = msgspec.structs.replace(held, told="held")
        >>> [held.holds_against("wind-7", 1, 9), told.holds_against("wind-7", 1, 4), told.holds_against("wind-7", 1, 5)]
        [True, True, False]
        """
        if (self.candidate, self.number) != (candidate, number):
            return False
        return self.kind == "trip" or not self.told or route_revision <= self.route_revision


class RolloutRules(msgspec.Struct, frozen=True):
    """What the guard judges a rollout by; written by the keeper before the first share is published."""

    model: str
    candidate: str
    number: int
    plan: dict[str, Any]
    """As ``CanaryPlan.as_json``."""
    decides: bool = True
    """Whether the model decides between classes."""
