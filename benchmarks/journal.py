"""``make bench B=journal``: one answered row written to the journal, beside encoding it and one bare ``write``.

In processor time, because wall time is the other processes' too; the disk is waited for by the journal's own thread.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks._common import own_peak_mb, report
from include.adapters.journal import Journal, JournalReader
from include.domain.journal.records import AnswerRecord

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def record(number: int) -> AnswerRecord:
    name = f"request-{number:08d}"
    return AnswerRecord(
        asked_id=name,
        request_id=name,
        model="flight_delay",
        prediction_time=AT,
        candidate="flight_delay-20130601-4e65d3",
        digest="ab" * 32,
        revision=3,
        route_revision=3,
        keys={"flight_id": name},
        event_time=AT,
        score=0.25,
        predicted="on_time",
        us_total=500,
        us_model=100,
        features={f"feature_{i}": i / 7 for i in range(22)},
        given="all",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    rows = parser.parse_args().rows
    records = [record(i) for i in range(rows)]
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal", "bench", AT, lambda: AT)
        began = time.thread_time()
        for each in records:
            journal.append((each,))
        ours = (time.thread_time() - began) / rows * 1e6
        journal.close()
        encode, file = msgspec.json.Encoder().encode, os.open(Path(folder) / "bare", os.O_WRONLY | os.O_CREAT)
        began = time.thread_time()
        for each in records:
            os.write(file, encode(each))
        bare = (time.thread_time() - began) / rows * 1e6
        os.close(file)
        reader = JournalReader(Path(folder) / "journal")
        began = time.thread_time()
        found = sum(1 for entry in reader.all() if isinstance(entry.record, AnswerRecord))
        reading = (time.thread_time() - began) / rows * 1e6
        if found != rows or journal.failed:
            raise SystemExit(f"{found} of {rows} records are in the journal.")
        report(
            "journal",
            ours,
            "us of processor for one row",
            bare,
            own_peak_mb(),
            rows=rows,
            bytes_a_row=round(journal.bytes / rows),
            read_us_a_row=round(reading, 2),
        )


if __name__ == "__main__":
    main()
