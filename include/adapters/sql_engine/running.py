"""DuckDB, in this process: runs the declared SQL over Arrow tables.

No extension is ever downloaded, no file is read by the declared SQL, and results do not depend on the machine's time
zone. Our own queries are the files in ``sql/``.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from include.domain.errors import Refusal
from include.domain.intervals import Interval

_SQL = Path(__file__).parents[1] / "sql"


class SqlFailed(Refusal, ValueError):
    """A declared query does not run; the message names what it is for, its file, and DuckDB's message, in one line."""

    def __init__(
        self, what: str, file: Path | str, reason: str, tables: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        has = "; ".join(f"{name} has: {', '.join(columns)}" for name, columns in (tables or {}).items())
        super().__init__(f"{what}: {file} failed: {reason}." + (f" The source's {has}." if has else ""))


@contextmanager
def connect(
    memory_limit: str | None = None, *, errors_as_json: bool = False, threads: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private in-memory database in UTC, on all processors or with so many ``threads``, for one piece of work.

    ``memory_limit`` is DuckDB's text, for example ``2GB``; None takes ``SLIPWAY_DUCKDB_MEMORY``, or else DuckDB's own
    default (80 % of the machine). What does not fit is spilled to disk. ``errors_as_json`` is for errors that
    say where in the text they are.
    """
    config: dict[str, Any] = {
        "threads": threads or os.cpu_count() or 1,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        # In the machine's temporary folder, not in the current directory.
        "temp_directory": str(Path(tempfile.gettempdir()) / f"slipway-duckdb-{os.getpid()}"),
    }
    limit = memory_limit or os.environ.get("SLIPWAY_DUCKDB_MEMORY")
    if limit:
        config["memory_limit"] = limit
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.sql("SET TimeZone = 'UTC'")  # an option of the ICU extension, known only once a database is open
        # The declared SQL comes from a team, not from the platform: it may read only the tables it is given.
        connection.sql("SET enable_external_access = false")
        connection.sql(f"SET errors_as_json = {str(errors_as_json).lower()}")
        connection.sql("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


class OpenDatabases:
    """Databases that stay open for the next query, for work that asks many small ones: to open one takes longer than
    most of them. Threads may ask at once; each query has a database to itself, and leaves nothing in it."""

    def __init__(self) -> None:
        self._free: list[duckdb.DuckDBPyConnection] = []
        self._open = ExitStack()

    def __enter__(self) -> OpenDatabases:
        return self

    def __exit__(self, *error: object) -> None:
        self._free.clear()
        self._open.close()

    @contextmanager
    def one(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A database without tables, for one query."""
        try:
            connection = self._free.pop()
        except IndexError:
            # Small queries wait longer for a second thread than it saves them.
            connection = self._open.enter_context(connect(threads=1))
        yield connection
        # One whose query failed is not asked again.
        self._free.append(connection)


def run_sql(
    sql: str,
    tables: Mapping[str, pa.Table],
    interval: Interval | None,
    *,
    what: str,
    file: Path | str,
    left_out: Mapping[str, Mapping[str, str]] | None = None,
    databases: OpenDatabases | None = None,
) -> pa.Table:
    """The result of a declared query over ``tables`` and the one-row table ``interval_``, which is left out where there
    is no interval. ``left_out`` are the columns that the tables have in the source and not here, by table, with the
    reason. ``databases`` are open ones to run it in; None opens one for it.

    Raises:
        SqlFailed: naming ``what``, ``file`` and DuckDB's message; for an unknown column also what the tables have, and
        why it was left out.
    """
    _syntax_tree(sql, what, file)
    with connect() if databases is None else databases.one() as connection:
        given = dict(tables)
        if interval is not None:
            given["interval_"] = interval_table(connection, interval)
        for name, table in given.items():
            connection.register(name, table)
        try:
            found = connection.sql(sql).to_arrow_table()
            for name in given:
                connection.unregister(name)
            return found
        except duckdb.BinderException as error:
            columns = {name: table.column_names for name, table in tables.items()}
            used = named_in(sql, what=what, file=file)
            missing = [
                f"{table}.{column} was not read, since {reason}"
                for table, without in (left_out or {}).items()
                for column, reason in without.items()
                if column.lower() in used
            ]
            way = "; make a database view that casts it to text, a number or a timestamp, and read that"
            reason = "; ".join([_one_line(error), *missing]) + (way if missing else "")
            raise SqlFailed(what, file, reason, columns) from error
        except duckdb.Error as error:
            raise SqlFailed(what, file, _one_line(error)) from error


def interval_table(connection: duckdb.DuckDBPyConnection, interval: Interval) -> pa.Table:
    """The one-row table ``interval_`` that a declared query may read."""
    bounds = {"start": interval.start, "end": interval.end}
    return connection.sql(_query("interval"), params=bounds).to_arrow_table()


def named_in(sql: str, *, what: str, file: Path | str) -> frozenset[str]:
    """Every word, in lower case, that the query may use as a column's name; ``*`` where it takes all there are.

    Raises:
        SqlFailed: when the query cannot be parsed.
    """
    return frozenset(word.lower() for word in _column_words(_syntax_tree(sql, what, file)))


def _column_words(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("class") == "STAR":
            yield "*"
        for field, inner in node.items():
            if field in ("column_names", "using_columns"):
                yield from (word for word in inner if isinstance(word, str))
            yield from _column_words(inner)
    elif isinstance(node, list):
        for each in node:
            yield from _column_words(each)


def semantic_hash(sql: str, structure: Any, *, what: str, file: Path | str) -> str:
    """A sha256 of the query's meaning together with ``structure`` (JSON): white space, comments and letter case of
    keywords do not count.

    Raises:
        SqlFailed: when the query cannot be parsed.
    """
    tree = _syntax_tree(sql, what, file)
    canonical = json.dumps([tree, structure], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _query(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


def _syntax_tree(sql: str, what: str, file: Path | str) -> Any:
    """The query's syntax tree; a declared query is one SELECT, so anything else is refused before it could run."""
    parsed = _meaning(sql)
    if parsed.get("error"):
        reason = f"{parsed.get('error_type', 'error')} error: {parsed.get('error_message')}"
        raise SqlFailed(what, file, " ".join(reason.split()).rstrip(".!"))
    if len(parsed["statements"]) != 1:
        raise SqlFailed(what, file, f"it has {len(parsed['statements'])} statements; write one SELECT")
    return parsed["statements"][0]


@lru_cache(maxsize=64)
def syntax(sql: str) -> Any:
    """DuckDB's syntax tree of the text, with the place of each part; not to be changed."""
    with connect() as connection:
        found = connection.sql(_query("syntax_tree"), params={"sql": sql}).fetchall()[0][0]
    return json.loads(found)


@lru_cache(maxsize=64)
def _meaning(sql: str) -> Any:
    return _without_places(syntax(sql))


def _without_places(node: Any) -> Any:
    """The syntax tree without where in the text each part stood."""
    if isinstance(node, dict):
        return {k: _without_places(v) for k, v in node.items() if not k.startswith("query_location")}
    if isinstance(node, list):
        return [_without_places(v) for v in node]
    return node


def _one_line(error: Exception) -> str:
    """DuckDB's message without its drawing of the query and its list of candidates."""
    text = str(error).split("\n\nLINE ")[0].split("\n\tCandidate")[0]
    return " ".join(text.split()).rstrip(".!")
