"""One Delta table of partitions: each is replaced as a whole, in one commit, and not at all when it already holds the
same content."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import ColumnProperties, DeltaTable, PostCommitHookProperties, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from include.adapters.offline_store.canonical import content_hashes, ordered, plain, plain_type, split
from include.adapters.offline_store.held import held_by_slot
from include.adapters.offline_store.reading import Slot, open_dataset, open_table
from include.domain.errors import Refusal

ATTEMPTS = 12
KEEPS = {
    # What a training set was made from stays readable for as long as the table is: by default Delta forgets versions
    # after 30 days.
    "delta.enableExpiredLogCleanup": "false",
    # A file is found by its day. Bounds of its columns would be read each time the table is opened, for nothing.
    "delta.dataSkippingNumIndexedCols": "0",
    # A reader of the table reads the last checkpoint of its log and every commit since. By default there are 100; fewer
    # than this would save little, and each checkpoint names every file and is kept.
    "delta.checkpointInterval": "20",
}
"""The log settings of a new table."""
KEEPING = PostCommitHookProperties(cleanup_expired_logs=False)
"""The same for the tables of before."""


class StoreConflict(RuntimeError):
    """Other writers replaced the same partitions again and again, so that this write never succeeded."""

    def __init__(self, path: str, attempts: int) -> None:
        super().__init__(
            f"{path} could not be committed in {attempts} attempts: others were writing the same partitions. "
            "Nothing of this write is visible; clear the task when they are done."
        )


class TableMissing(Refusal, LookupError):
    """A table to which nothing has been published yet."""

    def __init__(self, path: str, version: int | None = None) -> None:
        at = "" if version is None else f" in version {version}"
        super().__init__(f"There is no table at {path}{at}. Materialize the view's days first.")


class RowsOutsidePartitions(Refusal, ValueError):
    """Rows that belong to none of the partitions that are being replaced."""

    def __init__(self, path: str, outside: Sequence[Slot]) -> None:
        named = ", ".join("/".join(map(str, slot)) for slot in outside[:3]) + (" and others" if outside[3:] else "")
        super().__init__(f"Rows for {path} lie in {named}, outside the partitions being replaced.")


class SchemaChanged(Refusal, TypeError):
    """Rows whose columns or types differ from those of the table they should go into."""

    def __init__(self, path: str, differences: list[str]) -> None:
        super().__init__(
            f"{path} has other columns than the rows: {'; '.join(differences)}. "
            "A changed definition needs a new version in its declaration, which gets its own table."
        )


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a replacement did. ``version`` is the table's version that holds the content; None when there is no table
    yet."""

    version: int | None
    changed: tuple[str, ...]
    """The partitions whose content was not already there, as ``day`` or ``day/candidate``."""
    files: Mapping[Slot, str] = field(default_factory=dict)
    """Which files hold each partition in that version, as ``held.Held.files`` gives it."""


@dataclass(frozen=True, slots=True)
class Content:
    """Rows to be stored, which need not be in memory.

    ``rows`` gives those of the slots it is asked for, in their order, in pieces of any size. ``replace`` raises what it
    raises, and commits nothing then.
    """

    schema: pa.Schema
    hashes: Mapping[Slot, str]
    """The content hash of each slot that has rows."""
    rows: Callable[[Sequence[Slot]], Iterable[pa.Table]]
    counts: Mapping[Slot, int] = field(default_factory=dict)
    """How many rows each slot has, where that is known: a stored slot of another number need not be read."""

    @classmethod
    def of(cls, rows: pa.Table, partition_by: Sequence[str], order: Sequence[str]) -> Content:
        """Rows in memory, in any order."""
        in_order = ordered(plain(rows), [*partition_by, *order])
        parts = split(in_order, partition_by)

        def chosen(slots: Sequence[Slot]) -> Iterable[pa.Table]:
            return [parts[slot] for slot in slots if slot in parts]

        return cls(in_order.schema, content_hashes(parts), chosen, {slot: len(part) for slot, part in parts.items()})

    @classmethod
    def by_day(
        cls, schema: pa.Schema, hashes: Mapping[str, str], rows: Callable[[Sequence[str]], Iterable[pa.Table]]
    ) -> Content:
        """Days of a feature view: ``rows`` gives those of the days it is asked for."""
        return cls(schema, {(day,): known for day, known in hashes.items()}, lambda slots: rows([d for (d,) in slots]))


def replace(
    path: str,
    rows: pa.Table | Content,
    partition_by: tuple[str, ...],
    slots: Sequence[Slot],
    order: Sequence[str],
    still_mine: Callable[[], None] | None = None,
    *,
    renew: bool = False,
) -> Replaced:
    """Replace the content of the slots by ``rows``; a slot without rows is cleared.

    ``still_mine`` is called between reading the table and committing, each time that is tried. When it raises, the
    write ends and nothing of it is visible. So a writer that lost the right to these slots either conflicts with the
    commit of the new one, or is stopped here.

    With ``renew``, rows of other columns than the table's replace all of it; its older versions keep theirs.

    Raises:
        SchemaChanged: for other columns without ``renew``, or where the table has more than the slots.
    """
    content = rows if isinstance(rows, Content) else Content.of(rows, partition_by, order)
    outside = sorted(set(content.hashes) - set(slots), key=str)
    if outside:
        raise RowsOutsidePartitions(path, outside)
    for attempt in range(ATTEMPTS):
        table = open_table(path)
        if table is None and not content.hashes:
            return Replaced(None, ())
        others = renew and table is not None and _has_other_columns(path, table, content.schema, partition_by, slots)
        as_it_is = table is None or others
        stored = {} if as_it_is else _hashes_held(path, table, content, (partition_by, slots, order))
        changed = [slot for slot in slots if stored.get(slot) != content.hashes.get(slot)]
        if still_mine is not None:
            still_mine()
        if table is not None and not changed:
            return Replaced(table.version(), (), _files(table, partition_by, slots))
        given = _Stream(content, changed)
        try:
            if table is None:
                table = _create(path, content.schema, partition_by)
            write_deltalake(
                table,
                given.reader,
                mode="overwrite",
                predicate=None if others else _predicate(partition_by, changed),
                schema_mode="overwrite" if others else None,
                writer_properties=_written_as(content.schema),
                post_commithook_properties=KEEPING,
            )
            named = tuple("/".join(slot) for slot in changed)
            return Replaced(table.version(), named, _files(table, partition_by, slots))
        except CommitFailedError:
            # Somebody else committed first. What they wrote may be the same content: compare again.
            time.sleep(random.uniform(0.01, 0.05) * 2 ** min(attempt, 5))
        except Exception:
            if given.failed is not None:
                raise given.failed from None
            raise
    raise StoreConflict(path, ATTEMPTS)


def _hashes_held(
    path: str, table: DeltaTable, content: Content, where: tuple[tuple[str, ...], Sequence[Slot], Sequence[str]]
) -> dict[Slot, str]:
    """What each slot holds that may hold the content already: one of another number of rows is not read."""
    partition_by, slots, order = where
    _same_schema(path, open_dataset(path, table, sorted({slot[0] for slot in slots})).schema, content.schema)
    held = held_by_slot(table, partition_by) if content.counts else {}
    sizes = {slot: (content.counts.get(slot), held[slot].rows) for slot in slots if slot in held}
    of_another_size = [slot for slot, (new, old) in sizes.items() if None not in (new, old) and new != old]
    same_size = [slot for slot in slots if slot not in of_another_size]
    found = _readable_hashes(path, table, content.schema, partition_by, same_size, order) if same_size else {}
    return found | dict.fromkeys(of_another_size, "of another size")


def _files(table: DeltaTable, partition_by: Sequence[str], slots: Sequence[Slot]) -> dict[Slot, str]:
    held = held_by_slot(table, partition_by)
    return {slot: held[slot].files for slot in slots if slot in held}


class _Stream:
    """Content on its way into a table. ``failed`` is the exception that stopped it: Delta itself would give only its
    text."""

    def __init__(self, content: Content, slots: Sequence[Slot]) -> None:
        self.failed: Exception | None = None
        self._pieces = iter(content.rows([slot for slot in slots if slot in content.hashes]))
        # Before anything is written, so that rows that cannot be read do not even leave an empty table behind.
        first = next(self._pieces, content.schema.empty_table())
        self.reader = pa.RecordBatchReader.from_batches(content.schema, self._batches(first))

    def _batches(self, first: pa.Table) -> Iterator[pa.RecordBatch]:
        try:
            for rows in chain([first], self._pieces):
                yield from plain(rows).to_batches()
        except Exception as error:
            self.failed = error
            raise


def _written_as(schema: pa.Schema) -> WriterProperties:
    """A dictionary saves time for texts only: building one for numbers takes longer than everything else."""
    text = ColumnProperties(dictionary_enabled=True)
    return WriterProperties(
        compression="SNAPPY",
        default_column_properties=ColumnProperties(dictionary_enabled=False),
        column_properties={field.name: text for field in schema if pa.types.is_string(field.type)} or None,
    )


def _readable_hashes(
    path: str,
    table: DeltaTable,
    schema: pa.Schema,
    partition_by: tuple[str, ...],
    slots: Sequence[Slot],
    order: Sequence[str],
) -> dict[Slot, str]:
    """What each slot holds; a slot whose files cannot be read counts as empty, so it is written again."""
    try:
        return _stored_hashes(path, table, schema, partition_by, slots, order)
    except (OSError, pa.ArrowException):
        found: dict[Slot, str] = {}
        for slot in slots:
            try:
                found |= _stored_hashes(path, table, schema, partition_by, [slot], order)
            except (OSError, pa.ArrowException):
                found[slot] = "damaged"
        return found


def _stored_hashes(
    path: str,
    table: DeltaTable,
    schema: pa.Schema,
    partition_by: tuple[str, ...],
    slots: Sequence[Slot],
    order: Sequence[str],
) -> dict[Slot, str]:
    dataset = open_dataset(path, table, sorted({slot[0] for slot in slots}))
    _same_schema(path, dataset.schema, schema)
    others = None
    for position, name in enumerate(partition_by[1:], start=1):
        chosen = pc.field(name).isin(sorted({slot[position] for slot in slots}))
        others = chosen if others is None else others & chosen
    rows = plain(dataset.to_table(columns=schema.names, filter=others))
    parts = split(ordered(rows, [*partition_by, *order]), partition_by)
    return content_hashes({slot: parts[slot] for slot in slots if slot in parts})


def _same_schema(path: str, stored: pa.Schema, given: pa.Schema) -> None:
    has = {f.name: plain_type(f.type) for f in stored}
    gets = {f.name: f.type for f in given}
    differences = [f"{n} is not in the table" for n in gets if n not in has]
    differences += [f"{n} is not in the rows" for n in has if n not in gets]
    differences += [
        f"{n} is {has[n]} in the table and {t} in the rows" for n, t in gets.items() if n in has and has[n] != t
    ]
    if differences:
        raise SchemaChanged(path, differences)


def _has_other_columns(
    path: str, table: DeltaTable, schema: pa.Schema, partition_by: tuple[str, ...], slots: Sequence[Slot]
) -> bool:
    """Whether the table has other columns than the rows, and nothing beside the slots."""
    held = {tuple(str(each[name]) for name in partition_by) for each in table.partitions()}
    try:
        _same_schema(path, open_dataset(path, table, sorted({slot[0] for slot in slots})).schema, schema)
    except SchemaChanged:
        if not held <= set(slots):
            raise
        return True
    return False


def _predicate(partition_by: tuple[str, ...], slots: Sequence[Slot]) -> str:
    """Delta's own text form of "exactly these partitions"; deltalake takes no other."""

    def quoted(value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    terms = []
    for position, name in enumerate(partition_by):
        values = sorted({slot[position] for slot in slots})
        terms.append(name + " IN (" + ", ".join(quoted(v) for v in values) + ")")
    return " AND ".join(terms)


def _create(path: str, schema: pa.Schema, partition_by: tuple[str, ...]) -> DeltaTable:
    """A new, empty table; or the one that another writer has just made at the same path."""
    try:
        return DeltaTable.create(path, schema, mode="error", partition_by=list(partition_by), configuration=KEEPS)
    except DeltaError:
        table = open_table(path)
        if table is None:
            raise
        return table
