"""Files of the journal that were removed: each was collected before, and what it held is known here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from include.adapters.ledger.database import Database, clock, plain, upsert, words
from include.adapters.ledger.tables import segments


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """One removed file of the journal.

    Attributes:
        rows: answers in it.
        answers: by model, how many of each day.
        written_at: when it was last written.
        run_id: of the run that removed it.
    """

    name: str
    instance_id: str
    bytes: int
    rows: int
    answers: Mapping[str, Mapping[str, int]]
    written_at: datetime
    run_id: str


class Segments:
    """Keeps and finds removed files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, removed: SegmentRecord) -> None:
        """Keep what the file held; again changes nothing but the run."""
        values = {
            "instance_id": words("instance_id", removed.instance_id),
            "bytes": removed.bytes,
            "rows": removed.rows,
            "answers": plain("answers", removed.answers),
            "written_at": removed.written_at,
            "run_id": words("run_id", removed.run_id),
            "recorded_at": clock(),
        }
        with self._database.writing(f"segment:{removed.name}") as connection:
            upsert(connection, segments, {"name": words("name", removed.name)}, values)

    def removed(self) -> list[SegmentRecord]:
        """Every file that was removed, by its name."""
        with self._database.reading() as connection:
            found = connection.execute(select(segments).order_by(segments.c.name))
            return [
                SegmentRecord(r.name, r.instance_id, r.bytes, r.rows, r.answers, r.written_at, r.run_id) for r in found
            ]
