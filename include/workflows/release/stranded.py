"""Journeys whose run is gone: nothing would ever end them, and while a candidate is in flight its model gets no other.

Airflow is asked about the run of each candidate in flight. A run that is over, or that was deleted, closes nothing any
more, so its candidate is closed here. When Airflow cannot be asked, nothing is closed, and that is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from include.adapters.ledger import Candidate, Ledger
from include.domain.errors import NotYet
from include.domain.faults import crashpoint
from include.workflows import stores
from include.workflows.release import opening

ACTOR = "housekeeping"
IS_GONE = "is gone from Airflow"


class RunIs(Enum):
    """What Airflow says of a run."""

    UNDER_WAY = "under way"
    OVER = "over"
    """It ended, but its last step has not closed the journey."""
    GONE = "gone"
    """There is no such run: somebody deleted it, or cleaned Airflow's database."""


class NotAsked(NotYet):
    """Airflow did not give the state of a run, so its candidate was not closed. Asking again may help."""


@dataclass(frozen=True, slots=True)
class Stranded:
    """A candidate that was closed here because its run did not close it."""

    model: str
    candidate_id: str
    run_id: str
    outcome: str

    @classmethod
    def of(cls, candidate: Candidate) -> Stranded:
        return cls(candidate.model, candidate.candidate_id, candidate.run_id, candidate.outcome or "")


Ask = Callable[[str, str], RunIs]
"""What Airflow says of the run of a Dag; raises where it does not answer."""


def run_is_gone(candidate: Candidate) -> bool:
    """Whether the journey was closed because its run is gone, so that no clearing can let it go on."""
    return not candidate.is_live and IS_GONE in (candidate.outcome or "")


def end_stranded(ask: Ask) -> dict[str, Any]:
    """Close every candidate in flight whose run is over or gone.

    ``tell`` names those whose owner is to be notified, also from an earlier try: notices are keyed, so naming one again
    sends nothing twice. ``not_asked`` says what is not known. A failure of MLflow or of one model does not stop the
    work on the other models.
    """
    not_asked: list[str] = []
    with stores.open_ledger() as ledger:
        models = ledger.candidates.models()
        for model in models:
            live = ledger.candidates.live(model)
            if live is None:
                continue
            dag_id = f"retrain_{model}"
            try:
                found = ask(dag_id, live.run_id)
            except Exception as error:  # noqa: BLE001 - whatever keeps Airflow from answering, nothing is known then
                said = " ".join(str(error).split()) or type(error).__name__
                not_asked.append(
                    f"Airflow did not say what became of {dag_id} {live.run_id}, so {live.candidate_id} was not "
                    f"closed: {said.rstrip('.')}."
                )
                print(not_asked[-1])
                continue
            if found is not RunIs.UNDER_WAY:
                _close(ledger, live, found)
        tell = [Stranded.of(c) for model in models for c in ledger.candidates.closed_by(model, ACTOR)]
    return {
        "tell": [{"model": s.model, "run_id": s.run_id} for s in tell],
        "not_asked": not_asked,
        "facts": {"closed_ever": len(tell), "not_asked": len(not_asked)},
    }


def require_asked(found: dict[str, Any]) -> None:
    """Nothing when Airflow was asked about every candidate in flight.

    Raises:
        NotAsked: naming those it did not speak of.
    """
    if found["not_asked"]:
        raise NotAsked(" ".join(found["not_asked"]))


def _close(ledger: Ledger, candidate: Candidate, found: RunIs) -> None:
    run = f"retrain_{candidate.model} {candidate.run_id}"
    why = {
        RunIs.OVER: f"Its run {run} is over and did not close it; the run's close_journey says why.",
        RunIs.GONE: f"Its run {run} {IS_GONE}, so nothing else would have ended it.",
    }[found]
    closed = opening.end(ledger, candidate, actor=ACTOR, because=f"{why} Housekeeping closed it.")
    crashpoint("stranded.closed")
    print(f"{closed.candidate_id} is {closed.state.value}: {closed.outcome}")
    try:
        opening.tell_registry(ledger, closed)
    except Exception as error:  # noqa: BLE001 - the candidate is closed; the nightly check of MLflow fixes the rest
        print(f"MLflow has not heard of it yet: {error}")
