"""Facts as files: each kind of :mod:`include.workflows.journey.facts` is one small JSON file in the journey's folder.

The file says in which version it was written: one without it is of a release before versions, and is read as version
1. What this release cannot read is an ``UnreadableFacts`` that says so, never an empty value.

    write(folder, Evaluated(rows=1200, ...))
    read(folder, Evaluated).metrics["candidate"]["brier"]
"""

from __future__ import annotations

import json
from dataclasses import Field, asdict
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from include.adapters import files
from include.domain.errors import Refusal


class NotKept(Refusal):
    """An earlier step has not left its facts here."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"{file} is missing: an earlier step of {file.parent.name} has not run here. Clear the run from "
            "open_journey on."
        )


class UnreadableFacts(Refusal):
    """Facts that another release wrote in another form, or that are damaged."""


class Fact(Protocol):
    """A frozen dataclass that is kept as one file.

    Attributes:
        FILE: the file's name in the journey's folder.
        VERSION: raised with each change that an older reader would misread.

    A kind of a single mapping may also have ``BARE``, the name of its field: before versions the mapping was the file.
    """

    FILE: ClassVar[str]
    VERSION: ClassVar[int]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


F = TypeVar("F", bound=Fact)


def write(folder: Path, fact: Fact) -> None:
    """Keep a value in the folder, whole or not at all."""
    files.write_json(folder / fact.FILE, as_json(fact))


def read(folder: Path, kind: type[F]) -> F:
    """The value that an earlier step left.

    Raises:
        NotKept: when that step has not run here.
        UnreadableFacts: when another release wrote it in a form this one does not know, or it is damaged.
    """
    found = find(folder, kind)
    if found is None:
        raise NotKept(folder / kind.FILE)
    return found


def find(folder: Path, kind: type[F]) -> F | None:
    """The same; None where there is no file that this process can read.

    Raises:
        UnreadableFacts: as ``read``.
    """
    file = folder / kind.FILE
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return None
    try:
        kept = json.loads(text)
    except ValueError as error:
        raise UnreadableFacts(f"{file} is damaged: {error}. {_WAY_OUT}") from error
    return from_json(kept, kind, str(file))


_WAY_OUT = "Clear the run from the task that writes it, or look at the MLflow run."


def as_json(fact: Fact) -> dict[str, Any]:
    """The value as it is kept."""
    # Not by the reader's library: it would turn an infinite threshold of a tree into a missing one.
    return {"version": fact.VERSION, **asdict(fact)}


def from_json(kept: Any, kind: type[F], name: str) -> F:
    """The value of what was kept.

    Args:
        name: whose it is, for the message.

    Raises:
        UnreadableFacts: as ``read``.
    """
    from pydantic import ValidationError

    written = kept.pop("version", None) if isinstance(kept, dict) else None
    if written is not None and (not isinstance(written, int) or written > kind.VERSION):
        raise UnreadableFacts(
            f"{name} was written in version {written} of its form; this release reads up to {kind.VERSION}. It comes "
            "from a newer Slipway: read it with that one."
        )
    if written is None and (bare := getattr(kind, "BARE", None)) is not None:
        kept = {bare: kept}
    try:
        value: F = _adapter(kind).validate_python(kept)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        of = f"version {written}" if written else "a release before versions"
        raise UnreadableFacts(
            f"{name} is of {of}, and this release cannot read it: {where}: {first['msg'].lower()}. {_WAY_OUT}"
        ) from error
    return value


@cache
def _adapter(kind: type[Any]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
