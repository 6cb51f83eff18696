"""What is wrong with features.sql and label.sql: by their text alone, and bound to what the source has now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from include.config import Declarations, FeatureView, ModelDeclaration, loader
from include.config.problems import did_you_mean
from include.config.types import SourceTable
from include.domain.intervals import Interval, spoken
from include.workflows.validation.source_shapes import SourceShapes

if TYPE_CHECKING:
    import pyarrow as pa

TIMES = ("event_time", "available_time")
A_DAY = Interval.of_day("2024-01-01")
INTERVAL = "interval_"
WAY_TO_UTC = "write column AT TIME ZONE 'UTC' AS"
KINDS_OF_NOTHING = ("int32", "null")
"""What DuckDB calls the type of a bare NULL."""


@dataclass
class BoundQueries:
    """What the queries give, by view and by model, where they could be bound; and every line of what is wrong."""

    views: dict[str, pa.Schema] = field(default_factory=dict)
    labels: dict[str, pa.Schema] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """By ``view NAME`` or ``model NAME``."""

    def add(self, whose: str, lines: Sequence[str]) -> None:
        if lines:
            self.wrong.setdefault(whose, []).extend(lines)


@dataclass(frozen=True)
class _Query:
    """One declared query: its text, its file, the tables it may read, and the file and place that declare these."""

    sql: str
    file: Path
    tables: Sequence[SourceTable]
    declared_in: Path
    under: tuple[str, ...]

    def line(self, number: int, told: str) -> str:
        return f"{loader.shown(self.file)}:{number}: {sentence(told)}"


def check(read: Declarations, shapes: SourceShapes | None) -> BoundQueries:
    """Everything that is wrong with the queries. Without ``shapes`` their text alone is judged."""
    found = BoundQueries()
    for name, view in sorted(read.views.items()):
        query = _Query(view.sql, view.file.parent / "features.sql", view.source, view.file, ("source",))
        wanted = [*view.keys, *view.features, *view.carries, *TIMES]
        lines, schema = _checked(query, wanted, shapes, may_give_more=False)
        if schema is not None:
            found.views[name] = schema
            lines += list(_wrong_types(view, query, schema))
        found.add(f"view {name}", lines)
    for name, model in sorted(read.models.items()):
        query = _Query(
            model.label_sql, model.file.parent / "label.sql", model.label.source, model.file, ("label", "source")
        )
        wanted = [*read.view(model.entity.view).keys, "label", *TIMES]
        lines, schema = _checked(query, wanted, shapes, may_give_more=True)
        if schema is not None:
            found.labels[name] = schema
            lines += list(_wrong_label(model, query, schema))
        lines += list(_never_known(read, model))
        lines += list(_never_meet(read, model, found, query))
        found.add(f"model {name}", lines)
    return found


def _checked(
    query: _Query, wanted: Sequence[str], shapes: SourceShapes | None, *, may_give_more: bool
) -> tuple[list[str], pa.Schema | None]:
    """The lines of what is wrong; and what the query gives, where it could be bound."""
    from include.adapters import sql_engine

    said = sql_engine.read_text(query.sql)
    if isinstance(said, sql_engine.SqlFault):
        return [query.line(said.line, said.told)], None
    lines = [
        query.line(line, f"{what} gives another result in another run; every time comes from the rows or interval_")
        for what, line in said.changing
    ]
    lines += list(_strange_tables(query, said.tables))
    given = [name for name, _ in said.columns] if said.columns is not None else None
    schemas: Mapping[str, pa.Schema] = {}
    if shapes is not None:
        named = sql_engine.named_in(query.sql, what="It", file=query.file)
        schemas, left_out, wrong = shapes.of(query.tables, named)
        lines += [
            f"{loader.line_of(query.declared_in, (*query.under, *where))}: {sentence(told)}" for where, told in wrong
        ]
        if shapes.unread is None and not lines:
            bound = sql_engine.bound(query.sql, schemas, A_DAY)
            if isinstance(bound, sql_engine.SqlFault):
                return [query.line(bound.line, bound.told + _why_missing(bound.told, left_out))], None
            # DuckDB renames what is given twice, and names what has none.
            names = bound.names if given is None else given
            lines += list(_wrong_columns(query, names, wanted, may_give_more))
            return lines, None if lines else bound
    if given is not None:
        lines += list(_wrong_columns(query, given, wanted, may_give_more))
    return lines, None


def _strange_tables(query: _Query, tables: Sequence[tuple[str, int]]) -> Iterator[str]:
    declared = [each.table for each in query.tables]
    known = {name.lower() for name in (*declared, INTERVAL)}
    for name, line in tables:
        if name.lower() in known and ("." not in name or f'"{name}"' in query.sql):
            continue
        if name.lower() in known:
            yield query.line(line, f'the table is written {name}; put a name with a schema in quotes, "{name}"')
            continue
        near = did_you_mean(name, [*declared, INTERVAL])
        field_name = ".".join(query.under)
        yield query.line(
            line,
            f"the table {name!r} is not declared; {field_name} of {query.declared_in.name} has: "
            f"{', '.join(declared)}, and every query may read {INTERVAL}.{near}",
        )


def _wrong_columns(query: _Query, given: Sequence[str], wanted: Sequence[str], may_give_more: bool) -> Iterator[str]:
    missing, extra = [c for c in wanted if c not in given], [c for c in given if c not in wanted]
    line_of = _lines(query)
    for name in missing:
        near = did_you_mean(name, [c for c in extra if c])
        line = line_of(next((c for c in extra if near and f"{c!r}" in near), ""))
        what = "dates each row" if name in TIMES else "is declared"
        yield query.line(line, f"it gives no {name!r}, which {what}; it gives: {_listed(given)}.{near}")
    for name in [] if may_give_more else extra:
        near = did_you_mean(name, missing)
        shown = f"a column {name!r}" if name else "a column without a name"
        yield query.line(
            line_of(name),
            f"it gives {shown}, which view.yaml does not declare; declared are: {', '.join(wanted)}.{near} "
            "Leave it out, or declare it in columns or carries",
        )
    for name in sorted({c for c in given if c and list(given).count(c) > 1}):
        yield query.line(line_of(name), f"it gives {name!r} twice; give each column once")


def _wrong_types(view: FeatureView, query: _Query, schema: pa.Schema) -> Iterator[str]:
    import pyarrow as pa

    line_of = _lines(query)
    yield from _wrong_times(query, schema)
    for column in view.columns:
        kind = schema.field(column.name).type
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        is_time = pa.types.is_temporal(kind)
        as_type = {"numeric": "DOUBLE", "boolean": "BOOLEAN", "categorical": "VARCHAR"}[column.kind]
        way = f"write CAST(... AS {as_type}), or declare another kind"
        if column.kind != "categorical" and (is_text or is_time):
            what = "text" if is_text else str(kind)
            yield query.line(line_of(column.name), f"{column.name!r} is {what}, and is declared {column.kind}; {way}")
        elif column.kind == "categorical" and pa.types.is_floating(kind):
            yield query.line(line_of(column.name), f"{column.name!r} is {kind}, and is declared categorical; {way}")
        elif pa.types.is_nested(kind):
            yield query.line(line_of(column.name), f"{column.name!r} is {kind}, and no feature; {way}")


def _wrong_times(query: _Query, schema: pa.Schema) -> Iterator[str]:
    import pyarrow as pa

    line_of = _lines(query)
    for name in TIMES:
        kind = schema.field(name).type
        if pa.types.is_timestamp(kind) and kind.tz:
            continue
        what = "a time without a zone" if pa.types.is_timestamp(kind) else f"{kind}"
        way = WAY_TO_UTC if pa.types.is_timestamp(kind) else "write (CAST(column AS TIMESTAMP)) AT TIME ZONE 'UTC' AS"
        yield query.line(line_of(name), f"{name} is {what}; it must be a TIMESTAMPTZ: {way} {name}")


def _wrong_label(model: ModelDeclaration, query: _Query, schema: pa.Schema) -> Iterator[str]:
    import pyarrow as pa

    yield from _wrong_times(query, schema)
    kind = schema.field("label").type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not model.is_classifier and not is_number and str(kind) not in KINDS_OF_NOTHING:
        line = _lines(query)("label")
        yield query.line(line, f"label is {kind}, and task is regression; write CAST(... AS DOUBLE) AS label")


def _never_known(read: Declarations, model: ModelDeclaration) -> Iterator[str]:
    """A row of the entity's view that is only available after the prediction: none of its features is ever known."""
    from include.adapters import sql_engine

    view, lead = read.view(model.entity.view), model.entity.lead
    place = loader.line_of(model.file, ("entity", "lead"))
    after = "so none of its features has ever a value"
    if view.delay and not view.ahead:
        yield (
            f"{place}: entity.view {view.ref!r} has a delay of {spoken(view.delay)}, and is asked {spoken(lead)} "
            f"before the event: its rows are only available after it, {after}. Give the view ahead, or predict for the "
            "rows of another view."
        )
        return
    said = sql_engine.read_text(view.sql)
    if lead > timedelta(0) and isinstance(said, sql_engine.SqlText) and said.times_are_one:
        yield (
            f"{place}: entity.lead is {spoken(lead)}, and features.sql of {view.ref!r} gives one time as event_time "
            f"and available_time: each row is available {spoken(lead)} too late, {after}. Give the time at which the "
            "source knew the row as available_time, or set lead to 0m."
        )


def _never_meet(read: Declarations, model: ModelDeclaration, bound: BoundQueries, query: _Query) -> Iterator[str]:
    """Keys of types that have no value in common."""
    from include.adapters.point_in_time import can_meet

    entity = read.view(model.entity.view)
    spine = bound.views.get(entity.ref)
    if spine is None:
        return
    for i, use in enumerate(model.views):
        view, other = read.view(use.view), bound.views.get(use.view)
        if other is None or view.ref == entity.ref:
            continue
        for key in view.keys:
            mine, its = spine.field(key).type, other.field(key).type
            if not can_meet(mine, its):
                place = loader.line_of(model.file, ("views", i, "view"))
                yield (
                    f"{place}: views.{i}.view {use.view!r} is joined by {key!r}, which is {its} there and {mine} in "
                    f"{entity.ref!r}; the two never meet. Cast one of them in its SQL."
                )
    label = bound.labels.get(model.name)
    if label is None:
        return
    for key in entity.keys:
        mine, its = spine.field(key).type, label.field(key).type
        if not can_meet(mine, its):
            line = _lines(query)(key)
            yield query.line(
                line, f"{key!r} is {its}, and {mine} in {entity.ref!r}; the two never meet: cast one of them"
            )


# --- small things ----------------------------------------------------------------------------------------------------


def _why_missing(told: str, left_out: Mapping[str, Mapping[str, str]]) -> str:
    reasons = [
        f" {table}.{column} is there and cannot be read: {why}; make a database view that casts it, and read that"
        for table, without in left_out.items()
        for column, why in without.items()
        if f"{column!r}" in told
    ]
    return ("." if reasons else "") + "".join(reasons)


def _lines(query: _Query) -> Callable[[str], int]:
    """The line on which the query gives a column."""
    from include.adapters import sql_engine

    said = sql_engine.read_text(query.sql)
    return said.line_of if isinstance(said, sql_engine.SqlText) else lambda _: 1


def _listed(names: Collection[str]) -> str:
    return ", ".join(name or "(no name)" for name in names) or "nothing"


def sentence(told: str) -> str:
    """The text with its point, unless it ends as a question."""
    text = told.strip()
    return text if text.endswith((".", "?")) else f"{text}."
