"""Delta tables: whole partitions in one commit, none when nothing changed, and pinned versions that stay readable."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from include.adapters.offline_store import (
    TIMESTAMP,
    Content,
    OfflineStore,
    RowsOutsidePartitions,
    SchemaChanged,
    TableMissing,
    content_hash,
    ordered,
    plain,
    split_by_day,
    with_day,
)
from include.adapters.offline_store.reading import open_dataset
from include.config.types import FeatureView
from include.domain.intervals import Interval

MARCH = Interval.between("2024-03-01", "2024-04-01")
VIEW = FeatureView.model_validate(
    {
        "name": "levels",
        "description": "d",
        "owner": "o",
        "calendar": {"starts": "2024-03-01"},
        "keys": ["station"],
        "ttl": "6h",
        "columns": [{"name": "level"}],
        "source": [{"table": "readings"}],
        "quality": {"expectations": [{"expectation": "expect_column_to_exist", "kwargs": {"column": "level"}}]},
    }
)


def day(number: int) -> Interval:
    return Interval.of_day(f"2024-03-{number:02d}")


def rows(*numbers: int, level: float = 1.0, stations: int = 3) -> pa.Table:
    """24 hours of each day, for each station."""
    moments = [day(n).start + timedelta(hours=h) for n in numbers for h in range(24) for _ in range(stations)]
    count = len(moments)
    table = pa.table(
        {
            "station": pa.array([f"s{k % stations}" for k in range(count)], pa.string()),
            "level": pa.array([level + k for k in range(count)], pa.float64()),
            "event_time": pa.array(moments, TIMESTAMP),
            "available_time": pa.array([m + timedelta(minutes=30) for m in moments], TIMESTAMP),
        }
    )
    return with_day(table)


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    return OfflineStore(str(tmp_path / "store"))


def test_a_day_is_replaced_and_its_neighbours_stay(store):
    store.replace_partitions(VIEW, Interval.between("2024-03-01", "2024-03-04"), rows(1, 2, 3))
    neighbours = [store.read(VIEW, day(n)) for n in (1, 3)]
    replaced = store.replace_partitions(VIEW, day(2), rows(2, level=900.0))
    assert replaced.changed == ("2024-03-02",)
    assert [store.read(VIEW, day(n)) for n in (1, 3)] == neighbours
    assert min(store.read(VIEW, day(2)).column("level").to_pylist()) == 900.0


def test_f001_the_same_rows_in_another_order_and_other_chunks_commit_nothing(store):
    first = store.replace_partitions(VIEW, day(2), rows(2))
    shuffled = rows(2).take(pa.array(list(range(71, -1, -1))))
    again = store.replace_partitions(VIEW, day(2), pa.concat_tables([shuffled.slice(40), shuffled.slice(0, 40)]))
    assert (again.version, again.changed) == (first.version, ())
    assert store.current_version(VIEW) == first.version


def test_a_bulk_of_days_is_one_commit_and_only_changed_days_are_rewritten(store):
    first = store.replace_partitions(VIEW, MARCH, rows(*range(1, 32)))
    assert len(first.changed) == 31
    others = rows(*range(1, 32)).filter(pa.compute.field("day") != "2024-03-05")
    mixed = pa.concat_tables([rows(5, level=7.0), others])
    second = store.replace_partitions(VIEW, MARCH, mixed)
    assert (second.version, second.changed) == (first.version + 1, ("2024-03-05",))


def test_an_older_version_reads_as_it_was(store):
    first = store.replace_partitions(VIEW, day(2), rows(2))
    before = content_hash(store.read(VIEW, day(2)))
    store.replace_partitions(VIEW, day(2), rows(2, level=50.0))
    assert content_hash(store.read(VIEW, day(2), first.version)) == before
    assert content_hash(store.read(VIEW, day(2))) != before


def test_a_version_stays_readable_however_old_it_is_and_however_many_came_after(store):
    """By itself Delta forgets versions of 30 days ago whenever it sums up its log, which is every 100 commits."""
    first = store.replace_partitions(VIEW, day(1), rows(1)).version
    was = content_hash(store.read(VIEW, MARCH))
    for level in range(2, 204):
        if level == 190:
            long_ago = time.time() - 90 * 86_400
            for entry in Path(store.view_path(VIEW), "_delta_log").iterdir():
                os.utime(entry, (long_ago, long_ago))
        store.replace_partitions(VIEW, day(1), rows(1, level=float(level)))
    assert list(Path(store.view_path(VIEW), "_delta_log").glob("*.checkpoint.parquet"))
    assert content_hash(store.read(VIEW, MARCH, first)) == was


def test_days_that_stand_in_several_places_are_stored_whole(store):
    first, second = (rows(n) for n in (1, 2))
    mixed = pa.concat_tables([first.slice(0, 10), second, first.slice(10)])
    store.replace_partitions(VIEW, Interval(day(1).start, day(2).end), mixed)
    assert store.read(VIEW, MARCH).num_rows == mixed.num_rows


def test_rows_are_taken_piece_by_piece_and_only_of_the_days_that_changed(store):
    days = Interval(day(1).start, day(3).end)
    whole, asked = rows(1, 2, 3), []
    store.replace_partitions(VIEW, day(2), whole.filter(pa.compute.field("day") == "2024-03-02"))

    def given(wanted: list[str]) -> Iterator[pa.Table]:
        asked.extend(wanted)
        for name in wanted:
            one = whole.filter(pa.compute.field("day") == name)
            yield from (one.slice(0, 7), one.slice(7, 0), one.slice(7))

    parts = split_by_day(ordered(whole, ["day", "station", "event_time"]))
    hashes = {name: content_hash(part) for name, part in parts.items()}
    replaced = store.replace_partitions(VIEW, days, Content.by_day(plain(whole).schema, hashes, given))
    assert asked == ["2024-03-01", "2024-03-03"] == list(replaced.changed)
    assert store.read(VIEW, days).num_rows == whole.num_rows
    again = store.replace_partitions(VIEW, days, Content.by_day(plain(whole).schema, hashes, given))
    assert (again.changed, again.version) == ((), replaced.version)


@pytest.mark.parametrize("before", [0, 1], ids=["at once", "half way"])
def test_rows_that_cannot_be_read_are_told_as_what_they_are_and_leave_nothing_behind(store, before):
    def given(wanted: list[str]) -> Iterator[pa.Table]:
        yield from [rows(1)] * before
        raise OSError("the disk is gone")

    for published in (False, True):
        if published:
            store.replace_partitions(VIEW, day(1), rows(1))
        stood = store.current_version(VIEW)
        content = Content.by_day(plain(rows(1)).schema, {"2024-03-01": "new"}, given)
        with pytest.raises(OSError, match="the disk is gone"):
            store.replace_partitions(VIEW, day(1), content)
        if published or not before:
            assert store.current_version(VIEW) == stood
        else:
            assert store.read(VIEW, MARCH).num_rows == 0


def test_clearing_a_day_removes_its_rows_and_clearing_it_again_commits_nothing(store):
    store.replace_partitions(VIEW, Interval.between("2024-03-02", "2024-03-04"), rows(2, 3))
    cleared = store.replace_partitions(VIEW, day(2), rows(2).slice(0, 0))
    assert cleared.changed == ("2024-03-02",)
    assert store.read(VIEW, MARCH).num_rows == 72
    assert store.replace_partitions(VIEW, day(2), rows(2).slice(0, 0)).version == cleared.version


def test_clearing_a_day_of_a_view_that_was_never_published_makes_no_table(store):
    assert store.replace_partitions(VIEW, day(2), rows(2).slice(0, 0)).version is None
    assert store.current_version(VIEW) is None


def test_reading_is_half_open_and_ordered_by_time_then_key(store):
    store.replace_partitions(VIEW, MARCH, rows(*range(1, 32)))
    night = Interval(day(4).start + timedelta(hours=22), day(5).start + timedelta(hours=1))
    part = store.read(VIEW, night)
    assert part.column("station").to_pylist() == ["s0", "s1", "s2"] * 3
    hours = [moment.hour for moment in part.column("event_time").to_pylist()]
    assert hours == [22] * 3 + [23] * 3 + [0] * 3


def test_only_the_files_of_the_days_asked_for_are_looked_at(store):
    store.replace_partitions(VIEW, MARCH, rows(*range(1, 32)))
    path = store.view_path(VIEW)
    files = open_dataset(path, DeltaTable(path), ["2024-03-04", "2024-03-05"]).get_fragments()
    assert sorted(file.path.split("/")[0] for file in files) == ["day=2024-03-04", "day=2024-03-05"]


def test_what_was_never_published_is_missing_and_so_is_a_version_to_come(store):
    with pytest.raises(TableMissing, match="Materialize the view's days first"):
        store.read(VIEW, day(1))
    store.replace_partitions(VIEW, day(1), rows(1))
    with pytest.raises(TableMissing, match="in version 99"):
        store.read(VIEW, day(1), 99)


def test_rows_of_another_day_are_refused_before_anything_is_written(store):
    with pytest.raises(RowsOutsidePartitions, match=r"lie in 2024-03-03, outside the partitions"):
        store.replace_partitions(VIEW, day(2), rows(2, 3))
    assert store.current_version(VIEW) is None


def test_a_changed_column_asks_for_a_new_version(store):
    store.replace_partitions(VIEW, day(1), rows(1))
    changed = rows(1).rename_columns(["station", "height", "event_time", "available_time", "day"])
    with pytest.raises(SchemaChanged, match=r"height is not in the table; level is not in the rows.*new version"):
        store.replace_partitions(VIEW, day(1), changed)
    next_version = VIEW.model_copy(update={"version": 2})
    assert store.replace_partitions(next_version, day(1), changed).version is not None


def _replace(arguments: tuple[str, int, float]) -> int | None:
    root, number, level = arguments
    return OfflineStore(root).replace_partitions(VIEW, day(number), rows(number, level=level)).version


def test_f003_days_written_at_the_same_time_by_several_processes_all_land(store):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        versions = pool.map(_replace, [(store.root, n, 1.0) for n in range(1, 7)], chunksize=1)
        same_day = pool.map(_replace, [(store.root, 9, float(level)) for level in range(6)], chunksize=1)
    assert len(set(versions)) == 6
    assert store.read(VIEW, Interval.between("2024-03-01", "2024-03-07")).num_rows == 6 * 72
    assert store.read(VIEW, day(9)).num_rows == 72  # of the same day, exactly one result
    assert store.current_version(VIEW) >= max(v for v in same_day if v is not None)


# --- the prediction log ----------------------------------------------------------------------------------------------


def predictions(number: int, candidate: str, role: str = "served", score: float = 0.5) -> pa.Table:
    moments = [day(number).start + timedelta(hours=h) for h in range(3)]
    return pa.table(
        {
            "prediction_id": [f"{number}-{h}" for h in range(3)],
            "candidate_id": [candidate] * 3,
            "model_version": ["1"] * 3,
            "role": [role] * 3,
            "station": ["s0"] * 3,
            "event_time": pa.array(moments, TIMESTAMP),
            "prediction_time": pa.array([m - timedelta(hours=2) for m in moments], TIMESTAMP),
            "score": [score] * 3,
            "predicted": ["late"] * 3,
            "error": pa.array([None] * 3, pa.string()),
        }
    )


def test_each_candidates_day_in_the_prediction_log_is_replaced_on_its_own(store):
    store.write_predictions("m", "2024-03-01", "champion-1", predictions(1, "champion-1"))
    store.write_predictions("m", "2024-03-01", "it's-new", predictions(1, "it's-new", "shadow", 0.7))
    store.write_predictions("m", "2024-03-02", "champion-1", predictions(2, "champion-1"))
    again = store.write_predictions("m", "2024-03-01", "it's-new", predictions(1, "it's-new", "shadow", 0.9))
    assert again.changed == ("2024-03-01/it's-new",)
    everyone = store.read_predictions("m", day(1))
    assert everyone.column("score").to_pylist() == [0.5, 0.9] * 3
    assert store.read_predictions("m", MARCH, "champion-1").num_rows == 6


def test_f001_scoring_a_day_again_commits_nothing(store):
    first = store.write_predictions("m", "2024-03-01", "c", predictions(1, "c"))
    again = store.write_predictions("m", "2024-03-01", "c", predictions(1, "c"))
    assert (again.version, again.changed) == (first.version, ())


def test_a_log_that_nobody_wrote_is_none(store):
    assert store.read_predictions("m", day(1)) is None
