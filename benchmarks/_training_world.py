"""Made-up orders for the benchmarks of training sets: one million orders, and what was known of each one's customer,
product, shop and region, in Delta tables that the offline store wrote."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import yaml

from include.adapters.ledger import Ledger, Partition, PartitionStatus
from include.adapters.offline_store import (
    DAY,
    OfflineStore,
    content_hashes,
    ordered,
    plain,
    split_by_day,
    with_day,
)
from include.config.declared import Declarations
from include.config.loader import read_declarations
from include.config.types import FeatureView
from include.domain.intervals import Interval

LEAD = timedelta(hours=2)
YEAR = Interval.between("2023-01-01", "2024-01-01")
SECONDS = 365 * 86_400


@dataclass(frozen=True, slots=True)
class ViewSize:
    """One feature view: its key, how many rows of how many entities, and for how many days a row may be used."""

    name: str
    key: str
    key_sql: str
    rows: int
    entities: int
    ttl_days: int

    @property
    def features(self) -> list[str]:
        return [f"{self.name}_{n}" for n in range(1, 6)]


def sizes(orders: int) -> list[ViewSize]:
    """The four views of ``orders`` orders: one ten times as long, three as long."""
    return [
        ViewSize("buys", "customer", "e", 10 * orders, orders // 10, 30),
        ViewSize("stock", "product", "printf('p%07d', e)", orders, orders // 50, 30),
        ViewSize("sales", "shop", "printf('shop-%d', e)", orders, orders // 1000, 7),
        ViewSize("weather", "region", "e", orders, 50, 2),
    ]


@dataclass(frozen=True, slots=True)
class OrdersWorld:
    """Where everything is. ``labels`` is a parquet file: order_id, label, event_time, available_time."""

    root: Path
    orders: int

    @property
    def store(self) -> OfflineStore:
        return OfflineStore(str(self.root / "home" / "store"))

    @property
    def labels(self) -> Path:
        return self.root / "labels.parquet"

    @property
    def declared(self) -> Declarations:
        return read_declarations(self.root / "declared")

    @property
    def as_of(self) -> datetime:
        return YEAR.end + timedelta(days=30)


def make(root: Path, orders: int) -> OrdersWorld:
    """Declare the views and the model, and publish a year of each."""
    world = OrdersWorld(root, orders)
    views = sizes(orders)
    for view in views:
        _declare_view(root, view.name, [view.key], view.features, [], view.ttl_days)
    keys = [view.key for view in views]
    _declare_view(root, "orders", ["order_id"], ["amount"], keys, 1)
    _declare_model(root, views)
    declared = world.declared
    with duckdb.connect() as connection:
        connection.sql("SET TimeZone = 'UTC'")
        for view in views:
            for month in months():
                _publish(world, declared.view(view.name), month, connection.sql(_view_sql(view, month)))
        for month in months():
            _publish(world, declared.view("orders"), month, connection.sql(_orders_sql(orders, views, month)))
        connection.sql(
            f"""SELECT id AS order_id, hash(id, 'l') % 100 / 7.0 AS label,
                       {_moment("id", orders)} AS event_time, {_moment("id", orders)} + INTERVAL 1 DAY AS available_time
                FROM range({orders}) AS ids(id)"""
        ).write_parquet(str(world.labels))
    return world


def months() -> list[Interval]:
    starts = [datetime.fromisoformat(f"2023-{m:02d}-01T00:00:00+00:00") for m in range(1, 13)]
    return [Interval(a, b) for a, b in zip(starts, [*starts[1:], YEAR.end], strict=True)]


def _moment(number: str, count: int) -> str:
    """An event time of the year for each row number: ascending, and never twice for one entity."""
    return (
        f"TIMESTAMPTZ '2023-01-01 00:00:00+00' + to_microseconds(({number} * {SECONDS * 1_000_000 // count})::BIGINT)"
    )


def _numbers(count: int, month: Interval) -> str:
    def first(moment: datetime) -> int:
        step = SECONDS * 1_000_000 // count
        return min(count, -(-((moment - YEAR.start) // timedelta(microseconds=1)) // step))

    last = count if month.end == YEAR.end else first(month.end)
    return f"range({first(month.start)}, {last}) AS ids(id)"


def _view_sql(view: ViewSize, month: Interval) -> str:
    values = ", ".join(f"hash(id, {n}) % 1000000 / 1000.0 AS {name}" for n, name in enumerate(view.features))
    return f"""
        WITH rows AS (
            SELECT (hash(id, '{view.name}') % {view.entities})::BIGINT AS e, {values},
                   {_moment("id", view.rows)} AS event_time
            FROM {_numbers(view.rows, month)}
        )
        SELECT {view.key_sql} AS {view.key}, {", ".join(view.features)}, event_time,
               event_time + INTERVAL 30 MINUTE AS available_time
        FROM rows"""


def _orders_sql(orders: int, views: list[ViewSize], month: Interval) -> str:
    keys = []
    for view in views:
        # One in 50 asks for an entity that is in no history.
        number = f"(hash(id, 'to {view.name}') % {view.entities + view.entities // 50 + 1})::BIGINT"
        keys.append(f"{view.key_sql.replace('e)', number + ')') if '(' in view.key_sql else number} AS {view.key}")
    return f"""
        SELECT id AS order_id, (id % 97)::DOUBLE AS amount, {", ".join(keys)}, {_moment("id", orders)} AS event_time,
               {_moment("id", orders)} - INTERVAL 1 DAY AS available_time
        FROM {_numbers(orders, month)}"""


def _publish(world: OrdersWorld, view: FeatureView, month: Interval, rows: Any) -> None:
    """In the table and in the ledger, with which readers compare the table."""
    made = ordered(plain(with_day(rows.to_arrow_table())), [DAY, *view.keys, "event_time"])
    parts = split_by_day(made)
    replaced, hashes = world.store.replace_partitions(view, month, made), content_hashes(parts)
    with Ledger.open(f"sqlite:///{world.root / 'home' / 'ledger.db'}") as ledger:
        ledger.partitions.record(
            Partition(
                view=view.name,
                view_version=view.version,
                day=str(day),
                status=PartitionStatus.PUBLISHED,
                rows=part.num_rows,
                content_hash=hashes[day],
                code_hash="made up",
                table_version=replaced.version,
                source_rows=part.num_rows,
                source_watermark=None,
                run_id="made up",
                files=replaced.files[(str(day),)],
            )
            for day, part in parts.items()
        )


def _declare_view(
    root: Path, name: str, keys: list[str], features: list[str], carries: list[str], ttl_days: int
) -> None:
    column = {"expectation": "expect_column_to_exist", "kwargs": {"column": features[0]}}
    declared = {
        "name": name,
        "description": "Made up.",
        "owner": "benchmark",
        "calendar": {"starts": "2023-01-01"},
        "keys": keys,
        "ttl": f"{ttl_days}d",
        "columns": [{"name": feature} for feature in features],
        "carries": carries,
        "source": [{"table": name, "time": "event_time"}],
        "quality": {"expectations": [column]},
    }
    _write(
        root / "declared" / "features" / name,
        "view.yaml",
        yaml.safe_dump(declared),
        "features.sql",
        f"SELECT * FROM {name}",
    )


def _declare_model(root: Path, views: list[ViewSize]) -> None:
    declared = {
        "name": "spend",
        "description": "Made up.",
        "task": "regression",
        "owners": {"model": "b", "data": "b", "on_call": "b"},
        "entity": {"view": "orders", "lead": "2h"},
        "label": {"name": "spend", "delay": "1d", "source": [{"table": "labels", "time": "event_time"}]},
        "views": [
            {"view": "orders", "features": ["amount"]},
            *({"view": view.name, "features": view.features} for view in views),
        ],
        "estimator": {"path": "sklearn.linear_model.LinearRegression"},
        "training": {"window_days": 300, "holdout_days": 30, "min_rows": 5},
        "gates": {
            "threshold_gate": {"criteria": [{"metric": "mae", "at_most": 9}]},
            "champion_gate": {"comparisons": [{"metric": "mae", "margin": 1}], "beat_baseline_on": "mae"},
        },
        "shadow": {"min_rows": 5, "min_days": 1, "max_days": 3, "disagreement": [0.1, 0.2], "p99_delta_at_most": 0.5},
        "drift": {"performance": {"metric": "mae", "tolerance": 1}},
    }
    sql = "SELECT order_id, label, event_time, available_time FROM labels"
    _write(root / "declared" / "models" / "spend", "model.yaml", yaml.safe_dump(declared), "label.sql", sql)


def _write(folder: Path, file: str, text: str, sql_file: str, sql: str) -> None:
    folder.mkdir(parents=True)
    (folder / file).write_text(text, encoding="utf-8")
    (folder / sql_file).write_text(sql, encoding="utf-8")


def read_labels(world: OrdersWorld) -> Any:
    return pq.read_table(world.labels)
