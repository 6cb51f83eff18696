"""The registry's aliases are a projection of the ledger: any run may write them again, with the same result."""

from __future__ import annotations

from include.adapters.ledger import Candidate, Ledger, LedgerTampered
from include.adapters.registry import CHALLENGER, CHAMPION, HEAD, HISTORY, ModelRegistry, Registered, VersionMissing
from include.domain.chain import head_of
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.lifecycle import State
from include.domain.promotion import Epoch, head_mark, lost_history

ROUNDS = 10
"""How often a projection is begun again because the ledger changed under it; then the rest is left to the process that
changed it."""


class LedgerBehind(Refusal):
    """The registry has seen epochs that this ledger does not have."""

    def __init__(self, model: str, why: str) -> None:
        super().__init__(
            f"The ledger of {model} is not the one its registry knows: {why}. It was restored from an older backup, or "
            "begun again. Nothing is promoted, rolled back or moved in MLflow. Restore the newer ledger, or, if it is "
            f"gone for good, run `slipway reconcile {model} --accept-ledger --reason ...`."
        )


def require_whole_ledger(ledger: Ledger, registry: ModelRegistry, model: str) -> None:
    """Nothing when the ledger knows every epoch the registry has seen.

    Raises:
        LedgerBehind: when it does not.
        LedgerTampered: when its chain of hashes is not the one that the registry noted.
    """
    _registered_and_history(ledger, registry, model)


def project_aliases(ledger: Ledger, registry: ModelRegistry, model: str) -> list[str]:
    """Point ``champion`` at the ledger's head and ``challenger`` at the candidate in shadow; say what was fixed.

    MLflow's aliases have no compare-and-swap, so a process that paused between reading the ledger and writing the alias
    may write an old champion. Therefore the ledger is read again after each write, and its newest state is written.

    Raises:
        Fenced: when a newer copy of this step took over before the projection began.
        LedgerBehind, LedgerTampered: as ``require_whole_ledger``; nothing is written then.
    """
    ledger.database.require_newest()
    written: list[str] = []
    for _ in range(ROUNDS):
        found, history = _registered_and_history(ledger, registry, model)
        head, waiting = (history[-1] if history else None), waiting_in(ledger, model)
        crashpoint("aliases.read")
        written += _project(registry, model, found, head, waiting)
        note_history(ledger, registry, model)
        if (ledger.deployments.champion(model), waiting_in(ledger, model)) == (head, waiting):
            break
    for line in written:
        print(f"Alias of {model} written from the ledger: {line}")
    return written


def require_history(ledger: Ledger, model: str, found: Registered) -> None:
    """Nothing when the ledger's chain still holds the entry that the registry noted of it.

    Raises:
        LedgerTampered: when it does not, or the note is none.
    """
    noted = found.tags.get(HISTORY)
    if noted is None:
        return
    try:
        head = head_of(noted)
    except ValueError as error:
        raise LedgerTampered(f"MLflow's note on the registered model {model} was changed: {error}.") from None
    ledger.chain.require(head, f"MLflow's registered model {model}")


def note_history(ledger: Ledger, registry: ModelRegistry, model: str) -> None:
    """Note in the registry how far the ledger's chain goes, where the model has a champion."""
    if ledger.deployments.champion(model) is not None:
        registry.tag_model(model, {HISTORY: str(ledger.chain.head())})
        crashpoint("aliases.noted")


def waiting_in(ledger: Ledger, model: str) -> Candidate | None:
    """The registered candidate that is judged now, which the challenger alias names; None when there is none."""
    live = ledger.candidates.live(model)
    registered = live is not None and live.state in (State.CHALLENGER, State.SHADOWING)
    return live if registered and live is not None and live.facts.model_version else None


def _registered_and_history(ledger: Ledger, registry: ModelRegistry, model: str) -> tuple[Registered, list[Epoch]]:
    # In this order: an epoch promoted in between must not be taken for one the ledger lost.
    found = registry.registered(model)
    history = ledger.deployments.epochs(model)
    lost = lost_history(found.tags.get(HEAD), history)
    if lost is not None:
        raise LedgerBehind(model, lost)
    require_history(ledger, model, found)
    return found, history


def _project(
    registry: ModelRegistry, model: str, found: Registered, head: Epoch | None, waiting: Candidate | None
) -> list[str]:
    written = []
    champion = int(str(head.model_version)) if head is not None and head.model_version is not None else None
    challenger = int(str(waiting.facts.model_version)) if waiting is not None else None
    for alias, wanted in ((CHAMPION, champion), (CHALLENGER, challenger)):
        now = found.aliases.get(alias)
        if now == wanted:
            continue
        if wanted is None:
            registry.drop(model, alias, int(str(now)))
        else:
            try:
                registry.point(model, alias, wanted)
            except VersionMissing as missing:
                # Nothing here can bring it back. Reconciling reports it; served answers are unaffected, since scoring
                # asks the ledger and has its own copy.
                print(f"Alias {alias} of {model} cannot be written: {missing}")
                continue
        crashpoint(f"aliases.{alias}")
        written.append(f"{alias}: {now} -> {wanted if wanted is not None else 'none'}")
    if head is not None and found.tags.get(HEAD) != head_mark(head):
        registry.tag_model(model, {HEAD: head_mark(head)})
        crashpoint("aliases.marked")
    return written
