"""How a run of a journey or a rollback ended, read from the ledger: the colour of the run can differ. A red
``promote`` that somebody marked as success is a green run that promoted nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from include.adapters.ledger import Ledger
from include.domain.lifecycle import State
from include.domain.promotion import EpochKind

KINDS = ("retrain", "rollback")


@dataclass(frozen=True, slots=True)
class RunEnding:
    """What became of one run."""

    dag_id: str
    run_id: str
    candidate_id: str | None
    """The journey's candidate, or the champion that a rollback restored; None when the run opened or restored none."""
    state: str | None
    """The candidate's state now."""
    over: bool
    """Whether the ledger has an end of it; the run itself may still be under way."""
    well: bool
    """Whether the run did what it was for: its candidate was promoted, or turned out to be the champion already; or the
    rollback took the champion out."""
    revision: int | None
    """The deployment revision the run made; None where it changed no champion."""
    sentence: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ending_of(ledger: Ledger, dag_id: str, run_id: str) -> RunEnding | None:
    """What the ledger says; None for a run of another kind, and for one it knows nothing of."""
    kind, _, model = dag_id.partition("_")
    if kind not in KINDS:
        return None
    epochs = [e for e in ledger.deployments.epochs(model) if e.run_id == run_id]
    if kind == "rollback":
        done = next((e for e in epochs if e.kind is EpochKind.ROLLBACK), None)
        if done is None:
            return None
        state = ledger.candidates.get(done.to_candidate).state.value
        sentence = (
            f"{done.from_candidate} was rolled back: {done.to_candidate} is champion again, revision {done.revision}."
        )
        return RunEnding(dag_id, run_id, done.to_candidate, state, True, True, done.revision, sentence)
    candidate = ledger.candidates.of_run(model, run_id)
    if candidate is None:
        return None
    made = next((e for e in epochs if e.kind is not EpochKind.ROLLBACK), None)
    if made is not None:
        since = "" if candidate.state is State.CHAMPION else f" It is {candidate.state.value.replace('_', ' ')} by now."
        sentence = f"Promoted as version {made.model_version}, revision {made.revision}.{since}"
    else:
        sentence = candidate.outcome or f"It is {candidate.state.value.replace('_', ' ')}."
    return RunEnding(
        dag_id=dag_id,
        run_id=run_id,
        candidate_id=candidate.candidate_id,
        state=candidate.state.value,
        over=not candidate.is_live,
        well=made is not None or candidate.state is State.UNCHANGED,
        revision=made.revision if made else None,
        sentence=sentence,
    )
