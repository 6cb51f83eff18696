"""Promotion and rollback: one champion, whatever races or crashes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from ledger_fixtures import (
    AS_OF,
    GATES,
    MODEL,
    NOW,
    challenger,
    champion,
    digest_of,
    judged,
    promote,
    request,
    roll_back,
    trained,
)
from sqlalchemy import update

from include.adapters.ledger import (
    BadValue,
    Candidate,
    Conflict,
    DigestBarred,
    DigestMismatch,
    EffectiveTooEarly,
    JourneyUnderWay,
    Ledger,
    NotCleared,
    NothingToRollBackTo,
    OverrideStands,
    ledger_invariants,
)
from include.adapters.ledger.tables import candidates
from include.domain.lifecycle import Event, IllegalTransition, State
from include.domain.promotion import EpochKind, ObstacleKind
from include.domain.verdicts import Verdict

DAY = timedelta(days=1)


def state(ledger: Ledger, candidate: Candidate) -> State:
    return ledger.candidates.get(candidate.candidate_id).state


def test_a_model_has_no_champion_before_its_first_promotion(ledger: Ledger) -> None:
    assert ledger.deployments.champion(MODEL) is None
    assert ledger.deployments.champion_at(MODEL, AS_OF) is None


def test_the_first_promotion_is_recorded_as_a_bootstrap(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    done = promote(ledger, first)
    assert done.changed
    assert (done.epoch.revision, done.epoch.kind, done.epoch.from_candidate) == (1, EpochKind.BOOTSTRAP, None)
    assert done.epoch.cleared_by == {"attempts": {"threshold_gate": 1}, "overridden": {}}
    assert ledger.deployments.champion(MODEL) == done.epoch
    assert state(ledger, first) is State.CHAMPION


def test_a_promotion_retires_the_champion_before(ledger: Ledger) -> None:
    first, second = champion(ledger, "run-1"), champion(ledger, "run-2", days=3)
    assert [state(ledger, c) for c in (first, second)] == [State.RETIRED, State.CHAMPION]
    head = ledger.deployments.champion(MODEL)
    assert head is not None
    assert (head.revision, head.from_candidate, head.to_candidate) == (2, first.candidate_id, second.candidate_id)


def test_a_day_is_scored_by_the_champion_of_its_own_time(ledger: Ledger) -> None:
    first, second = champion(ledger, "run-1"), champion(ledger, "run-2", days=3)
    at = [ledger.deployments.champion_at(MODEL, AS_OF + n * DAY) for n in (-1, 0, 2, 3, 30)]
    assert [e and e.to_candidate for e in at] == [None, *[first.candidate_id] * 2, *[second.candidate_id] * 2]


def test_f072_promoting_again_by_the_same_run_finds_its_own_epoch(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    done = promote(ledger, first)
    again = promote(ledger, first, expected=0)
    assert (again.epoch, again.changed) == (done.epoch, False)
    champion(ledger, "run-2")
    assert promote(ledger, first, expected=0).epoch == done.epoch
    assert len(ledger.deployments.epochs(MODEL)) == 2


def test_a_promotion_over_an_older_revision_conflicts_and_names_the_winner(ledger: Ledger) -> None:
    champion(ledger, "run-1")
    winner = champion(ledger, "run-2")
    late = challenger(ledger, "run-3")
    with pytest.raises(
        Conflict, match=f"expected at revision 1 but it is 2, made by run run-2 with champion {winner.candidate_id}"
    ):
        promote(ledger, late, expected=1)
    assert state(ledger, late) is State.CHALLENGER


def test_f054_the_champions_own_digest_is_a_recorded_no_op(ledger: Ledger) -> None:
    champion(ledger, "run-1")
    twin = challenger(ledger, "run-2", digest=digest_of("run-1"))
    done = promote(ledger, twin)
    assert (done.changed, done.epoch.revision) == (False, 1)
    closed = ledger.candidates.get(twin.candidate_id)
    assert closed.state is State.UNCHANGED
    assert closed.outcome is not None
    assert "nothing was promoted" in closed.outcome
    assert promote(ledger, twin).epoch == done.epoch


def test_f057_an_artifact_that_was_replaced_is_not_promoted(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    with pytest.raises(DigestMismatch, match="Somebody replaced the artifact"):
        promote(ledger, first, digest=digest_of("tampered"))


def test_f057_a_gate_that_saw_another_artifact_clears_nothing(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    ledger.gates.record(first.candidate_id, judged(), digest=digest_of("another"), run_id="run-1")
    first = ledger.candidates.advance(first.candidate_id, Event.REGISTER, actor="test", reason="registered")
    with pytest.raises(NotCleared, match="threshold_gate judged sha256") as caught:
        promote(ledger, first)
    assert [o.kind for o in caught.value.clearance.obstacles] == [ObstacleKind.OTHER_ARTIFACT]


def test_f058_a_gate_recorded_by_another_run_clears_nothing(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    ledger.gates.record(first.candidate_id, judged(), digest=first.facts.artifact_digest, run_id="run-0")
    first = ledger.candidates.advance(first.candidate_id, Event.REGISTER, actor="test", reason="registered")
    with pytest.raises(NotCleared, match="recorded by run run-0, not by run-1"):
        promote(ledger, first)


def test_f059_a_failed_gate_stops_the_promotion_whatever_its_task_shows(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    failed = judged(verdict=Verdict.FAIL)
    ledger.gates.record(first.candidate_id, failed, digest=first.facts.artifact_digest, run_id="run-1")
    with pytest.raises(NotCleared, match=r"threshold_gate is FAIL: roc_auc 0\.55 is outside its bound >= 0\.65"):
        promote(ledger, first)
    assert ledger.deployments.champion(MODEL) is None


def test_a_gate_that_never_ran_stops_the_promotion(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    with pytest.raises(NotCleared, match="champion_gate has not judged the candidate"):
        promote(ledger, first, required_gates=[*GATES, "champion_gate"])


def test_a_live_override_lets_a_failed_gate_pass_and_is_recorded_with_the_epoch(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    ledger.gates.record(
        first.candidate_id, judged(verdict=Verdict.FAIL), digest=first.facts.artifact_digest, run_id="run-1"
    )
    ledger.gates.override(
        first.candidate_id, "threshold_gate", who="ann", why="known outlier", expires_at=NOW + DAY, now=NOW
    )
    done = promote(ledger, first)
    assert done.epoch.cleared_by["overridden"] == {
        "threshold_gate": {"who": "ann", "why": "known outlier", "expires_at": (NOW + DAY).isoformat()}
    }


def test_an_expired_override_no_longer_lets_the_gate_pass(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    ledger.gates.record(
        first.candidate_id, judged(verdict=Verdict.FAIL), digest=first.facts.artifact_digest, run_id="run-1"
    )
    ledger.gates.override(
        first.candidate_id, "threshold_gate", who="ann", why="known outlier", expires_at=NOW + DAY, now=NOW
    )
    with pytest.raises(NotCleared, match="the override by ann expired at 2026-01-02T12:00:00"):
        promote(ledger, first, now=NOW + DAY)


def test_there_is_one_live_override_per_candidate_and_gate(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")

    def give(who: str, at: int = 0) -> object:
        return ledger.gates.override(
            first.candidate_id,
            "slice_gate",
            who=who,
            why="small slice",
            expires_at=NOW + (at + 1) * DAY,
            now=NOW + at * DAY,
        )

    given = give("ann")
    assert give("ann") == given
    with pytest.raises(OverrideStands, match="already overridden by ann"):
        give("bob")
    assert give("bob", at=2) == ledger.gates.live_override(first.candidate_id, "slice_gate", now=NOW + 2 * DAY)
    ledger.gates.withdraw(first.candidate_id, "slice_gate", now=NOW + 2 * DAY)
    assert ledger.gates.live_override(first.candidate_id, "slice_gate", now=NOW + 2 * DAY) is None
    assert [o.who for o in ledger.gates.overrides(first.candidate_id)] == ["ann", "bob"]
    with pytest.raises(BadValue, match="which is past"):
        ledger.gates.override(first.candidate_id, "slice_gate", who="ann", why="late", expires_at=NOW, now=NOW)


@pytest.mark.parametrize("event", [Event.REJECT, Event.FAIL, Event.SUPERSEDE])
def test_a_closed_candidate_is_not_promoted(ledger: Ledger, event: Event) -> None:
    first = challenger(ledger, "run-1")
    ledger.candidates.close(first.candidate_id, event, outcome="no", actor="test")
    with pytest.raises(IllegalTransition, match="'promote' may not happen"):
        promote(ledger, first)


def test_a_rejected_digest_does_not_come_back_as_another_candidate(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    ledger.candidates.close(first.candidate_id, Event.REJECT, outcome="slice_gate failed", actor="test")
    twin = challenger(ledger, "run-2", digest=digest_of("run-1"))
    with pytest.raises(DigestBarred, match=f"was rejected as candidate {first.candidate_id}"):
        promote(ledger, twin)


def test_a_reopened_candidate_is_not_barred_by_its_own_rejection(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    ledger.candidates.close(first.candidate_id, Event.REJECT, outcome="slice_gate failed", actor="test")
    ledger.candidates.reopen(first.candidate_id, actor="ann", reason="override given")
    assert promote(ledger, first).changed


def test_a_promotion_does_not_reach_back_before_the_champion(ledger: Ledger) -> None:
    champion(ledger, "run-1", days=5)
    with pytest.raises(EffectiveTooEarly, match="2013-06-06"):
        promote(ledger, challenger(ledger, "run-2"), days=4)


def test_a_rollback_returns_to_the_champion_before_and_keeps_the_bad_one_out(ledger: Ledger) -> None:
    first, second = champion(ledger, "run-1"), champion(ledger, "run-2", days=3)
    done = roll_back(ledger, "rollback-1", days=5)
    assert (done.epoch.revision, done.epoch.kind, done.epoch.to_candidate) == (
        3,
        EpochKind.ROLLBACK,
        first.candidate_id,
    )
    assert [state(ledger, c) for c in (first, second)] == [State.CHAMPION, State.ROLLED_BACK]
    with pytest.raises(IllegalTransition, match="'promote' may not happen to a candidate that is rolled_back"):
        promote(ledger, second, run_id="by hand")
    with pytest.raises(DigestBarred, match="was rolled_back as candidate"):
        promote(ledger, challenger(ledger, "run-3", digest=digest_of("run-2")), days=6)


def test_a_second_rollback_goes_further_back_and_never_toggles(ledger: Ledger) -> None:
    first, _second, _third = (champion(ledger, f"run-{n}") for n in (1, 2, 3))
    roll_back(ledger, "rollback-1")
    assert roll_back(ledger, "rollback-2").epoch.to_candidate == first.candidate_id
    with pytest.raises(NothingToRollBackTo, match=f"champion {first.candidate_id} is the oldest one left"):
        roll_back(ledger, "rollback-3")


def test_a_promotion_after_a_rollback_falls_back_to_what_the_rollback_restored(ledger: Ledger) -> None:
    first, _second = champion(ledger, "run-1"), champion(ledger, "run-2")
    roll_back(ledger, "rollback-1")
    champion(ledger, "run-3")
    assert roll_back(ledger, "rollback-2").epoch.to_candidate == first.candidate_id


def test_there_is_nothing_to_roll_back_to_without_a_champion(ledger: Ledger) -> None:
    with pytest.raises(NothingToRollBackTo, match="it never had a champion"):
        roll_back(ledger, "rollback-1")


def test_f096_an_automatic_and_a_manual_rollback_make_one_epoch(ledger: Ledger) -> None:
    champion(ledger, "run-1")
    bad = champion(ledger, "run-2")
    done = roll_back(ledger, "automatic", bad_candidate=bad.candidate_id)
    assert roll_back(ledger, "automatic", bad_candidate=bad.candidate_id).epoch == done.epoch
    assert roll_back(ledger, "manual", bad_candidate=bad.candidate_id).epoch == done.epoch
    assert len(ledger.deployments.epochs(MODEL)) == 3


def test_a_rollback_of_somebody_who_is_not_champion_conflicts(ledger: Ledger) -> None:
    first = champion(ledger, "run-1")
    champion(ledger, "run-2")
    with pytest.raises(Conflict, match="made by run run-2"):
        roll_back(ledger, "rollback-1", bad_candidate=first.candidate_id)


def test_f091_a_target_that_does_not_load_is_passed_over(ledger: Ledger) -> None:
    first, second, _third = (champion(ledger, f"run-{n}") for n in (1, 2, 3))
    done = roll_back(ledger, "rollback-1", unusable=[second.candidate_id])
    assert done.epoch.to_candidate == first.candidate_id


def test_a_rollback_does_not_reach_back_before_the_bad_champion(ledger: Ledger) -> None:
    champion(ledger, "run-1")
    champion(ledger, "run-2", days=3)
    assert roll_back(ledger, "rollback-1", days=1).epoch.effective_from == AS_OF + 3 * DAY


# --- races and crashes -----------------------------------------------------------------------------------------------


def _contenders(ledger: Ledger, many: int) -> list[Candidate]:
    """Challengers side by side, as if the one-in-flight rule had been passed by: only the swap may decide."""
    made = []
    for n in range(many):
        made.append(challenger(ledger, f"contender-{n}"))
        with ledger.database.writing() as connection:
            connection.execute(update(candidates).values(live=False))
    return made


def _try(ledger: Ledger, candidate: Candidate, expected: int) -> bool:
    try:
        return promote(ledger, candidate, expected=expected).changed
    except Conflict:
        return False


def _at_once(*calls: Callable[[], object]) -> None:
    """Run the calls in threads that start together; an error in one fails the test."""
    start, errors = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        start.wait()
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the test reports whatever a thread met
            errors.append(error)

    crowd = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert errors == []


def test_f062_of_sixteen_threads_that_promote_over_one_revision_exactly_one_wins(ledger: Ledger) -> None:
    rounds, threads = 50, 16
    waiting = _contenders(ledger, rounds + threads - 1)
    for revision in range(rounds):
        won: list[Candidate] = []
        _at_once(*(partial(_note, won, partial(_try, ledger, c, revision), c) for c in waiting[:threads]))
        assert len(won) == 1
        waiting.remove(won[0])
    assert [e.revision for e in ledger.deployments.epochs(MODEL)] == list(range(1, rounds + 1))
    _reject(ledger, waiting)


def _note(won: list[Candidate], attempt: Callable[[], bool], candidate: Candidate) -> None:
    if attempt():
        won.append(candidate)


def _reject(ledger: Ledger, losers: list[Candidate]) -> None:
    with ledger.database.writing() as connection:
        ids = [c.candidate_id for c in losers]
        connection.execute(update(candidates).where(candidates.c.candidate_id.in_(ids)).values(live=False))
    for loser in losers:
        ledger.candidates.close(loser.candidate_id, Event.REJECT, outcome="Lost the race.", actor="test")


def _race(
    url: str, mine: list[str], rounds: int, start: Barrier, results: multiprocessing.SimpleQueue[tuple[int, str]]
) -> None:
    with Ledger.open(url) as ledger:
        left = [ledger.candidates.get(c) for c in mine]
        for revision in range(rounds):
            start.wait()
            if _try(ledger, left[0], revision):
                results.put((revision, left.pop(0).candidate_id))
            start.wait()


def test_f062_of_four_processes_that_promote_over_one_revision_exactly_one_wins(
    ledger: Ledger, ledger_url: str
) -> None:
    processes, rounds = 4, 50
    all_of_them = _contenders(ledger, processes * (rounds + 1))
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(processes), context.SimpleQueue()
    crowd = [
        context.Process(
            target=_race, args=(ledger_url, [c.candidate_id for c in all_of_them[n::processes]], rounds, start, results)
        )
        for n in range(processes)
    ]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    assert [p.exitcode for p in crowd] == [0] * processes
    won = {}
    while not results.empty():
        revision, winner = results.get()
        assert revision + 1 not in won
        won[revision + 1] = winner
    epochs = ledger.deployments.epochs(MODEL)
    assert {e.revision: e.to_candidate for e in epochs} == won
    assert len(won) == rounds
    _reject(ledger, [c for c in all_of_them if c.candidate_id not in won.values()])


def test_f063_a_promotion_that_races_a_rollback_comes_before_or_after_it(ledger: Ledger) -> None:
    champion(ledger, "run-a")
    for n in range(10):
        bad = champion(ledger, f"bad-{n}")
        head = ledger.deployments.champion(MODEL)
        assert head is not None
        successor = challenger(ledger, f"next-{n}")
        won: list[Candidate] = []
        forward = partial(_try, ledger, successor, head.revision)
        _at_once(partial(_note, won, forward, successor), partial(_note, won, partial(_try_back, ledger, bad), bad))
        assert len(won) == 1
        assert ledger.deployments.epochs(MODEL)[-1].revision == head.revision + 1
        ledger.candidates.close(successor.candidate_id, Event.REJECT, outcome="Lost the race.", actor="test")
    assert ledger_invariants(ledger) == []


def _try_back(ledger: Ledger, bad: Candidate) -> bool:
    try:
        return roll_back(ledger, f"back from {bad.run_id}", bad_candidate=bad.candidate_id).changed
    except Conflict:
        return False


def test_only_one_of_many_threads_opens_a_journey(ledger: Ledger) -> None:
    opened: list[Candidate] = []
    refused: list[str] = []

    def open_it(run_id: str) -> None:
        try:
            opened.append(ledger.candidates.open(request(run_id)))
        except JourneyUnderWay as error:
            refused.append(error.candidate_id)

    _at_once(*(partial(open_it, f"run-{n}") for n in range(8)))
    assert refused == [opened[0].candidate_id] * 7


def test_f040_one_gate_recorded_by_many_threads_is_recorded_once(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    record = partial(ledger.gates.record, first.candidate_id, judged(), digest="sha256:x", run_id="run-1")
    _at_once(*[record] * 8)
    assert [g.attempts for g in ledger.explain(first.candidate_id).gates] == [1]


def test_attempts_handed_out_at_once_are_all_different(ledger: Ledger) -> None:
    tokens: list[int] = []
    _at_once(*[lambda: tokens.append(ledger.next_attempt("scope").token)] * 8)
    assert sorted(tokens) == list(range(1, 9))


STEP = """
import sys
sys.path.insert(0, sys.argv[3])
from ledger_fixtures import MODEL, promote, roll_back
from include.adapters.ledger import Ledger
with Ledger.open(sys.argv[1]) as ledger:
    if sys.argv[2] == "promote":
        promote(ledger, ledger.candidates.of_run(MODEL, "run-2"), expected=1)
    else:
        roll_back(ledger, "rollback-1")
"""
PROMOTING = ("promote.history", "promote.swapped", "retire.set", "promote.retired", "promote.set", "promote.written")
ROLLING_BACK = ("rollback.history", "rollback.swapped", "roll_back.set", "rollback.taken_out", "restore.set")
POINTS = [("promote", point) for point in (*PROMOTING, "promote.committed")]
POINTS += [("rollback", point) for point in (*ROLLING_BACK, "rollback.written", "rollback.committed")]


@pytest.mark.parametrize(("step", "point"), POINTS)
def test_f061_a_kill_between_any_two_writes_is_harmless_after_a_retry(
    ledger: Ledger, ledger_url: str, step: str, point: str
) -> None:
    first = champion(ledger, "run-1")
    second = challenger(ledger, "run-2")
    if step == "rollback":
        promote(ledger, second)
    before = ledger.deployments.epochs(MODEL)
    ledger.close()  # no connection of ours may hold a lock while the other process dies

    def run(**environment: str) -> int:
        command = [sys.executable, "-c", STEP, ledger_url, step, str(Path(__file__).parent)]
        return subprocess.run(command, env=os.environ | environment).returncode

    assert run(FAULT_CRASH=f"ledger.{point}") == -signal.SIGKILL
    assert ledger_invariants(ledger) == []
    assert ledger.deployments.epochs(MODEL)[: len(before)] == before
    assert run() == 0
    head = ledger.deployments.champion(MODEL)
    assert head is not None
    assert (head.revision, head.to_candidate) == (
        (2, second.candidate_id) if step == "promote" else (3, first.candidate_id)
    )
