"""The models a journey compares: the candidate as it was logged, and the champion it was compared with."""

from __future__ import annotations

from include.adapters.ledger import Candidate
from include.adapters.registry import VersionMissing
from include.workflows import stores
from include.workflows.journey.facts import Evaluated
from include.workflows.journey.step import Journey


def champion_of(journey: Journey) -> Candidate | None:
    """The champion the candidate is compared with, as ``evaluate`` found it; None for a first deployment."""
    champion_id = journey.kept(Evaluated).champion_id
    return journey.ledger.candidates.get(champion_id) if champion_id else None


def logged_of(journey: Journey) -> str:
    """The address of the candidate's logged model that is to serve.

    Raises:
        VersionMissing: when its MLflow run has none.
    """
    run = str(journey.candidate.facts.mlflow_run_id)
    refitted = serves_refitted(journey.candidate)
    logged = stores.registry().logged_model(run, refitted=refitted)
    if logged is None and refitted:
        raise VersionMissing(
            f"MLflow run {run} of {journey.candidate_id} lost the model that was fitted again. Start a new retrain."
        )
    if logged is None:
        raise VersionMissing(f"MLflow run {run} of {journey.candidate_id} has no model. Clear the run from train on.")
    return logged


def serves_refitted(candidate: Candidate) -> bool:
    """Whether what is to serve is another file than what was judged."""
    facts = candidate.facts
    return facts.served_digest is not None and facts.served_digest != facts.artifact_digest
