"""A chain of hashes over what the ledger only ever appends to: who changes, removes or slips in a row breaks it.

Each entry is about one row, and its hash is over the row's and over the entry before: so the newest hash is that of all
rows there ever were. A copy of it that the ledger's writer cannot reach shows a chain that was made again.

>>> first = following(START, "gate_results", '["c-1", "threshold_gate", 1]', row_hash({"verdict": "PASS"}))
>>> second = following(first, "gate_results", '["c-1", "champion_gate", 1]', row_hash({"verdict": "FAIL"}))
>>> second == following(first, "gate_results", '["c-1", "champion_gate", 1]', row_hash({"verdict": "PASS"}))
False
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

START = "0" * 64
"""What the first entry follows."""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """How far a chain goes.

    Attributes:
        position: of the newest entry, from 1; 0 for none.
        hash: of that entry, sha256 in hex.
    """

    position: int
    hash: str

    def __str__(self) -> str:
        """As it is noted elsewhere.

        >>> str(ChainHead(7, "ab" * 32))[:8]
        '7:ababab'
        """
        return f"{self.position}:{self.hash}"


NO_CHAIN = ChainHead(0, START)


def head_of(text: str) -> ChainHead:
    """What was noted.

    Raises:
        ValueError: for anything else.
    """
    position, _, digest = text.partition(":")
    if len(digest) != len(START) or set(digest) - set("0123456789abcdef"):
        raise ValueError(f"{text!r} is no note of a chain; give POSITION:SHA256")
    return ChainHead(int(position), digest)


def key_text(values: Iterable[Any]) -> str:
    """A row's key as text, its parts in the order of the table's key."""
    return json.dumps([_plain(each) for each in values], separators=(",", ":"), ensure_ascii=False)


def row_hash(row: Mapping[str, Any]) -> str:
    """The sha256 of a row, by column. What is None is left out, so that a column which a later release adds changes no
    row of before.

    >>> row_hash({"b": 1, "a": None}) == row_hash({"b": 1})
    True
    """
    said = {name: _plain(value) for name, value in row.items() if value is not None}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def following(before: str, table: str, key: str, row: str) -> str:
    """The hash of the entry about a row, after the entry whose hash is ``before``."""
    return hashlib.sha256("\n".join((before, table, key, row)).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value
