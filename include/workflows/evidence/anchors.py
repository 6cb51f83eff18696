"""Who the anchor of a journey is, by the ledger, and its answers to the held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.domain.gates.anchor import YEAR, AnchorStep, anchor_of
from include.domain.promotion import Epoch, EpochKind
from include.workflows.evidence import champion_model
from include.workflows.journey.facts import TrainingSets
from include.workflows.journey.step import Journey

if TYPE_CHECKING:
    import pandas as pd

SCORES = "anchor"
"""The column of the anchor's answers beside those of the others."""


@dataclass(frozen=True, slots=True, eq=False)
class AnchorScores:
    """The anchor beside the champion; ``candidate_id`` is None where the champion itself is the anchor.

    ``scores`` has one column, none where ``missing`` says why it could not be asked."""

    candidate_id: str | None = None
    missing: str | None = None
    scores: Mapping[str, list[Any]] = field(default_factory=dict)


def score(journey: Journey, features: pd.DataFrame, head: Epoch | None) -> AnchorScores:
    """Ask the anchor about the held-out rows, of which ``features`` are what the candidate reads. ``head`` is the
    champion's epoch."""
    if head is None or not journey.model.gates.champion_gate.anchored:
        return AnchorScores()
    history = journey.ledger.deployments.epochs(journey.model.name)
    found = anchor_of(_steps(journey, history), journey.as_of)
    if found is None or found == head.to_candidate:
        return AnchorScores()
    epoch = next(e for e in reversed(history) if e.to_candidate == found)
    try:
        opponent = champion_model.load_unseeing(journey, epoch)
        answers = opponent.scores(journey, journey.kept(TrainingSets).holdout, features)
    except champion_model.UNABLE as error:
        print(f"Not compared with the anchor: {found} could not answer: {error}")
        return AnchorScores(found, f"it could not answer: {error}")
    return AnchorScores(found, scores={SCORES: list(answers)})


def _steps(journey: Journey, history: list[Epoch]) -> list[AnchorStep]:
    """The promotions of the last year, and the one before, without those that were rolled back."""
    undone = {e.from_candidate for e in history if e.kind is EpochKind.ROLLBACK}
    found: list[AnchorStep] = []
    for epoch in reversed(history):
        if epoch.kind is EpochKind.ROLLBACK or epoch.to_candidate in undone:
            continue
        found.append(AnchorStep(epoch.to_candidate, epoch.effective_from, _moved(journey, epoch)))
        if found[-1].moved or epoch.effective_from <= journey.as_of - YEAR:
            break
    return found[::-1]


def _moved(journey: Journey, epoch: Epoch) -> bool:
    """Whether small losses are counted from this champion on: the first, one shown to be better, one that a person let
    past the gate or whose new level a person accepted, and one of a release that counted none."""
    if epoch.kind is EpochKind.BOOTSTRAP:
        return True
    if journey.ledger.incidents.accepted(journey.model.name, epoch.to_candidate, journey.as_of.date()) is not None:
        return True
    for gate, record in journey.ledger.gates.latest(epoch.to_candidate).items():
        counted = record.result.notes.get("anchor")
        if counted is not None:
            overridden = epoch.cleared_by.get("overridden")
            return bool(counted["moves"]) or (isinstance(overridden, Mapping) and gate in overridden)
    return True
