"""What the journal holds of a model's day: the champion's answers and its challengers', and who may still write."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from include.adapters.journal import Damage, JournalReader, died_here, last_written, writer_of
from include.config.settings import settings
from include.domain.intervals import Interval
from include.domain.journal.collected import ANSWERS, Answers, Writer
from include.domain.journal.records import AnswerRecord, PassedOver

LATE_DAYS = 7
"""So many days before the collected one are looked at for answers that came after they were collected."""


@dataclass(frozen=True, slots=True)
class JournalDay:
    """A day of a model in the journal.

    Attributes:
        answers: those that callers got; ``each_answer`` gives what the model beside it said to the same row.
        earlier: how many answers each of the ``LATE_DAYS`` before has by now.
        writers: every process that has written the journal.
        damage: what could not be read, of all segments.
    """

    answers: list[AnswerRecord]
    earlier: dict[str, int]
    duplicates: int
    writers: list[Writer]
    damage: Damage


@dataclass(frozen=True, slots=True)
class AnsweredBeside:
    """What a challenger answered beside the champion's rows of a day.

    Attributes:
        until: the latest prediction time that it answered or passed over; None for none.
        silent: since its newest file was last written; None where it has none.
    """

    answers: list[AnswerRecord]
    until: datetime | None
    silent: timedelta | None


def journal_of(model: str, day: str, now: datetime) -> JournalDay:
    """Read the whole journal for the day; ``now`` is the machine's."""
    folder = settings().home / "journal"
    start = Interval.of_day(day).start
    before = [(start - timedelta(days=n)).date().isoformat() for n in range(1, LATE_DAYS + 1)]
    reader, answers, seen = JournalReader(folder), Answers(model, {day, *before}), dict[str, Writer]()
    for entry in reader.all():
        name = writer_of(entry.segment)
        seen.setdefault(name, Writer(name, timedelta(0))).saw(entry.record)
        if isinstance(entry.record, AnswerRecord) and entry.record.role in ANSWERS:
            answers.add(entry.record, entry.segment, entry.at)
    note_silence(seen, folder, now)
    counts = {each: answers.count(each) for each in sorted(before)}
    writers = [seen[name] for name in sorted(seen)]
    return JournalDay(answers.of(day), counts, answers.duplicates, writers, reader.damage)


def note_silence(seen: dict[str, Writer], folder: Path, now: datetime) -> None:
    """Note for how long each process has written nothing, and which are gone. Looked at after everything was read: what
    was written meanwhile is a reason to wait."""
    dead = died_here(folder)
    for name, at in last_written(folder).items():
        writer = seen.setdefault(name, Writer(name, timedelta(0)))
        writer.silent, writer.dead = now - at, name in dead


def shadow_of(folder: Path, model: str, day: str, asked: Collection[str], now: datetime) -> AnsweredBeside:
    """What a challenger's own journal has of the rows ``asked``; ``now`` is the machine's."""
    answers, until = Answers(model, {day}), None
    for record, segment, at in _records(folder):
        moment = record.until if isinstance(record, PassedOver) else record.prediction_time
        until = moment if until is None else max(until, moment)
        if isinstance(record, AnswerRecord) and record.asked_id in asked:
            answers.add(record, segment, at)
    written = last_written(folder).values()
    return AnsweredBeside(answers.of(day), until, now - max(written) if written else None)


def _records(folder: Path) -> Iterator[tuple[AnswerRecord | PassedOver, str, int]]:
    for entry in JournalReader(folder).all():
        if isinstance(entry.record, (AnswerRecord, PassedOver)):
            yield entry.record, entry.segment, entry.at
