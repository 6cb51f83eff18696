"""Journeys in the ledger, from their opening to their end, and who may write."""

from __future__ import annotations

import pytest
from ledger_fixtures import (
    AS_OF,
    MODEL,
    an_operator,
    challenger,
    champion,
    digest_of,
    judged,
    promote,
    request,
    trained,
)
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from include.adapters.ledger import (
    BadValue,
    Candidate,
    CandidateChanged,
    Facts,
    Fenced,
    JourneyUnderWay,
    Ledger,
    RequestChanged,
    UnknownCandidate,
)
from include.adapters.ledger.tables import APPEND_ONLY, metadata
from include.domain.lifecycle import Event, IllegalTransition, State


@pytest.mark.parametrize("name", APPEND_ONLY)
def test_what_is_append_only_cannot_be_changed_or_deleted(ledger: Ledger, name: str) -> None:
    from test_ledger_records import everything_once

    everything_once(ledger)
    table = metadata.tables[name]
    for change in (delete(table), update(table).values(recorded_at=AS_OF)):
        with pytest.raises(DBAPIError, match="append-only"), ledger.database.writing() as connection:
            connection.execute(change)


def test_opening_the_same_journey_again_returns_its_candidate(ledger: Ledger) -> None:
    first = ledger.candidates.open(request("run-1"))
    assert first.candidate_id == f"flight_delay-20130601-{digest_of('run-1')[7:13]}"
    assert ledger.candidates.open(request("run-1")) == first
    assert ledger.candidates.of(MODEL) == [first]
    assert ledger.candidates.of_run(MODEL, "run-1") == first
    assert len(ledger.explain(first.candidate_id).transitions) == 1


def test_f112_a_second_journey_is_refused_with_the_first_ones_name(ledger: Ledger) -> None:
    first = ledger.candidates.open(request("run-1"))
    with pytest.raises(JourneyUnderWay, match=f"run run-1, candidate {first.candidate_id}"):
        ledger.candidates.open(request("run-2"))
    assert ledger.candidates.live(MODEL) == first
    assert ledger.candidates.of_run(MODEL, "run-2") is None


def asked(ledger: Ledger, candidate: Candidate) -> list[tuple[int, str, str, str]]:
    causes = ledger.explain(candidate.candidate_id).causes
    return [(c.number, c.request.run_id, c.request.trigger.value, c.state.value) for c in causes]


def test_f105_who_asks_while_a_journey_is_under_way_is_kept_as_one_of_its_causes(ledger: Ledger) -> None:
    first = ledger.candidates.open(request("run-1"))
    for _ in range(2):
        with pytest.raises(JourneyUnderWay, match="This request is recorded as one of its causes"):
            ledger.candidates.open(request("drift-run", report_id="report-7"))
    trained(ledger, "run-1")
    assert ledger.candidates.also_asked(request("later", report_id="report-8"), beside="run-1") is not None
    causes = ledger.explain(first.candidate_id).causes
    assert asked(ledger, first) == [
        (1, "run-1", "api", "opened"),
        (2, "drift-run", "drift", "opened"),
        (3, "later", "drift", "trained"),
    ]
    assert [c.request.report_id for c in causes] == [None, "report-7", "report-8"]
    assert ledger.history(MODEL).causes == causes
    assert ledger.candidates.of(MODEL) == [ledger.candidates.get(first.candidate_id)]


def test_f105_nothing_is_added_to_a_journey_that_is_over_or_was_never_meant(ledger: Ledger) -> None:
    first = ledger.candidates.open(request("run-1"))
    assert ledger.candidates.also_asked(request("other"), beside="run-0") is None
    ledger.candidates.close(first.candidate_id, Event.FAIL, outcome="broke", actor="test")
    assert ledger.candidates.also_asked(request("other"), beside="run-1") is None
    second = ledger.candidates.open(request("run-2"))
    third = ledger.candidates.open(request("run-3"), supersede=True, by=an_operator("otto"))
    assert [asked(ledger, c) for c in (first, second, third)] == [
        [(1, run, "api", "opened")] for run in ("run-1", "run-2", "run-3")
    ]


def test_a_journey_of_another_model_may_have_the_same_run_id(ledger: Ledger) -> None:
    ledger.candidates.open(request("scheduled__2013-06-01"))
    other = ledger.candidates.open(request("scheduled__2013-06-01", model="air_time"))
    assert ledger.candidates.of_run("air_time", "scheduled__2013-06-01") == other


def test_a_newer_journey_may_supersede_the_one_under_way(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    second = ledger.candidates.open(request("run-2"), supersede=True, by=an_operator("otto"))
    assert ledger.candidates.live(MODEL) == second
    replaced = ledger.candidates.get(first.candidate_id)
    assert replaced.state is State.SUPERSEDED
    assert replaced.outcome == f"Superseded by {second.candidate_id}: Realised Brier score is out of band"
    with pytest.raises(IllegalTransition, match="'register' may not happen to a candidate that is superseded"):
        ledger.candidates.advance(first.candidate_id, Event.REGISTER, actor="test", reason="late")


def test_a_journey_that_an_estimate_prepared_gives_way_whoever_asks_and_no_other_does(ledger: Ledger) -> None:
    first = ledger.candidates.open(request("run-1"))
    with pytest.raises(JourneyUnderWay):
        ledger.candidates.open(request("run-2"), gives_way="another candidate")
    second = ledger.candidates.open(request("run-2"), gives_way=first.candidate_id)
    assert ledger.candidates.get(first.candidate_id).state is State.SUPERSEDED
    assert ledger.candidates.live(second.model) == second


def test_f113_the_same_run_id_with_another_request_is_refused(ledger: Ledger) -> None:
    ledger.candidates.open(request("run-1"))
    with pytest.raises(RequestChanged, match="Run run-1 was opened with trigger api and now asks for drift"):
        ledger.candidates.open(request("run-1", report_id="report-7"))
    with pytest.raises(RequestChanged, match="as_of"):
        ledger.candidates.open(request("run-1", as_of=AS_OF.replace(day=2)))


def test_running_a_whole_journey_again_changes_nothing(ledger: Ledger) -> None:
    candidate = champion(ledger, "run-1")
    ledger.candidates.close(candidate.candidate_id, None, outcome="Promoted.", actor="journey")
    before = ledger.explain(candidate.candidate_id)
    again = challenger(ledger, "run-1")
    promote(ledger, again, expected=0)
    ledger.candidates.close(candidate.candidate_id, None, outcome="Promoted again.", actor="journey")
    assert ledger.explain(candidate.candidate_id) == before


def test_a_rejected_journey_that_is_cleared_goes_on_where_it_was_closed(ledger: Ledger) -> None:
    candidate = challenger(ledger, "run-1")
    ledger.candidates.close(candidate.candidate_id, Event.REJECT, outcome="champion_gate failed.", actor="journey")
    assert ledger.candidates.live(MODEL) is None
    reopened = ledger.candidates.reopen(candidate.candidate_id, actor="ann", reason="override given")
    assert (reopened.state, reopened.outcome) == (State.CHALLENGER, None)
    assert ledger.candidates.open(request("run-1")) == reopened


def test_running_a_failed_journey_again_reopens_it(ledger: Ledger) -> None:
    candidate = trained(ledger, "run-1")
    ledger.candidates.close(candidate.candidate_id, Event.FAIL, outcome="MLflow did not answer.", actor="journey")
    assert ledger.candidates.open(request("run-1")).state is State.TRAINED


def test_a_closed_journey_is_not_reopened_while_another_is_under_way(ledger: Ledger) -> None:
    candidate = trained(ledger, "run-1")
    ledger.candidates.close(candidate.candidate_id, Event.FAIL, outcome="Out of memory.", actor="journey")
    ledger.candidates.open(request("run-2"))
    with pytest.raises(JourneyUnderWay, match="run-2"):
        ledger.candidates.reopen(candidate.candidate_id, actor="ann", reason="again")
    with pytest.raises(JourneyUnderWay, match="run-2"):
        ledger.candidates.open(request("run-1"))


def test_the_first_outcome_of_a_journey_stands(ledger: Ledger) -> None:
    candidate = trained(ledger, "run-1")
    ledger.candidates.close(candidate.candidate_id, Event.REJECT, outcome="threshold_gate failed.", actor="journey")
    closed = ledger.candidates.close(candidate.candidate_id, Event.FAIL, outcome="Something else.", actor="journey")
    assert (closed.state, closed.outcome) == (State.REJECTED, "threshold_gate failed.")


def test_a_fact_may_be_completed_but_not_changed_once_registered(ledger: Ledger) -> None:
    candidate = challenger(ledger, "run-1")
    other = Facts(artifact_digest=digest_of("another artifact"))
    with pytest.raises(CandidateChanged, match="artifact_digest"):
        ledger.candidates.advance(candidate.candidate_id, Event.TRAIN, actor="test", reason="again", facts=other)


def test_training_again_before_registering_replaces_the_digest(ledger: Ledger) -> None:
    candidate = trained(ledger, "run-1")
    other = Facts(artifact_digest=digest_of("another artifact"))
    again = ledger.candidates.advance(candidate.candidate_id, Event.TRAIN, actor="test", reason="again", facts=other)
    assert again.facts.artifact_digest == other.artifact_digest
    assert again.facts.training_set_hash == candidate.facts.training_set_hash


def test_an_unknown_candidate_is_named(ledger: Ledger) -> None:
    with pytest.raises(UnknownCandidate, match="There is no candidate 'nobody'"):
        ledger.candidates.get("nobody")
    with pytest.raises(UnknownCandidate):
        ledger.gates.record("nobody", judged(), digest=None, run_id="run-1")


def test_only_a_promotion_makes_a_champion(ledger: Ledger) -> None:
    candidate = challenger(ledger, "run-1")
    with pytest.raises(BadValue, match="written by promote"):
        ledger.candidates.advance(candidate.candidate_id, Event.PROMOTE, actor="ann", reason="I say so")


def test_a_journey_under_way_is_not_closed_without_saying_how(ledger: Ledger) -> None:
    candidate = challenger(ledger, "run-1")
    with pytest.raises(BadValue, match="is still challenger; close it by reject, fail or supersede"):
        ledger.candidates.close(candidate.candidate_id, None, outcome="Done.", actor="journey")
    with pytest.raises(BadValue, match="not by 'promote'"):
        ledger.candidates.close(candidate.candidate_id, Event.PROMOTE, outcome="Done.", actor="journey")


def test_the_database_itself_refuses_a_second_live_candidate(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    ledger.candidates.open(request("run-2"), supersede=True, by=an_operator("otto"))
    table = metadata.tables["candidates"]
    with pytest.raises(IntegrityError), ledger.database.writing() as connection:
        connection.execute(update(table).where(table.c.candidate_id == first.candidate_id).values(live=True))


@pytest.mark.parametrize(
    ("reason", "message"),
    [("", "reason is empty"), ("x" * 5000, "5000 characters"), ("a\x00b", "NUL"), ("\ud800", "half a character")],
)
def test_f111_a_reason_no_database_can_keep_is_refused(ledger: Ledger, reason: str, message: str) -> None:
    candidate = trained(ledger, "run-1")
    with pytest.raises(BadValue, match=message):
        ledger.candidates.advance(candidate.candidate_id, Event.REGISTER, actor="test", reason=reason)


def test_f111_sql_and_emoji_in_a_reason_are_kept_literally(ledger: Ledger) -> None:
    reason = "'; DROP TABLE candidates; -- {{ ds }} $(rm) ../ 🛬 <script>"
    candidate = trained(ledger, "run-1")
    ledger.candidates.advance(candidate.candidate_id, Event.REGISTER, actor="test", reason=reason)
    assert ledger.explain(candidate.candidate_id).transitions[-1].reason == reason


def test_f040_a_copy_that_is_no_longer_the_newest_may_not_write(ledger: Ledger) -> None:
    first, second = (ledger.next_attempt("retrain_flight_delay/run-1/train") for _ in range(2))
    candidate = ledger.fenced(second).candidates.open(request("run-1"))
    late = ledger.fenced(first)
    with pytest.raises(
        Fenced, match="Attempt 1 of retrain_flight_delay/run-1/train may not write: the newest attempt is 2"
    ):
        late.candidates.advance(candidate.candidate_id, Event.TRAIN, actor="late", reason="late")
    with pytest.raises(Fenced):
        late.gates.record(candidate.candidate_id, judged(), digest=None, run_id="run-1")
    assert late.candidates.get(candidate.candidate_id) == candidate
    assert ledger.gates.latest(candidate.candidate_id) == {}


def test_an_attempt_that_was_never_handed_out_is_refused(ledger: Ledger) -> None:
    from include.adapters.ledger import Attempt

    with pytest.raises(Fenced, match="newest attempt is 0"):
        ledger.fenced(Attempt("scope", 1)).candidates.open(request("run-1"))


def test_attempts_of_other_scopes_do_not_fence_one_another(ledger: Ledger) -> None:
    mine = ledger.next_attempt("mine")
    ledger.next_attempt("yours")
    assert ledger.fenced(mine).candidates.open(request("run-1")).is_live
