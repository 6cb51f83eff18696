"""What people are told of a rollout: that its share was taken away, by whom, and what one may do."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from include.adapters.ledger import Ledger, Notice, RolloutEventRecord, RolloutRecord, Scope
from include.domain.canary.rollout import RolloutEvent
from include.workflows.alerts import recipients

KIND = "canary"
_TOLD = {
    RolloutEvent.TRIP: "was taken out of live traffic, and is rejected",
    RolloutEvent.HOLD: "has no live traffic until somebody resumes it",
    RolloutEvent.EXPIRE: "has no live traffic, because its share was not renewed",
}


def about(ledger: Ledger, model: str) -> Iterator[Notice]:
    """Notices of the model's newest rollout; the same event has the same key, however often it is asked."""
    to = recipients.of(Scope.MODEL, model, KIND)
    record = None if to is None else ledger.rollouts.newest(model)
    if to is None or record is None:
        return
    for event in record.events:
        if event.event in _TOLD:
            key = f"{KIND}/{record.candidate_id}/{record.number}/{event.seq}"
            link = f"/slipway/candidates/{quote(record.candidate_id)}"
            sentence = _sentence(record, event)
            yield Notice(key, Scope.MODEL, model, KIND, to.told.role, to.told.name, sentence, link)


def _sentence(record: RolloutRecord, event: RolloutEventRecord) -> str:
    return (
        f"{record.model}: {record.candidate_id} {_TOLD[event.event]} (step {event.state.step + 1} of "
        f"{len(record.plan.steps)}, by {event.actor}): {event.reason}"
    )
