"""Live traffic of a rollout, as the workers of a service would have written it down: drawn by the rollout's own salt,
answered by the champion and, in the canary's share, by both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import journal_day
import numpy as np
import yaml
from journey_world import JourneyWorld

from include.adapters.ledger import Ledger, RolloutRecord, RouteRecord
from include.config import loader
from include.domain.canary.units import place, within
from include.domain.journal.records import AnswerRecord, Beside

NOON = datetime(2024, 3, 18, 12, tzinfo=UTC)
BROKEN = "the model raised ValueError"
STEPS = [
    {"share": 0.1, "min_rows": 100, "min_time": "1h", "max_time": "1d"},
    {"share": 0.5, "min_rows": 200, "min_time": "1h", "max_time": "1d"},
]
LOOSE = {"added_at_most": 0.2}
"""What few rows can show."""


def declare_canary(world: JourneyWorld, **canary: object) -> None:
    """The world's model is asked online, and a candidate of it takes traffic in two small steps."""
    file = world.root / "declared" / "models" / world.model / "model.yaml"
    said = yaml.safe_load(file.read_text(encoding="utf-8"))
    said["gates"] = {**said["gates"], "packed_gate": None}  # the tale's candidates were never packed
    bounds = {"mean_delta_at_most": 0.2, "p99_delta_at_most": 0.5}
    said["canary"] = {"steps": STEPS, "failures": LOOSE, "lease": "12h", **bounds, **canary}
    file.write_text(yaml.safe_dump(said), encoding="utf-8")
    journal_day.go_online(world)
    loader.declarations.cache_clear()


@dataclass(frozen=True)
class Traffic:
    """How the two answer: whether each fails on a unit, how long each takes, and how far apart their scores are."""

    canary_fails: Callable[[int], bool] = lambda unit: False
    champion_fails: Callable[[int], bool] = lambda unit: False
    canary_us: float = 200.0
    champion_us: float = 200.0
    apart: float = 0.01

    def records(self, rollout: RolloutRecord, route: RouteRecord, units: Iterable[int]) -> list[AnswerRecord]:
        """One row of each unit, in their order, a second after another."""
        return [self._record(rollout, route, unit) for unit in units]

    def _record(self, rollout: RolloutRecord, route: RouteRecord, unit: int) -> AnswerRecord:
        rng = np.random.default_rng(unit)
        score, name = float(rng.uniform(0.2, 0.8)), f"u{unit}"
        at = place(rollout.salt, name)
        is_canary = within(at, route.share_ppm)
        failing = {"canary": self.canary_fails(unit), "champion": self.champion_fails(unit)}
        scores = {"champion": score, "canary": score + self.apart}
        times = {"canary": self.canary_us, "champion": self.champion_us}
        who = {"canary": rollout.candidate_id, "champion": rollout.champion_id}

        def said(role: str) -> dict[str, Any]:
            us = int(times[role] * rng.gamma(4.0, 0.25))
            if failing[role]:
                return {"error": BROKEN, "us_model": us}
            return {"score": scores[role], "predicted": str(int(scores[role] > 0.5)), "us_model": us}

        def beside(role: str) -> Beside:
            return Beside(candidate=who[role], digest=role, role=role, **said(role))  # type: ignore[arg-type]

        # A caller never pays for the canary: where it fails, the champion answers.
        role = "canary" if is_canary and not failing["canary"] else "champion"
        other = None if not is_canary else beside("champion" if role == "canary" else "canary")
        return AnswerRecord(
            asked_id=f"{route.route_revision}-{name}",
            request_id=f"{route.route_revision}-{name}",
            model=rollout.model,
            prediction_time=NOON + timedelta(seconds=unit % 30_000),
            candidate=who[role],
            digest=role,
            revision=route.revision,
            route_revision=route.route_revision,
            keys={"trip_id": name},
            event_time=NOON + timedelta(seconds=unit % 30_000),
            arm="canary" if is_canary else "champion",
            role=role,  # type: ignore[arg-type]
            unit=name,
            bucket=at / 2**64,
            number=rollout.number,
            share_ppm=route.share_ppm,
            beside=other,
            **said(role),
        )


def written(ledger: Ledger, candidate_id: str, units: range, how: Traffic | None = None) -> None:
    """Traffic of the candidate's newest rollout, at its present share, in a segment of its own."""
    rollout = ledger.rollouts.of(candidate_id)[-1]
    route = ledger.routes.of(rollout.model)
    assert route is not None
    journal_day.write((how or Traffic()).records(rollout, route, units), pid=units.start)
