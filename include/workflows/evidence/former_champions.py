"""Former champions as entrants of a race: as they were stored, without a fit, and promoted again by the same gates."""

from __future__ import annotations

from include.adapters import estimators, model_files
from include.adapters.ledger import Candidate
from include.domain.lifecycle import State
from include.domain.promotion import Epoch
from include.workflows import stores
from include.workflows.evidence import champion_model
from include.workflows.evidence.race import FORMER_AT_MOST, FormerChampion
from include.workflows.journey.step import Journey
from include.workflows.lineage import recording


def entrants(journey: Journey) -> list[FormerChampion]:
    """The newest retired champions that read what the journey's candidate reads, the newest first.

    One that was taken out by a rollback does not enter, and neither does one that cannot be loaded by the digest its
    gates saw, that reads other views or features, or whose training days are not in the ledger. Each is said why.
    """
    found: list[FormerChampion] = []
    for epoch in _retired(journey):
        if len(found) == FORMER_AT_MOST:
            break
        candidate = journey.ledger.candidates.get(epoch.to_candidate)
        why_not, pipeline = _loaded(journey, epoch)
        until = _learned_until(journey, candidate)
        if why_not is None and until is None:
            why_not = "what it learned from is not in the ledger"
        if why_not is not None or until is None:
            print(f"Former champion {epoch.to_candidate} does not race: {why_not}.")
            continue
        found.append(FormerChampion(epoch.to_candidate, pipeline, until))
    return found


def adopt(journey: Journey, run: str, former: str) -> str:
    """Make the former champion's stored model that of the candidate's run; its address, with the same file."""
    epoch = next(e for e in _retired(journey) if e.to_candidate == former)
    registry = stores.registry()
    address = registry.source(journey.model.name, int(str(epoch.model_version)))
    with registry.model_file(address) as file:
        found = model_files.digest(file)
    if found != epoch.digest:
        raise model_files.ModelFileRefused(
            f"Version {epoch.model_version} of {journey.model.name} has the digest {found[:12]}, and {former} was "
            f"promoted with {epoch.digest[:12]}: the artifact was replaced."
        )
    registry.adopt_model(run, address)
    return address


def _retired(journey: Journey) -> list[Epoch]:
    """The newest epoch of each candidate that was champion and is retired, the newest first, each artifact once."""
    epochs = journey.ledger.deployments.epochs(journey.model.name)
    seen = {epochs[-1].digest} if epochs else set()
    found = []
    for epoch in reversed(epochs):
        state = journey.ledger.candidates.get(epoch.to_candidate).state
        if state is State.RETIRED and epoch.digest not in seen:
            found.append(epoch)
        seen.add(epoch.digest)
    return found


def _loaded(journey: Journey, epoch: Epoch) -> tuple[str | None, object]:
    """Why it cannot race, and its pipeline."""
    try:
        opponent = champion_model.load(journey, epoch.to_candidate, int(str(epoch.model_version)), epoch.digest)
    except champion_model.UNABLE as error:
        return str(error).rstrip("."), None
    inputs = estimators.inputs_of(opponent.pipeline)
    if opponent.tables is not None or (inputs is not None and list(inputs) != journey.model.features):
        return "it reads other views or features than are declared now", None
    return None, opponent.pipeline


def _learned_until(journey: Journey, candidate: Candidate) -> str | None:
    """The day from which on it has learned from no row; None where that is not known."""
    parts = journey.ledger.lineage.training_sets(candidate.candidate_id)
    seen = (recording.TRAIN, recording.HOLDOUT) if candidate.facts.served_digest else (recording.TRAIN,)
    ends = [made.end for made in parts if made.part in seen]
    return max(ends).date().isoformat() if ends else None
