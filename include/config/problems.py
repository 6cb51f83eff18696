"""What is wrong with a declaration, in one sentence: the field, its value, and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from include.config.base import COLUMN, NAME

IN_WORDS = {
    NAME: "it must be a small letter, then small letters, digits and _",
    COLUMN: "it must be a letter or _, then letters, digits and _; rename the column in the SQL with AS",
}
"""What a pattern asks for."""


def fields_in(error: Any) -> tuple[str | int, ...]:
    """Where in the mapping the error is, without pydantic's own words."""
    return tuple(p for p in error["loc"] if not (isinstance(p, str) and p.startswith(("function-", "tuple", "list"))))


def what_is_wrong(kind: type[BaseModel], error: Any, under: tuple[str, ...] = ()) -> str:
    """The sentence; ``under`` is the place in the file of the mapping that was read as ``kind``."""
    inner = fields_in(error)
    field = ".".join(str(p) for p in (*under, *inner)) or "the file"
    if error["type"] == "extra_forbidden":
        allowed = _fields_at(kind, inner[:-1])
        return f"{field} is not a field; allowed are: {', '.join(allowed)}." + did_you_mean(str(inner[-1]), allowed)
    if error["type"] == "missing":
        return f"{field} is missing; it has no default."
    message = error["msg"].removeprefix("Value error, ").rstrip(".")
    value = repr(error["input"])
    if error["type"] in ("string_type", "literal_error", "enum") and isinstance(error["input"], bool):
        meant = "yes, on or true" if error["input"] else "no, off or false"
        return f"{field} is {value}, which is how YAML reads {meant}; put the word in quotes."
    if error["type"] in ("literal_error", "enum"):
        allowed = re.findall(r"'([^']*)'", str(error["ctx"]["expected"]))
        return f"{field} is {value}; it is one of {', '.join(allowed)}." + did_you_mean(str(error["input"]), allowed)
    if error["type"] == "string_pattern_mismatch":
        words = IN_WORDS.get(str(error["ctx"]["pattern"]))
        message = words or message
    end = "" if message.endswith("?") else "."
    if not inner or len(value) > 80:
        return f"{message}{end}"
    return f"{field} is {value}; {message[0].lower()}{message[1:]}{end}"


def did_you_mean(word: str, allowed: list[str]) -> str:
    """A hint with the nearest allowed word; empty without one."""
    close = difflib.get_close_matches(word, allowed, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _fields_at(kind: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """The field names of the declared type found by walking ``loc`` through the annotations."""
    current: Any = kind
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = current.model_fields[part].annotation
        current = next((t for t in _types_in(annotation) if isinstance(t, type) and issubclass(t, BaseModel)), None)
        if current is None:
            return []
    return list(current.model_fields)


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _types_in(inner)
