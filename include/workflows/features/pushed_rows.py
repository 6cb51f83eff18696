"""What a view's stream has pushed online, and when: files beside the stores, by the day of the rows' events.

The online store keeps the newest row of each entity only. These files say what was readable when, so that a day can be
compared with its partition afterwards, and how fresh the rows were.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from include.adapters import files
from include.config.types import FeatureView
from include.domain.intervals import Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

PUSHED_AT = "pushed_at"


def folder_of(home: Path, view: FeatureView) -> Path:
    """Where the view's files are."""
    return home / "stream" / view.name / f"v{view.version}"


def keep(home: Path, view: FeatureView, rows: pa.Table, pushed_at: datetime) -> None:
    """Keep rows (keys, features, carried columns, both times) as pushed at that moment; again the same, once."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    moments = pa.array([pushed_at] * rows.num_rows, pa.timestamp("us", tz="UTC"))
    stamped = rows.append_column(PUSHED_AT, moments)
    days = pc.strftime(rows.column("event_time"), format="%Y-%m-%d")
    for day in pc.unique(days).to_pylist():
        path = folder_of(home, view) / day / f"{pushed_at:%Y%m%dT%H%M%S%f}.parquet"
        with files.whole(path) as unfinished:
            pq.write_table(stamped.filter(pc.equal(days, day)), unfinished)


def read(
    home: Path,
    view: FeatureView,
    first: date,
    end: date,
    *,
    columns: Sequence[str] | None = None,
    known: dict[Path, pa.Table] | None = None,
) -> pa.Table | None:
    """Everything that was pushed of the event days ``[first, end)``, in the order of its pushes; None where nothing
    was. Of all columns, or these. ``known`` are files that were read before, with the same columns; afterwards it has
    those of these days: a stream asks again and again, and an hour adds one file to hundreds."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    known = {} if known is None else known
    had, found = dict(known), []
    known.clear()
    for day in sorted(folder_of(home, view).glob("*-*-*")):
        if first.isoformat() <= day.name < end.isoformat():
            for file in sorted(day.glob("*.parquet")):
                if file not in had:
                    had[file] = pq.read_table(file, columns=columns, partitioning=None)
                known[file] = had[file]
                found.append(had[file])
    if not found:
        return None
    rows = pa.concat_tables(found)
    return rows.take(pc.sort_indices(rows, sort_keys=[(PUSHED_AT, "ascending")]))


def newest_of_each(view: FeatureView, rows: pa.Table, *, first: bool = False) -> pa.Table:
    """Of the pushes of each keys and event time the last one, or the first; in the order of the pushes."""
    import numpy as np
    import pyarrow as pa

    numbered = rows.append_column("slipway_push", pa.array(np.arange(rows.num_rows)))
    how = "min" if first else "max"
    each = numbered.group_by([*view.keys, "event_time"]).aggregate([("slipway_push", how)])
    return rows.take(pa.array(np.sort(each.column(f"slipway_push_{how}").to_numpy()), pa.int64()))


def waits_s(view: FeatureView, rows: pa.Table, since: datetime, span: Interval) -> npt.NDArray[np.float64]:
    """How long after its event each row could first be read, in seconds, of the rows that were first pushed within the
    span; with ``ahead``, how long after it was available. Rows that were due before ``since`` are left out: nothing ran
    then."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    first = newest_of_each(view, rows, first=True)
    due, pushed = first.column("available_time" if view.ahead else "event_time"), first.column(PUSHED_AT)
    begin, end, ran = (pa.scalar(moment, pa.timestamp("us", tz="UTC")) for moment in (span.start, span.end, since))
    counts = pc.and_(pc.and_(pc.greater_equal(pushed, begin), pc.less(pushed, end)), pc.greater_equal(due, ran))
    waited = pc.subtract(pushed, due).filter(counts).cast(pa.int64()).to_numpy()
    return np.asarray(waited / 1e6, dtype=np.float64)


def forget(home: Path, view: FeatureView, before: date) -> int:
    """Remove the files of event days before that day; how many days."""
    old = [day for day in folder_of(home, view).glob("*-*-*") if day.name < before.isoformat()]
    for day in old:
        shutil.rmtree(day)
    return len(old)


KEPT = timedelta(days=60)
"""How long the files are kept."""
