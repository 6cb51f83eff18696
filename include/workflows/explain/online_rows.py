"""Rows that were answered online beside the offline store: each value with the store's value of the very row that it
was looked up from, and the age of that row with the one that training reads for the same moment.

An older row than training reads is no skew of the definition but of the moment: it is counted, and by how much. Values
that the caller gave are not compared, because the store says nothing about them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from include.adapters.ledger import Scoring
from include.adapters.offline_store import SERVED_PREFIX, TableMissing
from include.config import Declarations, FeatureView, ModelDeclaration
from include.config.types import ViewUse
from include.domain.consistency import FeatureConsistency, ViewAges, compare
from include.domain.intervals import Interval
from include.workflows import stores
from include.workflows.scoring import as_trained
from include.workflows.scoring.collected_rows import GIVEN
from include.workflows.scoring.journal_columns import ALL_GIVEN, MISSING_PREFIX, ROW_PREFIX
from include.workflows.scoring.point_in_time_rows import TICK

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CORRECTED = "the table was corrected since: it is the value of the version that was served from"


@dataclass(frozen=True, slots=True)
class OnlineDay:
    """One day's rows that were asked online, compared.

    Attributes:
        requests: rows that were compared.
        unknown: rows of which the store has no row of the entity.
        given: rows whose every value was the caller's.
    """

    requests: int
    unknown: int
    given: int
    features: tuple[FeatureConsistency, ...]
    ages: tuple[ViewAges, ...]


def says_ages(kept: pa.Table) -> bool:
    """Whether the collected rows say from which rows of the views they were answered; those of before do not."""
    return GIVEN in kept.column_names


def compared(model: ModelDeclaration, scored: Scoring, kept: pa.Table, known: Declarations) -> OnlineDay:
    """Compare a collected day of which ``says_ages`` is true.

    Raises:
        NotAskable: when a version of a view that was served from is not declared any more.
        TableMissing: when a view was never published.
    """
    rows = kept.to_pandas().set_index("asked_id", drop=False)
    names = [c.removeprefix(SERVED_PREFIX) for c in rows.columns if c.startswith(SERVED_PREFIX)]
    model = as_trained.as_scored(model, scored, names)
    by_caller = rows[GIVEN] == ALL_GIVEN
    whole = _Asked(model, known, rows[~by_caller], Interval.of_day(scored.day))
    there = whole.with_entity()
    found, ages = list[FeatureConsistency](), list[ViewAges]()
    then = {each.view: each.table_version for each in scored.sources}
    for use in model.views:
        now = whole.store_of(use, there)
        ages.append(now.ages)
        for feature in (each for each in use.features if each in names):
            found.append(_feature(there, use, feature, now, lambda u=use: whole.store_of(u, there, then)))
    return OnlineDay(
        len(there), len(rows) - int(by_caller.sum()) - len(there), int(by_caller.sum()), tuple(found), tuple(ages)
    )


def _feature(rows: pd.DataFrame, use: ViewUse, feature: str, now: _Store, then: Any) -> FeatureConsistency:
    looked_up = ~rows[GIVEN].map(lambda given: feature in str(given or "").split(","))
    served = rows.loc[looked_up, [SERVED_PREFIX + feature]].set_axis([feature], axis=1)
    view = {feature: use.name}
    (found,) = compare(served, now.values.loc[looked_up], view)
    if not found.differing:
        return found
    causes = dict[str, Any]()
    for before in _tried(then):
        causes[CORRECTED] = before.values.loc[looked_up]
    (found,) = compare(served, now.values.loc[looked_up], view, causes)
    reasons = rows.loc[looked_up, MISSING_PREFIX + use.name].dropna().unique()
    if found.cause is None and found.differing == found.missing and len(reasons) == 1:
        return replace(found, cause=f"its row was {reasons[0]} when it was asked for")
    return found


def _tried(then: Any) -> Iterator[_Store]:
    try:
        yield then()
    except TableMissing:
        return  # the version was vacuumed away; then this explanation cannot be tried


@dataclass(frozen=True, slots=True)
class _Store:
    """What the store has of one view for each row: its values, and how old the served rows were beside it."""

    values: pd.DataFrame
    ages: ViewAges


@dataclass(frozen=True, slots=True)
class _Asked:
    """The rows of a day, by the id of each time that somebody asked."""

    model: ModelDeclaration
    known: Declarations
    rows: pd.DataFrame
    interval: Interval

    def with_entity(self) -> pd.DataFrame:
        """The rows of which the store has the entity's, with the keys of the other views."""
        entity = self.known.view(self.model.entity.view)
        wanted = {key for use in self.model.views for key in self.known.view(use.view).keys} - set(entity.keys)
        has = [*entity.keys, "event_time", *sorted(wanted & {*entity.features, *entity.carries})]
        known = stores.offline_store().read(entity, self.interval).select(has).to_pandas()
        found = self.rows.merge(known, on=[*entity.keys, "event_time"], how="inner").set_index("asked_id", drop=False)
        for key in wanted:
            if SERVED_PREFIX + key in found:
                found[key] = found[SERVED_PREFIX + key]  # what the service looked up by, whoever gave it
        return found

    def store_of(self, use: ViewUse, rows: pd.DataFrame, versions: Mapping[str, int | None] | None = None) -> _Store:
        """The view's part, from its newest version or the given one."""
        import pandas as pd

        view = self.known.view(use.view)
        version = None if versions is None else versions.get(use.name)
        if rows.empty:
            return _Store(rows.reindex(columns=use.features), ViewAges(use.name))
        served_row, why = rows[ROW_PREFIX + use.name], rows[MISSING_PREFIX + use.name]
        if use.view == self.model.entity.view:
            table = stores.offline_store().read(view, self.interval, version)
            values = self._at(view, use, table, rows, rows["event_time"])
            in_time = (values.pop("available_time") <= rows["prediction_time"]).to_numpy()
            values = values[in_time].reindex(rows.index)
            return _Store(values, ViewAges(use.name, int(served_row.notna().sum()), missing=_counted(why)))
        asked = rows["prediction_time"]
        times = [asked.min().to_pydatetime(), asked.max().to_pydatetime()]
        first = served_row.min()
        begin = min(times[0] - view.ttl, first.to_pydatetime() if first == first else times[0])
        table = stores.offline_store().read(view, Interval(begin, times[1] + TICK), version)
        read = self._as_trained(view, use, table, rows)
        exact = self._at(view, use, table, rows, served_row).drop(columns="available_time")
        newest = read.pop("event_time")
        was = served_row.notna().to_numpy()
        values = pd.concat([exact[was], read[~was]]).loc[rows.index] if 0 < was.sum() < len(was) else read
        older, newer = (served_row < newest).to_numpy(), was & ~(served_row <= newest).to_numpy()
        behind = (newest - served_row)[older]
        age = (rows["prediction_time"] - served_row)[was]
        ages = ViewAges(
            view=use.name,
            rows=int(was.sum()),
            oldest_s=None if age.empty else float(age.max().total_seconds()),
            older=int(older.sum()),
            behind_s=None if behind.empty else float(behind.max().total_seconds()),
            newer=int(newer.sum()),
            missing=_counted(why),
        )
        return _Store(exact if was.all() else values, ages)

    def _as_trained(self, view: FeatureView, use: ViewUse, table: pa.Table, rows: pd.DataFrame) -> pd.DataFrame:
        """What training reads for the moment of each row, and that row's event time."""
        import pyarrow as pa

        from include.adapters.point_in_time import point_in_time

        spine = pa.table({name: _column(rows[name]) for name in (*view.keys, "prediction_time")})
        wanted = [*use.features, "event_time"]
        found = point_in_time(spine, table, keys=view.keys, features=wanted, ttl=view.ttl)
        frame: pd.DataFrame = found.to_pandas().set_axis(rows.index, axis=0)
        return frame

    @staticmethod
    def _at(
        view: FeatureView, use: ViewUse, table: pa.Table, rows: pd.DataFrame, event: pd.Series[Any]
    ) -> pd.DataFrame:
        """The values of the view's very row with these event times, and when it was available."""
        columns = [*use.features, "available_time"]
        there = table.select(list(dict.fromkeys([*view.keys, "event_time", *columns]))).to_pandas()
        asked = rows[list(view.keys)].assign(event_time=event)
        named = {name: f"found {name}" for name in columns}
        values = there[columns].rename(columns=named)
        found = asked.merge(there[[*view.keys, "event_time"]].join(values), on=[*view.keys, "event_time"], how="left")
        return found[list(named.values())].set_axis(columns, axis=1).set_axis(rows.index, axis=0)


def _column(values: pd.Series[Any]) -> pa.Array:
    import pyarrow as pa

    if values.dtype.kind != "M":
        return pa.array(values.to_numpy(), from_pandas=True)
    # Converted without its time zone: the values of a Series with one are deprecated in pandas 3.1.
    naive = pa.array(values.dt.tz_convert(None).to_numpy(), pa.timestamp("us"), from_pandas=True)
    return naive.cast(pa.timestamp("us", tz="UTC"))


def _counted(why: pd.Series[Any]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(why.dropna()).items()))
