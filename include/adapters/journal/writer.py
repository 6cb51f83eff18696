"""Writing the journal: one ``write`` for each request, before its reply; the disk is waited for by another thread."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from include.adapters.journal.segments import name_of
from include.domain.faults import crashpoint
from include.domain.journal.frames import framed
from include.domain.journal.records import FORMAT, Mark, Opening, Record, payload_of


class JournalUnwritable(OSError):
    """A record could not be written, and nothing of it was left behind."""


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """When a segment is full, and how often the disk is waited for."""

    bytes: int = 64_000_000
    seconds: float = 3600.0
    group_s: float = 0.05
    """From a record to the disk at most, and the time a power cut may lose; a killed process loses nothing."""


class Journal:
    """The segments of this process. ``append`` and ``when_on_disk`` are called by one thread.

    A crash of the process loses nothing that was appended: it is in the system's memory. A power cut loses what was
    appended since the last ``fdatasync``, which another thread calls every ``group_s`` seconds; at once where somebody
    waits for it, and then one call is for all who wait.
    """

    def __init__(
        self,
        folder: Path,
        instance: str,
        started_at: datetime,
        now: Callable[[], datetime],
        limits: SegmentLimits | None = None,
    ) -> None:
        """Open the first segment.

        Args:
            folder: of the journal; it is made where it is missing.
            instance: the service, as ``instance_name`` gives it.
            started_at: when this process began, by the machine's clock.
            now: the clock of the data.
            limits: of a segment.

        Raises:
            JournalUnwritable: when no segment can be opened.
        """
        self.folder, self.instance, self.started_at = folder, instance, started_at
        self.rows = self.bytes = self.failed = self.unsynced = 0
        """Records and bytes that were appended; records that could not be; syncs that failed."""
        self._unsynced_before = 0
        """How many syncs had failed before the last append: one that fails later may have cost it its place."""
        self._now, self._limits = now, limits or SegmentLimits()
        self._sequence, self._size, self._opened = 0, 0, 0.0
        self._file = -1
        self._left: deque[int] = deque()
        """Files that nothing is appended to any more. Only the thread that syncs closes a file, so no number of a file
        is given to another one under its hands, and nothing that is appended waits for the disk."""
        self._leave = False
        self._unnamed = False
        """Whether the disk may not know the name of a segment yet."""
        self._waiting: deque[tuple[int, Callable[[bool], None]]] = deque()
        self._dirty, self._hurry, self._closing = threading.Event(), threading.Event(), threading.Event()
        self._open_next()
        self._thread = threading.Thread(target=self._sync_in_groups, name="journal-sync", daemon=True)
        self._thread.start()

    def append(self, records: Sequence[Record]) -> None:
        """Write the records, all or none; when it returns they survive the end of this process.

        Raises:
            JournalUnwritable: when the disk is full or gone.
        """
        data = b"".join([framed(payload_of(record)) for record in records])
        self._unsynced_before = self.unsynced
        try:
            if self._file < 0 or self._is_full(len(data)):
                self._open_next()
            self._write(data)
        except OSError as error:
            self.failed += len(records)
            if isinstance(error, JournalUnwritable):
                raise
            raise JournalUnwritable(error.errno, f"the journal cannot be written: {error.strerror}") from error
        self.rows += len(records)
        crashpoint("journal.append.written")

    def mark(self, at: datetime, *, ends: bool = False) -> None:
        """Say that all answers before ``at`` are written, and with ``ends`` that none comes after them. A mark that
        cannot be written is left out."""
        with contextlib.suppress(JournalUnwritable):
            self.append((Mark(at, ends),))

    def when_on_disk(self, told: Callable[[bool], None]) -> None:
        """Have ``told`` called once, by another thread: with True when all that was appended is on the disk and
        survives a power cut, with False when that is not known, because the disk failed."""
        self._waiting.append((self._unsynced_before, told))
        self._hurry.set()
        self._dirty.set()

    @property
    def segment(self) -> str:
        """The name of the segment that is written now; "" where none could be opened."""
        if self._file < 0:
            return ""
        return name_of(self.instance, os.getpid(), self.started_at, self._sequence)

    def close(self) -> None:
        """Wait until everything is on the disk; nothing is appended any more."""
        self._leave_file()
        self._closing.set()
        self._hurry.set()
        self._dirty.set()
        self._thread.join(30)

    def _is_full(self, more: int) -> bool:
        old = time.monotonic() - self._opened > self._limits.seconds
        return old or self._leave or self._size + more > self._limits.bytes

    def _open_next(self) -> None:
        self._leave_file()
        self._sequence += 1
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / name_of(self.instance, os.getpid(), self.started_at, self._sequence)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        except OSError as error:
            raise JournalUnwritable(error.errno, f"no segment can be opened: {error.strerror}") from error
        self._size, self._opened, self._leave, self._unnamed = 0, time.monotonic(), False, True
        who = self.instance, os.getpid(), self.started_at, self._sequence
        self._write(framed(payload_of(Opening(FORMAT, *who, self._now()))))
        crashpoint("journal.segment.opened")

    def _write(self, data: bytes) -> None:
        """All of it with one call, or nothing: a part that was written is taken back."""
        try:
            written = os.write(self._file, data)
        except OSError as error:
            self._take_back()
            raise JournalUnwritable(error.errno, f"the journal cannot be written: {error.strerror}") from error
        if written != len(data):
            self._take_back()
            raise JournalUnwritable(
                errno.ENOSPC, f"the journal took {written:,} of {len(data):,} bytes: the disk is full"
            )
        self._size += written
        self.bytes += written
        self._dirty.set()

    def _take_back(self) -> None:
        """Cut what is not whole. Where that fails, or not even the first record was written, the segment is left: so no
        record ever comes behind a half one."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._leave_file()
            return
        if self._size == 0:
            self._leave_file()

    def _leave_file(self) -> None:
        if self._file >= 0:
            self._left.append(self._file)
            self._file = -1
            self._dirty.set()

    def _sync_in_groups(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._hurry.wait(self._limits.group_s)
            self._hurry.clear()
            self._dirty.clear()
            self._sync_all()
        self._sync_all()

    def _sync_all(self) -> None:
        """One wait for the disk, for all who wait by now: what they wait for was appended before."""
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._sync_names()
        self._sync(self._file)
        while self._left:
            file = self._left.popleft()
            self._sync(file)
            with contextlib.suppress(OSError):
                os.close(file)
        for unsynced_before, told in waiting:
            told(self.unsynced == unsynced_before)

    def _sync_names(self) -> None:
        """A file whose folder was not written would be gone after a power cut, whatever of it was."""
        if not self._unnamed:
            return
        self._unnamed = False
        try:
            for folder in (self.folder, self.folder.parent):
                _names_to_disk(folder)
        except OSError:
            self.unsynced += 1
            self._unnamed = True

    def _sync(self, file: int) -> None:
        if file < 0:
            return
        try:
            _to_disk(file)
        except OSError:
            # After a failed sync the system may have dropped the pages; what comes next goes into another segment.
            self.unsynced += 1
            self._leave = True


def _names_to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _to_disk(file: int) -> None:
    """Wait for the disk; macOS knows only the slower way."""
    getattr(os, "fdatasync", os.fsync)(file)
