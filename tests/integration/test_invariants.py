"""The checker itself: each kind of damage is found and named, so that a green fault test means something."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest
from deltalake import DeltaTable, write_deltalake
from feature_world import a_world, day
from invariants import NAMES, InvariantsBroken, check_invariants
from journey_world import SECRET, JourneyWorld
from sqlalchemy import text

from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore
from include.config.settings import settings


@pytest.fixture(scope="module")
def sound(shared_world: JourneyWorld) -> JourneyWorld:
    """A world with a champion and a scored day, whose damage each test repairs."""
    shared_world.first_champion()
    shared_world.score(14)
    return shared_world


def damage_of(world) -> list[str]:
    with pytest.raises(InvariantsBroken) as broken:
        check_invariants(world)
    return str(broken.value).splitlines()


def test_a_sound_world_is_reported_invariant_by_invariant(sound):
    verdicts = check_invariants(sound).verdicts
    assert list(verdicts) == list(NAMES)
    assert all(verdict.startswith("holds") for verdict in verdicts.values())
    assert verdicts["I2"] == "holds, but for the service: there is none"


def test_what_a_world_does_not_have_is_said_and_not_taken_for_true(tmp_path, monkeypatch):
    world = a_world(tmp_path, monkeypatch)
    world.fill(1, 3)
    world.materialize("trip_plan", day(2))
    verdicts = check_invariants(world).verdicts
    assert verdicts["I2"] == verdicts["I10"] == "not applicable: the world has no registry"
    assert verdicts["I11"] == "not applicable: no secret was planted"
    assert verdicts["I5"] == "holds"


def test_an_alias_moved_by_hand_is_found(sound):
    sound.registry.drop(sound.model, "champion", 1)
    assert damage_of(sound) == [f"I2 {sound.model}: the ledger's champion is version 1, the alias says None."]
    sound.registry.point(sound.model, "champion", 1)
    check_invariants(sound)


def test_a_second_champion_in_the_ledger_is_found(sound):
    with Ledger.open(settings().ledger_url) as ledger, ledger.database.engine.begin() as connection:
        connection.execute(text("UPDATE candidates SET state = 'retired' WHERE state = 'champion'"))
    assert damage_of(sound)[0].startswith(f"I1 {sound.model}: champion by state is nobody, by deployment ")
    with Ledger.open(settings().ledger_url) as ledger, ledger.database.engine.begin() as connection:
        connection.execute(text("UPDATE candidates SET state = 'champion' WHERE state = 'retired'"))
    check_invariants(sound)


def test_rows_that_bypassed_the_ledger_are_found(sound):
    store = OfflineStore(settings().store)
    path = store.view_path(sound.declared.view("station_level"))
    table = DeltaTable(path)
    version = table.version()
    write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")
    found = damage_of(sound)
    assert found[0] == "I5 station_level: 1 rows repeat an entity and event time."
    assert found[1].endswith("the table does not hold what the ledger recorded.")
    DeltaTable(path).restore(version)
    check_invariants(sound)


def test_an_unfinished_file_a_secret_a_process_and_a_lock_are_found(sound):
    unfinished = settings().artifacts / "staging" / ".half.tmp"
    unfinished.write_text(f"password={SECRET}")
    sound.children = [os.getpid()]
    with closing(sqlite3.connect(settings().home / "ledger.db")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        found = damage_of(sound)
        holder.rollback()
    assert found == [
        "I6 work/staging/.half.tmp was left unfinished.",
        "I11 a planted secret stands in work/staging/.half.tmp.",
        f"I12 process {os.getpid()} still runs.",
        "I12 the ledger is still locked, or cannot be opened: database is locked.",
    ]
    unfinished.unlink()
    sound.children = []
    check_invariants(sound)
