"""A rollout that is promoted, aborted, tripped and rolled back at once: one order, one epoch, and never a share that
is left over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_fixtures import MODEL, an_operator, challenger, champion, ledger_on, promote, roll_back
from rollout_world import finished, opened, said

from include.adapters.ledger import Candidate, Ledger, RolloutRecord, ledger_invariants
from include.domain.authority import OPERATORS
from include.domain.canary.rollout import OVER, RolloutEvent, RolloutStage
from include.domain.errors import Refusal
from include.domain.lifecycle import State
from include.domain.promotion import EpochKind


def at_once(acts: dict[str, Callable[[], object]]) -> dict[str, object]:
    """What came of each act, the refusals too."""
    barrier, found = threading.Barrier(len(acts)), {}

    def act(name: str, do: Callable[[], object]) -> None:
        barrier.wait()
        try:
            found[name] = do()
        except Refusal as refused:
            found[name] = refused

    threads = [threading.Thread(target=act, args=each) for each in acts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def acts_on(ledger: Ledger, candidate: Candidate, rollout: RolloutRecord, revision: int) -> dict[str, Callable]:
    mine, key = (candidate.candidate_id, rollout.number), candidate.run_id
    return {
        "promote": lambda: promote(ledger, candidate, expected=revision),
        "abort": lambda: ledger.rollouts.abort(
            *mine, by=an_operator("ada"), approvers=OPERATORS, said=said(f"abort {key}")
        ),
        "trip": lambda: ledger.rollouts.lower(*mine, RolloutEvent.TRIP, said(f"trip {key}")),
        "rollback": lambda: roll_back(ledger, f"rollback {key}"),
    }


class TestRacesOfARollout:
    @pytest.mark.parametrize(
        ("kind", "rounds"),
        [
            ("sqlite", 30),
            pytest.param("memory", 140, marks=pytest.mark.slow),
            pytest.param("postgres", 30, marks=[pytest.mark.postgres, pytest.mark.slow]),
        ],
    )
    def test_f096_f149_two_hundred_races_of_promote_abort_trip_and_rollback_have_one_order_and_one_epoch(
        self, tmp_path: Path, kind: str, rounds: int
    ) -> None:
        seen: set[tuple[str, ...]] = set()
        with ledger_on(kind, tmp_path) as ledger:
            champion(ledger, "the first")
            promote(ledger, challenger(ledger, "the second"))
            for n in range(rounds):
                revision = ledger.deployments.epochs(MODEL)[-1].revision
                candidate = challenger(ledger, f"run-{n}")
                rollout = finished(ledger, opened(ledger, candidate, expected_revision=revision))
                outcome = at_once(acts_on(ledger, candidate, rollout, revision))
                self.judge(ledger, candidate, revision, outcome)
                seen.add(tuple(sorted(name for name, each in outcome.items() if not isinstance(each, Exception))))
                if ledger.candidates.get(candidate.candidate_id).is_live:
                    ledger.candidates.reject(
                        candidate.candidate_id, by=an_operator("ada"), approvers=OPERATORS, why="next"
                    )
                # A rollback takes the champion before away: there is always one more to go back to.
                promote(ledger, challenger(ledger, f"next-{n}"))
            assert ledger_invariants(ledger) == []
        assert len(seen) > 1, "the same act came first every time"

    @staticmethod
    def judge(ledger: Ledger, candidate: Candidate, revision: int, outcome: dict[str, object]) -> None:
        """One of the histories that some order of the four acts gives, and no share left."""
        rollout = ledger.rollouts.of(candidate.candidate_id)[0]
        events = [each.event for each in rollout.events[3:]]
        mine = [e for e in ledger.deployments.epochs(MODEL) if e.revision > revision]
        promoted = [e for e in mine if e.to_candidate == candidate.candidate_id]
        rolled = [e for e in mine if e.kind is EpochKind.ROLLBACK]
        route = ledger.routes.of(MODEL)
        assert route is not None
        assert (route.canary_id, route.share_ppm, route.revision) == (None, 0, revision + len(mine)), outcome
        assert len(rolled) == 1, outcome
        assert len(promoted) <= 1
        assert len(events) == (0 if promoted else 1), "either promoted, or ended once"
        if promoted:
            assert rollout.state.stage is RolloutStage.FINISHED
            assert ledger.candidates.get(candidate.candidate_id).state is State.ROLLED_BACK
            assert [e.kind for e in mine] == [EpochKind.PROMOTION, EpochKind.ROLLBACK]
        else:
            assert rollout.state.stage in OVER
            assert isinstance(outcome["promote"], Refusal)
