"""The registry's aliases are a projection of the ledger: any run may write them again, and gets the same."""

from __future__ import annotations

from include.adapters.ledger import Ledger
from include.adapters.registry import CHALLENGER, CHAMPION, Registry
from include.domain.faults import crashpoint
from include.domain.lifecycle import State


def project_aliases(ledger: Ledger, registry: Registry, model: str) -> list[str]:
    """Point ``champion`` at the ledger's head and ``challenger`` at the candidate in shadow; say what was mended."""
    mended: list[str] = []
    head = ledger.deployments.champion(model)
    if head is not None and head.model_version is not None:
        version = int(head.model_version)
        found = registry.alias(model, CHAMPION)
        if found != version:
            registry.point(model, CHAMPION, version)
            mended.append(f"{CHAMPION}: {found} -> {version}")
    crashpoint("aliases.between")
    live = ledger.candidates.live(model)
    waiting = live if live and live.state in (State.CHALLENGER, State.SHADOWING) and live.facts.model_version else None
    challenger = registry.alias(model, CHALLENGER)
    if waiting is not None and challenger != int(str(waiting.facts.model_version)):
        registry.point(model, CHALLENGER, int(str(waiting.facts.model_version)))
        mended.append(f"{CHALLENGER}: {challenger} -> {waiting.facts.model_version}")
    elif waiting is None and challenger is not None:
        registry.drop(model, CHALLENGER, challenger)
        mended.append(f"{CHALLENGER}: {challenger} -> none")
    for line in mended:
        print(f"Alias of {model} written from the ledger: {line}")
    return mended
