"""A journal whose first file is made with its first record, for what most processes never write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from include.adapters.journal.writer import Journal
from include.domain.journal.records import Record


class JournalLater:
    """As ``Journal``, for the same one thread."""

    def __init__(self, opened: Callable[[], Journal]) -> None:
        self._open = opened
        self._journal: Journal | None = None

    def append(self, records: Sequence[Record]) -> None:
        """
        Raises:
            JournalUnwritable: as ``Journal.append``, and when no file can be opened.
        """
        if self._journal is None:
            self._journal = self._open()
        self._journal.append(records)

    def when_on_disk(self, told: Callable[[bool], None]) -> None:
        """As ``Journal.when_on_disk``; of what was never written everything is on the disk."""
        if self._journal is None:
            told(True)
        else:
            self._journal.when_on_disk(told)

    def close(self) -> None:
        """Wait until everything is on the disk."""
        if self._journal is not None:
            self._journal.close()
