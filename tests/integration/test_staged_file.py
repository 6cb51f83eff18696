"""The file of a staged interval: read block by block, and refused wherever it is not what was staged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.adapters.offline_store import TIMESTAMP, content_hashes, ordered, split_by_day, with_day
from include.workflows.features import staged_file
from include.workflows.features.staged_file import StagedFile, StagedFileDamaged

START = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = [f"2024-03-{number:02d}" for number in range(1, 11)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Three days of 24 rows to a block."""
    monkeypatch.setattr(staged_file, "BLOCK_ROWS", 60)


def hours(count: int, level: float = 0.0) -> pa.Table:
    times = pa.array([START + timedelta(hours=hour) for hour in range(count)], TIMESTAMP)
    return ordered(with_day(pa.table({"level": [level + k for k in range(count)], "event_time": times})), ["day"])


def staged(path: Path, rows: pa.Table) -> StagedFile:
    parts = split_by_day(rows)
    staged_file.write(path, rows, [part.num_rows for part in parts.values()])
    return StagedFile(str(path), {day: part.num_rows for day, part in parts.items()}, content_hashes(parts))


def test_a_block_is_whole_days(tmp_path):
    staged(tmp_path / "f", hours(240))
    blocks = [pq.ParquetFile(tmp_path / "f").read_row_group(number) for number in range(4)]
    assert [sorted(split_by_day(block)) for block in blocks] == [DAYS[:3], DAYS[3:6], DAYS[6:9], DAYS[9:]]


def test_all_rows_come_back_in_their_order_and_so_do_some_days(tmp_path):
    file = staged(tmp_path / "f", hours(240))
    assert file.table().column("level").to_pylist() == list(range(240))
    some = pa.concat_tables(file.of([DAYS[1], DAYS[9]]))
    assert some.column("level").to_pylist() == [*range(24, 48), *range(216, 240)]


@pytest.mark.parametrize(
    ("left", "without", "expected"), [(10, [], 9), (100, [], 99), (100, DAYS[9:], 75), (999, [], 240)]
)
def test_the_newest_rows_are_found_over_blocks(tmp_path, left, without, expected):
    file = staged(tmp_path / "f", hours(240))
    assert file.after(START + timedelta(hours=240 - left), without).num_rows == expected


def test_no_rows_are_no_block(tmp_path):
    file = staged(tmp_path / "f", hours(240).slice(0, 0))
    assert file.table().num_rows == 0
    assert file.after(START).num_rows == 0
    assert file.table().schema == file.schema


@pytest.mark.parametrize("number", [0, 5, 9])
def test_other_rows_of_any_day_are_found_before_the_last_are_given(tmp_path, number):
    file = staged(tmp_path / "f", hours(240))
    levels = [float(k) for k in range(240)]
    levels[number * 24] += 1e-9
    staged_file.write(tmp_path / "f", hours(240).set_column(0, "level", pa.array(levels)), [24] * 10)
    with pytest.raises(StagedFileDamaged, match=f"the rows of {DAYS[number]} are not the ones that were staged"):
        list(file.of(DAYS))


def test_a_day_that_is_gone_is_found(tmp_path):
    file = staged(tmp_path / "f", hours(240))
    staged_file.write(tmp_path / "f", hours(96), [24] * 4)
    with pytest.raises(StagedFileDamaged):
        list(file.of(DAYS))
    with pytest.raises(StagedFileDamaged, match=f"the rows of {DAYS[4]} are not"):
        list(StagedFile(file.path, dict.fromkeys(DAYS, 24), content_hashes(split_by_day(hours(240)))).of(DAYS))


def test_a_file_that_is_gone_says_so(tmp_path):
    with pytest.raises(StagedFileDamaged, match="Clear the materialize task"):
        StagedFile(str(tmp_path / "f"), {}, {})
