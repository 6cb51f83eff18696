"""The checker itself: each kind of damage is found and named, so that a green fault test means something."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from feature_world import a_world, day
from invariants import NAMES, InvariantsBroken, check_invariants
from journey_world import NOW, SECRET, JourneyWorld
from sqlalchemy import create_engine, delete, insert, select, text, update

from include.adapters.airflow_api import AirflowRefused, DagRun
from include.adapters.ledger import Ledger, Notice, Scope, tables
from include.adapters.ledger.notices import LEASE
from include.adapters.offline_store import OfflineStore
from include.adapters.online_store import ONLINE
from include.config.settings import settings
from include.workflows import tasks
from include.workflows.pages import notices


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
    assert verdicts.pop("I16") == "not applicable: the world has no Airflow"
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
    assert damage_of(sound)[0].startswith(f"I1 {sound.model}: champion by state is none, by deployment ")
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


def test_answers_that_the_ledger_does_not_know_are_found(sound):
    with Ledger.open(settings().ledger_url) as ledger, ledger.database.engine.begin() as connection:
        kept = dict(connection.execute(select(tables.scorings)).one()._mapping)
        connection.execute(delete(tables.scorings))
    champion = kept["candidate_id"]
    assert damage_of(sound) == [
        f"I14 {sound.model} 2024-03-14: the log has answers of {champion} that the ledger does not know."
    ]
    with Ledger.open(settings().ledger_url) as ledger, ledger.database.engine.begin() as connection:
        connection.execute(insert(tables.scorings).values(kept))
    check_invariants(sound)


def test_answers_and_features_that_were_promised_and_are_lost_are_found(sound):
    store = OfflineStore(settings().store)
    path = store.log_path(sound.model)
    version = DeltaTable(path).version()
    DeltaTable(path).delete("predicted = 'late'")
    (found,) = damage_of(sound)
    assert re.fullmatch(rf"I14 {sound.model}: \S+ 2024-03-14: 120 rows were promised, \d+ rows are there\.", found)
    DeltaTable(path).restore(version)
    check_invariants(sound)


def test_rows_that_were_published_and_are_lost_are_found_by_day(sound):
    view = sound.declared.view("station_level")
    path = OfflineStore(settings().store).view_path(view)
    version = DeltaTable(path).version()
    DeltaTable(path).delete("day = '2024-03-05'")
    found = damage_of(sound)
    assert "I5 station_level 2024-03-05: the ledger says PUBLISHED, the table has False." in found
    assert "I14 station_level 2024-03-05: it lies in other files than were published." in found
    DeltaTable(path).restore(version)
    check_invariants(sound)


def test_an_online_store_that_lost_a_row_has_an_older_one_or_one_too_many_is_found(sound):
    engine = create_engine(settings().online_url)
    with engine.begin() as connection:
        mine = ONLINE.c.view == "station_level"
        kept = [dict(row._mapping) for row in connection.execute(select(ONLINE).where(mine))]
        assert len(kept) == 2
        connection.execute(delete(ONLINE).where(mine))
        connection.execute(insert(ONLINE).values(kept[0] | {"entity": '["nowhere"]'}))
        connection.execute(insert(ONLINE).values(kept[1] | {"features": "{}"}))
    (found,) = damage_of(sound)
    assert found.startswith("I14 station_level: online, of 2 entities, ")
    for what in ("1 missing", "1 of other values", "1 newer than anything published (for example"):
        assert what in found
    with engine.begin() as connection:
        connection.execute(delete(ONLINE).where(mine))
        connection.execute(insert(ONLINE), kept)
    engine.dispose()
    check_invariants(sound)


def test_a_day_with_two_servers_or_a_request_served_twice_is_found(sound):
    store = OfflineStore(settings().store)
    path = store.log_path(sound.model)
    table = DeltaTable(path)
    version = table.version()
    rows = table.to_pyarrow_table()
    at = rows.column_names.index("candidate_id")
    other = rows.slice(0, 1).set_column(at, "candidate_id", pa.array(["somebody"], rows.schema.field(at).type))
    write_deltalake(table, other, mode="append")
    found = damage_of(sound)
    assert f"I5 {sound.model}: 1 requests were served twice." in found
    assert any(line.startswith(f"I13 {sound.model} 2024-03-14: the log has 2 servers: ") for line in found)
    DeltaTable(path).restore(version)
    check_invariants(sound)


def test_a_notice_that_hangs_was_told_too_often_or_is_unknown_is_found(sound):
    notice = Notice("late/x", Scope.MODEL, sound.model, "late", "on_call", "o", "It is late.", "/slipway")
    file = settings().home / notices.FILE
    with Ledger.open(settings().ledger_url) as ledger:
        ledger.notices.put(notice, NOW)
        assert ledger.notices.take(notice.key, NOW) is not None
        over = NOW + LEASE
        assert damage_of(sound) == [
            f"I15 late/x is stuck: sending it was begun, its lease was over at {over.isoformat()}."
        ]
        ledger.notices.sent(notice.key, "o", NOW)
        check_invariants(sound)
        for each in (notice, notice, replace(notice, key="late/unheard")):
            notices.to_file(each)
        assert damage_of(sound) == [
            "I15 late/x was told 2 times in 1 tries.",
            "I15 late/unheard was told, and the ledger does not know it.",
        ]
        file.unlink()
        with ledger.database.engine.begin() as connection:
            connection.execute(update(tables.notices).values(sent_at=None))
        assert damage_of(sound) == ["I15 late/x is sent, and was sent at None."]
        with ledger.database.engine.begin() as connection:
            connection.execute(delete(tables.notices))
    check_invariants(sound)


def test_a_notice_whose_lease_has_just_begun_hangs_with_nobody(sound):
    notice = Notice("late/y", Scope.MODEL, sound.model, "late", "on_call", "o", "It is late.", "/slipway")
    with Ledger.open(settings().ledger_url) as ledger:
        ledger.notices.put(notice, datetime.now(UTC))
        assert ledger.notices.take(notice.key, datetime.now(UTC)) is not None
        check_invariants(sound)
        with ledger.database.engine.begin() as connection:
            connection.execute(delete(tables.notices))


class Runs:
    """What the invariants ask of Airflow: one state for every run, or none."""

    def __init__(self, state: str | None) -> None:
        self.state = state

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        if self.state is None:
            raise AirflowRefused(404, f"look up {dag_id} {run_id}", "there is no such run")
        return DagRun(dag_id, run_id, self.state, "manual", None, {}, None, None, None)


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("running", None),
        ("queued", None),
        ("failed", "is over (failed), and nothing has closed the journey."),
        ("success", "is over (success), and nothing has closed the journey."),
        (None, "is not known to Airflow: "),
    ],
)
def test_a_candidate_in_flight_whose_run_is_over_or_gone_is_found(sound, state, line):
    reference = sound.open(f"in-flight-{state}", 15)
    sound.api = Runs(state)
    try:
        if line is None:
            assert check_invariants(sound).verdicts["I16"] == "holds"
        else:
            (found,) = damage_of(sound)
            assert found.startswith(
                f"I16 {reference['candidate_id']}: its run retrain_{sound.model} in-flight-{state} {line}"
            )
    finally:
        del sound.api
        tasks.close_journey(reference)
