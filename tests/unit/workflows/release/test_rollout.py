"""A candidate's share of live traffic in its journey: it grows by judged steps only, and ends in every other case."""

from __future__ import annotations

from datetime import timedelta

import pytest
from canary_traffic import Traffic, declare_canary, written
from journey_world import NOW

from include.adapters.ledger import Happened, RolloutUnfinished, rollout_rows
from include.adapters.ledger import rollouts as ledger_rollouts
from include.adapters.ledger.database import clock
from include.domain.authority import OPERATORS, Person
from include.domain.canary.rollout import RolloutEvent, RolloutStage
from include.domain.lifecycle import State
from include.domain.verdicts import Verdict
from include.workflows import gates, stores, tasks
from include.workflows.journey.step import JourneyIsOver
from include.workflows.release import rollout as rollouts
from include.workflows.release.rollout import RolloutEnded, Watch

pytestmark = pytest.mark.moment("second judged")
ADA = Person("ada", frozenset({"op"}), operator=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def second(world):
    """The reference of a candidate whose offline gates and shadow window passed, of a model that is asked online."""
    declare_canary(world)
    return world.references["second"]


@pytest.fixture
def wait(monkeypatch):
    """As if so much time had passed by the ledger's clock."""
    passed = [timedelta(0)]
    for module in (rollout_rows, ledger_rollouts):
        monkeypatch.setattr(module, "clock", lambda: clock() + passed[0])

    def wait(time):
        passed[0] += time

    return wait


class Killed(BaseException):
    """Ends a step where a kill would."""


def killed_at(point):
    def crash(name):
        if name == point:
            raise Killed(name)

    return crash


def go_on(reference):
    return tasks.go_on_canary(reference, NOW)


def newest(reference):
    with stores.open_ledger() as ledger:
        return ledger.rollouts.of(reference["candidate_id"])[-1]


def share(reference):
    with stores.open_ledger() as ledger:
        return ledger.routes.of(reference["model"]).share_ppm


def traffic(reference, units, how=None):
    with stores.open_ledger() as ledger:
        written(ledger, reference["candidate_id"], units, how)


def verdicts(reference):
    with stores.open_ledger() as ledger:
        attempts = ledger.overview.attempts(reference["candidate_id"])
    return [(r.result.notes.get("step"), r.verdict) for r in attempts if r.gate == gates.canary.NAME]


class TestRolloutInJourney:
    def test_it_opens_with_the_first_share_and_waits_for_rows_and_time(self, second, wait):
        said = go_on(second)
        assert (said["finished"], said["step"], share(second)) == (False, 1, 100_000)
        traffic(second, range(1_500))
        assert not go_on(second)["finished"]
        wait(HOUR)
        assert verdicts(second) == []
        go_on(second)
        assert (newest(second).state.step, share(second)) == (1, 500_000)

    def test_each_step_has_an_attempt_of_its_own_and_the_last_lets_it_be_promoted(self, second, wait, world):
        go_on(second)
        traffic(second, range(1_500))
        wait(HOUR)
        go_on(second)
        traffic(second, range(1_500, 3_000))
        with pytest.raises(RolloutUnfinished):
            self.promote_as_if_green(second)
        wait(HOUR)
        assert go_on(second)["finished"]
        assert verdicts(second) == [(0, Verdict.PASS), (1, Verdict.PASS)]
        assert tasks.judge(gates.canary.NAME)(second, NOW)["passed"]
        tasks.promote(second, NOW)
        tasks.close_journey(second)
        assert world.candidate(second).state is State.CHAMPION
        assert share(second) == 0

    def promote_as_if_green(self, second):
        """Somebody marks the gate green, whose last attempt is a PASS of the first step, and goes on."""
        tasks.promote(second, NOW)

    def test_done_twice_nothing_changes(self, second, wait):
        go_on(second)
        go_on(second)
        traffic(second, range(1_500))
        wait(HOUR)
        go_on(second)
        events = newest(second).events
        go_on(second)
        assert newest(second).events == events
        assert [each.event for each in events] == [RolloutEvent.OPEN, RolloutEvent.STEP]

    def test_f083_a_canary_that_fails_is_out_before_rows_and_time_and_its_journey_is_over(self, second, world):
        go_on(second)
        traffic(second, range(1_000), Traffic(canary_fails=lambda unit: unit % 3 == 0))
        with pytest.raises(RolloutEnded, match="ended at step 1, by canary: The canary "):
            go_on(second)
        assert (share(second), newest(second).state.stage) == (0, RolloutStage.TRIPPED)
        assert verdicts(second) == [(0, Verdict.FAIL)]
        tasks.close_journey(second)
        assert world.candidate(second).state is State.REJECTED

    def test_f084_a_canary_that_is_ten_times_slower_is_out_by_slow_answers(self, second):
        go_on(second)
        traffic(second, range(3_000), Traffic(canary_us=2_000))
        with pytest.raises(RolloutEnded, match="more slow answers"):
            go_on(second)
        assert share(second) == 0
        tasks.close_journey(second)

    def test_f085_where_both_are_sick_no_one_is_blamed_and_a_person_is_asked(self, second, world):
        go_on(second)
        sick = Traffic(canary_fails=lambda unit: True, champion_fails=lambda unit: True)
        traffic(second, range(1_000), sick)
        said = go_on(second)
        assert "neither is blamed" in said["sentence"]
        assert (share(second), newest(second).state.stage) == (0, RolloutStage.HELD)
        assert world.candidate(second).is_live
        assert verdicts(second) == [(0, Verdict.INCONCLUSIVE)]

    def test_f086_f087_without_traffic_there_is_no_pass_and_at_the_end_of_its_time_a_person_is_asked(
        self, second, wait, world
    ):
        go_on(second)
        for _ in range(2):
            wait(11 * HOUR)
            assert not go_on(second)["finished"]
        assert (share(second), verdicts(second)) == (100_000, [])
        wait(3 * HOUR)
        said = go_on(second)
        assert "A person resumes it, or aborts it" in said["sentence"]
        assert (share(second), verdicts(second)[0][1]) == (0, Verdict.INCONCLUSIVE)
        wait(timedelta(days=4))
        with pytest.raises(RolloutEnded, match="no one answered within 3d, which is a rejection"):
            go_on(second)
        tasks.close_journey(second)
        assert world.candidate(second).outcome.startswith("Rejected: canary_gate: no one answered")

    def test_a_person_who_resumes_a_step_begins_it_again(self, second, wait):
        go_on(second)
        for _ in range(3):
            wait(9 * HOUR)
            go_on(second)
        with stores.open_ledger() as ledger:
            rollout = newest(second)
            said = Happened("ada", "there is traffic again", "resume 1")
            ledger.rollouts.resume(rollout.candidate_id, rollout.number, by=ADA, approvers=OPERATORS, said=said)
        assert share(second) == 100_000
        traffic(second, range(1_500))
        assert not go_on(second)["finished"]
        wait(HOUR)
        go_on(second)
        assert newest(second).state.step == 1

    def test_f095_a_lease_that_ran_out_is_taken_up_at_the_same_step(self, second, wait):
        go_on(second)
        traffic(second, range(1_500))
        wait(HOUR)
        go_on(second)
        wait(13 * HOUR)
        with stores.open_ledger() as ledger:
            rollout = newest(second)
            assert ledger.rollouts.expire(rollout.candidate_id, rollout.number, "keeper")
        assert share(second) == 0
        go_on(second)
        assert (newest(second).state.step, share(second)) == (1, 500_000)

    def test_a_lease_that_ran_out_after_the_last_step_keeps_nobody_from_promoting(self, second, wait):
        go_on(second)
        traffic(second, range(1_500))
        wait(HOUR)
        go_on(second)
        traffic(second, range(1_500, 3_000))
        wait(HOUR)
        go_on(second)
        wait(13 * HOUR)
        with stores.open_ledger() as ledger:
            ledger.rollouts.expire(second["candidate_id"], 1, "keeper")
        assert go_on(second)["finished"]
        assert tasks.judge(gates.canary.NAME)(second, NOW)["passed"]
        tasks.promote(second, NOW)

    def test_closing_the_journey_takes_the_share_away_whatever_stopped_it(self, second):
        go_on(second)
        tasks.close_journey(second)
        assert (share(second), newest(second).state.stage) == (0, RolloutStage.ABORTED)

    def test_a_journey_that_is_cleared_begins_a_rollout_of_its_own(self, second, world):
        go_on(second)
        tasks.close_journey(second)
        world.open("second", 17)
        go_on(second)
        assert (newest(second).number, newest(second).state.stage) == (2, RolloutStage.RUNNING)
        tasks.close_journey(second)

    def test_the_gate_alone_passes_no_rollout_that_is_under_way(self, second, wait):
        go_on(second)
        traffic(second, range(1_500))
        wait(HOUR)
        outcome = tasks.judge(gates.canary.NAME)(second, NOW)
        assert (outcome["passed"], outcome["verdict"]) == (False, "INCONCLUSIVE")
        assert "at step 1 of 2" in outcome["table"]

    @pytest.mark.parametrize("point", ["canary.opened", "canary.recorded", "canary.raised", "canary.taken_up"])
    def test_f089_a_judge_that_is_killed_anywhere_goes_on_where_it_was(self, second, wait, monkeypatch, point):
        go_on(second)
        traffic(second, range(1_500))
        wait(13 * HOUR if point == "canary.taken_up" else HOUR)
        with monkeypatch.context() as patch:
            patch.setattr(rollouts, "crashpoint", killed_at(point))
            with pytest.raises(Killed):
                go_on(second)
        assert share(second) in (100_000, 500_000)
        if point == "canary.taken_up":  # what was counted before its lease ended is not counted again
            traffic(second, range(1_500, 3_000))
        go_on(second)
        assert (newest(second).state.step, share(second)) == (1, 500_000)
        raised = [each.event for each in newest(second).events if each.event is RolloutEvent.STEP]
        assert len(raised) == 1

    @pytest.mark.parametrize("point", ["canary.recorded", "canary.lowered"])
    def test_f089_a_judge_that_is_killed_while_it_ends_a_rollout_leaves_it_ended(self, second, monkeypatch, point):
        go_on(second)
        traffic(second, range(1_000), Traffic(canary_fails=lambda unit: unit % 3 == 0))
        with monkeypatch.context() as patch:
            patch.setattr(rollouts, "crashpoint", killed_at(point))
            with pytest.raises(Killed):
                go_on(second)
        with pytest.raises((RolloutEnded, JourneyIsOver)):
            go_on(second)
        assert (share(second), newest(second).state.stage) == (0, RolloutStage.TRIPPED)
        tasks.close_journey(second)


class TestWatch:
    def test_it_keeps_the_lease_alive_and_calls_once_a_step_can_be_judged(self, second, wait):
        go_on(second)
        watch = Watch(second["candidate_id"])
        before = self.renewed_at(second)
        assert not watch.has_something()
        assert self.renewed_at(second) > before
        traffic(second, range(1_500))
        assert not watch.has_something()
        wait(HOUR)
        assert watch.has_something()

    def test_it_calls_at_once_where_the_canary_fails(self, second):
        go_on(second)
        watch = Watch(second["candidate_id"])
        traffic(second, range(1_000), Traffic(canary_fails=lambda unit: unit % 3 == 0))
        assert watch.has_something()

    def test_it_calls_when_somebody_else_changed_the_rollout(self, second):
        go_on(second)
        watch = Watch(second["candidate_id"])
        assert not watch.has_something()
        with stores.open_ledger() as ledger:
            said = Happened("guard", "5 of 20 rows failed", "trip")
            ledger.rollouts.lower(second["candidate_id"], 1, RolloutEvent.TRIP, said)
        assert watch.has_something()
        tasks.close_journey(second)

    def test_a_step_that_only_waits_for_labels_is_left_alone_for_a_while(self, second, wait):
        go_on(second)
        traffic(second, range(1_500))
        wait(HOUR)
        assert not Watch(second["candidate_id"], timedelta(hours=1)).has_something()

    def renewed_at(self, reference):
        with stores.open_ledger() as ledger:
            return ledger.routes.of(reference["model"]).renewed_at
