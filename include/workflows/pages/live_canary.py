"""The canary of a model as the page *Live* shows it: its steps, what each host has seen, and what a person may do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from include.adapters.ledger import Ledger, RolloutRecord
from include.domain.canary.rollout import OVER, RolloutStage
from include.domain.canary.units import place, unit_text, within
from include.domain.intervals import spoken
from include.workflows.pages.actions import Button
from include.workflows.pages.rollouts import HostSees, RolloutView, view_of

_EVIDENCE = {
    "failures": "more failures than the champion",
    "slow": "more slow answers than the champion",
    "mismatch": "units not drawn as declared",
}
_HOLD = Button("hold", "Hold", "The share is taken away on every host, and may come back.", needs_reason=True)
_RESUME = Button("resume", "Resume", "The share of this step comes back, and it begins again.", needs_reason=True)
_ABORT = Button(
    "abort", "Abort", "The rollout ends for good, and the candidate is rejected.", needs_reason=True, is_grave=True
)


@dataclass(frozen=True, slots=True)
class ShownStep:
    """One step: ``done``, ``now``, ``waits``, ``stopped`` or ``ahead``, with what it takes."""

    share: str
    status: str
    note: str


@dataclass(frozen=True, slots=True)
class ShownEvidence:
    """One evidence of one host against the limit from which on it ends the share."""

    host: str
    what: str
    measured: float
    limit: float
    is_known: bool
    """Whether units came, and the host still says what it sees."""
    is_of_the_draw: bool
    """Whether it speaks against how units are drawn, and not against the candidate."""

    @property
    def part(self) -> float:
        """How far it is to the limit on a scale of factors: 0 where nothing speaks for it, 100 at the limit."""
        if self.measured <= 1 or self.limit <= 1:
            return 0.0
        return min(100.0, 100 * math.log(self.measured) / math.log(self.limit))

    @property
    def verdict(self) -> str:
        if not self.is_known:
            return "NONE"
        if self.measured < self.limit:
            return "PASS"
        return "INCONCLUSIVE" if self.is_of_the_draw else "FAIL"

    @property
    def word(self) -> str:
        if not self.is_known:
            return "not judged"
        return "ends the share" if self.measured >= self.limit else "not shown"


@dataclass(frozen=True, slots=True)
class CanaryLive:
    """The newest rollout, as the page shows it."""

    rollout: RolloutView
    verdict: str
    word: str
    steps: tuple[ShownStep, ...]
    evidence: tuple[ShownEvidence, ...]
    actions: tuple[Button, ...]
    unit: str
    """What was asked about; empty for nothing."""
    answered_by: str
    """Who would answer it now, in a sentence; empty where nothing was asked."""


def canary_of(ledger: Ledger, model: str, unit: str = "") -> CanaryLive | None:
    """The model's newest rollout; None where it never had one."""
    record = ledger.rollouts.newest(model)
    if record is None:
        return None
    view = view_of(ledger, record)
    verdict, word = _state(record)
    return CanaryLive(
        rollout=view,
        verdict=verdict,
        word=word,
        steps=tuple(_steps(record)),
        evidence=tuple(each for host in view.hosts for each in _evidence(host)),
        actions=_actions(record),
        unit=unit,
        answered_by=_answers(record, unit),
    )


def _state(record: RolloutRecord) -> tuple[str, str]:
    return {
        RolloutStage.RUNNING: ("PASS", "takes traffic"),
        RolloutStage.FINISHED: ("PASS", "every step has passed"),
        RolloutStage.HELD: ("INCONCLUSIVE", "held: a person is asked"),
        RolloutStage.EXPIRED: ("INCONCLUSIVE", "no traffic: its lease ended"),
        RolloutStage.TRIPPED: ("FAIL", "taken out"),
        RolloutStage.ABORTED: ("NONE", "ended"),
    }[record.state.stage]


def _steps(record: RolloutRecord) -> Iterator[ShownStep]:
    at, stage = record.state.step, record.state.stage
    here = "now"
    if stage in OVER:
        here = "stopped"
    elif stage in (RolloutStage.HELD, RolloutStage.EXPIRED):
        here = "waits"
    for i, step in enumerate(record.plan.steps):
        status = "done" if i < at or record.has_passed else here if i == at else "ahead"
        note = f"at least {step.min_rows:,} rows and {spoken(step.min_time)}"
        yield ShownStep(f"{step.share_ppm / 10_000:g} %", status, note)


def _evidence(host: HostSees) -> Iterator[ShownEvidence]:
    found: dict[str, Any] = host.seen.get("evidence") or {}
    for name, what in _EVIDENCE.items():
        if name in found:
            measured, limit = float(found[name]["measured"]), float(found[name]["limit"])
            is_known = host.is_fresh and host.seen.get("share_observed") is not None
            yield ShownEvidence(host.instance, what, measured, limit, is_known, name == "mismatch")


def _actions(record: RolloutRecord) -> tuple[Button, ...]:
    if record.is_over:
        return ()
    if record.state.stage in (RolloutStage.HELD, RolloutStage.EXPIRED):
        return (_RESUME, _ABORT)
    return (_HOLD, _ABORT)


def _answers(record: RolloutRecord, unit: str) -> str:
    name = unit_text(unit)
    if name is None:
        return ""
    at, share = place(record.salt, name), record.state.share_ppm
    where = f"Its place is {100 * at / 2**64:.4g} of 100, and the share is {share / 10_000:g}"
    if within(at, share):
        return f"The candidate, and the champion beside it. {where}."
    first = next((i for i, step in enumerate(record.plan.steps) if within(at, step.share_ppm)), None)
    later = "in no step before the promotion" if first is None else f"from step {first + 1} on"
    return f"The champion. {where}; the candidate would answer it {later}."
