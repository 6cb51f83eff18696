"""What a person may do about a candidate now, each with the sentence that says what will happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.adapters.ledger import Candidate
from include.domain.lifecycle import State
from include.domain.promotion import Epoch, rollback_target
from include.workflows.gates.gate import title as gate_title
from include.workflows.release import stranded


@dataclass(frozen=True, slots=True)
class Button:
    """One button."""

    name: str
    """``approve``, ``reject``, ``override``, ``clear`` or ``rollback``; of an incident ``ack``, ``snooze`` or
    ``accept``."""
    label: str
    consequence: str
    """What will happen, said before it does."""
    gate: str | None = None
    needs_reason: bool = False
    needs_expiry: bool = False
    needs_until: bool = False
    """Whether it takes a day of data."""
    is_grave: bool = False


def allowed(
    candidate: Candidate,
    standing: Sequence[tuple[str, str, bool]],
    champion: Epoch | None,
    epochs: Sequence[Epoch],
    under_way: str | None = None,
) -> tuple[Button, ...]:
    """The actions that are possible in the candidate's state, the likeliest first.

    Args:
        standing: the gates that did not pass, as (gate, verdict, whether an override holds).
        under_way: the model's other candidate in flight, beside which this one cannot go on.
    """
    found: list[Button] = []
    may_go_on = under_way is None and not stranded.run_is_gone(candidate)
    open_to_people = candidate.is_live or (candidate.state in (State.REJECTED, State.FAILED) and may_go_on)
    in_the_way = [(gate, verdict) for gate, verdict, overridden in standing if not overridden]
    # A waiting gate is answered; a red one is overridden and judged again.
    waiting = [gate for gate, verdict in in_the_way if candidate.is_live and verdict == "INCONCLUSIVE"]
    found += [_approve(gate) for gate in waiting]
    if open_to_people:
        # A journey that goes on past an overridden gate needs no action.
        found += [
            _clear(gate, overridden) for gate, _, overridden in standing[:1] if overridden and not candidate.is_live
        ]
        found += [_override(gate, verdict) for gate, verdict in in_the_way if gate not in waiting]
        found += [_clear(gate, overridden) for gate, _, overridden in standing[:1] if not overridden]
    if candidate.is_live:
        found.append(_reject(candidate, champion))
    if champion is not None and champion.to_candidate == candidate.candidate_id:
        action = rollback(candidate.model, champion, epochs)
        found += [action] if action else []
    return tuple(found)


def rollback(model: str, champion: Epoch, epochs: Sequence[Epoch]) -> Button | None:
    """Back to the previous good champion; None when there is none."""
    target = rollback_target(list(epochs))
    if target is None:
        return None
    return Button(
        "rollback",
        "Roll back",
        f"Version {champion.model_version} is taken out for good, and {target} serves {model} again, from the newest "
        f"data on. No gate is asked. It is done by a run of rollback_{model}, under your name.",
        needs_reason=True,
        is_grave=True,
    )


def _approve(gate: str) -> Button:
    return Button(
        "approve",
        f"Approve {gate_title(gate).lower()}",
        "The candidate goes on to the next step now. Your approval holds for this gate and this candidate, and "
        "promotion checks that it still holds.",
        gate=gate,
        needs_reason=True,
    )


def _override(gate: str, verdict: str) -> Button:
    return Button(
        "override",
        f"Override {gate_title(gate).lower()}",
        f"This one candidate may pass {gate}, which said {verdict}, until the end you give. Nothing runs yet: judge "
        "again afterwards. Promotion asks again whether the override still holds, and its record names you for ever.",
        gate=gate,
        needs_reason=True,
        needs_expiry=True,
        is_grave=True,
    )


def _clear(gate: str, overridden: bool) -> Button:
    then = (
        "The gate is overridden, so its task turns green and the journey goes on to shadow and promotion by itself."
        if overridden
        else "The rows are pinned, so the same evidence gives the same verdict, unless something outside was fixed."
    )
    return Button(
        "clear",
        f"Judge again from {gate_title(gate).lower()}",
        f"Airflow clears {gate} and what follows it, and the closed journey is opened again. {then}",
        gate=gate,
    )


def _reject(candidate: Candidate, champion: Epoch | None) -> Button:
    serves = f"Version {champion.model_version} goes on serving." if champion else "The model has no champion then."
    return Button(
        "reject",
        "Reject this candidate",
        f"The journey ends, its artifact stays out for good, and the run turns red. {serves}",
        needs_reason=True,
        is_grave=True,
    )
