"""Write, audit, publish: on a small source, real Delta tables, and a real ledger and online store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from feature_world import (
    READINGS,
    STATION_LEVEL,
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

from include.adapters.ledger import PartitionStatus
from include.adapters.offline_store import OfflineStore
from include.adapters.online_store import OnlineStore
from include.adapters.source import ColumnVanished, SourceUnreachable
from include.adapters.sql_engine import SqlFailed
from include.config.settings import settings
from include.domain.intervals import BadInterval, Interval
from include.domain.verdicts import Mode, Verdict
from include.workflows.features import staging
from include.workflows.features.staged import NotAudited, StagedFileDamaged

world = filled_world(1, 6)


def test_a_published_day_can_be_read_and_is_in_the_ledger_and_online(world):
    published = world.materialize("station_level", day(2))
    rows = OfflineStore(settings().store).read(world.declared.view("station_level"), day(2)).to_pandas()
    assert len(rows) == 48
    assert rows["mean_level_3h"].iloc[0] == pytest.approx(
        (20 + 33 + 32) / 3
    )  # the look-back reaches into the day before
    known = partition("station_level", 2)
    assert (known.status, known.rows, known.source_rows) == (PartitionStatus.PUBLISHED, 48, 48)
    assert known.source_watermark == at(2, 23.5)
    assert known.table_version == published.table_version
    online = OnlineStore(settings().online_url).read(world.declared.view("station_level"), [["north"], ["nowhere"]])
    assert online[0].event_time == at(2, 23)
    assert online[0].features["level"] == 43.0
    assert online[1] is None


def test_f001_the_same_interval_three_times_is_byte_identical_and_changes_no_version(world):
    first = world.materialize("station_level", day(2), "run-1")
    before = stored(world, "station_level", day(2))
    again = [world.materialize("station_level", day(2), f"run-{n}") for n in (2, 3)]
    assert stored(world, "station_level", day(2)) == before
    assert [p.table_version for p in again] == [first.table_version] * 2
    assert [p.changed for p in again] == [[], []]
    assert len(history("station_level", 2)) == 1


def test_f001_a_rerun_after_other_days_were_published_keeps_the_version_the_day_was_written_in(world):
    first = world.materialize("station_level", day(2))
    world.materialize("station_level", day(3))
    world.materialize("station_level", day(2), "run-2")
    assert partition("station_level", 2).table_version == first.table_version
    assert len(history("station_level", 2)) == 1


def test_f001_a_staged_file_is_the_same_bytes_each_time(world):
    first = Path(world.stage("station_level", day(2), "run-1").path).read_bytes()
    assert Path(world.stage("station_level", day(2), "run-2").path).read_bytes() == first


def test_f003_f004_days_one_by_one_in_any_order_equal_the_days_in_bulk(world, tmp_path, monkeypatch):
    views = ("trip_plan", "station_level")
    for view in views:
        world.materialize(view, days(1, 6))
    bulk = {view: stored(world, view, days(1, 6)) for view in views}
    facts = {n: partition("station_level", n) for n in range(1, 6)}
    for order in ([5, 4, 3, 2, 1], [3, 5, 1, 4, 2]):
        monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / f"home-{order[0]}"))
        (tmp_path / f"home-{order[0]}").mkdir()
        for view in views:
            for number in order:
                world.materialize(view, day(number))
        assert {view: stored(world, view, days(1, 6)) for view in views} == bulk
        for number in order:
            alone = partition("station_level", number)
            assert (alone.content_hash, alone.source_rows, alone.source_watermark) == (
                facts[number].content_hash,
                facts[number].source_rows,
                facts[number].source_watermark,
            )


def test_f008_an_empty_day_is_recorded_as_empty_and_is_no_pass(world):
    staged = world.stage("station_level", day(20))
    result = world.audit(staged)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.mode is Mode.ADVISORY
    published = world.publish(staged)
    assert (published.published, published.empty) == ([], ["2024-03-20"])
    known = partition("station_level", 20)
    assert (known.status, known.rows, known.table_version) == (PartitionStatus.EMPTY, 0, None)


def test_f008_a_day_that_lost_all_its_rows_is_cleared_and_the_others_stay(world):
    world.materialize("station_level", days(2, 4))
    world.remove(READINGS, READINGS.c.read_at >= naive(at(3)), READINGS.c.read_at < naive(at(4)))
    published = world.materialize("station_level", day(3), "run-2")
    assert (published.empty, published.changed) == (["2024-03-03"], ["2024-03-03"])
    rows = OfflineStore(settings().store).read(world.declared.view("station_level"), days(1, 6))
    assert rows.num_rows == 48
    assert partition("station_level", 3).table_version == published.table_version


def test_f008_an_empty_day_within_a_bulk_run_is_recorded_and_named(world):
    staged = world.stage("station_level", days(4, 8))
    result = world.audit(staged)
    assert result.verdict is Verdict.PASS
    assert result.notes["empty_days"] == ["2024-03-06", "2024-03-07"]
    assert world.publish(staged).empty == ["2024-03-06", "2024-03-07"]


def test_an_unaudited_interval_is_not_published(world):
    with pytest.raises(NotAudited, match="it was not audited"):
        world.publish(world.stage("trip_plan", day(2)))
    assert OfflineStore(settings().store).current_version(world.declared.view("trip_plan")) is None


def test_a_failed_audit_is_not_published_even_if_somebody_accepts_it(world):
    world.change(TRIPS, TRIPS.c.trip_id == "02-3", station="atlantis")
    staged = world.stage("trip_plan", day(2))
    result = world.audit(staged)
    assert result.verdict is Verdict.FAIL
    assert "atlantis" in result.reason
    with pytest.raises(NotAudited, match=r"audit_gate says FAIL.*atlantis"):
        world.publish(staged, accepted_by="ada")


def test_a_staged_interval_with_a_row_dated_elsewhere_fails_and_nothing_of_it_is_published(world):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL.replace("starts_at AS", "starts_at + INTERVAL 20 HOUR AS"))
    staged = world.stage("trip_plan", day(2))
    result = world.audit(staged)
    assert {c.criterion: c.verdict for c in result.criteria}["event_times_outside"] is Verdict.FAIL
    with pytest.raises(NotAudited):
        world.publish(staged)


def test_an_expectation_that_could_not_be_asked_blocks_until_a_person_accepts_it(world):
    broken = {"expectation": "expect_column_mean_to_be_between", "kwargs": {"column": "altitude", "min_value": 0}}
    quality = {**TRIP_PLAN["quality"], "expectations": [*TRIP_PLAN["quality"]["expectations"], broken]}
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL, quality=quality)
    staged = world.stage("trip_plan", day(2))
    assert world.audit(staged).verdict is Verdict.INCONCLUSIVE
    with pytest.raises(NotAudited, match=r"says INCONCLUSIVE.*could not be asked.*altitude"):
        world.publish(staged)
    assert world.publish(staged, accepted_by="ada").published == ["2024-03-02"]


def test_a_warning_is_reported_and_stops_nothing(world):
    world.change(READINGS, READINGS.c.level == 30.0, level=700.0)
    staged = world.stage("station_level", day(2))
    result = world.audit(staged)
    assert result.verdict is Verdict.PASS
    assert "1 of 48 values, for example 700.0" in result.notes["warnings"][0]
    assert world.publish(staged).published == ["2024-03-02"]


def test_a_repeated_key_fails_the_audit(world):
    moment = {"read_at": naive(at(2, 5)), "known_at": naive(at(2, 6))}
    world.insert(READINGS, [{"station": "north", "level": 1.0, **moment}])
    sql = """
        SELECT station, level, level AS mean_level_3h, read_at AS event_time, known_at AS available_time
        FROM readings, interval_ WHERE read_at >= start
    """
    world.declare_view(STATION_LEVEL, sql)
    result = world.audit(world.stage("station_level", day(2)))
    assert {c.criterion: c.measured for c in result.criteria}["duplicate_keys"] == 1
    assert result.verdict is Verdict.FAIL


def test_a_staged_file_that_was_cut_off_is_noticed_and_not_published(world):
    staged = world.stage("trip_plan", day(2))
    world.audit(staged)
    whole = Path(staged.path).read_bytes()
    Path(staged.path).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StagedFileDamaged, match="Clear the materialize task"):
        world.publish(staged)


def test_a_row_that_came_late_makes_the_next_run_publish_the_day_again(world):
    first = world.materialize("trip_plan", day(2))
    late = {"trip_id": "02-9", "starts_at": naive(at(2, 22)), "station": "süd", "order": 1.0}
    world.insert(TRIPS, [{**late, "known_at": naive(at(2, 23))}])
    again = world.materialize("trip_plan", day(2), "run-2")
    assert again.changed == ["2024-03-02"]
    assert [(p.rows, p.source_rows) for p in history("trip_plan", 2)] == [(6, 6), (7, 7)]
    old = OfflineStore(settings().store).read(world.declared.view("trip_plan"), day(2), first.table_version)
    assert old.num_rows == 6  # and whoever pinned the version still reads what it saw


def test_rows_the_source_learned_after_the_as_of_time_are_not_read(world):
    staged = staging.materialize("station_level", day(2), at(2, 12), "run-1", declared=world.declared)
    assert staged.rows == {"2024-03-02": 24}  # the readings of 00:00 to 11:00, known by 12:00, of two stations


def test_an_old_backfill_leaves_the_newer_value_online(world):
    world.materialize("station_level", day(4))
    world.materialize("station_level", day(2))
    view = world.declared.view("station_level")
    row = OnlineStore(settings().online_url).read(view, [["north"]])[0]
    assert row.event_time == at(4, 23)
    assert not row.is_stale(at(4, 24), view.ttl)
    assert row.is_stale(at(4, 23) + view.ttl, view.ttl)


def test_sql_that_fails_is_one_line_with_the_view_the_file_and_what_duckdb_says(world):
    world.declare_view(TRIP_PLAN, "SELECT trip_id,, FROM trips")
    with pytest.raises(
        SqlFailed, match=r"^Feature view 'trip_plan': features/trip_plan/features.sql failed: .*syntax error.*$"
    ):
        world.stage("trip_plan", day(2))


def test_a_column_that_vanished_from_the_source_is_named_with_what_is_left(world):
    world.run("ALTER TABLE trips DROP COLUMN station")
    with pytest.raises(SqlFailed, match=r'"station" not found.*trips has: trip_id, starts_at, order, known_at'):
        world.stage("trip_plan", day(2))
    world.run("ALTER TABLE readings DROP COLUMN known_at")
    with pytest.raises(ColumnVanished, match="'readings' has no column 'known_at'; it has: station, read_at, level"):
        world.stage("station_level", day(2))


def test_sql_that_gives_other_columns_than_declared_is_refused_with_both_lists(world):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL.replace('"order"', "1 AS rank"))
    with pytest.raises(staging.ViewRowsWrong, match="missing are: order; not declared are: rank"):
        world.stage("trip_plan", day(2))


def test_a_time_without_zone_is_refused(world):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL.replace("starts_at AS", "starts_at::TIMESTAMP AS"))
    with pytest.raises(staging.ViewRowsWrong, match=r"event_time is timestamp.*must be a TIMESTAMPTZ"):
        world.stage("trip_plan", day(2))


def test_f030_an_unreachable_source_stages_nothing_and_leaves_what_was_published(world, monkeypatch, tmp_path):
    world.materialize("station_level", day(2))
    before = stored(world, "station_level", day(2))
    monkeypatch.setenv("SLIPWAY_SOURCE_URL", f"sqlite:///{tmp_path / 'gone.db'}")
    with pytest.raises(SourceUnreachable, match="there is no file"):
        world.stage("station_level", day(2), "run-2")
    assert stored(world, "station_level", day(2)) == before
    staged_files = list((settings().artifacts / "staging").rglob("*"))
    assert not [f for f in staged_files if f.name.endswith(".tmp")]


def test_part_of_a_day_is_no_interval_to_materialize(world):
    with pytest.raises(BadInterval, match="whole UTC days"):
        world.stage("trip_plan", Interval(at(2), at(2) + timedelta(hours=5)))


@pytest.mark.parametrize(
    ("sql", "same"),
    [
        pytest.param(TRIP_PLAN_SQL.replace("\n", "\n -- a remark\n  "), True, id="white space and comments"),
        pytest.param(TRIP_PLAN_SQL.lower(), True, id="letter case of keywords"),
        pytest.param(TRIP_PLAN_SQL.replace('"order",', '"order" + 1 AS "order",'), False, id="another expression"),
    ],
)
def test_the_code_hash_is_of_the_meaning(world, sql, same):
    before = world.stage("trip_plan", day(2)).code_hash
    world.declare_view(TRIP_PLAN, sql, owner="somebody else")
    assert (world.stage("trip_plan", day(2)).code_hash == before) is same
