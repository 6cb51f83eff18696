"""A gate that was renamed: what the ledger has under the former name counts as the gate's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from ledger_fixtures import MODEL, NOW, an_operator, judged, promote, trained

from include.adapters.ledger import Candidate, Facts, Ledger, NotCleared, OverrideRequest, StopKind
from include.adapters.ledger.stops import in_force
from include.domain.authority import OPERATORS
from include.domain.gate_names import FORMER, name_now, names_of
from include.domain.lifecycle import Event, State
from include.domain.verdicts import Mode, Verdict

OLD, NEW = "data_quality_gate", "training_data_gate"
DAY = timedelta(days=1)


@contextmanager
def a_former_release() -> Iterator[None]:
    """What is written inside is written as before the gate was renamed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(FORMER, OLD)
        patch.setitem(FORMER, "a_name_that_was_never_used", "another")
        yield


def in_flight(ledger: Ledger, *verdicts: Verdict) -> Candidate:
    """A candidate that a former release trained, with these verdicts of the gate on its training set."""
    candidate = trained(ledger, "run-1")
    with a_former_release():
        for n, verdict in enumerate(verdicts):
            result = judged(OLD, verdict, mode=Mode.BLOCKING if n + 1 == len(verdicts) else Mode.ADVISORY)
            ledger.gates.record(
                candidate.candidate_id, result, digest=candidate.facts.training_set_hash, run_id=candidate.run_id
            )
    return candidate


def again(ledger: Ledger, candidate: Candidate, verdict: Verdict):
    return ledger.gates.record(
        candidate.candidate_id, judged(NEW, verdict), digest=candidate.facts.training_set_hash, run_id=candidate.run_id
    )


def registered(ledger: Ledger, candidate: Candidate) -> Candidate:
    return ledger.candidates.advance(
        candidate.candidate_id, Event.REGISTER, actor="test", reason="registered", facts=Facts(model_version="1")
    )


def test_every_former_name_is_read_as_a_name_that_is_no_former_one():
    assert FORMER
    assert all(name_now(now) == now for now in FORMER.values())
    assert all(old in names_of(now) for old, now in FORMER.items())


def test_a_verdict_under_the_former_name_is_the_gates_newest(ledger: Ledger) -> None:
    candidate = in_flight(ledger, Verdict.PASS)
    latest = ledger.gates.latest(candidate.candidate_id)
    assert list(latest) == [NEW]
    assert (latest[NEW].gate, latest[NEW].result.gate, latest[NEW].verdict) == (NEW, NEW, Verdict.PASS)


def test_what_is_in_the_ledger_keeps_its_former_name(ledger: Ledger) -> None:
    candidate = in_flight(ledger, Verdict.PASS)
    again(ledger, candidate, Verdict.FAIL)
    with a_former_release():
        rows = [(r.gate, r.attempt) for r in ledger.overview.attempts(candidate.candidate_id)]
    assert rows == [(OLD, 1), (NEW, 2)]


def test_the_next_attempt_follows_those_under_the_former_name_and_is_the_newest(ledger: Ledger) -> None:
    candidate = in_flight(ledger, Verdict.PASS, Verdict.FAIL)
    record = again(ledger, candidate, Verdict.PASS)
    assert (record.gate, record.attempt) == (NEW, 3)
    assert ledger.gates.latest(candidate.candidate_id)[NEW].verdict is Verdict.PASS
    found = ledger.explain(candidate.candidate_id).gates
    assert [(s.newest.gate, s.newest.attempt, s.attempts) for s in found] == [(NEW, 3, 3)]
    attempts = ledger.overview.attempts(candidate.candidate_id)
    assert [(r.gate, r.attempt, r.verdict) for r in attempts] == [
        (NEW, 1, Verdict.PASS),
        (NEW, 2, Verdict.FAIL),
        (NEW, 3, Verdict.PASS),
    ]


def test_the_same_verdict_judged_again_under_the_name_of_now_is_no_new_attempt(ledger: Ledger) -> None:
    candidate = in_flight(ledger, Verdict.PASS)
    assert again(ledger, candidate, Verdict.PASS).attempt == 1


def test_a_candidate_in_flight_at_the_upgrade_is_promoted(ledger: Ledger) -> None:
    candidate = registered(ledger, in_flight(ledger, Verdict.PASS))
    done = promote(ledger, candidate, required_gates=[NEW])
    assert done.epoch.cleared_by["attempts"] == {NEW: 1}
    assert ledger.candidates.get(candidate.candidate_id).state is State.CHAMPION


def test_a_champion_whose_promotion_names_the_former_gate_breaks_no_invariant(ledger: Ledger) -> None:
    candidate = registered(ledger, in_flight(ledger, Verdict.PASS))
    with a_former_release():
        promote(ledger, candidate, required_gates=[OLD])
    head = ledger.deployments.champion(MODEL)
    assert head is not None
    assert head.cleared_by["attempts"] == {OLD: 1}


def test_a_fail_under_the_former_name_stops_the_promotion(ledger: Ledger) -> None:
    candidate = registered(ledger, in_flight(ledger, Verdict.FAIL))
    with pytest.raises(NotCleared, match=NEW):
        promote(ledger, candidate, required_gates=[NEW])


@pytest.mark.parametrize("named", [OLD, NEW], ids=["by its former name", "by its name"])
def test_an_override_of_a_former_release_holds_and_can_be_withdrawn(named: str, ledger: Ledger) -> None:
    candidate = registered(ledger, in_flight(ledger, Verdict.FAIL))
    with a_former_release():
        given = override(ledger, candidate, OLD)
    live = ledger.gates.live_override(candidate.candidate_id, named, now=NOW)
    assert live is not None
    assert (live.gate, live.why) == (NEW, given.why)
    assert ledger.gates.clearance(candidate.candidate_id, [NEW], now=NOW).is_clear
    assert override(ledger, candidate, named) == live
    assert ledger.gates.withdraw(candidate.candidate_id, named, now=NOW) is not None
    assert not ledger.gates.clearance(candidate.candidate_id, [NEW], now=NOW).is_clear
    assert override(ledger, candidate, named, why="another reason").gate == NEW
    assert [o.gate for o in ledger.gates.overrides(candidate.candidate_id)] == [NEW, NEW]


def override(ledger: Ledger, candidate: Candidate, gate: str, why: str = "a known gap"):
    return ledger.gates.override(
        OverrideRequest(candidate.candidate_id, gate, why, NOW + DAY),
        by=an_operator("ann"),
        approvers=OPERATORS,
        now=NOW,
    )


def test_a_stop_of_a_former_release_is_taken_back_by_the_gate(ledger: Ledger) -> None:
    candidate = trained(ledger, "run-1")
    with a_former_release():
        ledger.stops.record(candidate.candidate_id, OLD, StopKind.GATE, f"{OLD}: too few rows")
    assert [s.step for s in in_force(ledger.stops.of_lap(candidate.candidate_id))] == [NEW]
    ledger.stops.take_back(candidate.candidate_id, NEW, [StopKind.GATE])
    assert in_force(ledger.stops.of_lap(candidate.candidate_id)) == []


def test_overviews_have_one_verdict_of_it_the_newest(ledger: Ledger) -> None:
    candidate = in_flight(ledger, Verdict.FAIL)
    assert ledger.overview.verdicts([candidate.candidate_id]) == {candidate.candidate_id: {NEW: "FAIL"}}
    again(ledger, candidate, Verdict.PASS)
    assert ledger.overview.verdicts([candidate.candidate_id]) == {candidate.candidate_id: {NEW: "PASS"}}


def test_a_candidate_that_waits_at_the_former_gate_waits_at_the_gate(ledger: Ledger) -> None:
    in_flight(ledger, Verdict.INCONCLUSIVE)
    [standing] = ledger.overview.standings(MODEL)
    assert standing.waits_at == NEW
