"""What a person does about an incident, under their own name: acknowledge it, snooze it, accept the new level."""

from __future__ import annotations

from datetime import datetime

from include.adapters.ledger import IncidentRecord, IncidentRequest
from include.domain.authority import Person
from include.workflows import stores
from include.workflows.gates import overrides


def act(asked: IncidentRequest, by: Person, now: datetime) -> IncidentRecord:
    """Keep it in the ledger; the next judged day goes by it.

    Raises:
        MayNotDecide: when the person is no approver of the model.
        IncidentOver, NothingToAccept, BadField, UnknownIncident: as the ledger says.
    """
    with stores.open_ledger() as ledger:
        model = ledger.incidents.get(asked.incident_id).model
        return ledger.incidents.act(asked, by=by, approvers=overrides.approvers_of(model), now=now)
