"""The ledger's tables: keys and types from the metadata, meanings from ``ledger.yaml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Table

from docs.generator.markdown import code, page, table
from include.adapters.ledger.tables import APPEND_ONLY, metadata

FILE = Path(__file__).with_name("ledger.yaml")
EVERYWHERE = "everywhere"
"""Columns that mean the same in each table that has them and does not say otherwise."""


@cache
def meanings() -> dict[str, dict[str, str]]:
    """Table, column, meaning; the table's own meaning is under ``""``."""
    written: dict[str, dict[str, str]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return written


def meaning_of(table_name: str, column: str) -> str:
    return meanings().get(table_name, {}).get(column) or meanings()[EVERYWHERE].get(column, "")


def page_of() -> str:
    parts = [
        "# Tables of the ledger",
        "The ledger is what decides ([why](../adr/0002-the-ledger-decides.md)). It is a SQLite file or a Postgres "
        "database (`SLIPWAY_LEDGER_URL`). Read it as you like; write it through `slipway`, the pages and Dags only. "
        "A table that is *append-only* refuses UPDATE and DELETE by triggers. Times are in UTC, days are `YYYY-MM-DD`.",
    ]
    for each in metadata.sorted_tables:
        only = " Append-only." if each.name in APPEND_ONLY else ""
        parts += [f"## `{each.name}`", f"{meaning_of(each.name, '')}{only}"]
        rows = [[code(c.name), _type(c), _key(each, c.name), meaning_of(each.name, c.name)] for c in each.columns]
        parts.append(table(("column", "type", "key", "meaning"), rows))
    return page(*parts)


def _type(column: Any) -> str:
    kind = type(column.type).__name__
    words = {
        "String": "text",
        "Text": "text",
        "Integer": "whole number",
        "BigInteger": "whole number",
        "Float": "number",
        "Boolean": "true or false",
        "JSON": "JSON",
        "UtcTime": "time",
    }
    return words[kind] + (", or null" if column.nullable else "")


def _key(of: Table, name: str) -> str:
    column = of.columns[name]
    parts = ["primary"] if column.primary_key else []
    parts += [f"to [{key.column.table.name}](#{key.column.table.name})" for key in column.foreign_keys]
    return ", ".join(parts)
