"""A day is answered by one candidate, whatever happens to the champion while it is being answered."""

from __future__ import annotations

import threading

import pandas as pd
import pytest
from invariants import check_invariants
from journey_world import NOW, JourneyWorld, at, key

from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows import tasks
from include.workflows.scoring import daily

pytestmark = pytest.mark.light

REASON = {"reason": "it answers nonsense"}


@pytest.fixture
def second(world: JourneyWorld) -> dict:
    """A champion, and a challenger whose shadow window is full at the end of the 18th; not yet promoted."""
    world.first_champion()
    world.next_day(16)
    reference = world.open("second", 17)
    assert world.to_shadow(reference)
    for day in (17, 18):
        world.next_day(day)
    assert world.judge("shadow_gate", reference)["passed"]
    return reference


def first_id(world: JourneyWorld) -> str:
    with Ledger.open(settings().ledger_url) as ledger:
        return ledger.candidates.of(world.model)[0].candidate_id


def served(world: JourneyWorld, day: int) -> pd.DataFrame:
    rows = OfflineStore(settings().store).read_predictions(world.model, Interval(at(day), at(day + 1)))
    return rows.to_pandas().query("role == 'served'")


def servers(world: JourneyWorld, day: int) -> list[str]:
    """Who served the day; one answer to each request is checked on the way."""
    rows = served(world, day)
    assert len(rows) == rows["request_id"].nunique() == 120
    return sorted(rows["candidate_id"].unique())


def judged(world: JourneyWorld, day: int) -> str:
    report = tasks.measure_drift(world.model, key(day), f"drift-{day}")
    return tasks.decide(report)["action"]


def test_f182_days_that_wait_at_a_rollback_are_not_answered_by_the_one_rolled_back(world, second):
    promoted = tasks.promote(second, NOW)
    tasks.close_journey(second)
    assert promoted["effective_from"] == at(19).isoformat()
    world.next_day(19)
    for day in (20, 21, 22):
        world.next_day(day, score=False)
    tasks.roll_back(world.model, "rollback", REASON, "ada")
    for day in (22, 20, 21):
        world.score(day)
    assert servers(world, 19) == [second["candidate_id"]]
    assert [servers(world, day) for day in (20, 21, 22)] == [[first_id(world)]] * 3
    for day in (20, 21, 22):
        assert judged(world, day)
    check_invariants(world)


def during_the_answers(monkeypatch, what, times: int = 1):
    """``what`` happens while the day is being answered, in another thread, and is over before the answers are."""
    healthy, left = daily.answers_of, [times]

    def interrupted(model, pipeline, features):
        if left[0]:
            left[0] -= 1
            beside = threading.Thread(target=what)
            beside.start()
            beside.join()
        return healthy(model, pipeline, features)

    monkeypatch.setattr(daily, "answers_of", interrupted)


def test_f183_a_promotion_that_commits_while_a_day_is_answered_begins_after_it(world, second, monkeypatch):
    world.next_day(19, score=False)
    during_the_answers(monkeypatch, lambda: tasks.promote(second, NOW))
    world.score(19)
    tasks.close_journey(second)
    assert servers(world, 19) == [first_id(world)]
    assert judged(world, 19)
    world.score(19)  # cleared and run again
    assert servers(world, 19) == [first_id(world)]
    world.next_day(20)
    assert servers(world, 20) == [second["candidate_id"]]
    check_invariants(world)


def test_f183_a_promotion_that_commits_before_the_claim_has_the_day(world, second, monkeypatch):
    world.next_day(19, score=False)
    claim, left = daily.point_in_time_rows.features_for, [1]

    def promoted_meanwhile(*args):
        if left:
            left.pop()
            tasks.promote(second, NOW)
        return claim(*args)

    monkeypatch.setattr(daily.point_in_time_rows, "features_for", promoted_meanwhile)
    world.score(19)
    tasks.close_journey(second)
    assert servers(world, 19) == [second["candidate_id"]]
    assert judged(world, 19)
    check_invariants(world)


@pytest.mark.slow
def test_f183_four_days_and_a_promotion_at_once_leave_each_day_one_server(world, second):
    for day in (19, 20, 21):
        world.next_day(day, score=False)
    barrier, failed = threading.Barrier(4), []

    def run(what):
        barrier.wait()
        try:
            what()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test names it
            failed.append(error)

    work = [lambda d=d: world.score(d) for d in (19, 20, 21)] + [lambda: tasks.promote(second, NOW)]
    threads = [threading.Thread(target=run, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    tasks.close_journey(second)
    assert all(len(servers(world, day)) == 1 for day in (19, 20, 21))
    assert all(judged(world, day) for day in (19, 20, 21))
    check_invariants(world)


@pytest.mark.slow
def test_f182_a_rollback_while_a_day_is_answered_leaves_none_of_its_answers(world, second, monkeypatch):
    tasks.promote(second, NOW)
    tasks.close_journey(second)
    world.next_day(19, score=False)
    during_the_answers(monkeypatch, lambda: tasks.roll_back(world.model, "rollback", REASON, "ada"))
    assert world.score(19)["facts"]["champion"] == first_id(world)
    assert servers(world, 19) == [first_id(world)]
    assert judged(world, 19)
    check_invariants(world)


def test_f182_answers_that_come_after_the_day_was_taken_over_are_taken_out_again(world, second, monkeypatch):
    tasks.promote(second, NOW)
    tasks.close_journey(second)
    world.next_day(19, score=False)
    write, left = OfflineStore.write_predictions, [1]

    def late(self, *args, **how):
        if left:
            left.pop()
            how["still_mine"] = lambda: tasks.roll_back(world.model, "rollback", REASON, "ada")  # after the last look
        return write(self, *args, **how)

    monkeypatch.setattr(OfflineStore, "write_predictions", late)
    world.score(19)
    assert servers(world, 19) == [first_id(world)]
    check_invariants(world)


@pytest.mark.slow
def test_a_day_of_a_candidate_that_was_rolled_back_has_one_server_when_it_is_scored_again(world, second):
    tasks.promote(second, NOW)
    tasks.close_journey(second)
    world.next_day(19)
    assert servers(world, 19) == [second["candidate_id"]]
    tasks.roll_back(world.model, "rollback", REASON, "ada")
    check_invariants(world)  # what it answered while it was champion stays until the day is scored again
    for _ in range(2):
        world.score(19)
        assert servers(world, 19) == [first_id(world)]
        assert judged(world, 19)
        check_invariants(world)


@pytest.mark.slow
def test_a_claim_of_a_scorer_that_died_is_taken_over_by_its_retry(world, second):
    world.next_day(19, score=False)
    with Ledger.open(settings().ledger_url) as ledger:
        claim = ledger.claims.claim(world.model, "2024-03-19", run_id="score-19")
    tasks.promote(second, NOW)
    tasks.close_journey(second)
    world.score(19)
    assert servers(world, 19) == [claim.candidate_id] == [first_id(world)]
    check_invariants(world)


def test_of_two_scorings_of_one_day_the_older_stops_and_writes_nothing(world, second, monkeypatch):
    world.next_day(19, score=False)
    newer: list[dict] = []
    during_the_answers(monkeypatch, lambda: newer.append(world.score(19)))
    older = world.score(19)
    assert older["skipped"] == "A newer run has taken 2024-03-19 over and answers it; this one stopped."
    assert newer[0]["skipped"] is None
    assert servers(world, 19) == [first_id(world)]
    check_invariants(world)


@pytest.mark.slow
def test_a_day_without_rows_or_before_its_publish_is_claimed_by_nobody(world, second):
    with pytest.raises(daily.NotPublished):
        world.score(28)
    with Ledger.open(settings().ledger_url) as ledger:
        assert ledger.claims.of(world.model, "2024-03-28") == []
    assert tasks.promote(second, NOW)["effective_from"] == at(19).isoformat()
