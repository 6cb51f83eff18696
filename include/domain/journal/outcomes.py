"""What is known of each answered row: outcomes that were told twice, or corrected, are one. No file is read.

The same records give the same, in whatever order and from however many processes they come.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from include.domain.journal.records import AnswerRecord, OutcomeRecord


@dataclass(frozen=True, slots=True)
class KnownOutcome:
    """What is known of one row."""

    request_id: str
    row: int | None
    value: str | float
    known: datetime
    """When this value was told first, since another one was told."""
    before: tuple[tuple[datetime, str | float], ...] = ()
    """The values that it takes the place of, with when each was known."""


def known_outcomes(
    records: Iterable[OutcomeRecord], model: str, as_of: datetime | None = None
) -> Iterator[KnownOutcome]:
    """Each row's outcome as it was known at ``as_of``, by request and row; None for now. The value that was told last
    counts, from when it was told first: who tells the same again changes nothing."""
    told: dict[tuple[str, int | None], list[tuple[datetime, str | float]]] = {}
    for record in records:
        if record.model == model and (as_of is None or record.known <= as_of):
            told.setdefault((record.request_id, record.row), []).append((record.known, record.value))
    for (request_id, row), values in sorted(told.items(), key=lambda each: (each[0][0], each[0][1] or 0)):
        kept: list[tuple[datetime, str | float]] = []
        for at, value in sorted(values, key=lambda each: (each[0], str(each[1]))):
            if not kept or kept[-1][1] != value:
                kept.append((at, value))
        known, value = kept[-1]
        yield KnownOutcome(request_id, row, value, known, tuple(kept[:-1]))


def is_about(outcome: KnownOutcome, answers: Collection[AnswerRecord]) -> AnswerRecord | None:
    """The answer, among those of the same request, that the outcome is of; None where it names none of them: a request
    of several rows is told with the row."""
    for answer in answers:
        if answer.row == (outcome.row or 0) and (outcome.row is not None or answer.rows == 1):
            return answer
    return None
