"""Reading 1,000 keys from the online store: 10 features of each of 20,000 entities.

The limit is the bare driver in the same run: the same keys in one statement over an open connection, rows fetched and
nothing decoded. SQLite always; Postgres too where SLIPWAY_TEST_POSTGRES says where one is (the tables are made there
and dropped again).
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import create_engine, make_url

from benchmarks._common import own_peak_mb, report
from include.adapters.online_store import METADATA, OnlineStore, entity_of
from include.config.types import FeatureView

ENTITIES, KEYS, TIMES = 20_000, 1_000, 40
NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)
VIEW = FeatureView.model_validate(
    {
        "name": "levels",
        "description": "Made up.",
        "owner": "benchmark",
        "calendar": {"starts": "2024-03-01"},
        "keys": ["station"],
        "ttl": "6h",
        "columns": [{"name": f"f{n}"} for n in range(10)],
        "source": [{"table": "readings"}],
        "quality": {"expectations": [{"expectation": "expect_column_to_exist", "kwargs": {"column": "f1"}}]},
    }
)
WANTED = "SELECT entity, features, event_time, available_time, run_id FROM online_features "


def fill(store: OnlineStore) -> float:
    """Push every entity once, and give the seconds it took."""
    random_ = np.random.default_rng(0)
    moments = pa.array([NOON + timedelta(seconds=n % 3600) for n in range(ENTITIES)], pa.timestamp("us", tz="UTC"))
    features = {name: np.round(random_.normal(size=ENTITIES), 3) for name in VIEW.features}
    keys = [f"s{n:06d}" for n in range(ENTITIES)]
    rows = pa.table({"station": keys, **features, "event_time": moments, "available_time": moments})
    began = time.perf_counter()
    store.push(VIEW, rows, "benchmark")
    return time.perf_counter() - began


def bare_sqlite(path: Path) -> Callable[[list[str]], list[Any]]:
    connection = sqlite3.connect(path)
    marks = ",".join("?" * KEYS)
    statement = f"{WANTED} WHERE view = ? AND view_version = ? AND entity IN ({marks})"
    return lambda keys: connection.execute(statement, [VIEW.name, VIEW.version, *keys]).fetchall()


def bare_postgres(address: str) -> Callable[[list[str]], list[Any]]:
    import psycopg

    plain = make_url(address).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg.connect(plain)
    marks = ",".join(["%s"] * KEYS)
    statement = f"{WANTED} WHERE view = %s AND view_version = %s AND entity IN ({marks})"
    return lambda keys: connection.execute(statement, [VIEW.name, VIEW.version, *keys]).fetchall()


def measure(store: OnlineStore, bare: Callable[[list[str]], list[Any]]) -> tuple[float, float]:
    """Median milliseconds of ours and of the bare driver's, in turns, for other keys each time."""
    choose = random.Random(0)
    ours, theirs = [], []
    for _ in range(TIMES):
        keys = [(f"s{n:06d}",) for n in choose.sample(range(ENTITIES), KEYS)]
        began = time.perf_counter()
        found = store.read(VIEW, keys)
        ours.append(time.perf_counter() - began)
        plain = [entity_of(key) for key in keys]
        began = time.perf_counter()
        rows = bare(plain)
        theirs.append(time.perf_counter() - began)
        if len(rows) != KEYS or any(row is None for row in found):
            raise SystemExit("A key that was pushed was not found.")
    return 1000 * statistics.median(ours), 1000 * statistics.median(theirs)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "online.db"
        store = OnlineStore(f"sqlite:///{path}")
        pushed_s = fill(store)
        ours, bare = measure(store, bare_sqlite(path))
    more: dict[str, Any] = {}
    address = os.environ.get("SLIPWAY_TEST_POSTGRES")
    if address:
        engine = create_engine(address)
        METADATA.drop_all(engine)
        try:
            store = OnlineStore(address)
            fill(store)
            theirs = measure(store, bare_postgres(address))
        finally:
            METADATA.drop_all(engine)
        more = {"postgres_ms": round(theirs[0], 2), "postgres_bare_ms": round(theirs[1], 2)}
        more["postgres_ratio"] = round(theirs[0] / theirs[1], 2)
    report(
        "online_read",
        ours,
        "ms for 1,000 keys, SQLite",
        bare,
        own_peak_mb(),
        promised_ratio=2,
        rows_pushed_per_s=round(ENTITIES / pushed_s),
        **more,
    )


if __name__ == "__main__":
    main()
