"""A day has one server: claims in the ledger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from ledger_fixtures import AS_OF, MODEL, challenger, champion, promote, roll_back
from scored_days import claimed, day, scoring
from sqlalchemy import text

from include.adapters.ledger import (
    Candidate,
    Claim,
    Fenced,
    Ledger,
    ledger_invariants,
)

SERVED = "served"


def test_a_claim_stays_whoever_is_champion_by_then(ledger: Ledger) -> None:
    first = champion(ledger, "run-1")
    taken = claimed(ledger, 3, "score-a")
    assert (taken.candidate_id, taken.revision, taken.number) == (first.candidate_id, 1, 1)
    second = challenger(ledger, "run-2")
    assert promote(ledger, second).epoch.effective_from == AS_OF + timedelta(days=4)
    assert claimed(ledger, 3, "score-b") == taken
    assert claimed(ledger, 4).candidate_id == second.candidate_id
    assert claimed(ledger, 2).candidate_id == first.candidate_id


def test_a_day_before_the_first_champion_is_claimed_by_nobody(ledger: Ledger) -> None:
    champion(ledger, "run-1")
    assert ledger.claims.claim(MODEL, day(-1), run_id="score") is None
    assert ledger.claims.server(MODEL, day(-1)) is None
    assert ledger.claims.of(MODEL) == []


def test_f182_the_days_nobody_has_claimed_are_never_the_ones_of_the_candidate_rolled_back(ledger: Ledger) -> None:
    first = champion(ledger, "run-1")
    claimed(ledger, 1)
    second = challenger(ledger, "run-2")
    promote(ledger, second)
    assert claimed(ledger, 4).candidate_id == second.candidate_id  # runs of several days at once: 2 and 3 are behind
    assert roll_back(ledger, "rollback-1").epoch.effective_from == AS_OF + timedelta(days=5)
    for after in (2, 3, 5, 6):
        assert claimed(ledger, after).candidate_id == first.candidate_id, after
    assert ledger.deployments.champion_at(MODEL, AS_OF + timedelta(days=3)).to_candidate == first.candidate_id


def test_a_second_rollback_passes_the_unclaimed_days_on_to_whom_it_restores(ledger: Ledger) -> None:
    first = champion(ledger, "run-1")
    for run in ("run-2", "run-3"):
        promote(ledger, challenger(ledger, run), days=2)
    roll_back(ledger, "rollback-1")
    roll_back(ledger, "rollback-2")
    assert [claimed(ledger, after).candidate_id for after in (2, 3)] == [first.candidate_id] * 2


def test_a_day_of_a_candidate_that_was_rolled_back_is_claimed_anew_and_the_first_claim_is_kept(ledger: Ledger) -> None:
    first = champion(ledger, "run-1")
    second = challenger(ledger, "run-2")
    promote(ledger, second, days=2)
    assert claimed(ledger, 2).candidate_id == second.candidate_id
    roll_back(ledger, "rollback-1")
    again = claimed(ledger, 2, "score-again")
    assert (again.number, again.candidate_id, again.revision) == (2, first.candidate_id, 3)
    assert claimed(ledger, 2, "once more") == again == ledger.claims.of(MODEL)[-1]
    with ledger.database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM scoring_claims")).scalar() == 2


def test_a_shadow_window_begins_after_the_days_that_were_claimed(ledger: Ledger) -> None:
    first = champion(ledger, "run-1")
    second = challenger(ledger, "run-2")
    claimed(ledger, 2)
    window = ledger.shadow.open(
        second.candidate_id, champion_id=first.candidate_id, opened_from=AS_OF, min_rows=1, min_days=1, actor="test"
    )
    assert window.opened_from == AS_OF + timedelta(days=3)
    assert ledger.shadow.covering(MODEL, day(2)) == []


@pytest.mark.parametrize("change", ["promotion", "rollback"])
def test_f183_a_claim_and_a_change_of_champion_at_once_leave_one_server(ledger: Ledger, change: str) -> None:
    champion(ledger, "run-0")
    for number in range(1, 9):
        other = challenger(ledger, f"run-{number}")
        if change == "rollback":
            promote(ledger, other)
        barrier = Barrier(3)

        def claim(_: int, after: int = number, barrier: Barrier = barrier) -> Claim:
            barrier.wait()
            return claimed(ledger, after)

        def changed(other: Candidate = other, run: int = number, barrier: Barrier = barrier) -> None:
            barrier.wait()
            if change == "promotion":
                promote(ledger, other)
            else:
                roll_back(ledger, f"rollback-{run}")

        with ThreadPoolExecutor(3) as pool:
            both, done = [pool.submit(claim, k) for k in range(2)], pool.submit(changed)
            claims = [each.result() for each in both]
            done.result()
        holds = ledger.claims.of(MODEL, day(number))[0]
        server = ledger.claims.server(MODEL, day(number))
        assert server is not None
        if change == "promotion":
            assert claims == [holds, holds]
            assert server.to_candidate == holds.candidate_id
        else:
            assert claimed(ledger, number).candidate_id == server.to_candidate
        assert ledger_invariants(ledger) == []


def test_an_older_copy_of_a_scoring_may_not_claim(ledger: Ledger) -> None:
    champion(ledger, "run-1")
    old = ledger.fenced(ledger.next_attempt("score/day"))
    ledger.next_attempt("score/day")
    with pytest.raises(Fenced):
        old.claims.claim(MODEL, day(1), run_id="score")


def test_what_another_served_of_a_day_is_no_longer_kept_once_the_day_has_a_new_server(ledger: Ledger) -> None:
    first = champion(ledger, "run-1")
    second = challenger(ledger, "run-2")
    promote(ledger, second, days=2)
    claimed(ledger, 2)
    ledger.lineage.record_scoring(scoring(second.candidate_id, 2))
    roll_back(ledger, "rollback-1")
    claimed(ledger, 2)
    ledger.lineage.record_scoring(scoring(first.candidate_id, 2))
    assert [s.candidate_id for s in ledger.lineage.scorings(MODEL)] == [first.candidate_id]
