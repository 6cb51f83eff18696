"""When each process that writes the journal last wrote something, by the machine's clock, and whether it still runs."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from include.adapters.journal.segments import Segment, instance_name, segments


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


def died_here(folder: Path) -> set[str]:
    """The processes, as ``writer_of`` names them, that ran on this machine and are gone. Of those of other machines and
    of other containers nothing is known."""
    here = instance_name(socket.gethostname())
    found = {writer_of(each.name): each for each in segments(folder) if each.instance.startswith(f"{here}-")}
    return {name for name, each in found.items() if not is_alive(each)}


def is_alive(segment: Segment) -> bool:
    """Whether a process of its number runs on this machine. Another one may have been given the number."""
    try:
        os.kill(segment.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
