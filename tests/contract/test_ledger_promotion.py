"""Promotion and rollback: one champion, whatever races or crashes."""

from __future__ import annotations

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
    digest_of,
    judged,
    promote,
    roll_back,
    trained,
)

from include.adapters.ledger import (
    BadValue,
    Candidate,
    Conflict,
    DigestBarred,
    DigestMismatch,
    EffectiveTooEarly,
    Ledger,
    NotCleared,
    NothingToRollBackTo,
    OverrideRequest,
    OverrideStands,
)
from include.domain.authority import OPERATORS
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


def failed_and_overridden(ledger: Ledger) -> Candidate:
    """A candidate that a gate stopped, and that a person let past for a day."""
    first = challenger(ledger, "run-1")
    ledger.gates.record(
        first.candidate_id, judged(verdict=Verdict.FAIL), digest=first.facts.artifact_digest, run_id="run-1"
    )
    ledger.gates.override(
        OverrideRequest(first.candidate_id, "threshold_gate", "known outlier", NOW + DAY),
        by=an_operator("ann"),
        approvers=OPERATORS,
        now=NOW,
    )
    return first


def test_a_live_override_lets_a_failed_gate_pass_and_is_recorded_with_the_epoch(ledger: Ledger) -> None:
    first = failed_and_overridden(ledger)
    done = promote(ledger, first)
    assert done.epoch.cleared_by["overridden"] == {
        "threshold_gate": {"who": "ann", "why": "known outlier", "expires_at": (NOW + DAY).isoformat()}
    }


def test_an_expired_override_no_longer_lets_the_gate_pass(ledger: Ledger) -> None:
    first = failed_and_overridden(ledger)
    with pytest.raises(NotCleared, match="the override by ann expired at 2026-01-02T12:00:00"):
        promote(ledger, first, now=NOW + DAY)


def test_there_is_one_live_override_per_candidate_and_gate(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")

    def give(who: str, at: int = 0) -> object:
        return ledger.gates.override(
            OverrideRequest(first.candidate_id, "slice_gate", "small slice", NOW + (at + 1) * DAY),
            by=an_operator(who),
            approvers=OPERATORS,
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
        ledger.gates.override(
            OverrideRequest(first.candidate_id, "slice_gate", "late", NOW),
            by=an_operator("ann"),
            approvers=OPERATORS,
            now=NOW,
        )


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
