"""A candidate's way as its page shows it: the stations, and what each gate said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.adapters.ledger import Candidate, Explanation
from include.config import ModelDeclaration
from include.domain.lifecycle import State
from include.domain.promotion import GateRecord, Override
from include.domain.verdicts import Mode, Verdict
from include.domain.wording import count_of
from include.workflows import gates as registered
from include.workflows.gates.gate import APPROVE, CANARY, SHADOW, STATIONS
from include.workflows.gates.gate import title as gate_title

_PAST = {State.OPENED: 0, State.TRAINED: 2, State.CHALLENGER: 4, State.SHADOWING: 4}
"""How many phases a live candidate has certainly passed in each state."""


WORST = ("FAIL", "INCONCLUSIVE", "PASS")
"""Criteria are shown in this order: what did not pass comes first."""


@dataclass(frozen=True, slots=True)
class GateView:
    """What one gate said."""

    gate: str
    title: str
    asks: str
    verdict: str
    """PASS, INCONCLUSIVE, FAIL, or empty when it has not judged yet."""
    mode: str
    reason: str
    attempts: int
    judged_at: datetime | None
    criteria: tuple[Mapping[str, Any], ...]
    override: Override | None
    in_the_way: bool
    """Whether it keeps the candidate from promotion now."""
    earlier: bool = False
    """Whether it judged in an earlier lap of the journey, and not yet in this one."""
    same_again: bool = False
    """Whether it must say the same when it is asked again: its rows are pinned, and its bounds are as they were."""
    helps: tuple[str, ...] = ()
    """What helps against what it found, a sentence each."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One station of the way."""

    name: str
    status: str
    """``done``, ``now``, ``waits`` (for a person), ``stopped`` or ``ahead``."""
    gates: tuple[GateView, ...]
    note: str = ""


def standing_gates(gates: Mapping[str, GateView], order: Sequence[str]) -> list[tuple[str, str, bool]]:
    """The blocking gates that judged in this lap and did not pass, as (gate, verdict, whether an override holds), along
    the way; one with an override in whatever lap."""
    standing = (g for g in gates.values() if (g.in_the_way and not g.earlier) or g.override)
    found = sorted(standing, key=lambda g: place(g.gate, order))
    return [(g.gate, g.verdict, g.override is not None) for g in found]


def gate_view(
    record: GateRecord, attempts: int, declared: ModelDeclaration | None, override: Override | None, lap: int
) -> GateView:
    """What the gate said last, of a model as it is declared now; None where it is not declared any more."""
    passed = record.verdict is Verdict.PASS
    criteria = tuple(
        sorted((c.as_json() for c in record.result.criteria), key=lambda c: WORST.index(str(c["verdict"])))
    )
    gate = registered.named(record.gate, declared)
    return GateView(
        gate=record.gate,
        title=gate_title(record.gate),
        asks=gate.asks if gate is not None else "",
        verdict=record.verdict.value,
        mode=record.mode.value,
        reason=record.result.reason,
        attempts=attempts,
        judged_at=record.recorded_at,
        criteria=criteria,
        override=None if passed else override,
        in_the_way=not passed and record.mode is Mode.BLOCKING and override is None,
        earlier=record.lap is not None and record.lap < lap,
        same_again=gate is not None and declared is not None and not gate.may_differ(declared, criteria),
    )


def place(gate: str, order: Sequence[str]) -> int:
    """The gate's place on the way; one of an older declaration comes last."""
    return order.index(gate) if gate in order else len(order)


def _unjudged(gate: str, declared: ModelDeclaration | None) -> GateView:
    return GateView(gate, gate_title(gate), registered.asks(gate, declared), "", "", "", 0, None, (), None, False)


def phases_of(
    candidate: Candidate, declared: ModelDeclaration | None, gates: Mapping[str, GateView], found: Explanation
) -> tuple[Phase, ...]:
    """The stations in order; of a journey that stopped, those after it are ahead."""
    expected = _expected_gates(declared, gates)
    behind = _PAST.get(candidate.state, len(STATIONS) if found.epochs else 0)
    phases: list[Phase] = []
    stopped = False
    for number, (name, step) in enumerate(STATIONS):
        of_phase = registered.of_station(step, declared)
        if step in (APPROVE, CANARY) and not any(g in expected for g in of_phase):
            continue
        mine = tuple(gates.get(g) or _unjudged(g, declared) for g in of_phase if g in expected)
        status = "ahead"
        if not stopped:
            status = _status(candidate, number, behind, mine, bool(found.epochs))
            stopped = status in ("now", "waits", "stopped")
        note = ""
        if step == SHADOW and found.windows:
            window = found.windows[-1]
            note = f"{count_of(window.answered, 'row')}, {count_of(window.days, 'day')}"
        phases.append(Phase(name, status, mine, note))
    return tuple(phases)


def _expected_gates(declared: ModelDeclaration | None, gates: Mapping[str, GateView]) -> set[str]:
    """The gates the declaration has now, and those that judged when it had others."""
    found = set(gates)
    if declared is not None:
        found.update(gate.name for gate in registered.declared(declared))
    return found


def _status(candidate: Candidate, number: int, behind: int, mine: tuple[GateView, ...], promoted: bool) -> str:
    if promoted:
        return "done"
    in_the_way = [g for g in mine if g.in_the_way and not g.earlier]
    if in_the_way:
        waits = candidate.is_live and all(g.verdict == "INCONCLUSIVE" for g in in_the_way)
        return "waits" if waits else "stopped"
    if candidate.state is State.REJECTED and any(g.override for g in mine):
        return "waits"
    judged = bool(mine) and all(g.verdict and (g.verdict == "PASS" or not g.earlier) for g in mine)
    trained = candidate.facts.artifact_digest is not None
    registered = candidate.facts.model_version is not None
    if judged or number < behind or (number == 1 and trained) or (number == 3 and registered and judged):
        return "done"
    return "now" if candidate.is_live else "stopped"
