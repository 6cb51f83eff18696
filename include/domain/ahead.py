"""When rows that are known ahead are answered, and which of their answers counts.

A row is answered at fixed times of the day, from when it is known until its prediction time: the last of these times
that lies ``lead`` or more before its event. Of its answers the last one up to then counts. A row without any is filled
once its day is over, and every reader can tell the two apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.domain.intervals import DAY, Interval
from include.domain.wording import count_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

AHEAD = "ahead"
"""An answer that was given before its row's prediction time was over."""
AFTERWARDS = "afterwards"
"""An answer that was computed once the day was over, because none was given in time. It was of no use to anyone."""
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """The times at which rows are answered, the same ones each UTC day: ``after`` midnight, and then ``every``."""

    every: timedelta
    after: timedelta = timedelta(0)

    def at_or_before(self, moment: datetime) -> datetime:
        """The last answer time that is not after ``moment``.

        >>> AnswerTimes(HOUR, MINUTE).at_or_before(datetime(2013, 6, 1, 12, tzinfo=UTC)).isoformat()
        '2013-06-01T11:01:00+00:00'
        """
        return moment - (moment - EPOCH - self.after) % self.every

    def at_or_before_us(self, moments: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The same, of microseconds since 1970: shape (n,) for shape (n,)."""
        us = timedelta(microseconds=1)
        floored: npt.NDArray[np.int64] = moments - (moments - self.after // us) % (self.every // us)
        return floored

    def within(self, interval: Interval) -> list[datetime]:
        """Every answer time in the interval, in order."""
        first = self.at_or_before(interval.start)
        moment, found = first if first == interval.start else first + self.every, list[datetime]()
        while moment < interval.end:
            found.append(moment)
            moment += self.every
        return found

    @property
    def cron(self) -> str:
        """The times as a cron in UTC; ``wrong_every`` says which there are.

        >>> AnswerTimes(HOUR, MINUTE).cron, AnswerTimes(6 * HOUR).cron, AnswerTimes(20 * MINUTE, MINUTE).cron
        ('1 * * * *', '0 0,6,12,18 * * *', '1,21,41 * * * *')
        """
        after = self.after // MINUTE
        if self.every < HOUR:
            return f"{','.join(str(m) for m in range(after, 60, self.every // MINUTE))} * * * *"
        hours = range(after // 60, 24, self.every // HOUR)
        return f"{after % 60} {'*' if self.every == HOUR else ','.join(map(str, hours))} * * *"


def wrong_every(every: timedelta) -> str | None:
    """Why rows cannot be answered that often; None where they can: at the same times each day, on whole minutes."""
    if every >= MINUTE and not every % MINUTE and (not HOUR % every or (not every % HOUR and not DAY % every)):
        return None
    return "give whole minutes that divide an hour, or whole hours that divide a day: 10m, 30m, 1h, 6h"


def times_for(every: timedelta, delays: Iterable[timedelta]) -> AnswerTimes:
    """The times at which the newest rows of views with these delays can just be read: a whole minute after each
    ``every``. On the full hour itself a row of that hour is not there yet, and each answer would be from older values
    than need be.

    >>> times_for(HOUR, [timedelta(seconds=30), 61 * MINUTE]).cron
    '1 * * * *'
    """
    waits = [-(-(delay % every) // MINUTE) * MINUTE % every for delay in delays]
    return AnswerTimes(every, max(waits, default=timedelta(0)))


def that_count(answers: pd.DataFrame, due: pd.Series[Any]) -> pd.DataFrame:
    """Of each request the answer that counts, with ``times_answered``, how many there were up to it.

    Args:
        answers: what was given: ``request_id`` and ``answered_at`` among its columns.
        due: the prediction time of each request that there is, by request. What was answered of other requests
            (withdrawn, or moved to another time) does not count, nor does an answer after the prediction time.

    Returns the rows of ``answers`` that count, in the order of ``due``, each request once at most.
    """
    until = answers["request_id"].map(due)
    in_time = answers[until.notna() & (answers["answered_at"] <= until)]
    in_order = in_time.sort_values(["request_id", "answered_at"], kind="stable")
    by_request = in_order.groupby("request_id", sort=False)
    last = in_order[~in_order["request_id"].duplicated(keep="last")]
    last = last.assign(times_answered=by_request.size().reindex(last["request_id"]).to_numpy())
    return last.set_index("request_id", drop=False).reindex(due.index[due.index.isin(last["request_id"])])


def sentence(rows: int, ahead: int, by_others: int = 0, withdrawn: int = 0) -> str:
    """How many rows of a day were answered before they were due, and what became of the others.

    >>> sentence(12788, 12340)
    '12,340 of 12,788 answered ahead; 448 filled afterwards.'
    """
    filled = rows - ahead
    said = f"{ahead:,} of {rows:,} answered ahead; {filled:,} filled afterwards"
    if by_others:
        said += f", {by_others:,} of which another champion had answered ahead"
    said += "."
    if withdrawn:
        were = "was" if withdrawn == 1 else "were"
        said += f" {count_of(withdrawn, 'answered row')} {were} withdrawn or moved since, and {were} not counted."
    return said
