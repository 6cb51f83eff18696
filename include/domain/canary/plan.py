"""What a rollout was declared to do: its steps, and what must hold in each. Frozen when it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from include.domain.canary.units import PPM
from include.domain.canary.wires import Wire, wire_of


@dataclass(frozen=True, slots=True)
class CanaryStep:
    """One share, and how long it is kept.

    Attributes:
        share_ppm: of a million units, how many are in.
        min_rows: fewest rows of the canary's share that both models answered.
        min_time: shortest time.
        max_time: after that time the share ends, and a person is asked.
    """

    share_ppm: int
    min_rows: int
    min_time: timedelta
    max_time: timedelta

    @property
    def share(self) -> float:
        return self.share_ppm / PPM


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """The declared rules of a canary.

    Attributes:
        steps: with growing shares.
        added_failures: the highest share of *all* units that may fail more because of the canary.
        shown_alpha: how often, per step, a canary that adds more may be let through.
        failures_alpha: how often, per rollout, an equal canary may be rolled back by its failures.
        slow_alpha: the same by slow answers.
        mismatch_alpha: how often, per rollout, a right share may be called wrong.
        wire: the hard wire.
        mean_delta_at_most: highest mean ``|canary - champion|`` score on the same rows.
        p99_delta_at_most: highest 99th percentile of it; None is not judged.
        decisions_differ_at_most: highest share of those rows decided differently; None is not judged.
    """

    steps: tuple[CanaryStep, ...]
    added_failures: float
    wire: Wire
    mean_delta_at_most: float
    p99_delta_at_most: float | None = None
    decisions_differ_at_most: float | None = None
    shown_alpha: float = 0.05
    failures_alpha: float = 0.009
    slow_alpha: float = 0.001
    mismatch_alpha: float = 0.001

    def __post_init__(self) -> None:
        shares = [0, *(step.share_ppm for step in self.steps), PPM]
        if len(shares) == 2 or any(b <= a for a, b in pairwise(shares)):
            raise ValueError("the steps' shares must grow, each above 0 and below 100 %")

    @property
    def total_alpha(self) -> float:
        """How often, per rollout, an equal canary may be rolled back by what is counted."""
        return self.failures_alpha + self.slow_alpha

    def margin_of(self, step: int) -> float:
        """How much higher the canary's rate of failures may be for the step (from 0) to pass: what keeps the whole
        service within ``added_failures`` at the share that comes next, which after the last step is all.

        >>> hour = timedelta(hours=1)
        >>> steps = tuple(CanaryStep(share, 500, hour, 24 * hour) for share in (10_000, 100_000))
        >>> plan = CanaryPlan(steps, 0.002, Wire(5, 20), 0.05)
        >>> plan.margin_of(0), plan.margin_of(1)
        (0.02, 0.002)
        """
        following = self.steps[step + 1].share if step + 1 < len(self.steps) else 1.0
        return self.added_failures / following

    def as_json(self) -> dict[str, Any]:
        """As the ledger keeps it; times in seconds."""
        return {
            "steps": [
                {
                    "share_ppm": step.share_ppm,
                    "min_rows": step.min_rows,
                    "min_time_s": step.min_time.total_seconds(),
                    "max_time_s": step.max_time.total_seconds(),
                }
                for step in self.steps
            ],
            "wire": str(self.wire),
            **{name: getattr(self, name) for name in _NUMBERS},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CanaryPlan:
        """
        Raises:
            ValueError, KeyError: it is no plan.
        """
        steps = tuple(
            CanaryStep(
                one["share_ppm"],
                one["min_rows"],
                timedelta(seconds=one["min_time_s"]),
                timedelta(seconds=one["max_time_s"]),
            )
            for one in data["steps"]
        )
        return cls(steps=steps, wire=wire_of(data["wire"]), **{name: data[name] for name in _NUMBERS})


_NUMBERS = (
    "added_failures",
    "mean_delta_at_most",
    "p99_delta_at_most",
    "decisions_differ_at_most",
    "shown_alpha",
    "failures_alpha",
    "slow_alpha",
    "mismatch_alpha",
)
