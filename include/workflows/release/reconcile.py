"""Compares MLflow with the ledger: what a person moved there by hand is put back, what is lost is reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from include.adapters import model_files
from include.adapters.ledger import Ledger, LedgerTampered
from include.adapters.registry import (
    CHALLENGER,
    CHAMPION,
    HEAD,
    HISTORY,
    ModelRegistry,
    Registered,
    RegistryUnreachable,
    VersionMissing,
    VersionSourceRefused,
)
from include.domain.errors import Refusal
from include.domain.promotion import Epoch, head_mark, rollback_target
from include.workflows import stores
from include.workflows.release.mlflow_aliases import LedgerBehind, project_aliases, require_whole_ledger

OURS = (CHAMPION, CHALLENGER)


class AliasFault(Enum):
    """What was found."""

    LEDGER_BEHIND = "ledger_behind"
    """The registry has seen epochs that the ledger lacks."""
    ALIAS_MOVED = "alias_moved"
    """``champion`` or ``challenger`` did not point where the ledger says."""
    ALIAS_LOOKALIKE = "alias_lookalike"
    """An alias that resembles one of ours, such as ``Champion``."""
    ALIAS_NUMERIC = "alias_numeric"
    """An alias that can be taken for a version, such as ``1``."""
    CHAMPION_LOST = "champion_lost"
    """The champion's version or its file is gone, or holds something else than its gates judged."""
    FALLBACK_LOST = "fallback_lost"
    """The same of the champion that a rollback would restore."""
    VERSION_UNKNOWN = "version_unknown"
    """A registered version without a candidate in the ledger."""
    UNREACHABLE = "unreachable"
    """MLflow did not answer about this model, or was not asked any more because it did not about another."""
    NOT_COMPARED = "not_compared"
    """Something else stopped the comparison of this model."""


class AliasRepair(Enum):
    """What became of it."""

    REPAIRED = "repaired"
    NOTED = "noted"
    """Harmless as long as nothing uses it."""
    NEEDS_A_PERSON = "needs_a_person"


@dataclass(frozen=True, slots=True)
class AliasFinding:
    """One difference between the ledger and the registry."""

    model: str
    kind: AliasFault
    action: AliasRepair
    message: str
    """One line: what, and the way out."""

    def as_json(self) -> dict[str, str]:
        return {name: v.value if isinstance(v, Enum) else str(v) for name, v in asdict(self).items()}


class NeedsAPerson(Refusal):
    """The ledger and the registry differ in a way that no program may settle."""


def reconcile(models: Collection[str] | None = None) -> list[AliasFinding]:
    """Compare each model's registry with the ledger and fix what the ledger can fix; everything found.

    What stops the comparison of one model stops no other. An MLflow that does not answer is asked no more: two hundred
    models would each wait for it.

    Args:
        models: which; None for every model the ledger has met.
    """
    registry = stores.registry()
    with stores.open_ledger() as ledger:
        found: list[AliasFinding] = []
        silent = ""
        for model in sorted(models) if models is not None else ledger.candidates.models():
            try:
                found += _of(ledger, registry, model) if not silent else [_not_asked(model, silent)]
            except RegistryUnreachable as error:
                found.append(AliasFinding(model, AliasFault.UNREACHABLE, AliasRepair.NEEDS_A_PERSON, str(error)))
                silent = model
            except Exception as error:  # noqa: BLE001 - whatever stops one model, the others are compared
                said = " ".join(str(error).split())
                said = said if isinstance(error, Refusal) and said else f"{type(error).__name__}: {said}"
                found.append(AliasFinding(model, AliasFault.NOT_COMPARED, AliasRepair.NEEDS_A_PERSON, said))
    return found


def _not_asked(model: str, silent: str) -> AliasFinding:
    said = f"MLflow did not answer about {silent}, so it was not asked about {model}."
    return AliasFinding(model, AliasFault.UNREACHABLE, AliasRepair.NEEDS_A_PERSON, said)


def reconciled(models: Collection[str] | None = None) -> dict[str, Any]:
    """``reconcile`` as a task calls it: red when a person is needed, with a line for each reason.

    Raises:
        NeedsAPerson: naming what.
        RegistryUnreachable: when MLflow did not answer about a model, so that the task is tried again.
    """
    found = reconcile(models)
    for finding in found:
        print(f"{finding.model} {finding.kind.value}, {finding.action.value}: {finding.message}")
    silent = [f for f in found if f.kind is AliasFault.UNREACHABLE]
    if silent:
        raise RegistryUnreachable(silent[0].message)
    asked = [f for f in found if f.action is AliasRepair.NEEDS_A_PERSON]
    if asked:
        raise NeedsAPerson(" ".join(f"{f.model}: {f.message}" for f in asked))
    return {"findings": [f.as_json() for f in found], "facts": {"repaired": len(found)}}


def _of(ledger: Ledger, registry: ModelRegistry, model: str) -> list[AliasFinding]:
    try:
        require_whole_ledger(ledger, registry, model)
    except (LedgerBehind, LedgerTampered) as behind:
        return [AliasFinding(model, AliasFault.LEDGER_BEHIND, AliasRepair.NEEDS_A_PERSON, str(behind))]
    before = registry.registered(model)
    found = _lookalikes(registry, model, before)
    found += _lost(ledger.deployments.epochs(model), registry, model)
    for line in project_aliases(ledger, registry, model):
        message = f"{line}. Somebody moved it, or a run died before it wrote it; it was written again from the ledger."
        found.append(AliasFinding(model, AliasFault.ALIAS_MOVED, AliasRepair.REPAIRED, message))
    known = {c.candidate_id for c in ledger.candidates.of(model)}
    for version in registry.versions(model):
        if version.candidate_id not in known:
            made = f"candidate {version.candidate_id}" if version.candidate_id else "no known candidate"
            message = (
                f"Version {version.number} was registered for {made}; it is never served. Delete it if it is junk."
            )
            found.append(AliasFinding(model, AliasFault.VERSION_UNKNOWN, AliasRepair.NOTED, message))
    return found


def _lookalikes(registry: ModelRegistry, model: str, registered: Registered) -> list[AliasFinding]:
    """Aliases that a reader could take for ours. Only the exact names are ever read or written by Slipway."""
    found = []
    for alias, version in sorted(registered.aliases.items()):
        if alias in OURS:
            continue
        if alias.strip().casefold() in OURS:
            registry.drop(model, alias, version)
            message = (
                f"Alias {alias!r} on version {version} could be taken for {alias.strip().casefold()!r}; it was removed."
            )
            found.append(AliasFinding(model, AliasFault.ALIAS_LOOKALIKE, AliasRepair.REPAIRED, message))
        elif alias.isdecimal():
            message = f"Alias {alias!r} points at version {version} and may be taken for a version. Rename it."
            found.append(AliasFinding(model, AliasFault.ALIAS_NUMERIC, AliasRepair.NOTED, message))
    return found


def _lost(history: list[Epoch], registry: ModelRegistry, model: str) -> list[AliasFinding]:
    """Whether what is served, and what a rollback would restore, is still what the gates judged."""
    if not history:
        return []
    found = []
    wrong = _wrong_with(registry, model, history[-1])
    lost, target = _fallbacks(history, registry, model)
    if wrong is not None:
        if target is not None:
            way_out = f'Restore the previous good champion {target}: slipway rollback {model} --reason "..."'
        else:
            way_out = (
                "No earlier champion is left to roll back to. Restore the version's file in MLflow from a backup, or "
                f'train a new champion: slipway retrain {model} --as-of DAY --reason "..."'
            )
        message = f"{wrong} Scoring goes on from the copies that machines have. {way_out}"
        found.append(AliasFinding(model, AliasFault.CHAMPION_LOST, AliasRepair.NEEDS_A_PERSON, message))
    for each in lost:
        then = f"pass over it, to {target}" if target is not None else "be refused: no other is left"
        found.append(
            AliasFinding(model, AliasFault.FALLBACK_LOST, AliasRepair.NOTED, f"{each} A rollback would {then}.")
        )
    return found


def _fallbacks(history: list[Epoch], registry: ModelRegistry, model: str) -> tuple[list[str], str | None]:
    """What is wrong with each former champion that a rollback would pass over, and the one it would restore; None when
    none is left."""
    wrong: dict[str, str] = {}
    while (target := rollback_target(history, wrong)) is not None:
        found = _wrong_with(registry, model, next(e for e in reversed(history) if e.to_candidate == target))
        if found is None:
            break
        wrong[target] = found
    return list(wrong.values()), target


def _wrong_with(registry: ModelRegistry, model: str, epoch: Epoch) -> str | None:
    try:
        with registry.fetched(model, int(str(epoch.model_version))) as file:
            digest = model_files.digest(file)
    except (VersionMissing, VersionSourceRefused) as error:
        return f"{epoch.to_candidate} is gone: {error}"
    if digest != epoch.digest:
        return (
            f"Version {epoch.model_version} ({epoch.to_candidate}) holds {digest[:12]}, its gates judged "
            f"{epoch.digest[:12]}: somebody replaced the artifact."
        )
    return None


def accept_ledger(model: str, *, reason: str, who: str, now: datetime) -> list[AliasFinding]:
    """Accept the ledger as it is for a model whose registry has seen more; returns what that fixed.

    What the registry had seen, who decided and why stay on the registered model as a tag.

    Raises:
        Refusal: when the ledger lacks nothing, or the reason is missing.
    """
    if not reason.strip() or not who.strip():
        raise Refusal("Say who decides and why: the newer ledger's epochs are given up for good.")
    registry = stores.registry()
    with stores.open_ledger() as ledger:
        try:
            require_whole_ledger(ledger, registry, model)
        except (LedgerBehind, LedgerTampered):
            head = ledger.deployments.champion(model)
            was = registry.registered(model).tags.get(HEAD)
            said = f"{now.isoformat()} by {who.strip()}, giving up {was!r}: {reason.strip()}"
            registry.tag_model(model, {"slipway.accepted": said})
            registry.tag_model(model, {HEAD: head_mark(head), HISTORY: str(ledger.chain.head())})
        else:
            raise Refusal(
                f"The ledger of {model} lacks nothing that its registry has seen; there is nothing to accept."
            )
    return reconcile([model])


def lapsed_overrides(now: datetime) -> dict[str, Any]:
    """Expired overrides of a candidate that is still under way: its promotion will be refused."""
    with stores.open_ledger() as ledger:
        lapsed: list[Mapping[str, str]] = []
        for model in ledger.candidates.models():
            live = ledger.candidates.live(model)
            for override in ledger.gates.overrides(live.candidate_id) if live is not None else []:
                if override.ended_at is None and not override.is_live(now):
                    print(
                        f"{override.gate} of {override.candidate_id} was overridden by {override.decider} until "
                        f"{override.expires_at.isoformat()}; it is not any more, so its promotion will be refused."
                    )
                    lapsed.append(
                        {
                            "candidate_id": override.candidate_id,
                            "gate": override.gate,
                            "who": override.who,
                            "expired_at": override.expires_at.isoformat(),
                        }
                    )
        return {"lapsed": lapsed, "facts": {"lapsed": len(lapsed)}}
