"""What came of answered rows, told by whoever knows it: written down before it is said to be known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from include.adapters.journal import JournalUnwritable
from include.domain.faults import crashpoint
from include.domain.journal.records import OutcomeRecord
from include.domain.serving.outcomes import told_outcomes
from include.domain.serving.requests import NotAnswered, parsed
from include.domain.serving.route import ServedModel
from include.serving.counters import Counters, labelled
from include.serving.on_disk import KeepsRecords, on_disk
from include.serving.replies import Reply, shown_as_json

FOLDER = "journal-outcomes"
"""Of the home. No file of it is removed: what is learned from is kept."""


@dataclass(frozen=True, slots=True)
class Books:
    """Where a worker writes down answers and outcomes, and the clock that dates what it is told."""

    answers: KeepsRecords
    outcomes: KeepsRecords
    now: Callable[[], datetime]


async def taken_down(books: Books, body: bytes, served: ServedModel, by: str, counters: Counters) -> Reply:
    """The outcomes of a body, written down.

    Raises:
        NotAnswered: when one of them cannot be one, and then none counts; or when they cannot be written down.
    """
    told, known = told_outcomes(parsed(body), served), books.now().astimezone(UTC)
    records = [OutcomeRecord(served.model, each.request_id, each.value, known, each.row, by) for each in told]
    try:
        books.outcomes.append(records)
        kept = served.durability == "process" or await on_disk(books.outcomes, served.model, counters)
    except JournalUnwritable:
        kept = False
    if not kept:
        raise NotAnswered(503, "the outcomes cannot be written down; tell them again")
    crashpoint("serve.outcomes.written")
    counters.add(labelled("slipway_outcomes_total", model=served.model), len(records))
    return shown_as_json({"model": served.model, "outcomes": len(records), "known": known.isoformat()})
