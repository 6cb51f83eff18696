"""A day of the online journal collected into the prediction log and the served features, in processor time.

Records as ``flight_delay``'s service writes them, with ages of four views. Measured are reading, finding what was asked
twice, the order, and both writes; not the ledger's few rows. The limit is the bare Delta writes of the very tables from
memory.

``value`` is the collection that ends a day which was collected every 15 minutes: it decodes the last 96th of it.
``all_at_once`` is the same day, but for that part, from the journal alone. ``--rows`` is how many the day has.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from benchmarks._common import own_peak_mb, report
from include.adapters.journal import Journal
from include.adapters.offline_store import OfflineStore, ordered, plain
from include.adapters.offline_store.partitions import _written_as
from include.config import declarations
from include.domain.journal.records import AnswerRecord, ViewServed
from include.workflows.scoring import collected_rows
from include.workflows.scoring.journal_columns import AnswerForm
from include.workflows.scoring.journal_read import journal_of

DAY, START = "2013-06-22", datetime(2013, 6, 22, tzinfo=UTC)
SECONDS, COLLECTIONS = 86_400, 96
WHO = "flight_delay-20130601-4e65d3"


def records(rows: int) -> Iterator[AnswerRecord]:
    """One of a hundred is asked a second time."""
    dice, model = random.Random(1), declarations().model("flight_delay")
    kinds = AnswerForm.of(model, {}).kinds
    texts = ["UA", "AA", "EWR", "JFK", None]
    for i in range(rows):
        at = START + timedelta(seconds=SECONDS * i / rows)
        event = START + timedelta(minutes=dice.randrange(1_440))
        name = f"{dice.getrandbits(64):016x}"
        features: dict[str, Any] = {
            feature: dice.choice(texts) if kinds[feature] == "categorical" else dice.gauss(0, 1)
            for feature in model.features
        }
        views = {
            use.name: ViewServed(1, at - timedelta(seconds=60 * j), 60.0 * j + dice.random(), run_id="stream")
            for j, use in enumerate(model.views)
        }
        record = AnswerRecord(
            asked_id=name,
            request_id=name,
            model=model.name,
            prediction_time=at,
            candidate=WHO,
            digest="ab" * 32,
            revision=3,
            route_revision=3,
            keys={"flight_id": f"{DAY}-UA-{i}-EWR"},
            event_time=event,
            score=dice.random(),
            predicted="on_time",
            us_total=500,
            us_model=100,
            features=features,
            views=views,
        )
        yield record
        if i % 100 == 0:
            yield record


def write(journal: Journal, rows: Iterator[AnswerRecord], most: int) -> None:
    """The next of them, at most so many, fifty with one ``write``."""
    while most > 0 and (batch := list(islice(rows, min(50, most)))):
        journal.append(batch)
        most -= len(batch)


@contextmanager
def measured(into: dict[str, float], name: str) -> Iterator[None]:
    wall, began = time.perf_counter(), time.process_time()
    yield
    into[name] = time.process_time() - began
    into[f"{name}_wall"] = time.perf_counter() - wall


def collected(store: OfflineStore) -> tuple[pa.Table, pa.Table]:
    """The day in both tables, by the functions that the collection calls."""
    model = declarations().model("flight_delay")
    keys = {"flight_id": pa.string()}
    found = journal_of(AnswerForm.of(model, keys), DAY, START + timedelta(days=2)).answers
    asked = collected_rows.asked_rows(model, found, keys)
    kept = collected_rows.kept_features(model, asked, found, collected_rows.inputs_of(found))
    store.write_served(model.name, DAY, kept, {use.name: use.version or 1 for use in model.views})
    log = collected_rows.logged(model, asked, found, version="3", role="served")
    store.write_predictions(model.name, DAY, WHO, log)
    return log, kept


def bare(folder: Path, tables: tuple[pa.Table, pa.Table], took: dict[str, float]) -> None:
    """The same rows by Delta alone, from memory, in their order."""
    ready = []
    for rows, order in zip(tables, ("prediction_id", "request_id"), strict=True):
        with_day = plain(rows).append_column("day", pa.array([DAY] * len(rows)))
        ready.append(ordered(with_day, ["event_time", order]))
    with measured(took, "bare"):
        for i, (rows, by) in enumerate(zip(ready, (["day", "candidate_id"], ["day"]), strict=True)):
            write_deltalake(str(folder / f"bare{i}"), rows, partition_by=by, writer_properties=_written_as(rows.schema))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    count = parser.parse_args().rows
    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        os.environ["SLIPWAY_HOME"] = str(home)
        rows, last = records(count), count // COLLECTIONS
        journal = Journal(home / "journal", "bench", START, lambda: START)
        write(journal, rows, count - last)
        store = OfflineStore(str(home / "store"))
        with measured(took, "first"):
            collected(store)
        write(journal, rows, count)
        journal.close()
        with measured(took, "closing"):
            tables = collected(store)
        if len(tables[0]) != count:
            raise SystemExit(f"{len(tables[0]):,} of {count:,} rows are in the log.")
        bare(home, tables, took)
    report(
        "collect",
        took["closing"],
        "s of processor to close a day",
        took["bare"],
        own_peak_mb(),
        promised_times=2,
        rows=count,
        all_at_once=round(took["first"], 2),
        all_at_once_ratio=round(took["first"] / took["bare"], 2),
        wall_s=[round(took[f"{name}_wall"], 2) for name in ("closing", "first", "bare")],
    )


if __name__ == "__main__":
    main()
