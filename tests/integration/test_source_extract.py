"""Reading the foreign source: the interval and nothing else, all of it or nothing, and one clear message for each
trouble."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from databases import empty_postgres
from sqlalchemy import Column, DateTime, Float, LargeBinary, MetaData, String, Table, create_engine, event, insert, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from include.adapters.source import (
    ColumnUnreadable,
    ColumnVanished,
    Pace,
    SourceUnreachable,
    TableVanished,
    extract,
    reading,
)
from include.config.types import SourceTable
from include.domain.intervals import Interval

DAY = Interval.of_day("2024-03-10")
READ = SourceTable(table="readings", time="read_at", known="known_at")
TABLE = Table(
    "readings",
    MetaData(),
    Column("select", String(20)),
    Column("read_at", DateTime),
    Column("known_at", DateTime),
    Column("level", Float),
)


def hour(count: float) -> datetime:
    return DAY.start + timedelta(hours=count)


def fill(url: str, hours: Iterator[float] | range = range(-48, 48)) -> str:
    engine = create_engine(url)
    with engine.begin() as connection:
        TABLE.drop(connection, checkfirst=True)
        TABLE.create(connection)
        rows = [
            {
                "select": f"süd {h}",
                "read_at": hour(h).replace(tzinfo=None),
                "known_at": hour(h + 2).replace(tzinfo=None),
                "level": None if h % 7 == 0 else h / 3,
            }
            for h in hours
        ]
        connection.execute(insert(TABLE), rows)
    engine.dispose()
    return url


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield fill(f"sqlite:///{tmp_path / 'source.db'}")
        return
    with empty_postgres() as address:
        yield fill(address)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return fill(f"sqlite:///{tmp_path / 'source.db'}")


def test_only_the_half_open_interval_is_read_with_times_in_utc(url):
    rows = extract(url, READ, DAY, hour(99))
    assert rows.schema.field("read_at").type == pa.timestamp("us", tz="UTC")
    assert rows.column("read_at").to_pylist() == [hour(h) for h in range(24)]
    assert rows.column("select").to_pylist()[0] == "süd 0"
    assert rows.column("level").null_count == 4


def test_look_back_and_look_ahead_widen_it(url):
    wider = SourceTable(table="readings", time="read_at", lookback=timedelta(hours=3), lookahead=timedelta(hours=2))
    moments = extract(url, wider, DAY, hour(99)).column("read_at").to_pylist()
    assert (moments[0], moments[-1]) == (hour(-3), hour(25))


def test_a_row_is_read_from_the_moment_it_was_known(url):
    assert extract(url, READ, DAY, hour(5)).num_rows == 4  # those of 00:00 to 03:00, known two hours later


def test_a_reference_table_is_read_whole(url):
    assert extract(url, SourceTable(table="readings"), DAY, hour(0)).num_rows == 96


def test_many_small_batches_are_the_same_rows(url):
    assert extract(url, READ, DAY, hour(99), pace=Pace(batch_rows=5)).equals(extract(url, READ, DAY, hour(99)))


def test_an_interval_without_rows_is_a_table_without_rows(url):
    nothing = extract(url, READ, Interval.of_day("1999-01-01"), hour(0))
    assert (nothing.num_rows, nothing.column_names) == (0, ["select", "read_at", "known_at", "level"])


def test_a_missing_table_is_named_with_those_there_are(sqlite_url):
    with pytest.raises(TableVanished, match="has no table 'reading'; it has: readings"):
        extract(sqlite_url, SourceTable(table="reading"), DAY, hour(0))


def test_a_missing_column_is_named_with_those_there_are(sqlite_url):
    with pytest.raises(ColumnVanished, match="'readings' has no column 'made_at'; it has: select, read_at, known_at"):
        extract(sqlite_url, SourceTable(table="readings", time="made_at"), DAY, hour(0))


def test_a_time_that_is_no_timestamp_is_refused(sqlite_url):
    with pytest.raises(ColumnUnreadable, match=r"readings\.level cannot be read: .*must be a timestamp"):
        extract(sqlite_url, SourceTable(table="readings", time="level"), DAY, hour(0))


def test_a_text_in_a_column_of_numbers_is_named(sqlite_url):
    engine = create_engine(sqlite_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE readings SET level = 'high' WHERE read_at >= '2024-03-10'"))
    engine.dispose()
    with pytest.raises(ColumnUnreadable, match=r"readings\.level cannot be read"):
        extract(sqlite_url, READ, DAY, hour(99))


def test_a_type_without_a_place_in_arrow_is_refused(tmp_path):
    address = f"sqlite:///{tmp_path / 'blobs.db'}"
    engine = create_engine(address)
    Table("blobs", MetaData(), Column("image", LargeBinary)).create(engine)
    engine.dispose()
    with pytest.raises(ColumnUnreadable, match=r"blobs.image cannot be read: its type BLOB.*database view"):
        extract(address, SourceTable(table="blobs"), DAY, hour(0))


def test_f030_a_mistyped_path_is_unreachable_and_makes_no_file(tmp_path):
    with pytest.raises(SourceUnreachable, match="there is no file"):
        extract(f"sqlite:///{tmp_path / 'typo.db'}", READ, DAY, hour(0))
    assert not (tmp_path / "typo.db").exists()


def test_f030_a_dead_server_is_tried_a_few_times_and_the_password_is_not_shown():
    started = datetime.now(UTC)
    with pytest.raises(SourceUnreachable, match=r"in 3 attempt\(s\): .*refused") as caught:
        extract("postgresql://reader:secret@127.0.0.1:1/x", READ, DAY, hour(0), pace=Pace(attempts=3, pause_s=0.01))
    assert "secret" not in str(caught.value)
    assert datetime.now(UTC) - started < timedelta(seconds=30)


class BadPages:
    """Breaks the connection off in the middle of reading, in the attempts named."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, attempts: set[int]) -> None:
        self.attempt, self.pages = 0, 0
        real = reading._batches

        def broken(*arguments):
            self.attempt += 1
            for page in real(*arguments):
                self.pages += 1
                if self.attempt in attempts and self.pages % 3 == 0:
                    raise OperationalError("SELECT", {}, Exception("server closed the connection unexpectedly"))
                yield page

        monkeypatch.setattr(reading, "_batches", broken)


def test_f030_a_bad_page_starts_the_interval_again_and_no_row_is_lost_or_doubled(sqlite_url, monkeypatch):
    whole = extract(sqlite_url, READ, DAY, hour(99))
    flaky = BadPages(monkeypatch, attempts={1, 2})
    assert extract(sqlite_url, READ, DAY, hour(99), pace=Pace(batch_rows=5, pause_s=0.001)).equals(whole)
    assert flaky.attempt == 3


def test_f030_pages_that_stay_bad_give_nothing_and_the_retries_end(sqlite_url, monkeypatch):
    flaky = BadPages(monkeypatch, attempts={1, 2, 3, 4})
    with pytest.raises(SourceUnreachable, match=r"in 4 attempt\(s\): server closed.*Nothing was kept"):
        extract(sqlite_url, READ, DAY, hour(99), pace=Pace(batch_rows=5, pause_s=0.001))
    assert flaky.attempt == 4


def test_no_connection_stays_open(sqlite_url):
    open_now: list[object] = []

    def opened(driver, _):
        open_now.append(driver)

    def closed(driver, _):
        open_now.remove(driver)

    event.listen(Engine, "connect", opened)
    event.listen(Engine, "close", closed)
    try:
        extract(sqlite_url, READ, DAY, hour(99))
        with pytest.raises(ColumnVanished):
            extract(sqlite_url, SourceTable(table="readings", time="made_at"), DAY, hour(0))
    finally:
        event.remove(Engine, "connect", opened)
        event.remove(Engine, "close", closed)
    assert open_now == []
