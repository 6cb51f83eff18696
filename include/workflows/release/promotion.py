"""Registering, promoting and rolling back. The ledger is written first; the registry's alias follows and can be
repaired."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from include.adapters import estimators, model_files
from include.adapters.ledger import Candidate, Facts, Ledger, NotCleared, PromotionRequest, RollbackRequest
from include.adapters.registry import ModelRegistry, RegistryUnreachable, VersionMissing, VersionSourceRefused
from include.config import ModelDeclaration, declarations
from include.domain.authority import MayNotDecide, Person, require
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.lifecycle import Event
from include.domain.promotion import Clearance, Epoch, EpochKind, rollback_target
from include.workflows import gates, stores
from include.workflows.evidence.logged import logged_of
from include.workflows.journey import estimate_hold, step
from include.workflows.journey.facts import Evaluated, JourneyReference
from include.workflows.journey.request_checks import rollback_request
from include.workflows.journey.step import Journey
from include.workflows.release.mlflow_aliases import project_aliases, require_whole_ledger
from include.workflows.release.opening import asker
from include.workflows.scoring import as_trained, fitted_models


class CannotRunHere(Refusal):
    """The model needs libraries that are not installed here."""

    def __init__(self, model: str, version: int, unmet: list[str]) -> None:
        super().__init__(
            f"Version {version} of {model} cannot run here: {'; '.join(unmet)}. Install what it was made with, or "
            "train a new candidate with what is here."
        )


class NotRegistered(NotCleared):
    """A gate before registering blocks the candidate, whatever the colour of its task."""

    def __init__(self, candidate_id: str, cleared: Clearance, standing: list[str]) -> None:
        super().__init__(candidate_id, cleared)
        self.args = (f"{candidate_id} is not registered: {' '.join(standing)}",)


class OtherChampion(Refusal):
    """A rollback of another champion than the one that serves."""

    def __init__(self, model: str, asked: str, head: Epoch) -> None:
        super().__init__(
            f"This rollback of {model} {asked}, and since {head.recorded_at:%Y-%m-%d %H:%M} UTC the champion is "
            f"{head.to_candidate}, revision {head.revision}. Nothing was changed; start a new rollback if that one "
            "must go."
        )


def register_challenger(reference: JourneyReference, now: datetime) -> dict[str, Any]:
    """Register the candidate's model as a version, check that it is what the gates judged, and call it challenger.

    The offline gates are asked again in the ledger: a red gate that was marked green costs no days in shadow. ``now``
    is the time overrides are measured at.
    """
    with step.step_of(reference, "register_challenger") as journey:
        later = gates.later_than_registering(journey.model)
        offline = [gate for gate in gates.required(journey.model) if gate not in later]
        cleared = journey.ledger.gates.clearance(journey.candidate_id, offline, now=now)
        standing = [o for o in cleared.obstacles if o.gate not in later]
        if standing and journey.candidate.is_live:
            raise NotRegistered(journey.candidate_id, cleared, [o.message for o in standing])
        facts, registry, model = journey.candidate.facts, stores.registry(), journey.model
        require_whole_ledger(journey.ledger, registry, model.name)
        require_refit(journey)
        run, digest, logged = str(facts.mlflow_run_id), str(facts.serving_digest), logged_of(journey)
        twin = {"slipway.twin_digest": str(facts.artifact_digest)} if facts.served_digest else {}
        tags = {
            "slipway.digest": digest,
            **twin,
            "slipway.run_id": journey.candidate.run_id,
            "slipway.as_of": journey.as_of.isoformat(),
        }
        version = registry.register(model.name, logged, run, journey.candidate_id, tags)
        crashpoint("release.registered")
        found = _artifact(registry, model.name, version, digest)
        if found != digest:
            raise model_files.ModelFileRefused(
                f"Version {version} of {model.name} has the digest {found[:12]}, the gates judged {digest[:12]}."
            )
        journey.ledger.candidates.advance(
            journey.candidate_id,
            Event.REGISTER,
            actor="register_challenger",
            reason=f"Registered as version {version}.",
            facts=Facts(model_version=str(version)),
        )
        crashpoint("release.challenger")
        project_aliases(journey.ledger, registry, model.name)
        return {"model": model.name, "version": version, "digest": digest}


def promote(reference: JourneyReference, now: datetime) -> dict[str, Any]:
    """Make the candidate champion if nothing in the ledger blocks it, then move the alias.

    ``now`` is the time overrides are measured at. The champion the candidate was compared with must still be champion.

    Raises:
        NotCleared: naming each gate that blocks it, whatever the colours of the tasks.
        Conflict: when the champion changed since the comparison.
        DigestMismatch: when the registry holds another artifact than the gates judged.
        TwinMismatch: when the twin of a refitted file is not the one that was judged, or is missing.
        ModelFileRefused, CannotRunHere: when the artifact does not load here.
        LedgerBehind: when the ledger lacks epochs that the registry has seen.
    """
    with step.step_of(reference, "promote") as journey:
        model, candidate, registry = journey.model, journey.candidate, stores.registry()
        if candidate.facts.model_version is None:
            raise Refusal(
                f"{journey.candidate_id} was never registered, so there is nothing to promote. "
                "Clear the run from register_challenger on."
            )
        require_whole_ledger(journey.ledger, registry, model.name)
        require_refit(journey)
        digest = _artifact(
            registry, model.name, int(candidate.facts.model_version), str(candidate.facts.serving_digest)
        )
        crashpoint("release.checked")
        promoted = journey.ledger.deployments.promote(
            PromotionRequest(
                model.name,
                journey.candidate_id,
                expected_revision=journey.kept(Evaluated).champion_revision,
                digest=digest,
                effective_from=_effective_from(journey),
                actor="promote",
                reason=candidate.request.reason,
                run_id=candidate.run_id,
                twin_digest=_twin(registry, candidate),
            ),
            required_gates=gates.required(model, held=estimate_hold.alarm_day(journey.ledger, candidate) is not None),
            now=now,
            max_age=model.promotion.evidence_max_age,
        )
        print(promoted.message)
        crashpoint("release.promoted")
        project_aliases(journey.ledger, registry, model.name)
        version = str(promoted.epoch.model_version)
        registry.tag_version(model.name, int(version), {"slipway.revision": str(promoted.epoch.revision)})
        crashpoint("release.tagged")
        return {
            "revision": promoted.epoch.revision,
            "version": version,
            "effective_from": promoted.epoch.effective_from.isoformat(),
            "message": promoted.message,
        }


def require_refit(journey: Journey) -> None:
    """Refuse a candidate that should have been fitted again and was not.

    Raises:
        Refusal: naming the task to clear.
    """
    if gates.refits(journey.model) and journey.candidate.facts.served_digest is None:
        raise Refusal(
            f"{journey.candidate_id} was not fitted again on all matured rows, as training.refit asks for. Clear the "
            "run from refit on."
        )


def _twin(registry: ModelRegistry, candidate: Candidate) -> str | None:
    """The digest of the judged twin as the registry holds it now; None where the judged artifact itself serves.

    Raises:
        VersionMissing: when it is gone.
    """
    if candidate.facts.served_digest is None:
        return None
    run = str(candidate.facts.mlflow_run_id)
    logged = registry.logged_model(run)
    if logged is None:
        raise VersionMissing(f"MLflow run {run} of {candidate.candidate_id} has lost the twin that was judged.")
    with registry.model_file(logged) as file:
        return model_files.digest(file)


def _effective_from(journey: Journey) -> datetime:
    """The first data time the candidate may serve: after its shadow window. The ledger puts it after every day that is
    claimed, so that scoring a day again never asks another champion than the first time."""
    window = journey.ledger.shadow.window(journey.candidate_id)
    return window.closed_at if window is not None and window.closed_at is not None else journey.as_of


def _artifact(registry: ModelRegistry, model: str, version: int, judged: str) -> str:
    """The digest of what the registry holds, which was loaded here once if it is what the gates judged.

    Raises:
        VersionMissing: when it is gone.
        ModelFileRefused, CannotRunHere: when it does not load here.
    """
    uri = registry.source(model, version)
    with registry.model_file(uri) as file:
        found = model_files.digest(file)
        if found == judged:
            unmet = model_files.unmet(registry.requirements(uri))
            if unmet:
                raise CannotRunHere(model, version, unmet)
            model_files.load(file, judged)
    return found


def roll_back(
    model_name: str,
    run_id: str,
    conf: Mapping[str, Any] | None,
    user: str | None,
    asked_at: datetime | None = None,
) -> dict[str, Any]:
    """Champion back to the previous good champion, from the first day that no scoring has claimed.

    Takes out the champion of the moment it begins: a promotion in between is not undone by it.

    Args:
        user: who started the run, as the platform knows; a name in ``conf`` is kept beside it.
        asked_at: when the run was asked for. A champion that came later is not taken out, for example when an old
        failed run is cleared. None: not checked.

    Raises:
        BadRequest: without a reason, or with a field that does not exist.
        MayNotDecide: when the user is none of the model's approvers, or no user started the run.
        OtherChampion: when the champion is not the one that was meant.
        NothingToRollBackTo: when there is no earlier good champion.
        Conflict: when another champion was promoted in between.
        LedgerBehind: when the ledger lacks epochs that the registry has seen.
    """
    model = declarations().model(model_name)
    reason, claimed, revision = rollback_request(conf or {})
    registry = stores.registry()
    with stores.open_ledger() as opened:
        ledger = opened.fenced(opened.next_attempt(f"{model_name}/roll_back/{run_id}"))
        crashpoint("step.begun")
        by = asker(ledger, model_name, user, claimed)
        if by is None:
            raise MayNotDecide(model_name, "roll it back", Person("A run that no user started"), model.approvers.who)
        require(model_name, "roll it back", by, model.approvers.who)
        head = ledger.deployments.champion(model_name)
        _require_whole_ledger_if_reachable(ledger, registry, model_name)
        unusable = _unusable(ledger, registry, model)
        crashpoint("release.chosen")
        meant = _meant(ledger, model_name, run_id, head, revision, asked_at)
        done = ledger.deployments.rollback(
            RollbackRequest(model_name, reason, run_id, bad_candidate=meant),
            by=by,
            approvers=model.approvers.who,
            unusable=unusable,
        )
        print(done.message)
        crashpoint("release.rolled_back")
        project_aliases(ledger, registry, model_name)
        return {"revision": done.epoch.revision, "champion": done.epoch.to_candidate, "message": done.message}


def _require_whole_ledger_if_reachable(ledger: Ledger, registry: ModelRegistry, model_name: str) -> None:
    """A rollback does not wait for MLflow: service follows the ledger, and the aliases follow when MLflow is back."""
    try:
        require_whole_ledger(ledger, registry, model_name)
    except RegistryUnreachable as error:
        print(f"Whether the ledger is whole could not be asked: {error}")


def _unusable(ledger: Ledger, registry: ModelRegistry, model: ModelDeclaration) -> list[str]:
    """The former champions that a rollback must skip before it finds one whose file is the one its gates judged, and
    whose features are still available."""
    history, found = ledger.deployments.epochs(model.name), list[str]()
    while (target := rollback_target(history, found)) is not None:
        epoch = next(e for e in reversed(history) if e.to_candidate == target)
        try:
            pipeline = _loaded(registry, model.name, int(str(epoch.model_version)), epoch.digest)
            as_trained.as_learned(ledger, model, target, estimators.inputs_of(pipeline))
            break
        except (model_files.ModelFileRefused, VersionMissing, VersionSourceRefused, as_trained.NotAskable) as error:
            print(f"{target} cannot be restored: {error}")
            found.append(target)
    return found


def _loaded(registry: ModelRegistry, model_name: str, version: int, digest: str) -> Any:
    """The registered version's pipeline; when MLflow is down, this machine's copy."""
    try:
        registry.source(model_name, version)
    except RegistryUnreachable as error:
        print(f"Version {version} of {model_name} is taken from this machine's copy: {error}")
    return fitted_models.load(registry, model_name, version, digest)


def _meant(
    ledger: Ledger, model_name: str, run_id: str, head: Epoch | None, revision: int | None, asked_at: datetime | None
) -> str | None:
    """The candidate to take out. For a run that has rolled back already, the one it took out then.

    Raises:
        OtherChampion: when the champion is another one than the run was asked to take out.
    """
    history = ledger.deployments.epochs(model_name)
    own = next((e for e in history if e.run_id == run_id and e.kind is EpochKind.ROLLBACK), None)
    if own is not None or head is None:
        return own.from_candidate if own else None
    if revision is not None and revision != head.revision:
        named = next((e.to_candidate for e in history if e.revision == revision), None)
        if any(e.kind is EpochKind.ROLLBACK and e.from_candidate == named for e in history):
            return named
        raise OtherChampion(model_name, f"was asked to take out revision {revision}", head)
    if asked_at is not None and revision is None and head.recorded_at > asked_at:
        raise OtherChampion(model_name, f"was asked for at {asked_at:%Y-%m-%d %H:%M} UTC", head)
    return head.to_candidate
