"""One tick of a view's stream: 100 stations with a reading a minute, a mean over three hours, two tables of a day.

The limit is the bare DuckDB query over the same rows, in the same run and in turns with the ticks, in processor time.
Told apart: a tick that finds news, and one that reads its tail whole because the window moved.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import yaml
from sqlalchemy import Column, DateTime, Float, MetaData, String, Table, create_engine, insert

from benchmarks._common import own_peak_mb, report
from include.adapters import expectations, online_store, source, sql_engine  # noqa: F401
from include.adapters.ledger import Ledger
from include.config.loader import read_declarations
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows.features.streaming import ViewStream, window_of

STATIONS, HOURS, ROUNDS = 100, 8, 12
START = datetime(2024, 3, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SQL = """
WITH hours AS (
    SELECT unnest(generate_series(start, "end" - INTERVAL 1 HOUR, INTERVAL 1 HOUR)) AS hour FROM interval_
)
SELECT readings.station, avg(readings.level) AS mean_level, count(*) AS readings, hours.hour AS event_time,
       hours.hour AS available_time
FROM hours
JOIN readings ON readings.read_at >= hours.hour - INTERVAL 3 HOUR AND readings.read_at < hours.hour
GROUP BY ALL
"""
VIEW = {
    "name": "level",
    "description": "The mean level of each station over three hours.",
    "owner": "sensors",
    "calendar": {"starts": "2024-03-01"},
    "keys": ["station"],
    "ttl": "3h",
    "delay": "30s",
    "stream": {"every": "10s", "lateness": "15m"},
    "columns": [{"name": "mean_level"}, {"name": "readings"}],
    "source": [{"table": "readings", "time": "read_at", "known": "known_at", "lookback": "3h"}],
    "quality": {"expectations": [{"expectation": "expect_column_to_exist", "kwargs": {"column": "mean_level"}}]},
}
READINGS = Table(
    "readings",
    MetaData(),
    Column("station", String(10), primary_key=True),
    Column("read_at", DateTime, primary_key=True, index=True),
    Column("level", Float),
    Column("known_at", DateTime),
)


def fill() -> None:
    """A reading a minute of each station, known at once."""
    engine = create_engine(settings().source_url)
    READINGS.create(engine)
    moments = [(START + n * MINUTE).replace(tzinfo=None) for n in range(HOURS * 60)]
    rows = [
        {"station": f"s{k}", "read_at": at, "known_at": at, "level": float((k * 7 + n) % 100)}
        for n, at in enumerate(moments)
        for k in range(STATIONS)
    ]
    with engine.begin() as connection:
        connection.execute(insert(READINGS), rows)
    engine.dispose()


def timed(action: object) -> float:
    """Processor time in milliseconds."""
    began = time.process_time()
    action()  # type: ignore[operator]
    return (time.process_time() - began) * 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ |= {"SLIPWAY_HOME": folder, "SLIPWAY_SOURCE_URL": f"sqlite:///{home / 'source.db'}"}
        place = home / "declared" / "features" / "level"
        place.mkdir(parents=True)
        (place / "view.yaml").write_text(yaml.safe_dump(VIEW), encoding="utf-8")
        (place / "features.sql").write_text(SQL, encoding="utf-8")
        view = read_declarations(home / "declared").view("level")
        fill()
        bare = duckdb.connect(":memory:")
        bare.sql("SET TimeZone = 'UTC'")
        quiet, moved, query = [], [], []
        with Ledger.open(settings().ledger_url) as ledger, sql_engine.OpenDatabases() as databases:
            stream = ViewStream(view, ledger.streams, "bench", databases)
            stream.tick(START + timedelta(hours=4, minutes=20))
            stream.tick(START + timedelta(hours=4, minutes=30))
            for n in range(ROUNDS):
                now = START + timedelta(hours=4, minutes=31, seconds=10 * n)
                quiet.append(timed(lambda now=now: stream.tick(now)))
                window = window_of(view, now)
                query.append(timed(lambda window=window: _bare(bare, stream, window)))
            for n in range(3):
                now = START + timedelta(hours=5 + n, seconds=10)
                moved.append(timed(lambda now=now: stream.tick(now)))
        bare.close()
    report(
        "stream_tick",
        statistics.median(quiet),
        "ms of processor time a tick with a minute's news",
        statistics.median(query),
        own_peak_mb(),
        window_moved_ms=round(statistics.median(moved), 1),
        source_rows=STATIONS * HOURS * 60,
    )


def _bare(connection: duckdb.DuckDBPyConnection, stream: ViewStream, window: Interval) -> None:
    """The query alone, over the tail as it is."""
    tail = stream._tail
    if tail is None:
        raise RuntimeError("the stream has not ticked")
    connection.register("readings", tail.tables["readings"])
    connection.sql(
        'CREATE OR REPLACE TEMP TABLE interval_ AS SELECT $start AS start, $until AS "end"',
        params={"start": window.start, "until": window.end},
    )
    connection.sql(SQL).to_arrow_table()


if __name__ == "__main__":
    main()
