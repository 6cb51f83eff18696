"""The machine's clock is set back by an hour, or forward by a day: nothing is done twice, nothing lapses for good."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from ledger_fixtures import AS_OF, MODEL, an_operator, champion, judged, request, roll_back, trained

from include.adapters import ledger as ledger_package
from include.adapters.ledger import (
    AnsweredMeanwhile,
    Fenced,
    Ledger,
    Notice,
    NoticeState,
    OverrideRequest,
    RetrainAction,
    Scope,
    ledger_invariants,
)
from include.adapters.ledger.notices import LEASE
from include.domain.authority import OPERATORS
from include.domain.intervals import Interval
from include.domain.lifecycle import Event
from include.domain.verdicts import Verdict
from include.workflows.alerts import outbox
from include.workflows.features import data_docs

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """Every stamp of the ledger comes from here; a second passes with each."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    names = [f"{ledger_package.__name__}.{found.name}" for found in pkgutil.iter_modules(ledger_package.__path__)]
    patched = [module for module in map(importlib.import_module, names) if hasattr(module, "clock")]
    assert len(patched) > 5
    for module in patched:
        monkeypatch.setattr(module, "clock", made)
    return made


# --- a drift decision and the journey that answers it -----------------------------------------------------------------


def decided(ledger: Ledger, day: str) -> datetime:
    report = ledger.drift.report(MODEL, "1", day, {"share": 0.4}, run_id=f"drift-{day}")
    made = ledger.drift.decide(
        report.report_id,
        action=RetrainAction.RETRAIN,
        rule="two keys",
        reason="drifted",
        numbers={},
        journey_run_id=f"r-{day}",
    )
    return made.recorded_at


def opened_for(ledger: Ledger, run_id: str, moment: datetime) -> str:
    return ledger.candidates.open(request(run_id), decided_at=moment).candidate_id


def over(ledger: Ledger, candidate_id: str) -> None:
    ledger.candidates.close(candidate_id, Event.FAIL, outcome="a test ends it", actor="test")


@pytest.mark.parametrize("set_by", [-HOUR, DAY, -DAY], ids=["back an hour", "forward a day", "back a day"])
def test_f123_one_drift_decision_starts_one_journey_whatever_becomes_of_the_clock(ledger, clock, set_by):
    moment = decided(ledger, "2013-06-01")
    clock.now += set_by
    over(ledger, opened_for(ledger, "first", moment))
    with pytest.raises(AnsweredMeanwhile):
        opened_for(ledger, "second", moment)
    assert len(ledger.candidates.of(MODEL)) == 1


@pytest.mark.parametrize("set_by", [-HOUR, -DAY], ids=["back an hour", "forward a day and back"])
def test_f123_a_decision_after_the_clock_was_set_back_is_not_taken_for_an_answered_one(ledger, clock, set_by):
    over(ledger, opened_for(ledger, "first", decided(ledger, "2013-06-01")))
    clock.now += set_by
    moment = decided(ledger, "2013-06-02")
    second = opened_for(ledger, "second", moment)
    assert [each.candidate_id for each in ledger.candidates.of(MODEL)][-1] == second, "the order is that of opening"


# --- who may write, and which champion is the newest ------------------------------------------------------------------


@pytest.mark.parametrize("set_by", [-HOUR, DAY], ids=["back an hour", "forward a day"])
def test_f123_the_newest_attempt_may_write_and_the_last_epoch_counts_whatever_the_clock_says(ledger, clock, set_by):
    first = champion(ledger, "one")
    older = ledger.fenced(ledger.next_attempt("two/promote"))
    clock.now += set_by
    newer = ledger.fenced(ledger.next_attempt("two/promote"))
    second = champion(newer, "two", days=1)
    with pytest.raises(Fenced):
        roll_back(older, "late", days=2)
    clock.now -= set_by
    roll_back(ledger, "back", days=2)
    head = ledger.deployments.champion(MODEL)
    assert (head.revision, head.to_candidate) == (3, first.candidate_id)
    assert [e.to_candidate for e in ledger.deployments.epochs(MODEL)] == [
        first.candidate_id,
        second.candidate_id,
        first.candidate_id,
    ]
    assert ledger_invariants(ledger) == []


# --- overrides --------------------------------------------------------------------------------------------------------


@pytest.fixture
def overridden(ledger: Ledger, clock: Clock) -> tuple[str, Callable[[datetime], bool]]:
    """A candidate that is past its gate until 13:00, and whether it is cleared at a moment."""
    candidate = trained(ledger, "one")
    digest = candidate.facts.artifact_digest
    ledger.gates.record(candidate.candidate_id, judged(verdict=Verdict.INCONCLUSIVE), digest=digest, run_id="one")
    ledger.gates.override(
        OverrideRequest(candidate.candidate_id, "threshold_gate", "known outage", NOON + HOUR),
        by=an_operator("ada"),
        approvers=OPERATORS,
        now=NOON,
    )
    return (
        candidate.candidate_id,
        lambda now: ledger.gates.clearance(candidate.candidate_id, ["threshold_gate"], now=now).is_clear,
    )


def test_f123_a_clock_that_was_a_day_ahead_closes_an_override_only_while_it_is(overridden):
    _, cleared = overridden
    assert cleared(NOON)
    assert not cleared(NOON + DAY), "closed while in doubt"
    assert cleared(NOON + HOUR / 2), "and nothing was written about it"
    assert not cleared(NOON + HOUR)


def test_f123_a_clock_set_back_does_not_revive_what_was_withdrawn(ledger, overridden):
    candidate_id, cleared = overridden
    ledger.gates.withdraw(candidate_id, "threshold_gate", now=NOON + HOUR / 2)
    for moment in (NOON - HOUR, NOON, NOON + HOUR / 4):
        assert not cleared(moment)


# --- notices ----------------------------------------------------------------------------------------------------------


def put(ledger: Ledger, now: datetime, key: str = "promoted/flight_delay/1") -> str:
    ledger.notices.put(
        Notice(key, Scope.MODEL, MODEL, "promoted", "model", "ada", "flight_delay: promoted v1.", "/slipway/"), now
    )
    return key


def broken(*_: object) -> None:
    raise ConnectionError("the mail server is away")


def test_f123_what_was_written_down_before_the_clock_was_set_back_is_sent_at_once(ledger, clock):
    put(ledger, NOON)
    sent: list[Notice] = []
    assert len(outbox.sweep(ledger, lambda notice, _: sent.append(notice), NOON - HOUR)) == 1
    assert len(sent) == 1
    assert outbox.sweep(ledger, lambda notice, _: sent.append(notice), NOON + DAY) == []
    assert len(sent) == 1


def test_f123_a_notice_that_is_being_sent_is_not_taken_early_when_the_clock_is_set_back(ledger, clock):
    key = put(ledger, NOON)
    assert ledger.notices.take(key, NOON) is not None
    for moment in (NOON - HOUR, NOON - timedelta(seconds=1), NOON + LEASE - timedelta(seconds=1)):
        assert ledger.notices.take(key, moment) is None
    assert ledger.notices.take(key, NOON + LEASE) is not None


def test_f123_a_sender_that_is_overtaken_because_the_clock_went_ahead_leaves_the_later_try_alone(ledger, clock):
    """The lease is over then: somebody may be told twice under one key, and never not at all."""
    key = put(ledger, NOON)
    first = ledger.notices.take(key, NOON)
    second = ledger.notices.take(key, NOON + DAY)
    assert (first.tries, second.tries) == (1, 2)
    ledger.notices.not_sent(key, first.tries, "too late", None)
    ledger.notices.sent(key, "ada", NOON + DAY)
    assert ledger.notices.get(key).state is NoticeState.SENT
    assert ledger.notices.take(key, NOON) is None


@pytest.mark.parametrize("was", ["refused by the mail server", "killed while it was sent"])
def test_f123_what_failed_while_the_clock_was_a_day_ahead_does_not_wait_for_that_day(ledger, clock, was):
    key = put(ledger, NOON)
    if was == "refused by the mail server":
        outbox.deliver(ledger, key, broken, NOON + DAY)
    else:
        assert ledger.notices.take(key, NOON + DAY) is not None
    sent: list[Notice] = []
    outbox.sweep(ledger, lambda notice, _: sent.append(notice), NOON)
    assert len(sent) == 1
    assert ledger.notices.unsent() == []


def test_f123_the_pause_after_a_failure_is_kept_while_the_clock_is_right(ledger, clock):
    key = put(ledger, NOON)
    for _ in range(outbox.MOST_TRIES - 1):
        now = ledger.notices.get(key).due_at
        outbox.deliver(ledger, key, broken, now)
        assert ledger.notices.due(now, 9) == []


# --- pages that are kept ----------------------------------------------------------------------------------------------


def test_f123_the_page_just_written_is_kept_though_the_clock_was_set_back(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    days = [AS_OF + number * DAY for number in range(data_docs.KEPT + 1)]
    for day in days[:-1]:
        data_docs.keep("trip_plan", Interval(day, day + DAY), "run", "<html>")
    for page in (data_docs.settings().artifacts / "data_docs" / "trip_plan").glob("*.html"):
        ahead = datetime.now(UTC).timestamp() + 86_400
        os.utime(page, (ahead, ahead))
    data_docs.keep("trip_plan", Interval(days[-1], days[-1] + DAY), "run", "<html>")
    kept = data_docs.pages(["trip_plan"])
    assert len(kept) == data_docs.KEPT
    assert kept[0].start == f"{days[-1]:%Y-%m-%d}"
