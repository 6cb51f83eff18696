"""The incident behind a journey: what its candidate is meant to cure, and since when."""

from __future__ import annotations

from include.adapters.ledger import Candidate, Ledger
from include.domain.incident import Incident
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
