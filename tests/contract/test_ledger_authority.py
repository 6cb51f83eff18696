"""The ledger's writer takes a decision from an approver alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ledger_fixtures import MODEL, an_operator, champion, request, trained
from ledger_fixtures import NOW as LONG_AGO

from include.adapters.ledger import JourneyUnderWay, OverrideRequest, RollbackRequest
from include.domain.authority import OPERATORS, Approvers, MayNotDecide, Person
from include.domain.lifecycle import State


@pytest.mark.parametrize(
    ("approvers", "allowed", "refused"),
    [
        (OPERATORS, Person("otto", operator=True), Person("uma", frozenset({"user"}))),
        (Approvers.of(["ada"]), Person("ada"), Person("otto", frozenset({"op"}), operator=True)),
        (Approvers.of(roles=["Admin"]), Person("ann", frozenset({"admin"})), Person("otto", frozenset({"op"}), True)),
    ],
)
def test_f178_the_ledgers_writer_takes_each_decision_from_an_approver_alone(
    ledger, approvers, allowed, refused
) -> None:
    champion(ledger, "one")
    second = champion(ledger, "two", days=1)
    third = trained(ledger, "three")
    before = ledger.history(MODEL), ledger.explain(third.candidate_id)
    ends = LONG_AGO + timedelta(days=1)
    decisions = {
        "override": lambda by: ledger.gates.override(
            OverrideRequest(third.candidate_id, "slice_gate", "w", ends), by=by, approvers=approvers, now=LONG_AGO
        ),
        "supersede": lambda by: ledger.candidates.open(request("four"), supersede=True, by=by, approvers=approvers),
        "rollback": lambda by: ledger.deployments.rollback(
            RollbackRequest(MODEL, "w", "back", effective_from=LONG_AGO), by=by, approvers=approvers
        ),
        "reject": lambda by: ledger.candidates.reject(
            ledger.candidates.live(MODEL).candidate_id, by=by, approvers=approvers, why="w"
        ),
    }
    for name, decide in decisions.items():
        with pytest.raises(MayNotDecide, match=rf"^{refused.name}.* may not .*Nothing was changed") as said:
            decide(refused)
        assert "\n" not in str(said.value), name
    assert (ledger.history(MODEL), ledger.explain(third.candidate_id)) == before
    for decide in decisions.values():
        decide(allowed)
    assert ledger.candidates.get(second.candidate_id).state is State.ROLLED_BACK
    assert ledger.deployments.champion(MODEL).actor == allowed.name


def test_f178_a_run_that_no_user_started_replaces_nobodys_journey(ledger) -> None:
    trained(ledger, "one")
    with pytest.raises(MayNotDecide, match="A run that no user started may not replace"):
        ledger.candidates.open(request("two"), supersede=True)


def test_whoever_was_the_only_one_to_ask_may_replace_their_own_journey(ledger) -> None:
    from dataclasses import replace

    mine = replace(request("one"), requested_by="uma", user="uma")
    ledger.candidates.open(mine)
    newer = ledger.candidates.open(replace(mine, run_id="two"), supersede=True, by=Person("uma"), approvers=OPERATORS)
    assert newer.is_live
    shared = replace(mine, run_id="three", requested_by="ada")
    ledger.candidates.open(shared, supersede=True, by=an_operator("otto"), approvers=OPERATORS)
    with pytest.raises(MayNotDecide, match="which others asked for"):
        ledger.candidates.open(replace(mine, run_id="four"), supersede=True, by=Person("uma"), approvers=OPERATORS)


def test_a_journey_under_way_is_named_to_a_request_that_comes_meanwhile(ledger) -> None:
    trained(ledger, "one")
    with pytest.raises(JourneyUnderWay, match="recorded as one of its causes"):
        ledger.candidates.open(request("two"))
