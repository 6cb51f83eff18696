"""What a table holds of each partition: its number of rows and its files, from the log without reading a file, and its
content, by reading them.

A file of a Delta table is never changed, and its name is never used again. So equal names and sizes of a partition's
files mean equal content, as long as the folder was not changed by hand.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.dataset
from deltalake import DeltaTable

from include.adapters.offline_store.canonical import content_hash, ordered, plain
from include.adapters.offline_store.reading import Slot, open_dataset

DAMAGED = "damaged"
"""The hash of a day whose files cannot be read; no content has it."""
LATER_MS = 2_000
"""A file is closed this much later than its log says, at most. A younger file was written by another program."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the table's log says of one partition."""

    rows: int | None
    """None where a foreign writer left the count out."""
    names: tuple[tuple[str, int, int], ...]
    """Of each file its path below the table, its size in bytes, and when it was made, in milliseconds since 1970."""

    @property
    def files(self) -> str:
        """A short text that is equal for equal files, by name and size."""
        return hashlib.sha256("\n".join(f"{path} {size}" for path, size, _ in self.names).encode()).hexdigest()[:32]

    def is_untouched(self, table: str) -> bool:
        """Whether the files are there as the log says: of that size, and not written since. In an object store files
        cannot be changed in place, so the log is trusted."""
        if "://" in table:
            return True
        try:
            for path, size, made_ms in self.names:
                found = os.stat(os.path.join(table, path))
                if found.st_size != size or found.st_mtime_ns // 1_000_000 > made_ms + LATER_MS:
                    return False
        except OSError:
            return False
        return True


def held_by_slot(table: DeltaTable, partition_by: Sequence[str]) -> dict[Slot, Held]:
    """What the log says of each partition that has files."""
    files = pa.table(table.get_add_actions(flatten=True))
    facts = [files.column(name).to_pylist() for name in ("path", "size_bytes", "modification_time")]
    counts = files.column("num_records").to_pylist()
    slots = zip(*(files.column(f"partition.{name}").to_pylist() for name in partition_by), strict=True)
    found: dict[Slot, list[tuple[int | None, tuple[str, int, int]]]] = defaultdict(list)
    for slot, rows, *fact in zip(slots, counts, *facts, strict=True):
        found[tuple(map(str, slot))].append((rows, (fact[0], fact[1], fact[2])))
    return {slot: _held(parts) for slot, parts in found.items()}


def _held(parts: Sequence[tuple[int | None, tuple[str, int, int]]]) -> Held:
    rows = [count for count, _ in parts]
    known = [count for count in rows if count is not None]
    return Held(sum(known) if len(known) == len(rows) else None, tuple(sorted(name for _, name in parts)))


def hashes_by_day(
    path: str, table: DeltaTable, days: Sequence[str], order: Sequence[str], promised: Collection[str]
) -> dict[str, str]:
    """The content hash of each of the days that has rows, as its publish recorded it; ``DAMAGED`` when a file cannot be
    read.

    ``promised`` are the hashes that are expected. A day's file is in the order in which it was hashed, so it is sorted
    only when its hash is not among them. ``days`` are in order; not all of them need to have rows.
    """
    if not days:
        return {}
    dataset, wanted = open_dataset(path, table, days), set(days)
    parts: dict[str, list[pyarrow.dataset.Fragment]] = defaultdict(list)
    for file in dataset.get_fragments():
        day = pyarrow.dataset.get_partition_keys(file.partition_expression)["day"]
        if day in wanted:
            parts[day].append(file)

    def hashed(files: list[pyarrow.dataset.Fragment]) -> str:
        try:
            read = [file.to_table(schema=dataset.schema, use_threads=False) for file in files]
        except (OSError, pa.ArrowException):
            return DAMAGED
        rows = plain(pa.concat_tables(read))
        found = content_hash(rows)
        return found if found in promised else content_hash(ordered(rows, order))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(parts, pool.map(hashed, parts.values()), strict=True))
