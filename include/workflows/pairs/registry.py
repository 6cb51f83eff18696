"""Ledger and MLflow: ``reconcile``, told as every other pair is."""

from __future__ import annotations

from datetime import datetime

from include.workflows import stores
from include.workflows.pairs import Finding, State
from include.workflows.release import reconcile

PAIR = "registry"


def compare(now: datetime) -> list[Finding]:
    """Hold every model's aliases and artifacts against the ledger. Aliases that were moved are put back at once."""
    return _found(None)


def repair(now: datetime, only: str | None) -> list[Finding]:
    """The same, of one model or of all: comparing this pair mends what a program may mend."""
    return _found(only)


def _found(model: str | None) -> list[Finding]:
    found = [_told(each) for each in reconcile.reconcile(None if model is None else [model])]
    with stores.open_ledger() as ledger:
        models = [model] if model is not None else ledger.candidates.models()
    silent = {each.about for each in found if each.state is not State.AGREES}
    agree = [name for name in models if name not in silent]
    if agree:
        line = f"MLflow says what the ledger says of {', '.join(agree)}."
        found.append(Finding(PAIR, "models", State.AGREES, line))
    return found


def _told(finding: reconcile.Finding) -> Finding:
    state = State.AGREES
    if finding.kind is reconcile.Kind.UNREACHABLE:
        state = State.NOT_COMPARED
    elif finding.action is reconcile.Action.NEEDS_A_PERSON:
        state = State.DIFFERS
    return Finding(PAIR, finding.model, state, finding.message, mended=finding.action is reconcile.Action.MENDED)
