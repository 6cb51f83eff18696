"""Turns the result of features.sql into the rows that view.yaml declares, or refuses it by view, column, day and
count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.config.types import FeatureView
from include.domain.errors import Refusal

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = {"numeric": "double", "categorical": "string", "boolean": "bool"}
EXACT_INTEGERS = 2**53
"""A double holds every whole number up to here exactly, and not every one past it."""


class ViewRowsWrong(Refusal, ValueError):
    """features.sql gives other columns, types or values than view.yaml declares."""

    def __init__(self, view: FeatureView, problem: str) -> None:
        super().__init__(f"features/{view.name}/features.sql does not give what its view.yaml declares: {problem}.")


@dataclass(frozen=True, slots=True)
class ViewRows:
    """The rows in the declared columns and types, with their day, ordered by day, keys and event time; and what was
    settled on the way, in counts."""

    rows: pa.Table
    nan: dict[str, int] = field(default_factory=dict)
    """NaN that became missing, by column: both mean that there is no number."""
    repeated: int = 0
    """Rows dropped because another is equal to them in every column."""


def settled(view: FeatureView, given: pa.Table) -> ViewRows:
    """The declared columns in the declared order and types, and the day.

    NaN becomes missing. A row that is equal to another in every column is kept once; rows that share keys and event
    time and differ in anything else are all kept, for the audit to refuse. No row is available before the view's
    ``delay`` has passed.

    Raises:
        ViewRowsWrong: for a missing or undeclared column, a type that is not the declared one, or an integer that a
        double does not hold exactly.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from include.adapters import offline_store

    kinds = {column.name: column.kind for column in view.columns}
    wanted = [*view.keys, *view.features, *view.carries, "event_time", "available_time"]
    has = given.column_names
    missing, extra = [c for c in wanted if c not in has], [c for c in has if c not in wanted]
    if missing or extra or len(has) != len(wanted):
        twice = sorted({c for c in has if has.count(c) > 1})
        raise ViewRowsWrong(
            view,
            f"missing are: {', '.join(missing) or 'none'}; not declared are: {', '.join(extra) or 'none'}"
            + (f"; given twice are: {', '.join(twice)}" if twice else ""),
        )
    arrays, nan = [], {}
    for name in wanted:
        column = given.column(name)
        try:
            if name in ("event_time", "available_time"):
                if not (pa.types.is_timestamp(column.type) and column.type.tz):
                    raise ViewRowsWrong(view, f"{name} is {column.type}; it must be a TIMESTAMPTZ")
                column = column.cast(pa.timestamp("us", tz="UTC"))
            elif name in kinds:
                _require_kind(view, name, kinds[name], given)
                column = column.cast(pa.type_for_alias(TYPES[kinds[name]]))
                if kinds[name] == "numeric":
                    is_nan = pc.is_nan(column)
                    if found := int(pc.sum(is_nan).as_py() or 0):
                        nan[name] = found
                        column = pc.if_else(pc.fill_null(is_nan, False), pa.scalar(None, pa.float64()), column)
            elif pa.types.is_integer(column.type):
                column = column.cast(pa.int64())
            elif pa.types.is_floating(column.type):
                column = _exact_key(view, name, column, given, nan)
        except pa.ArrowException as error:
            reason = " ".join(str(error).split())
            raise ViewRowsWrong(
                view, f"column {name!r} is {column.type} and cannot be {kinds.get(name, 'kept')}: {reason}"
            ) from error
        arrays.append(column)
    rows = _as_promised(view, pa.table(arrays, names=wanted))
    identity = [*view.keys, "event_time"]
    in_order = offline_store.ordered(offline_store.with_day(rows), [offline_store.DAY, *identity])
    if offline_store.are_distinct(in_order, identity):
        return ViewRows(in_order, nan)
    others = [name for name in wanted if name not in identity]
    distinct = offline_store.each_once(offline_store.ordered(in_order, [offline_store.DAY, *identity, *others]))
    return ViewRows(distinct, nan, rows.num_rows - distinct.num_rows)


def _as_promised(view: FeatureView, rows: pa.Table) -> pa.Table:
    """The rows with an available time at which readers may count on them: ``delay`` after the event, or when the SQL
    says, whichever is later; of rows that are known ahead of their event, ``delay`` after the SQL's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not view.delay:
        return rows
    event, available = rows.column("event_time"), rows.column("available_time")
    promised = pc.add(available if view.ahead else event, pa.scalar(view.delay, pa.duration("us")))
    # A row without a time stays one, for the audit to refuse.
    later = pc.if_else(pc.greater(promised, available), promised, available)
    return rows.set_column(rows.column_names.index("available_time"), "available_time", later)


def _require_kind(view: FeatureView, name: str, kind: str, given: pa.Table) -> None:
    """Refuse what Arrow would convert silently: texts that can be read as numbers, numbers that lose digits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = given.column(name)
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if kind != "categorical" and is_text and column.null_count < len(column):
        where = _where(given, pc.is_valid(column), name)
        raise ViewRowsWrong(
            view, f"column {name!r} is text in {where}, and is declared {kind}; cast it in features.sql"
        )
    if kind == "categorical" and pa.types.is_floating(column.type) and column.null_count < len(column):
        where = _where(given, pc.is_valid(column), name)
        raise ViewRowsWrong(
            view, f"column {name!r} is {column.type} in {where}, and is declared categorical; cast it in features.sql"
        )
    if kind == "numeric" and (pa.types.is_integer(column.type) or pa.types.is_decimal(column.type)):
        # In a type that holds the bound and the values: DuckDB's sums are decimals, its UBIGINT goes to 2**64.
        unsigned = pa.types.is_unsigned_integer(column.type)
        wide = pa.uint64() if unsigned else pa.int64() if pa.types.is_integer(column.type) else pa.decimal128(38, 0)
        whole = column.cast(wide) if pa.types.is_integer(column.type) else pc.round(column)
        past = pc.greater(whole, pa.scalar(EXACT_INTEGERS, wide))
        if not unsigned:
            past = pc.or_(past, pc.less(whole, pa.scalar(-EXACT_INTEGERS, wide)))
        past = pc.fill_null(past, False)
        if pc.any(past).as_py():
            raise ViewRowsWrong(
                view,
                f"column {name!r} has {_where(given, past, name)} past 2^53, which no double holds exactly; "
                "scale it in features.sql, or declare it categorical",
            )


def _exact_key(view: FeatureView, name: str, column: Any, given: pa.Table, nan: dict[str, int]) -> Any:
    """The key with NaN as missing; refused where one double may represent several whole numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_nan = pc.fill_null(pc.is_nan(column), False)
    if found := int(pc.sum(is_nan).as_py() or 0):
        nan[name] = found
        column = pc.if_else(is_nan, pa.scalar(None, column.type), column)
    past = pc.fill_null(pc.greater(pc.abs(column), pa.scalar(float(EXACT_INTEGERS), column.type)), False)
    if name in view.keys and pc.any(past).as_py():
        raise ViewRowsWrong(
            view,
            f"the key {name!r} is {column.type} and has {_where(given, past, name)} past 2^53, where one double is "
            "many whole numbers; cast it to BIGINT or VARCHAR in features.sql, or in a database view of the source",
        )
    return column


def _where(given: pa.Table, mask: Any, name: str) -> str:
    """``2 values (the first on 2024-03-02: 7)``."""
    bad = given.select([name, "event_time"]).filter(mask).sort_by("event_time")
    first = bad.slice(0, 1).to_pylist()[0]
    moment = first["event_time"]
    day = moment.date().isoformat() if hasattr(moment, "date") else str(moment)
    count = bad.num_rows
    return f"{count:,} value{'' if count == 1 else 's'} (the first on {day}: {str(first[name])[:40]!r})"
