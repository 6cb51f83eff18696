"""What must hold of a table that somebody hands in, and how its values are named in a message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from include.workflows.tables.bad_table import BadTable as BadTable
from include.workflows.tables.bad_table import readable as readable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


_SHOWN = 5


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
