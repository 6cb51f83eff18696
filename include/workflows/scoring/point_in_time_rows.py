"""The rows of requests as of a moment: one point-in-time join for training and scoring.

The rows of the model's entity view are the requests. Each is asked ``lead`` before its event, and gets from every view
what was available then. Of a model that answers ahead, it is asked at the last answer time that lies so early: what it
learns from is what it can be given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from include.config.declared import Declarations
from include.config.loader import declarations
from include.config.scored_ahead import times_of
from include.config.settings import settings
from include.config.types import FeatureView, ModelDeclaration, ViewUse
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.workflows.journey.facts import JoinAvailability
from include.workflows.scoring.arrow_values import count_true, moment_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.dataset import Dataset

    from include.adapters.offline_store import OfflineStore
    from include.adapters.point_in_time import KeysOfTwoKinds, KeysTold

ARROW_KINDS = {"numeric": "double", "categorical": "string", "boolean": "bool"}
TICK = timedelta(microseconds=1)
VIEWS_AT_ONCE = 2
WEIGHT = "slipway_weight"
"""The column of a join that says how much each row counts; there only where the model declares a weight."""
KNOWN = "slipway_known"
"""The column of a join's answer that says when the row that answered was available."""


class RowsLost(RuntimeError):
    """The join gave another number of rows than there were requests: a bug, so the rows must not be used."""

    def __init__(self, model: str, view: str, asked: int, got: int) -> None:
        super().__init__(f"Joining {view} for {model} made {got} rows of {asked}. Nothing was written; report this.")


class KeysNotComparable(Refusal, TypeError):
    """A join key has two types that have no value in common."""

    def __init__(self, model: str, asked_in: str, found_in: str, error: KeysOfTwoKinds) -> None:
        super().__init__(
            f"Model {model!r} cannot join {found_in} to {asked_in}: the key {error.key!r} is {error.asked} in "
            f"{asked_in} and {error.has} in {found_in}, for example {str(error.value)[:40]!r}. Cast one of them in its "
            "SQL so that both have one type (for a view, with its version raised)."
        )


class WeightIsNoNumber(Refusal, TypeError):
    """A declared weight whose column holds no numbers."""

    def __init__(self, model: str, column: str, view: str, kind: str) -> None:
        super().__init__(
            f"weight of {model!r} is {column!r}, which is {kind} in view {view!r}; a weight is a number of 0 or more. "
            "Cast it to DOUBLE in the view's SQL, with its version raised."
        )


def features_for(
    model: ModelDeclaration,
    interval: Interval,
    as_of: datetime,
    versions: Mapping[str, int] | None = None,
    *,
    declared: Declarations | None = None,
    hold: bool = True,
) -> pa.Table:
    """The rows to score: every event of ``interval`` whose prediction was due by ``as_of``, with its features and
    without a label.

    Columns and order are those of ``build``; it is the same join. With ``hold`` False the tables are read whatever the
    ledger promised, for callers that look for differences.

    Raises:
        TableMissing: when a view was never published, or not in the pinned version.
        PromiseBroken: when a day that is read is not what the ledger recorded.
    """
    rows, _, availability = join(model, interval, as_of, versions, declared or declarations(), hold)
    for remark in availability.key_remarks:
        print(remark)
    return rows


def joined(
    model: ModelDeclaration, interval: Interval, as_of: datetime, *, declared: Declarations | None = None
) -> tuple[pa.Table, JoinAvailability]:
    """The rows of ``features_for``, and when their values were known, as ``TrainingSet.availability`` says it."""
    rows, _, availability = join(model, interval, as_of, None, declared or declarations())
    return rows, availability


def features_known_at(
    model: ModelDeclaration, interval: Interval, moment: datetime, source: Callable[[FeatureView, Interval], pa.Table]
) -> pa.Table:
    """The rows of ``interval`` with their features as they are known at ``moment``, which lies before their events;
    columns as of ``features_for``.

    ``source`` gives the rows of a view with an event time in an interval; those of the entity's view are all known at
    the moment. ``prediction_time`` is when each row is due.
    """
    import pyarrow as pa

    rows, _, availability = join(model, interval, moment, None, declarations(), known=_KnownAt(moment, source))
    for remark in availability.key_remarks:
        print(remark)
    due = pa.chunked_array([asked_at(model, declarations(), rows.column("event_time"))])
    return rows.set_column(rows.column_names.index("prediction_time"), "prediction_time", due)


def asked_at(model: ModelDeclaration, declared: Declarations, events: pa.ChunkedArray) -> pa.Array:
    """When the row of each event time is asked for the last time; no event time is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    due = pc.subtract(events, pa.scalar(model.entity.lead, pa.duration("us"))).combine_chunks()
    if model.score is None:
        return due
    times = times_of(model.score, [declared.view(use.view) for use in model.views])
    return pa.array(times.at_or_before_us(due.cast(pa.int64()).to_numpy()), pa.int64()).cast(due.type)


def key_remarks(entity: str, answers: str, told: Iterable[KeysTold]) -> list[str]:
    """Sentences for people about keys that are compared across types; none when there is nothing to say."""
    found = []
    for each in told:
        if each.unlike:
            found.append(
                f"{each.unlike:,} of {each.rows:,} rows of {answers} have a {each.key} that view {entity!r}, whose "
                f"{each.key} is {each.asked}, cannot have, for example {each.example!r}; they match nothing. Cast the "
                "key to one type in both queries."
            )
        if each.asked_unlike:
            found.append(
                f"{each.asked_unlike:,} different {each.key} of view {entity!r} cannot be in {answers}, whose "
                f"{each.key} is {each.has}, for example {each.asked_example!r}; they get nothing. Cast the key to one "
                "type in both queries."
            )
    return found


# --- the join --------------------------------------------------------------------------------------------------------


def join(
    model: ModelDeclaration,
    interval: Interval,
    as_of: datetime,
    versions: Mapping[str, int] | None,
    declared: Declarations,
    hold: bool = True,
    known: _KnownAt | None = None,
) -> tuple[pa.Table, dict[str, int], JoinAvailability]:
    """The joined rows, the table version of each view, and when the features were known, as ``TrainingSet`` says.
    With ``hold``, every day that is read is first compared with the ledger's promise. With ``known``,
    each row is asked at its moment instead of the row's own time, and the rows come from it instead of the tables."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from include.adapters import offline_store
    from include.domain.gates import late_rows

    store = offline_store.OfflineStore(settings().store)
    views = {use.view: declared.view(use.view) for use in model.views}
    pinned: dict[str, _ReadView] = {
        name: _PinnedView(store, view, _version(store, view, versions), hold)
        if known is None
        else _GivenView(view, known.source)
        for name, view in views.items()
    }
    entity = declared.view(model.entity.view)

    spine = pinned[entity.ref].rows(interval)
    weighed = _weighed(model, spine)
    events = spine.column("event_time")
    when = asked_at(model, declared, events) if known is None else pa.repeat(moment_of(known.moment), len(events))
    spine = spine.append_column("prediction_time", when)
    due = pc.less_equal(when, moment_of(as_of))
    if weighed is not None:
        spine = spine.append_column(WEIGHT, weighed)
    spine = (spine if count_true(due) == spine.num_rows else spine.filter(due)).combine_chunks()
    # The spine's own row is used only once it was available, both for its features and for the keys of other views.
    available = pc.less_equal(spine.column("available_time"), spine.column("prediction_time"))
    if count_true(available) < spine.num_rows:
        for name in (*entity.features, *entity.carries):
            column = spine.column(name)
            known = pc.if_else(available, column, pa.scalar(None, column.type))
            spine = spine.set_column(spine.column_names.index(name), name, known)

    columns = {name: spine.column(name) for name in (*entity.keys, "event_time", "prediction_time")}
    late: dict[str, int] = {}
    by_most: dict[str, float] = {}

    told: dict[str, list[KeysTold]] = {use.view: [] for use in model.views}

    def asked(use: ViewUse) -> pa.Table:
        if views[use.view].ref == entity.ref:
            return spine
        return _answers(model, pinned[use.view], use.features, spine, told[use.view])

    # One view is read while another is searched.
    with ThreadPoolExecutor(VIEWS_AT_ONCE) as pool:
        answers = list(pool.map(asked, model.views))
    for use, given in zip(model.views, answers, strict=True):
        view = views[use.view]
        kinds = {c.name: ARROW_KINDS[c.kind] for c in view.columns}
        known_at = given.column("available_time" if view.ref == entity.ref else KNOWN)
        any_late = count_true(pc.greater(known_at, spine.column("prediction_time"))) > 0
        for feature in use.features:
            columns[feature] = given.column(feature).cast(pa.type_for_alias(kinds[feature]))
            late[feature] = 0
            if not any_late:
                continue
            times = pc.if_else(pc.is_valid(columns[feature]), known_at, pa.scalar(None, known_at.type))
            count, most = late_rows(times.to_numpy(), spine.column("prediction_time").to_numpy())
            late[feature] = count
            if count:
                by_most[feature] = most.total_seconds()
    if weighed is not None:
        columns[WEIGHT] = spine.column(WEIGHT)
    remarks = [each for view, seen in told.items() for each in key_remarks(entity.ref, f"view {view!r}", seen)]
    versions_read = {name: each.version for name, each in pinned.items()}
    return pa.table(columns), versions_read, JoinAvailability(spine.num_rows, late, by_most, tuple(remarks))


def weights_of(model: ModelDeclaration, declared: Declarations, interval: Interval) -> pa.Table:
    """The entity's keys, ``event_time`` and ``WEIGHT`` of every request of the interval; missing where a version of the
    view does not have the column.

    Raises:
        TableMissing, PromiseBroken: as ``features_for``.
        WeightIsNoNumber: when the column cannot be read as numbers.
    """
    import pyarrow as pa

    from include.adapters import offline_store

    store, entity = offline_store.OfflineStore(settings().store), declared.view(model.entity.view)
    spine = _PinnedView(store, entity, _version(store, entity, None), True).rows(interval)
    kept = spine.select([*entity.keys, "event_time"])
    weighed = _weighed(model, spine)
    return kept.append_column(WEIGHT, pa.nulls(kept.num_rows, pa.float64()) if weighed is None else weighed)


def _weighed(model: ModelDeclaration, spine: pa.Table) -> Any:
    """The declared weight of each request as doubles; None where none is declared."""
    import pyarrow as pa

    if model.weight is None:
        return None
    if model.weight not in spine.column_names:
        return pa.nulls(spine.num_rows, pa.float64())
    column = spine.column(model.weight)
    try:
        return column.cast(pa.float64())
    except pa.ArrowException:
        raise WeightIsNoNumber(model.name, model.weight, model.entity.view, str(column.type)) from None


@dataclass(frozen=True, slots=True)
class _KnownAt:
    """Rows as they are known at a moment before their day is published."""

    moment: datetime
    source: Callable[[FeatureView, Interval], pa.Table]


class _ReadView(Protocol):
    """A view whose rows are read."""

    @property
    def view(self) -> FeatureView: ...

    @property
    def version(self) -> int: ...

    def rows(self, interval: Interval) -> pa.Table: ...

    def history(self, interval: Interval) -> AbstractContextManager[Dataset | pa.Table]: ...


@dataclass(frozen=True, slots=True)
class _GivenView:
    """A view whose rows are computed for the one who asks."""

    view: FeatureView
    source: Callable[[FeatureView, Interval], pa.Table]
    version: int = 0

    def rows(self, interval: Interval) -> pa.Table:
        return self.source(self.view, interval)

    def history(self, interval: Interval) -> AbstractContextManager[pa.Table]:
        return nullcontext(self.source(self.view, interval))


@dataclass(frozen=True, slots=True)
class _PinnedView:
    """A view's table at one version."""

    store: OfflineStore
    view: FeatureView
    version: int
    hold: bool
    """Whether every day is held to what the ledger promised before it is read; False for callers that look for
    differences."""

    def rows(self, interval: Interval) -> pa.Table:
        self._require(interval)
        return self.store.read(self.view, interval, self.version)

    @contextmanager
    def history(self, interval: Interval) -> Iterator[Dataset]:
        """The rows of the interval, to be read inside the context."""
        self._require(interval)
        found = self.store.dataset(self.view, interval, self.version)
        with self.store.readable(self.view, interval, self.version):
            yield found

    def _require(self, interval: Interval) -> None:
        from include.workflows import stores
        from include.workflows.lineage import promised

        if self.hold:
            with stores.open_ledger() as ledger:
                promised.require(ledger, self.store, self.view, interval.days, self.version)


def _answers(
    model: ModelDeclaration, pinned: _ReadView, features: list[str], spine: pa.Table, told: list[KeysTold]
) -> pa.Table:
    """The view's features as they were known when each row of the spine was asked, and ``KNOWN``; the remarks
    about its keys are added to ``told``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from include.adapters.point_in_time import KeysOfTwoKinds, point_in_time

    view = pinned.view
    kinds = {c.name: ARROW_KINDS[c.kind] for c in view.columns}
    if spine.num_rows == 0:
        empty = {f: pa.array([], pa.type_for_alias(kinds[f])) for f in features}
        return pa.table({**empty, KNOWN: pa.array([], pa.timestamp("us", tz="UTC"))})
    asked = pc.min_max(spine.column("prediction_time")).as_py()
    needed = Interval(asked["min"] - view.ttl, asked["max"] + TICK)
    try:
        with pinned.history(needed) as history:
            answer = point_in_time(
                spine, history, keys=view.keys, features=features, ttl=view.ttl, known_as=KNOWN, told=told
            )
    except KeysOfTwoKinds as error:
        raise KeysNotComparable(model.name, f"view {model.entity.view!r}", f"view {view.ref!r}", error) from None
    if answer.num_rows != spine.num_rows:
        raise RowsLost(model.name, view.name, spine.num_rows, answer.num_rows)
    return answer


def _version(store: OfflineStore, view: FeatureView, versions: Mapping[str, int] | None) -> int:
    from include.adapters.offline_store import TableMissing

    version = (versions or {}).get(view.ref)
    found = store.current_version(view) if version is None else version
    if found is None:
        raise TableMissing(store.view_path(view))
    return int(found)
