"""The tables of the offline store: one per version of a feature view, one prediction log and the served features per
model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
from deltalake import Field
from deltalake.exceptions import DeltaError

from include.adapters.offline_store.canonical import DAY, TIMESTAMP, content_hash, ordered, plain, plain_type, with_day
from include.adapters.offline_store.held import Held, hashes_by_day, held_by_slot
from include.adapters.offline_store.partitions import (
    Content,
    Replaced,
    TableMissing,
    replace,
)
from include.adapters.offline_store.reading import SCORE, PartitionDamaged, open_dataset, open_table, readable, within
from include.config.types import FeatureView
from include.domain.intervals import Interval

ONLINE_COLUMNS = {
    "asked_id": pa.string(),
    "arm": pa.string(),
    "channel": pa.string(),
    "revision": pa.int64(),
    "latency_us": pa.int64(),
    "feature_age_s_max": pa.float64(),
    "unit": pa.string(),
    "bucket": pa.float64(),
    "number": pa.int64(),
}
"""Columns of the prediction log that a day has which was collected from the journal. A table gets them with its first
such day; in all other rows they are missing."""
AHEAD_COLUMNS = {
    "answered": pa.string(),
    "answered_at": pa.timestamp("us", tz="UTC"),
    "revision": pa.int64(),
    "times_answered": pa.int64(),
}
"""Columns of the prediction log that a day has whose model answers ahead. As with those above, a table gets them with
its first such day."""
LATER_COLUMNS = ONLINE_COLUMNS | AHEAD_COLUMNS
SERVED_PREFIX = "f_"
"""The prefix of each feature in the tables of served features, so that no name equals a key or a time."""


@dataclass(frozen=True, slots=True)
class OfflineStore:
    """The tables below ``root``, a folder or an object store's URL."""

    root: str

    def view_path(self, view: FeatureView) -> str:
        return f"{self.root.rstrip('/')}/features/{view.name}/v{view.version}"

    def log_path(self, model: str) -> str:
        return f"{self.root.rstrip('/')}/predictions/{model}"

    def replace_partitions(
        self,
        view: FeatureView,
        interval: Interval,
        rows: pa.Table | Content,
        days: Sequence[str] | None = None,
        *,
        renew: bool = False,
    ) -> Replaced:
        """Make ``rows`` (with their ``day``) the content of every day of ``interval``; a day without rows is cleared.
        ``days`` leaves out the others of the interval; None takes all. With ``renew`` the rows may have other columns
        than the table, whose days are then all replaced.

        Raises:
            RowsOutsidePartitions: when a row's day is not in the interval.
            StoreConflict: when other writers never let it through.
            What reading the rows raises, where they are ``Content``.
        """
        slots = [(day,) for day in (interval.days if days is None else days)]
        if not slots:
            return Replaced(self.current_version(view), ())
        return replace(self.view_path(view), rows, (DAY,), slots, [*view.keys, "event_time"], renew=renew)

    def current_version(self, view: FeatureView) -> int | None:
        """The version of the view's table; None before its first publish."""
        table = open_table(self.view_path(view))
        return None if table is None else table.version()

    def newest_day(self, view: FeatureView) -> str | None:
        """The newest day with rows, ``YYYY-MM-DD``; None before the first publish."""
        table = open_table(self.view_path(view))
        return None if table is None else max((p[DAY] for p in table.partitions()), default=None)

    def dataset(self, view: FeatureView, interval: Interval, version: int | None = None) -> pyarrow.dataset.Dataset:
        """The rows with an event time in ``interval``, to be streamed; as of the table's ``version``, by default the
        newest.

        Raises:
            TableMissing: when there is no such table or version.
        """
        path = self.view_path(view)
        table = open_table(path, version)
        if table is None:
            raise TableMissing(path, version)
        return open_dataset(path, table, interval.days).filter(within(interval))

    def read(self, view: FeatureView, interval: Interval, version: int | None = None) -> pa.Table:
        """The rows with an event time in ``interval``, ordered by event time, then keys, without the partition column.

        Raises:
            TableMissing: when there is no such table or version.
            PartitionDamaged: when a file of it is cut off or gone.
        """
        found = self.dataset(view, interval, version)
        with self.readable(view, interval, version):
            rows = plain(found.to_table().drop_columns([DAY]))
        return ordered(rows, ["event_time", *view.keys])

    def readable(
        self, view: FeatureView, interval: Interval, version: int | None = None
    ) -> AbstractContextManager[None]:
        """For a block that streams what ``dataset`` gave: a file that is cut off or gone is ``PartitionDamaged``
        there, as it is in ``read``."""
        return readable(self.view_path(view), str(interval), version)

    def read_after(self, view: FeatureView, interval: Interval) -> pa.Table:
        """As ``read``, without rows at exactly the interval's start: a row that is as old as its ``ttl`` is too old."""
        rows = self.read(view, interval)
        return rows.filter(pc.greater(rows.column("event_time"), pa.scalar(interval.start, TIMESTAMP)))

    def stored_hash(self, view: FeatureView, day: str) -> str:
        """The content hash of what is stored for the day, as its publish recorded it.

        Raises:
            TableMissing, PartitionDamaged: as ``read``.
        """
        rows = with_day(self.read(view, Interval.of_day(day)))
        return content_hash(ordered(rows, [DAY, *view.keys, "event_time"]))

    def held(self, view: FeatureView, version: int | None = None) -> dict[str, Held]:
        """What the table's log says of each day that has rows: no file is opened. Empty before the first publish.

        Raises:
            TableMissing: when there is no such ``version``.
        """
        path = self.view_path(view)
        table = open_table(path, version)
        if table is None:
            if version is None:
                return {}
            raise TableMissing(path, version)
        return {day: held for (day,), held in held_by_slot(table, (DAY,)).items()}

    def hashes_held(
        self, view: FeatureView, days: Sequence[str], promised: Collection[str], version: int | None = None
    ) -> dict[str, str]:
        """The content hash of each of the days that has rows, as ``stored_hash`` gives it; ``held.DAMAGED`` for a day
        whose files cannot be read. Quick for a day that has one of the ``promised`` hashes.

        Raises:
            TableMissing: when there is no such table or version.
        """
        path = self.view_path(view)
        table = open_table(path, version)
        if table is None:
            raise TableMissing(path, version)
        return hashes_by_day(path, table, sorted(days), [DAY, *view.keys, "event_time"], promised)

    def rows_as_of(self, view: FeatureView, day: str, content: str, version: int) -> pa.Table | None:
        """The day's rows, with their ``day``, as they were in an older version of the table, if they have the hash
        ``content`` there; None when that version or its files are gone or hold something else."""
        try:
            if self.hashes_held(view, [day], {content}, version).get(day) != content:
                return None
            return with_day(self.read(view, Interval.of_day(day), version))
        except (TableMissing, PartitionDamaged, DeltaError, OSError):
            return None

    # --- the prediction log -------------------------------------------------------------------------------------------

    def write_predictions(
        self,
        model: str,
        day: str,
        candidate_id: str,
        rows: pa.Table,
        *,
        still_mine: Callable[[], None] | None = None,
    ) -> Replaced:
        """Replace the answers of ``candidate_id`` for ``day`` by ``rows``. When they were served, the answers that
        another candidate served of that day are removed in the same commit: a day has one server.

        ``still_mine`` raises when the day was given to another candidate; it is asked just before the commit.

        Columns: prediction_id, candidate_id, model_version, role (served or shadow), the entity's keys, event_time,
        prediction_time, score (the probability, or the value), predicted, error (None when it answered); and
        ``ONLINE_COLUMNS``, or ``AHEAD_COLUMNS``, or none of them. The features are kept once for all candidates, by
        ``write_served``.
        """
        serves = "served" in rows.column("role").unique().to_pylist()
        before = self._served_by(model, day) if serves else []
        rows = rows.append_column(DAY, pa.array([day] * rows.num_rows, pa.string()))
        slots = [(day, candidate_id), *((day, other) for other in before if other != candidate_id)]
        order = ["event_time", "prediction_id"]
        rows = self._as_in_log(model, rows)
        return replace(self.log_path(model), rows, (DAY, "candidate_id"), slots, order, still_mine)

    def _as_in_log(self, model: str, rows: pa.Table) -> pa.Table:
        """The rows with the later columns that the log has; and the log with those of the rows. A table that has got
        them and no such row yet, because its writer was killed, has them missing."""
        table = open_table(self.log_path(model))
        if table is None:
            return rows
        there = {field.name for field in table.schema().fields}
        new = [name for name in LATER_COLUMNS if name in rows.column_names and name not in there]
        if new:
            table.alter.add_columns([Field.from_arrow(pa.field(name, LATER_COLUMNS[name])) for name in new])
        for name, kind in LATER_COLUMNS.items():
            if name in there and name not in rows.column_names:
                rows = rows.append_column(name, pa.nulls(rows.num_rows, kind))
        return rows

    def _served_by(self, model: str, day: str) -> list[str]:
        """The candidates whose answers of the day the log has as served."""
        path = self.log_path(model)
        table = open_table(path)
        if table is None:
            return []
        dataset, found = open_dataset(path, table, [day]), list[str]()
        for who in sorted({p["candidate_id"] for p in table.partitions() if p[DAY] == day}):
            mine = (pc.field(DAY) == day) & (pc.field("candidate_id") == who)
            try:
                if "served" in dataset.to_table(columns=["role"], filter=mine).column(0).unique().to_pylist():
                    found.append(who)
            except (OSError, pa.ArrowException):
                found.append(who)  # the role cannot be read; the day is being written again
        return found

    def servers_held(self, model: str) -> dict[str, set[str]]:
        """The candidates that served answers, by day. Two columns of the whole log are read.

        Raises:
            TableDamaged: when a file of it cannot be read.
        """
        path, found = self.log_path(model), dict[str, set[str]]()
        table = open_table(path)
        if table is None:
            return found
        with readable(path, "who served each day", way_out=SCORE.format(model=model)):
            served = table.to_pyarrow_dataset().scanner(
                columns=[DAY, "candidate_id"], filter=pc.field("role") == "served"
            )
            for batch in served.to_batches():
                for row in pa.table(batch).group_by([DAY, "candidate_id"]).aggregate([]).to_pylist():
                    found.setdefault(row[DAY], set()).add(row["candidate_id"])
        return found

    def drop_predictions(self, model: str, day: str, candidate_id: str) -> Replaced:
        """Remove the answers of ``candidate_id`` for ``day``, if there are any."""
        path = self.log_path(model)
        table = open_table(path)
        if table is None:
            return Replaced(None, ())
        nothing = plain(open_dataset(path, table, [day]).schema.empty_table())
        return replace(path, nothing, (DAY, "candidate_id"), [(day, candidate_id)], ["event_time", "prediction_id"])

    def served_path(self, model: str, feature_set: str) -> str:
        return f"{self.root.rstrip('/')}/served/{model}/{feature_set}"

    def write_served(
        self,
        model: str,
        day: str,
        rows: pa.Table,
        views: Mapping[str, int],
        *,
        still_mine: Callable[[], None] | None = None,
    ) -> tuple[str, bool]:
        """Keep ``rows`` as the features that the requests of ``day`` were answered from: request_id, the entity's keys,
        event_time, prediction_time, and each feature as ``f_<name>``. ``views`` are the views they come from, and their
        versions. Returns the feature set's name, which is that of its table (other features, or other versions of the
        views, have another), and whether anything changed. ``still_mine`` is as in ``write_predictions``."""
        shape = json.dumps([[[f.name, str(plain_type(f.type))] for f in rows.schema], sorted(views.items())])
        feature_set = hashlib.sha256(shape.encode()).hexdigest()[:12]
        rows = rows.append_column(DAY, pa.array([day] * rows.num_rows, pa.string()))
        order = ["event_time", "request_id"]
        replaced = replace(self.served_path(model, feature_set), rows, (DAY,), [(day,)], order, still_mine)
        return feature_set, bool(replaced.changed)

    def read_served(self, model: str, feature_set: str, day: str) -> pa.Table | None:
        """What ``write_served`` kept of the day, ordered by event time, then request; None when nothing was kept."""
        table = open_table(self.served_path(model, feature_set))
        if table is None:
            return None
        with readable(self.served_path(model, feature_set), day, way_out=SCORE.format(model=model)):
            rows = plain(table.to_pyarrow_dataset().to_table(filter=pc.field(DAY) == day).drop_columns([DAY]))
        return ordered(rows, ["event_time", "request_id"]) if rows.num_rows else None

    def remove_replaced(self, model: str, feature_sets: Collection[str], age: timedelta) -> int:
        """Remove the files of the prediction log and of the served features that were replaced longer ago than ``age``;
        how many. An open day is written again and again, and no one reads an earlier version of these tables."""
        removed = 0
        for path in (self.log_path(model), *(self.served_path(model, name) for name in sorted(feature_sets))):
            table = open_table(path)
            if table is not None:
                hours = int(age / timedelta(hours=1))
                removed += len(table.vacuum(retention_hours=hours, enforce_retention_duration=False, dry_run=False))
        return removed

    def predictions_held(self, model: str) -> dict[tuple[str, str], int | None]:
        """How many answers the log holds of each day and candidate, without opening a file of it."""
        table = open_table(self.log_path(model))
        found = {} if table is None else held_by_slot(table, (DAY, "candidate_id"))
        return {(day, candidate): held.rows for (day, candidate), held in found.items()}

    def served_held(self, model: str, feature_set: str) -> dict[str, int | None]:
        """How many requests of each day the features are kept of, without opening a file."""
        table = open_table(self.served_path(model, feature_set))
        found = {} if table is None else held_by_slot(table, (DAY,))
        return {day: held.rows for (day,), held in found.items()}

    def find_prediction(self, model: str, prediction_id: str, candidate_id: str) -> dict[str, Any] | None:
        """One row of the log by its id; None when there is none."""
        table = open_table(self.log_path(model))
        if table is None:
            return None
        mine = (pc.field("candidate_id") == candidate_id) & (pc.field("prediction_id") == prediction_id)
        with readable(self.log_path(model), f"prediction {prediction_id}", way_out=SCORE.format(model=model)):
            rows = plain(table.to_pyarrow_dataset().to_table(filter=mine)).to_pylist()
        return dict(rows[0]) if rows else None

    def last_predicted_day(self, model: str) -> str | None:
        """The newest day with predictions, ``YYYY-MM-DD``; None before the first."""
        table = open_table(self.log_path(model))
        return None if table is None else max((p[DAY] for p in table.partitions()), default=None)

    def read_predictions(self, model: str, interval: Interval, candidate_id: str | None = None) -> pa.Table | None:
        """The log's rows with an event time in ``interval``, of one candidate or of all, ordered by event time, then
        prediction and candidate; None before the first prediction was logged."""
        path = self.log_path(model)
        table = open_table(path)
        if table is None:
            return None
        wanted = within(interval)
        if candidate_id is not None:
            wanted &= pc.field("candidate_id") == candidate_id
        with readable(path, str(interval), way_out=SCORE.format(model=model)):
            rows = plain(open_dataset(path, table, interval.days).to_table(filter=wanted).drop_columns([DAY]))
        return ordered(rows, ["event_time", "prediction_id", "candidate_id"])
