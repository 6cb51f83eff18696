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
    """``approve``, ``reject``, ``override``, ``clear``, ``retrain`` or ``rollback``; of an incident ``ack``,
    ``snooze`` or ``accept``; of a rollout ``hold``, ``resume`` or ``abort``."""
    label: str
    consequence: str
    """What will happen, said before it does."""
    gate: str | None = None
    needs_reason: bool = False
    needs_expiry: bool = False
    needs_until: bool = False
    """Whether it takes a day of data."""
    is_grave: bool = False
    as_of: str | None = None
    """What the field for an as-of time begins with; None where there is no such field."""


@dataclass(frozen=True, slots=True)
class NewJourney:
    """What is known of a journey that would follow this one.

    Attributes:
        as_of: the latest as-of time for which every view has its rows, ``YYYY-MM-DD``; empty where none has.
        only_it_helps: the gates that must say the same of this candidate again, because their rows are pinned.
    """

    as_of: str = ""
    only_it_helps: frozenset[str] = frozenset()


def allowed(
    candidate: Candidate,
    standing: Sequence[tuple[str, str, bool]],
    champion: Epoch | None,
    epochs: Sequence[Epoch],
    under_way: str | None = None,
    new: NewJourney = NewJourney(),  # it is frozen
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
        pinned = [gate for gate, _ in in_the_way if gate in new.only_it_helps]
        if pinned and not candidate.is_live:
            found.append(_retrain(candidate.model, new.as_of))
        # A journey that goes on past an overridden gate needs no action.
        found += [
            _clear(gate, overridden) for gate, _, overridden in standing[:1] if overridden and not candidate.is_live
        ]
        found += [_override(gate, verdict) for gate, verdict in in_the_way if gate not in (*waiting, *pinned)]
        again = [gate for gate, _, overridden in standing[:1] if not overridden and gate not in pinned]
        found += [_clear(gate, False) for gate in again]
        found += [_override(gate, verdict) for gate, verdict in in_the_way if gate in pinned and gate not in waiting]
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


def _retrain(model: str, as_of: str) -> Button:
    return Button(
        "retrain",
        "Start a new journey",
        f"A run of retrain_{model} starts under your name, on the rows that are published now. This candidate stays as "
        "it ended, and the champion serves until the new one has passed every gate.",
        needs_reason=True,
        as_of=as_of,
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
