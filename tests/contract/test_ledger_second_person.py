"""Who asked for a journey, and that the ledger holds it against them, on every database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from ledger_fixtures import NOW, an_operator, request

from include.adapters.ledger import Ledger, OverrideRequest, RequesterMayNotDecide
from include.domain.authority import OPERATORS
from include.domain.journey import Trigger


def override(ledger: Ledger, candidate_id: str, who: str, **may: bool) -> str:
    made = ledger.gates.override(
        OverrideRequest(candidate_id, "slice_gate", "small slice", NOW + timedelta(days=1)),
        by=an_operator(who),
        approvers=OPERATORS,
        now=NOW,
        **may,
    )
    return made.who


def test_the_person_named_and_the_user_who_started_the_run_may_not_decide(ledger: Ledger) -> None:
    asked = replace(request("run-1"), requested_by="bob", trigger=Trigger.API, user="ada")
    opened = ledger.candidates.open(asked)
    assert ledger.explain(opened.candidate_id).transitions[0].actor == "ada"
    for who in ("ada", "bob", " Bob "):
        with pytest.raises(RequesterMayNotDecide, match="needs a second person"):
            override(ledger, opened.candidate_id, who)
    assert ledger.gates.overrides(opened.candidate_id) == []
    assert override(ledger, opened.candidate_id, "eve") == "eve"


def test_where_the_tier_allows_it_the_requester_decides(ledger: Ledger) -> None:
    opened = ledger.candidates.open(replace(request("run-1"), requested_by="bob", trigger=Trigger.API))
    assert override(ledger, opened.candidate_id, "bob", requester_may=True) == "bob"


@pytest.mark.parametrize("trigger", [Trigger.DRIFT, Trigger.SCHEDULE])
def test_no_person_asked_for_a_journey_that_started_by_itself(ledger: Ledger, trigger: Trigger) -> None:
    opened = ledger.candidates.open(replace(request("run-1"), requested_by="drift_m", trigger=trigger))
    assert override(ledger, opened.candidate_id, "bob") == "bob"


def test_a_user_who_calls_it_a_drift_asked_for_it_all_the_same(ledger: Ledger) -> None:
    asked = replace(request("run-1"), requested_by="drift sensor", trigger=Trigger.DRIFT, user="ada")
    opened = ledger.candidates.open(asked)
    with pytest.raises(RequesterMayNotDecide):
        override(ledger, opened.candidate_id, "ada")
