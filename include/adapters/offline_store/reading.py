"""Opening a Delta table of partitions: the table, the files of some days, and the rows of an interval."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.fs as pa_fs
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from include.adapters.offline_store.canonical import DAY, TIMESTAMP
from include.domain.errors import Refusal
from include.domain.intervals import Interval

MATERIALIZE = "Materialize those days again; that replaces the damaged files."
"""What repairs a table of features."""
SCORE = "Score those days again (run score_{model} for them); that replaces the damaged files."
"""What repairs the answers of a day, and the features they were computed from."""
RESTORE = (
    "Its list of files cannot be read either. Restore the table's folder from a backup, or move it away and make its "
    "days again."
)
_DAY_OF_FILE = re.compile(rf"{DAY}=(\d{{4}}-\d\d-\d\d)")
Slot = tuple[str, ...]
"""A partition: its values, in the order of the table's partition columns."""


class PartitionDamaged(Refusal, OSError):
    """Stored rows that cannot be read: a file of the table is cut off or gone."""

    def __init__(self, path: str, slots: str, reason: str, version: int | None = None, way_out: str = "") -> None:
        at = "" if version is None else f" in version {version}"
        super().__init__(f"{path}{at} cannot be read for {slots}: {reason}. {way_out or MATERIALIZE}")


def open_table(path: str, version: int | None = None) -> DeltaTable | None:
    """The table, at ``version`` or at its newest; None when there is no such table or version."""
    with readable(path, "any day", version, RESTORE):
        try:
            table = DeltaTable(path)
        except TableNotFoundError:
            return None
        if version is not None and version != table.version():
            if version > table.version():
                return None
            table.load_as_version(version)
    return table


@contextmanager
def readable(path: str, days: str, version: int | None = None, way_out: str = MATERIALIZE) -> Iterator[None]:
    """Within the block a read that fails because of a damaged file raises ``PartitionDamaged``.

    An object store that does not answer is not damaged: its own exception is passed on, so that the read is tried
    again.

    Args:
        days: which days, for the message; the file's day is named when the error contains it.
        version: the table's; None for the newest.

    Raises:
        PartitionDamaged: when a file is cut off or gone.
    """
    try:
        yield
    except Refusal:
        raise
    except (OSError, DeltaError, pa.ArrowException) as error:
        if "://" in path and not isinstance(error, FileNotFoundError | pa.ArrowInvalid):
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        named = _DAY_OF_FILE.search(reason)
        raise PartitionDamaged(path, named.group(1) if named else days, reason, version, way_out) from error


def open_dataset(path: str, table: DeltaTable, days: Sequence[str]) -> pyarrow.dataset.Dataset:
    """The files of the days from the first to the last, in the order of the days. The table's log chooses them: however
    many days it has, only these cost anything."""
    # A folder is read by Arrow itself; deltalake's own reader goes through Python for each piece of each file.
    local = None if "://" in path else pa_fs.SubTreeFileSystem(os.path.abspath(path), pa_fs.LocalFileSystem())
    found = table.to_pyarrow_dataset(
        file_pruning_predicate=[(DAY, ">=", days[0]), (DAY, "<=", days[-1])], filesystem=local
    )
    # The log names the newest files first. In the order of time the rows need no sorting.
    files = sorted(found.get_fragments(), key=lambda file: file.path)
    return pyarrow.dataset.FileSystemDataset(files, found.schema, found.format, found.filesystem)


def within(interval: Interval) -> pc.Expression:
    """Which rows have an event time in ``interval``. Every row of a day between the first and the last has, so those
    files are not filtered."""
    moment, day, days = pc.field("event_time"), pc.field(DAY), interval.days
    between = (day > days[0]) & (day < days[-1])
    return between | ((moment >= _scalar(interval.start)) & (moment < _scalar(interval.end)))


def _scalar(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, TIMESTAMP)
