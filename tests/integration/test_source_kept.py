"""What was read of the source is kept for the next reader, and is never other than what the source has now."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from databases import empty_postgres
from sqlalchemy import create_engine, text
from test_source_extract import READ, fill, hour

from include.adapters.source import ColumnUnreadable, KeptSource, extract, left_out, news, reading
from include.config.types import SourceTable
from include.domain.intervals import Interval

WIDER = READ.model_copy(update={"lookback": timedelta(hours=20), "lookahead": timedelta(hours=3)})


@pytest.fixture
def url(tmp_path: Path) -> str:
    return fill(f"sqlite:///{tmp_path / 'source.db'}")


@pytest.fixture
def kept(url: str) -> Iterator[KeptSource]:
    with KeptSource(url) as opened:
        yield opened


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The intervals that were read from the database."""
    asked: list[Any] = []
    as_stored = reading.as_stored

    def counted(connection: Any, found: Any, what: Any, *more: Any) -> pa.Table:
        asked.append(what.interval)
        return as_stored(connection, found, what, *more)

    monkeypatch.setattr(reading, "as_stored", counted)
    return asked


def hours(start: float, end: float) -> Interval:
    return Interval(hour(start), hour(end))


def write(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_each_window_of_each_reader_has_the_rows_that_the_source_gives(url, kept):
    for step in range(0, 60, 7):
        for source in (READ, WIDER, SourceTable(table="readings")):
            window = hours(-24 + step, -20 + step)
            asked = (source, window, window.end)
            assert kept.extract(*asked).equals(extract(url, *asked), check_metadata=True)
        since = window.end - timedelta(hours=3)
        assert kept.news(WIDER, window, since, window.end).equals(news(url, WIDER, window, since, window.end))


def test_a_window_that_moves_by_hours_is_read_once_a_day_for_all_readers(kept, reads):
    for step in range(24):
        for source in (WIDER, READ):
            kept.extract(source, hours(step, step + 1), hour(step))
    assert len(reads) == 1
    kept.extract(WIDER, hours(24.5, 25.5), hour(24))
    assert reads[1].start == hour(28)  # a day past the end of the first window and its look-ahead


def test_a_window_that_begins_earlier_is_read_only_where_it_is_new(url, kept, reads):
    kept.extract(READ, hours(3, 4), hour(30))
    earlier = kept.extract(WIDER, hours(3, 4), hour(30))
    assert reads[1] == hours(-17, 3)
    assert earlier.equals(extract(url, WIDER, hours(3, 4), hour(30)))


def test_rows_that_no_reader_asks_for_any_more_are_forgotten(url, kept):
    for step in range(0, 48, 6):
        kept.extract(READ, hours(-48 + step, -47 + step), hour(90))
    (one,) = kept._kept.values()
    assert one.span is not None
    assert one.span.start > hour(-48)
    assert kept.extract(READ, hours(-48, -40), hour(90)).equals(extract(url, READ, hours(-48, -40), hour(90)))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE readings SET level = 77 WHERE read_at = '2024-03-10 03:00:00.000000'",
        "DELETE FROM readings WHERE read_at = '2024-03-10 03:00:00.000000'",
        "INSERT INTO readings SELECT 'new', read_at, known_at, 5 FROM readings WHERE read_at LIKE '2024-03-10 03%'",
    ],
    ids=["changed in place", "removed", "added"],
)
def test_what_another_has_written_is_seen_at_once(url, kept, statement):
    before = kept.extract(READ, hours(0, 9), hour(20))
    write(url, statement)
    after = kept.extract(READ, hours(0, 9), hour(20))
    assert after.equals(extract(url, READ, hours(0, 9), hour(20)))
    assert not after.equals(before)
    assert kept.news(READ, hours(0, 9), hour(2), hour(20)).equals(news(url, READ, hours(0, 9), hour(2), hour(20)))


def test_of_a_file_that_was_written_to_the_news_alone_are_read(url, kept, reads):
    kept.extract(READ, hours(0, 9), hour(5))
    write(url, "UPDATE readings SET level = 77 WHERE read_at = '2024-03-10 03:00:00.000000'")
    assert kept.news(READ, hours(0, 9), hour(4), hour(6)).num_rows == 2
    assert reads[-1] == hours(0, 9)  # not a day more


def test_another_file_in_its_place_is_another_source(url, kept, tmp_path):
    kept.extract(READ, hours(0, 9), hour(20))
    other = tmp_path / "other.db"
    fill(f"sqlite:///{other}", range(5))
    shutil.move(other, tmp_path / "source.db")
    assert kept.extract(READ, hours(0, 9), hour(20)).num_rows == 5


def test_a_row_that_nobody_asked_for_and_cannot_be_read_harms_no_reader(url, kept):
    write(url, "UPDATE readings SET level = 'high' WHERE read_at = '2024-03-11 06:00:00.000000'")
    asked = (READ, hours(0, 9), hour(40))
    assert kept.extract(*asked).equals(extract(url, *asked))
    with pytest.raises(ColumnUnreadable, match=r"Level of the day: the source's column readings\.level cannot be read"):
        kept.extract(READ, hours(29, 32), hour(40), what="Level of the day")


def test_a_column_that_one_reader_needs_and_another_does_not_is_read_for_each(url, kept):
    write(url, "ALTER TABLE readings ADD COLUMN note")
    write(url, "UPDATE readings SET note = 'x'")
    asked = (READ, hours(0, 9), hour(20))
    assert kept.extract(*asked, named={"note"}).column("note").to_pylist() == ["x"] * 9
    without = kept.extract(*asked, named={"level"})
    assert "note" not in without.column_names
    assert "note" in left_out(without)


@pytest.mark.postgres
def test_a_database_that_does_not_say_whether_it_was_written_to_is_read_each_time(reads):
    with empty_postgres() as address:
        fill(address)
        with KeptSource(address) as kept:
            for _ in range(2):
                assert kept.extract(READ, hours(0, 9), hour(5)).equals(extract(address, READ, hours(0, 9), hour(5)))
    assert len(reads) == 4
