"""A model's newest rollout as a value: where it is, what each service sees of it, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from include.adapters.ledger import Ledger, RolloutRecord, RouteRecord
from include.domain.canary.rollout import RolloutStage
from include.domain.canary.step_time import StepTime, step_time
from include.domain.intervals import spoken
from include.workflows.pages import sources

ENDED = (RolloutStage.TRIPPED, RolloutStage.ABORTED)


@dataclass(frozen=True, slots=True)
class HostSees:
    """What one service says of the candidate.

    Attributes:
        why: why it has no share there; empty where it has.
        seen: what its guard has counted, as ``figures`` gives it; empty where it has said nothing.
        is_fresh: whether the service was seen within a minute.
    """

    instance: str
    share_ppm: int
    why: str
    seen: dict[str, Any]
    is_fresh: bool


@dataclass(frozen=True, slots=True)
class RolloutView:
    """One rollout, as of one moment of the ledger's clock."""

    record: RolloutRecord
    time: StepTime
    lease_left: timedelta | None
    """Until its share ends unless it is renewed; None while it has none."""
    hosts: tuple[HostSees, ...]

    @property
    def takes_traffic(self) -> bool:
        return self.record.state.share_ppm > 0

    @property
    def sentence(self) -> str:
        """Where it is, and what may follow."""
        record, state = self.record, self.record.state
        where = f"step {state.step + 1} of {len(record.plan.steps)}"
        last = record.events[-1]
        if state.stage is RolloutStage.RUNNING:
            open_for = spoken(timedelta(seconds=round(self.time.elapsed.total_seconds())))
            return (
                f"{record.candidate_id} answers {state.share_ppm / 10_000:g} % of the units, {where}, for {open_for}."
            )
        if state.stage is RolloutStage.FINISHED:
            return f"{record.candidate_id} has passed every step, and may be promoted."
        if state.stage is RolloutStage.EXPIRED:
            return (
                f"{record.candidate_id} has no traffic, {where}: {last.reason} It goes on at this step when its "
                "journey runs again."
            )
        if state.stage is RolloutStage.HELD:
            return (
                f"{record.candidate_id} has no traffic, {where}: held by {last.actor}: {last.reason} A person resumes "
                "it or aborts it."
            )
        return f"{record.candidate_id} is out, {where}: {state.stage.value} by {last.actor}: {last.reason}"


def rollout(model: str) -> RolloutView | None:
    """The model's newest rollout; None where it never had one."""
    sources.declared_now().model(model)
    with sources.open_ledger() as ledger:
        record = ledger.rollouts.newest(model)
        return None if record is None else view_of(ledger, record)


def view_of(ledger: Ledger, record: RolloutRecord) -> RolloutView:
    """The same of a rollout that was read."""
    now, route = ledger.rollouts.now(), ledger.routes.of(record.model)
    hosts = [
        found
        for each in ledger.instances.all()
        if each.ended_at is None and (found := _host(each.instance_id, each.models, record, each.is_seen(now)))
    ]
    return RolloutView(
        record=record,
        time=step_time(((e.recorded_at, e.event, e.state) for e in record.events), now),
        lease_left=_lease_left(record, route, now),
        hosts=tuple(hosts),
    )


def as_json(view: RolloutView) -> dict[str, Any]:
    """As REST and ``--json`` give it."""
    record, state = view.record, view.record.state
    return {
        "model": record.model,
        "candidate_id": record.candidate_id,
        "number": record.number,
        "stage": state.stage.value,
        "sentence": view.sentence,
        "step": state.step + 1,
        "steps": [{"share_ppm": step.share_ppm, "min_rows": step.min_rows} for step in record.plan.steps],
        "share_ppm": state.share_ppm,
        "open_for_s": view.time.elapsed.total_seconds(),
        "at_least_s": record.plan.steps[state.step].min_time.total_seconds(),
        "at_most_s": record.plan.steps[state.step].max_time.total_seconds(),
        "lease_left_s": None if view.lease_left is None else view.lease_left.total_seconds(),
        "total_alpha": record.plan.total_alpha,
        "hosts": [
            {"instance": h.instance, "share_ppm": h.share_ppm, "why": h.why, "fresh": h.is_fresh, "seen": h.seen}
            for h in view.hosts
        ],
        "events": [
            {
                "event": e.event.value,
                "stage": e.state.stage.value,
                "step": e.state.step + 1,
                "share_ppm": e.state.share_ppm,
                "actor": e.actor,
                "reason": e.reason,
                "at": e.recorded_at.isoformat(),
            }
            for e in record.events
        ],
    }


def _host(instance: str, models: Any, record: RolloutRecord, is_fresh: bool) -> HostSees | None:
    here, mine = dict(models.get(record.model, {})), (record.candidate_id, record.number)
    published, seen = (dict(here.get(name) or {}) for name in ("canary", "guard"))
    of_it = [each for each in (published, seen) if (each.get("candidate"), each.get("number")) == mine]
    if not of_it:
        return None
    said = published if published in of_it else {}
    why = str(said.get("ended") or said.get("why") or "")
    counted = seen if seen in of_it and "rows" in seen else {}  # before its first row a guard has no figures
    return HostSees(instance, int(said.get("share_ppm", 0)), why, counted, is_fresh)


def _lease_left(record: RolloutRecord, route: RouteRecord | None, now: datetime) -> timedelta | None:
    if route is None or route.renewed_at is None or route.share_ppm == 0:
        return None
    if (route.canary_id, route.number) != (record.candidate_id, record.number):
        return None
    return max(timedelta(0), route.renewed_at + timedelta(seconds=record.lease_s) - now)
