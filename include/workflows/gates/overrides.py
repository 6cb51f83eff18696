"""What a person may write about a candidate: an override with a reason and an end, a rejection with a reason.

Light, because Airflow's API server calls it. MLflow gets the override from the gate that honours it, when it judges
again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from include.adapters.ledger import Candidate, OverrideRequest
from include.config import declarations
from include.domain.authority import OPERATORS, Approvers, MayNotDecide, Person, require
from include.domain.errors import BadField, Refusal
from include.domain.gate_names import name_now
from include.domain.intervals import BadInstant, duration, instant
from include.domain.promotion import Override
from include.domain.verdicts import Verdict
from include.workflows import stores

MIN_REASON, MAX_REASON = 10, 500
LONGEST = timedelta(days=90)
"""How long an override from a page may hold."""
WHEN = "give a duration (2d, 12h) or a time in ISO 8601"


def override(candidate_id: str, gate: str, by: Person, why: str, expires_at: datetime, now: datetime) -> Override:
    """Let one candidate past one gate that judged it and did not pass. It has no effect on other gates.

    Raises:
        Refusal: when the gate has not judged the candidate, or passed.
        MayNotDecide, RequesterMayNotDecide, OverrideStands, BadValue, UnknownCandidate: as the ledger says.
    """
    gate = name_now(gate)
    with stores.open_ledger() as ledger:
        latest = ledger.gates.latest(candidate_id)
        model = declarations().model(ledger.candidates.get(candidate_id).model)
        if gate not in latest:
            judged = ", ".join(latest) or "none"
            raise Refusal(f"{gate} has not judged {candidate_id}; gates that have: {judged}.")
        if latest[gate].verdict is Verdict.PASS:
            raise Refusal(f"{gate} of {candidate_id} is PASS; there is nothing to override.")
        return ledger.gates.override(
            OverrideRequest(candidate_id, gate, why, expires_at),
            by=by,
            approvers=model.approvers.who,
            now=now,
            requester_may=model.requester_may_override,
        )


def withdraw(candidate_id: str, gate: str, now: datetime) -> Override | None:
    """End the override in force for one gate; None when there is none."""
    with stores.open_ledger() as ledger:
        ledger.candidates.get(candidate_id)
        return ledger.gates.withdraw(candidate_id, gate, now=now)


def reject(candidate_id: str, by: Person, why: str) -> Candidate:
    """End a journey that is under way: the candidate is out, the champion stays. Its tasks see it and stop.

    Raises:
        MayNotDecide: when the person is no approver of the model.
        Refusal: when the journey is over already.
        UnknownCandidate: when there is none.
    """
    with stores.open_ledger() as ledger:
        candidate = ledger.candidates.get(candidate_id)
        if not candidate.is_live:
            raise Refusal(
                f"{candidate_id} is {candidate.state.value} already, so there is nothing to reject. "
                "A champion is taken out by a rollback."
            )
        return ledger.candidates.reject(candidate_id, by=by, approvers=approvers_of(candidate.model), why=why)


def approvers_of(model: str) -> Approvers:
    """Who may decide about the model; the operators when it is not declared any more.

    Raises:
        Refusal: when its declaration is broken, so that its approvers are not known.
    """
    found = declarations()
    if model in found.models or any(file.parent.name == model for file in found.broken):
        return found.model(model).approvers.who
    return OPERATORS


def refusal_to_answer(model: str, gate: str, name: str) -> str | None:
    """Why the user of this name may not answer a gate's question, in a line; None when they may."""
    with stores.open_ledger() as ledger:
        try:
            require(model, f"answer {gate}", ledger.rights.person(model, name), approvers_of(model))
        except MayNotDecide as refusal:
            return str(refusal)
    return None


def reason(text: Any, what: str = "reason") -> str:
    """The reason a person typed.

    Raises:
        BadField: when it is missing, too short or too long.
    """
    given = text.strip() if isinstance(text, str) else text
    if not isinstance(given, str) or not MIN_REASON <= len(given) <= MAX_REASON:
        raise BadField(what, text, f"say why, in {MIN_REASON} to {MAX_REASON} characters")
    return given


def expiry(text: Any, now: datetime, what: str = "expires", longest: timedelta | None = None) -> datetime:
    """The end of an override a person typed: ``2d`` from ``now``, or a time; at most ``longest`` away, where given.

    Raises:
        BadField: when it is neither, past, or too far away.
    """
    if not isinstance(text, str):
        raise BadField(what, text, WHEN)
    try:
        end = now + duration(text)
    except OverflowError:
        raise BadField(what, text, WHEN) from None
    except ValueError:
        try:
            end = instant(text.strip())
        except BadInstant:
            raise BadField(what, text, WHEN) from None
    if end <= now:
        raise BadField(what, text, "which is past: give a later time")
    if longest is not None and end - now > longest:
        raise BadField(what, text, f"an override is an exception, so it ends within {longest.days} days")
    return end
