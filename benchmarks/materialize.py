"""Publishing a feature view: 365 days of 10,000 rows with 10 features, in bulk and day by day.

In bulk, the limit is the bare DuckDB query over the same rows written straight to one parquet file per day, in the same
run. Day by day, what counts is our own work: everything but the query (which is timed alone), on a table of 1 commit
and on one of 2,000. In turns with it, Delta alone commits the same rows to the same table: that time is part of the
day, and is also reported separately. The source's extraction is left out on both sides: the rows are handed over as an
Arrow table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import yaml
from deltalake import DeltaTable, write_deltalake

# All before any clock starts, so that imports are not measured.
import include.domain.gates  # noqa: F401
from benchmarks._common import own_peak_mb, report
from include.adapters import expectations, online_store, source, sql_engine  # noqa: F401
from include.adapters.offline_store import OfflineStore, with_day
from include.config.declared import Declarations
from include.config.loader import read_declarations
from include.config.types import FeatureView
from include.domain.intervals import Interval
from include.workflows.features import staging

ROWS, STATIONS, FEATURES, COMMITS = 10_000, 500, 10, 2_000
START = datetime(2018, 1, 1, tzinfo=UTC)
ANY = "v{n} * 2 + avg(v{n}) OVER (PARTITION BY station, read_at::DATE) AS f{n}"
SQL = f"""
SELECT station, {", ".join(ANY.format(n=n) for n in range(FEATURES))},
       read_at AS event_time, read_at + INTERVAL 30 MINUTE AS available_time
FROM readings, interval_ WHERE read_at >= start AND read_at < "end"
"""


class NoLedger:
    """Publishing's ledger is another benchmark's subject: one statement for each day."""

    def record(self, published: Any, table_version_now: Any = None) -> list[Any]:
        return list(published)

    def between(self, *_: Any) -> list[Any]:
        return []

    def definitions(self, *_: Any) -> dict[str, int]:
        return {}


def readings(interval: Interval) -> pa.Table:
    """The source's rows: each station every few minutes."""
    days = (interval.end - interval.start).days
    first = int(interval.start.timestamp() * 1e6)
    moments = first + np.arange(days * ROWS) * (86_400_000_000 // ROWS)
    draw = np.random.default_rng(first % 2**32)
    return pa.table(
        {
            "station": np.arange(days * ROWS) % STATIONS,
            **{f"v{n}": draw.normal(size=days * ROWS) for n in range(FEATURES)},
            "read_at": pa.array(moments, pa.timestamp("us", tz="UTC")),
        }
    )


def declare(root: Path) -> Declarations:
    bounds = {"min_value": -1000, "max_value": 1000}
    checks = [
        {"expectation": "expect_column_values_to_be_between", "kwargs": {"column": f"f{n}", **bounds}} for n in range(2)
    ]
    view = {
        "name": "levels",
        "description": "Made up.",
        "owner": "benchmark",
        "calendar": {"starts": "2018-01-01"},
        "keys": ["station"],
        "ttl": "6h",
        "columns": [{"name": f"f{n}"} for n in range(FEATURES)],
        "source": [{"table": "readings", "time": "read_at"}],
        "quality": {"expectations": checks},
    }
    folder = root / "declared" / "features" / "levels"
    folder.mkdir(parents=True)
    (folder / "view.yaml").write_text(yaml.safe_dump(view), encoding="utf-8")
    (folder / "features.sql").write_text(SQL, encoding="utf-8")
    return read_declarations(root / "declared")


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds by the clock, and of all processors together."""

    wall: float
    cpu: float

    @classmethod
    def since(cls, began: tuple[float, float]) -> Took:
        wall, cpu = now()
        return cls(wall - began[0], cpu - began[1])

    def __add__(self, other: Took) -> Took:
        return Took(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Took) -> Took:
        return Took(self.wall - other.wall, self.cpu - other.cpu)


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def median(of: Sequence[Took]) -> Took:
    return Took(statistics.median(t.wall for t in of), statistics.median(t.cpu for t in of))


def bare(table: pa.Table, interval: Interval, folder: Path) -> Took:
    """The bare query, written by DuckDB into one folder a day."""
    with duckdb.connect() as connection:
        connection.sql("SET TimeZone = 'UTC'")
        bounds = pa.table({"start": [interval.start], "end": [interval.end]})
        connection.register("interval_", bounds)
        connection.register("readings", table)
        began = now()
        rows = connection.sql(f"SELECT *, strftime(event_time, '%Y-%m-%d') AS day FROM ({SQL})")
        rows.write_parquet(str(folder), compression="snappy", partition_by=["day"])
        return Took.since(began)


def query_only(table: pa.Table, interval: Interval) -> Took:
    began = now()
    sql_engine.run_sql(SQL, {"readings": table}, interval, what="The query", file="features.sql")
    return Took.since(began)


def publish(declared: Declarations, table: pa.Table, interval: Interval) -> dict[str, Took]:
    """The production calls, each timed: materialize, audit, publish."""
    source.extract = lambda *_, **__: table
    began = now()
    staged = staging.materialize("levels", interval, interval.end, "benchmark", declared=declared)
    materialized = Took.since(began)
    began = now()
    staging.audit(staged, declared=declared)
    audited = Took.since(began)
    began = now()
    staging.publish(staged, NoLedger(), declared=declared)
    return {"materialize": materialized, "audit": audited, "publish": Took.since(began)}


def grow(view: FeatureView, store: OfflineStore, commits: int) -> None:
    """Old days of few rows, one commit each: it is the length of the log that matters."""
    for number in range(1, commits + 1):
        day = Interval(START - timedelta(days=number), START - timedelta(days=number - 1))
        rows = readings(day).slice(0, 5)
        times = rows.column("read_at")
        columns = {f"f{n}": rows.column(f"v{n}") for n in range(FEATURES)}
        table = pa.table(
            {"station": rows.column("station"), **columns, "event_time": times, "available_time": times},
        )
        store.replace_partitions(view, day, with_day(table))


def bare_commit(view: FeatureView, store: OfflineStore, rows: pa.Table, day: str) -> Took:
    """The table opened and the rows made its content of the day, by Delta alone."""
    path, rows = store.view_path(view), rows.append_column("day", pa.array([day] * rows.num_rows))
    began = now()
    write_deltalake(DeltaTable(path), rows, mode="overwrite", predicate=f"day = '{day}'")
    return Took.since(began)


class Days:
    """Days published one by one into a table of its own."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self.home, self.declared = home, declare(home)
        self.view, self.store = self.declared.view("levels"), OfflineStore(str(home / "store"))
        self._own: list[Took] = []
        self._alone: list[Took] = []
        self._parts: list[dict[str, Took]] = []

    def one(self, number: int) -> None:
        os.environ["SLIPWAY_HOME"] = str(self.home)
        day = Interval(START + timedelta(days=number), START + timedelta(days=number + 1))
        table = readings(day)
        took = publish(self.declared, table, day)
        if number < 0:
            return  # it makes the short table, and counts for neither
        self._own.append(took["materialize"] + took["publish"] - query_only(table, day))
        self._parts.append(took)
        aside = (START + timedelta(days=1000 + number)).date().isoformat()
        self._alone.append(bare_commit(self.view, self.store, self.store.read(self.view, day), aside))

    def medians(self) -> dict[str, Any]:
        beyond = [ours - theirs for ours, theirs in zip(self._own, self._alone, strict=True)]
        return {
            "own_ms_a_day": _ms(self._own),
            "own_cpu_ms_a_day": round(1000 * median(self._own).cpu),
            "delta_alone_ms_a_day": _ms(self._alone),
            "own_ms_a_day_beyond_delta": _ms(beyond),
            "parts_ms": {name: _ms([each[name] for each in self._parts]) for name in self._parts[0]},
        }


def _ms(of: Sequence[Took]) -> int:
    return round(1000 * median(of).wall)


def fresh(home: Path) -> Declarations:
    home.mkdir()
    os.environ["SLIPWAY_HOME"] = str(home)
    return declare(home)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=40, help="days published one by one, of which the median counts")
    parser.add_argument("--times", type=int, default=5, help="runs in bulk, of which the median counts")
    parser.add_argument("--year", type=int, default=365, help="days of the bulk run")
    parser.add_argument("--commits", type=int, default=COMMITS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        whole = Interval(START, START + timedelta(days=asked.year))
        year = readings(whole)
        limits, bulk, parts = [], [], []
        for number in range(asked.times):
            # In turns, so that a slow minute of the machine hits both.
            limits.append(bare(year, whole, root / f"bare-{number}"))
            took = publish(fresh(root / f"bulk-{number}"), year, whole)
            parts.append(took)
            bulk.append(took["materialize"] + took["publish"])
        limit = median(limits)
        peak = own_peak_mb()
        first, after_many = Days(root / "days"), Days(root / "days-long")
        grow(after_many.view, after_many.store, asked.commits)
        for number in range(-1, asked.days):
            # In turns too.
            for each in (first, after_many):
                each.one(number)
    report(
        "materialize",
        median(bulk).wall,
        f"s for {asked.year} days in bulk, without the audit",
        limit.wall,
        peak,
        promised_ratio=2,
        cpu_s=round(median(bulk).cpu, 2),
        limit_cpu_s=round(limit.cpu, 2),
        cpu_ratio=round(median(bulk).cpu / limit.cpu, 2),
        bulk_parts_s={name: round(median([p[name] for p in parts]).wall, 2) for name in parts[0]},
        commits=asked.commits,
        promised_own_ms_a_day=80,
        **{f"{name}_first_commits": value for name, value in first.medians().items()},
        **{f"{name}_after_many": value for name, value in after_many.medians().items()},
    )


if __name__ == "__main__":
    main()
