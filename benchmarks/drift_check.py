"""``make bench B=drift_check``: a current table in parquet counted and judged against a stored profile.

The limit is DuckDB's scan of the same columns of the same file in the same run, computing count and sum (of a text
column count and the sum of its lengths). Beside it: whether time is linear in rows and in columns, and the memory that
ten million rows take. Each measurement is a process of its own, so that its peak memory is its own.

    make bench B=drift_check ARGS="--rows 1000000 --columns 50 --large 10000000"
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._common import own_peak_mb, report

CATEGORICAL_SHARE = 0.2
REFERENCE_ROWS = 200_000
REPEATS = 5
PROFILE = "profile.json"


def names(columns: int) -> tuple[list[str], list[str]]:
    texts = round(columns * CATEGORICAL_SHARE)
    return [f"x{i}" for i in range(columns - texts)], [f"c{i}" for i in range(texts)]


def write(path: Path, rows: int, columns: int, seed: int) -> None:
    """Normal numbers, a tenth of the columns with 5 % missing; categories of 5 to 2,000 values."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    numbers, texts = names(columns)
    writer = None
    for start in range(0, rows, 500_000):
        n = min(500_000, rows - start)
        table: dict[str, Any] = {}
        for i, name in enumerate(numbers):
            missing = rng.random(n) < 0.05 if i % 10 == 0 else None
            table[name] = pa.array(rng.normal(size=n), mask=missing)
        for i, name in enumerate(texts):
            values = pa.array([f"value-{k}" for k in range((5, 20, 100, 500, 2000)[i % 5])])
            codes = pa.array((rng.random(n) ** 2 * len(values)).astype(np.int32))
            table[name] = pa.DictionaryArray.from_arrays(codes, values).cast(pa.string())
        part = pa.table(table)
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part, row_group_size=500_000)
    if writer is not None:
        writer.close()


def keep_profile(reference: Path, folder: Path) -> None:
    import pandas as pd

    from include.domain.drift.profile import FeatureKind
    from include.domain.drift.reference import build_profile

    frame = pd.read_parquet(reference)
    kinds = {n: FeatureKind.CATEGORICAL if n.startswith("c") else FeatureKind.NUMERIC for n in frame.columns}
    (folder / PROFILE).write_text(json.dumps(build_profile(frame, kinds).as_json()))


def check(folder: Path, current: Path) -> float:
    """Read the profile, count the file, judge; the shortest of some tries in seconds."""
    from include.domain.drift.input_drift import input_drift
    from include.domain.drift.profile import Profile
    from include.workflows.tables.reading import Table, count_table

    def once() -> None:
        reference = Profile.from_json(json.loads((folder / PROFILE).read_text()))
        found = input_drift(reference, count_table(Table(current, option="--current"), reference))
        if found.drifted is not False or found.rows == 0:
            raise RuntimeError(f"The tables are the same, and the check said: {found.reason}")

    return quickest(once)


def scan(current: Path, columns: int) -> float:
    import duckdb

    numbers, texts = names(columns)
    asked = [f"count({n}), sum({n})" for n in numbers] + [f"count({n}), sum(strlen({n}))" for n in texts]

    def once() -> None:
        with duckdb.connect() as connection:
            connection.execute(f"SELECT {', '.join(asked)} FROM read_parquet(?)", [str(current)]).fetchall()

    return quickest(once)


def quickest(run: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def measured(what: str, folder: Path, current: Path, columns: int) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.drift_check", "--only", what, str(folder), str(current), str(columns)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--large", type=int, default=10_000_000, help="rows of the large table; 0 leaves it out")
    parser.add_argument("--only", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        what, folder, current, columns = args.only
        seconds = check(Path(folder), Path(current)) if what == "check" else scan(Path(current), int(columns))
        print(json.dumps({"seconds": seconds, "peak_mb": own_peak_mb()}))
        return

    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as root:

        def world(rows: int, columns: int) -> tuple[Path, Path]:
            folder = Path(root) / f"{rows}-{columns}"
            folder.mkdir()
            write(folder / "reference.parquet", REFERENCE_ROWS, columns, 1)
            keep_profile(folder / "reference.parquet", folder)
            write(folder / "current.parquet", rows, columns, 2)
            return folder, folder / "current.parquet"

        whole = world(args.rows, args.columns)
        limit = measured("scan", *whole, args.columns)
        found = measured("check", *whole, args.columns)
        fewer = measured("check", *world(args.rows // 2, args.columns), args.columns)
        narrower = measured("check", *world(args.rows, args.columns // 2), args.columns // 2)
        large: dict[str, Any] = {}
        if args.large:
            many = world(args.large, args.columns)
            big, its_limit = measured("check", *many, args.columns), measured("scan", *many, args.columns)
            large = {
                "large_rows": args.large,
                "large_s": round(big["seconds"], 3),
                "large_ratio": round(big["seconds"] / its_limit["seconds"], 3),
                "large_peak_rss_mb": round(big["peak_mb"]),
            }
        report(
            "drift_check",
            found["seconds"],
            "s",
            limit["seconds"],
            found["peak_mb"],
            rows=args.rows,
            columns=args.columns,
            ratio_promised=2.0,
            peak_promised_mb=500,
            twice_the_rows=round(found["seconds"] / fewer["seconds"], 2),
            twice_the_columns=round(found["seconds"] / narrower["seconds"], 2),
            **large,
        )


if __name__ == "__main__":
    main()
