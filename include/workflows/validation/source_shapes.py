"""The schemas of declared tables, as the source has them now; each is asked for once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.config.problems import did_you_mean
from include.config.types import SourceTable
from include.domain.errors import Refusal

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.source import Shape

Where = tuple[str | int, ...]


@dataclass
class SourceShapes:
    """What the source at ``url`` has. ``unread`` says why it could not be asked; None while it answers."""

    url: str
    unread: str | None = None
    _known: dict[tuple[str, frozenset[str]], Shape] = field(default_factory=dict)

    def of(
        self, tables: Sequence[SourceTable], named: Collection[str]
    ) -> tuple[dict[str, pa.Schema], dict[str, dict[str, str]], list[tuple[Where, str]]]:
        """By table its schema, and its columns that are left out with the reason; and what is wrong with the
        declaration of a table: the field within ``source``, and a sentence."""
        from include.adapters import source

        schemas: dict[str, pa.Schema] = {}
        left_out: dict[str, dict[str, str]] = {}
        wrong: list[tuple[Where, str]] = []
        for i, each in enumerate(tables):
            if self.unread is not None:
                break
            key = (each.model_dump_json(), frozenset(named))
            try:
                found = self._known.get(key) or source.shape(self.url, each, named)
            except source.TableVanished as error:
                near = did_you_mean(each.table, error.has)
                has = ", ".join(error.has) or "no table"
                wrong.append(((i, "table"), f"source.{i}.table is {each.table!r}; the source has: {has}.{near}"))
            except source.ColumnVanished as error:
                part = _field(each, error.column)
                shown = ".".join(map(str, ("source", i, *part)))
                near = did_you_mean(error.column, error.has)
                has = ", ".join(error.has)
                wrong.append(((i, *part), f"{shown} is {error.column!r}; {each.table} has: {has}.{near}"))
            except source.SourceUnreachable as error:
                self.unread = str(error).partition(". Nothing was kept")[0] + "."
            except Refusal as error:
                wrong.append(((i, *_field(each, getattr(error, "column", ""))), str(error)))
            else:
                self._known[key] = found
                schemas[each.table], left_out[each.table] = found.schema, found.left_out
        return schemas, left_out, wrong


def _field(source: SourceTable, column: str) -> Where:
    """The field of a declared table that names the column."""
    for name in ("time", "known"):
        if getattr(source, name) == column:
            return (name,)
    if source.columns and column in source.columns:
        return ("columns", source.columns.index(column))
    return ("table",)
