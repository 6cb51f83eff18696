"""Training sets and scoring rows: one point-in-time join for both.

The rows of the model's entity view are the requests. Each is asked ``lead`` before its event, and gets from every view
what was available then. A training set adds the label, where its window has closed and it was known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.config.loader import Declarations, declarations
from include.config.settings import settings
from include.config.types import FeatureView, ModelDeclaration, ViewUse
from include.domain import classes
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.workflows.journey.facts import JoinAvailability, TrainingSet
from include.workflows.lineage import tables_touched

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.dataset import Dataset

    from include.adapters.offline_store import OfflineStore
    from include.adapters.point_in_time import KeysOfTwoKinds, KeysTold

ARROW_KINDS = {"numeric": "double", "categorical": "string", "boolean": "bool"}
TICK = timedelta(microseconds=1)
VIEWS_AT_ONCE = 2
KNOWN = "slipway_known"
"""The column of a join's answer that says when the row that answered was available."""


class RowsLost(RuntimeError):
    """The join gave another number of rows than there were requests: a bug, so the rows must not be used."""

    def __init__(self, model: str, view: str, asked: int, got: int) -> None:
        super().__init__(f"Joining {view} for {model} made {got} rows of {asked}. Nothing was written; report this.")


class BadLabels(Refusal, ValueError):
    """label.sql gives something that cannot be a label of this model."""

    def __init__(self, model: str, problem: str) -> None:
        super().__init__(f"models/{model}/label.sql: {problem}.")


class TrainingSetDamaged(Refusal, OSError):
    """A training set's file is missing, or no longer has the content it was made with."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The training set {path} cannot be used: {reason}. Build it again from the same request.")


class KeysNotComparable(Refusal, TypeError):
    """A join key has two types that have no value in common."""

    def __init__(self, model: str, asked_in: str, found_in: str, error: KeysOfTwoKinds) -> None:
        super().__init__(
            f"Model {model!r} cannot join {found_in} to {asked_in}: the key {error.key!r} is {error.asked} in "
            f"{asked_in} and {error.has} in {found_in}, for example {str(error.value)[:40]!r}. Cast one of them in its "
            "SQL so that both have one type (for a view, with its version raised)."
        )


def build(
    model: ModelDeclaration,
    interval: Interval,
    as_of: datetime,
    versions: Mapping[str, int] | None = None,
    *,
    declared: Declarations | None = None,
) -> TrainingSet:
    """Join the events of ``interval`` with what was known before each, and with their labels as known at ``as_of``.

    ``versions`` pins the table version of views by name; what is left out is pinned to the newest now, and the result
    says which. The same request gives the same bytes. Columns: the entity's keys, event_time, prediction_time, the
    features in the model's order, label (text for a classifier, a number for regression); ordered by event time, then
    keys.

    Raises:
        TableMissing: when a view was never published, or not in the pinned version.
        PromiseBroken: when a day that is read is not what the ledger recorded.
        BadLabels, LabelGivenTwice: when label.sql gives what cannot be used.
        KeysNotComparable: when a join key is of types that have no value in common.
        SqlFailed, SourceUnreachable, TableVanished, ColumnVanished: when the labels cannot be read.
    """
    import pyarrow.compute as pc

    from include.adapters import sql_engine

    known = declared or declarations()
    joined, pinned, availability = _features(model, interval, as_of, versions, known)
    labels = matured_labels(model, interval, as_of, declared=known)
    labelled_rows, remarks = label_of_each(model, joined, labels, declared=known)
    found = labelled_rows.column("label")
    availability = replace(availability, key_remarks=(*availability.key_remarks, *remarks))
    for remark in availability.key_remarks:
        print(remark)
    closed = _closed(model, joined.column("event_time"), as_of)
    labelled = pc.is_valid(found)
    rows = joined.append_column("label", found)
    kept = pc.and_(closed, labelled)
    rows = (rows if _true(kept) == rows.num_rows else rows.filter(kept)).combine_chunks()
    path, content = _written(rows, model.name, as_of)
    tables_touched.reads(tables_touched.view_table(known.view(use.view)) for use in model.views)
    tables_touched.reads(tables_touched.source_tables(model.label.source))
    tables_touched.writes([tables_touched.training_set(str(path))])
    times = pc.min_max(rows.column("event_time")).as_py()
    counted = (
        {v["values"]: v["counts"] for v in pc.value_counts(rows.column("label")).to_pylist()}
        if model.is_classifier
        else {}
    )
    return TrainingSet(
        model=model.name,
        path=str(path),
        rows=rows.num_rows,
        content_hash=content,
        label_hash=sql_engine.semantic_hash(
            model.label_sql,
            model.label.model_dump(mode="json"),
            what=f"The label of {model.name!r}",
            file=f"models/{model.name}/label.sql",
        ),
        start=interval.start.isoformat(),
        end=interval.end.isoformat(),
        as_of=as_of.isoformat(),
        table_versions=pinned,
        features=model.features,
        label_counts={name: counted.get(name, 0) for name in model.label.classes or ()} if model.is_classifier else {},
        never_labelled=_true(pc.and_(closed, pc.invert(labelled))),
        not_matured=_true(pc.invert(closed)),
        first_event=times["min"].isoformat() if isinstance(times["min"], datetime) else None,
        last_event=times["max"].isoformat() if isinstance(times["max"], datetime) else None,
        availability=availability,
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
    rows, _, availability = _features(model, interval, as_of, versions, declared or declarations(), hold)
    for remark in availability.key_remarks:
        print(remark)
    return rows


def joined(
    model: ModelDeclaration, interval: Interval, as_of: datetime, *, declared: Declarations | None = None
) -> tuple[pa.Table, JoinAvailability]:
    """The rows of ``features_for``, and when their values were known, as ``TrainingSet.availability`` says it."""
    rows, _, availability = _features(model, interval, as_of, None, declared or declarations())
    return rows, availability


def matured_labels(
    model: ModelDeclaration, interval: Interval, as_of: datetime, *, declared: Declarations | None = None
) -> pa.Table:
    """The labels of ``interval``'s events whose window had closed at ``as_of``, as known then.

    Columns: the entity's keys, label, event_time, available_time. An event of a closed window that is not among them
    had no label at ``as_of``; that is not label 0.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from include.adapters import source, sql_engine

    keys = (declared or declarations()).view(model.entity.view).keys
    url = settings().source_url
    what, file = f"The label of {model.name!r}", f"models/{model.name}/label.sql"
    named = sql_engine.named_in(model.label_sql, what=what, file=file)
    tables = {
        each.table: source.extract(url, each, interval, as_of, what=what, named=named) for each in model.label.source
    }
    left_out = {table: source.left_out(rows) for table, rows in tables.items()}
    rows = sql_engine.run_sql(model.label_sql, tables, interval, what=what, file=file, left_out=left_out)
    wanted = [*keys, "label", "event_time", "available_time"]
    missing = [name for name in wanted if name not in rows.column_names]
    if missing:
        raise BadLabels(model.name, f"it does not give {', '.join(missing)}; it must give {', '.join(wanted)}")
    rows = rows.select(wanted)
    for name in ("event_time", "available_time"):
        if not (pa.types.is_timestamp(rows.column(name).type) and rows.column(name).type.tz):
            raise BadLabels(model.name, f"{name} is {rows.column(name).type}; it must be a TIMESTAMPTZ")
    rows = rows.set_column(rows.column_names.index("label"), "label", _label(model, rows.column("label")))
    moment = rows.column("event_time")
    timely = pc.less_equal(rows.column("available_time"), _scalar(as_of))
    inside = pc.and_(pc.greater_equal(moment, _scalar(interval.start)), pc.less(moment, _scalar(interval.end)))
    return rows.filter(pc.and_(pc.and_(timely, inside), _closed(model, moment, as_of)))


def label_of_each(
    model: ModelDeclaration, requests: pa.Table, labels: pa.Table, *, declared: Declarations | None = None
) -> tuple[pa.Table, list[str]]:
    """Columns ``label`` and ``available_time`` for each request, in their order, missing where there is none; and what
    is to be said about keys whose types differ, in sentences.

    Raises:
        LabelGivenTwice, KeysNotComparable: when label.sql gives what cannot be joined.
    """
    from include.adapters.point_in_time import KeysOfTwoKinds, KeysTold, with_labels

    entity = (declared or declarations()).view(model.entity.view)
    file, told = f"models/{model.name}/label.sql", list[KeysTold]()
    try:
        found = with_labels(requests, labels, keys=entity.keys, told=told)
    except KeysOfTwoKinds as error:
        raise KeysNotComparable(model.name, f"view {entity.ref!r}", file, error) from None
    return found, key_remarks(entity.ref, file, told)


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


def read(made: TrainingSet) -> pa.Table:
    """The rows of a built training set.

    Raises:
        TrainingSetDamaged: when the file is gone or its content is not what was built.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from include.adapters import offline_store

    try:
        rows = pq.read_table(made.path)
    except (OSError, pa.ArrowException) as error:
        raise TrainingSetDamaged(made.path, " ".join(str(error).split()).rstrip(".")) from error
    if offline_store.content_hash(rows) != made.content_hash:
        raise TrainingSetDamaged(made.path, "its content is not what was built")
    return rows


# --- the join --------------------------------------------------------------------------------------------------------


def _features(
    model: ModelDeclaration,
    interval: Interval,
    as_of: datetime,
    versions: Mapping[str, int] | None,
    declared: Declarations,
    hold: bool = True,
) -> tuple[pa.Table, dict[str, int], JoinAvailability]:
    """The joined rows, the table version of each view, and when the features were known, as ``TrainingSet`` says.
    With ``hold``, every day that is read is first compared with the ledger's promise."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from include.adapters import offline_store
    from include.domain.gates import late_rows

    store = offline_store.OfflineStore(settings().store)
    views = {use.view: declared.view(use.view) for use in model.views}
    pinned = {name: _PinnedView(store, view, _version(store, view, versions), hold) for name, view in views.items()}
    entity = declared.view(model.entity.view)

    spine = pinned[entity.ref].rows(interval)
    asked_at = pc.subtract(spine.column("event_time"), pa.scalar(model.entity.lead, pa.duration("us")))
    spine = spine.append_column("prediction_time", asked_at)
    due = pc.less_equal(asked_at, _scalar(as_of))
    spine = (spine if _true(due) == spine.num_rows else spine.filter(due)).combine_chunks()
    # The spine's own row is used only once it was available, both for its features and for the keys of other views.
    available = pc.less_equal(spine.column("available_time"), spine.column("prediction_time"))
    if _true(available) < spine.num_rows:
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
        any_late = _true(pc.greater(known_at, spine.column("prediction_time"))) > 0
        for feature in use.features:
            columns[feature] = given.column(feature).cast(pa.type_for_alias(kinds[feature]))
            late[feature] = 0
            if not any_late:
                continue
            known = pc.if_else(pc.is_valid(columns[feature]), known_at, pa.scalar(None, known_at.type))
            count, most = late_rows(known.to_numpy(), spine.column("prediction_time").to_numpy())
            late[feature] = count
            if count:
                by_most[feature] = most.total_seconds()
    remarks = [each for view, seen in told.items() for each in key_remarks(entity.ref, f"view {view!r}", seen)]
    versions_read = {name: each.version for name, each in pinned.items()}
    return pa.table(columns), versions_read, JoinAvailability(spine.num_rows, late, by_most, tuple(remarks))


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
    model: ModelDeclaration, pinned: _PinnedView, features: list[str], spine: pa.Table, told: list[KeysTold]
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


def _label(model: ModelDeclaration, column: Any) -> Any:
    """The label as the name of its declared class however it was written, or as a finite number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if model.is_classifier:
        return _class_names(model, column)
    try:
        column = column.cast(pa.float64())
    except pa.ArrowException as error:
        raise BadLabels(
            model.name, f"label is {column.type} and cannot be double: {' '.join(str(error).split())}"
        ) from error
    infinite = _true(pc.invert(pc.is_finite(pc.drop_null(column))))
    if infinite:
        raise BadLabels(model.name, f"{infinite} labels are NaN or infinite")
    return column


def _class_names(model: ModelDeclaration, column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    names = model.label.classes or []
    encoded = pc.dictionary_encode(column).combine_chunks()
    written = encoded.dictionary.to_pylist()
    meant = classes.meaning(names, written)
    codes = pa.array([None if at is None else names[at] for at in meant], pa.string())
    counted = {c["values"]: c["counts"] for c in pc.value_counts(encoded.indices).to_pylist()}
    # An empty text and NaN are wrong too: a source without a label must give NULL.
    strange = [
        classes.Strange(value, counted.get(i, 0))
        for i, (value, at) in enumerate(zip(written, meant, strict=True))
        if at is None and value is not None
    ]
    if strange:
        raise BadLabels(model.name, classes.refused("label", strange, names).rstrip("."))
    return pa.chunked_array([codes.take(encoded.indices)])


def _closed(model: ModelDeclaration, moment: Any, as_of: datetime) -> Any:
    """Whether each event's label window had closed at ``as_of``."""
    import pyarrow.compute as pc

    return pc.less_equal(moment, _scalar(as_of - model.label.delay))


def _scalar(moment: datetime) -> Any:
    import pyarrow as pa

    return pa.scalar(moment, pa.timestamp("us", tz="UTC"))


def _true(mask: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(mask).as_py() or 0)


def _written(rows: pa.Table, model: str, as_of: datetime) -> tuple[Path, str]:
    """Where the rows are now, under the name of their content hash, and that hash."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from include.adapters import files, offline_store

    folder = settings().artifacts / "training_sets" / model
    with files.draft(folder, f"{as_of:%Y%m%d}") as (unfinished, keep_as):
        with ThreadPoolExecutor(1) as beside:
            hashed = beside.submit(offline_store.content_hash, rows)
            # A dictionary saves time for text only: numbers rarely repeat.
            text = [field.name for field in rows.schema if pa.types.is_string(field.type)]
            pq.write_table(rows, unfinished, compression="lz4", use_dictionary=text)
            content = hashed.result()
        path = folder / f"{as_of:%Y%m%d}-{content[:16]}.parquet"
        keep_as(path)
    return path, content
