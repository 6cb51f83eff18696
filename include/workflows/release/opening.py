"""Opening and closing a journey: one candidate in flight per model, and an outcome that is always recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from include.adapters.ledger import Candidate, Ledger, RetrainAction, RetrainDecision, StopKind, in_force
from include.config import ModelDeclaration, declarations
from include.domain.authority import Person
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import midnight
from include.domain.journey import RetrainRequest, Trigger, drift_run_id, retrain_request
from include.domain.lifecycle import Event, JourneyRequest, State
from include.workflows import stores
from include.workflows.gates import required as required_gates
from include.workflows.gates.run import standing_in_the_way
from include.workflows.journey import causes, estimate_hold, step
from include.workflows.journey.facts import JourneyReference
from include.workflows.journey.request_checks import NoData as NoData
from include.workflows.journey.request_checks import latest_allowed
from include.workflows.release.mlflow_aliases import project_aliases

SCHEDULED, BY_A_DAG = "scheduled", "operator_triggered"
"""The types of a run that no person started: Airflow sets them, and a caller cannot."""
MAX_OUTCOME = 2000
"""The longest outcome that is kept, in characters: a page shows it whole."""


def open_journey(
    model_name: str, run_id: str, run_type: str, conf: Mapping[str, Any] | None, run_after: datetime, user: str | None
) -> JourneyReference:
    """Check the request, freeze its as-of time, and take the model's one place in flight.

    Args:
        run_type: the Dag run's type; a scheduled run is asked for by the declaration, as of its own time, and only a
            run that a Dag started can be the drift sensor's.
        conf: what the caller sent, untrusted: the requester it names is kept beside the user that Airflow knows.
        run_after: the run's own time.
        user: who triggered the run, where Airflow knows.

    Raises:
        BadRequest: naming field, value and what is allowed.
        JourneyUnderWay: naming the journey that is in flight.
        AnsweredMeanwhile: naming the journey that was opened since the drift decision this comes from.
        MayNotDecide: when the user may not replace the journey that is in flight.
        NoData: when nothing was published yet.
    """
    model = declarations().model(model_name)
    with stores.open_ledger() as ledger:
        latest = latest_allowed(ledger, model)
        request = _request(model, run_type, conf, run_after, user, latest)
        decision = _decision_of(ledger, model, run_id, run_type, request)
        candidate = ledger.candidates.open(
            JourneyRequest(
                model=model.name,
                run_id=run_id,
                as_of=request.as_of,
                trigger=_started_by(run_type, decision),
                reason=request.reason,
                requested_by=request.requested_by,
                issue=request.issue,
                report_id=request.report_id,
                user=user,
            ),
            supersede=request.supersede,
            by=asker(ledger, model.name, user, request.requested_by),
            approvers=model.approvers.who,
            decided_at=decision.recorded_at if decision is not None else None,
            gives_way=_gives_way(ledger, model, decision),
        )
        print(
            f"{candidate.candidate_id}: as of {request.as_of.isoformat()}, asked by {candidate.request.asked_by}: "
            f"{request.reason}"
        )
        if request.trigger is Trigger.DRIFT and decision is None:
            print("It says that drift asked for it. No decision of the drift sensor did, so it counts as a request.")
        return step.reference_of(candidate)


def asker(ledger: Ledger, model_name: str, user: str | None, claimed: str | None) -> Person | None:
    """Who started a run, with the rights that the platform reported and the name that the run gives; None when no user
    did."""
    return None if user is None else ledger.rights.person(model_name, user).claiming(claimed)


def _decision_of(
    ledger: Ledger, model: ModelDeclaration, run_id: str, run_type: str, request: RetrainRequest
) -> RetrainDecision | None:
    """The drift sensor's decision that this run carries out; None for every other run, whatever its conf says.

    The sensor proves itself by two things that no caller has: its run was started by a Dag, and the ledger holds the
    decision to retrain under this report and this run id.
    """
    if run_type != BY_A_DAG or request.trigger is not Trigger.DRIFT or request.report_id is None:
        return None
    decision = ledger.drift.decision(request.report_id)
    if decision is None or decision.model != model.name or decision.action is not RetrainAction.RETRAIN:
        return None
    own = drift_run_id(model.name, decision.day)
    return decision if run_id == own or run_id.startswith(f"{own}__") else None


def _gives_way(ledger: Ledger, model: ModelDeclaration, decision: RetrainDecision | None) -> str | None:
    """The live candidate that an estimate alone asked for, where a decision by labels starts this journey."""
    if decision is None or decision.numbers.get(estimate_hold.HOLD):
        return None
    live = ledger.candidates.live(model.name)
    return live.candidate_id if live is not None and estimate_hold.alarm_day(ledger, live) is not None else None


def _started_by(run_type: str, decision: RetrainDecision | None) -> Trigger:
    if run_type == SCHEDULED:
        return Trigger.SCHEDULE
    return Trigger.API if decision is None else Trigger.DRIFT


def _request(
    model: ModelDeclaration,
    run_type: str,
    conf: Mapping[str, Any] | None,
    run_after: datetime,
    user: str | None,
    latest: datetime,
) -> RetrainRequest:
    if run_type == SCHEDULED:
        # A schedule may fire between two publishes: it is then as of the newest data there is.
        as_of = min(midnight(run_after), latest)
        return RetrainRequest(as_of, f"Declared schedule {model.training.schedule}", "schedule", Trigger.SCHEDULE)
    return retrain_request(conf, latest=latest, default_requested_by=user)


def close_journey(reference: JourneyReference) -> dict[str, Any]:
    """Record how the journey ended, and drop the challenger alias when it did not win. Always runs, any number of
    times."""
    with step.step_of(reference, "close_journey", live=False) as journey:
        candidate = journey.candidate
        if candidate.is_live:
            candidate = end(journey.ledger, candidate, actor="close_journey")
        elif candidate.state is State.CHAMPION and candidate.outcome is None:
            outcome = f"Promoted as version {candidate.facts.model_version}."
            candidate = journey.ledger.candidates.close(
                candidate.candidate_id, None, outcome=outcome, actor="close_journey"
            )
        crashpoint("journey.closed")
        tell_registry(journey.ledger, candidate)
        print(f"{candidate.candidate_id} is {candidate.state.value}: {candidate.outcome}")
        return {"candidate_id": candidate.candidate_id, "state": candidate.state.value, "outcome": candidate.outcome}


def tell_registry(ledger: Ledger, candidate: Candidate) -> None:
    """Let MLflow follow: the outcome on the candidate's run, and the aliases."""
    facts, registry = candidate.facts, stores.registry()
    if facts.mlflow_run_id:
        registry.tag(
            facts.mlflow_run_id,
            {
                "slipway.outcome": candidate.outcome or candidate.state.value,
                "slipway.state": candidate.state.value,
                **causes.tag(ledger, candidate.candidate_id),
            },
        )
        crashpoint("journey.tagged")
        registry.finish_run(facts.mlflow_run_id, succeeded=candidate.state in (State.CHAMPION, State.UNCHANGED))
        crashpoint("journey.finished")
    project_aliases(ledger, registry, candidate.model)


def end(ledger: Ledger, candidate: Candidate, *, actor: str, because: str | None = None) -> Candidate:
    """End a candidate that is still in flight when its run is over: it did not win.

    Rejected when a gate of this lap blocks it, failed when the machinery stopped it. What stopped an earlier lap of the
    journey does not count here.

    Args:
        because: what ended the run, where that is not its own last step; it is part of the outcome.
    """
    event, cause = _cause(ledger, candidate)
    also = f" {because}" if because else ""
    if event is None:
        event, cause = Event.FAIL, "" if because else f"Failed {_how_far(ledger, candidate)}"
    return ledger.candidates.close(
        candidate.candidate_id, event, outcome=f"{cause[: MAX_OUTCOME - len(also)]}{also}".strip(), actor=actor
    )


def _cause(ledger: Ledger, candidate: Candidate) -> tuple[Event | None, str]:
    """The recorded reason of this lap's end; None when there is none, because a killed process records nothing."""
    lap, recorded = ledger.stops.lap(candidate.candidate_id), ledger.stops.of_lap(candidate.candidate_id)
    stops = in_force(recorded)
    overridden = {o.gate for o in ledger.gates.overrides(candidate.candidate_id) if o.ended_at is None}
    gates = [stop for stop in stops if stop.kind is StopKind.GATE and stop.step not in overridden]
    stops = [stop for stop in stops if stop.kind is StopKind.ERROR]
    if gates:
        return Event.REJECT, f"Rejected: {gates[0].said}"
    if stops:
        return Event.FAIL, f"Failed at {stops[-1].step}: {stops[-1].said}"
    if lap == 1 and not recorded:
        # Judged by a release that kept no stops, or killed between the verdict and its stop.
        held = _held_against(ledger, candidate)
        if held:
            return Event.REJECT, f"Rejected: {held[0]}"
    return None, ""


def _held_against(ledger: Ledger, candidate: Candidate) -> list[str]:
    try:
        model = declarations().model(candidate.model)
    except Refusal as undeclared:
        print(f"Which gates {candidate.model} requires is not known: {undeclared}")
        return []
    return standing_in_the_way(ledger, model, candidate)


def _how_far(ledger: Ledger, candidate: Candidate) -> str:
    try:
        required = required_gates(declarations().model(candidate.model))
    except Refusal:
        required = []
    judged = ledger.gates.latest(candidate.candidate_id)
    missing = [gate for gate in required if gate not in judged]
    if missing or not required:
        return "before every gate had judged it; the red task of its run says why."
    return "after every gate had judged it and before it was promoted; the red task of its run says why."
