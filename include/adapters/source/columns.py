"""Which of a table's columns are read, how each is asked for, and what it becomes in Arrow."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pyarrow as pa
from sqlalchemy import (
    CHAR,
    Boolean,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Float,
    Integer,
    Numeric,
    String,
    Text,
    Uuid,
    cast,
    column,
    func,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SAWarning
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.types import NullType, TypeEngine

from include.adapters.source.errors import ColumnUnreadable, ColumnVanished, TableVanished
from include.config.types import SourceTable

AS_TEXT = (Uuid, postgresql.INET, postgresql.CIDR, postgresql.MACADDR, postgresql.MACADDR8, CHAR)
"""Types whose values the database converts to text; a CHAR(3) loses its padding then, which is not part of the
value."""
OF_STORAGE: dict[frozenset[str], tuple[TypeEngine[Any], pa.DataType]] = {
    frozenset({"integer"}): (Integer(), pa.int64()),
    frozenset({"real"}): (Float(), pa.float64()),
    frozenset({"integer", "real"}): (Float(), pa.float64()),
    frozenset({"text"}): (String(), pa.string()),
}
"""What a SQLite column without a declared type is, by how its values are stored."""


class Form(Enum):
    """How a column's values come from the driver."""

    PLAIN = "as its type says"
    MOMENT = "a time in any form"
    DAY = "a date in any form"
    FLAG = "true or false in any form"


@dataclass(frozen=True, slots=True)
class Read:
    """One column that is read."""

    name: str
    kind: TypeEngine[Any]
    """Its type in the source."""
    arrow: pa.DataType
    form: Form = Form.PLAIN
    as_text: bool = False

    @property
    def raw(self) -> ColumnClause[Any]:
        """The column in the source, to be compared."""
        return column(self.name) if self.form is not Form.PLAIN else column(self.name, self.kind)

    @property
    def asked(self) -> ColumnElement[Any]:
        """What is selected."""
        return cast(column(self.name), Text).label(self.name) if self.as_text else self.raw

    @property
    def is_native_time(self) -> bool:
        """Whether the database itself has it as a time."""
        return self.form is Form.PLAIN and isinstance(self.kind, DateTime)


@dataclass(frozen=True, slots=True)
class SourceLayout:
    """What is read of a table, in its order, and what is left out, with the reason."""

    source: SourceTable
    reads: tuple[Read, ...]
    left_out: dict[str, str]

    @property
    def table(self) -> Any:
        schema, name = split_name(self.source.table)
        return table(name, *(column(each.name) for each in self.reads), schema=schema)

    @property
    def arrow(self) -> pa.Schema:
        return pa.schema([(each.name, each.arrow) for each in self.reads])

    def read(self, name: str) -> Read:
        return next(each for each in self.reads if each.name == name)


def split_name(name: str) -> tuple[str | None, str]:
    """``sales.orders`` as schema and table."""
    schema, _, bare = name.rpartition(".")
    return schema or None, bare


def layout(
    connection: Connection,
    source: SourceTable,
    named: Collection[str] | None,
    doubted: Mapping[str, str] | None = None,
) -> SourceLayout:
    """The columns that can be read, or those that are declared. ``named`` are the words, in lower case, that the SQL
    uses for columns, ``*`` among them where it takes all: a column of SQLite without a type is read only if it is one
    of them, since its values have to be read to find their type. ``doubted`` are columns that hold other
    values than their type says, and what it was: such a column is left out, or where it is needed read by its values.

    Raises:
        TableVanished, ColumnVanished: naming what is missing and what is there.
        ColumnUnreadable: for a column that is declared, or holds the time, and has no place in Arrow.
    """
    inspector = inspect(connection)
    schema, name = split_name(source.table)
    if not (inspector.has_table(name, schema=schema) or name in inspector.get_view_names(schema=schema)):
        there = {*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)}
        raise TableVanished(
            connection.engine.url, source.table, sorted(f"{schema}.{t}" if schema else t for t in there)
        )
    with warnings.catch_warnings():
        # Of a type that SQLAlchemy does not know; it is left out, which is reported if it is needed.
        warnings.simplefilter("ignore", SAWarning)
        found = {c["name"]: c["type"] for c in inspector.get_columns(name, schema=schema)}
    for needed in (source.time, source.known, *(source.columns or ())):
        if needed is not None and needed not in found:
            raise ColumnVanished(source.table, needed, list(found))
    times = {name for name in (source.time, source.known) if name is not None}
    reads, left_out = [], {}
    for which, kind in found.items():
        is_declared = source.columns is not None and which in source.columns
        if source.columns is not None and not is_declared and which not in times:
            left_out[which] = "it is not among its columns in the declaration"
            continue
        if doubted is not None and which in doubted:
            is_needed = _needs(source, named, which)
            odd = "its type is none that SQLite knows"
            read = _by_storage(connection, source, which, odd) if is_needed else doubted[which]
        else:
            read = _read(connection, source, which, _of_domain(kind), which in times, is_declared, named)
        if isinstance(read, Read):
            reads.append(read)
        elif is_declared or which in times:
            raise ColumnUnreadable(source.table, which, f"{read}. {WAY_OUT}")
        else:
            left_out[which] = read
    if not reads:
        first = next(iter(left_out), "*")
        raise ColumnUnreadable(source.table, first, f"{left_out.get(first, 'there is no column')}. {WAY_OUT}")
    return SourceLayout(source, tuple(reads), left_out)


def _needs(source: SourceTable, named: Collection[str] | None, which: str) -> bool:
    """Whether the column is declared, or the SQL may use it."""
    declared = source.columns or ()
    is_named = named is None or "*" in named or which.lower() in named
    return is_named or which in (source.time, source.known, *declared)


def _has_foreign_type(connection: Connection, source: SourceTable, which: str) -> bool:
    """Whether SQLite was given a type that it does not know, such as UUID: it then treats the column as numeric because
    of the type's spelling, and stores any value."""
    if connection.dialect.name != "sqlite":
        return False
    schema, name = split_name(source.table)
    told = text("SELECT type FROM pragma_table_info(:name, :schema) WHERE name = :which")
    given = connection.execute(told, {"name": name, "schema": schema, "which": which}).scalar()
    return given is not None and given.partition("(")[0].strip().upper() not in sqlite.base.ischema_names


def may_go_otherwise(connection: Connection, source: SourceTable, named: Collection[str] | None, which: str) -> bool:
    """Whether the rows can be read although this column cannot be as its type says."""
    if which in (source.time, source.known):
        return False
    return not _needs(source, named, which) or _has_foreign_type(connection, source, which)


WAY_OUT = "Make a database view that casts it to text, a number or a timestamp, and read that"


def _read(
    connection: Connection,
    source: SourceTable,
    which: str,
    kind: TypeEngine[Any],
    is_time: bool,
    is_declared: bool,
    named: Collection[str] | None,
) -> Read | str:
    """How the column is read; or why it is not."""
    is_sqlite = connection.dialect.name == "sqlite"
    if is_time:
        if isinstance(kind, DateTime) and not is_sqlite:
            return Read(which, kind, pa.timestamp("us", tz="UTC"))
        if is_sqlite or isinstance(kind, Date | Integer | Float | Numeric | String):
            return Read(which, kind, pa.timestamp("us", tz="UTC"), Form.MOMENT)
        return f"it is compared with a time and must be a timestamp, not {kind!r}"
    match kind:
        case DateTime():
            return Read(which, kind, pa.timestamp("us", tz="UTC"), Form.MOMENT if is_sqlite else Form.PLAIN)
        case Date():
            return Read(which, kind, pa.date32(), Form.DAY if is_sqlite else Form.PLAIN)
        case Boolean():
            return Read(which, kind, pa.bool_(), Form.FLAG if is_sqlite else Form.PLAIN)
        case Integer():
            return Read(which, kind, pa.int64())
        case Float():
            return Read(which, kind, pa.float64())
        case Numeric():
            return Read(which, Numeric(asdecimal=False), pa.float64())
        case _ if isinstance(kind, AS_TEXT) and not is_sqlite:
            return Read(which, kind, pa.string(), as_text=True)
        case String():
            return Read(which, kind, pa.string())
        case NullType() if is_sqlite:
            is_needed = is_declared or not {"*", which.lower()}.isdisjoint(named or ())
            return _by_storage(connection, source, which, "it has no type") if is_needed else "it has no type"
        case _:
            return f"its type {kind!r} is none of text, integer, number, boolean, date and timestamp"


def _by_storage(connection: Connection, source: SourceTable, which: str, because: str) -> Read | str:
    """As what its values are kept."""
    schema, name = split_name(source.table)
    stored = select(func.typeof(column(which))).select_from(table(name, column(which), schema=schema)).distinct()
    kinds = frozenset(connection.execute(stored).scalars()) - {"null"}
    if kinds not in OF_STORAGE and kinds:
        return f"{because}, and its values are {' and '.join(sorted(kinds))}"
    kind, arrow = OF_STORAGE.get(kinds, (String(), pa.string()))
    return Read(which, kind, arrow)


def _of_domain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """What a domain is made of."""
    while isinstance(kind, postgresql.DOMAIN):
        kind = kind.data_type
    return kind
