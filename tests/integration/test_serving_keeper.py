"""The keeper: what the ledger says is published once it can be answered, and never what is older."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from databases import empty_postgres
from ledger_fixtures import challenger, judged, promote
from served_world import MODEL, NOON, ROW, ServedWorld, served_home
from waiting import eventually

from include.adapters.ledger import InstanceRecord, ledger_invariants
from include.adapters.route_file import RouteReader
from include.config import loader
from include.config.settings import PROJECT, settings
from include.domain.packed.reader import read
from include.domain.verdicts import Mode, Verdict
from include.serving import changes as changing
from include.serving import said
from include.serving.changes import Changes
from include.serving.keeper import Keeper, KeeperConfig
from include.workflows.scoring import fitted_models, packed_files


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
    yield made
    loader.declarations.cache_clear()


def new_keeper(world: ServedWorld) -> Keeper:
    folder = world.home / "serve"
    return Keeper(KeeperConfig(str(folder), str(folder / "route.bin"), str(folder / "models"), [MODEL], "here-8100"))


def a_worker_says(world: ServedWorld) -> None:
    """This process is a worker of the run that answers by what is published."""
    now = served(world)
    folder = world.home / "serve"
    (folder / f"{os.getpid()}.ready").touch()
    names = ("candidate", "digest", "revision", "route_revision", "by")
    said.say(folder, {MODEL: {name: getattr(now, name) for name in names}}, NOON)


def invariants_broken(world: ServedWorld) -> list[str]:
    with world.ledger() as ledger:
        return ledger_invariants(ledger)


def instance(world: ServedWorld) -> InstanceRecord:
    with world.ledger() as ledger:
        (found,) = ledger.instances.all()
        return found


def served(world: ServedWorld):
    return RouteReader(world.home / "serve" / "route.bin").route().models.get(MODEL)


def test_before_there_is_a_champion_nothing_is_published(world):
    keeper = new_keeper(world)
    assert keeper.look() is False
    assert (served(world), keeper.problems) == (None, {MODEL: "it has no champion yet"})


def test_f116_the_champion_is_packed_checked_and_published_without_mlflow(world):
    candidate = world.promote_another(1)
    keeper = new_keeper(world)
    assert keeper.look() is True
    now = served(world)
    assert (now.candidate, now.revision, now.route_revision, now.classes) == (candidate, 1, 1, ["on_time", "late"])
    assert [(view.name, view.is_entity, view.missing) for view in now.views] == [
        ("trip_plan", True, "refuse"),
        ("station_level", False, "serve"),
    ]
    pipeline = fitted_models.load(None, MODEL, 1, now.digest)
    import pandas as pd

    assert read(now.packed).one(ROW) == pipeline.predict_proba(pd.DataFrame([ROW]))[0, 1]
    assert keeper.look() is False, "nothing changed since"


def test_a_rollback_goes_forward_in_revisions(world):
    first = world.promote_another(1)
    keeper = new_keeper(world)
    keeper.look()
    second = world.promote_another(2)
    keeper.look()
    assert served(world).candidate == second
    world.roll_back()
    keeper.look()
    assert (served(world).candidate, served(world).revision) == (first, 3)


def test_a_rollback_to_a_champion_that_was_prepared_here_prepares_nothing(world, monkeypatch):
    first = world.promote_another(1)
    keeper = new_keeper(world)
    keeper.look()
    before = served(world)
    world.promote_another(2)
    keeper.look()
    with monkeypatch.context() as patch:
        patch.setattr("include.serving.preparing.prepared", lambda *_: pytest.fail("nothing is prepared"))
        world.roll_back()
        assert keeper.look() is True
    now = served(world)
    assert (now.candidate, now.revision, now.route_revision) == (first, 3, 3)
    assert (now.packed, now.packed_sha256, now.features, now.version) == (
        before.packed,
        before.packed_sha256,
        before.features,
        before.version,
    )
    assert keeper.problems == {}


def test_f145_f150_what_cannot_be_loaded_leaves_the_former_champion_and_says_why(world):
    first = world.promote_another(1)
    keeper = new_keeper(world)
    keeper.look()
    world.promote_another(2)
    with world.ledger() as ledger:
        digest = ledger.deployments.champion(MODEL).digest
    fitted_models.copy_of(digest).write_bytes(b"something else")
    assert keeper.look() is False
    assert served(world).candidate == first
    assert "revision 2" in keeper.problems[MODEL]
    assert "cannot be served" in keeper.problems[MODEL]


def test_f145_a_packed_file_that_was_edited_is_made_again_by_the_next_keeper(world):
    world.promote_another(1)
    new_keeper(world).look()
    file = Path(served(world).packed)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    new_keeper(world).look()
    assert file.read_bytes() == whole
    assert served(world).revision == 1


def test_the_file_that_the_gate_kept_is_the_one_that_is_served(world):
    world.promote_another(1)
    keeper = new_keeper(world)
    keeper.look()
    kept = packed_files.keep(Path(served(world).packed).read_bytes())
    digest = world.model_file(2)
    with world.ledger() as ledger:
        candidate = challenger(ledger, "run-2", digest=digest, model=MODEL)
        held = replace(judged("packed_gate"), notes={"digest": kept.stem})
        ledger.gates.record(candidate.candidate_id, held, digest=digest, run_id="run-2")
        promote(ledger, candidate)
    fitted_models.copy_of(digest).unlink()
    keeper.look()
    assert (served(world).revision, served(world).packed) == (2, str(kept))


def test_what_the_gate_found_different_is_answered_by_its_pipeline(world, capsys):
    keeper = new_keeper(world)
    digest = world.model_file(2)
    with world.ledger() as ledger:
        candidate = challenger(ledger, "run-2", digest=digest, model=MODEL)
        held = judged("packed_gate", Verdict.FAIL, mode=Mode.ADVISORY)
        ledger.gates.record(candidate.candidate_id, held, digest=digest, run_id="run-2")
        promote(ledger, candidate)
    assert keeper.look() is True
    now = served(world)
    assert (now.candidate, now.by, now.packed) == (candidate.candidate_id, "pipeline", "")
    assert (now.pipeline, now.why_pipeline) == (str(fitted_models.copy_of(digest)), held.reason)
    assert keeper.problems == {}
    assert "revision 1 is answered by its pipeline" in capsys.readouterr().out
    assert keeper.look() is False, "nothing changed since"


def test_what_has_no_packed_form_is_answered_by_its_pipeline_and_says_which_part(world):
    digest = world.model_file(1, "sklearn.naive_bayes.GaussianNB")
    with world.ledger() as ledger:
        promote(ledger, challenger(ledger, "run-1", digest=digest, model=MODEL))
    new_keeper(world).look()
    now = served(world)
    assert (now.by, now.digest) == ("pipeline", digest)
    assert now.why_pipeline.startswith("It has no packed form: ")
    assert "GaussianNB" in now.why_pipeline


def test_f145_a_pipeline_s_file_that_was_edited_is_fetched_again_or_not_served(world):
    digest = world.model_file(1, "sklearn.naive_bayes.GaussianNB")
    with world.ledger() as ledger:
        promote(ledger, challenger(ledger, "run-1", digest=digest, model=MODEL))
    new_keeper(world).look()
    file = Path(served(world).pipeline)
    file.write_bytes(file.read_bytes() + b"x")
    keeper = new_keeper(world)
    assert keeper.look() is False
    assert "cannot be served" in keeper.problems[MODEL]


def test_f142_a_ledger_that_went_back_changes_nothing(world):
    world.promote_another(1)
    keeper = new_keeper(world)
    file = world.home / "ledger.db"
    keeper.look()
    with world.ledger():
        pass  # the last to close writes everything into the one file
    shutil.copy(file, world.home / "backup.db")
    second = world.promote_another(2)
    keeper.look()
    for each in world.home.glob("ledger.db*"):
        each.unlink()
    shutil.copy(world.home / "backup.db", file)
    assert keeper.look() is False
    assert served(world).candidate == second
    assert "the ledger says revision 1, and 2 is served" in keeper.problems[MODEL]
    assert new_keeper(world).look() is False, "another keeper finds the same"


def test_f141_a_ledger_that_is_away_leaves_what_is_served_and_is_counted(world, monkeypatch):
    candidate = world.promote_another(1)
    keeper = new_keeper(world)
    keeper.look()
    monkeypatch.setenv("SLIPWAY_LEDGER_URL", f"sqlite:///{world.home / 'home-is-a-folder'}")
    (world.home / "home-is-a-folder").mkdir()
    assert keeper.look() is False
    assert served(world).candidate == candidate
    assert keeper.unreachable_since is not None
    assert "ledger" in keeper.problems
    monkeypatch.delenv("SLIPWAY_LEDGER_URL")
    keeper.look()
    assert (keeper.unreachable_since, keeper.problems) == (None, {})


def test_what_the_declaration_says_of_serving_holds_with_the_next_start_without_a_new_champion(world, monkeypatch):
    world.promote_another(1)
    new_keeper(world).look()
    assert (served(world).durability, served(world).deadline_s) == ("process", 5.0)
    again = served_home(world.home.parent, durability="power", deadline="2s", omit=["order"])
    loader.declarations.cache_clear()
    keeper = new_keeper(again)
    assert keeper.look() is True
    now = served(world)
    assert (now.durability, now.deadline_s, now.omit, now.revision) == ("power", 2.0, ["order"], 1)
    assert keeper.look() is False


def test_a_change_of_the_ledger_is_noticed_by_its_counter(world, monkeypatch):
    world.promote_another(1)
    monkeypatch.setattr(changing, "AGAIN_S", 3600.0)
    changes = Changes(settings().ledger_url)
    assert changes.looked() is True
    assert changes.looked() is False
    world.promote_another(2)
    assert changes.looked() is True
    assert changes.looked() is False


# --- what the service says of itself in the ledger -------------------------------------------------------------------


def test_the_instance_says_in_the_ledger_who_answers_in_its_workers_and_how_far_they_have_written(world):
    candidate = world.promote_another(1)
    keeper = new_keeper(world)
    keeper.look()
    found = instance(world)
    assert (found.instance_id, found.models[MODEL]["served"], found.watermark) == ("here-8100", [], None)
    a_worker_says(world)
    keeper.look()
    found = instance(world)
    (answers,) = found.models[MODEL]["served"]
    assert (answers["candidate"], answers["revision"], answers["by"], answers["workers"]) == (candidate, 1, "packed", 1)
    assert found.watermark == NOON
    assert found.is_seen(found.seen_at)
    assert not found.is_seen(found.seen_at + timedelta(minutes=1))
    assert invariants_broken(world) == []
    keeper.end()
    assert not instance(world).is_seen(found.seen_at)


def test_f150_an_instance_that_goes_on_with_the_former_champion_is_a_broken_invariant_after_a_minute(
    world, monkeypatch
):
    first = world.promote_another(1)
    keeper = new_keeper(world)
    keeper.look()
    a_worker_says(world)
    world.promote_another(2)
    with world.ledger() as ledger:
        digest = ledger.deployments.champion(MODEL).digest
    fitted_models.copy_of(digest).write_bytes(b"something else")
    keeper.look()
    assert invariants_broken(world) == [], "it may take a moment"
    assert "revision 2" in instance(world).models[MODEL]["problem"]
    later = instance(world).seen_at + timedelta(minutes=2)
    monkeypatch.setattr("include.adapters.ledger.instances.clock", lambda: later)
    new_keeper(world).look()
    (broken,) = invariants_broken(world)
    assert broken.startswith(f"I2 {MODEL}: instance here-8100 answers by {first}, and revision 2 is in force since")


def test_an_instance_that_answers_by_what_the_ledger_does_not_know_is_a_broken_invariant(world):
    world.promote_another(1)
    with world.ledger() as ledger:
        unknown = {"candidate": "c9", "digest": "d", "revision": 9, "route_revision": 9, "by": "packed"}
        ledger.instances.say(InstanceRecord("there-1", "there", NOON, {MODEL: {"served": [unknown]}}))
    (broken,) = invariants_broken(world)
    assert broken == f"I2 {MODEL}: instance there-1 answers by c9, revision 9, which the ledger does not know."


@pytest.mark.postgres
def test_on_postgres_a_change_of_a_route_is_told_and_nothing_else_is(world, monkeypatch):
    monkeypatch.setattr(changing, "AGAIN_S", 3600.0)
    with empty_postgres() as url:
        monkeypatch.setenv("SLIPWAY_LEDGER_URL", url)
        world.promote_another(1)
        changes = Changes(url)
        assert changes.looked() is True
        assert changes.looked() is False
        with world.ledger() as ledger:
            ledger.instances.say(InstanceRecord("there-1", "there", NOON))
        assert changes.looked() is False
        world.promote_another(2)
        eventually(changes.looked, every_s=0.01)
        assert changes.looked() is False
        changes.close()


def test_a_postgres_that_is_away_is_asked_again_after_a_while_and_the_ledger_is_read_once_a_second(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(changing.time, "monotonic", lambda: now[0])
    changes = Changes("postgresql+psycopg://nobody@127.0.0.1:9/nowhere")
    assert changes.looked() is True, "the first look is due"
    assert changes.looked() is False
    now[0] += changing.AGAIN_S
    assert changes.looked() is True


@pytest.mark.parametrize("point", ["keeper.loaded", "keeper.published"])
def test_f138_a_keeper_killed_between_loading_and_publishing_leaves_a_whole_route_and_the_next_one_publishes(
    world, point
):
    first = world.promote_another(1)
    new_keeper(world).look()
    second = world.promote_another(2)
    config = new_keeper(world).config
    killed = subprocess.run(
        [sys.executable, "-m", "include.serving.keeper", msgspec.json.encode(config).decode()],
        cwd=PROJECT,
        env={**os.environ, "FAULT_CRASH": point},
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL
    assert served(world).candidate == (first if point == "keeper.loaded" else second)
    new_keeper(world).look()
    assert served(world).candidate == second
