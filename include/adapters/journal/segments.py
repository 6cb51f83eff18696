"""The files of the journal and their names: instance, process, start and number, so that no two are the same."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ENDS = ".journal"
_NAME = re.compile(r"([A-Za-z0-9_-]+)\.(\d+)\.(\d{8}T\d{12}Z)\.(\d{6,})\.journal")
_STARTED = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of the journal, by its name."""

    path: Path
    instance: str
    pid: int
    started_at: datetime
    """When the process that writes it began; UTC."""
    sequence: int

    @property
    def name(self) -> str:
        """The name of its file, which no other segment has."""
        return self.path.name

    @property
    def writer(self) -> tuple[str, int, datetime]:
        """The process that writes it."""
        return self.instance, self.pid, self.started_at


def name_of(instance: str, pid: int, started_at: datetime, sequence: int) -> str:
    """
    >>> name_of("here-8000", 17, datetime(2026, 3, 1, 12, 0, 0, 5, UTC), 2)
    'here-8000.17.20260301T120000000005Z.000002.journal'
    """
    return f"{instance}.{pid}.{started_at.astimezone(UTC).strftime(_STARTED)}.{sequence:06d}{ENDS}"


def instance_name(text: str) -> str:
    """A name for an instance that a file's name can hold.

    >>> instance_name("db-1.example.org:8000")
    'db-1-example-org-8000'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-") or "here"


def segment_of(path: Path) -> Segment | None:
    """The segment of a path; None for a file of another name."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    instance, pid, started, sequence = found.groups()
    try:
        started_at = datetime.strptime(started, _STARTED).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Segment(path, instance, int(pid), started_at, int(sequence))


def segments(folder: Path) -> list[Segment]:
    """The segments of a folder, by the start of their process, then in the order in which it wrote them. Empty where
    there is no folder."""
    if not folder.is_dir():
        return []
    found = [segment for path in folder.iterdir() if (segment := segment_of(path)) is not None]
    return sorted(found, key=lambda each: (each.started_at, each.instance, each.pid, each.sequence))


def closed(found: Collection[Segment]) -> set[str]:
    """The names of those that their process does not write any more, because it has begun a later one."""
    last: dict[tuple[str, int, datetime], int] = {}
    for each in found:
        last[each.writer] = max(each.sequence, last.get(each.writer, 0))
    return {each.name for each in found if each.sequence < last[each.writer]}
