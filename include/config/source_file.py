"""``source.yaml``: what is known of the source's tables before a view reads them, as a frozen type."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from include.config.base import Column, Declared
from include.config.views import TableName

Part = Literal["keys", "time", "known"]


class NotedTable(Declared):
    """One table of the source, as ``slipway new source`` found it and a person corrected it."""

    table: TableName
    """The table's name in the source system."""
    keys: list[Column] = Field(default_factory=list)
    """The columns that name a row; default not known."""
    time: Column | None = None
    """The column that says when a row's event happened; default it has none."""
    known: Column | None = None
    """The column that says when the source learned the row; default it has none."""
    guessed: list[Part] = Field(default_factory=list)
    """Which of the three are guesses; take a name out once it was checked, and views are made of it as it is."""

    def checked(self, part: Part) -> tuple[str, ...]:
        """The columns of a part that is no guess."""
        value = getattr(self, part)
        columns = tuple(value) if isinstance(value, list) else (value,) if value else ()
        return () if part in self.guessed else columns

    def one(self, part: Part) -> str | None:
        return next(iter(self.checked(part)), None)


class SourceFile(Declared):
    """``source.yaml``, beside ``models/`` and ``features/``."""

    tables: Annotated[list[NotedTable], Field(min_length=1)]
    """The tables that views may be made of."""
