"""How fresh a view says it is: what may be promised together, and what a reader of a wrong promise is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from include.config import BadDeclaration, declarations, loader
from include.config.streaming import never_fresh
from include.config.types import FeatureView
from include.workflows.features.staging import definition

LEVEL = {
    "name": "station_level",
    "description": "The level of each station.",
    "owner": "sensors",
    "calendar": {"starts": "2024-03-01"},
    "keys": ["station"],
    "ttl": "3h",
    "columns": [{"name": "level"}],
    "source": [
        {"table": "readings", "time": "read_at", "known": "known_at", "lookback": "3h"},
        {"table": "stations"},
    ],
    "quality": {
        "expectations": [{"expectation": "expect_column_values_to_not_be_null", "kwargs": {"column": "level"}}]
    },
}
SQL = "SELECT station, level, read_at AS event_time, known_at AS available_time FROM readings, interval_"


def view(tmp_path: Path, **changes: object) -> FeatureView:
    folder = tmp_path / "station_level"
    folder.mkdir(exist_ok=True)
    (folder / "features.sql").write_text(SQL, encoding="utf-8")
    file = folder / "view.yaml"
    file.write_text(yaml.safe_dump({**LEVEL, **changes}, sort_keys=False), encoding="utf-8")
    return loader.read_declaration(file, FeatureView)


def test_a_view_that_says_nothing_promises_nothing(tmp_path):
    plain = view(tmp_path)
    assert (plain.delay, plain.ahead, plain.stream) == (timedelta(0), timedelta(0), None)


def test_news_are_polled_where_the_source_says_nothing_else_and_seconds_can_be_said(tmp_path):
    fresh = view(tmp_path, delay="30s", stream={"every": "10s", "source": {"readings": "redis:readings"}})
    assert fresh.stream is not None
    assert (fresh.delay, fresh.stream.every) == (timedelta(seconds=30), timedelta(seconds=10))
    assert (fresh.stream.lateness, fresh.stream.grid) == (timedelta(minutes=15), timedelta(hours=1))
    assert (fresh.stream.of("readings"), fresh.stream.of("stations")) == ("redis:readings", "poll")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"delay": "3h"}, "delay is 3h and ttl 3h: a row would be past its ttl before anyone may count on it"),
        ({"ahead": "7d"}, "ahead is 7d, and only a stream publishes rows before their time"),
        ({"delay": "10s", "stream": {"every": "11s"}}, "stream.every is 11s and delay 10s"),
        ({"delay": "10s", "stream": {"every": "0s"}}, "stream.every is 0s; give 1s or more"),
        ({"delay": "1h", "stream": {"every": "5m", "grid": "7h"}}, "stream.grid is 7h; give a part of a day"),
        ({"delay": "1h", "stream": {"every": "5m", "grid": "0m"}}, "stream.grid is 0s; give a part of a day"),
        (
            {"delay": "2h", "stream": {"every": "5m"}},
            "ttl is 3h: with rows every 1h (stream.grid), readable within 2h (delay), a row would be past it before "
            "the next one comes; give more than 3h",
        ),
        (
            {"delay": "1m", "stream": {"every": "5s", "source": {"reading": "poll"}}},
            "stream.source names 'reading', which the view does not read; it reads: readings, stations",
        ),
        (
            {"delay": "1m", "stream": {"every": "5s", "source": {"stations": "redis:stations"}}},
            "stream.source.stations is 'redis:stations'; rows of a stream need the table's time and known",
        ),
        (
            {"delay": "1m", "stream": {"every": "5s"}, "source": [{"table": "readings", "time": "read_at"}]},
            "source.0.table 'readings' has no known",
        ),
        ({"delay": "soon"}, "'soon' is not a duration. Write a whole number and a unit: 10s, 30m, 2h or 7d"),
        ({"delay": 30}, "'30' is not a duration. Write a whole number and a unit: 10s, 30m, 2h or 7d"),
        ({"stream": {"every": "10s", "source": {"readings": "kafka:x"}}}, "stream.source.readings is 'kafka:x'"),
    ],
)
def test_a_promise_that_cannot_be_kept_is_refused_in_one_line(tmp_path, changes, line):
    with pytest.raises(BadDeclaration) as refused:
        view(tmp_path, **changes)
    assert line in str(refused.value)
    assert len(refused.value.problems) == 1


def test_the_bounds_themselves_are_allowed(tmp_path):
    assert view(tmp_path, delay="179m")
    assert view(tmp_path, delay="10s", stream={"every": "10s"})
    assert view(tmp_path, delay="119m", stream={"every": "5m"})
    assert view(tmp_path, delay="1h", ahead="7d", ttl="1h", stream={"every": "5m"})


def test_a_view_without_a_stream_is_fresh_only_where_its_ttl_outlasts_a_day(tmp_path):
    why = never_fresh(view(tmp_path, ttl="1d"))
    assert why is not None
    assert why.startswith("ttl is 1d, and without stream a row comes online when its day is over")
    assert never_fresh(view(tmp_path, ttl="25h")) is None
    assert never_fresh(view(tmp_path, ttl="25h", delay="1h")) is not None
    assert never_fresh(view(tmp_path, delay="30s", stream={"every": "10s"})) is None


def test_every_view_of_the_demonstration_is_fresh():
    assert {name: why for name, each in declarations().views.items() if (why := never_fresh(each))} == {}


# --- what a change of the promise changes ----------------------------------------------------------------------------


def test_a_view_without_a_promise_keeps_the_hash_it_had_and_another_delay_is_another_definition(tmp_path):
    plain = definition(view(tmp_path))
    assert definition(view(tmp_path, delay="0s")) == plain
    assert definition(view(tmp_path, delay="30s")) not in (plain, definition(view(tmp_path, delay="31s")))


def test_how_often_news_are_taken_is_no_part_of_the_definition(tmp_path):
    slow = view(tmp_path, delay="1m", stream={"every": "1m", "lateness": "1h"})
    quick = view(tmp_path, delay="1m", stream={"every": "5s", "lateness": "1m"})
    assert definition(slow) == definition(quick) == definition(view(tmp_path, delay="1m"))
