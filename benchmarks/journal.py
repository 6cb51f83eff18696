"""``make bench B=journal``: one answered row written to the journal, beside encoding it and one bare ``write``.

In processor time, because wall time is the other processes' too; the disk is waited for by the journal's own thread.
What `durability: power` adds is the disk's own time: wall time, for one request alone and for 64 at once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
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


def waits_ms(folder: Path, at_once: int, rounds: int) -> list[float]:
    """How long each of ``rounds`` groups of rows waits until all of them are on the disk, in milliseconds, in order."""
    journal = Journal(folder, "bench", AT, lambda: AT)
    times = []
    for number in range(rounds):
        on_disk = threading.Semaphore(0)
        began = time.perf_counter()
        for each in range(at_once):
            journal.append((record(number * at_once + each),))
            journal.when_on_disk(lambda kept, done=on_disk: done.release())  # type: ignore[misc]
        for _ in range(at_once):
            on_disk.acquire()
        times.append((time.perf_counter() - began) * 1000)
    journal.close()
    return sorted(times)


def bare_syncs_ms(file: Path, rounds: int) -> list[float]:
    """One bare ``write`` and ``fdatasync`` after the other, in milliseconds, in order."""
    handle, data = os.open(file, os.O_WRONLY | os.O_CREAT), msgspec.json.encode(record(0))
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        os.write(handle, data)
        os.fdatasync(handle)
        times.append((time.perf_counter() - began) * 1000)
    os.close(handle)
    return sorted(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--folder", help="on the disk that is to be measured; default where temporary files lie")
    args = parser.parse_args()
    rows = args.rows
    records = [record(i) for i in range(rows)]
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
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
        alone, together = waits_ms(Path(folder) / "alone", 1, 300), waits_ms(Path(folder) / "together", 64, 100)
        bare_sync = bare_syncs_ms(Path(folder) / "bare-syncs", 300)
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
            power_alone_p50_ms=round(alone[150], 2),
            power_alone_p99_ms=round(alone[297], 2),
            power_64_at_once_p50_ms=round(together[50], 2),
            power_64_at_once_p99_ms=round(together[99], 2),
            bare_fdatasync_p50_ms=round(bare_sync[150], 2),
            bare_fdatasync_p99_ms=round(bare_sync[297], 2),
            load=round(os.getloadavg()[0], 1),
        )


if __name__ == "__main__":
    main()
