"""100 million feature rows joined with a million requests within 4 GB.

The limit is the memory: the process may not have more than 4 GB of its own (RLIMIT_DATA; an allocation beyond it
fails), and the resident peak is measured. The rows are streamed from a Delta table of one partition a day, written
beforehand by another process; ``--rows`` makes it smaller.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

from benchmarks._common import own_peak_mb, report
from benchmarks._training_world import YEAR
from include.adapters.offline_store import OfflineStore
from include.adapters.point_in_time import point_in_time
from include.config.types import FeatureView

LIMIT_MB, ENTITIES, REQUESTS = 4096, 1_000_000, 1_000_000
TIMES = pa.timestamp("us", tz="UTC")
VIEW = FeatureView.model_validate(
    {
        "name": "clicks",
        "description": "Made up.",
        "owner": "benchmark",
        "calendar": {"starts": "2023-01-01"},
        "keys": ["user"],
        "ttl": "30d",
        "columns": [{"name": f"f{n}"} for n in range(5)],
        "source": [{"table": "clicks"}],
        "quality": {"expectations": [{"expectation": "expect_column_to_exist", "kwargs": {"column": "f1"}}]},
    }
)


def write(root: Path, rows: int) -> None:
    """A year of rows, ten days at a time, each row known 30 minutes after its event."""
    path = OfflineStore(str(root)).view_path(VIEW)
    step = 365 * 86_400_000_000 // rows
    a_part = rows // 37 + 1
    with duckdb.connect(config={"memory_limit": "2GB"}) as connection:
        connection.sql("SET TimeZone = 'UTC'")
        for first in range(0, rows, a_part):
            features = ", ".join(f"hash(id, {n}) % 1000 / 8.0 AS f{n}" for n in range(5))
            part = connection.sql(
                f"""SELECT (hash(id) % {ENTITIES})::BIGINT AS "user", {features}, event_time,
                           event_time + INTERVAL 30 MINUTE AS available_time, strftime(event_time, '%Y-%m-%d') AS day
                    FROM (SELECT id, TIMESTAMPTZ '2023-01-01 00:00:00+00' + to_microseconds(id * {step}) AS event_time
                          FROM range({first}, {min(first + a_part, rows)}) AS ids(id))
                    ORDER BY day, "user", event_time"""
            )
            write_deltalake(path, part.to_arrow_table(), mode="append", partition_by=["day"])


def requests() -> pa.Table:
    draw = np.random.default_rng(0)
    moments = int(YEAR.start.timestamp() * 1e6) + draw.integers(0, 365 * 86_400, REQUESTS) * 1_000_000
    return pa.table({"user": draw.integers(0, ENTITIES, REQUESTS), "prediction_time": pa.array(moments, TIMES)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        write(asked.write, asked.rows)
        return
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "benchmarks.large_join", "--rows", str(asked.rows), "--write", root]
        subprocess.run(command, check=True)
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_MB << 20, LIMIT_MB << 20))
        spine = requests()
        began, cpu = time.perf_counter(), time.process_time()
        history = OfflineStore(root).dataset(VIEW, YEAR)
        answer = point_in_time(spine, history, keys=VIEW.keys, features=VIEW.features, ttl=timedelta(days=30))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    answered = answer.num_rows - answer.column("f0").null_count
    report(
        "large_join",
        own_peak_mb(),
        "MB",
        LIMIT_MB,
        own_peak_mb(),
        rows=asked.rows,
        requests=answer.num_rows,
        answered=answered,
        sum_of_f0=pc.sum(answer.column("f0")).as_py(),
        seconds=round(took, 1),
        cpu_s=round(cpu, 1),
    )


if __name__ == "__main__":
    main()
