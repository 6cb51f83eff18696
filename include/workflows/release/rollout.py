"""A candidate's share of live traffic, step by step: opened, looked at, judged, raised or ended.

The ledger says where the rollout is. So whatever is done twice, by a task that was cleared, killed or marked, changes
nothing, and after a time without Airflow it goes on at the step where it was.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from include.adapters.ledger import Happened, Ledger, RolloutRecord, RolloutRequest, StopKind
from include.config import declarations
from include.config.canary import DeclaredCanary
from include.config.settings import settings
from include.domain.canary.rollout import RolloutEvent, RolloutStage
from include.domain.canary.step_time import StepTime, step_time
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.gates.canary import Following, following
from include.domain.gates.canary import canary_gate as judged_alone
from include.domain.intervals import spoken
from include.domain.verdicts import GateResult, Mode, Verdict
from include.workflows import gates, stores
from include.workflows.evidence import canary_seen
from include.workflows.evidence.rollout_counted import CountedRollout
from include.workflows.gates import canary as canary_gate
from include.workflows.gates.gate import CANARY
from include.workflows.journey import step
from include.workflows.journey.facts import Evaluated, JourneyReference
from include.workflows.journey.step import Journey

ACTOR = "canary"
LABELS_EVERY = timedelta(hours=1)
"""How often a step that waits for labels alone is judged again."""
AT_ONCE = 200_000
"""So many records of the journal are read in one look: the lease is renewed before the next."""


class RolloutEnded(Refusal):
    """A rollout that is over: the candidate is not promoted."""


def go_on(reference: JourneyReference, now: datetime) -> dict[str, Any]:
    """Bring the candidate's rollout as far as evidence lets it: ``finished`` once every step has passed, else what it
    waits for, in a ``sentence``. ``now`` is the time overrides are measured at.

    Raises:
        RolloutEnded: when it did harm, was ended, or no one answered in time.
        NotCleared, Conflict: when it cannot be opened, because a gate blocks it or the champion changed.
    """
    with step.step_of(reference, CANARY) as journey:
        declared, head = journey.model.canary, journey.ledger.deployments.champion(journey.model.name)
        if declared is None:
            raise Refusal(
                f"{journey.model.name} declares no canary any more. Clear the run from open_journey on, once Airflow "
                "has read the declaration again."
            )
        if head is None or head.to_candidate == journey.candidate_id:
            return _done("There is no champion whose traffic could be shared: a first deployment.")
        rollout = _opened(journey, declared, now)
        crashpoint("canary.opened")
        while True:
            said = _waits(journey, rollout)
            if said is not None:
                return said
            looked = _looked(journey, _taking_traffic(journey, rollout))
            if looked.then is Following.WAIT:
                return _waiting(looked.rollout, f"{_where(looked.rollout)} {looked.result.reason}", looked.pause)
            rollout = _followed(journey, looked)


def _opened(journey: Journey, declared: DeclaredCanary, now: datetime) -> RolloutRecord:
    """The rollout of this lap of the journey, opened where it was not."""
    ledger, model, candidate = journey.ledger, journey.model, journey.candidate
    # A journey that was closed and is opened again begins from the first step.
    lap = ledger.stops.lap(candidate.candidate_id)
    return ledger.rollouts.open(
        RolloutRequest(
            candidate.candidate_id,
            expected_revision=journey.kept(Evaluated).champion_revision,
            digest=str(candidate.facts.serving_digest),
            plan=declared.plan(model.shadow),
            lease_s=declared.lease.total_seconds(),
            actor=ACTOR,
            reason=candidate.request.reason,
            run_id=candidate.run_id if lap == 1 else f"{candidate.run_id} (lap {lap})",
        ),
        required_gates=gates.required(model),
        now=now,
        max_age=model.promotion.evidence_max_age,
    )


def _waits(journey: Journey, rollout: RolloutRecord) -> dict[str, Any] | None:
    """What there is to say where nothing is to be judged: it is over, finished, or held."""
    if rollout.has_passed:
        return _done(f"Every step of rollout {rollout.number} has passed.")
    newest = rollout.events[-1]
    if rollout.is_over:
        raise RolloutEnded(
            f"Rollout {rollout.number} of {rollout.candidate_id} ended at step {rollout.state.step + 1}, by "
            f"{newest.actor}: {newest.reason}"
        )
    if rollout.state.stage is not RolloutStage.HELD:
        return None
    patience, held_since = journey.model.promotion.approval_timeout, _time(rollout, journey.ledger).held_since
    asked_for = None if held_since is None else journey.ledger.rollouts.now() - held_since
    if asked_for is not None and asked_for >= patience:
        said = f"no one answered within {spoken(patience)}, which is a rejection. {newest.reason}"
        journey.ledger.stops.record(
            rollout.candidate_id, canary_gate.NAME, StopKind.GATE, f"{canary_gate.NAME}: {said}"
        )
        raise RolloutEnded(
            f"Rollout {rollout.number} of {rollout.candidate_id} is held at step {rollout.state.step + 1}, and {said}"
        )
    return _waiting(rollout, f"It is held by {newest.actor}: {newest.reason} A person resumes it, or aborts it.")


def _taking_traffic(journey: Journey, rollout: RolloutRecord) -> RolloutRecord:
    """The rollout with its lease renewed, or taken up again where that had ended."""
    rollouts = journey.ledger.rollouts
    rollouts.renew(rollout.candidate_id, rollout.number)
    rollout = _read(journey.ledger, rollout)
    if rollout.state.stage is not RolloutStage.EXPIRED:
        return rollout
    key = f"taken up after {rollout.events[-1].seq}"
    taken = rollouts.take_up(
        rollout.candidate_id, rollout.number, Happened(ACTOR, "Its lease had ended; it goes on at its step.", key)
    )
    crashpoint("canary.taken_up")
    return taken


@dataclass(frozen=True, slots=True)
class _Looked:
    """A rollout whose newest step was judged: what follows, and how long a wait is at least."""

    rollout: RolloutRecord
    result: GateResult
    then: Following
    pause: timedelta = timedelta(0)


def _looked(journey: Journey, rollout: RolloutRecord) -> _Looked:
    seen = canary_seen.seen_by(journey)
    result = canary_gate.of_step(journey.model, seen)
    if seen.evidence is None or seen.plan is None:
        over = _time(rollout, journey.ledger).elapsed >= rollout.plan.steps[rollout.state.step].max_time
        return _Looked(rollout, result, Following.ASK if over else Following.WAIT)
    then = following(seen.plan, seen.evidence, result)
    alone = canary_gate.without_labels(journey.model, seen)
    waits_for_labels = then is Following.WAIT and alone.verdict is Verdict.PASS
    return _Looked(rollout, result, then, LABELS_EVERY if waits_for_labels else timedelta(0))


def _followed(journey: Journey, looked: _Looked) -> RolloutRecord:
    """The rollout after what follows from its judged step. The verdict is in the ledger first."""
    rollout, result, ledger = looked.rollout, looked.result, journey.ledger
    name, number = rollout.candidate_id, rollout.number
    record = ledger.gates.record(name, result, digest=rollout.digest, run_id=journey.candidate.run_id)
    crashpoint("canary.recorded")
    at = rollout.state.step + 1
    key = f"step {at} after {rollout.events[-1].seq}"
    if looked.then is Following.RAISE:
        said = Happened(ACTOR, f"Step {at} has passed.", key)
        rollout = ledger.rollouts.passed(name, number, attempt=record.attempt, said=said)
        crashpoint("canary.raised")
        return rollout
    ends = looked.then is Following.END
    said = Happened(ACTOR, result.reason, key, evidence={"attempt": record.attempt})
    rollout = ledger.rollouts.lower(name, number, RolloutEvent.TRIP if ends else RolloutEvent.HOLD, said)
    crashpoint("canary.lowered")
    return rollout


def _read(ledger: Ledger, rollout: RolloutRecord) -> RolloutRecord:
    return next(each for each in ledger.rollouts.of(rollout.candidate_id) if each.number == rollout.number)


def _time(rollout: RolloutRecord, ledger: Ledger) -> StepTime:
    return step_time(((e.recorded_at, e.event, e.state) for e in rollout.events), ledger.rollouts.now())


def _where(rollout: RolloutRecord) -> str:
    steps, share = len(rollout.plan.steps), rollout.state.share_ppm / 10_000
    return f"Rollout {rollout.number} is at step {rollout.state.step + 1} of {steps}, {share:g} % of the units."


def _done(sentence: str) -> dict[str, Any]:
    return {"finished": True, "sentence": sentence}


def _waiting(rollout: RolloutRecord, sentence: str, pause: timedelta = timedelta(0)) -> dict[str, Any]:
    at = {"number": rollout.number, "step": rollout.state.step + 1}
    return {"finished": False, "sentence": sentence, "pause_s": pause.total_seconds(), **at}


# --- the look of the one that waits ----------------------------------------------------------------------------------


class Watch:
    """One wait's looks at a rollout. Each renews its lease, and counts on where the look before ended."""

    def __init__(self, candidate_id: str, pause: timedelta = timedelta(0)) -> None:
        """
        Args:
            candidate_id: whose newest rollout is looked at.
            pause: how long a step that has enough for itself is left alone, because it waits for labels.
        """
        self.candidate_id = candidate_id
        self._pause, self._began = pause, time.monotonic()
        self._counted: CountedRollout | None = None
        self._events: int | None = None

    def has_something(self) -> bool:
        """Whether ``go_on`` has something to do: a step can be judged, something happened to the rollout, or a person
        was waited for long enough."""
        with stores.open_ledger() as ledger:
            candidate, found = ledger.candidates.get(self.candidate_id), ledger.rollouts.of(self.candidate_id)
            if not candidate.is_live or not found or found[-1].is_over or found[-1].has_passed:
                return True
            rollout = found[-1]
            if self._events is None:
                self._events = len(rollout.events)
            if len(rollout.events) != self._events:
                return True
            if rollout.state.stage is RolloutStage.HELD:
                held, patience = _time(rollout, ledger).held_since, _patience(rollout)
                return held is not None and ledger.rollouts.now() - held >= patience
            if not ledger.rollouts.renew(self.candidate_id, rollout.number):
                return True
            return self._can_be_judged(ledger, rollout)

    def _can_be_judged(self, ledger: Ledger, rollout: RolloutRecord) -> bool:
        if self._counted is None:
            self._counted = CountedRollout(rollout, settings().home / "journal")
        if not self._counted.read(ledger.routes.of(rollout.model), rollout, most=AT_ONCE):
            return False  # the lease is renewed before more is read
        evidence = self._counted.evidence(ledger.rollouts.now())
        if evidence is None:
            return bool(_time(rollout, ledger).elapsed >= rollout.plan.steps[rollout.state.step].max_time)
        result = judged_alone(rollout.plan, evidence, mode=Mode.BLOCKING)
        then = following(rollout.plan, evidence, result)
        if then is Following.RAISE:
            return time.monotonic() - self._began >= self._pause.total_seconds()
        return then is not Following.WAIT


def _patience(rollout: RolloutRecord) -> timedelta:
    return declarations().model(rollout.model).promotion.approval_timeout
