"""Every row of an append-only table gets an entry in one chain of hashes, in the transaction of the row.

So does an override, apart from when it ended. What is chained is noticed by the database's connection, and not asked of
each place that writes: none can forget it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, event, insert, select, tuple_

from include.adapters.ledger.errors import LedgerTampered
from include.adapters.ledger.locks import one_after_the_other
from include.adapters.ledger.tables import APPEND_ONLY, metadata
from include.adapters.ledger.tables import chain as entries
from include.domain.chain import NO_CHAIN, START, ChainHead, following, key_text, row_hash

KEPT_APART = "appended"
"""Where a connection keeps what its transaction has appended, until its end."""
AT_ONCE = 400
"""Rows that one query asks for by their keys."""
TABLES: Mapping[str, Table] = {name: metadata.tables[name] for name in (*APPEND_ONLY, "overrides")}
CHANGES: Mapping[str, frozenset[str]] = {"overrides": frozenset({"ended_at"})}
"""Columns that are written later, and are not part of what is chained."""


def watch(engine: Engine) -> None:
    """Notice from now on what is appended, so that ``close_in`` can chain it."""
    if not event.contains(engine, "after_cursor_execute", _notice):
        event.listen(engine, "after_cursor_execute", _notice)


def _notice(connection: Connection, _cursor: Any, _statement: str, _given: Any, context: Any, _many: bool) -> None:
    if not context.isinsert or context.compiled is None:
        return
    table = context.compiled.statement.table
    made = connection.info.get(KEPT_APART)
    if table.name in TABLES and made is not None:
        keys = [column.name for column in table.primary_key]
        made += [(table.name, tuple(row[name] for name in keys)) for row in context.compiled_parameters]


def begin_in(connection: Connection) -> None:
    """Begin to notice what the transaction appends."""
    connection.info[KEPT_APART] = []


def leave_out_in(connection: Connection) -> None:
    """Notice nothing in this transaction: a migration moves what was there before."""
    connection.info.pop(KEPT_APART, None)


def close_in(connection: Connection) -> None:
    """Chain what the transaction has appended; the last thing that it does, so that no one waits for it longer."""
    made = connection.info.pop(KEPT_APART, None)
    if not made:
        return
    # Held until the commit: the next writer must see this entry. Nothing else is waited for after it, so no two wait
    # for each other.
    one_after_the_other(connection, "chain")
    _chained(connection, made)


def begin(connection: Connection) -> None:
    """Chain every row of a ledger that had no chain."""
    for name, table in TABLES.items():
        keys = list(table.primary_key)
        for rows in connection.execute(select(*keys).order_by(*keys)).partitions(AT_ONCE):
            _chained(connection, [(name, tuple(row)) for row in rows])


def head_in(connection: Connection) -> ChainHead:
    row = connection.execute(
        select(entries.c.position, entries.c.hash).order_by(entries.c.position.desc()).limit(1)
    ).first()
    return NO_CHAIN if row is None else ChainHead(row.position, row.hash)


def require_whole_in(connection: Connection, candidate_id: str, model: str) -> None:
    """Nothing when every row that a decision about the candidate rests on is as it was written.

    Raises:
        LedgerTampered: naming the first row that is not.
    """
    for name in ("candidate_transitions", "journey_causes", "gate_results", "overrides", "rollouts", "rollout_events"):
        table = TABLES[name]
        rows = list(connection.execute(select(table).where(table.c.candidate_id == candidate_id)))
        _require_rows(connection, table, rows)
    table = TABLES["deployment_history"]
    _require_rows(connection, table, list(connection.execute(select(table).where(table.c.model == model))))


def _require_rows(connection: Connection, table: Table, rows: Sequence[Row[Any]]) -> None:
    known = entries_of(connection, table.name, [key_of(table, row) for row in rows])
    for row in rows:
        found = known.get(key_of(table, row))
        line = row_broken(table, row, found)
        if line is not None:
            raise LedgerTampered(line)
    before = {each.position - 1 for each in known.values()}
    hashes = {0: START}
    for some in parts_of(sorted(before - {0})):
        query = select(entries.c.position, entries.c.hash).where(entries.c.position.in_(some))
        hashes |= {each.position: each.hash for each in connection.execute(query)}
    for each in known.values():
        expected = following(hashes.get(each.position - 1, ""), each.table_name, each.row_key, each.row_hash)
        if expected != each.hash:
            raise LedgerTampered(f"Entry {each.position} of the ledger's chain does not follow the one before it.")


def _chained(connection: Connection, made: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
    head = head_in(connection)
    position, before = head.position, head.hash
    new = []
    for name, key in made:
        table = TABLES[name]
        row = connection.execute(select(table).where(tuple_(*table.primary_key) == key)).one_or_none()
        if row is None:
            continue  # taken back within the transaction
        text, of_row = key_of(table, row), _hash_of(table, row)
        position, before = position + 1, following(before, name, text, of_row)
        new.append({"position": position, "table_name": name, "row_key": text, "row_hash": of_row, "hash": before})
    if new:
        connection.execute(insert(entries), new)


def _hash_of(table: Table, row: Row[Any]) -> str:
    later = CHANGES.get(table.name, frozenset())
    return row_hash({name: value for name, value in row._mapping.items() if name not in later})


def key_of(table: Table, row: Row[Any]) -> str:
    return key_text(row._mapping[column.name] for column in table.primary_key)


def entries_of(connection: Connection, name: str, keys: Sequence[str]) -> dict[str, Row[Any]]:
    found: dict[str, Row[Any]] = {}
    for some in parts_of(keys):
        query = select(entries).where(entries.c.table_name == name, entries.c.row_key.in_(some))
        found |= {each.row_key: each for each in connection.execute(query)}
    return found


def row_broken(table: Table, row: Row[Any], entry: Row[Any] | None) -> str | None:
    where = f"The row {key_of(table, row)} of {table.name}"
    if entry is None:
        return f"{where} was not written by Slipway: it has no entry in the ledger's chain."
    if entry.row_hash != _hash_of(table, row):
        return f"{where} was changed after it was written: it does not fit its entry {entry.position} of the chain."
    return None


def parts_of(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]
