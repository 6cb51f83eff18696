"""Databases that stay open between queries give what a new one gives, and keep nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from include.adapters import sql_engine
from include.domain.intervals import Interval

START = datetime(2024, 3, 1, tzinfo=UTC)
SUMS = 'SELECT station, sum(level) AS level, (SELECT "end" FROM interval_) AS event_time FROM readings GROUP BY ALL'


def hour(at: int) -> Interval:
    return Interval(START + timedelta(hours=at), START + timedelta(hours=at + 1))


def readings(at: int) -> dict[str, pa.Table]:
    rows = 50 + at
    return {
        "readings": pa.table(
            {"station": ["north", "south"] * rows, "level": [float(i % 7 + at) for i in range(2 * rows)]}
        )
    }


def summed(at: int, databases: sql_engine.OpenDatabases | None) -> list[dict[str, object]]:
    found = sql_engine.run_sql(SUMS, readings(at), hour(at), what="a test", file="sums.sql", databases=databases)
    return found.sort_by("station").to_pylist()


class TestDatabasesThatStayOpen:
    def test_give_each_query_what_a_new_one_gives_also_to_threads_at_once(self):
        expected = [summed(at, None) for at in range(24)]
        with sql_engine.OpenDatabases() as databases, ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda at: summed(at, databases), range(24))) == expected
            assert 1 <= len(databases._free) <= 4

    def test_know_no_table_of_the_query_before(self):
        with sql_engine.OpenDatabases() as databases:
            summed(0, databases)
            with pytest.raises(sql_engine.SqlFailed, match="readings does not exist"):
                sql_engine.run_sql("SELECT * FROM readings", {}, None, what="a test", file="x.sql", databases=databases)
            with pytest.raises(sql_engine.SqlFailed, match="interval_ does not exist"):
                sql_engine.run_sql(
                    "SELECT * FROM interval_", {}, None, what="a test", file="x.sql", databases=databases
                )
            # One that failed is not asked again; the next query has another.
            assert databases._free == []
            assert summed(3, databases) == summed(3, None)
