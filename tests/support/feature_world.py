"""A small foreign source, two views and a model over it: trips that start at stations whose level is read every hour.

Every reading is known half an hour after it was made, every trip a day ahead, every result two hours after the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from invariants import check_invariants
from sqlalchemy import Column, DateTime, Float, MetaData, String, Table, create_engine, delete, insert, text, update

from include.adapters.offline_store import OfflineStore, content_hash
from include.config.declared import Declarations
from include.config.loader import read_declarations
from include.config.settings import settings
from include.domain.intervals import Interval
from include.domain.verdicts import GateResult
from include.workflows import stores
from include.workflows.features import staging
from include.workflows.features.staged import Staged

METADATA = MetaData()
TRIPS = Table(
    "trips",
    METADATA,
    Column("trip_id", String(20), primary_key=True),
    Column("starts_at", DateTime),
    Column("station", String(10)),
    Column("order", Float),
    Column("known_at", DateTime),
)
READINGS = Table(
    "readings",
    METADATA,
    Column("station", String(10)),
    Column("read_at", DateTime),
    Column("level", Float),
    Column("known_at", DateTime),
)
RESULTS = Table(
    "results",
    METADATA,
    Column("trip_id", String(20)),
    Column("starts_at", DateTime),
    Column("outcome", String(10)),
    Column("known_at", DateTime),
)
CALENDAR = {"starts": "2024-03-01"}
TRIP_PLAN = {
    "name": "trip_plan",
    "description": "The trips planned for a day.",
    "owner": "planning",
    "calendar": CALENDAR,
    "keys": ["trip_id"],
    "ttl": "1d",
    "columns": [{"name": "station", "kind": "categorical"}, {"name": "order"}],
    "source": [{"table": "trips", "time": "starts_at", "known": "known_at"}],
    "quality": {
        "min_rows": 3,
        "expectations": [
            {
                "expectation": "expect_column_values_to_be_in_set",
                "kwargs": {"column": "station", "value_set": ["north", "south", "süd"]},
            }
        ],
    },
}
TRIP_PLAN_SQL = """
SELECT trip_id, station, "order", starts_at AS event_time, known_at AS available_time
FROM trips, interval_ WHERE starts_at >= start AND starts_at < "end"
"""
STATION_LEVEL = {
    "name": "station_level",
    "description": "The level of each station, and its mean over three hours.",
    "owner": "sensors",
    "calendar": CALENDAR,
    "keys": ["station"],
    "ttl": "3h",
    "columns": [{"name": "level"}, {"name": "mean_level_3h"}],
    "source": [{"table": "readings", "time": "read_at", "known": "known_at", "lookback": "3h"}],
    "quality": {
        "min_rows": 2,
        "max_null_share": {"level": 0.5},
        "expectations": [
            {
                "expectation": "expect_column_values_to_be_between",
                "kwargs": {"column": "level", "min_value": 0, "max_value": 1000},
            },
            {
                "expectation": "expect_column_values_to_be_between",
                "kwargs": {"column": "level", "min_value": 0, "max_value": 500},
                "severity": "warning",
            },
        ],
    },
}
STATION_LEVEL_SQL = """
SELECT reading.station, any_value(reading.level) AS level, avg(past.level) AS mean_level_3h,
       reading.read_at AS event_time, any_value(reading.known_at) AS available_time
FROM readings AS reading
JOIN readings AS past ON past.station = reading.station
 AND past.read_at > reading.read_at - INTERVAL 3 HOUR AND past.read_at <= reading.read_at
CROSS JOIN interval_
WHERE reading.read_at >= start AND reading.read_at < "end"
GROUP BY reading.station, reading.read_at
"""
TRIP_LATE = {
    "name": "trip_late",
    "description": "Will a trip be late? Asked two hours before it starts.",
    "task": "binary",
    "owners": {"model": "m", "data": "d", "on_call": "o"},
    "entity": {"view": "trip_plan", "lead": "2h"},
    "label": {
        "name": "late",
        "delay": "6h",
        "classes": ["on_time", "late"],
        "source": [{"table": "results", "time": "starts_at", "known": "known_at"}],
    },
    "views": [
        {"view": "trip_plan", "features": ["station", "order"]},
        {"view": "station_level", "features": ["level", "mean_level_3h"]},
    ],
    "estimator": {"path": "sklearn.linear_model.LogisticRegression"},
    "training": {"window_days": 10, "holdout_days": 2, "min_rows": 5},
    "gates": {
        "threshold_gate": {"criteria": [{"metric": "roc_auc", "at_least": 0.6}]},
        "champion_gate": {"comparisons": [{"metric": "brier", "margin": 0.01}], "beat_baseline_on": "brier"},
    },
    "shadow": {"min_rows": 5, "min_days": 1, "max_days": 3, "disagreement": [0.001, 0.2], "p99_delta_at_most": 0.5},
    "drift": {"performance": {"metric": "brier", "tolerance": 0.01}},
}
TRIP_LATE_SQL = "SELECT trip_id, outcome AS label, starts_at AS event_time, known_at AS available_time FROM results"


def at(day: int, hour: float = 0) -> datetime:
    """The hour of a day of March 2024, in UTC."""
    return datetime(2024, 3, 1, tzinfo=UTC) + timedelta(days=day - 1, hours=hour)


def day(number: int) -> Interval:
    return Interval.of_day(at(number).date())


def days(first: int, end: int) -> Interval:
    return Interval(at(first), at(end))


@dataclass
class World:
    """The source, the declarations and the stores of one test."""

    root: Path

    @property
    def source_url(self) -> str:
        return settings().source_url

    @property
    def declared(self) -> Declarations:
        return read_declarations(self.root / "declared")

    def declare_view(self, view: dict[str, Any], sql: str, **changes: Any) -> None:
        _declare(
            self.root / "declared" / "features" / view["name"], "view.yaml", "features.sql", {**view, **changes}, sql
        )

    def declare_model(self, sql: str = TRIP_LATE_SQL, **changes: Any) -> None:
        folder = self.root / "declared" / "models" / TRIP_LATE["name"]
        _declare(folder, "model.yaml", "label.sql", {**TRIP_LATE, **changes}, sql)

    def fill(self, first: int, end: int) -> None:
        """Six trips and 48 readings a day, for the days ``[first, end)``; the last trip of each day is cancelled."""
        trips, readings, results = [], [], []
        for number in range(first, end):
            for k in range(6):
                start, station = naive(at(number, 3.5 * k + 1)), "north" if k % 2 else "south"
                trip = f"{number:02d}-{k}"
                known = start - timedelta(days=1)
                trips.append(
                    {"trip_id": trip, "starts_at": start, "station": station, "order": k / 4, "known_at": known}
                )
                if k < 5:
                    outcome = "late" if k % 3 == 0 else "on_time"
                    done = start + timedelta(hours=2)
                    results.append({"trip_id": trip, "starts_at": start, "outcome": outcome, "known_at": done})
            for hour in range(24):
                for station, offset in (("north", 0), ("south", 100)):
                    made = naive(at(number, hour))
                    level = float(number * 10 + hour + offset)
                    known = made + timedelta(minutes=30)
                    readings.append({"station": station, "read_at": made, "level": level, "known_at": known})
        self.insert(TRIPS, trips)
        self.insert(READINGS, readings)
        self.insert(RESULTS, results)

    def insert(self, table: Table, rows: list[dict[str, Any]]) -> None:
        self._write(lambda connection: connection.execute(insert(table), rows))

    def remove(self, table: Table, *conditions: Any) -> None:
        self._write(lambda connection: connection.execute(delete(table).where(*conditions)))

    def change(self, table: Table, condition: Any, **values: Any) -> None:
        self._write(lambda connection: connection.execute(update(table).where(condition).values(**values)))

    def run(self, statement: str) -> None:
        self._write(lambda connection: connection.execute(text(statement)))

    def _write(self, action: Callable[[Any], Any]) -> None:
        engine = create_engine(self.source_url)
        with engine.begin() as connection:
            action(connection)
        engine.dispose()

    # --- the three steps --------------------------------------------------------------------------------------------

    def stage(self, view: str, interval: Interval, run_id: str = "run-1", as_of: datetime | None = None) -> Staged:
        return staging.materialize(view, interval, as_of or interval.end, run_id, declared=self.declared)

    def audit(self, staged: Staged) -> GateResult:
        return staging.audit(staged, declared=self.declared)

    def publish(self, staged: Staged, accepted_by: str | None = None) -> staging.Published:
        with stores.open_ledger() as ledger:
            return staging.publish(staged, ledger.partitions, accepted_by=accepted_by, declared=self.declared)

    def stage_day(self, view: str, number: int) -> Staged:
        """What the day's run stages: the day, and the earlier days whose source rows changed."""
        with stores.open_ledger() as ledger:
            return staging.stage(view, day(number), f"day-{number}", ledger.partitions, declared=self.declared)

    def run_day(self, view: str, number: int) -> staging.Published:
        """One run of the view's Dag for one day."""
        staged = self.stage_day(view, number)
        self.audit(staged)
        return self.publish(staged)

    def run_days(self, view: str, first: int, end: int, as_of: datetime | None = None) -> staging.Published:
        """One bulk run, as known at ``as_of``."""
        return self.materialize(view, days(first, end), f"days-{first}-{end}", as_of)

    def materialize(
        self, view: str, interval: Interval, run_id: str = "run-1", as_of: datetime | None = None
    ) -> staging.Published:
        """Stage, audit and publish, as a bulk run does."""
        with stores.open_ledger() as ledger:
            staged = staging.stage(
                view, interval, run_id, ledger.partitions, as_of=as_of, look_again=False, declared=self.declared
            )
        self.audit(staged)
        return self.publish(staged)


def a_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, make: bool = True) -> World:
    """An empty source with its tables, the two views and the model, all below ``tmp_path``; without ``make``, those
    that are there."""
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    for name in ("SLIPWAY_LEDGER_URL", "SLIPWAY_ONLINE_URL", "SLIPWAY_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLIPWAY_SOURCE_URL", f"sqlite:///{tmp_path / 'source.db'}")
    world = World(tmp_path)
    if not make:
        return world
    (tmp_path / "home").mkdir()
    world._write(METADATA.create_all)
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL)
    world.declare_view(STATION_LEVEL, STATION_LEVEL_SQL)
    world.declare_model()
    return world


def _declare(folder: Path, file: str, sql_file: str, data: dict[str, Any], sql: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    (folder / sql_file).write_text(sql, encoding="utf-8")


def stored(world: World, view: str, interval: Interval) -> str:
    """The content of what is published of the view."""
    return content_hash(OfflineStore(settings().store).read(world.declared.view(view), interval))


def partition(view: str, number: int) -> Any:
    """What the ledger says of a day; None when it was never published."""
    with stores.open_ledger() as ledger:
        return ledger.partitions.get(view, 1, at(number).date())


def history(view: str, number: int) -> Any:
    """Every publication of a day, the oldest first."""
    with stores.open_ledger() as ledger:
        return ledger.partitions.history(view, 1, at(number).date())


def naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def filled_world(first: int, end: int) -> Any:
    """A fixture: a world whose source has the days ``[first, end)``. Every test with it ends with the invariants."""

    @pytest.fixture
    def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
        made = a_world(tmp_path, monkeypatch)
        made.fill(first, end)
        yield made
        check_invariants(made)

    return world
