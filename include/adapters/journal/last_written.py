"""When each process that writes the journal last wrote something, by the machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from include.adapters.journal.segments import segments


def writer_of(segment_name: str) -> str:
    """The process that writes a segment, by the segment's name.

    >>> writer_of("here-8000.17.20260301T120000000005Z.000002.journal")
    'here-8000.17.20260301T120000000005Z'
    """
    return segment_name.rsplit(".", 2)[0]


def last_written(folder: Path) -> dict[str, datetime]:
    """By process, as ``writer_of`` names it, when the newest of its files was last written; UTC."""
    found: dict[str, datetime] = {}
    for each in segments(folder):
        try:
            at = datetime.fromtimestamp(each.path.stat().st_mtime, UTC)
        except FileNotFoundError:
            continue
        name = writer_of(each.name)
        found[name] = max(at, found.get(name, at))
    return found
