"""Rows that come late, are corrected, or were made by another definition: found, published again, and traceable."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from feature_world import (
    READINGS,
    STATION_LEVEL,
    STATION_LEVEL_SQL,
    TRIP_PLAN,
    TRIP_PLAN_SQL,
    TRIPS,
    at,
    day,
    days,
    filled_world,
    history,
    naive,
    partition,
    stored,
)
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine

from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore
from include.adapters.source import daily_counts
from include.config.settings import settings
from include.config.types import SourceTable
from include.domain.verdicts import Verdict
from include.workflows.features import source_days, staging

world = filled_world(1, 9)


def late_trip(number: int, *, known_day: int, name: str = "9") -> dict:
    """A trip of day ``number`` that the source learned during ``known_day``."""
    trip = {"trip_id": f"{number:02d}-{name}", "starts_at": naive(at(number, 22)), "station": "süd", "order": 1.0}
    return {**trip, "known_at": naive(at(known_day, 9))}


def test_f005_a_row_that_arrives_after_its_day_was_published_is_in_it_after_the_next_run(world):
    first = world.run_day("trip_plan", 2)
    world.insert(TRIPS, [late_trip(2, known_day=3)])
    second = world.run_day("trip_plan", 3)
    assert (second.corrected, second.refused) == (["2024-03-02"], {})
    assert [(p.rows, p.source_rows) for p in history("trip_plan", 2)] == [(6, 6), (7, 7)]
    assert partition("trip_plan", 2).source_as_of == at(4)
    # Whoever pinned the version before still reads what it saw.
    store, view = OfflineStore(settings().store), world.declared.view("trip_plan")
    assert store.read(view, day(2), first.table_version).num_rows == 6
    assert world.run_day("trip_plan", 4).corrected == []


def test_f005_a_row_changed_in_place_is_found_by_its_days_hash(world):
    world.run_day("trip_plan", 2)
    world.change(TRIPS, TRIPS.c.trip_id == "02-3", order=99.0)
    assert world.run_day("trip_plan", 3).corrected == ["2024-03-02"]
    assert partition("trip_plan", 2).source_rows == 6


def test_f201_a_row_delivered_twice_makes_no_day_stale_by_its_count(world, capsys):
    world.declare_view(STATION_LEVEL, STATION_LEVEL_SQL, recheck={"days": 2, "by": "watermark"})
    twice = {"station": "north", "read_at": naive(at(4, 5)), "level": 45.0, "known_at": naive(at(4, 5.5))}
    world.insert(READINGS, [twice])
    for number in (4, 5, 6):
        world.run_day("station_level", number)
    assert "staged again" not in capsys.readouterr().out
    assert len(history("station_level", 4)) == 1
    world.change(READINGS, READINGS.c.read_at == naive(at(5, 7)), level=1.0, known_at=naive(at(6, 23)))
    world.run_day("station_level", 7)
    assert "2024-03-05 is staged again" in capsys.readouterr().out


def test_counts_and_watermarks_find_a_late_row_and_miss_one_changed_in_place(world):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL, recheck={"by": "watermark"})
    world.run_day("trip_plan", 2)
    world.change(TRIPS, TRIPS.c.trip_id == "02-3", order=99.0)
    assert world.run_day("trip_plan", 3).corrected == []
    world.insert(TRIPS, [late_trip(2, known_day=4)])
    assert world.run_day("trip_plan", 4).corrected == ["2024-03-02"]


def test_a_row_older_than_the_days_looked_at_is_found_when_asked_and_not_by_the_run(world):
    for number in (2, 3, 4, 5):
        world.run_day("trip_plan", number)
    world.insert(TRIPS, [late_trip(2, known_day=6)])
    assert world.run_day("trip_plan", 6).corrected == []
    view = world.declared.view("trip_plan")
    with Ledger.open(settings().ledger_url) as ledger:
        (found,) = source_days.stale_within(view, days(1, 7), at(20), ledger.partitions)
    assert (found.day, found.reason) == ("2024-03-02", "the source has 7 rows where it had 6")
    world.run_days("trip_plan", 2, 3, as_of=at(20))
    assert partition("trip_plan", 2).rows == 7
    # A later rerun of the old day does not take the correction back.
    assert world.run_day("trip_plan", 2).changed == []
    assert partition("trip_plan", 2).rows == 7


def test_the_days_whose_look_back_reaches_a_late_row_are_published_again_too(world):
    for number in (2, 3, 4):
        world.run_day("station_level", number)
    moment = {"read_at": naive(at(3, 23.5)), "known_at": naive(at(5, 1))}
    world.insert(READINGS, [{"station": "north", "level": 500.0, **moment}])
    again = world.run_day("station_level", 5)
    assert again.corrected == ["2024-03-03", "2024-03-04"]
    rows = OfflineStore(settings().store).read(world.declared.view("station_level"), day(4)).to_pandas()
    north = rows[rows["station"] == "north"].iloc[0]
    assert north["mean_level_3h"] == pytest.approx((40 + 53 + 52 + 500) / 4)


def test_a_correction_that_fails_its_audit_keeps_back_itself_and_not_the_new_day(world):
    world.run_day("trip_plan", 2)
    before = stored(world, "trip_plan", day(2))
    world.insert(TRIPS, [{**late_trip(2, known_day=3), "station": "atlantis"}])
    staged = world.stage_day("trip_plan", 3)
    judged = world.audit(staged)
    assert judged.verdict is Verdict.PASS
    (told,) = judged.notes["corrections"]
    assert (told["day"], told["verdict"], told["published"]) == ("2024-03-02", "FAIL", False)
    published = world.publish(staged)
    assert published.published == ["2024-03-03"]
    assert "atlantis" in published.refused["2024-03-02"]
    assert stored(world, "trip_plan", day(2)) == before
    # It stays stale, so that the next run looks at it again.
    world.change(TRIPS, TRIPS.c.trip_id == "02-9", station="north")
    assert world.run_day("trip_plan", 4).corrected == ["2024-03-02"]


def test_f004_late_rows_end_in_the_same_bytes_whatever_the_order_of_the_runs(world, tmp_path, monkeypatch):
    world.insert(TRIPS, [late_trip(2, known_day=3), late_trip(4, known_day=5), late_trip(3, known_day=8)])
    ends = []
    for order in ([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [4, 1, 6, 2, 5, 3]):
        home = tmp_path / f"home-{order[0]}-{order[1]}"
        home.mkdir()
        monkeypatch.setenv("SLIPWAY_HOME", str(home))
        for number in order:
            world.run_day("trip_plan", number)
        ends.append(stored(world, "trip_plan", days(1, 7)))
    assert len(set(ends)) == 1
    assert partition("trip_plan", 2).rows == 7  # found the day after
    assert partition("trip_plan", 3).rows == 6  # known five days later: farther than two days


def test_a_slow_run_that_read_the_source_earlier_takes_no_correction_back(world):
    world.run_day("trip_plan", 2)
    slow = staging.materialize("trip_plan", day(2), at(3), "slow", declared=world.declared)
    world.audit(slow)
    world.insert(TRIPS, [late_trip(2, known_day=3)])
    world.run_day("trip_plan", 3)
    assert world.publish(slow).newer == ["2024-03-02"]
    assert partition("trip_plan", 2).rows == 7


def test_f002_the_same_day_many_times_at_once_ends_in_one_result_that_ledger_and_table_share(world):
    staged = []
    for n in range(4):
        world.change(TRIPS, TRIPS.c.trip_id == "02-3", order=float(n))
        staged.append(world.stage("trip_plan", day(2), f"run-{n}"))
        world.audit(staged[-1])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(world.publish, staged))
    held = OfflineStore(settings().store).stored_hash(world.declared.view("trip_plan"), "2024-03-02")
    assert held == partition("trip_plan", 2).content_hash
    assert held in {s.content["2024-03-02"] for s in staged}


def test_f002_different_days_at_once_all_land(world):
    staged = [world.stage("station_level", day(n), f"run-{n}") for n in range(2, 7)]
    for each in staged:
        world.audit(each)
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(world.publish, staged))
    assert [partition("station_level", n).rows for n in range(2, 7)] == [48] * 5


def test_a_table_that_was_removed_and_made_again_is_recorded_although_its_versions_start_anew(world):
    import shutil

    for number in (2, 3, 4):
        world.run_day("trip_plan", number)
    shutil.rmtree(OfflineStore(settings().store).view_path(world.declared.view("trip_plan")))
    for number in (2, 3, 4):
        world.run_day("trip_plan", number)
    assert [partition("trip_plan", n).table_version for n in (2, 3, 4)] == [1, 2, 3]


# --- what each run asks of the source -------------------------------------------------------------------------------


def test_looking_again_reads_the_earlier_days_and_nothing_before_them(world):
    for number in (4, 5, 6):
        world.run_day("trip_plan", number)
    asked = []

    def noted(connection, cursor, statement, parameters, context, many):
        if statement.startswith("SELECT trip_id"):
            asked.append([str(p) for p in parameters])

    event.listen(Engine, "before_cursor_execute", noted)
    try:
        world.stage_day("trip_plan", 7)
    finally:
        event.remove(Engine, "before_cursor_execute", noted)
    assert len(asked) == 2
    dates = [each for parameters in asked for each in parameters if each.startswith("2024")]
    assert "2024-03-05" in dates
    # A time at an offset may be written with the date before or after, by 16 hours at most.
    assert min(dates) == "2024-03-04 08:00"


@pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
@pytest.mark.parametrize("zoned", [False, True])
def test_days_are_counted_in_utc_on_both_databases(backend, zoned, tmp_path, request):
    import uuid

    from sqlalchemy import Column, DateTime, Float, MetaData, Table, insert

    if backend == "sqlite" and zoned:
        pytest.skip("SQLite keeps no zone")
    url = request.getfixturevalue("postgres_url") if backend == "postgres" else f"sqlite:///{tmp_path / 's.db'}"
    name = f"counted_{uuid.uuid4().hex[:8]}"
    kind = DateTime(timezone=True) if zoned else DateTime()
    table = Table(name, MetaData(), Column("t", kind), Column("k", kind), Column("v", Float))
    engine = create_engine(url)
    table.create(engine)
    try:
        with engine.begin() as connection:
            for hour in (0, 1, 23, 24, 47):
                moment = at(5, hour) if zoned else naive(at(5, hour))
                connection.execute(insert(table).values(t=moment, k=moment + timedelta(hours=1), v=1.0))
        found = daily_counts(url, SourceTable(table=name, time="t", known="k"), days(5, 7), at(9))
        assert found == {"2024-03-05": (3, at(5, 24)), "2024-03-06": (2, at(5, 48))}
        early = daily_counts(url, SourceTable(table=name, time="t", known="k"), days(5, 7), at(5, 2))
        assert early == {"2024-03-05": (2, at(5, 2))}
    finally:
        table.drop(engine)
        engine.dispose()


# --- definitions -----------------------------------------------------------------------------------------------------


def test_a_changed_definition_is_refused_under_its_old_version_and_a_new_version_has_its_own_table(world):
    world.run_day("trip_plan", 2)
    changed = TRIP_PLAN_SQL.replace('"order",', '"order" + 1 AS "order",')
    world.declare_view(TRIP_PLAN, changed)
    with pytest.raises(staging.DefinitionChanged, match=r"version 1 was published on 1 day.*Raise version to 2"):
        world.stage_day("trip_plan", 3)
    world.declare_view(TRIP_PLAN, changed, version=2)
    world.run_day("trip_plan", 2)
    store = OfflineStore(settings().store)
    new, old = world.declared.view("trip_plan"), world.declared.view("trip_plan").model_copy(update={"version": 1})
    orders = [sum(store.read(v, day(2)).column("order").to_pylist()) for v in (old, new)]
    assert orders[1] == orders[0] + 6


def test_comments_owner_and_quality_are_no_new_definition(world):
    world.run_day("station_level", 2)
    world.declare_view(STATION_LEVEL, f"-- a remark\n{STATION_LEVEL_SQL}", owner="somebody else")
    assert world.run_day("station_level", 3).published == ["2024-03-03"]
