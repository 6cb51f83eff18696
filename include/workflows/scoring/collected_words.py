"""What a person is told of a day that is collected from the journal, in sentences, and what its closing waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from include.adapters.ledger import Ledger
from include.config import ModelDeclaration
from include.domain.intervals import Interval
from include.domain.journal.collected import Writer
from include.domain.promotion import Epoch
from include.domain.wording import count_of
from include.workflows.scoring.journal_read import JournalDay, earlier_days
from include.workflows.scoring.request_ids import ANSWERED

NAMED = 3


def still_writing(found: JournalDay, interval: Interval, now: datetime) -> list[str]:
    """Why the day cannot be closed yet."""
    if now < interval.end:
        return [f"it is not over at {now:%Y-%m-%d %H:%M} UTC."]
    writing = [each for each in found.writers if each.state(interval.start, interval.end) == "writes"]
    if not writing:
        return []
    names = ", ".join(each.name for each in writing[:NAMED]) + (" and others" if writing[NAMED:] else "")
    at = max((each.marked for each in writing if each.marked is not None), default=None)
    until = f"its newest mark is {at:%Y-%m-%d %H:%M:%S} UTC" if at else "no mark of it is there"
    return [
        f"{names} has not said that the day is over ({until}); it is asked again, for at most 15 minutes of silence."
    ]


def gone(journal: JournalDay) -> list[Writer]:
    """Processes that are not waited for any more, and have not said that the day is over."""
    interval = Interval.of_day(journal.day)
    return [each for each in journal.writers if each.state(interval.start, interval.end) == "gone"]


def collected(day: str, champion: Epoch, rows: int, others: Mapping[str, int]) -> list[str]:
    """What was collected, in sentences."""
    who = f"{champion.to_candidate} (version {champion.model_version})"
    return [
        f"{day}: {count_of(rows, 'answer')} of {who} collected.",
        *(
            f"{day}: {count_of(n, 'answer')} of {candidate}, which is not the day's champion, in the log as "
            "also_served; nothing is judged by them."
            for candidate, n in others.items()
        ),
    ]


def of_the_journal(journal: JournalDay, model: ModelDeclaration, ledger: Ledger) -> list[str]:
    """What a person should know of the journal, in sentences."""
    damage, told = journal.damage, list[str]()
    if journal.duplicates:
        told.append(f"{count_of(journal.duplicates, 'record')} had an id that was answered before; the first counts.")
    if damage.torn or damage.changed or damage.unknown:
        told.append(
            f"The journal has {count_of(damage.torn, 'torn end')}, {count_of(damage.changed, 'changed place')} and "
            f"{count_of(damage.unknown, 'unknown record')}, of all days: {', '.join(damage.where[:NAMED])}."
        )
    told += [
        f"{each.name} has written nothing for {each.silent // timedelta(minutes=1)} minutes and has not said that the "
        "day is over; what it wrote is taken as it is."
        for each in gone(journal)
    ]
    told += [
        f"{earlier}: {count_of(more, 'answer')} came after it was collected. Run {model.answering_dag} for it."
        for earlier, more in _late(journal, model, ledger).items()
    ]
    return told


def _late(journal: JournalDay, model: ModelDeclaration, ledger: Ledger) -> dict[str, int]:
    """How many answers more than the log each earlier day has by now; days that were never collected are left out."""
    earlier, held = earlier_days(journal.day), dict[str, int]()
    for each in ledger.lineage.scorings(model.name, earlier[0], journal.day):
        if each.role in ANSWERED:
            held[each.day] = held.get(each.day, 0) + each.rows
    counts = {day: journal.count(day, held[day]) for day in earlier if day in held}
    return {day: count - held[day] for day, count in counts.items() if count > held[day]}
