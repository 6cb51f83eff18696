"""Opening and closing a journey: one candidate in flight per model, and an outcome that is always recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from include.adapters.ledger import Candidate, Ledger
from include.config import ModelDeclaration, declarations
from include.config.views import slug
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import midnight
from include.domain.journey import RetrainRequest, Trigger, retrain_request
from include.domain.lifecycle import Event, JourneyRequest, State
from include.domain.lifecycle import Trigger as StartedBy
from include.workflows import causes, common
from include.workflows.aliases import project_aliases
from include.workflows.gating import standing_in_the_way

SCHEDULED = "scheduled"


class NoData(Refusal):
    """A journey of a model whose feature views were never published."""


def open_journey(
    model_name: str, run_id: str, run_type: str, conf: Mapping[str, Any] | None, run_after: datetime, user: str | None
) -> dict[str, Any]:
    """Check the request, freeze its as-of time, and take the model's one place in flight.

    Args:
        run_type: the Dag run's type; a scheduled run is asked for by the declaration, as of its own time.
        conf: what the caller sent, untrusted.
        run_after: the run's own time.
        user: who triggered the run, where Airflow knows.

    Raises:
        BadRequest: naming field, value and what is allowed.
        JourneyUnderWay: naming the journey that is in flight.
        NoData: when nothing was published yet.
    """
    model = declarations().model(model_name)
    with common.open_ledger() as ledger:
        latest = common.newest_data(ledger, model)
        if latest is None:
            raise NoData(
                f"{model.entity.view} has no published day, so {model.name} has nothing to learn from. "
                f"Run features_{slug(model.entity.view)} for a range first."
            )
        request = _request(model, run_type, conf, run_after, user, latest)
        candidate = ledger.candidates.open(
            JourneyRequest(
                model=model.name,
                run_id=run_id,
                as_of=request.as_of,
                trigger=StartedBy(request.trigger.value),
                reason=request.reason,
                requested_by=request.requested_by,
                issue=request.issue,
                report_id=request.report_id,
            ),
            supersede=request.supersede,
            opened_by=user,
        )
        print(
            f"{candidate.candidate_id}: as of {request.as_of.isoformat()}, asked by {request.requested_by}: "
            f"{request.reason}"
        )
        return common.reference_of(candidate)


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


def close_journey(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Record how the journey ended, and drop the challenger alias when it did not win. Always runs, any number of
    times."""
    with common.step_of(reference, "close_journey", live=False) as journey:
        candidate = journey.candidate
        if candidate.is_live:
            candidate = _end(journey.ledger, journey.model, candidate)
        elif candidate.state is State.CHAMPION and candidate.outcome is None:
            outcome = f"Promoted as version {candidate.facts.model_version}."
            candidate = journey.ledger.candidates.close(
                candidate.candidate_id, None, outcome=outcome, actor="close_journey"
            )
        crashpoint("journey.closed")
        facts = candidate.facts
        registry = common.registry()
        if facts.mlflow_run_id:
            registry.tag(
                facts.mlflow_run_id,
                {
                    "slipway.outcome": candidate.outcome or candidate.state.value,
                    "slipway.state": candidate.state.value,
                    **causes.tag(journey.ledger, candidate.candidate_id),
                },
            )
            crashpoint("journey.tagged")
            registry.finish_run(facts.mlflow_run_id, succeeded=candidate.state in (State.CHAMPION, State.UNCHANGED))
            crashpoint("journey.finished")
        project_aliases(journey.ledger, registry, candidate.model)
        print(f"{candidate.candidate_id} is {candidate.state.value}: {candidate.outcome}")
        return {"candidate_id": candidate.candidate_id, "state": candidate.state.value, "outcome": candidate.outcome}


def _end(ledger: Ledger, model: ModelDeclaration, candidate: Candidate) -> Candidate:
    """A candidate still in flight at the end of its run did not win: rejected by a gate, or stopped by broken
    machinery."""
    rejected = standing_in_the_way(ledger, model, candidate)
    if rejected:
        return ledger.candidates.close(
            candidate.candidate_id, Event.REJECT, outcome=f"Rejected: {rejected[0]}", actor="close_journey"
        )
    outcome = "Failed before every gate had judged it; the red task of its run says why."
    return ledger.candidates.close(candidate.candidate_id, Event.FAIL, outcome=outcome, actor="close_journey")
