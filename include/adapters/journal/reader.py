"""Reading the journal while it is written: every segment of the folder, each from where the last look ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from include.adapters.journal.last_written import is_alive
from include.adapters.journal.segments import Segment, closed, segments
from include.domain.journal.frames import HEAD, FramedRecord, frames
from include.domain.journal.records import Record, record_of

_AT_ONCE = 4_000_000
_LONGEST_LOOK = 64_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and where it is: the name of its segment, and from which to which byte."""

    segment: str
    at: int
    end: int
    record: Record


@dataclass(slots=True)
class Damage:
    """What could not be read, counted. ``torn`` are ends of segments that their process did not finish; ``changed`` are
    places within, each one record or more; ``unknown`` are whole records of a form that this version does not know."""

    torn: int = 0
    torn_bytes: int = 0
    changed: int = 0
    changed_bytes: int = 0
    unknown: int = 0
    where: list[str] = field(default_factory=list)
    """Segment and byte of the first hundred."""

    def note(self, segment: str, at: int) -> None:
        if len(self.where) < 100:
            self.where.append(f"{segment}:{at}")

    def add(self, other: Damage) -> None:
        """Count another's too."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        del self.where[100:]


class JournalReader:
    """Follows all segments of a folder. ``positions`` can be kept and given to a later reader, which goes on there."""

    def __init__(self, folder: Path, positions: Mapping[str, int] | None = None) -> None:
        """
        Args:
            folder: of the journal; it need not be there yet.
            positions: by name of a segment, the byte behind the last entry that was worked off.
        """
        self.folder = folder
        self.positions = dict(positions or {})
        self.damage = Damage()
        self._torn: set[str] = set()

    def read(self, most: int = 1_000) -> list[Entry]:
        """The next entries, at most ``most``, each once; fewer when there are no more for now. Within a segment in the
        order in which they were written; between segments of several processes in no order."""
        found = segments(self.folder)
        done = closed(found)
        entries: list[Entry] = []
        for segment in found:
            entries += self._next_of(segment, segment.name in done, most - len(entries))
            if len(entries) >= most:
                break
        self.positions = {each.name: self.positions.get(each.name, 0) for each in found}
        return entries

    def all(self) -> Iterator[Entry]:
        """Everything that is there by now."""
        while entries := self.read(5_000):
            yield from entries

    def skip(self) -> None:
        """Pass over everything that is there by now."""
        self.positions = {each.name: _size(each.path) for each in segments(self.folder)}

    def unread_bytes(self) -> int:
        """How many bytes there are behind the positions."""
        return sum(max(0, _size(s.path) - self.positions.get(s.name, 0)) for s in segments(self.folder))

    def records_of(self, segment: Segment, *, is_closed: bool) -> Iterator[tuple[int, tuple[FramedRecord, ...]]]:
        """What one segment has behind its position, not decoded, in pieces of some megabytes: the byte that the places
        of a piece are counted from, and its records. With each piece the position moves behind it."""
        return self._looks(segment, is_closed, None)

    def _next_of(self, segment: Segment, is_closed: bool, most: int) -> list[Entry]:
        entries: list[Entry] = []
        if most > 0:
            for base, whole in self._looks(segment, is_closed, most):
                entries += self._entries(segment, base, whole)
        return entries

    def _looks(
        self, segment: Segment, is_closed: bool, most: int | None
    ) -> Iterator[tuple[int, tuple[FramedRecord, ...]]]:
        at = self.positions.get(segment.name, 0)
        size, left = _AT_ONCE, most
        while left is None or left > 0:
            data = _bytes(segment.path, at, size)
            if len(data) <= 0:
                break
            found = frames(data, most=left)
            whole_file = len(data) < size
            if not found.whole and not whole_file and size < _LONGEST_LOOK:
                size *= 2  # one record may be longer than one look
                continue
            for begin, end in found.skipped:
                self._changed(segment, at + begin, end - begin)
            base, at = at, at + found.end
            if found.whole:
                self.positions[segment.name] = at
                left = None if left is None else left - len(found.whole)
                yield base, found.whole
            elif not whole_file:
                self._changed(segment, at, len(data) - HEAD.size)
                at += len(data) - HEAD.size
                continue
            else:
                # Whole it may still become, unless its process writes another segment or is gone. Where another process
                # was given its number, a torn end is counted once that one is gone too.
                if is_closed or not is_alive(segment):
                    self._was_torn(segment, at, len(data))
                break
            size = _AT_ONCE
        self.positions[segment.name] = at

    def _entries(self, segment: Segment, base: int, whole: tuple[FramedRecord, ...]) -> Iterator[Entry]:
        for frame in whole:
            begin = base + frame.at
            try:
                record = record_of(frame.payload)
            except ValueError:
                self.damage.unknown += 1
                self.damage.note(segment.name, begin)
                continue
            yield Entry(segment.name, begin, begin + HEAD.size + len(frame.payload), record)

    def _changed(self, segment: Segment, at: int, length: int) -> None:
        self.damage.changed += 1
        self.damage.changed_bytes += length
        self.damage.note(segment.name, at)

    def _was_torn(self, segment: Segment, at: int, length: int) -> None:
        if segment.name not in self._torn:
            self._torn.add(segment.name)
            self.damage.torn += 1
            self.damage.torn_bytes += length
            self.damage.note(segment.name, at)


def _bytes(path: Path, at: int, size: int) -> bytes:
    """From a byte on; nothing of a file that is gone."""
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(size)
    except FileNotFoundError:
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
