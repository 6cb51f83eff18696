"""What was read of each segment, as columns, so that it is decoded once: a file a segment, beside how far it goes.

The files hold nothing that the journal has not. A file that is missing, damaged, of another form or of other bytes is
as good as none: its segment is read again from its first byte.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from include.adapters.files import whole
from include.adapters.journal import Segment

if TYPE_CHECKING:
    import pyarrow as pa

ENDS = ".arrow"
_ABOUT = b"slipway"
_SEEN = 512
"""So many bytes before the end are compared, to know that the segment is still the one that was read."""


@dataclass(frozen=True, slots=True)
class KeptSegment:
    """What is kept of one segment: up to which byte it was read, and what else is known of what was read."""

    path: Path
    end: int
    about: Mapping[str, Any]

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows, or some of their columns where they are there.

        Raises:
            ColumnsLost: when the file was changed or removed meanwhile.
        """
        import pyarrow as pa

        try:
            with pa.OSFile(str(self.path)) as file:
                schema = pa.ipc.open_file(file).schema
                chosen = None if columns is None else [i for i, n in enumerate(schema.names) if n in columns]
                options = pa.ipc.IpcReadOptions(included_fields=chosen)
                return pa.ipc.open_file(file, options=options).read_all().replace_schema_metadata(None)
        except (OSError, pa.ArrowException) as error:
            raise ColumnsLost(f"{self.path} cannot be read any more: {error}") from error


class ColumnsLost(OSError):
    """A file of columns was changed or removed while it was used. Reading again finds what is there."""


class KeptColumns:
    """The folder of them."""

    def __init__(self, folder: Path, form: str) -> None:
        """
        Args:
            folder: for the columns of one model alone; it need not be there.
            form: of the columns; what was kept in another one is not used.
        """
        self.folder, self.form = folder, form

    def of(self, segment: Segment) -> KeptSegment | None:
        """What is kept of the segment as it is now; None where nothing is."""
        import pyarrow as pa

        path = self._path(segment.name)
        try:
            with pa.OSFile(str(path)) as file:
                about = json.loads((pa.ipc.open_file(file).schema.metadata or {})[_ABOUT])
        except (OSError, pa.ArrowException, KeyError, ValueError):
            return None
        if about["form"] != self.form or about["seen"] != _seen(segment.path, about["end"]):
            return None
        return KeptSegment(path, about["end"], about["about"])

    def keep(self, segment: Segment, rows: pa.Table, end: int, about: Mapping[str, Any]) -> KeptSegment:
        """Keep the rows of the segment's bytes before ``end`` in the place of what was kept, whole or not at all."""
        import pyarrow as pa

        told = {"form": self.form, "end": end, "seen": _seen(segment.path, end), "about": about}
        rows = rows.combine_chunks().unify_dictionaries()
        schema = rows.schema.with_metadata({_ABOUT: json.dumps(told).encode()})
        path = self._path(segment.name)
        with whole(path, 0o640) as unfinished:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, schema, options=options) as writer:
                writer.write(rows.replace_schema_metadata(schema.metadata))
        return KeptSegment(path, end, about)

    def forget(self, there: Collection[str]) -> int:
        """Remove what is kept of segments that are not ``there`` any more; how many files were removed."""
        gone = [path for path in self.folder.glob(f"*{ENDS}") if path.name.removesuffix(ENDS) not in there]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _path(self, segment: str) -> Path:
        return self.folder / f"{segment}{ENDS}"


def _seen(path: Path, end: int) -> int | None:
    """A checksum of the last bytes before ``end``; None where the file is shorter, or gone."""
    first = max(0, end - _SEEN)
    try:
        with path.open("rb") as file:
            file.seek(first)
            found = file.read(end - first)
    except OSError:
        return None
    return crc32(found) if len(found) == end - first else None
