"""Tables that somebody hands in as files: parquet or CSV, read a column or a span of rows at a time where it can be.

There is one reader for every command, so that a table means the same wherever it is read and however it is written.
What is wrong with one is said in one line: the file, the column, what it holds and what is allowed. How a column was
read, when that is not obvious, is a remark.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from include.workflows.tables.bad_table import BadTable as BadTable
from include.workflows.tables.bad_table import readable as readable
from include.workflows.tables.csv_files import CsvLayout, layout_of, read_csv
from include.workflows.tables.typed_columns import Style, Typed, of_arrow, series, typed

if TYPE_CHECKING:
    import pandas as pd

    from include.domain.drift.profile import Profile

T = TypeVar("T")
MAX_ROWS = 50_000_000
MAX_BYTES = 8_000_000_000
"""Size of the file's content in memory: a small compressed file can hold much more than its size."""
PARQUET = (".parquet", ".pq")
SPAN_ROWS = 1_000_000
"""Rows of one column that are read at a time."""
BATCH_CELLS = 4_000_000
"""Values that are read at a time, where several columns are read together: opening a file costs as much as it has
columns, so reading them one by one would cost the square."""
MAX_BATCH = 128
MAX_THREADS = 4


class Table:
    """One file. A CSV file is read whole when it is opened; of a parquet file only what is asked for.

    Attributes:
        names: the columns, in order.
        kinds: what each holds: ``numeric``, ``categorical``, ``boolean``, ``time``, ``empty``, or in words what it
            holds that is neither. Text is read to find out, when it is first asked for.
        rows: how many.
        index: the columns that pandas says it kept its index in.

    Args:
        path: a .parquet, .pq or .csv file.
        option: what the caller calls it, for messages.
        may_be_empty: whether a table without rows is no mistake.
        separator: of a CSV file, one character; None finds it out.

    Raises:
        BadTable: when it is not there, not what its name says, too large, or has a column's name twice.
    """

    def __init__(self, path: Path, *, option: str, may_be_empty: bool = False, separator: str | None = None) -> None:
        self.path = path
        if not path.is_file():
            raise BadTable(f"There is no file {path}; {option} names a parquet or CSV file.")
        suffix = path.suffix.lower()
        if suffix not in (*PARQUET, ".csv"):
            raise BadTable(f"{path} ends in {suffix or 'nothing'}; tables are read from .parquet, .pq or .csv.")
        self._csv: Any = None
        self._layout: CsvLayout | None = None
        self._typed: dict[str, Typed] = {}
        self._local = threading.local()
        self.index: tuple[str, ...] = ()
        with readable(path, "parquet" if suffix in PARQUET else "CSV"):
            if suffix in PARQUET:
                self._open_parquet()
            else:
                self._open_csv(separator)
        self.names: list[str] = list(self._schema.names)
        twice = sorted({name for name in self.names if self.names.count(name) > 1}) if self._doubled() else []
        if twice:
            raise BadTable(f"{path} has the column {twice[0]!r} {self.names.count(twice[0])} times; names are unique.")
        if not self.rows and not may_be_empty:
            raise BadTable(f"{path} has no rows.")
        self.kinds: Mapping[str, str] = _Kinds(self)

    def _doubled(self) -> bool:
        return len(set(self.names)) < len(self.names)

    def _open_parquet(self) -> None:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            self._metadata, self._schema = file.metadata, file.schema_arrow
        self.rows = int(self._metadata.num_rows)
        check_size(self.path, self.rows, 0)
        self._texts = [field.name for field in self._schema if of_arrow(field.type) is None]
        kept = (self._schema.pandas_metadata or {}).get("index_columns", [])
        self.index = tuple(name for name in kept if isinstance(name, str) and name in self._schema.names)

    def _open_csv(self, separator: str | None) -> None:
        check_size(self.path, 0, self.path.stat().st_size)
        self._layout = layout_of(self.path, separator)
        self._csv = read_csv(self.path, self._layout)
        self.rows = len(self._csv)
        check_size(self.path, self.rows, 0)
        self._schema = self._csv.schema
        self._read_in_one_style()

    def _read_in_one_style(self) -> None:
        """When one column of a CSV file shows how its numbers are written, read the undecided columns in the same
        way."""
        import pyarrow as pa

        texts = [field.name for field in self._schema if of_arrow(field.type) is None]
        if not texts or len(set(self._schema.names)) < len(self._schema.names):
            return
        self.prepare(texts)
        sure = {self._typed[name].style for name in texts if not self._typed[name].unsure} - {None}
        if len(sure) != 1:
            return
        style = sure.pop() or Style.POINT
        undecided = [name for name in texts if self._typed[name].unsure]
        if style is Style.COMMA:
            # A number such as 1.234 was read as a fraction; beside decimal commas the point separates thousands.
            undecided += [field.name for field in self._schema if pa.types.is_floating(field.type)]
        self.take_style(undecided, style)

    # --- what the columns are ----------------------------------------------------------------------------------------

    def typed(self, name: str) -> Typed:
        """What this column is, and how its values are taken."""
        if name not in self._typed:
            self.prepare([name])
        return self._typed[name]

    def prepare(self, names: Iterable[str]) -> None:
        """Find out what these columns are, reading several at a time where they must be read for it."""
        unknown = [name for name in names if name not in self._typed]
        unread = []
        for name in unknown:
            found = of_arrow(self._schema.field(name).type)
            if found is None or (found.kind == "numeric" and self._may_be_without_value(name)):
                unread.append(name)
            else:
                self._typed[name] = found
        for name, column in self._columns(unread):
            self._typed[name] = typed(column, likely=self._likely)

    def take_style(self, names: Sequence[str], style: Style) -> None:
        """Read these columns' numbers as written in this style, where they can be."""
        again = [name for name in names if self._layout is not None and of_arrow(self._schema.field(name).type)]
        if again and self._layout is not None:
            with readable(self.path, "CSV"):
                texts = read_csv(self.path, self._layout, as_text=again)
        for name, kept in self._columns(names):
            column = texts[name] if name in again else kept
            found = typed(column, style=style)
            if found.kind != "numeric" or not found.text:
                continue
            self._typed[name] = found
            if name in again:
                self._csv = self._csv.set_column(self._schema.get_field_index(name), name, column)
        if self._csv is not None:
            self._schema = self._csv.schema

    def remarks(self, names: Iterable[str] | None = None) -> list[str]:
        """How the file, and these of its columns (None: those that were read so far), were taken."""
        chosen = self._typed if names is None else [name for name in self.names if name in set(names)]
        said = list(self._layout.remarks) if self._layout else []
        for name in chosen:
            said += [f"Column {name} of {self.path.name} {remark}." for remark in self.typed(name).remarks]
        return said

    @property
    def is_text_file(self) -> bool:
        """Whether the file is text, so that its numbers can be read again in another style."""
        return self._layout is not None

    @property
    def long_numbers(self) -> frozenset[str]:
        """Columns of a CSV file whose whole numbers have more digits than a float keeps apart."""
        return self._layout.long_numbers if self._layout else frozenset()

    @property
    def _likely(self) -> Style:
        """How an undecided number is read: when the comma does not separate values, it is a decimal mark."""
        return Style.COMMA if self._layout is not None and self._layout.separator == ";" else Style.POINT

    def _may_be_without_value(self, name: str) -> bool:
        """Whether a parquet column of numbers may hold none; its statistics are asked before it is read."""
        if self._csv is not None:
            return bool(self._csv[name].null_count == len(self._csv))
        if not self.rows or not self._metadata.num_row_groups:
            return False
        at = self._places.get(name)
        if at is None:
            return True
        found = self._metadata.row_group(0).column(at).statistics
        return found is None or not found.has_min_max

    @property
    def _places(self) -> Mapping[str, int]:
        if not hasattr(self, "_places_by_name"):
            schema = self._metadata.schema
            self._places_by_name = {schema.column(i).path: i for i in range(len(schema))}
        return self._places_by_name

    # --- values ------------------------------------------------------------------------------------------------------

    def column(self, name: str) -> pd.Series[Any]:
        """The whole column: floats or whole numbers, booleans, texts as a category, moments."""
        return next(self.columns([name]))[1]

    def as_written(self, name: str) -> pd.Series[Any]:
        """The column as labels are taken: a text that is no number is not left out of numbers kept as text."""
        self.prepare([name])
        what = self._typed[name]
        column = next(self._columns([name]))[1]
        taken = Typed("categorical", True) if what.text else what
        return series(column, taken).rename(name)

    def columns(self, names: Sequence[str]) -> Iterator[tuple[str, pd.Series[Any]]]:
        """Each of these columns whole, with its name; a few are in memory at a time."""
        self.prepare(names)
        for name, column in self._columns(names):
            yield name, series(column, self._typed[name]).rename(name)

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """These columns, all rows."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns(list(names))), index=pd.RangeIndex(self.rows))

    def every(self, step: int, names: Sequence[str]) -> pd.DataFrame:
        """Each ``step``-th row, from the first on, of these columns."""
        import pandas as pd
        import pyarrow as pa

        self.prepare(names)
        if self._csv is not None:
            chosen = self._csv.select(list(names)).take(pa.array(range(0, self.rows, step)))
            return pd.DataFrame({name: series(chosen[name], self._typed[name]) for name in names})
        parts, seen = [], 0
        with readable(self.path, "parquet"), self._file() as file:
            for batch in file.iter_batches(batch_size=65_536, columns=list(names)):
                rows = pd.DataFrame({name: series(batch.column(name), self._typed[name]) for name in names})
                parts.append(rows.iloc[(-seen) % step :: step])
                seen += len(rows)
        return pd.concat(parts, ignore_index=True) if parts else self.frame(names)

    def head(self, rows: int, names: Sequence[str]) -> pd.DataFrame:
        """The first rows of these columns."""
        import pandas as pd

        self.prepare(names)
        if self._csv is not None:
            first = self._csv.select(list(names)).slice(0, rows)
            return pd.DataFrame({name: series(first[name], self._typed[name]) for name in names})
        with readable(self.path, "parquet"), self._file() as file:
            for batch in file.iter_batches(batch_size=rows, columns=list(names)):
                return pd.DataFrame({name: series(batch.column(name), self._typed[name]) for name in names})
        return self.frame(names)

    def folded(
        self, names: Sequence[str], count: Callable[[str, pd.Series[Any]], T], add: Callable[[T, T], T]
    ) -> dict[str, T]:
        """For each column the sum of ``count`` over its spans; threads share the work, memory holds a few spans."""
        self.prepare(names)
        if self._csv is not None:
            return {name: count(name, series(self._csv[name], self._typed[name])) for name in names}
        tasks = [(batch, span) for batch in self._batches(names) for span in self._spans()]

        def one(task: tuple[Sequence[str], list[int]]) -> dict[str, T]:
            batch, span = task
            read = self._of_this_thread().read_row_groups(span, columns=list(batch), use_threads=False)
            return {name: count(name, series(read[name], self._typed[name])) for name in batch}

        found: dict[str, T] = {}
        with readable(self.path, "parquet"), ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS)) as pool:
            for counted in pool.map(one, tasks):
                for name, part in counted.items():
                    found[name] = add(found[name], part) if name in found else part
        return found

    # --- reading -----------------------------------------------------------------------------------------------------

    def _columns(self, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Each column as an Arrow column."""
        if not names:
            return
        if self._csv is not None:
            for name in names:
                yield name, self._csv[name]
            return
        with readable(self.path, "parquet"), self._file() as file:
            for batch in self._batches(names):
                read = file.read(columns=list(batch))
                for name in batch:
                    yield name, read[name]

    def _batches(self, names: Sequence[str]) -> Iterator[Sequence[str]]:
        size = max(1, min(MAX_BATCH, BATCH_CELLS // max(self.rows, 1)))
        for start in range(0, len(names), size):
            yield names[start : start + size]

    def _spans(self) -> Iterator[list[int]]:
        """Row groups, as many together as make a span."""
        span: list[int] = []
        rows = 0
        for group in range(self._metadata.num_row_groups):
            size = self._metadata.row_group(group).num_rows
            if span and rows + size > SPAN_ROWS:
                yield span
                span, rows = [], 0
            span.append(group)
            rows += size
        yield span

    def _file(self) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path, metadata=self._metadata, read_dictionary=self._texts, memory_map=False)

    def _of_this_thread(self) -> Any:
        """The file as this thread has opened it; it is closed when the thread ends."""
        if not hasattr(self._local, "file"):
            self._local.file = self._file()
        return self._local.file


class _Kinds(Mapping[str, str]):
    """The kind of each column, found out when it is asked for."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._names = dict.fromkeys(table.names)

    def __getitem__(self, name: str) -> str:
        if name not in self._names:
            raise KeyError(name)
        return self._table.typed(name).kind

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def count_table(table: Table, reference: Profile) -> Profile:
    """The table's rows in the bins of the reference's features; an absent column is missing in every row."""
    import pandas as pd

    from include.domain.drift.profile import FeatureProfile, Profile, counted, merged_feature
    from include.workflows.tables.alike_values import aligned

    of = {f.name: f for f in reference.features}

    def count(name: str, column: pd.Series[Any]) -> FeatureProfile:
        return counted((of[name],), aligned(column, of[name].kind).to_frame(name))[0]

    found = table.folded([name for name in of if name in table.kinds], count, merged_feature)
    absent = pd.DataFrame(index=range(table.rows))
    features = (found[n] if n in found else counted((f,), absent)[0] for n, f in of.items())
    return Profile(table.rows, tuple(features))


def check_size(path: Path, rows: int, size: int) -> None:
    if rows > MAX_ROWS or size > MAX_BYTES:
        raise BadTable(
            f"{path} holds {rows:,} rows and {size / 1e9:.1f} GB; at most {MAX_ROWS:,} rows and "
            f"{MAX_BYTES / 1e9:.0f} GB are judged. Judge a sample of whole days."
        )


def finite(data: Any) -> Any:
    """The same small JSON with null for the numbers that JSON lacks (NaN, infinity)."""
    if isinstance(data, Mapping):
        return {str(name): finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
