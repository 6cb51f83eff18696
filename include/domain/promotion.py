"""What still blocks a candidate's promotion, and which champion a rollback returns to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from include.domain.authority import said
from include.domain.gate_names import FILE_GATES
from include.domain.verdicts import GateResult, Mode, Verdict


@dataclass(frozen=True, slots=True)
class GateRecord:
    """One attempt of one gate at one candidate, as the ledger keeps it."""

    candidate_id: str
    gate: str
    attempt: int
    """From 1; the newest attempt counts."""
    digest: str | None
    """What the gate saw: the artifact's digest or the training set's hash; None is unknown and clears nothing."""
    run_id: str
    recorded_at: datetime
    result: GateResult
    lap: int | None = None
    """The lap of the journey in which it judged; None in records from before it was kept."""

    @property
    def verdict(self) -> Verdict:
        return self.result.verdict

    @property
    def mode(self) -> Mode:
        return self.result.mode


@dataclass(frozen=True, slots=True)
class Override:
    """Lets one candidate past one gate that did not pass, until it expires. It says who and why."""

    candidate_id: str
    gate: str
    who: str
    why: str
    expires_at: datetime
    """First moment at which it no longer holds."""
    recorded_at: datetime
    ended_at: datetime | None = None
    """When it was withdrawn or replaced; None while it holds."""
    claimed: str | None = None
    """The name that ``who`` gave, when it differs from the signed-in name."""

    @property
    def decider(self) -> str:
        """For a sentence: who decided."""
        return said(self.who, self.claimed)

    def is_live(self, now: datetime) -> bool:
        return self.ended_at is None and now < self.expires_at


class ObstacleKind(Enum):
    """What an obstacle is made of."""

    MISSING = "missing"
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"
    OVERRIDE_EXPIRED = "override_expired"
    OTHER_ARTIFACT = "other_artifact"
    OTHER_RUN = "other_run"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One gate that does not clear the candidate, and the sentence that says why."""

    gate: str
    kind: ObstacleKind
    message: str


@dataclass(frozen=True, slots=True)
class Promotable:
    """What would be promoted, so that evidence about something else counts for nothing."""

    digest: str | None
    """The artifact's; None when nothing was trained."""
    training_set_hash: str | None = None
    """What gates of data judged; None when there is no training set."""
    run_id: str | None = None
    """The journey's run; None accepts results of any run."""
    served_digest: str | None = None
    """The refitted file's; None where the judged artifact itself serves."""

    def digests(self, gate: str) -> frozenset[str]:
        """What the gate may have seen: the refitted file where there is one and the gate judges files."""
        if self.served_digest is not None and gate in FILE_GATES:
            return frozenset({self.served_digest})
        return frozenset(d for d in (self.digest, self.training_set_hash) if d is not None)


@dataclass(frozen=True, slots=True)
class Clearance:
    """Whether a candidate may be promoted, and on what that rests."""

    obstacles: tuple[Obstacle, ...]
    """What blocks it; empty means cleared."""
    attempts: Mapping[str, int]
    """The attempt of each gate that cleared the candidate, by PASS or by override."""
    overridden: Mapping[str, Override]
    """The override each gate was passed by; gates that passed by themselves are absent."""

    @property
    def is_clear(self) -> bool:
        return not self.obstacles

    @property
    def was_judged(self) -> bool:
        """Whether a gate has judged what would be promoted and did not let it pass; a gate that is only missing, or saw
        something else, has not."""
        return any(
            o.kind in (ObstacleKind.FAIL, ObstacleKind.INCONCLUSIVE, ObstacleKind.OVERRIDE_EXPIRED)
            for o in self.obstacles
        )

    @property
    def why(self) -> str:
        """Every obstacle in one line."""
        return " ".join(o.message for o in self.obstacles) or "Nothing blocks it."


def clearance(
    required: Collection[str],
    results: Iterable[GateRecord],
    overrides: Iterable[Override],
    promotable: Promotable,
    *,
    now: datetime,
    max_age: timedelta | None = None,
) -> Clearance:
    """Judge a candidate by the newest attempt of each gate.

    Every required gate, and every gate that recorded itself as blocking, must be PASS, or else FAIL or INCONCLUSIVE
    with a live override, on what is promoted: its digest, or its training set's hash for gates of data.
    An override never excuses a gate that did not run or that saw something else: there is no evidence about that.

    ``now`` is the time overrides and ages are measured at. ``max_age`` None accepts results of any age.
    """
    newest: dict[str, GateRecord] = {}
    for record in results:
        if record.gate not in newest or newest[record.gate].attempt < record.attempt:
            newest[record.gate] = record
    by_gate: dict[str, list[Override]] = {}
    for override in overrides:
        by_gate.setdefault(override.gate, []).append(override)
    gates = list(dict.fromkeys([*required, *(g for g, r in newest.items() if r.mode is Mode.BLOCKING)]))

    obstacles: list[Obstacle] = []
    attempts: dict[str, int] = {}
    overridden: dict[str, Override] = {}
    if not gates:
        obstacles.append(
            Obstacle(
                "any", ObstacleKind.MISSING, "No blocking gate judged the candidate; declare at least one and run it."
            )
        )
    for gate in gates:
        found = newest.get(gate)
        obstacle = _not_about_this(gate, found, promotable, now, max_age)
        if found is not None and obstacle is None and found.verdict is not Verdict.PASS:
            live = next((o for o in by_gate.get(gate, []) if o.is_live(now)), None)
            if live is None:
                obstacle = _not_passed(found, by_gate.get(gate, []))
            else:
                overridden[gate] = live
        if obstacle is not None:
            obstacles.append(obstacle)
        elif found is not None:
            attempts[gate] = found.attempt
    return Clearance(tuple(obstacles), attempts, overridden)


def _not_about_this(
    gate: str, found: GateRecord | None, promotable: Promotable, now: datetime, max_age: timedelta | None
) -> Obstacle | None:
    """Why the record is no evidence about what is to be promoted; None when it is."""
    if found is None:
        return Obstacle(gate, ObstacleKind.MISSING, f"{gate} has not judged the candidate; run it.")
    if found.digest not in promotable.digests(gate):
        saw = "an artifact it did not name" if found.digest is None else found.digest
        wanted = " or ".join(sorted(promotable.digests(gate))) or "a trained artifact"
        message = f"{gate} judged {saw}, and not {wanted}; run it again."
        return Obstacle(gate, ObstacleKind.OTHER_ARTIFACT, message)
    if promotable.run_id is not None and found.run_id != promotable.run_id:
        message = f"{gate} was recorded by run {found.run_id}, not by {promotable.run_id}; run it in this journey."
        return Obstacle(gate, ObstacleKind.OTHER_RUN, message)
    age = now - found.recorded_at
    if max_age is not None and age > max_age:
        message = f"{gate} judged the candidate {age} ago, over the limit of {max_age}; run it again."
        return Obstacle(gate, ObstacleKind.STALE, message)
    return None


def _not_passed(found: GateRecord, overrides: Sequence[Override]) -> Obstacle:
    expired = max((o for o in overrides if o.ended_at is None), key=lambda o: o.expires_at, default=None)
    if expired is not None:
        end = expired.expires_at.isoformat()
        message = f"{found.gate} is {found.verdict.value} and the override by {expired.who} expired at {end}."
        return Obstacle(found.gate, ObstacleKind.OVERRIDE_EXPIRED, message)
    kind = ObstacleKind.FAIL if found.verdict is Verdict.FAIL else ObstacleKind.INCONCLUSIVE
    return Obstacle(found.gate, kind, f"{found.gate} is {found.verdict.value}: {found.result.reason}")


class EpochKind(Enum):
    """How a candidate became champion."""

    BOOTSTRAP = "bootstrap"
    """The model had no champion."""
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of a model's deployment history: who became champion, over whom, and from which data time on."""

    model: str
    revision: int
    """From 1, without gaps."""
    kind: EpochKind
    from_candidate: str | None
    """The champion before; None for the first."""
    to_candidate: str
    model_version: str | None
    """The registry's version of ``to_candidate``; None when it was never registered."""
    digest: str
    effective_from: datetime
    """The data time from which rows are scored by this champion."""
    actor: str
    reason: str
    run_id: str
    cleared_by: Mapping[str, object]
    """The attempts of the gates, and the overrides, the promotion rested on; empty for a rollback."""
    recorded_at: datetime
    claimed: str | None = None
    """The name that ``actor`` gave, when it differs from the signed-in name."""

    @property
    def decider(self) -> str:
        """For a sentence: who changed the champion."""
        return said(self.actor, self.claimed)


def epoch_at(history: Iterable[Epoch], moment: datetime) -> Epoch | None:
    """The newest revision that is effective at the data time ``moment``; None before the first."""
    return max((e for e in history if e.effective_from <= moment), key=lambda e: e.revision, default=None)


def server_at(history: Sequence[Epoch], moment: datetime) -> Epoch | None:
    """The epoch whose champion scores rows of the data time ``moment`` that is not scored yet; None before the first.

    The newest revision that is effective by then. Where its candidate was rolled back since, the epoch of that
    rollback, whenever it is effective: a candidate that was rolled back scores no more rows.
    """
    taken_out = {e.from_candidate: e for e in history if e.kind is EpochKind.ROLLBACK}
    epoch = epoch_at(history, moment)
    while epoch is not None and epoch.to_candidate in taken_out:
        epoch = taken_out[epoch.to_candidate]
    return epoch


def rolled_back(history: Iterable[Epoch]) -> frozenset[str]:
    """The candidates that were champion and were taken out by a rollback."""
    return frozenset(e.from_candidate for e in history if e.kind is EpochKind.ROLLBACK and e.from_candidate is not None)


def rollback_target(history: Sequence[Epoch], unusable: Collection[str] = ()) -> str | None:
    """The previous good champion, or None when there is none.

    Promotions form a stack from which each rollback removes the top, so a second rollback goes further back and never
    restores what the first one took out. ``history`` is in order of revision; candidates in ``unusable`` (their
    artifact no longer loads) are skipped.
    """
    stack: list[str] = []
    for epoch in history:
        if epoch.kind is EpochKind.ROLLBACK:
            while stack and stack[-1] != epoch.to_candidate:
                stack.pop()
        else:
            stack.append(epoch.to_candidate)
    return next((c for c in reversed(stack[:-1]) if c not in unusable), None)


NO_HEAD = "none"
"""The mark of a model without a champion, written when a person accepted a ledger without epochs."""


def head_mark(epoch: Epoch | None) -> str:
    """What the registry remembers of the epoch its aliases show: its revision and its candidate."""
    return NO_HEAD if epoch is None else f"{epoch.revision} {epoch.to_candidate}"


def lost_history(mark: str | None, history: Sequence[Epoch]) -> str | None:
    """Why the history cannot be complete, when the registry has seen a later one; None when the two agree.

    An epoch is written to the ledger before the registry, so a registry with a revision that the ledger lacks, or with
    another candidate of a revision, was written from another ledger: this one was restored from an older backup or
    begun again. ``mark`` is what ``head_mark`` gave; None when the registry never got one. Read the mark before the
    history, or an epoch written in between is taken for a lost one.
    """
    if mark is None or mark == NO_HEAD:
        return None
    number, _, candidate = mark.partition(" ")
    if not number.isdecimal() or int(number) < 1 or not candidate:
        return f"the registry's mark {mark[:100]!r} is not what Slipway writes"
    revision = int(number)
    newest = history[-1].revision if history else 0
    if revision > newest:
        return f"the registry has seen revision {revision} with champion {candidate}, the ledger ends at {newest}"
    found = history[revision - 1].to_candidate
    if found != candidate:
        return f"the registry has seen {candidate} as champion of revision {revision}, the ledger has {found}"
    return None
