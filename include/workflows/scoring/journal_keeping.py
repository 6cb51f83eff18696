"""Remove old files of the journal: those of which every answer is in the prediction log, and none other.

Whether an answer was collected is not remembered: the log itself is asked for the answer's id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.adapters.journal import JournalReader, segments
from include.adapters.journal.last_written import is_alive
from include.adapters.journal.segments import Segment, closed
from include.adapters.ledger import SegmentRecord
from include.config import declarations
from include.config.settings import settings
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.journal.collected import day_of
from include.domain.journal.records import AnswerRecord, Mark
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.lineage import promised
from include.workflows.scoring.journal_read import KEPT
from include.workflows.scoring.kept_columns import KeptColumns
from include.workflows.scoring.request_ids import ALSO_SERVED, SERVED

NAMED = 5
REPLACED_KEPT = timedelta(days=2)
"""How long a file of the prediction log that was replaced is kept: longer than anybody reads it."""


@dataclass(slots=True)
class _Content:
    """What one file holds."""

    ids: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """The answers' ids by model and day."""
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    ends: bool = False
    damaged: bool = False


def remove_old(now: datetime, run_id: str) -> dict[str, object]:
    """Remove what is older than every model in it wants (``serving.keep``) and was collected; what was removed, and
    why older files stay. ``now`` is the machine's time."""
    folder = settings().home / "journal"
    known = {name: model.serving.keep for name, model in declarations().models.items()}
    least = min(known.values(), default=timedelta(0))
    found = segments(folder)
    done = closed(found)
    old = [each for each in found if now - _written_at(each.path) > least]
    collected = _Collected()
    removed, stay = list[str](), list[str]()
    with stores.open_ledger() as ledger:
        for segment in old:
            held = _content(folder, segment)
            if segment.name not in done and not held.ends and is_alive(segment):
                continue  # its process may still write it
            why = _why_it_stays(held, known, now - _written_at(segment.path), collected)
            if why is not None:
                if why:
                    stay.append(f"{segment.name} stays: {why}.")
                continue
            answers: dict[str, dict[str, int]] = {}
            for (model, day), rows in sorted(held.counts.items()):
                answers.setdefault(model, {})[day] = rows
            size, written = segment.path.stat().st_size, _written_at(segment.path)
            rows = sum(held.counts.values())
            ledger.segments.record(SegmentRecord(segment.name, segment.instance, size, rows, answers, written, run_id))
            crashpoint("journal.remove.recorded")
            segment.path.unlink(missing_ok=True)
            crashpoint("journal.remove.removed")
            removed.append(segment.name)
    there = {each.name for each in segments(folder)}
    for kept in sorted(folder.with_name(KEPT).glob("*/")):
        KeptColumns(kept, "").forget(there)
    _remove_replaced()
    print(f"{count_of(len(removed), 'file')} of the journal removed; {len(found) - len(removed):,} stay.")
    for sentence in stay[:NAMED]:
        print(sentence)
    if len(stay) > NAMED:
        print(f"And {len(stay) - NAMED:,} more stay.")
    return {"facts": {"removed": len(removed), "old_and_not_collected": len(stay)}}


def _remove_replaced() -> None:
    """Of each model whose open day is written again and again, the files that were replaced."""
    for name, model in declarations().models.items():
        if model.serving.mode == "online":
            with stores.open_ledger() as ledger:
                sets = {each.feature_set for each in ledger.lineage.scorings(name)} - {promised.NOT_KEPT}
            files = stores.offline_store().remove_replaced(name, sets, REPLACED_KEPT)
            print(f"{name}: {count_of(files, 'replaced file')} of its prediction log and served features removed.")


def _why_it_stays(held: _Content, known: Mapping[str, timedelta], age: timedelta, collected: _Collected) -> str | None:
    """Why an old file stays: a part of a sentence, or "" where it is only not old enough; None where it may go."""
    if held.damaged:
        return "a place in it cannot be read, and only this file has what was there"
    for model, day in sorted(held.ids):
        if model not in known:
            return f"{model} is not declared any more, so its answers are not collected"
        if age <= known[model]:
            return ""
        lacking = held.ids[model, day] - collected.of(model, day)
        if lacking:
            return f"{count_of(len(lacking), 'answer')} of {model} on {day} are not in the prediction log"
    return None


def _content(folder: Path, segment: Segment) -> _Content:
    held = _Content()
    reader = JournalReader(folder, {each.name: _end_of(each) for each in segments(folder) if each.name != segment.name})
    for record in _of(reader, segment):
        if isinstance(record, AnswerRecord):
            held.ids.setdefault((record.model, day_of(record)), set()).add(record.asked_id)
            held.counts[record.model, day_of(record)] += 1
        elif isinstance(record, Mark):
            held.ends = held.ends or record.ends
    held.damaged = bool(reader.damage.changed or reader.damage.unknown)
    return held


def _of(reader: JournalReader, segment: Segment) -> Iterator[object]:
    return (entry.record for entry in reader.all() if entry.segment == segment.name)


def _end_of(segment: Segment) -> int:
    return segment.path.stat().st_size


class _Collected:
    """The ids in the prediction log, each day read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], set[str]] = {}

    def of(self, model: str, day: str) -> set[str]:
        if (model, day) not in self._known:
            table = stores.offline_store().read_predictions(model, Interval.of_day(day))
            ids: set[str] = set()
            if table is not None and "asked_id" in table.column_names:
                rows = zip(table["asked_id"].to_pylist(), table["role"].to_pylist(), strict=True)
                ids = {str(asked) for asked, role in rows if role in (SERVED, ALSO_SERVED) and asked is not None}
            self._known[model, day] = ids
        return self._known[model, day]


def _written_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
