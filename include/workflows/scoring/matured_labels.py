"""The labels of requests, where their window had closed, as they were known at a moment."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.config.declared import Declarations
from include.config.loader import declarations
from include.config.settings import settings
from include.config.types import ModelDeclaration
from include.domain import classes
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.workflows.scoring.arrow_values import count_true, moment_of
from include.workflows.scoring.point_in_time_rows import KeysNotComparable, key_remarks

if TYPE_CHECKING:
    import pyarrow as pa


class BadLabels(Refusal, ValueError):
    """label.sql gives something that cannot be a label of this model."""

    def __init__(self, model: str, problem: str) -> None:
        super().__init__(f"models/{model}/label.sql: {problem}.")


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
    timely = pc.less_equal(rows.column("available_time"), moment_of(as_of))
    inside = pc.and_(pc.greater_equal(moment, moment_of(interval.start)), pc.less(moment, moment_of(interval.end)))
    return rows.filter(pc.and_(pc.and_(timely, inside), has_closed(model, moment, as_of)))


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


def has_closed(model: ModelDeclaration, moment: Any, as_of: datetime) -> Any:
    """Whether each event's label window had closed at ``as_of``."""
    import pyarrow.compute as pc

    return pc.less_equal(moment, moment_of(as_of - model.label.delay))


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
    infinite = count_true(pc.invert(pc.is_finite(pc.drop_null(column))))
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
