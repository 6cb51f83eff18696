"""Ledger and MLflow: ``reconcile``, reported as every other pair is."""

from __future__ import annotations

from datetime import datetime

from include.workflows import stores
from include.workflows.pairs import PairFinding, PairState
from include.workflows.release import reconcile

PAIR = "registry"


def compare(now: datetime) -> list[PairFinding]:
    """Compare every model's aliases and artifacts with the ledger. Aliases that were moved are put back at once."""
    return _found(None)


def repair(now: datetime, only: str | None) -> list[PairFinding]:
    """The same, of one model or of all: comparing this pair fixes what a program may fix."""
    return _found(only)


def _found(model: str | None) -> list[PairFinding]:
    found = [_told(each) for each in reconcile.reconcile(None if model is None else [model])]
    with stores.open_ledger() as ledger:
        models = [model] if model is not None else ledger.candidates.models()
    silent = {each.about for each in found if each.state is not PairState.AGREES}
    agree = [name for name in models if name not in silent]
    if agree:
        line = f"MLflow says what the ledger says of {', '.join(agree)}."
        found.append(PairFinding(PAIR, "models", PairState.AGREES, line))
    return found


def _told(finding: reconcile.AliasFinding) -> PairFinding:
    state = PairState.AGREES
    if finding.kind in (reconcile.AliasFault.UNREACHABLE, reconcile.AliasFault.NOT_COMPARED):
        state = PairState.NOT_COMPARED
    elif finding.action is reconcile.AliasRepair.NEEDS_A_PERSON:
        state = PairState.DIFFERS
    return PairFinding(
        PAIR, finding.model, state, finding.message, repaired=finding.action is reconcile.AliasRepair.REPAIRED
    )
