"""What a person says to a rollout, under their own name: hold it, resume it, end it. A share grows by no person."""

from __future__ import annotations

from include.adapters.ledger import Happened, NoRollout, RolloutRecord
from include.domain.authority import Person
from include.domain.canary.rollout import RolloutEvent
from include.domain.errors import BadField
from include.workflows import stores
from include.workflows.gates import overrides

ACTIONS = ("hold", "resume", "abort")


def act(model: str, action: str, by: Person, why: str) -> RolloutRecord:
    """Do it to the model's newest rollout. Asked twice it is done once.

    Raises:
        BadField: for an action that there is not.
        MayNotDecide: when the person is no approver of the model; whoever may see to it that less happens may hold.
        NoRollout: when the model never had one.
        NotOfARollout, RolloutOver, RolloutUnderWay: as the ledger says.
    """
    if action not in ACTIONS:
        raise BadField("action", action, f"there are: {', '.join(ACTIONS)}; a share grows by a judged step alone")
    with stores.open_ledger() as ledger:
        found = ledger.rollouts.newest(model)
        if found is None:
            raise NoRollout(model, 1)
        mine = (found.candidate_id, found.number)
        said = Happened(str(by), why, f"{action} by {by.name} after {found.events[-1].seq}")
        if action == "hold":
            return ledger.rollouts.lower(*mine, RolloutEvent.HOLD, said)
        approvers = overrides.approvers_of(model)
        if action == "resume":
            return ledger.rollouts.resume(*mine, by=by, approvers=approvers, said=said)
        return ledger.rollouts.abort(*mine, by=by, approvers=approvers, said=said)
