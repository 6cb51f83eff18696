"""Answers that were given before their rows were due: one partition for each run, role and candidate.

They are what the closing of a day takes the answers from that counted; the prediction log has one answer of each row,
these tables have all of them. An answer that was given is a fact: whoever writes asks ``answered`` first, and writes
nothing a second time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.offline_store.canonical import DAY, TIMESTAMP, ordered, plain, plain_type
from include.adapters.offline_store.partitions import replace
from include.adapters.offline_store.reading import open_dataset, open_table, readable
from include.domain.intervals import Interval

RUN = "run"
_BY = (DAY, RUN, "role", "candidate_id")
_GONE = (
    "Those answers cannot be computed again as they were given. Restore the table's folder from a backup, or move it "
    "away: the rows are then filled afterwards, and the log says so."
)


@dataclass(frozen=True, slots=True)
class AheadTables:
    """The tables below ``root``, beside those of the offline store."""

    root: str

    def path(self, model: str) -> str:
        """The table of the model's answers."""
        return f"{self.root.rstrip('/')}/ahead/{model}"

    def features_path(self, model: str, feature_set: str) -> str:
        """The table of the features that answers were computed from."""
        return f"{self.root.rstrip('/')}/ahead_features/{model}/{feature_set}"

    def answered(self, model: str) -> dict[tuple[datetime, str], set[str]]:
        """Run and role to the candidates that answered; no file is opened."""
        table, found = open_table(self.path(model)), dict[tuple[datetime, str], set[str]]()
        for slot in [] if table is None else table.partitions():
            found.setdefault((_moment(slot[RUN]), slot["role"]), set()).add(slot["candidate_id"])
        return found

    def write(
        self, model: str, rows: pa.Table, runs: Collection[datetime], *, still_mine: Callable[[], None] | None = None
    ) -> None:
        """Keep the answers of one candidate in one role at the runs of one day, in one commit.

        Columns: request_id, the entity's keys, event_time, prediction_time, answered_at (the run), candidate_id,
        model_version, role, revision, feature_set, the scores, predicted and error.
        """
        role, candidate = (rows.column(name)[0].as_py() for name in ("role", "candidate_id"))
        slots = [(_day(run), _name(run), role, candidate) for run in sorted(runs)]
        replace(self.path(model), _in_runs(rows), _BY, slots, ["event_time", "request_id"], still_mine)

    def read(self, model: str, events: Interval, first_run: datetime) -> pa.Table | None:
        """Every answer to rows with an event in the interval that a run from ``first_run`` on gave, in the order of
        runs; None where no run ever answered."""
        table = open_table(self.path(model))
        if table is None:
            return None
        moment = pc.field("event_time")
        inside = (moment >= pa.scalar(events.start, TIMESTAMP)) & (moment < pa.scalar(events.end, TIMESTAMP))
        days = Interval(first_run, events.end).days
        with readable(self.path(model), str(events), way_out=_GONE):
            rows = plain(open_dataset(self.path(model), table, days).to_table(filter=inside))
        return ordered(rows.drop_columns([DAY, RUN]), ["answered_at", "event_time", "request_id", "candidate_id"])

    def keep_features(self, model: str, rows: pa.Table, runs: Collection[datetime], views: Mapping[str, int]) -> str:
        """Keep what the rows of the runs of one day are answered from: request_id, answered_at and each feature as
        ``f_<name>``. The name of the feature set, as of ``write_served``."""
        shape = json.dumps([[[f.name, str(plain_type(f.type))] for f in rows.schema], sorted(views.items())])
        feature_set = hashlib.sha256(shape.encode()).hexdigest()[:12]
        slots = [(_day(run), _name(run)) for run in sorted(runs)]
        replace(self.features_path(model, feature_set), _in_runs(rows), (DAY, RUN), slots, ["request_id"])
        return feature_set

    def read_features(self, model: str, feature_set: str, first_run: datetime, end: datetime) -> pa.Table | None:
        """What ``keep_features`` kept of the runs in ``[first_run, end)``; None where nothing was."""
        path = self.features_path(model, feature_set)
        table = open_table(path)
        if table is None:
            return None
        at = pc.field("answered_at")
        wanted = (at >= pa.scalar(first_run, TIMESTAMP)) & (at < pa.scalar(end, TIMESTAMP))
        with readable(path, f"runs from {first_run:%Y-%m-%d %H:%M}", way_out=_GONE):
            rows = plain(open_dataset(path, table, Interval(first_run, end).days).to_table(filter=wanted))
        return ordered(rows.drop_columns([DAY, RUN]), ["answered_at", "request_id"])


def _in_runs(rows: pa.Table) -> pa.Table:
    """With the columns of the partitions."""
    moments = rows.column("answered_at").combine_chunks().dictionary_encode()
    each = moments.dictionary.to_pylist()
    for column, name in ((DAY, _day), (RUN, _name)):
        named = pa.array([name(moment) for moment in each], pa.string())
        rows = rows.append_column(column, named.take(moments.indices))
    return rows


def _day(run: datetime) -> str:
    return run.astimezone(UTC).date().isoformat()


def _name(run: datetime) -> str:
    return f"{run.astimezone(UTC):%Y%m%dT%H%M}"


def _moment(name: str) -> datetime:
    return datetime.strptime(name, "%Y%m%dT%H%M").replace(tzinfo=UTC)
