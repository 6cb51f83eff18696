"""Single rows of the online store, as they were pushed, and what happens where it is away."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.adapters.hot_features import FeaturesUnreachable, HotFeatures

AT = datetime(2024, 3, 10, 12, 0, 0, 250, UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "online.db") as connection:
        connection.execute(
            "CREATE TABLE online_features (view TEXT, view_version INTEGER, entity TEXT, event_time TEXT, "
            "available_time TEXT, features TEXT, run_id TEXT, PRIMARY KEY (view, view_version, entity))"
        )
        rows = [
            ("level", 2, '["north"]', "2024-03-10 12:00:00.000250", "2024-03-10 12:00:01.000000", '{"level":1.5}', "r"),
            ("trip", 1, "[7]", "2024-03-10 12:00:00.000250", "2024-03-10 12:00:01.000000", '{"order":null}', "r"),
        ]
        connection.executemany("INSERT INTO online_features VALUES (?,?,?,?,?,?,?)", rows)
    return f"sqlite:///{tmp_path / 'online.db'}"


def test_the_newest_row_of_an_entity_is_read_with_its_times(url):
    row = HotFeatures(url).row("level", 2, ["north"])
    assert row is not None
    assert (row.features, row.event_time, row.run_id) == ({"level": 1.5}, AT, "r")
    assert row.available_time == datetime(2024, 3, 10, 12, 0, 1, tzinfo=UTC)


def test_another_version_or_entity_is_none(url):
    hot = HotFeatures(url)
    assert hot.row("level", 1, ["north"]) is None
    assert hot.row("level", 2, ["south"]) is None


@pytest.mark.parametrize("key", [7, 7.0, "7"])
def test_f164_a_key_is_the_same_in_every_type_that_can_hold_it(url, key):
    row = HotFeatures(url).row("trip", 1, [key])
    assert row is not None
    assert row.features == {"order": None}


def test_f162_a_store_that_is_away_is_left_alone_for_a_while(tmp_path, url):
    hot = HotFeatures(f"sqlite:///{tmp_path / 'nowhere.db'}", rest_s=3600)
    with pytest.raises(FeaturesUnreachable, match="does not answer"):
        hot.row("level", 2, ["north"])
    with pytest.raises(FeaturesUnreachable, match="a moment ago"):
        hot.row("level", 2, ["north"])
    with pytest.raises(FeaturesUnreachable, match="only an online store on SQLite or Postgres"):
        HotFeatures("mysql://somewhere/db").row("level", 2, ["north"])
    with pytest.raises(FeaturesUnreachable, match="does not answer"):
        HotFeatures("postgresql+psycopg://nobody@127.0.0.1:9/db").row("level", 2, ["north"])


def test_a_file_that_was_replaced_is_opened_again(tmp_path, url):
    hot = HotFeatures(url)
    assert hot.row("level", 2, ["north"]) is not None
    file = tmp_path / "online.db"
    other = tmp_path / "other.db"
    other.write_bytes(file.read_bytes())
    with sqlite3.connect(other) as connection:
        connection.execute("DELETE FROM online_features")
    other.replace(file)
    assert hot.row("level", 2, ["north"]) is None
