"""What a database has that no declaration names yet: its tables, and of each the key, the columns and the times.

Facts only, and each says where it comes from: the catalogue, a sample of rows, or the whole table. What they may mean
is for others to guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Date, DateTime, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from include.adapters.source import times
from include.adapters.source.columns import Form, Read, SourceLayout, layout, split_name
from include.adapters.source.errors import SourceUnreachable
from include.adapters.source.reading import Pace, tried
from include.config.problems import did_you_mean
from include.config.types import SourceTable
from include.domain.errors import Refusal

ONCE = Pace(attempts=1)
SAMPLE = 5_000
"""How many rows of a table are looked at."""
COUNT_S = 20
"""How long a table may take to be counted, or to say its first and last time."""
DECLARABLE = re.compile(r"^([A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}$")
SYSTEM = ("information_schema", "pg_catalog", "pg_toast")


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """One column that can be read."""

    name: str
    kind: str
    """``text``, ``integer``, ``number``, ``boolean``, ``date`` or ``timestamp``."""
    of_times: bool
    """Whether every value of the sample is a moment, or a day."""
    declared_time: bool
    """Whether the database itself says that it is one."""
    zoned: bool | None
    """Whether its times have a zone; None where that is not known, or it holds no times."""
    missing: float
    """The share of the sample without a value."""
    distinct: int
    """How many values the sample has."""
    values: tuple[Any, ...]
    """Those, in order, where they are few."""
    first: datetime | None = None
    last: datetime | None = None
    """Of a column of times, over the whole table; None where that took too long, or it has none."""
    scale: float | None = None
    """The standard deviation of the sample's numbers."""


@dataclass(frozen=True, slots=True)
class FoundTable:
    """One table, or view, of the database."""

    name: str
    rows: int | None
    """None where counting took too long."""
    sampled: int
    key: tuple[str, ...]
    """The primary key that the database declares; empty where it declares none."""
    columns: tuple[FoundColumn, ...]
    left_out: dict[str, str]
    """Columns that cannot be read, with the reason."""
    unread: str | None = None
    """Why nothing is known of the table; None where it was read."""

    def column(self, name: str) -> FoundColumn | None:
        return next((each for each in self.columns if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Spread:
    """How long after one time another comes, over a sample of rows that have both."""

    rows: int
    before: float
    """The share of the rows in which it comes before."""
    most_s: float
    """Within this it has come in 99 of 100 rows."""


def found_tables(url: str) -> list[FoundTable]:
    """Every table and view that can be declared, and those whose name cannot, by name.

    Raises:
        SourceUnreachable: when the database does not answer.
    """
    names = tried(url, "*", _names, ONCE)
    return [_look(url, name) for name in names]


def found_table(url: str, name: str) -> FoundTable:
    """One table.

    Raises:
        NoSuchTable: naming what there is. SourceUnreachable, SourceRefused: as ``extract``.
    """
    names = tried(url, name, _names, ONCE)
    if name not in names:
        raise NoSuchTable(name, names)
    found = _look(url, name)
    if found.unread is not None:
        raise TableUnreadable(name, found.unread)
    return found


class NoSuchTable(Refusal, LookupError):
    """A person named a table that is not there."""

    def __init__(self, name: str, has: list[str]) -> None:
        bare = name.rpartition(".")[2].lower()
        same = [each for each in has if each.rpartition(".")[2].lower() == bare]
        near = f" Did you mean {same[0]!r}?" if same else did_you_mean(name, has)
        super().__init__(f"The source has no table {name!r}; it has: {', '.join(has) or 'none'}.{near}")


class TableUnreadable(Refusal, LookupError):
    """A table is there and cannot be read."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"The source's table {name!r} cannot be read: {why.rstrip('.')}.")


def spread(url: str, name: str, earlier: str, later: str) -> Spread:
    """How long after ``earlier`` the time ``later`` comes, in the newest rows of a sample.

    Raises:
        As ``found_table``.
    """

    def asked(connection: Connection) -> Spread:
        source = SourceTable(table=name, time=earlier, known=later, columns=[earlier, later])
        found = layout(connection, source, None)
        reads = [found.read(earlier), found.read(later)]
        rows = connection.execute(
            select(*(each.asked for each in reads)).select_from(found.table).order_by(reads[0].raw.desc()).limit(SAMPLE)
        ).all()
        pairs = zip(*(times.moments([row[i] for row in rows])[0].to_pylist() for i in (0, 1)), strict=True)
        after = [(b - a).total_seconds() for a, b in pairs if a is not None and b is not None]
        if not after:
            return Spread(0, 0.0, 0.0)
        return Spread(len(after), sum(s < 0 for s in after) / len(after), float(np.quantile(after, 0.99)))

    return tried(url, name, asked, ONCE)


def _names(connection: Connection) -> list[str]:
    asked = inspect(connection)
    default = asked.default_schema_name
    names = []
    for schema in asked.get_schema_names():
        if schema in SYSTEM or schema.startswith("pg_"):
            continue
        shown = "" if schema == default else f"{schema}."
        here = None if schema == default else schema
        for found in (asked.get_table_names(schema=here), asked.get_view_names(schema=here)):
            names += [f"{shown}{each}" for each in found]
    return sorted(dict.fromkeys(names))


def _look(url: str, name: str) -> FoundTable:
    """The table; or why nothing is known of it."""
    if not DECLARABLE.match(name):
        why = "its name cannot be declared, which takes letters, digits and _; make a database view of it"
        return FoundTable(name, None, 0, (), (), {}, why)
    try:
        return tried(url, name, lambda connection: _found(connection, name), ONCE)
    except (SourceUnreachable, Refusal) as error:
        why = error.reason if isinstance(error, SourceUnreachable) else str(error)
        return FoundTable(name, None, 0, (), (), {}, why)


def _found(connection: Connection, name: str) -> FoundTable:
    schema, bare = split_name(name)
    found = layout(connection, SourceTable(table=name), frozenset({"*"}))
    sample = connection.execute(select(*(each.asked for each in found.reads)).select_from(found.table).limit(SAMPLE))
    rows = sample.all()
    key = tuple(inspect(connection).get_pk_constraint(bare, schema=schema)["constrained_columns"] or ())
    left_out = dict(found.left_out)
    columns = []
    for i, each in enumerate(found.reads):
        if not re.match(r"^[A-Za-z_][A-Za-z0-9_]{0,62}$", each.name):
            left_out[each.name] = "its name cannot be declared; make a database view that renames it"
            continue
        columns.append(_column(connection, found, each, [row[i] for row in rows]))
    return FoundTable(name, _counted(connection, found), len(rows), key, tuple(columns), left_out)


def _column(connection: Connection, found: SourceLayout, read: Read, values: Sequence[Any]) -> FoundColumn:
    given = [value for value in values if value is not None]
    kind = _kind(read)
    declared = kind in ("timestamp", "date")
    of_times = declared
    if given and not declared and kind in ("text", "integer", "number"):
        moments, bad = times.moments(given)
        of_times = not bad and moments.null_count == 0
    elif given and declared and read.form is not Form.PLAIN:
        of_times = not times.moments(given)[1]
    distinct = list(dict.fromkeys(map(_hashable, given)))
    few: tuple[Any, ...] = ()
    if len(distinct) <= 20:
        with suppress(TypeError):
            few = tuple(sorted(distinct))
    first, last = _ends(connection, found, read) if of_times and given else (None, None)
    return FoundColumn(
        read.name,
        kind,
        of_times and bool(given or declared),
        declared,
        _zoned(read, given) if of_times else None,
        1 - len(given) / len(values) if values else 0.0,
        len(distinct),
        few,
        first,
        last,
        _scale(given) if kind in ("integer", "number") else None,
    )


def _scale(given: Sequence[Any]) -> float | None:
    numbers = np.asarray([float(value) for value in given if isinstance(value, int | float | Decimal)])
    return float(numbers.std()) if len(numbers) > 1 and np.isfinite(numbers).all() else None


def _hashable(value: Any) -> Any:
    return value if value.__hash__ is not None else str(value)


def _kind(read: Read) -> str:
    if read.arrow == pa.date32() or isinstance(read.kind, Date):
        return "date"
    if pa.types.is_timestamp(read.arrow) or isinstance(read.kind, DateTime):
        return "timestamp"
    if pa.types.is_boolean(read.arrow):
        return "boolean"
    if pa.types.is_integer(read.arrow):
        return "integer"
    return "number" if pa.types.is_floating(read.arrow) else "text"


def _zoned(read: Read, given: Sequence[Any]) -> bool | None:
    if read.is_native_time:
        return bool(getattr(read.kind, "timezone", False))
    texts = [value for value in given if isinstance(value, str)]
    if not texts:
        return None
    zoned = [bool(re.search(times.ZONED, value[10:].replace(" ", ""))) for value in texts]
    return all(zoned) if all(zoned) or not any(zoned) else None


def _counted(connection: Connection, found: SourceLayout) -> int | None:
    count = _bounded(connection, select(func.count()).select_from(found.table))
    return None if count is None else int(count[0])


def _ends(connection: Connection, found: SourceLayout, read: Read) -> tuple[datetime | None, datetime | None]:
    """The first and the last time in the whole table."""
    ends = _bounded(connection, select(func.min(read.raw), func.max(read.raw)).select_from(found.table))
    if ends is None or None in ends:
        return None, None
    moments = times.moments(list(ends))[0].to_pylist()
    return moments[0], moments[1]


def _bounded(connection: Connection, query: Any) -> Any:
    """The first row of the answer; None where it took too long, or was refused."""
    try:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = '{COUNT_S}s'"))
        return connection.execute(query).first()
    except SQLAlchemyError:
        connection.rollback()
        return None
