"""The ledger and its own chain of hashes, and what MLflow noted of that: whether any row was changed by hand.

Every entry and every row is read, and what MLflow noted of each model is looked for; then it notes the chain as it is
now. No program repairs what differs: which of two histories is the true one is for people.
"""

from __future__ import annotations

from datetime import datetime

from include.adapters.ledger import LedgerTampered
from include.adapters.registry import RegistryUnreachable
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.pairs import PairFinding, PairState
from include.workflows.release.mlflow_aliases import note_history, require_history

PAIR = "history"


def compare(now: datetime) -> list[PairFinding]:
    """Each row that does not fit the chain, and each model of which MLflow knows another chain."""
    with stores.open_ledger() as ledger:
        found = [PairFinding(PAIR, "ledger", PairState.DIFFERS, line) for line in ledger.chain.broken()]
        if not found:
            line = f"{count_of(ledger.chain.head().position, 'row')} fit the chain of hashes."
            found.append(PairFinding(PAIR, "ledger", PairState.AGREES, line))
        whole, registry, noted = found[0].state is PairState.AGREES, stores.registry(), []
        for model in ledger.candidates.models():
            try:
                require_history(ledger, model, registry.registered(model))
                if whole:
                    note_history(ledger, registry, model)
                noted.append(model)
            except LedgerTampered as tampered:
                found.append(PairFinding(PAIR, model, PairState.DIFFERS, str(tampered)))
            except RegistryUnreachable as silent:
                # The next model's call would wait as long.
                found.append(PairFinding(PAIR, model, PairState.NOT_COMPARED, str(silent)))
                break
        if noted:
            line = f"MLflow notes the chain that the ledger has of {', '.join(noted)}."
            found.append(PairFinding(PAIR, "models", PairState.AGREES, line))
        return found
