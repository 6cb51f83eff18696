"""What a day's measurement costs at a champion's age of two years against two weeks; promised: at most 1.2 times.

The champion of ``air_time`` answered so many flights on each of 730 days, all of them with a label after a day. What is
measured would grow with age if all were read each day: reading its answers and labels, and judging the matured losses;
each age in a process of its own for the memory. The days before the measured one were measured too, as the sensor does
day by day, so they are kept as sums. The limit is the same call at two weeks.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from sqlalchemy import create_engine, insert

from benchmarks._common import own_peak_mb, report
from include.adapters.ledger import Ledger
from include.adapters.nycflights import METADATA
from include.adapters.offline_store import OfflineStore
from include.config import declarations
from include.config.settings import settings
from include.domain.drift.profile import Profile
from include.domain.intervals import DAY, Interval
from include.domain.losses import DayLoss
from include.domain.promotion import Epoch, EpochKind
from include.workflows.drift import reference

FIRST = datetime(2020, 1, 1, tzinfo=UTC)
DAYS, YOUNG = 730, 14
ROWS = 2000
REPEATS = 5
PROMISED = 1.2
CHAMPION = "air_time-20200101-bench"


def main(rows: int = ROWS) -> None:
    """Write the world, then measure at both ages."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"SLIPWAY_HOME": home}
        os.environ.pop("SLIPWAY_LEDGER_URL", None)
        os.environ.pop("SLIPWAY_SOURCE_URL", None)
        _world(Path(home), rows)
        measured = {}
        for age in (YOUNG, DAYS):
            command = [sys.executable, "-m", "benchmarks.drift_age", "measure", str(age)]
            found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            measured[age] = (float(found[0]), float(found[1]))
            print(f"{age} days: {1000 * measured[age][0]:.0f} ms, {measured[age][1]:.0f} MB", flush=True)
    young, old = measured[YOUNG], measured[DAYS]
    report(
        "drift_age",
        old[0],
        "s",
        young[0],
        old[1],
        promised_ratio=PROMISED,
        rows_a_day=rows,
        peak_rss_mb_young=round(young[1]),
    )


def _world(home: Path, rows: int) -> None:
    rng = np.random.default_rng(7)
    store, engine = OfflineStore(settings().store), create_engine(settings().source_url)
    METADATA.create_all(engine)
    for at in range(DAYS):
        start = FIRST + at * DAY
        moments = [start + timedelta(seconds=86_400 * i / rows) for i in range(rows)]
        keys = [f"{at}-{i}" for i in range(rows)]
        truth, score = rng.normal(150, 40, rows), rng.normal(150, 40, rows)
        with engine.begin() as connection:
            connection.execute(
                insert(METADATA.tables["arrivals"]),
                [
                    {
                        "flight_id": key,
                        "scheduled_departure": moment.replace(tzinfo=None),
                        "arrived_at": moment.replace(tzinfo=None),
                        "arr_delay_minutes": 0.0,
                        "air_time_minutes": float(y),
                        "recorded_at": (moment + timedelta(hours=6)).replace(tzinfo=None),
                    }
                    for key, moment, y in zip(keys, moments, truth, strict=True)
                ],
            )
        times = pa.array(moments, pa.timestamp("us", tz="UTC"))
        answers = {
            "prediction_id": pa.array(keys),
            "candidate_id": pa.array([CHAMPION] * rows),
            "model_version": pa.array(["1"] * rows),
            "role": pa.array(["served"] * rows),
            "flight_id": pa.array(keys),
            "event_time": times,
            "prediction_time": times,
            "score": pa.array(score),
            "predicted": pa.array(score),
            "error": pa.array([None] * rows, pa.string()),
        }
        store.write_predictions("air_time", start.date().isoformat(), CHAMPION, pa.table(answers))
    engine.dispose()


def measure(age: int) -> None:
    """Print the seconds of a day's measurement at that age, and the process' peak memory in megabytes."""
    model, last = declarations().model("air_time"), FIRST + (age - 1) * DAY
    epoch = Epoch(
        model="air_time",
        revision=1,
        kind=EpochKind.PROMOTION,
        from_candidate=None,
        to_candidate=CHAMPION,
        model_version="1",
        digest="sha256:bench",
        effective_from=FIRST,
        actor="bench",
        reason="bench",
        run_id="bench",
        cleared_by={},
        recorded_at=FIRST,
    )
    Ledger.open(settings().ledger_url).close()
    usual = tuple(DayLoss(f"2019-12-{d:02d}", 1000, 45_000.0 + 100 * d, 3e6) for d in range(1, 15))
    kept = reference.Reference(Profile(0, (), losses=usual), {}, None, 0.0)
    # The day before, as the sensor measured it: what had settled by then is kept.
    reference.matured(model, epoch, Interval(last - DAY, last))
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        losses, _, _ = reference.matured(model, epoch, Interval(last, last + DAY))
        reference.realised(model, kept, losses)
        took.append(time.perf_counter() - began)
    # The first of them settled a day, which each real day does.
    print(max(took[0], statistics.median(took)), own_peak_mb())


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(int(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:2]))
