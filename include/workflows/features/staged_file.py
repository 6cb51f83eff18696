"""The file of a staged interval: its days in blocks, each day checked against its hash whenever it is read."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from include.domain.errors import Refusal

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 1 << 18
"""So many rows are read, checked and handed on at once: whole days, and at least one."""
T = TypeVar("T")
R = TypeVar("R")
Days = dict[str | None, "pa.Table"]


class StagedFileDamaged(Refusal, OSError):
    """A staged file that is missing, cut off, or not the one its reference names."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"The staged file {path} cannot be used: {reason}. Clear the materialize task to write it again."
        )


def write(path: Path, rows: pa.Table, sizes: Iterable[int]) -> None:
    """``sizes`` are the rows of each day, in the order of the days in ``rows``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # The file is read twice and then removed, so that writing speed matters more than size.
    text = [f.name for f in rows.schema if pa.types.is_string(f.type) or pa.types.is_dictionary(f.type)]
    with pq.ParquetWriter(path, rows.schema, compression="lz4", use_dictionary=text) as file:
        start = count = 0
        for size in sizes:
            count += size
            if count >= BLOCK_ROWS:
                file.write_table(rows.slice(start, count), row_group_size=count)
                start, count = start + count, 0
        if count:
            file.write_table(rows.slice(start), row_group_size=count)


class StagedFile:
    """The staged rows, read in parts.

    Every reading raises ``StagedFileDamaged`` when they are not the ones that were staged.
    """

    def __init__(self, path: str, rows: Mapping[str, int], content: Mapping[str, str]) -> None:
        """``rows`` and ``content`` are how many rows each day was staged with, and their hash."""
        import pyarrow.parquet as pq

        from include.adapters import offline_store

        self.path, self._content = path, content
        self._days = {day for day, count in rows.items() if count}
        with self._readable():
            self._metadata = pq.read_metadata(path)
            empty = self._metadata.schema.to_arrow_schema().empty_table()
        self.schema = offline_store.plain(empty).schema
        self._newest: Days | None = None

    def table(self) -> pa.Table:
        """All rows, of rows without a day too."""
        import pyarrow as pa

        blocks = [part for block in self._blocks() for part in block.values()]
        return pa.concat_tables(blocks) if blocks else self.schema.empty_table()

    def of(self, days: Collection[str]) -> Iterator[pa.Table]:
        """The rows of these days, block by block."""
        import pyarrow as pa

        wanted = set(days)
        for block in self._blocks():
            chosen = [part for day, part in block.items() if day in wanted]
            if chosen:
                yield pa.concat_tables(chosen)

    def after(self, moment: datetime, without: Collection[str] = ()) -> pa.Table:
        """The rows with an event time after ``moment``, leaving out some days."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found = [self.schema.empty_table()]
        for number in reversed(range(self._metadata.num_row_groups)):
            later = {day: part.filter(pc.field("event_time") > moment) for day, part in self._block(number).items()}
            found += [part for day, part in later.items() if day not in without]
            if not any(part.num_rows for part in later.values()):
                break
        return pa.concat_tables(found)

    def _blocks(self) -> Iterator[Days]:
        numbers = range(self._metadata.num_row_groups)
        missing = set(self._days)
        for block in [self._block(n) for n in numbers] if len(numbers) < 2 else _ahead(self._block, numbers):
            missing -= block.keys()
            yield block
        if missing:
            raise self._differ(min(missing))

    def _block(self, number: int) -> Days:
        import pyarrow.parquet as pq

        from include.adapters import offline_store

        is_newest = number == self._metadata.num_row_groups - 1
        if is_newest and self._newest is not None:
            return self._newest
        with self._readable(), pq.ParquetFile(self.path) as file:
            rows = offline_store.plain(file.read_row_group(number))
        parts = offline_store.split_by_day(rows)
        for day, part in parts.items():
            if day is not None and offline_store.content_hash(part) != self._content.get(day):
                raise self._differ(day)
        if is_newest:
            # The online store gets the newest rows, which were just read to be stored.
            self._newest = parts
        return parts

    def _differ(self, day: str) -> StagedFileDamaged:
        return StagedFileDamaged(self.path, f"the rows of {day} are not the ones that were staged")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise StagedFileDamaged(self.path, " ".join(str(error).split()).rstrip(".")) from error


def _ahead(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``function`` of each item, in their order: computed on all processors, and only a few ahead of what is used."""
    threads = os.cpu_count() or 1
    waiting = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        begun = deque(pool.submit(function, item) for item in islice(waiting, threads + 1))
        while begun:
            made = begun.popleft().result()
            begun.extend(pool.submit(function, item) for item in islice(waiting, 1))
            yield made
