"""``latency_gate``: does the candidate answer quickly enough, and is its file small enough?"""

from __future__ import annotations

from collections.abc import Iterator

from include.config import ModelDeclaration
from include.domain.verdicts import GateResult, Mode
from include.workflows.gates.gate import EVALUATE, Gate, Lack, Lacking, SeedFor, Severity, Subject

NAME = "latency_gate"
TIMES = ("p50_ms_at_most", "p99_ms_at_most", "batch_ms_per_1k_at_most", "times_champion_at_most")
TIMES_CHAMPION, SIZE_TIMES = (
    "gates.latency_gate.times_champion_at_most",
    "gates.latency_gate.size_times_champion_at_most",
)


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    """Candidate and champion, timed in turns on one machine."""
    from include.domain.gates import latency_gate

    declared = model.gates.latency_gate
    if declared is None:
        raise LookupError(NAME)
    candidate, champion = subject.timings()
    rules, has_champion = declared.rules(), subject.has_champion
    return latency_gate(rules, candidate, champion, mode=declared.mode, has_champion=has_champion)


def _mode(model: ModelDeclaration) -> Mode | None:
    return model.gates.latency_gate.mode if model.gates.latency_gate else None


def _slow(model: ModelDeclaration) -> Lacking | None:
    declared = model.gates.latency_gate
    if declared is not None and all(getattr(declared, name) is None for name in TIMES):
        return Lacking("latency_gate bounds no time", TIMES_CHAMPION)
    return None


def _large(model: ModelDeclaration) -> Lacking | None:
    declared = model.gates.latency_gate
    if declared is None or declared.model_mb_at_most is not None or declared.size_times_champion_at_most is not None:
        return None
    return Lacking("latency_gate bounds no size", SIZE_TIMES)


def _lacks(model: ModelDeclaration) -> Iterator[Lack]:
    declared = model.gates.latency_gate
    if declared is None:
        return
    for lacking, what in ((_slow(model), "time"), (_large(model), "size")):
        if lacking is not None and lacking.declare:
            way_out = f"Declare {lacking.declare}."
            yield Lack(Severity.MEDIUM, lacking.declare, f"latency_gate bounds no {what}.", way_out)
    if declared.times_champion_at_most is None:
        what = "A candidate may use up the whole budget at once."
        yield Lack(Severity.LOW, TIMES_CHAMPION, what, f"Declare {TIMES_CHAMPION}.")


GATE = Gate(
    name=NAME,
    after=EVALUATE,
    asks="Does it answer quickly enough?",
    field="gates.latency_gate",
    mode=_mode,
    judge=judge,
    looks_at=("timing",),
    seeds=(SeedFor("10 times slower", "^(p50|p99|ms|batch)", _slow), SeedFor("50 times larger", "size", _large)),
    replayable=False,
    absence=lambda model: (Severity.MEDIUM, "A candidate may be ten times as slow or as large."),
    lacks=_lacks,
    advisory=lambda model: Severity.LOW,
)
