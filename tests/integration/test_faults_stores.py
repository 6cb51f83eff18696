"""What a store lost, or was made to hold by hand, is refused by who reads it, named at night, and repaired."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake
from feature_world import READINGS, TRIPS, World, a_world, at, day, days, partition, stored
from sqlalchemy import create_engine

from include import cli
from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore, PartitionDamaged, TableMissing
from include.adapters.online_store import OnlineStore
from include.config import loader
from include.config.settings import settings
from include.workflows import pairs
from include.workflows.features import publishing
from include.workflows.lineage import promised
from include.workflows.lineage.promised import PromiseBroken
from include.workflows.pairs import online as online_pair
from include.workflows.pairs import views
from include.workflows.scoring import training_sets

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = at(20)


@pytest.fixture(scope="module")
def five_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five days of both views, published one after the other."""
    root = tmp_path_factory.mktemp("five_days")
    with pytest.MonkeyPatch.context() as patch:
        made = a_world(root, patch)
        made.fill(1, 6)
        for number in range(1, 6):
            made.materialize("trip_plan", day(number), f"run-{number}")
            made.materialize("station_level", day(number), f"run-{number}")
    return root


@pytest.fixture
def world(five_days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A copy of its own, with every file as old as it was."""
    shutil.copytree(five_days, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(promised, "PATIENCE_S", 0.3)
    monkeypatch.setattr(loader, "ROOT", tmp_path / "declared")
    made = a_world(tmp_path, monkeypatch, make=False)
    loader.declarations.cache_clear()
    yield made
    loader.declarations.cache_clear()


def table(world: World, view: str) -> DeltaTable:
    return DeltaTable(OfflineStore(settings().store).view_path(world.declared.view(view)))


def build(world: World, **how):
    declared = world.declared
    return training_sets.build(declared.model("trip_late"), days(2, 6), LATER, declared=declared, **how)


def broken(world: World, view: str) -> list[str]:
    """The days of the view that do not hold what was promised."""
    store, declared = OfflineStore(settings().store), world.declared.view(view)
    with Ledger.open(settings().ledger_url) as ledger:
        return [each.day for each in promised.compared(ledger, store, declared, days(1, 6).days)]


def test_a_sound_table_is_read(world):
    assert build(world).rows == 20
    assert broken(world, "trip_plan") == broken(world, "station_level") == []


# --- f184: the table of a view ----------------------------------------------------------------------------------------


def restored(world: World, view: str, how: str) -> None:
    """Take the view's table back to what it was before its last two publishes."""
    found = table(world, view)
    if how == "restore":
        found.restore(found.version() - 2)
        return
    # A copy of the folder from before: its log ends earlier.
    for number in (found.version(), found.version() - 1):
        for file in Path(found.table_uri.removeprefix("file://"), "_delta_log").glob(f"{number:020d}*"):
            file.unlink()


@pytest.mark.parametrize("how", ["restore", "copy"])
@pytest.mark.parametrize("view", ["trip_plan", "station_level"])
def test_f184_a_table_taken_back_to_an_older_version_is_refused_with_its_days(world, view, how):
    restored(world, view, how)
    with pytest.raises(PromiseBroken) as refused:
        build(world)
    said = str(refused.value)
    assert said.count("\n") == 0
    assert said.startswith(f"{view} v1 (table version ")
    assert "2024-03-04: " in said
    assert "2024-03-05: " in said
    assert "none is there" in said
    assert f"slipway repair view {view}" in said
    assert broken(world, view) == ["2024-03-04", "2024-03-05"]
    mend(world, view, 2)


def test_f184_two_of_six_training_days_deleted_are_refused(world):
    table(world, "trip_plan").delete("day IN ('2024-03-03', '2024-03-04')")
    with pytest.raises(PromiseBroken, match="2024-03-03: 6 rows were promised, none is there; 2024-03-04"):
        build(world)
    mend(world, "trip_plan", 2)


def test_f184_a_day_restored_to_its_rows_before_a_correction_is_refused_by_its_hash(world):
    world.change(READINGS, READINGS.c.level == 31.0, level=32.0)
    before = table(world, "station_level").version()
    world.materialize("station_level", day(3), "corrected", at(9))
    table(world, "station_level").restore(before)
    with pytest.raises(PromiseBroken, match="2024-03-03: 48 rows were promised, and as many others are there"):
        build(world)
    mend(world, "station_level", 1)


def test_f184_one_row_deleted_is_refused(world):
    table(world, "station_level").delete("day = '2024-03-03' AND station = 'north' AND level = 30.0")
    with pytest.raises(PromiseBroken, match="2024-03-03: 48 rows were promised, 47 rows are there"):
        build(world)
    mend(world, "station_level", 1)


def test_f184_rows_that_nobody_published_are_refused(world):
    found = table(world, "trip_plan")
    write_deltalake(found, found.to_pyarrow_table(filters=[("day", "=", "2024-03-02")]), mode="append")
    with pytest.raises(PromiseBroken, match="2024-03-02: 6 rows were promised, 12 rows are there"):
        build(world)
    mend(world, "trip_plan", 1)


@pytest.mark.parametrize("damage", ["gone", "cut off", "written over"])
def test_f184_a_file_that_was_touched_is_refused(world, damage):
    root = Path(OfflineStore(settings().store).view_path(world.declared.view("trip_plan")))
    first, other = (next((root / f"day=2024-03-0{number}").glob("*.parquet")) for number in (3, 4))
    if damage == "gone":
        first.unlink()
    elif damage == "cut off":
        first.write_bytes(first.read_bytes()[:100])
    else:
        first.write_bytes(other.read_bytes())
        later = time.time() + 60
        os.utime(first, (later, later))
    expected = PromiseBroken if damage == "written over" else PartitionDamaged
    with pytest.raises(expected, match="2024-03-03: "):
        build(world)
    mend(world, "trip_plan", 1)


def test_f184_a_day_published_and_then_cleared_in_the_ledger_s_eyes_holds_nothing(world):
    world.remove(TRIPS, TRIPS.c.trip_id.like("05-%"))
    world.materialize("trip_plan", day(5), "cleared", at(9))
    assert partition("trip_plan", 5).rows == 0
    found = table(world, "trip_plan")
    found.restore(found.version() - 1)
    with pytest.raises(PromiseBroken, match="2024-03-05: no row was promised, 6 rows are there"):
        build(world)
    mend(world, "trip_plan", 1)


def test_a_pinned_older_version_is_held_to_what_was_promised_then(world):
    pinned = build(world).table_versions
    world.change(READINGS, READINGS.c.level == 31.0, level=32.0)
    world.materialize("station_level", day(3), "corrected", at(9))
    assert build(world, versions=pinned).table_versions == pinned
    table(world, "station_level").delete("day = '2024-03-02'")
    assert build(world, versions=pinned).rows == 20, "the older version still has the day"
    with pytest.raises(PromiseBroken):
        build(world)
    mend(world, "station_level", 1)


def test_a_compacted_table_is_read_and_known_again(world):
    found = table(world, "station_level")
    rows = found.to_pyarrow_table(filters=[("day", "=", "2024-03-03")])
    write_deltalake(found, rows.slice(0, 20), mode="overwrite", predicate="day = '2024-03-03'")
    write_deltalake(found, rows.slice(20), mode="append")
    assert build(world).rows == 20
    before = partition("station_level", 3).files
    assert pairs.compared("view", NOW)["facts"]["compared"] == 2
    assert partition("station_level", 3).files != before
    found.optimize.compact()
    assert build(world).rows == 20


def test_a_publish_that_has_committed_and_not_told_the_ledger_yet_is_waited_for(world, monkeypatch):
    monkeypatch.setattr(promised, "PATIENCE_S", 60.0)
    world.change(READINGS, READINGS.c.level == 31.0, level=32.0)
    staged = world.stage("station_level", day(3), "slow", at(9))
    world.audit(staged)
    read, tell = threading.Event(), threading.Event()
    monkeypatch.setattr(
        publishing, "crashpoint", lambda name: (read.set(), tell.wait(60)) if name.endswith("committed") else None
    )
    with ThreadPoolExecutor(2) as pool:
        publish = pool.submit(world.publish, staged)
        assert read.wait(60)
        made = pool.submit(build, world)
        waited = threading.Event()
        monkeypatch.setattr(promised.time, "sleep", lambda _: (waited.set(), threading.Event().wait(0.02)))
        assert waited.wait(60), "the reader looks again"
        tell.set()
        assert publish.result(60).changed == ["2024-03-03"]
        assert made.result(60).rows == 20


def test_f184_the_nightly_comparison_names_the_days_and_the_repair(world):
    table(world, "trip_plan").delete("day = '2024-03-03'")
    with pytest.raises(pairs.StoresDiffer) as red:
        pairs.compared("view", NOW)
    assert str(red.value).startswith("trip_plan v1 2024-03-03: 2024-03-03: 6 rows were promised, none is there.")
    assert "slipway repair view" in str(red.value)
    mend(world, "trip_plan", 1)


def test_f184_each_day_is_read_once_in_four_weeks_though_its_files_look_untouched(world):
    root = Path(OfflineStore(settings().store).view_path(world.declared.view("trip_plan")))
    first = next((root / "day=2024-03-03").glob("*.parquet"))
    kept, content = first.stat(), first.read_bytes()
    first.write_bytes(content[:-100] + bytes(100))
    os.utime(first, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    nights = [NOW + timedelta(days=n) for n in range(views.READ_EVERY)]
    red = [night for night in nights if any(f.state is pairs.PairState.DIFFERS for f in pairs.compare(night, ["view"]))]
    assert len(red) == 1
    mend(world, "trip_plan", 1)


def test_f184_a_day_whose_old_version_is_gone_is_published_again_from_the_source(world):
    held = stored(world, "trip_plan", day(3))
    shutil.rmtree(OfflineStore(settings().store).view_path(world.declared.view("trip_plan")))
    with pytest.raises(TableMissing):
        build(world)
    mend(world, "trip_plan", 5)
    assert stored(world, "trip_plan", day(3)) == held


def mend(world: World, view: str, lost: int) -> None:
    """Repair the view: so many days are repaired, then nothing is left to do, and the training set can be built."""
    first = pairs.check_named("view").repair(NOW, view)
    assert [f.state for f in first if f.repaired] == [pairs.PairState.AGREES] * lost, first
    again = pairs.check_named("view").repair(NOW, view)
    assert [(f.state, f.repaired) for f in again] == [(pairs.PairState.AGREES, False)], again
    assert broken(world, view) == []
    build(world)


# --- f185: the online store -------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def online(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> OnlineStore:
    """The online store of the world, filled, on each database."""
    monkeypatch.setattr(online_pair, "PAUSE_S", 0.05)
    if request.param == "postgres":
        monkeypatch.setenv("SLIPWAY_ONLINE_URL", str(request.getfixturevalue("postgres_url")))
        assert [f.repaired for f in pairs.check_named("online").repair(NOW, None)] == [True, True]
    return OnlineStore(settings().online_url)


def levels(world: World, store: OnlineStore) -> list[float | None]:
    rows = store.read(world.declared.view("station_level"), [["north"], ["south"]])
    return [None if row is None else row.features["level"] for row in rows]


def change(store: OnlineStore, statement: str) -> None:
    engine = create_engine(store.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def moved(store: OnlineStore, event_time: str, level: float) -> None:
    """Give the row of one station another time and another level, by hand."""
    values = f"event_time = '{event_time}', features = '{{\"level\":{level}}}'"
    change(store, f"UPDATE online_features SET {values} WHERE entity = '[\"north\"]'")


def states(found: list[pairs.PairFinding]) -> dict[str, str]:
    return {f.about: f.state.value for f in found}


NEWEST = [73.0, 173.0]
"""The levels of both stations in the last hour of the fifth day."""


def test_f185_a_lost_online_store_says_missing_and_is_filled_again_by_one_command(world, online):
    assert levels(world, online) == NEWEST
    assert set(states(pairs.compare(NOW, ["online"])).values()) == {"agrees"}
    change(online, "DROP TABLE online_features")
    assert levels(world, online) == [None, None], "missing, and not wrong"
    with pytest.raises(
        pairs.StoresDiffer, match=r"station_level v1: Published up to 2024-03-05: of 2 entities, 2 missing"
    ):
        pairs.compared("online", NOW)
    done = cli_json("repair", "online")
    assert [(f["state"], f["repaired"]) for f in done["findings"]] == [("agrees", True)] * 2
    assert levels(world, online) == NEWEST
    again = cli_json("repair", "online")
    assert [(f["state"], f["repaired"]) for f in again["findings"]] == [("agrees", False)] * 2


def test_f185_a_deleted_file_is_a_missing_row_and_not_an_old_one(world, monkeypatch):
    monkeypatch.setattr(online_pair, "PAUSE_S", 0.05)
    store = OnlineStore(settings().online_url)
    assert levels(world, store) == NEWEST
    for file in Path(settings().home).glob("online.db*"):
        file.unlink()
    assert levels(world, store) == [None, None]
    assert set(states(pairs.check_named("online").repair(NOW, None)).values()) == {"agrees"}
    assert levels(world, store) == NEWEST


def test_f185_older_rows_and_other_values_of_a_restored_backup_are_found_and_replaced(world, online):
    moved(online, "2024-03-05 22:00:00.000000", 1.0)
    change(online, "UPDATE online_features SET features = '{\"level\":2.0}' WHERE entity = '[\"south\"]'")
    with pytest.raises(pairs.StoresDiffer, match=r"1 older than what was published .*, 1 of other values"):
        pairs.compared("online", NOW)
    assert [f.repaired for f in pairs.check_named("online").repair(NOW, "station_level")] == [True]
    assert levels(world, online) == NEWEST


def test_f185_a_row_that_was_never_published_is_removed(world, online):
    moved(online, "2024-03-06 22:00:00.000000", 9.0)
    with pytest.raises(pairs.StoresDiffer, match="1 newer than anything published"):
        pairs.compared("online", NOW)
    assert [f.repaired for f in pairs.check_named("online").repair(NOW, "station_level")] == [True]
    assert levels(world, online) == NEWEST


def test_f185_a_repair_that_is_overtaken_by_a_publish_puts_no_old_value_back(world, online, monkeypatch):
    change(online, "DELETE FROM online_features WHERE view = 'station_level'")
    view, push = world.declared.view("station_level"), OnlineStore.push

    def overtaken(store: OnlineStore, *given) -> int:
        monkeypatch.setattr(OnlineStore, "push", push)
        world.fill(6, 7)
        world.materialize("station_level", day(6), "run-6")
        return push(store, *given)

    monkeypatch.setattr(OnlineStore, "push", overtaken)
    assert states(pairs.check_named("online").repair(NOW, view.name)) == {"station_level v1": "agrees"}
    assert levels(world, online) == [83.0, 183.0]


def test_f185_the_online_store_is_not_filled_from_a_table_that_lost_rows(world, online):
    change(online, "DELETE FROM online_features")
    table(world, "station_level").delete("day = '2024-03-05' AND level = 73.0")
    found = pairs.check_named("online").repair(NOW, "station_level")
    assert [(f.state, f.repaired) for f in found] == [(pairs.PairState.NOT_COMPARED, False)]
    assert "slipway repair view station_level" in found[0].message
    assert levels(world, online) == [None, None]
    mend(world, "station_level", 1)
    assert [f.repaired for f in pairs.check_named("online").repair(NOW, None)] == [True, True]


def test_f185_an_online_store_that_does_not_answer_was_not_compared(world):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_ONLINE_URL", "postgresql+psycopg://u:secret@127.0.0.1:1/none")
        found = pairs.compare(NOW, ["online"])
        with pytest.raises(pairs.NotCompared):
            pairs.compared("online", NOW)
    assert {f.state for f in found} == {pairs.PairState.NOT_COMPARED}
    assert not any("secret" in f.message for f in found)


def cli_json(*arguments: str) -> dict:
    """What the command prints as JSON, in this process."""
    import contextlib
    import io

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        cli.main([*arguments, "--json"])
    return json.loads(said.getvalue())


def test_a_comparison_by_hand_changes_nothing_and_names_the_repair(world, capsys):
    table(world, "trip_plan").delete("day = '2024-03-03'")
    before = table(world, "trip_plan").version()
    assert cli.main(["repair", "view", "--check"]) == 1
    said = capsys.readouterr().out
    assert "view  trip_plan v1 2024-03-03  differs: 2024-03-03: 6 rows were promised, none is there." in said
    assert "To repair: slipway repair view" in said
    assert table(world, "trip_plan").version() == before
    assert cli.main(["repair", "view", "trip_plan"]) == 0
    assert cli.main(["repair", "view", "--check"]) == 0
    assert cli.main(["repair", "nothing"]) == 64
    assert cli.main(["repair", "view", "nothing"]) == 64


def test_a_row_that_a_correction_took_back_is_taken_back_online_and_what_came_before_it_is_read(world, online):
    world.remove(READINGS, READINGS.c.level == 73.0)
    world.materialize("station_level", day(5), "corrected", at(9))
    assert levels(world, online) == [72.0, 173.0]
    assert set(states(pairs.compare(NOW, ["online"])).values()) == {"agrees"}
