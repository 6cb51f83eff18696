"""Holds the ledger's rows against their chain of hashes.

A row that was changed, removed or slipped in by hand does not fit its entry, or has none. The head of the chain is
noted where the ledger's writer has no hand, so that a chain which was made again as a whole is seen too.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select, tuple_

from include.adapters.ledger.chain_rows import AT_ONCE, TABLES, entries_of, head_in, key_of, row_broken
from include.adapters.ledger.database import Database
from include.adapters.ledger.errors import LedgerTampered
from include.adapters.ledger.tables import chain as entries
from include.domain.chain import START, ChainHead, following

MOST_TOLD = 20
"""Broken places that are named; one is enough to act."""


class Chain:
    """Reads the chain, and holds it against the rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def head(self) -> ChainHead:
        """The newest entry."""
        with self._database.reading() as connection:
            return head_in(connection)

    def broken(self, noted: Mapping[str, ChainHead] | None = None) -> list[str]:
        """What does not fit, in sentences; empty when every row is as it was written. Reads every entry and row once.

        Args:
            noted: heads by where they were noted; each must be part of the chain.
        """
        with self._database.reading() as connection:
            found: list[str] = []
            for line in _all_broken(connection, noted or {}):
                found.append(line)
                if len(found) == MOST_TOLD:
                    break
            return found

    def require(self, noted: ChainHead, where: str) -> None:
        """Nothing when the entry that was noted is part of the chain.

        Raises:
            LedgerTampered: when it is not.
        """
        with self._database.reading() as connection:
            line = _note_broken(connection, where, noted)
        if line is not None:
            raise LedgerTampered(line)


def _all_broken(connection: Connection, noted: Mapping[str, ChainHead]) -> Iterator[str]:
    before, expected = START, 1
    counts = Counter[str]()
    for some in connection.execute(select(entries).order_by(entries.c.position)).partitions(AT_ONCE):
        for each in some:
            if each.position != expected:
                yield f"The ledger's chain goes from entry {expected - 1} to {each.position}: what was between is gone."
            elif following(before, each.table_name, each.row_key, each.row_hash) != each.hash:
                yield f"Entry {each.position} of the ledger's chain does not follow the one before it."
            before, expected = each.hash, each.position + 1
            counts[each.table_name] += 1
        yield from _rows_broken(connection, some)
    for name, table in TABLES.items():
        there = connection.execute(select(func.count()).select_from(table)).scalar_one()
        if there != counts[name]:
            yield from _without_entry(connection, table)
    for where, head in noted.items():
        line = _note_broken(connection, where, head)
        if line is not None:
            yield line


def _rows_broken(connection: Connection, some: Sequence[Row[Any]]) -> Iterator[str]:
    by_table: dict[str, list[Row[Any]]] = defaultdict(list)
    for each in some:
        by_table[each.table_name].append(each)
    for name, mine in by_table.items():
        if name not in TABLES:
            continue  # of a release that has the table no more
        table = TABLES[name]
        keys = [tuple(json.loads(each.row_key)) for each in mine]
        rows = {
            key_of(table, row): row
            for row in connection.execute(select(table).where(tuple_(*table.primary_key).in_(keys)))
        }
        for each in mine:
            row = rows.get(each.row_key)
            line = (
                f"The row {each.row_key} of {name}, entry {each.position} of the ledger's chain, was removed."
                if row is None
                else row_broken(table, row, each)
            )
            if line is not None:
                yield line


def _without_entry(connection: Connection, table: Table) -> Iterator[str]:
    keys = list(table.primary_key)
    for rows in connection.execute(select(table).order_by(*keys)).partitions(AT_ONCE):
        known = entries_of(connection, table.name, [key_of(table, row) for row in rows])
        for row in rows:
            if key_of(table, row) not in known:
                yield str(row_broken(table, row, None))


def _note_broken(connection: Connection, where: str, noted: ChainHead) -> str | None:
    if noted.position == 0:
        return None
    query = select(entries.c.hash).where(entries.c.position == noted.position)
    found = connection.execute(query).scalar_one_or_none()
    if found is None:
        return (
            f"{where} knows entry {noted.position} of the ledger's chain, which ends before it: entries were removed, "
            "or the ledger was restored from an older copy."
        )
    if found != noted.hash:
        return f"{where} knows another entry {noted.position} of the ledger's chain: the chain was made again."
    return None
