"""The incident behind a journey: what its candidate is meant to cure, and since when."""

from __future__ import annotations

from include.adapters.ledger import Candidate, Ledger
from include.domain.data_incident import DataIncident
from include.domain.incident import Incident
from include.domain.incident_log import IncidentCause
from include.domain.journey import Trigger


def incident_behind(ledger: Ledger, candidate: Candidate) -> Incident | None:
    """As the drift decision that started the journey left it; None for a journey that no realised alarm asked for.

    Only the sensor's own run is of the trigger ``drift``, so naming a report gives no one other windows.
    """
    request = candidate.request
    if request.trigger is not Trigger.DRIFT or request.report_id is None:
        return None
    decision = ledger.drift.decision(request.report_id)
    kept = decision.numbers.get("incident") if decision is not None else None
    found = Incident.from_json(kept) if kept else None
    return found if found is not None and found.is_open else None


def new_support_of(ledger: Ledger, candidate: Candidate) -> str | None:
    """What lay outside what the champion was trained on when a person asked for the journey: the newest finding in
    words; None where nothing did, where a person accepted it, or where no person asked."""
    request = candidate.request
    if request.trigger is not Trigger.API:
        return None
    day = request.as_of.date().isoformat()
    for record in ledger.incidents.of(candidate.model):
        began = record.cause is IncidentCause.SUPPORT and record.opened_on < day
        if began and (record.is_open or record.judged_on >= day):
            return DataIncident.from_json(record.state).reason
    return None
