"""What can be known of a declared query before it reads a row: from its text alone, and from its tables' schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa

from include.adapters.sql_engine.running import connect, interval_table, syntax
from include.config.problems import did_you_mean
from include.domain.intervals import Interval

NAMES_OF_NOW = frozenset({"current_timestamp", "current_date", "current_time", "localtimestamp", "localtime"})
"""Words that SQL reads as the clock's time, though they look like columns."""
OTHER_RESULT_ALLOWED = frozenset({"error", "vector_type", "stats", "in_search_path"})
"""Functions that DuckDB does not call repeatable, and that say nothing about a row."""
NO_COLUMN = re.compile(r'(Table|Values list) "(?P<table>[^"]+)" does not have a column named "(?P<name>[^"]+)"')


@dataclass(frozen=True, slots=True)
class SqlFault:
    """Why a query cannot be used, as a sentence without its point; and the line of its file, from 1."""

    line: int
    told: str


@dataclass(frozen=True, slots=True)
class SqlText:
    """What a query's text says by itself. Every name comes with its line."""

    tables: tuple[tuple[str, int], ...]
    """The tables it reads, as they are written, without those that its own WITH defines."""
    columns: tuple[tuple[str, int], ...] | None
    """What it gives, in order; None where a ``*`` is among it."""
    changing: tuple[tuple[str, int], ...]
    """What gives another result when it is asked again: the clock, chance, a sample."""
    times_are_one: bool
    """Whether event_time and available_time are the same expression."""

    def line_of(self, column: str) -> int:
        """Where it gives the column; the first line where that is not known."""
        return next((line for name, line in self.columns or () if name.lower() == column.lower()), 1)


def read_text(sql: str) -> SqlText | SqlFault:
    """What the text says; or why it is not one SELECT."""
    tree = syntax(sql)
    if tree.get("error"):
        said = str(tree.get("error_message") or "it cannot be parsed")
        if "Only SELECT" in said:
            return SqlFault(1, "it does something else than to select; write one SELECT")
        return SqlFault(_line(sql, tree.get("position")), f"{_plain(said)}; write one SELECT that DuckDB can parse")
    statements = tree["statements"]
    if not statements:
        return SqlFault(1, "it has no statement; write one SELECT")
    if len(statements) > 1:
        second = _first_line(sql, statements[1])
        return SqlFault(second, f"it has {len(statements)} statements, the second begins here; write one SELECT")
    node = statements[0]["node"]
    own = {str(each["key"]).lower() for part in _mappings(node) for each in part.get("cte_map", {}).get("map", ())}
    tables = {
        ".".join(part["qualified_name"]["path"]): _line(sql, part.get("query_location"))
        for part in _mappings(node)
        if part.get("type") == "BASE_TABLE"
    }
    return SqlText(
        tuple((name, line) for name, line in tables.items() if name.lower() not in own),
        _given(sql, node),
        tuple(_changing(sql, node)),
        _times_are_one(node),
    )


def bound(sql: str, schemas: Mapping[str, pa.Schema], interval: Interval) -> pa.Schema | SqlFault:
    """What the query gives over tables of these schemas, as DuckDB's own binder says; or why it cannot be bound. No row
    is read: the tables are empty."""
    with connect(errors_as_json=True) as connection:
        for name, schema in schemas.items():
            connection.register(name, schema.empty_table())
        connection.register("interval_", interval_table(connection, interval))
        try:
            return connection.sql(sql).limit(0).to_arrow_table().schema
        except duckdb.Error as error:
            return _fault(sql, _with_place(connection, sql) or str(error), schemas)


def _with_place(connection: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    """The same error once more: only where a statement is run does DuckDB say where in the text it is."""
    try:
        connection.execute(sql)
    except duckdb.Error as error:
        return str(error)
    return None


def _fault(sql: str, error: str, schemas: Mapping[str, pa.Schema]) -> SqlFault:
    try:
        found = json.loads(error[error.index("{") :])
    except ValueError:
        return SqlFault(1, f"DuckDB says: {_plain(error)}")
    line, said = _line(sql, found.get("position")), str(found.get("exception_message"))
    alone = NO_COLUMN.search(said)
    if found.get("error_subtype") == "COLUMN_NOT_FOUND" or alone:
        name = alone["name"] if alone else str(found.get("name"))
        has = {table: list(schema.names) for table, schema in schemas.items()}
        near = did_you_mean(name, [*dict.fromkeys(column for names in has.values() for column in names)])
        shown = "; ".join(f"{table} has: {', '.join(names)}" for table, names in has.items())
        return SqlFault(line, f"no column {name!r} is there; {shown}.{near}".rstrip("."))
    if found.get("error_subtype") == "MISSING_ENTRY" and "Function" in str(found.get("type")):
        near = f". Did you mean {found['candidates']!r}?" if found.get("candidates") else ""
        return SqlFault(line, f"DuckDB has no function {found.get('name')!r}{near}")
    return SqlFault(line, f"DuckDB says: {_plain(said)}")


def _plain(said: str) -> str:
    """DuckDB's message as one line, without its lists of candidates."""
    text = re.split(r"\n\s*Candidate|\n\nLINE ", said)[0]
    return " ".join(text.split()).rstrip(".!")


def _line(sql: str, position: object) -> int:
    """The line of a position, which DuckDB counts in bytes; the first where it has none."""
    text = sql.encode()
    try:
        at = int(str(position))
    except ValueError:
        return 1
    return text[:at].count(b"\n") + 1 if at <= len(text) else 1


def _first_line(sql: str, node: Any) -> int:
    places = [int(part["query_location"]) for part in _mappings(node) if "query_location" in part]
    inside = [at for at in places if at <= len(sql.encode())]
    return _line(sql, min(inside, default=0))


def _mappings(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from _mappings(inner)
    elif isinstance(node, list):
        for each in node:
            yield from _mappings(each)


def _selected(node: Any) -> list[dict[str, Any]]:
    """The list of what the query gives; of a union, that of its first part."""
    while isinstance(node, dict) and node.get("type") == "SET_OPERATION_NODE":
        node = (node.get("children") or [node.get("left")])[0]
    return list(node.get("select_list", ())) if isinstance(node, dict) else []


def _name(each: Mapping[str, Any]) -> str:
    if each.get("alias"):
        return str(each["alias"])
    return str(each["column_names"][-1]) if each.get("column_names") else ""


def _given(sql: str, node: Any) -> tuple[tuple[str, int], ...] | None:
    chosen = _selected(node)
    if not chosen or any(each.get("class") == "STAR" for each in chosen):
        return None
    return tuple((_name(each), _line(sql, each.get("query_location"))) for each in chosen)


def _times_are_one(node: Any) -> bool:
    times = {
        name: json.dumps(_meaning(each), sort_keys=True)
        for each in _selected(node)
        if (name := _name(each).lower()) in ("event_time", "available_time")
    }
    return len(times) == 2 and len(set(times.values())) == 1


def _meaning(node: Any) -> Any:
    """The expression without where it stood and what it is called."""
    if isinstance(node, dict):
        return {k: _meaning(v) for k, v in node.items() if k != "alias" and not k.startswith("query_location")}
    return [_meaning(each) for each in node] if isinstance(node, list) else node


def _changing(sql: str, node: Any) -> Iterator[tuple[str, int]]:
    for part in _mappings(node):
        line = _line(sql, part.get("query_location"))
        if part.get("class") == "FUNCTION" and str(part.get("function_name")).lower() in _not_repeatable():
            yield f"{part['function_name']}()", line
        names = part.get("column_names")
        if part.get("class") == "COLUMN_REF" and names and len(names) == 1 and names[0].lower() in NAMES_OF_NOW:
            yield names[0], line
        if isinstance(part.get("sample"), dict):
            yield "a sample of rows", line if "query_location" in part else _first_line(sql, part)


@lru_cache(maxsize=1)
def _not_repeatable() -> frozenset[str]:
    """The functions that DuckDB itself says give another result in another run."""
    with connect() as connection:
        rows = connection.sql("SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'")
        return frozenset(str(name) for (name,) in rows.fetchall()) - OTHER_RESULT_ALLOWED
