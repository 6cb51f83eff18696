"""The online store keeps the newest row of each entity, whatever order rows come in."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from databases import empty_postgres
from sqlalchemy import event

from include.adapters.online_store import OnlineStore, OnlineStoreUnusable
from include.adapters.online_store.engines import engine_of, make_tables, new_engine
from include.config.types import FeatureView

TIMES = pa.timestamp("us", tz="UTC")
NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)
VIEW = FeatureView.model_validate(
    {
        "name": "levels",
        "description": "d",
        "owner": "o",
        "calendar": {"starts": "2024-03-01"},
        "keys": ["station", "line"],
        "ttl": "6h",
        "columns": [{"name": "level"}, {"name": "kind", "kind": "categorical"}],
        "source": [{"table": "readings"}],
        "quality": {"expectations": [{"expectation": "expect_column_to_exist", "kwargs": {"column": "level"}}]},
    }
)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    if request.param == "sqlite":
        yield OnlineStore(f"sqlite:///{tmp_path / 'online.db'}")
        return
    with empty_postgres() as url:
        yield OnlineStore(url)


def rows(*entries: tuple[str, float, float, float | None]) -> pa.Table:
    """(station, hours after noon of the event, hours after noon it was available, level)"""
    return pa.table(
        {
            "station": [s for s, _, _, _ in entries],
            "line": pa.array([7] * len(entries), pa.int64()),
            "level": pa.array([v for _, _, _, v in entries], pa.float64()),
            "kind": ["süd"] * len(entries),
            "event_time": pa.array([NOON + timedelta(hours=e) for _, e, _, _ in entries], TIMES),
            "available_time": pa.array([NOON + timedelta(hours=a) for _, _, a, _ in entries], TIMES),
        }
    )


def level(store: OnlineStore, station: str = "a") -> float | None:
    row = store.read(VIEW, [(station, 7)])[0]
    return None if row is None else row.features["level"]


def test_tables_that_another_writer_makes_in_the_moment_of_a_first_write_are_used(store):
    def make_them(_context: object) -> None:
        others = new_engine(store.url)
        make_tables(others)
        others.dispose()

    engine = engine_of(store.url, os.getpid())
    event.listen(engine, "handle_error", make_them, once=True)
    assert store.push(VIEW, rows(("a", 2, 2, 2.0)), "run") == 1
    assert level(store, "a") == 2.0


def test_the_newest_row_of_each_entity_is_kept(store):
    assert store.push(VIEW, rows(("a", 2, 2, 2.0), ("a", 1, 1, 1.0), ("b", 0, 0, 5.0)), "run") == 2
    assert (level(store, "a"), level(store, "b"), level(store, "c")) == (2.0, 5.0, None)


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        pytest.param(("a", 1, 9, 10.0), 2.0, id="an older event, though available later"),
        pytest.param(("a", 3, 3, 10.0), 10.0, id="a newer event"),
        pytest.param(("a", 2, 4, 10.0), 10.0, id="a correction of the same event"),
        pytest.param(("a", 2, 1, 10.0), 2.0, id="the state before a correction"),
        pytest.param(("a", 2, 2, 10.0), 10.0, id="the same event published again"),
    ],
)
def test_an_older_row_never_overwrites_a_newer_one(store, second, kept):
    store.push(VIEW, rows(("a", 2, 2, 2.0)), "run-1")
    store.push(VIEW, rows(second), "run-2")
    assert level(store) == kept


def test_writers_that_race_leave_the_newest(store):
    store.push(VIEW, rows(("a", -1, -1, -1.0)), "first")
    failures: list[BaseException] = []

    def push(hour: int) -> None:
        try:
            store.push(VIEW, rows(("a", hour, hour, float(hour)), ("b", hour, hour, float(hour))), f"run-{hour}")
        except OnlineStoreUnusable as error:
            failures.append(error)

    threads = [threading.Thread(target=push, args=(hour,)) for hour in (3, 7, 1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (level(store, "a"), level(store, "b")) == (7.0, 7.0)


def test_a_thousand_keys_are_read_at_once_in_the_order_asked(store):
    store.push(VIEW, rows(*((f"s{k}", 0, 0, float(k)) for k in range(1000))), "run")
    asked = [(f"s{k}", 7) for k in range(999, -1, -1)]
    found = store.read(VIEW, [*asked, ("nobody", 7)])
    assert found[-1] is None
    assert [row.features["level"] for row in found[:-1]] == list(range(999, -1, -1))


def test_age_is_reported_and_not_hidden(store):
    store.push(VIEW, rows(("a", 0, 0.5, None)), "run-9")
    row = store.read(VIEW, [("a", 7)])[0]
    assert (row.event_time, row.available_time, row.run_id) == (NOON, NOON + timedelta(minutes=30), "run-9")
    assert row.features == {"level": None, "kind": "süd"}
    assert not row.is_stale(NOON + timedelta(hours=5), VIEW.ttl)
    assert row.is_stale(NOON + timedelta(hours=6), VIEW.ttl)


def test_a_store_that_was_removed_is_empty_and_not_read_on_through_an_old_connection(tmp_path):
    store = OnlineStore(f"sqlite:///{tmp_path / 'online.db'}")
    store.push(VIEW, rows(("a", 0, 0, 1.0)), "run")
    assert level(store) == 1.0
    for file in tmp_path.glob("online.db*"):
        file.unlink()
    assert level(store) is None
    store.push(VIEW, rows(("a", -5, -5, 2.0)), "run")
    assert level(store) == 2.0


def test_versions_of_a_view_do_not_meet(store):
    store.push(VIEW, rows(("a", 0, 0, 1.0)), "run")
    assert store.read(VIEW.model_copy(update={"version": 2}), [("a", 7)]) == [None]


def test_an_unreachable_store_says_so_without_its_password():
    with pytest.raises(OnlineStoreUnusable, match="offline store is unaffected") as caught:
        OnlineStore("postgresql://u:secret@127.0.0.1:1/x").read(VIEW, [("a", 7)])
    assert "secret" not in str(caught.value)
    with pytest.raises(OnlineStoreUnusable, match="mysql is neither"):
        OnlineStore("mysql://u@127.0.0.1/x").read(VIEW, [("a", 7)])


def test_f201_an_entity_is_found_by_its_number_in_whichever_type_it_is_asked(store):
    by_number = rows(("a", 2, 2, 2.0), ("b", 1, 1, 1.0))
    store.push(VIEW, by_number, "run")
    key = VIEW.keys[1]
    for seven in (7, 7.0, "7", np.int64(7), Decimal("7.00")):
        found = store.read(VIEW, [("a", seven), ("nobody", seven), ("b", seven)])
        assert [row and row.features["level"] for row in found] == [2.0, None, 1.0], (key, seven)
    assert store.read(VIEW, [("a", "07"), ("a", " 7"), ("a", 7.5), ("A", 7)]) == [None] * 4
