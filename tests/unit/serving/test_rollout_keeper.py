"""The keeper and rollouts: what the guard did reaches the ledger once, and what a person resumed comes back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from guard_world import served
from ledger_fixtures import MODEL, an_operator, ledger_on
from rollout_world import beside_a_champion, opened, said
from sqlalchemy import update

from include.adapters.boot_clock import boot_id, boot_seconds
from include.adapters.ledger import Ledger, LedgerUnavailable, RolloutRecord
from include.adapters.ledger.tables import routes
from include.adapters.route_file import RouteWriter
from include.domain.authority import OPERATORS
from include.domain.canary.breaker import Breaker, Kind
from include.domain.canary.plan import CanaryPlan
from include.domain.canary.rollout import RolloutEvent, RolloutStage
from include.domain.lifecycle import State
from include.domain.serving.route import CanaryArm
from include.serving import rollout_keeper as keeping
from include.serving.breakers import BEAT, GUARD_FOLDER, GuardFiles, beat
from include.serving.rollout_keeper import GUARD_GONE_S, RolloutKeeper


@dataclass
class Host:
    """One host's keeper, on a ledger."""

    ledger: Ledger
    keeper: RolloutKeeper
    rollout: RolloutRecord

    @property
    def now(self) -> RolloutRecord:
        return self.ledger.rollouts.of(self.rollout.candidate_id)[0]

    def look(self) -> None:
        """As a keeper does it: tell, read, prepare, publish."""
        self.keeper.tell(self.ledger)
        heads = self.ledger.routes.heads([MODEL])
        self.keeper.prepare(self.ledger, {name: route for name, (route, _) in heads.items()})
        self.publish()

    def publish(self) -> None:
        route, _ = self.ledger.routes.heads([MODEL])[MODEL]
        champion = served(route.champion_id, route.route_revision, MODEL)
        arms = {}
        if route.canary_id is not None:
            arms[MODEL] = CanaryArm(
                served=served(route.canary_id, route.route_revision, MODEL),
                number=int(route.number or 0),
                salt=str(route.salt),
                share_ppm=route.share_ppm,
                lease_s=float(route.lease_s or 0),
                until_s=boot_seconds() + 119.0,
                boot=boot_id(),
            )
        self.keeper.writer.publish({MODEL: champion}, datetime.now(UTC), self.keeper.guarded(arms))

    def share(self) -> int:
        arm = self.keeper.writer.current().arms.get(MODEL)
        return 0 if arm is None else arm.share_at(boot_id(), boot_seconds())

    def breaks(self, kind: Kind = "trip", reason: str = "5 of 20 failed") -> Breaker:
        """What the guard does."""
        arm = self.keeper.writer.current().arms[MODEL]
        made = Breaker(
            MODEL, *arm.is_of, kind, reason, arm.served.route_revision, "here-8100", datetime.now(UTC), {"rows": 20}
        )
        self.keeper.files.keep(made)
        self.keeper.writer.end_share(MODEL, arm.number, reason, datetime.now(UTC))
        return made


class Killed(BaseException):
    """As a process that is killed: nothing catches it."""


def _killed_at(point: str):
    def pass_or_die(name: str) -> None:
        if name == point:
            raise Killed

    return pass_or_die


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ledger_on("memory", tmp_path) as ledger:
        rollout = opened(ledger, beside_a_champion(ledger))
        writer = RouteWriter(tmp_path / "serve" / "route.bin")
        keeper = RolloutKeeper(GuardFiles(tmp_path / "serve" / GUARD_FOLDER), writer, "here-8100")
        made = Host(ledger, keeper, rollout)
        made.look()
        yield made


def events(host: Host) -> list[str]:
    return [each.event.value for each in host.now.events]


def test_the_guard_knows_what_it_judges_by_before_a_share_is_published(host):
    rules = host.keeper.files.rules(host.rollout.candidate_id, 1)
    assert CanaryPlan.from_json(rules.plan) == host.rollout.plan
    assert host.share() == host.rollout.plan.steps[0].share_ppm


def test_f083_a_trip_ends_the_rollout_rejects_the_candidate_and_tells_somebody(host):
    host.breaks()
    assert host.share() == 0
    host.look()
    last = host.now.events[-1]
    assert (last.event, last.actor, last.reason) == (RolloutEvent.TRIP, "guard", "5 of 20 failed")
    assert last.evidence == {"rows": 20, "instance": "here-8100"}
    assert host.ledger.candidates.get(host.rollout.candidate_id).state is State.REJECTED
    (told,) = host.ledger.notices.unsent()
    assert told.notice.kind == "canary"
    assert "was taken out of live traffic, and is rejected (step 1 of 2, by guard): 5 of 20 failed" in (
        told.notice.sentence
    )


def test_f096_told_again_it_happens_once_and_is_forgotten_when_the_route_is_without_it(host):
    made = host.breaks()
    for _ in range(3):
        host.keeper.files.keep(made)  # as if the one before had been killed before it wrote down that it told
        host.look()
    host.look()
    assert events(host) == ["open", "trip"]
    assert len(host.ledger.notices.unsent()) == 1
    assert host.keeper.files.breakers() == []


def test_f141_while_the_ledger_is_away_the_share_stays_0_whatever_is_published_and_it_is_told_later(host, monkeypatch):
    host.breaks()

    def away(*_args: object, **_named: object) -> None:
        raise LedgerUnavailable("it does not answer")

    with monkeypatch.context() as gone:
        gone.setattr(host.ledger.rollouts, "lower", away)
        for _ in range(3):
            with pytest.raises(LedgerUnavailable):
                host.keeper.tell(host.ledger)
            host.publish()
            assert host.share() == 0
    host.keeper.writer.file.unlink()  # even the route is lost
    host.keeper.writer = RouteWriter(host.keeper.writer.file)
    host.publish()
    assert host.share() == 0
    host.look()
    assert events(host) == ["open", "trip"]


@pytest.mark.parametrize("point", ["keeper.guard.lowered", "keeper.guard.told"])
def test_f141_a_keeper_that_is_killed_while_it_tells_leaves_one_event(host, monkeypatch, point):
    host.breaks("hold", "both failed")
    with monkeypatch.context() as killing:
        killing.setattr(keeping, "crashpoint", _killed_at(point))
        with pytest.raises(Killed):
            host.look()
    host.look()
    assert events(host) == ["open", "hold"]
    assert len(host.ledger.notices.unsent()) == 1
    assert host.share() == 0


@pytest.mark.parametrize("killed", [False, True])
def test_f085_what_was_held_comes_back_when_a_person_resumes_it_and_not_before(host, monkeypatch, killed):
    host.breaks("hold", "both failed")
    if killed:
        with monkeypatch.context() as killing:
            killing.setattr(keeping, "crashpoint", _killed_at("keeper.guard.back"))
            with pytest.raises(Killed):
                host.look()
    host.look()
    host.look()
    assert (host.now.state.stage, host.share()) == (RolloutStage.HELD, 0)
    host.ledger.rollouts.resume(
        host.rollout.candidate_id, 1, by=an_operator("ada"), approvers=OPERATORS, said=said("resumed")
    )
    host.look()
    assert host.share() == host.rollout.plan.steps[0].share_ppm
    assert host.keeper.files.breakers() == []


def test_what_was_tripped_does_not_come_back_by_a_share_that_was_given_before_the_ledger_knew(host):
    host.breaks()
    host.publish()
    assert host.share() == 0
    # Somebody who did not know gives it the next share.
    with host.ledger.database.writing() as connection:
        row = routes.c.model == MODEL
        values = {"share_ppm": 100_000, "route_revision": routes.c.route_revision + 1}
        connection.execute(update(routes).where(row).values(**values))
    host.publish()
    assert host.share() == 0
    host.look()
    assert events(host) == ["open", "trip"]


def test_a_candidate_that_no_guard_watches_has_no_share_and_the_ledger_says_why(host):
    host.keeper.watched()
    assert host.share() > 0, "the guard may still be starting"
    host.keeper.began_s = boot_seconds() - GUARD_GONE_S
    beat(host.keeper.files.folder)
    host.keeper.watched()
    assert host.share() > 0
    long_ago = boot_seconds() - GUARD_GONE_S - 5
    os.utime(host.keeper.files.folder / BEAT, (long_ago, long_ago))
    host.keeper.watched()
    host.keeper.watched()
    assert host.share() == 0
    host.look()
    assert (host.now.state.stage, len(host.now.events)) == (RolloutStage.HELD, 2)
    assert "No guard of this host has looked for 15 s" in host.now.events[-1].reason


def test_a_breaker_of_a_rollout_that_the_ledger_does_not_know_is_said_and_kept_from_harm(host):
    arm = host.keeper.writer.current().arms[MODEL]
    host.keeper.files.keep(
        Breaker(MODEL, arm.served.candidate, 9, "trip", "5 of 20 failed", 4, "here-8100", datetime.now(UTC))
    )
    host.keeper.tell(host.ledger)
    (kept,) = host.keeper.files.breakers()
    assert "9" in kept.told
    assert events(host) == ["open"]


def test_two_hosts_that_trip_the_same_candidate_make_one_event(host, tmp_path):
    other = RolloutKeeper(
        GuardFiles(tmp_path / "other" / GUARD_FOLDER), RouteWriter(tmp_path / "other" / "route.bin"), "there-8100"
    )
    made = host.breaks()
    other.files.keep(msgspec.structs.replace(made, instance="there-8100"))
    host.look()
    other.tell(host.ledger)
    assert events(host) == ["open", "trip"]
    assert other.files.breakers()[0].told == "tripped at step 1"
