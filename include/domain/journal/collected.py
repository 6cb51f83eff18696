"""Which records of the journal are a day's answers, and whether all who write it are past the day. No file is read.

The same records give the same answers, in whatever order and from however many segments they come.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from include.domain.journal.records import AnswerRecord, Mark, Opening, OutcomeRecord, PassedOver, Record

GONE_AFTER = timedelta(minutes=15)
"""A process that has written nothing for so long, and has not passed the day's end, is not waited for."""
DEAD_AFTER = timedelta(minutes=2)
"""The same of a process that is known to be gone: one that lives writes something every minute."""
ANSWERS = frozenset({"champion", "canary"})
"""As what a caller is answered."""
State = Literal["passed", "writes", "gone", "ended before"]


def moment_of(record: AnswerRecord) -> datetime:
    """When what an answer is about happens: its event, as in batch; the request where no event is known."""
    return record.event_time or record.prediction_time


def day_of(record: AnswerRecord) -> str:
    """The UTC day that an answer belongs to, ``YYYY-MM-DD``. The day on which it is collected has no part in it."""
    return moment_of(record).astimezone(UTC).date().isoformat()


def each_answer(record: AnswerRecord) -> tuple[AnswerRecord, ...]:
    """The record as one for each model that answered the row: the one that the caller got first, then the one beside
    it. Features are those that the model was given."""
    beside = record.beside
    if beside is None:
        return (record,)
    alone = msgspec.structs.replace(record, beside=None, canary_features={})
    other = msgspec.structs.replace(
        alone,
        candidate=beside.candidate,
        digest=beside.digest,
        role=beside.role,
        by=beside.by,
        score=beside.score,
        predicted=beside.predicted,
        error=beside.error,
        us_model=beside.us_model,
    )
    if not record.canary_features:
        return alone, other
    features = {**record.features, **record.canary_features}
    return tuple(
        msgspec.structs.replace(each, features=features) if each.role == "canary" else each for each in (alone, other)
    )


@dataclass(slots=True)
class Writer:
    """One process that writes the journal, as far as its records tell of it."""

    name: str
    silent: timedelta
    """Since its newest file was last written, by the machine's clock."""
    began: datetime | None = None
    marked: datetime | None = None
    last: datetime | None = None
    """The latest time that any of its records has."""
    ended: bool = False
    """Whether it has said that it writes nothing more."""
    dead: bool = False
    """Whether it ran on this machine and runs no more."""

    def saw(self, record: Record) -> None:
        """Take one of its records."""
        if isinstance(record, Opening):
            at = record.opened_at
            self.began = at if self.began is None else min(self.began, at)
        elif isinstance(record, Mark):
            at = record.at
            self.marked = at if self.marked is None else max(self.marked, at)
            self.ended = self.ended or record.ends
        elif isinstance(record, PassedOver):
            at = record.until
        elif isinstance(record, OutcomeRecord):
            at = record.known
        else:
            at = record.prediction_time
        self.answered(at)

    def answered(self, at: datetime) -> None:
        """Take the time of one of its answers."""
        self.last = at if self.last is None else max(self.last, at)

    def join(self, other: Writer) -> None:
        """Take what another part of its records told."""
        self.began = min((at for at in (self.began, other.began) if at is not None), default=None)
        self.marked = max((at for at in (self.marked, other.marked) if at is not None), default=None)
        self.last = max((at for at in (self.last, other.last) if at is not None), default=None)
        self.ended = self.ended or other.ended

    def state(self, start: datetime, end: datetime) -> State:
        """How far it is in the day ``[start, end)``: ``passed`` when no answer before its end can come any more,
        ``gone`` when that is not known and it is not waited for, ``ended before`` when it went silent before the day.
        """
        if self.ended or _at_least(self.marked, end) or _at_least(self.began, end):
            return "passed"
        if self.dead and self.silent >= DEAD_AFTER:
            return "passed"  # what it acknowledged it had written, so nothing is missing
        if self.silent < GONE_AFTER:
            return "writes"
        return "gone" if _at_least(self.last, start) else "ended before"


def _at_least(moment: datetime | None, bound: datetime) -> bool:
    return moment is not None and moment >= bound


def may_still_come(newest: datetime | None, answered_until: datetime | None, silent: timedelta | None) -> bool:
    """Whether a challenger may still answer rows of the champion that it has not.

    Args:
        newest: the latest prediction time of the champion's answers without one of the challenger's; None for none.
        answered_until: the latest prediction time that the challenger answered or passed over; None for none.
        silent: since its newest file was last written; None where it has none.
    """
    if newest is None or silent is None or silent >= GONE_AFTER:
        return False
    # It reads in order, and is at most five minutes behind.
    return answered_until is None or newest > answered_until - GONE_AFTER
