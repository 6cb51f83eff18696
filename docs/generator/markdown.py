"""Markdown from values."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """A text on one line that does not end a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, or nothing where there are no rows."""
    lines = [f"| {' | '.join(cell(each) for each in row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines])


def plain(docstring: str | None) -> str:
    """A docstring as Markdown: no indent, and names in single backticks."""
    return re.sub(r"``([^`]+)``", r"`\1`", inspect.cleandoc(docstring or ""))


def first_paragraph(docstring: str | None) -> str:
    return " ".join(plain(docstring).split("\n\n")[0].split())


def code(value: object) -> str:
    """A value as code; one with backticks in it as HTML, which may hold them."""
    text = str(value)
    return f"`{text}`" if "`" not in text else f"<code>{html.escape(text)}</code>"


def page(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
