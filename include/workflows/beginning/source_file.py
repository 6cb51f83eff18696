"""``source.yaml``: what ``slipway new source`` found and a person corrected."""

from __future__ import annotations

from pathlib import Path

from include.config import loader
from include.config.source_file import NotedTable, SourceFile

NAME = "source.yaml"


def read(root: Path) -> dict[str, NotedTable]:
    """By table; nothing where there is no such file.

    Raises:
        BadDeclaration: when the file is broken.
    """
    file = root / NAME
    if not file.is_file():
        return {}
    return {each.table: each for each in loader.read_declaration(file, SourceFile).tables}
