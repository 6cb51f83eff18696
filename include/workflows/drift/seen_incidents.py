"""The incidents that a day's decision goes by, and what it makes of them."""

from __future__ import annotations

from include.adapters.ledger import IncidentsSeen
from include.config import ModelDeclaration
from include.domain.data_incident import DataIncident
from include.domain.decision import Decision
from include.domain.incident import Incident
from include.domain.incident_log import IncidentCause, IncidentStep, data_step_of, step_of


def of_performance(seen: IncidentsSeen) -> Incident | None:
    """The incident of the realised loss, as the days before and people left it."""
    kept = seen.states.get(IncidentCause.PERFORMANCE)
    return Incident.from_json(kept) if kept else None


def of_data(seen: IncidentsSeen, cause: IncidentCause) -> DataIncident | None:
    """The incident of broken data, of rows outside the support or of lanes that do not judge, as the days before and
    people left it."""
    kept = seen.states.get(cause)
    return DataIncident.from_json(kept) if kept else None


def steps(model: ModelDeclaration, day: str, seen: IncidentsSeen, made: Decision) -> list[IncidentStep]:
    """What the decision makes of the incidents, with a reminder where one is due."""
    found = [
        step_of(of_performance(seen), made.incident),
        data_step_of(IncidentCause.DATA, of_data(seen, IncidentCause.DATA), made.data),
        data_step_of(IncidentCause.SUPPORT, of_data(seen, IncidentCause.SUPPORT), made.support),
        data_step_of(IncidentCause.SILENCE, of_data(seen, IncidentCause.SILENCE), made.silence),
    ]
    after = model.notify.remind_after_days
    return [step.reminding(day, seen.attention.get(step.cause), after) for step in found if step is not None]
