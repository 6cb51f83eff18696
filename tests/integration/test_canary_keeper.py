"""The keeper and a candidate's share: loaded before it has one, without one as soon as anything says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ledger_fixtures import challenger
from rollout_world import finished, opened, pass_step, said
from served_world import MODEL, ServedWorld, served_home
from waiting import eventually

from include.adapters.boot_clock import boot_id, boot_seconds
from include.adapters.ledger import Candidate, RolloutRecord
from include.adapters.route_file import RouteReader
from include.config import loader
from include.config.settings import PROJECT
from include.domain.canary.rollout import RolloutEvent, RolloutStage
from include.domain.serving.route import CanaryArm, Route
from include.serving import preparing
from include.serving import said as saying
from include.serving.keeper import Keeper, KeeperConfig
from include.workflows.scoring import fitted_models

KEEPERS: list[Keeper] = []


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedWorld]:
    made = served_home(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("SLIPWAY_LEDGER_URL", "SLIPWAY_ONLINE_URL", "SLIPWAY_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(loader, "ROOT", Path(made.environment["SLIPWAY_DECLARATIONS"]))
    loader.declarations.cache_clear()
    made.promote_another(1)
    yield made
    for keeper in KEEPERS:  # none goes on loading in the world of the next test
        keeper.candidates.close(wait=True)
    KEEPERS.clear()
    loader.declarations.cache_clear()


def new_keeper(world: ServedWorld) -> Keeper:
    folder = world.home / "serve"
    config = KeeperConfig(str(folder), str(folder / "route.bin"), str(folder / "models"), [MODEL], "here-8100")
    KEEPERS.append(Keeper(config))
    return KEEPERS[-1]


def a_challenger(world: ServedWorld, seed: int = 2, **file: Any) -> Candidate:
    digest = world.model_file(seed, **file)
    with world.ledger() as ledger:
        return challenger(ledger, f"run-{seed}", digest=digest, model=MODEL)


def open_rollout(world: ServedWorld, candidate: Candidate, **change: object) -> RolloutRecord:
    with world.ledger() as ledger:
        return opened(ledger, candidate, **change)


def route(world: ServedWorld) -> Route:
    return RouteReader(world.home / "serve" / "route.bin").route()


def arm(world: ServedWorld) -> CanaryArm | None:
    return route(world).arms.get(MODEL)


def share(world: ServedWorld) -> int:
    found = arm(world)
    return 0 if found is None else found.share_at(boot_id(), boot_seconds())


def kept(keeper: Keeper, world: ServedWorld, share_ppm: int) -> CanaryArm:
    """Look until the share is in force."""

    def looked() -> bool:
        keeper.look()
        return share(world) == share_ppm

    eventually(looked, every_s=0.02)
    found = arm(world)
    assert found is not None
    return found


def a_worker_has(world: ServedWorld, candidate: CanaryArm | None) -> None:
    """This process is a worker that is ready, and has loaded the candidate, or none."""
    folder = world.home / "serve"
    (folder / f"{os.getpid()}.ready").touch()
    now = route(world).models[MODEL]
    canary = {} if candidate is None else {"canary": _says(candidate)}
    saying.say(folder, {MODEL: {"candidate": now.candidate, **canary}}, route(world).published_at)


def _says(candidate: CanaryArm) -> dict[str, Any]:
    return {"candidate": candidate.served.candidate, "number": candidate.number, "digest": candidate.served.digest}


def test_a_candidate_is_loaded_and_checked_and_only_then_has_its_share(world: ServedWorld) -> None:
    keeper = new_keeper(world)
    keeper.look()
    candidate = a_challenger(world)
    rollout = open_rollout(world, candidate)
    keeper.look()
    assert share(world) == 0
    assert keeper.candidates.problems[MODEL] == f"{candidate.candidate_id} is being loaded"
    found = kept(keeper, world, 10_000)
    assert (found.served.candidate, found.number, found.salt) == (candidate.candidate_id, 1, rollout.salt)
    assert found.served.digest == candidate.facts.serving_digest
    assert found.served.unit == "trip_id"
    assert 0 < found.one_s < 1.0
    assert keeper.candidates.problems == {}
    assert route(world).models[MODEL].candidate != candidate.candidate_id


def test_f145_a_candidate_that_cannot_be_loaded_has_no_share_and_the_ledger_says_why(world: ServedWorld) -> None:
    keeper = new_keeper(world)
    keeper.look()
    candidate = a_challenger(world)
    fitted_models.copy_of(str(candidate.facts.serving_digest)).write_bytes(b"something else")
    open_rollout(world, candidate)

    def failed() -> bool:
        keeper.look()
        return "cannot answer" in keeper.candidates.problems[MODEL]

    eventually(failed, every_s=0.02)
    assert share(world) == 0
    keeper.say()
    assert "its candidate" in (world.home / "serve" / "keeper.json").read_text(encoding="utf-8")
    with world.ledger() as ledger:
        (instance,) = ledger.instances.all()
    assert "cannot answer beside the champion" in instance.models[MODEL]["canary"]["why"]


def test_no_share_is_given_before_every_worker_has_loaded_the_candidate(world: ServedWorld) -> None:
    keeper = new_keeper(world)
    keeper.look()
    a_worker_has(world, None)
    candidate = a_challenger(world)
    open_rollout(world, candidate)

    def loaded() -> bool:
        keeper.look()
        return arm(world) is not None

    eventually(loaded, every_s=0.02)
    assert share(world) == 0
    assert "1 of 1 workers have not loaded" in keeper.candidates.problems[MODEL]
    a_worker_has(world, arm(world))
    eventually(keeper.candidates.due, every_s=0.02)
    keeper.look()
    assert share(world) == 10_000


def test_a_change_of_the_share_is_published_at_once_and_prepares_nothing(
    world: ServedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = new_keeper(world)
    keeper.look()
    rollout = open_rollout(world, a_challenger(world))
    kept(keeper, world, 10_000)
    monkeypatch.setattr(preparing, "prepared", lambda *_: pytest.fail("it was prepared again"))
    with world.ledger() as ledger:
        pass_step(ledger, rollout)
    keeper.look()
    assert share(world) == 100_000
    with world.ledger() as ledger:
        ledger.rollouts.lower(rollout.candidate_id, 1, RolloutEvent.HOLD, said("hold"))
    keeper.look()
    assert share(world) == 0
    found = arm(world)
    assert found is not None, "it stays loaded, for when it may have its share again"
    with world.ledger() as ledger:
        ledger.rollouts.lower(rollout.candidate_id, 1, RolloutEvent.TRIP, said("trip"))
    keeper.look()
    assert arm(world) is None


def test_f152_a_rollback_of_the_champion_ends_the_share_before_anything_else_is_done(
    world: ServedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.promote_another(3)
    keeper = new_keeper(world)
    keeper.look()
    open_rollout(world, a_challenger(world), expected_revision=2)
    kept(keeper, world, 10_000)
    seen: list[int] = []

    def slowly(*_: Any) -> Any:
        seen.append(share(world))
        raise OSError("the former champion cannot be had now")

    monkeypatch.setattr(preparing, "prepared", slowly)
    world.roll_back()
    keeper.look()
    assert seen == [0], "the share had ended when the former champion was looked for"
    assert arm(world) is None or share(world) == 0
    assert route(world).models[MODEL].revision == 2
    assert "cannot be served" in keeper.problems[MODEL]
    with world.ledger() as ledger:
        newest = ledger.rollouts.newest(MODEL)
    assert newest is not None
    assert newest.state.stage is RolloutStage.ABORTED


def test_f090_a_candidate_that_is_promoted_is_champion_without_being_prepared_again_and_so_is_the_former_one_after_it(
    world: ServedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ledger_fixtures import promote

    keeper = new_keeper(world)
    keeper.look()
    former = route(world).models[MODEL]
    candidate = a_challenger(world)
    rollout = open_rollout(world, candidate)
    before = kept(keeper, world, 10_000)
    monkeypatch.setattr(preparing, "prepared", lambda *_: pytest.fail("it was prepared again"))
    with world.ledger() as ledger:
        finished(ledger, rollout)
        promote(ledger, candidate)
    keeper.look()
    now = route(world)
    assert now.arms == {}
    assert (now.models[MODEL].candidate, now.models[MODEL].revision) == (candidate.candidate_id, 2)
    assert now.models[MODEL].packed_sha256 == before.served.packed_sha256
    world.roll_back()
    keeper.look()
    assert route(world).models[MODEL].candidate == former.candidate


def test_f095_a_lease_that_no_one_renews_ends_here_and_then_in_the_ledger_for_every_host(world: ServedWorld) -> None:
    keeper = new_keeper(world)
    keeper.look()
    rollout = open_rollout(world, a_challenger(world), lease_s=1.0)

    def expired() -> bool:
        keeper.look()
        with world.ledger() as ledger:
            newest = ledger.rollouts.newest(MODEL)
            return newest is not None and newest.state.stage is RolloutStage.EXPIRED

    eventually(expired, every_s=0.05)
    with world.ledger() as ledger:
        (found,) = ledger.rollouts.of(rollout.candidate_id)
    assert (found.events[-1].actor, found.state.share_ppm) == ("the keeper of the service", 0)
    keeper.look()
    assert share(world) == 0


def test_a_renewal_is_published_and_a_keeper_that_begins_again_goes_on_with_the_lease(world: ServedWorld) -> None:
    keeper = new_keeper(world)
    keeper.look()
    rollout = open_rollout(world, a_challenger(world))
    first = kept(keeper, world, 10_000)
    another = new_keeper(world)
    another.look()
    again = arm(world)
    assert again is not None
    assert (again.until_s, again.share_ppm) == (first.until_s, 10_000)
    with world.ledger() as ledger:
        assert ledger.rollouts.renew(rollout.candidate_id, 1)
    kept(another, world, 10_000)
    later = arm(world)
    assert later is not None
    assert first.until_s < later.until_s <= boot_seconds() + later.lease_s


def test_f156_a_keeper_that_begins_gives_no_lease_that_is_over_whatever_its_clock_says(
    world: ServedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    from include.serving import candidates

    rollout = open_rollout(world, a_challenger(world))

    class Clock(datetime):
        ahead = timedelta(days=1)

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) + cls.ahead

    monkeypatch.setattr(candidates, "datetime", Clock)
    keeper = new_keeper(world)

    def published() -> bool:
        keeper.look()
        return arm(world) is not None

    eventually(published, every_s=0.02)
    assert share(world) == 0, "a day ahead: the renewal is old, and a share that may be over is none"
    with world.ledger() as ledger:
        assert ledger.rollouts.renew(rollout.candidate_id, 1), "and it took it from no other host"
    keeper.look()
    assert share(world) == 10_000, "a renewal that was seen needs no clock of the wall"
    Clock.ahead = timedelta(hours=-1)
    fresh = new_keeper(world)
    fresh.writer.write(Route(0, route(world).published_at, {}))
    kept(fresh, world, 10_000)
    found = arm(world)
    assert found is not None
    assert found.until_s <= boot_seconds() + found.lease_s, "an hour behind: never longer than a lease"


ONE_LOOK = """
import sys
sys.path[:0] = [sys.argv[1]]
from served_world import MODEL
from include.serving.keeper import Keeper, KeeperConfig
folder = sys.argv[2]
Keeper(KeeperConfig(folder, folder + "/route.bin", folder + "/models", [MODEL], "here-8100")).look()
"""


@pytest.mark.slow
@pytest.mark.parametrize("point", ["keeper.seen", "keeper.loaded", "keeper.published"])
def test_f138_a_keeper_killed_at_each_crash_point_leaves_no_share_that_the_next_one_does_not_end(
    world: ServedWorld, point: str
) -> None:
    keeper = new_keeper(world)
    keeper.look()
    rollout = open_rollout(world, a_challenger(world))
    found = kept(keeper, world, 10_000)
    with world.ledger() as ledger:
        ledger.rollouts.lower(rollout.candidate_id, 1, RolloutEvent.HOLD, said("hold"))
    argv = [sys.executable, "-c", ONE_LOOK, str(PROJECT / "tests" / "support"), str(world.home / "serve")]
    died = subprocess.run(argv, cwd=PROJECT, env={**os.environ, **world.environment, "FAULT_CRASH": point}, check=False)
    assert died.returncode == -signal.SIGKILL
    assert share(world) == (10_000 if point == "keeper.seen" else 0), "the share is taken away first"
    left = arm(world)
    assert left is not None
    assert left.share_at(boot_id(), found.until_s) == 0, "without any keeper the lease ends it"
    new_keeper(world).look()
    assert share(world) == 0
