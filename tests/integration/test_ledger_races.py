"""Promotions and rollbacks at once, in threads and in processes, and killed between any two writes: one champion."""

from __future__ import annotations

import itertools
import multiprocessing
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.synchronize import Barrier

import pytest
from forking import KILLED, Forking
from ledger_fixtures import (
    AN_INCIDENT,
    AS_OF,
    MODEL,
    NOW,
    an_incident_step,
    an_open_incident,
    an_operator,
    challenger,
    champion,
    judged,
    promote,
    request,
    roll_back,
    trained,
)
from sqlalchemy import insert, select, update

from include.adapters.ledger import (
    Candidate,
    Conflict,
    IncidentChanged,
    IncidentOver,
    IncidentRequest,
    IncidentSteps,
    JourneyUnderWay,
    Ledger,
    RetrainAction,
    ledger_invariants,
    tables,
)
from include.domain.authority import OPERATORS
from include.domain.incident import Closing, Stage
from include.domain.incident_log import IncidentEventKind
from include.domain.journey import Trigger
from include.domain.lifecycle import Event, JourneyRequest, State

ROUNDS = 200
CONTENDERS = 3


def contenders(ledger: Ledger, model: str, rounds: int, many: int = CONTENDERS) -> list[list[Candidate]]:
    """For each round challengers side by side, as if the one-in-flight rule had been passed by: only the swap may
    decide. They are copies of one honest challenger's rows under other ids."""
    first = challenger(ledger, f"{model}-seed", model=model)
    made: list[list[str]] = []
    with ledger.database.writing() as connection:
        connection.execute(update(tables.candidates).values(live=False))
        rows = {
            table: [dict(r) for r in connection.execute(select(table).where(mine == first.candidate_id)).mappings()]
            for table in (tables.candidates, tables.journey_causes, tables.candidate_transitions, tables.gate_results)
            for mine in (table.c.candidate_id,)
        }
        for n in range(rounds):
            made.append([f"{model}-{n}-{k}" for k in range(many)])
            for name, (table, found) in itertools.product(made[-1], rows.items()):
                own = {"candidate_id": name, "run_id": f"run of {name}", "artifact_digest": f"digest of {name}"}
                own |= {"digest": own["artifact_digest"]}
                connection.execute(insert(table), [row | {k: v for k, v in own.items() if k in row} for row in found])
    reject(ledger, first)
    return [[ledger.candidates.get(name) for name in names] for names in made]


def reject(ledger: Ledger, loser: Candidate) -> None:
    ledger.candidates.close(loser.candidate_id, Event.REJECT, outcome="Lost the race.", actor="test")


def wins(ledger: Ledger, candidate: Candidate, expected: int) -> bool:
    """Promote over the expected revision; a loser is closed, as its journey would be."""
    try:
        return promote(ledger, candidate, expected=expected).changed
    except Conflict:
        reject(ledger, candidate)
        return False


def goes_back(ledger: Ledger, bad: Candidate) -> bool:
    try:
        return roll_back(ledger, f"back from {bad.run_id}", bad_candidate=bad.candidate_id).changed
    except Conflict:
        return False


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Run the calls in threads that start together; what each returned. An error in one fails the test."""
    start, errors = threading.Barrier(len(calls)), []
    answers: list[object] = [None] * len(calls)

    def run(place: int, call: Callable[[], object]) -> None:
        start.wait()
        try:
            answers[place] = call()
        except Exception as error:  # noqa: BLE001 - the test reports whatever a thread met
            errors.append(error)

    crowd = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert errors == []
    return answers


# --- processes that meet at a barrier ---------------------------------------------------------------------------------


def _compete(url: str, me: int, rounds: list[list[str]], start: Barrier, results: multiprocessing.SimpleQueue) -> None:
    """Process ``me`` promotes its contender of each round over the revision that the round is about."""
    with Ledger.open(url) as ledger:
        mine = [ledger.candidates.get(names[me]) for names in rounds]
        for revision, candidate in enumerate(mine):
            start.wait()
            results.put((revision, me, wins(ledger, candidate, revision)))


def _compete_with_a_rollback(
    url: str, me: int, rounds: list[list[str]], start: Barrier, results: multiprocessing.SimpleQueue
) -> None:
    """Process 0 promotes in each round, process 1 rolls the champion of the moment back."""
    with Ledger.open(url) as ledger:
        for n, (bad, successor) in enumerate(rounds):
            start.wait()
            head = ledger.deployments.champion(ledger.candidates.get(bad).model)
            revision = head.revision if head else 0
            if me == 1:  # both look before either acts, so that they race over one revision
                start.wait()
                results.put((n, me, goes_back(ledger, ledger.candidates.get(bad))))
            else:
                start.wait()
                results.put((n, me, wins(ledger, ledger.candidates.get(successor), revision)))
            start.wait()
            if me == 0 and n + 1 < len(rounds):
                head = ledger.deployments.champion(ledger.candidates.get(bad).model)
                promote(ledger, ledger.candidates.get(rounds[n + 1][0]), expected=head.revision if head else 0)


def race(
    target: Callable[..., None], url: str, rounds: list[list[Candidate]], many: int
) -> list[tuple[int, int, bool]]:
    """Let ``many`` processes run ``target`` in step; what they reported."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(many), context.SimpleQueue()
    names = [[c.candidate_id for c in each] for each in rounds]
    crowd = [context.Process(target=target, args=(url, me, names, start, results)) for me in range(many)]
    for process in crowd:
        process.start()
    said = [results.get() for _ in range(len(rounds) * many)]
    for process in crowd:
        process.join()
    assert [p.exitcode for p in crowd] == [0] * many
    return said


def winners(said: list[tuple[int, int, bool]]) -> dict[int, list[int]]:
    """Who won each round."""
    found: dict[int, list[int]] = {n: [] for n, _, _ in said}
    for n, who, won in said:
        if won:
            found[n].append(who)
    return found


# --- promotion against promotion --------------------------------------------------------------------------------------


def test_f062_of_three_threads_that_promote_over_one_revision_exactly_one_wins_200_times(ledger: Ledger) -> None:
    for revision, each in enumerate(contenders(ledger, MODEL, ROUNDS)):
        assert sum(map(bool, at_once(*(partial(wins, ledger, c, revision) for c in each)))) == 1, revision
    assert [e.revision for e in ledger.deployments.epochs(MODEL)] == list(range(1, ROUNDS + 1))


@pytest.mark.slow
def test_f062_of_three_processes_that_promote_over_one_revision_exactly_one_wins_200_times(
    ledger: Ledger, ledger_url: str
) -> None:
    rounds = contenders(ledger, MODEL, ROUNDS)
    won = winners(race(_compete, ledger_url, rounds, CONTENDERS))
    assert {n: len(who) for n, who in won.items()} == dict.fromkeys(range(ROUNDS), 1)
    epochs = ledger.deployments.epochs(MODEL)
    assert [e.to_candidate for e in epochs] == [rounds[n][who[0]].candidate_id for n, who in sorted(won.items())]
    assert [e.revision for e in epochs] == list(range(1, ROUNDS + 1))


# --- promotion against rollback ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_f063_a_promotion_that_races_a_rollback_in_another_process_comes_before_or_after_it(
    ledger: Ledger, ledger_url: str
) -> None:
    rounds = contenders(ledger, MODEL, 50, 2)
    champion(ledger, "the good one")
    promote(ledger, rounds[0][0])
    won = winners(race(_compete_with_a_rollback, ledger_url, rounds, 2))
    assert {n: len(who) for n, who in won.items()} == dict.fromkeys(range(50), 1)


@dataclass(frozen=True)
class Seen:
    """One read or change: when it began and ended, and the revision it saw or made."""

    began: float
    ended: float
    revision: int


def test_f063_whatever_races_readers_see_the_epochs_in_their_order(ledger: Ledger) -> None:
    good = champion(ledger, "the good one")
    seen: list[Seen] = []
    over = threading.Event()

    def timed(call: Callable[[], int]) -> None:
        began = time.monotonic()
        revision = call()
        seen.append(Seen(began, time.monotonic(), revision))

    def head() -> int:
        found = ledger.deployments.champion(MODEL)
        return found.revision if found else 0

    readers = [threading.Thread(target=lambda: [timed(head) for _ in iter(over.is_set, True)]) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for bad, successor in contenders(ledger, MODEL, 20, 2):
            timed(lambda c=bad: promote(ledger, c).epoch.revision)
            before = head()
            won = at_once(partial(wins, ledger, successor, before), partial(goes_back, ledger, bad))
            assert sorted(map(bool, won)) == [False, True]
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert len(seen) > 40
    by_end = sorted(seen, key=lambda s: s.ended)
    highest, ended = 0, iter(by_end)
    waiting = next(ended)
    for each in sorted(seen, key=lambda s: s.began):
        while waiting is not None and waiting.ended < each.began:
            highest, waiting = max(highest, waiting.revision), next(ended, None)
        assert each.revision >= highest, "an operation saw an older champion than one that had ended before it began"
    assert ledger.candidates.get(good.candidate_id).state in (State.CHAMPION, State.RETIRED)


# --- other things done at once ----------------------------------------------------------------------------------------


def test_only_one_of_many_threads_opens_a_journey(ledger: Ledger) -> None:
    opened: list[Candidate] = []
    refused: list[str] = []

    def open_it(run_id: str) -> None:
        try:
            opened.append(ledger.candidates.open(request(run_id)))
        except JourneyUnderWay as error:
            refused.append(error.candidate_id)

    at_once(*(partial(open_it, f"run-{n}") for n in range(8)))
    assert refused == [opened[0].candidate_id] * 7


def test_f105_of_drift_schedule_and_api_at_once_one_opens_a_journey_that_keeps_all_three_as_causes(
    ledger: Ledger,
) -> None:
    asks = [
        replace(request(trigger.value), trigger=trigger) for trigger in (Trigger.DRIFT, Trigger.SCHEDULE, Trigger.API)
    ]
    for day in range(10):
        opened: list[Candidate] = []

        def ask(each: JourneyRequest, opened: list[Candidate] = opened) -> None:
            with suppress(JourneyUnderWay):
                opened.append(ledger.candidates.open(each))

        at_once(*(partial(ask, replace(each, run_id=f"{each.run_id}-{day}")) for each in asks))
        (mine,) = opened
        causes = ledger.explain(mine.candidate_id).causes
        assert causes[0].request == mine.request
        assert {c.request.trigger for c in causes} == {Trigger.DRIFT, Trigger.SCHEDULE, Trigger.API}
        assert [c.number for c in causes] == [1, 2, 3]
        ledger.candidates.close(mine.candidate_id, Event.FAIL, outcome="over", actor="test")


def test_f040_one_gate_recorded_by_many_threads_is_recorded_once(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    record = partial(ledger.gates.record, first.candidate_id, judged(), digest="sha256:x", run_id="run-1")
    at_once(*[record] * 8)
    assert [g.attempts for g in ledger.explain(first.candidate_id).gates] == [1]


def test_attempts_handed_out_at_once_are_all_different(ledger: Ledger) -> None:
    tokens: list[int] = []
    at_once(*[lambda: tokens.append(ledger.next_attempt("scope").token)] * 8)
    assert sorted(tokens) == list(range(1, 9))


# --- killed -----------------------------------------------------------------------------------------------------------

PROMOTING = ("promote.history", "promote.swapped", "retire.set", "promote.retired", "promote.set", "promote.written")
ROLLING_BACK = ("rollback.history", "rollback.swapped", "roll_back.set", "rollback.taken_out", "restore.set")
POINTS = [("promote", point) for point in (*PROMOTING, "promote.committed")]
POINTS += [("rollback", point) for point in (*ROLLING_BACK, "rollback.written", "rollback.committed")]


@pytest.mark.parametrize(("step", "point"), POINTS)
def test_f061_a_kill_between_any_two_writes_is_harmless_after_a_retry(
    ledger: Ledger, ledger_url: str, forking: Forking, step: str, point: str
) -> None:
    first = champion(ledger, "run-1")
    second = challenger(ledger, "run-2")
    if step == "rollback":
        promote(ledger, second)
    before = ledger.deployments.epochs(MODEL)
    ledger.close()  # no connection of ours may hold a lock while the other process dies
    assert forking.run("ledger_fixtures:take", ledger_url, step, FAULT_CRASH=f"ledger.{point}") == KILLED
    assert ledger_invariants(ledger) == []
    assert ledger.deployments.epochs(MODEL)[: len(before)] == before
    assert forking.run("ledger_fixtures:take", ledger_url, step) == 0
    head = ledger.deployments.champion(MODEL)
    assert head is not None
    assert (head.revision, head.to_candidate) == (
        (2, second.candidate_id) if step == "promote" else (3, first.candidate_id)
    )


# --- incidents --------------------------------------------------------------------------------------------------------


def test_acts_that_race_the_sensor_all_count_or_are_told_that_it_is_over(ledger: Ledger) -> None:
    """The sensor closes the incident on its last day while a person snoozes it again and again."""
    days = [f"2013-06-{day:02}" for day in range(2, 22)]
    key = an_open_incident(ledger)
    over = replace(AN_INCIDENT, stage=Stage.RECOVERING, serving="b", risk=0.11)
    over = over.closed(days[-1], Closing.RECOVERED, "Back in the band.")

    def decides() -> int:
        tries = 0
        for day in days:
            report = ledger.drift.report(MODEL, "1", day, {"share": 0.1}, run_id=f"drift-{day}")
            after, done = (over if day == days[-1] else AN_INCIDENT), False
            while not done:
                tries += 1
                seen = ledger.incidents.before(MODEL, day)
                steps = IncidentSteps(seen, [an_incident_step(AN_INCIDENT, after)], AS_OF)
                try:
                    ledger.drift.decide(
                        report.report_id, RetrainAction.LOG, rule="0", reason="quiet", numbers={}, incidents=steps
                    )
                    done = True
                except IncidentChanged:
                    done = False
        return tries

    def snoozes() -> int:
        for done in range(60):
            asked = IncidentRequest(key, IncidentEventKind.SNOOZED, "Known", f"2013-07-{done % 30 + 1:02}")
            try:
                ledger.incidents.act(asked, by=an_operator("ada"), approvers=OPERATORS, now=NOW)
            except IncidentOver:
                return done
        return 60

    tries, snoozed = at_once(decides, snoozes)
    kinds = [e.kind for e in ledger.incidents.events(key)]
    assert kinds.count(IncidentEventKind.SNOOZED) == snoozed
    assert kinds.count(IncidentEventKind.CLOSED) == 1
    assert tries >= len(days)
    assert not ledger.incidents.get(key).is_open
    assert len(ledger.drift.decisions(MODEL)) == len(days) + 1
