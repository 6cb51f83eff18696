"""The ledger's refusals, one exception per cause. Each message is one line: what, which value, and the way out."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import ClassVar

from include.domain.errors import Refusal
from include.domain.promotion import Clearance, Epoch


def _shown(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


class LedgerError(Refusal):
    """The ledger refused."""


class BadLedgerUrl(LedgerError, ValueError):
    """The URL names no database that the ledger can use."""


class LedgerUnavailable(ConnectionError):
    """The database did not answer, stayed locked, or could not write. Worth a retry."""

    exit_code: ClassVar[int] = 69


class LedgerDamaged(LedgerUnavailable):
    """The file is no SQLite database, or no whole one: it was cut off, or written over."""


class LedgerTampered(LedgerError):
    """A row of the ledger is not as Slipway wrote it, so that nothing is decided by it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} Nothing is promoted. `slipway repair history --check` lists every such row; restore the ledger "
            "from a backup of before, or ask who has changed it."
        )


class LedgerTooNew(LedgerError):
    """The database was upgraded by a newer release."""


class BadValue(LedgerError, ValueError):
    """A text, time or number the ledger cannot keep."""


class UnknownCandidate(LedgerError, KeyError):
    """No candidate has this id."""

    def __init__(self, candidate_id: str) -> None:
        self.message = f"There is no candidate {candidate_id!r} in the ledger; `slipway history <model>` lists them."
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class JourneyUnderWay(LedgerError):
    """The model has a live candidate already.

    ``cleared`` is the candidate of a journey that had ended and whose run was cleared: that run's request can no longer
    be changed, so that only a new run can replace the other.
    """

    def __init__(
        self, model: str, candidate_id: str, run_id: str, *, recorded: bool = False, cleared: str | None = None
    ) -> None:
        self.model, self.candidate_id, self.run_id = model, candidate_id, run_id
        with_it = "This request is recorded as one of its causes. " if recorded else ""
        way_out = "Wait until it has ended, or start a new run with supersede: true, which ends it."
        if cleared is not None:
            way_out = (
                f"{cleared} stays as it ended. Wait until the other has ended and clear this run again, or start a new "
                "run with supersede: true, which ends the other."
            )
        super().__init__(f"{model} has a journey under way: run {run_id}, candidate {candidate_id}. {with_it}{way_out}")


class AnsweredMeanwhile(LedgerError):
    """A journey was opened since the drift decision that asks for one."""

    def __init__(self, model: str, candidate_id: str, run_id: str) -> None:
        self.model, self.candidate_id, self.run_id = model, candidate_id, run_id
        super().__init__(
            f"{model} had a journey since this was decided: run {run_id}, candidate {candidate_id}. This request is "
            "recorded as one of its causes."
        )


class RequestChanged(LedgerError):
    """The same run id came with another request."""

    def __init__(self, run_id: str, field: str, first: object, now: object) -> None:
        super().__init__(
            f"Run {run_id} was opened with {field} {_shown(first)} and now asks for {_shown(now)}; "
            "use a new run id for a new request."
        )


class CandidateChanged(LedgerError):
    """A fact about a candidate would change after it was registered."""

    def __init__(self, candidate_id: str, field: str, first: object, now: object) -> None:
        super().__init__(
            f"Candidate {candidate_id} has {field} {first!s}, which may no longer become {now!s}; "
            "start a new journey instead."
        )


class Fenced(LedgerError):
    """A copy of a task that is no longer the newest tried to write."""

    def __init__(self, scope: str, token: int, newest: int) -> None:
        super().__init__(
            f"Attempt {token} of {scope} may not write: the newest attempt is {newest}. "
            "Another copy of this task took over."
        )


class Conflict(LedgerError):
    """Somebody else changed the champion first."""

    def __init__(self, model: str, expected: int, winner: Epoch | None, *, rollback: bool = False) -> None:
        self.winner = winner
        way_out = (
            "Check the new champion, and roll back again if it must go too."
            if rollback
            else "Check the new champion, then start a new retrain, which is compared with that one."
        )
        who = (
            f"it is {winner.revision}, made by run {winner.run_id} with champion {winner.to_candidate}"
            if winner
            else "it has no champion yet"
        )
        super().__init__(f"{model} was expected at revision {expected} but {who}. {way_out}")


class NotCleared(LedgerError):
    """Gates block a promotion."""

    def __init__(self, candidate_id: str, clearance: Clearance) -> None:
        self.clearance = clearance
        super().__init__(f"Candidate {candidate_id} is not cleared for promotion: {clearance.why}")


class DigestMismatch(LedgerError):
    """What would be promoted is not what was trained and judged."""

    def __init__(self, candidate_id: str, trained: str | None, found: str) -> None:
        super().__init__(
            f"Candidate {candidate_id} was trained as digest {trained}, but the registry holds {found}. "
            "Somebody replaced the artifact; it is not promoted."
        )


class TwinMismatch(LedgerError):
    """The twin of what would be promoted is not the one that was judged, or one of the two is missing."""

    def __init__(self, candidate_id: str, judged: str | None, found: str | None) -> None:
        super().__init__(
            f"Candidate {candidate_id} was judged by the twin {judged or '(none)'} of what is to serve, but there is "
            f"{found or '(none)'}. It is not promoted; start a new retrain."
        )


class DigestBarred(LedgerError):
    """The same artifact was rejected or rolled back before."""

    def __init__(self, candidate_id: str, digest: str, other: str, state: str) -> None:
        super().__init__(
            f"Candidate {candidate_id} has digest {digest}, which was {state} as candidate {other}; it stays out. "
            "Train a new one."
        )


class NothingToRollBackTo(LedgerError):
    """No earlier good champion is left."""

    def __init__(self, model: str, champion: str | None) -> None:
        now = f"champion {champion} is the oldest one left" if champion else "it never had a champion"
        super().__init__(f"{model} has nothing to roll back to: {now}. Start a retrain instead.")


class EffectiveTooEarly(LedgerError):
    """A promotion would reach back before the champion it replaces."""

    def __init__(self, model: str, given: datetime, earliest: datetime) -> None:
        super().__init__(
            f"The promotion of {model} would be effective from {given.isoformat()}, "
            f"before its champion's {earliest.isoformat()}; "
            "give that time or a later one."
        )


class OverrideStands(LedgerError):
    """There is an override in force for this candidate and gate already."""

    def __init__(self, candidate_id: str, gate: str, who: str, expires_at: datetime) -> None:
        super().__init__(
            f"{gate} of {candidate_id} is already overridden by {who} until {expires_at.isoformat()}; "
            "nothing more is needed until then, and a longer one can be given when it has ended."
        )


class RequesterMayNotDecide(LedgerError):
    """The person who asked for the journey may not decide about its gates: the model's tier asks for another person."""

    def __init__(self, candidate_id: str, gate: str, who: str) -> None:
        super().__init__(
            f"{who} asked for {candidate_id} and may not override {gate} for it: the tier of its model needs a second "
            "person (requester_may_override in include/models/tiers.yaml). Ask another approver to decide."
        )


class NoShadowWindow(LedgerError):
    """The candidate has no shadow window to count in."""

    def __init__(self, candidate_id: str) -> None:
        super().__init__(f"Candidate {candidate_id} has no shadow window; open one first.")


class UnknownIncident(LedgerError, KeyError):
    """No incident has this id."""

    def __init__(self, incident: str) -> None:
        self.message = f"There is no incident {incident[:80]!r} in the ledger; `slipway incidents` lists them."
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class IncidentChanged(LedgerError):
    """A person acted on an incident, or another day was decided, while the drift sensor decided about a day."""

    def __init__(self, model: str, day: str) -> None:
        super().__init__(
            f"An incident of {model} was changed while {day} was decided about. Nothing was written; decide again."
        )


class IncidentOver(LedgerError):
    """A person would act on an incident that is closed."""

    def __init__(self, incident: str, closed_on: str, note: str) -> None:
        super().__init__(f"{incident} was closed on {closed_on}, so there is nothing to act on. {note}")


class RolloutUnfinished(LedgerError):
    """A candidate that has not passed every step of its rollout."""

    def __init__(self, candidate_id: str, stage: str, step: int) -> None:
        super().__init__(
            f"The rollout of {candidate_id} is {stage}, at step {step + 1}; it can be promoted once every step passed."
        )


class NoRollout(LedgerError, KeyError):
    """There is no such rollout."""

    def __init__(self, candidate_id: str, number: int) -> None:
        self.message = f"There is no rollout {number} of {candidate_id} in the ledger."
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class RolloutUnderWay(LedgerError):
    """The model has another candidate beside its champion already."""

    def __init__(self, model: str, candidate_id: str, number: int) -> None:
        super().__init__(
            f"{candidate_id} (rollout {number}) takes traffic of {model} already; it must end before another begins."
        )


class RolloutOver(LedgerError):
    """The candidate takes no part any more, so that its rollout cannot change."""

    def __init__(self, candidate_id: str, state: str) -> None:
        way = "roll it back instead" if state == "champion" else "nothing is left to do"
        super().__init__(f"{candidate_id} is {state}, so its rollout is over; {way}.")


class NotJudged(LedgerError):
    """A share cannot grow, because no verdict on this step of this rollout lets it."""

    def __init__(self, candidate_id: str, step: int, why: str) -> None:
        super().__init__(
            f"The share of {candidate_id} does not grow: {why}. Only a PASS of canary_gate on step {step + 1} of this "
            "rollout lets it."
        )
