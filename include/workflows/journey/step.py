"""What every step of a journey shares: the reference, the folder, the ledger with the step's right to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from include.adapters.ledger import Candidate, Ledger, NotCleared, StopKind
from include.config import ModelDeclaration, declarations
from include.config.settings import settings
from include.domain.errors import NotYet, Refusal
from include.domain.faults import crashpoint
from include.domain.lifecycle import Event, allowed_events
from include.domain.verdicts import GateResult
from include.workflows import stores
from include.workflows.journey import fact_files
from include.workflows.journey.fact_files import F, Fact
from include.workflows.journey.facts import JourneyReference
from include.workflows.journey.request_checks import newest_data as newest_data


class JourneyIsOver(Refusal):
    """A step of a journey whose candidate is no longer in flight."""

    def __init__(self, candidate: Candidate) -> None:
        ended = candidate.outcome or f"it is {candidate.state.value.replace('_', ' ')}"
        if Event.REOPEN in allowed_events(candidate.state):
            way_out = "Clear the run from open_journey on to go on with it."
        else:
            stays = candidate.state.value.replace("_", " ")
            way_out = f"It is {stays} for good, so clearing changes nothing. Start a new retrain."
        super().__init__(f"The journey of {candidate.candidate_id} is over: {ended.rstrip('.')}. {way_out}")


@dataclass(frozen=True, slots=True)
class Journey:
    """One step's view of its journey."""

    model: ModelDeclaration
    candidate: Candidate
    ledger: Ledger
    """Fenced: a second, newer copy of this step refuses every later write of this one."""

    @property
    def candidate_id(self) -> str:
        return self.candidate.candidate_id

    @property
    def as_of(self) -> datetime:
        return self.candidate.request.as_of

    @property
    def folder(self) -> Path:
        return journey_folder(self.candidate_id)

    def keep(self, fact: Fact) -> None:
        """Leave a value for later steps and for the pages."""
        fact_files.write(self.folder, fact)

    def kept(self, kind: type[F]) -> F:
        """What an earlier step left.

        Raises:
            NotKept, UnreadableFacts: as ``fact_files.read``.
        """
        return fact_files.read(self.folder, kind)

    def found(self, kind: type[F]) -> F | None:
        """The same; None when that step has not run here."""
        return fact_files.find(self.folder, kind)


def journey_folder(candidate_id: str) -> Path:
    folder = settings().artifacts / "journeys" / candidate_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def step_of(reference: JourneyReference, step: str, *, live: bool = True, judges: bool = False) -> Iterator[Journey]:
    """Open one step of a journey, fencing out every older copy of the same step. An exception that ends it is kept in
    the ledger as a stop of this lap, and removed when the step succeeds later.

    Args:
        live: whether the candidate must still be in flight.
        judges: whether the step is a gate, which keeps its own verdict as a stop.

    Raises:
        JourneyIsOver: when it must be and is not.
    """
    model = declarations().model(str(reference["model"]))
    with stores.open_ledger() as ledger:
        candidate = ledger.candidates.get(str(reference["candidate_id"]))
        if live and not candidate.is_live and candidate.state.value not in ("champion", "unchanged"):
            raise JourneyIsOver(candidate)
        attempt = ledger.next_attempt(f"{candidate.candidate_id}/{step}")
        crashpoint("step.begun")
        fenced = ledger.fenced(attempt)
        try:
            yield Journey(model, candidate, fenced)
        except GeneratorExit:
            raise
        except BaseException as error:
            _stopped(fenced, candidate.candidate_id, step, error)
            raise
        fenced.stops.take_back(candidate.candidate_id, step, [StopKind.ERROR] if judges else list(StopKind))


def _stopped(ledger: Ledger, candidate_id: str, step: str, error: BaseException) -> None:
    """Keep why the step failed, for the end of the journey. The caller always sees what the step raised; when the
    reason cannot be kept, the end of the journey says less."""
    said = " ".join(str(error).split()) or type(error).__name__
    gates = isinstance(error, NotCleared) and error.clearance.was_judged
    if not isinstance(error, Refusal | NotYet):
        said = f"{type(error).__name__}: {said}"
    try:
        ledger.stops.record(candidate_id, step, StopKind.GATE if gates else StopKind.ERROR, said)
    except Exception as unkept:  # noqa: BLE001 - a newer copy took over, or the ledger itself is what failed
        print(f"Why {step} stopped could not be kept in the ledger: {unkept}")


def verdict_tag(result: GateResult) -> dict[str, str]:
    """What a candidate's MLflow run says about one gate."""
    return {f"slipway.gate.{result.gate}": f"{result.verdict.value}: {result.reason}"}


def reference_of(candidate: Candidate) -> JourneyReference:
    """The journey's reference, for XComs."""
    return {
        "model": candidate.model,
        "candidate_id": candidate.candidate_id,
        "run_id": candidate.run_id,
        "as_of": candidate.request.as_of.isoformat(),
    }
