"""The keeper's part of rollouts: what the guard did is told to the ledger, and what the ledger says to the guard.

A breaker stays until the ledger was told, and is told again by the next keeper wherever this one was killed: the event
has a key, so it happens once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from include.adapters.boot_clock import boot_id, boot_seconds
from include.adapters.route_file import RouteWriter
from include.domain.canary.breaker import Breaker, RolloutRules
from include.domain.canary.rollout import RolloutEvent
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.serving.route import CanaryArm, Route
from include.serving.breakers import GuardFiles, seen_in, silent_s

if TYPE_CHECKING:
    from include.adapters.ledger import Ledger, RouteRecord

GUARD_GONE_S = 10.0
"""A candidate that no guard has watched for so long gets no traffic."""
ACTOR = "guard"


@dataclass(slots=True)
class RolloutKeeper:
    """What one keeper does about rollouts."""

    files: GuardFiles
    writer: RouteWriter
    instance: str
    began_s: float = field(default_factory=boot_seconds)

    def tell(self, ledger: Ledger) -> None:
        """Tell the ledger what the guard did, before the ledger is asked who serves: what it says then, it says
        knowing."""
        for breaker in self.files.breakers():
            if not breaker.told:
                self._told(ledger, breaker)

    def prepare(self, ledger: Ledger, routes: Mapping[str, RouteRecord]) -> None:
        """Give the guard what it judges by, before a share is published."""
        under_way = set()
        for model, route in routes.items():
            if route.canary_id is None or route.number is None:
                continue
            under_way.add((route.canary_id, route.number))
            if self.files.rules(route.canary_id, route.number) is None:
                self._keep_rules(ledger, model, route.canary_id, route.number)
        self.files.forget_rules_but(under_way)
        for breaker in self.files.breakers():
            if breaker.told and (breaker.candidate, breaker.number) not in under_way:
                self.files.forget(breaker)

    def guarded(self, arms: Mapping[str, CanaryArm]) -> dict[str, CanaryArm]:
        """The arms as they may be published: with what the guard ended, and with what came back since."""
        found: dict[str, CanaryArm] = {}
        for model, arm in arms.items():
            broken = self.files.of(*arm.is_of)
            holds = broken is not None and broken.holds_against(*arm.is_of, arm.served.route_revision)
            found[model] = msgspec.structs.replace(arm, ended=broken.reason) if broken is not None and holds else arm
            if broken is not None and not holds:
                self._back(model, arm, broken)
        return found

    def seen(self) -> dict[str, Any]:
        """What the guard has counted, by model, for the ledger."""
        return seen_in(self.files.folder)

    def watched(self) -> None:
        """Take a share away that no guard watches; needs no ledger."""
        silent = silent_s(self.files.folder)
        if silent < GUARD_GONE_S or boot_seconds() - self.began_s < GUARD_GONE_S:
            return
        for model, arm in self.writer.current().arms.items():
            if arm.share_at(boot_id(), boot_seconds()) == 0:
                continue
            seen = "ever" if silent == float("inf") else f"for {silent:.0f} s"
            reason = f"No guard of this host has looked {seen}, so a candidate that does harm would not be noticed."
            self.files.keep(
                Breaker(
                    model=model,
                    candidate=arm.served.candidate,
                    number=arm.number,
                    kind="hold",
                    reason=reason,
                    route_revision=arm.served.route_revision,
                    instance=self.instance,
                    at=datetime.now(UTC),
                )
            )
            self.writer.end_share(model, arm.number, reason, datetime.now(UTC))

    # --- within ------------------------------------------------------------------------------------------------------

    def _told(self, ledger: Ledger, breaker: Breaker) -> None:
        from include.adapters.ledger import Happened

        event = RolloutEvent.TRIP if breaker.kind == "trip" else RolloutEvent.HOLD
        said = Happened(ACTOR, breaker.reason, breaker.key, {**breaker.evidence, "instance": breaker.instance})
        try:
            record = ledger.rollouts.lower(breaker.candidate, breaker.number, event, said)
            became = f"{record.state.stage.value} at step {record.state.step + 1}"
        except Refusal as refused:
            became = str(refused)
        crashpoint("keeper.guard.lowered")
        self._notify(ledger, breaker)
        self.files.keep(msgspec.structs.replace(breaker, told=became))
        crashpoint("keeper.guard.told")
        print(f"{breaker.model}: the ledger was told of {breaker.candidate}: {became}", flush=True)

    def _notify(self, ledger: Ledger, breaker: Breaker) -> None:
        from include.workflows.pages import rollout_notices

        for notice in rollout_notices.about(ledger, breaker.model):
            ledger.notices.put(notice, datetime.now(UTC))

    def _keep_rules(self, ledger: Ledger, model: str, candidate: str, number: int) -> None:
        from include.config import declarations

        record = next((each for each in ledger.rollouts.of(candidate) if each.number == number), None)
        if record is not None:
            declared = declarations().models.get(model)
            decides = declared is None or declared.is_classifier
            self.files.keep_rules(RolloutRules(model, candidate, number, record.plan.as_json(), decides))

    def _back(self, model: str, arm: CanaryArm, broken: Breaker) -> None:
        """What a person resumed: the arm that is ended is taken out of the route, so that it can come in again."""
        held: Route = self.writer.current()
        now = held.arms.get(model)
        if now is not None and now.ended and now.is_of == arm.is_of:
            self.writer.publish(held.models, datetime.now(UTC), {n: a for n, a in held.arms.items() if n != model})
        crashpoint("keeper.guard.back")
        self.files.forget(broken)
