"""A candidate's share of live traffic: anybody lowers it, only a verdict raises it, and the route says the same."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from ledger_fixtures import (
    AS_OF,
    GATES,
    MODEL,
    NOW,
    an_operator,
    challenger,
    champion,
    judged,
    promote,
    roll_back,
    trained,
)
from rollout_world import LEASE_S, PLAN, asked, beside_a_champion, finished, judged_step, opened, pass_step, said
from sqlalchemy import insert, update

from include.adapters.ledger import (
    BadValue,
    Conflict,
    DigestBarred,
    DigestMismatch,
    Ledger,
    NoRollout,
    NotCleared,
    NotJudged,
    RolloutOver,
    RolloutRecord,
    RolloutUnderWay,
    RolloutUnfinished,
    RouteRecord,
    ledger_invariants,
    tables,
)
from include.adapters.ledger.database import clock
from include.adapters.ledger.invariants import shares_in
from include.domain.authority import OPERATORS, MayNotDecide, Person
from include.domain.canary.rollout import NotOfARollout, RolloutEvent, RolloutStage
from include.domain.lifecycle import Event, IllegalTransition, State
from include.domain.verdicts import Verdict

FIRST, SECOND = (step.share_ppm for step in PLAN.steps)
ADA = an_operator("ada")


class TakenBack(Exception):
    """Ends a transaction of which nothing is kept: events cannot be deleted."""


def route(ledger: Ledger) -> RouteRecord:
    found = ledger.routes.of(MODEL)
    assert found is not None
    return found


def lower(ledger: Ledger, rollout: RolloutRecord, event: RolloutEvent, key: str = "lower") -> RolloutRecord:
    return ledger.rollouts.lower(rollout.candidate_id, rollout.number, event, said(key, "5 of 20 rows failed"))


def lease_over(ledger: Ledger) -> None:
    with ledger.database.writing() as connection:
        connection.execute(update(tables.routes).values(renewed_at=clock() - timedelta(seconds=LEASE_S)))


class TestPassedRollout:
    def test_a_lease_that_ran_out_after_the_last_step_is_no_obstacle(self, ledger: Ledger) -> None:
        rollout = finished(ledger, opened(ledger, beside_a_champion(ledger)))
        lease_over(ledger)
        assert ledger.rollouts.expire(rollout.candidate_id, rollout.number, "keeper")
        assert promote(ledger, ledger.candidates.get(rollout.candidate_id), expected_revision=1).epoch.revision == 2

    def test_one_that_was_held_after_its_last_step_is_not_promoted(self, ledger: Ledger) -> None:
        rollout = finished(ledger, opened(ledger, beside_a_champion(ledger)))
        lower(ledger, rollout, RolloutEvent.HOLD)
        with pytest.raises(RolloutUnfinished, match="is held"):
            promote(ledger, ledger.candidates.get(rollout.candidate_id), expected_revision=1)


class TestOpenedRollout:
    def test_a_candidate_without_one_has_none(self, ledger: Ledger) -> None:
        first = challenger(ledger, "run-1")
        assert ledger.rollouts.of(first.candidate_id) == []
        assert ledger.rollouts.newest(MODEL) is None
        with pytest.raises(NoRollout, match="There is no rollout 1"):
            ledger.rollouts.lower(first.candidate_id, 1, RolloutEvent.TRIP, said("x"))
        assert ledger.rollouts.renew(first.candidate_id, 1) is False
        assert ledger.rollouts.expire(first.candidate_id, 1, "keeper") is False

    def test_the_route_has_its_first_share_its_salt_and_its_lease(self, ledger: Ledger) -> None:
        before = champion(ledger, "run-1")
        rollout = opened(ledger, challenger(ledger, "run-2"))
        now = route(ledger)
        assert (now.canary_id, now.share_ppm, now.number, now.salt, now.lease_s) == (
            rollout.candidate_id,
            FIRST,
            1,
            rollout.salt,
            LEASE_S,
        )
        assert (now.route_revision, now.revision, now.champion_id) == (2, 1, before.candidate_id)
        assert (rollout.plan, rollout.champion_id, rollout.champion_revision) == (PLAN, before.candidate_id, 1)
        assert ledger.rollouts.newest(MODEL) == rollout == ledger.rollouts.of(rollout.candidate_id)[0]
        assert len(rollout.salt) == 32

    def test_a_retry_of_its_run_finds_it_and_changes_nothing(self, ledger: Ledger) -> None:
        second = beside_a_champion(ledger)
        assert opened(ledger, second) == opened(ledger, second)
        assert route(ledger).route_revision == 2

    def test_what_blocks_a_promotion_blocks_its_first_share(self, ledger: Ledger) -> None:
        champion(ledger, "run-1")
        second = challenger(ledger, "run-2")
        failed = judged(verdict=Verdict.FAIL)
        ledger.gates.record(second.candidate_id, failed, digest=second.facts.artifact_digest, run_id="run-2")
        with pytest.raises(NotCleared, match="threshold_gate"):
            opened(ledger, second)
        assert route(ledger).canary_id is None

    def test_a_champion_that_changed_and_another_file_are_refused(self, ledger: Ledger) -> None:
        second = beside_a_champion(ledger)
        with pytest.raises(Conflict):
            opened(ledger, second, expected_revision=0)
        with pytest.raises(DigestMismatch):
            opened(ledger, second, digest="another")
        with pytest.raises(BadValue, match="A lease of 0 s"):
            opened(ledger, second, lease_s=0)

    def test_one_that_is_not_registered_or_is_champion_takes_none(self, ledger: Ledger) -> None:
        first = champion(ledger, "run-1")
        with pytest.raises(RolloutOver, match="is champion, so its rollout is over; roll it back instead"):
            opened(ledger, first)
        with pytest.raises(IllegalTransition):
            opened(ledger, trained(ledger, "run-2"))

    def test_without_a_champion_there_is_nothing_to_share_with(self, ledger: Ledger) -> None:
        with pytest.raises(Conflict):
            opened(ledger, challenger(ledger, "run-1"), expected_revision=1)

    def test_the_champions_own_file_needs_no_rollout(self, ledger: Ledger) -> None:
        promote(ledger, challenger(ledger, "run-1", digest="d1"))
        with pytest.raises(RolloutOver, match="is the champion's own file"):
            opened(ledger, challenger(ledger, "run-2", digest="d1"))


class TestGrowingShare:
    def test_it_grows_by_a_pass_on_each_step_and_then_may_be_promoted(self, ledger: Ledger) -> None:
        second = beside_a_champion(ledger)
        rollout = pass_step(ledger, opened(ledger, second))
        assert (rollout.state.step, route(ledger).share_ppm, route(ledger).salt) == (1, SECOND, rollout.salt)
        with pytest.raises(RolloutUnfinished, match=r"is running, at step 2"):
            promote(ledger, second)
        rollout = pass_step(ledger, rollout)
        assert (rollout.state.stage, route(ledger).share_ppm) == (RolloutStage.FINISHED, SECOND)
        promote(ledger, second)
        now = route(ledger)
        assert (now.champion_id, now.canary_id, now.share_ppm) == (second.candidate_id, None, 0)
        assert [e.event.value for e in ledger.rollouts.of(second.candidate_id)[0].events] == ["open", "step", "finish"]

    def test_f088_it_never_has_another_share_than_a_declared_one(self, ledger: Ledger) -> None:
        rollout = finished(ledger, opened(ledger, beside_a_champion(ledger)))
        assert [e.state.share_ppm for e in rollout.events] == [FIRST, SECOND, SECOND]
        with pytest.raises(NotOfARollout):
            ledger.rollouts.passed(rollout.candidate_id, 1, attempt=2, said=said("once more"))

    @pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
    def test_no_other_verdict_lets_it_grow(self, ledger: Ledger, verdict: Verdict) -> None:
        rollout = opened(ledger, beside_a_champion(ledger))
        attempt = judged_step(ledger, rollout, verdict=verdict)
        with pytest.raises(NotJudged, match=f"attempt 1 is {verdict.value}. Only a PASS of canary_gate on step 1"):
            ledger.rollouts.passed(rollout.candidate_id, 1, attempt=attempt, said=said("x"))
        assert route(ledger).share_ppm == FIRST

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"digest": "another"}, "saw another file"),
            ({"step": 1}, "is about step 1 of rollout 1"),
            ({"number": 2}, "is about step 0 of rollout 2"),
        ],
    )
    def test_a_verdict_on_something_else_does_not(self, ledger: Ledger, change: dict, why: str) -> None:
        rollout = opened(ledger, beside_a_champion(ledger))
        attempt = judged_step(ledger, rollout, **change)
        with pytest.raises(NotJudged, match=why):
            ledger.rollouts.passed(rollout.candidate_id, 1, attempt=attempt, said=said("x"))

    def test_f092_a_pass_before_a_newer_verdict_is_none(self, ledger: Ledger) -> None:
        rollout = opened(ledger, beside_a_champion(ledger))
        attempt = judged_step(ledger, rollout)
        judged_step(ledger, rollout, verdict=Verdict.FAIL)
        with pytest.raises(NotJudged, match="attempt 1 is not the newest of canary_gate"):
            ledger.rollouts.passed(rollout.candidate_id, 1, attempt=attempt, said=said("x"))

    def test_one_verdict_is_used_once(self, ledger: Ledger) -> None:
        rollout = opened(ledger, beside_a_champion(ledger))
        attempt = judged_step(ledger, rollout)
        one = ledger.rollouts.passed(rollout.candidate_id, 1, attempt=attempt, said=said("x"))
        assert ledger.rollouts.passed(rollout.candidate_id, 1, attempt=attempt, said=said("x")) == one
        with pytest.raises(NotJudged, match="is about step 0"):
            ledger.rollouts.passed(rollout.candidate_id, 1, attempt=attempt, said=said("another key"))


class TestLoweredShare:
    def test_a_trip_takes_it_away_rejects_the_candidate_and_keeps_its_file_out(self, ledger: Ledger) -> None:
        second = beside_a_champion(ledger)
        rollout = lower(ledger, opened(ledger, second), RolloutEvent.TRIP)
        now = route(ledger)
        assert (rollout.state.stage, now.canary_id, now.share_ppm, now.champion_id) == (
            RolloutStage.TRIPPED,
            None,
            0,
            rollout.champion_id,
        )
        assert ledger.candidates.get(second.candidate_id).state is State.REJECTED
        again = challenger(ledger, "run-3", digest=str(second.facts.artifact_digest))
        with pytest.raises(DigestBarred):
            opened(ledger, again)

    def test_f096_two_guards_and_a_person_make_one_event(self, ledger: Ledger) -> None:
        rollout = opened(ledger, beside_a_champion(ledger))
        first = lower(ledger, rollout, RolloutEvent.TRIP, "this host")
        assert lower(ledger, rollout, RolloutEvent.TRIP, "another host") == first
        by = {"by": ADA, "approvers": OPERATORS, "said": said("a person")}
        assert ledger.rollouts.abort(rollout.candidate_id, 1, **by) == first
        assert [e.event.value for e in first.events] == ["open", "trip"]

    def test_what_is_held_comes_back_to_its_own_share_by_who_may_decide(self, ledger: Ledger) -> None:
        rollout = pass_step(ledger, opened(ledger, beside_a_champion(ledger)))
        held = lower(ledger, rollout, RolloutEvent.HOLD)
        assert (held.state.stage, route(ledger).share_ppm) == (RolloutStage.HELD, 0)
        assert route(ledger).canary_id == rollout.candidate_id
        assert lower(ledger, rollout, RolloutEvent.HOLD, "again") == held
        with pytest.raises(NotOfARollout):
            pass_step(ledger, held)
        with pytest.raises(MayNotDecide):
            ledger.rollouts.resume(rollout.candidate_id, 1, by=Person("eve"), approvers=OPERATORS, said=said("resumed"))
        back = ledger.rollouts.resume(rollout.candidate_id, 1, by=ADA, approvers=OPERATORS, said=said("resumed"))
        assert (back.state.stage, back.state.step, route(ledger).share_ppm) == (RolloutStage.RUNNING, 1, SECOND)
        assert route(ledger).salt == rollout.salt

    def test_a_person_who_may_decide_ends_it(self, ledger: Ledger) -> None:
        second = beside_a_champion(ledger)
        rollout = opened(ledger, second)
        with pytest.raises(MayNotDecide):
            ledger.rollouts.abort(second.candidate_id, 1, by=Person("eve"), approvers=OPERATORS, said=said("x"))
        assert route(ledger).share_ppm == FIRST
        ended = ledger.rollouts.abort(second.candidate_id, 1, by=ADA, approvers=OPERATORS, said=said("x"))
        assert (ended.state.stage, rollout.number) == (RolloutStage.ABORTED, 1)
        assert ledger.candidates.get(second.candidate_id).state is State.REJECTED

    def test_nothing_else_lowers(self, ledger: Ledger) -> None:
        rollout = opened(ledger, beside_a_champion(ledger))
        with pytest.raises(BadValue, match="step does not lower a share"):
            lower(ledger, rollout, RolloutEvent.STEP)

    def test_f149_a_guard_that_comes_after_the_promotion_is_told_to_roll_back(self, ledger: Ledger) -> None:
        second = beside_a_champion(ledger)
        rollout = finished(ledger, opened(ledger, second))
        promote(ledger, second)
        with pytest.raises(RolloutOver, match="is champion, so its rollout is over; roll it back instead"):
            lower(ledger, rollout, RolloutEvent.TRIP)
        assert route(ledger).champion_id == second.candidate_id

    @pytest.mark.parametrize("event", [RolloutEvent.TRIP, RolloutEvent.HOLD])
    def test_one_that_passed_every_step_and_was_lowered_is_not_promoted(
        self, ledger: Ledger, event: RolloutEvent
    ) -> None:
        second = beside_a_champion(ledger)
        lower(ledger, finished(ledger, opened(ledger, second)), event)
        with pytest.raises((RolloutUnfinished, IllegalTransition)):
            promote(ledger, second)


class TestLeaseOfARollout:
    def test_renewing_keeps_the_share_and_no_revision_passes(self, ledger: Ledger) -> None:
        rollout = opened(ledger, beside_a_champion(ledger))
        before = route(ledger)
        assert ledger.rollouts.renew(rollout.candidate_id, 1) is True
        now = route(ledger)
        assert now.renewed_at is not None
        assert before.renewed_at is not None
        assert now.renewed_at >= before.renewed_at
        assert (now.route_revision, now.share_ppm) == (before.route_revision, FIRST)
        assert ledger.rollouts.expire(rollout.candidate_id, 1, "keeper") is False

    def test_f095_without_a_renewal_the_share_ends_and_is_taken_up_at_the_same_step(self, ledger: Ledger) -> None:
        rollout = pass_step(ledger, opened(ledger, beside_a_champion(ledger)))
        lease_over(ledger)
        assert ledger.rollouts.expire(rollout.candidate_id, 1, "keeper") is True
        assert ledger.rollouts.expire(rollout.candidate_id, 1, "another keeper") is False
        assert route(ledger).share_ppm == 0
        back = ledger.rollouts.take_up(rollout.candidate_id, 1, said("journey goes on"))
        assert (back.state.stage, back.state.step, route(ledger).share_ppm) == (RolloutStage.RUNNING, 1, SECOND)
        assert ledger.rollouts.renew(rollout.candidate_id, 1) is True

    def test_a_renewal_that_comes_too_late_brings_nothing_back(self, ledger: Ledger) -> None:
        rollout = opened(ledger, beside_a_champion(ledger))
        lease_over(ledger)
        assert ledger.rollouts.renew(rollout.candidate_id, 1) is False
        assert route(ledger).share_ppm == 0
        assert ledger.rollouts.of(rollout.candidate_id)[0].state.stage is RolloutStage.EXPIRED

    def test_what_a_person_holds_is_not_taken_up(self, ledger: Ledger) -> None:
        rollout = lower(ledger, opened(ledger, beside_a_champion(ledger)), RolloutEvent.HOLD)
        assert ledger.rollouts.take_up(rollout.candidate_id, 1, said("journey")).state.stage is RolloutStage.HELD
        assert route(ledger).share_ppm == 0


class TestEndedRollout:
    def test_f152_a_rollback_of_the_champion_ends_it_first(self, ledger: Ledger) -> None:
        champion(ledger, "run-0")
        promote(ledger, challenger(ledger, "run-1"))
        second = challenger(ledger, "run-2")
        opened(ledger, second, expected_revision=2)
        roll_back(ledger, "rollback-1")
        rollout = ledger.rollouts.of(second.candidate_id)[0]
        assert (rollout.state.stage, route(ledger).canary_id, route(ledger).revision) == (RolloutStage.ABORTED, None, 3)
        assert rollout.events[-1].reason.startswith("The champion changed to ")
        assert ledger.candidates.get(second.candidate_id).state is State.CHALLENGER
        with pytest.raises(RolloutUnfinished):
            promote(ledger, second)
        assert opened(ledger, second, expected_revision=3, run_id="again").number == 2

    @pytest.mark.parametrize("event", [Event.REJECT, Event.FAIL, Event.SUPERSEDE])
    def test_a_journey_that_ends_leaves_no_share(self, ledger: Ledger, event: Event) -> None:
        second = beside_a_champion(ledger)
        opened(ledger, second)
        ledger.candidates.close(second.candidate_id, event, outcome="it ended", actor="journey")
        assert (route(ledger).canary_id, route(ledger).share_ppm) == (None, 0)
        assert ledger.rollouts.of(second.candidate_id)[0].state.stage is RolloutStage.ABORTED

    def test_f094_a_person_who_rejects_it_ends_it_and_another_may_begin(self, ledger: Ledger) -> None:
        second = beside_a_champion(ledger)
        opened(ledger, second)
        ledger.candidates.reject(second.candidate_id, by=ADA, approvers=OPERATORS, why="another is better")
        assert route(ledger).share_ppm == 0
        third = opened(ledger, challenger(ledger, "run-3"))
        assert (route(ledger).canary_id, third.number) == (third.candidate_id, 1)


class TestInvariantsOfRollouts:
    def test_i2_a_share_that_is_not_the_rollouts_is_named(self, ledger: Ledger) -> None:
        opened(ledger, beside_a_champion(ledger))
        with ledger.database.writing() as connection:
            connection.execute(update(tables.routes).values(share_ppm=500_000))
        (broken,) = ledger_invariants(ledger)
        assert broken.endswith(f"has a share of {FIRST}, and the route 500000, of a million.")
        with ledger.database.writing() as connection:
            connection.execute(update(tables.routes).values(share_ppm=FIRST))

    def test_i4_a_share_that_grew_without_a_verdict_is_named(self, ledger: Ledger) -> None:
        second = beside_a_champion(ledger)
        rollout = opened(ledger, second)
        event = {"candidate_id": rollout.candidate_id, "number": 1, "seq": 2, "kind": "step", "stage": "running"}
        event |= {"step": 1, "share_ppm": SECOND, "actor": "x", "reason": "x", "event_key": "x", "recorded_at": AS_OF}
        broken: list[str] = []
        with suppress(TakenBack), ledger.database.writing() as connection:
            connection.execute(insert(tables.rollout_events).values(**event))
            connection.execute(update(tables.routes).values(share_ppm=SECOND))
            broken += shares_in(connection, MODEL, {second.candidate_id: second})
            raise TakenBack
        assert broken == [
            f"I4 {MODEL}: rollout 1 of {second.candidate_id}, event 2: the share grew without a PASS on its file."
        ]

    def test_f151_asked_twice_by_another_run_there_is_one_beside_the_champion(self, ledger: Ledger) -> None:
        second = beside_a_champion(ledger)
        opened(ledger, second)
        with pytest.raises(RolloutUnderWay, match=r"\(rollout 1\) takes traffic"):
            ledger.rollouts.open(asked(second, run_id="another"), required_gates=GATES, now=NOW)
