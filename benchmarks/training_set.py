"""One million labelled orders joined with four views (10 million rows in one, 1 million in three, 5 features each).

The limit is the same join by the bare library over the same Delta files and labels, in the same run: the fastest of
DuckDB's ASOF JOIN, pandas.merge_asof and Polars' join_asof (Polars is no dependency: put it on PYTHONPATH to have it
measured). Each reads, joins, drops what is past its ttl, and writes a parquet file; only ours also orders the rows,
hashes them and counts late values. Each runs in a process of its own, so that its memory is its own.

Every table is also made at a tenth of the size, for the exponent of the cost (1 is linear).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

# All before any clock starts, so that imports are not measured.
import include.domain.gates  # noqa: F401
from benchmarks._common import own_peak_mb, report
from benchmarks._training_world import LEAD, YEAR, OrdersWorld, make, read_labels, sizes
from include.adapters import source
from include.adapters.offline_store import content_hash, ordered
from include.workflows.scoring import training_sets

try:
    import polars as pl
except ImportError:
    pl = None

ORDERS = 1_000_000
COUNTED = ("rows", "columns", "checksum")


def ours(world: OrdersWorld, out: Path) -> None:
    """The production call. Only the foreign source is left out: the labels come from the file that all read."""
    os.environ["SLIPWAY_HOME"] = str(world.root / "home")
    source.extract = lambda *_, **__: read_labels(world)
    declared = world.declared
    made = training_sets.build(declared.model("spend"), YEAR, world.as_of, declared=declared)
    os.replace(made.path, out)


def by_duckdb(world: OrdersWorld, out: Path) -> None:
    joins, columns = "", "o.order_id, o.event_time, o.asked AS prediction_time, amount"
    with duckdb.connect() as connection:
        connection.sql("SET TimeZone = 'UTC'")
        for v in sizes(world.orders):
            connection.read_parquet(_files(world, v.name), hive_partitioning=False).create_view(v.name)
            joins += f" ASOF LEFT JOIN {v.name} ON o.{v.key} = {v.name}.{v.key} AND o.asked >= {v.name}.available_time"
            for f in v.features:
                fresh = f"{v.name}.event_time > o.asked - INTERVAL {v.ttl_days} DAY"
                columns += f", CASE WHEN {fresh} THEN {f} END AS {f}"
        connection.read_parquet(_files(world, "orders"), hive_partitioning=False).create_view("orders")
        connection.read_parquet(str(world.labels)).create_view("labels")
        connection.sql(
            f"""WITH o AS (SELECT *, event_time - INTERVAL 2 HOUR AS asked FROM orders)
                SELECT {columns}, label FROM o {joins} JOIN labels USING (order_id)"""
        ).write_parquet(str(out), compression="zstd")


def by_pandas(world: OrdersWorld, out: Path) -> None:
    def read(name: str) -> Any:
        return pq.ParquetDataset(_files(world, name), partitioning=None).read().to_pandas()

    orders = read("orders")
    orders["prediction_time"] = orders["event_time"] - LEAD
    orders = orders.sort_values("prediction_time")
    for view in sizes(world.orders):
        rows = read(view.name).sort_values("available_time").rename(columns={"event_time": "known_event"})
        orders = pd.merge_asof(
            orders, rows, left_on="prediction_time", right_on="available_time", by=view.key, suffixes=("_o", None)
        )
        old = ~(orders["known_event"] > orders["prediction_time"] - pd.Timedelta(days=view.ttl_days))
        orders.loc[old, view.features] = float("nan")
        orders = orders.drop(columns=["known_event", "available_time"])
    labels = pd.read_parquet(world.labels, columns=["order_id", "label"])
    wanted = ["order_id", "event_time", "prediction_time", *_features(world), "label"]
    orders.merge(labels, on="order_id")[wanted].to_parquet(out, compression="zstd", index=False)


def by_polars(world: OrdersWorld, out: Path) -> None:
    def scan(name: str) -> Any:
        return pl.scan_parquet(_files(world, name), hive_partitioning=False)

    orders = scan("orders").drop("available_time").with_columns(prediction_time=pl.col("event_time") - LEAD)
    orders = orders.sort("prediction_time")
    for view in sizes(world.orders):
        rows = scan(view.name).sort("available_time").rename({"event_time": "known_event"})
        orders = orders.join_asof(
            rows, left_on="prediction_time", right_on="available_time", by=view.key, check_sortedness=False
        )
        fresh = pl.col("known_event") > pl.col("prediction_time") - pl.duration(days=view.ttl_days)
        orders = orders.with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in view.features)
        orders = orders.drop("known_event", "available_time")
    labels = pl.scan_parquet(world.labels).select("order_id", "label")
    wanted = ["order_id", "event_time", "prediction_time", *_features(world), "label"]
    orders.join(labels, on="order_id").select(wanted).collect().write_parquet(out, compression="zstd")


CONTENDERS = {"ours": ours, "duckdb": by_duckdb, "pandas": by_pandas, "polars": by_polars}


def run_one(name: str, world: OrdersWorld) -> None:
    """In a process of its own: one join, and what came out of it, as JSON."""
    out = world.root / f"out-{name}.parquet"
    began, cpu = time.perf_counter(), time.process_time()
    CONTENDERS[name](world, out)
    took = time.perf_counter() - began
    found = {"seconds": took, "cpu_s": time.process_time() - cpu, "peak_rss_mb": own_peak_mb()}
    print(json.dumps({**found, **_counted(out, world)}))
    out.unlink()


def _counted(out: Path, world: OrdersWorld) -> dict[str, Any]:
    rows = pq.read_table(out, columns=["order_id", *_features(world), "label"])
    # pandas writes a missing value as NaN; no value of these views is NaN.
    for name in _features(world):
        column = rows.column(name).cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return {"rows": rows.num_rows, "columns": rows.num_columns, "checksum": content_hash(ordered(rows, ["order_id"]))}


def _files(world: OrdersWorld, view: str) -> list[str]:
    return sorted(DeltaTable(world.store.view_path(world.declared.view(view))).file_uris())


def _features(world: OrdersWorld) -> list[str]:
    return ["amount", *(feature for view in sizes(world.orders) for feature in view.features)]


def measure(world: OrdersWorld, names: list[str], times: int) -> dict[str, dict[str, Any]]:
    """Each contender's medians; they take turns, so that a noisy minute hits all of them."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(times):
        for name in names:
            command = [sys.executable, "-m", "benchmarks.training_set", "--only", name, "--orders", str(world.orders)]
            done = subprocess.run([*command, "--root", str(world.root)], capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{name} failed:\n{done.stderr}")
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(name, runs[name][-1], file=sys.stderr)
    return {
        name: {
            **{key: each[0][key] for key in COUNTED},
            **{key: statistics.median(r[key] for r in each) for key in ("seconds", "cpu_s", "peak_rss_mb")},
        }
        for name, each in runs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--root", type=Path, help="where the tables are, or will be made and kept; default: made again")
    parser.add_argument("--only", choices=CONTENDERS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        run_one(asked.only, OrdersWorld(asked.root, asked.orders))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as scratch:
        root = asked.root or Path(scratch)
        names = ["ours", "duckdb", "pandas"]
        if pl is not None:
            names.append("polars")
        else:
            print("Polars is not installed: it is not part of the limit.", file=sys.stderr)
        worlds = [
            OrdersWorld(root / str(size), size) if (root / str(size)).exists() else make(root / str(size), size)
            for size in (asked.orders // 10, asked.orders)
        ]
        small = measure(worlds[0], ["ours"], asked.times)["ours"]
        found = measure(worlds[1], names, asked.times)
    mine = found.pop("ours")
    fastest = min(found, key=lambda name: found[name]["seconds"])
    report(
        "training_set",
        mine["seconds"],
        "s",
        found[fastest]["seconds"],
        mine["peak_rss_mb"],
        fastest=fastest,
        promised_ratio=1.2,
        rows_out_are_labels_in=mine["rows"] == asked.orders,
        equal_checksums=len({each["checksum"] for each in [mine, *found.values()]}) == 1,
        mb_more_than_the_fastest=round(mine["peak_rss_mb"] - found[fastest]["peak_rss_mb"]),
        exponent_from_a_tenth=round(math.log10(mine["seconds"] / small["seconds"]), 2),
        cpu_s={name: round(each["cpu_s"], 2) for name, each in {"ours": mine, **found}.items()},
        seconds={name: round(each["seconds"], 2) for name, each in {"ours": mine, **found}.items()},
        peak_mb={name: round(each["peak_rss_mb"]) for name, each in {"ours": mine, **found}.items()},
    )


if __name__ == "__main__":
    main()
