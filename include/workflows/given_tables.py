"""Tables that somebody hands in as files: parquet or CSV, read a column or a span of rows at a time where it can be.

What is wrong with one is said in one line: the file, the column, what it holds and what would do.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from include.domain.errors import Refusal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.domain.drift.profile import Profile

T = TypeVar("T")
MAX_ROWS = 50_000_000
MAX_BYTES = 8_000_000_000
"""Size of the file's content in memory: a small compressed file can hold much more than its size."""
PARQUET = (".parquet", ".pq")
SPAN_ROWS = 1_000_000
"""Rows of one column that are read at a time."""
MAX_THREADS = 4
_SHOWN = 5


class BadTable(Refusal, ValueError):
    """A file that cannot be used the way it was asked for; the message says what is wrong and what would do."""


class Table:
    """One file. A CSV file is read whole when it is opened; of a parquet file only what is asked for.

    Raises:
        BadTable: when it is not there, not what its name says, too large, or has a column's name twice.
    """

    def __init__(self, path: Path, *, option: str, may_be_empty: bool = False) -> None:
        self.path = path
        if not path.is_file():
            raise BadTable(f"There is no file {path}; {option} names a parquet or CSV file.")
        suffix = path.suffix.lower()
        if suffix not in (*PARQUET, ".csv"):
            raise BadTable(f"{path} ends in {suffix or 'nothing'}; tables are read from .parquet, .pq or .csv.")
        self._frame: pd.DataFrame | None = None
        with readable(path, "parquet" if suffix in PARQUET else "CSV"):
            self.names, self.kinds, self.rows = self._opened(suffix in PARQUET)
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise BadTable(f"{path} has the column {twice[0]!r} {self.names.count(twice[0])} times; names are unique.")
        if not self.rows and not may_be_empty:
            raise BadTable(f"{path} has no rows.")

    def _opened(self, parquet: bool) -> tuple[list[str], dict[str, str], int]:
        if parquet:
            import pyarrow.parquet as pq

            with pq.ParquetFile(self.path) as file:
                self._metadata, schema = file.metadata, file.schema_arrow
            found = self._metadata
            check_size(self.path, found.num_rows, 0)
            kinds = {field.name: _arrow_kind(field.type) for field in schema}
            self._texts = [name for name, kind in kinds.items() if kind == "categorical"]
            return list(schema.names), kinds, int(found.num_rows)
        import pandas as pd

        check_size(self.path, 0, self.path.stat().st_size)
        self._frame = pd.read_csv(self.path, low_memory=False)
        check_size(self.path, len(self._frame), 0)
        names = [str(name) for name in self._frame.columns]
        self._frame.columns = pd.Index(names)
        return names, {name: _pandas_kind(self._frame[name]) for name in names}, len(self._frame)

    def column(self, name: str) -> pd.Series[Any]:
        """The whole column."""
        if self._frame is not None:
            return self._frame[name]
        with readable(self.path, "parquet"), self._file() as file:
            return _series(file.read(columns=[name]).column(0)).rename(name)

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """These columns, all rows."""
        import pandas as pd

        if self._frame is not None:
            return self._frame[list(names)]
        return pd.DataFrame({name: self.column(name) for name in names})

    def every(self, step: int, names: Sequence[str]) -> pd.DataFrame:
        """Each ``step``-th row, from the first on, of these columns."""
        import pandas as pd

        if self._frame is not None:
            return self._frame[list(names)].iloc[::step]
        parts, seen = [], 0
        with readable(self.path, "parquet"), self._file() as file:
            for batch in file.iter_batches(batch_size=65_536, columns=list(names)):
                rows = pd.DataFrame({name: _series(batch.column(name)) for name in names})
                parts.append(rows.iloc[(-seen) % step :: step])
                seen += len(rows)
        return pd.concat(parts, ignore_index=True)

    def folded(
        self, names: Sequence[str], count: Callable[[str, pd.Series[Any]], T], add: Callable[[T, T], T]
    ) -> dict[str, T]:
        """For each column the sum of ``count`` over its spans; threads share the work, memory holds a span a thread."""
        if self._frame is not None:
            return {name: count(name, self._frame[name]) for name in names}
        tasks = [(name, span) for name in names for span in self._spans()]

        def one(task: tuple[str, list[int]]) -> T:
            name, span = task
            with self._file() as file:
                return count(name, _series(file.read_row_groups(span, columns=[name], use_threads=False).column(0)))

        found: dict[str, T] = {}
        with readable(self.path, "parquet"), ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS)) as pool:
            for (name, _), counted in zip(tasks, pool.map(one, tasks), strict=True):
                found[name] = add(found[name], counted) if name in found else counted
        return found

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


def count_table(table: Table, reference: Profile) -> Profile:
    """The table's rows in the bins of the reference's features; an absent column is missing in every row."""
    import pandas as pd

    from include.domain.drift.profile import FeatureProfile, Profile, counted, merged_feature

    of = {f.name: f for f in reference.features}

    def count(name: str, column: pd.Series[Any]) -> FeatureProfile:
        return counted((of[name],), column.to_frame(name))[0]

    found = table.folded([name for name in of if name in table.kinds], count, merged_feature)
    absent = pd.DataFrame(index=range(table.rows))
    features = (found[n] if n in found else counted((f,), absent)[0] for n, f in of.items())
    return Profile(table.rows, tuple(features))


class readable:
    """Turns what pyarrow and pandas raise for a file that is not what its name says into one line."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, (OSError, ValueError)) and not isinstance(error, Refusal):
            text = (str(error) or type(error).__name__).splitlines()[0]
            raise BadTable(f"{self.path} cannot be read as {self.kind}: {text}") from None


def _arrow_kind(kind: Any) -> str:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "numeric"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "categorical"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    return "empty" if pa.types.is_null(kind) else str(kind)


def _pandas_kind(column: pd.Series[Any]) -> str:
    import pandas as pd

    if column.isna().all():
        return "empty"
    if pd.api.types.is_bool_dtype(column.dropna().infer_objects().dtype):
        return "boolean"
    return "numeric" if pd.api.types.is_numeric_dtype(column.dtype) else "categorical"


def _series(column: Any) -> pd.Series[Any]:
    """A pandas column without a copy where there is no need of one."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_decimal(kind):
        column = pc.cast(column, pa.float64())
    elif pa.types.is_dictionary(kind) and isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        return pd.Series(column.to_numpy(zero_copy_only=False), copy=False)
    found: pd.Series[Any] = column.to_pandas()
    return found


def check_size(path: Path, rows: int, size: int) -> None:
    if rows > MAX_ROWS or size > MAX_BYTES:
        raise BadTable(
            f"{path} holds {rows:,} rows and {size / 1e9:.1f} GB; at most {MAX_ROWS:,} rows and "
            f"{MAX_BYTES / 1e9:.0f} GB are judged. Judge a sample of whole days."
        )


def check_present(needed: Iterable[str], there: Sequence[str], where: str = "") -> None:
    """Raises BadTable naming the first column that is not there, and what may have been meant."""
    for name in needed:
        if name not in there:
            close = difflib.get_close_matches(name, there, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            more = f" and {len(there) - 20} more" if len(there) > 20 else ""
            raise BadTable(f"There is no column {name!r}{where}; there are: {', '.join(there[:20])}{more}.{hint}")


def some(values: pd.Series[Any]) -> str:
    """A few of the values, for a message."""
    distinct = values.drop_duplicates()
    shown = ", ".join(repr(value)[:40] for value in distinct.head(_SHOWN).tolist())
    return shown + (" and others" if len(distinct) > _SHOWN else "")


def times_of(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """The moments of a column as UTC ``datetime64`` without a zone; a time without one is UTC."""
    import numpy as np
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype):
        raise BadTable(f"Time {column.name!r} holds {some(column.dropna())}; give timestamps or ISO texts.")
    times = column
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        texts = column.dropna().astype(str)
        zoned = texts.str.contains(r"[T ]\d.*(?:Z|[+-]\d\d:?\d\d)$")
        if zoned.any() and not zoned.all():
            row = int(np.flatnonzero((~zoned).to_numpy())[0])
            raise BadTable(
                f"Time {column.name!r} has texts with and without a time zone, such as {texts.iloc[row]!r}; "
                "give all in UTC."
            )
        times = pd.to_datetime(column.astype("string"), utc=True, format="ISO8601", errors="coerce")
    if times.dt.tz is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    missing = times.isna().to_numpy()
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise BadTable(
            f"Time {column.name!r} has {int(missing.sum()):,} values that are no time, the first in row {row}: "
            f"{column.iloc[row]!r}; give timestamps or ISO texts."
        )
    return times.to_numpy()


def finite(data: Any) -> Any:
    """The same small JSON with what JSON cannot say (NaN, infinity) as null."""
    if isinstance(data, Mapping):
        return {str(name): finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
