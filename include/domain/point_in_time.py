"""Which row of a history was the newest known at each request: the heart of the point-in-time join, on plain integers.

The history is read in parts and never kept. At most one row is kept for each request, and the few that a late
correction hides. So memory grows with the requests, and time is linear in the history.

How: the requests are sorted by key and time. A row of the history can first answer the request that follows its
available time: that is its *place*. Of the rows with the same place the newest is kept, and a request whose place is
empty uses the place before, as long as the key is the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from include.domain.ordering import Ints, order_of

NEVER = int(np.iinfo(np.int64).min)
"""The time of a row or request without one: such a row answers nothing, such a request gets nothing."""


class NewestKnown:
    """The search for ``requests`` of (key, asked). Times are integers of one unit, and so is ``ttl``.

    A row answers if ``available <= asked`` and ``event > asked - ttl``; of several, the latest available wins, then the
    latest event, then the one that was offered first. Keys count from 0; a negative one matches nothing.
    """

    def __init__(self, keys: Ints, asked: Ints, ttl: int) -> None:
        keys = np.where(asked == NEVER, -1, keys)
        self._ttl = ttl
        self._clock = _Clock(asked[keys >= 0], int(keys.max(initial=0)) + 1)
        places = self._place(keys, asked)
        self._order = _order_of_places(keys, places)
        self._keys, self._asked, self._places = keys[self._order], asked[self._order], places[self._order]
        count = len(keys)
        self._number = np.full(count, -1, np.int64)
        """Of each place: the number of the row that is kept there, -1 for none."""
        self._available = np.full(count, NEVER, np.int64)
        self._event = np.full(count, NEVER, np.int64)
        self._hidden: list[_Rows] = []
        self._kept = 0

    def offer(self, keys: Ints, available: Ints, event: Ints) -> Ints:
        """The positions of the rows that have to be kept for now, ascending. Kept rows are numbered from 0, over all
        offers, in the order in which they are returned."""
        rows = self._contenders(keys, available, event)
        if not len(rows.at):
            return rows.number
        last = np.append(rows.at[1:] != rows.at[:-1], True)
        ends = np.flatnonzero(last)
        newest = rows.pick(ends)
        # One with an earlier available time but a later event is still fresh when the newest is past its ttl.
        group = np.cumsum(last) - last
        hidden = rows.pick(np.flatnonzero(~last & (rows.event > newest.event[group])))

        held = _Rows(newest.at, self._number[newest.at], self._available[newest.at], self._event[newest.at])
        wins = newest.later_than(held)
        outlived = np.flatnonzero(wins & (held.number >= 0) & (held.event > newest.event))
        beaten = newest.pick(np.flatnonzero(~wins & (newest.event > held.event)))
        winners = newest.pick(np.flatnonzero(wins))

        positions = np.concatenate([winners.number, beaten.number, hidden.number])
        order = order_of(positions)
        numbers = np.empty(len(positions), np.int64)
        numbers[order] = np.arange(self._kept, self._kept + len(positions))
        self._kept += len(positions)
        self._number[winners.at] = numbers[: len(winners.at)]
        self._available[winners.at], self._event[winners.at] = winners.available, winners.event
        for part in (held.pick(outlived), _join([beaten, hidden]).numbered(numbers[len(winners.at) :])):
            if len(part.at):
                self._hidden.append(part)
        return positions[order]

    def in_use(self) -> Ints:
        """The numbers of the kept rows that may still be an answer, ascending. All others can be dropped: from then on
        the rows are numbered by their places in this list."""
        used = np.sort(np.concatenate([self._number[self._number >= 0], *(part.number for part in self._hidden)]))
        holds = self._number >= 0
        self._number[holds] = np.searchsorted(used, self._number[holds])
        self._hidden = [part.numbered(np.searchsorted(used, part.number)) for part in self._hidden]
        self._kept = len(used)
        return used

    def answers(self) -> Ints:
        """Of each request, in the order they were given: the number of the kept row that answers it, -1 for none."""
        count = len(self._keys)
        # Equal requests share the first one's place.
        first = np.append(True, self._places[1:] != self._places[:-1])[:count]
        place = np.maximum.accumulate(np.where(first, np.arange(count), 0))
        holder = np.maximum.accumulate(np.where(self._number >= 0, np.arange(count), -1))[place]
        known = (holder >= 0) & (self._keys[holder] == self._keys)
        fresh = known & (self._event[holder] > self._asked - self._ttl)
        found = np.where(fresh, self._number[holder], -1)
        past_ttl = np.flatnonzero(known & ~fresh)
        found[past_ttl] = self._second_best(past_ttl, place[past_ttl])
        given = np.empty(count, np.int64)
        given[self._order] = found
        return given

    def _second_best(self, requests: Ints, place: Ints) -> Ints:
        """For requests whose newest row is past its ttl: the newest before it that is not; -1 for none."""
        holds = np.flatnonzero(self._number >= 0)
        rows = _Rows(holds, self._number[holds], self._available[holds], self._event[holds])
        if self._hidden:
            rows = _join([rows, *self._hidden])
            rows = rows.pick(np.lexsort((rows.event, rows.available, rows.at)))
        keys = self._keys[rows.at]
        # Only where an event is later than that of a row available after it is there anything to find.
        late = keys[1:][(keys[1:] == keys[:-1]) & (rows.event[1:] < rows.event[:-1])]
        found = np.full(len(requests), -1, np.int64)
        some = np.isin(self._keys[requests], late) if len(late) else np.zeros(len(requests), bool)
        if not some.any():
            return found
        rows = rows.pick(np.flatnonzero(np.isin(keys, late)))
        keys, asking = self._keys[rows.at], requests[some]
        last = np.searchsorted(rows.at, place[some], side="right") - 1
        first = np.searchsorted(keys, self._keys[asking])
        best = _last_above(rows.event, first, last, self._asked[asking] - self._ttl)
        found[some] = np.where(best >= 0, rows.number[best], -1)
        return found

    def _place(self, keys: Ints, moments: Ints) -> Ints:
        """Key and time in one integer."""
        return keys * self._clock.ticks + self._clock.at(moments)

    def _contenders(self, keys: Ints, available: Ints, event: Ints) -> _Rows:
        """The offered rows that can answer the request at their place, by place, each place's newest last."""
        if not len(self._keys) or not len(keys):
            return _Rows.none()
        if available.min() == NEVER or event.min() == NEVER:
            keys = np.where((available == NEVER) | (event == NEVER), -1, keys)
        # In order of place, the search walks through the requests once instead of jumping about in them. Those of no
        # request's key come first, and are left out.
        place = self._place(keys, available)
        order = _order_of_places(keys, place, int(np.count_nonzero(keys < 0)))
        if not len(order):
            return _Rows.none()
        keys, available, event = keys[order], available[order], event[order]
        at = np.searchsorted(self._places, place[order])
        last = np.append(at[1:] != at[:-1], True)
        newer = (available[1:] > available[:-1]) & (event[1:] >= event[:-1])
        if np.all(newer | last[:-1] | (keys[1:] != keys[:-1])):
            # Newer in both times than all before them, those that come last at their places hide the others for good.
            ends = np.flatnonzero(last)
            order, at, keys, available, event = order[ends], at[ends], keys[ends], available[ends], event[ends]
        # The last one means "after all requests", so the times are compared as well as the keys.
        np.minimum(at, len(self._keys) - 1, out=at)
        asked = self._asked[at]
        can = np.flatnonzero((self._keys[at] == keys) & (asked >= available) & (event > asked - self._ttl))
        rows = _Rows(at[can], order[can], available[can], event[can])
        if not rows.is_ordered():
            rows = rows.pick(np.lexsort((-rows.number, rows.event, rows.available, rows.at)))
        return rows


class _Clock:
    """Moments as small integers that are different for different request times, rounded up: ``at(moment) <= at(asked)``
    exactly where ``moment <= asked``, for every time that is asked at.

    Counted in the coarsest of a few units that represents all requests exactly; when even that leaves too few bits for
    the keys, in ranks among the requests' times, which takes longer.
    """

    UNITS = (1_000_000, 1_000, 1)

    def __init__(self, asked: Ints, keys: int) -> None:
        self._first, last = int(asked.min(initial=0)), int(asked.max(initial=0))
        if len(asked):
            self._first = int(asked.min())
        self._unit = next(unit for unit in self.UNITS if not np.any((asked - self._first) % unit))
        self.ticks = (last - self._first) // self._unit + 2
        """One more than ``at`` ever gives."""
        self._times: Ints | None = None
        if keys * self.ticks >= 1 << 62:
            times = np.sort(asked)
            self._times = times[np.append(True, times[1:] != times[:-1])]
            self.ticks = len(self._times) + 1

    def at(self, moments: Ints) -> Ints:
        if self._times is not None:
            return np.searchsorted(self._times, moments)
        since: Ints
        # NEVER stays below the first time: nothing is subtracted from it.
        since = np.maximum(moments, self._first) - (self._first - self._unit + 1)
        if self._unit > 1:
            since //= self._unit
        np.minimum(since, self.ticks - 1, out=since)
        return since


class _Rows:
    """Rows of the history, as parallel arrays: the place each first answers, its number, and its two times."""

    __slots__ = ("at", "available", "event", "number")

    def __init__(self, at: Ints, number: Ints, available: Ints, event: Ints) -> None:
        self.at, self.number, self.available, self.event = at, number, available, event

    @classmethod
    def none(cls) -> _Rows:
        empty = np.empty(0, np.int64)
        return cls(empty, empty, empty, empty)

    def pick(self, positions: Ints) -> _Rows:
        return _Rows(self.at[positions], self.number[positions], self.available[positions], self.event[positions])

    def numbered(self, numbers: Ints) -> _Rows:
        return _Rows(self.at, numbers, self.available, self.event)

    def later_than(self, other: _Rows) -> npt.NDArray[np.bool_]:
        same = self.available == other.available
        later: npt.NDArray[np.bool_] = (self.available > other.available) | (same & (self.event > other.event))
        return later

    def is_ordered(self) -> bool:
        """Whether place, then available time, then event time only ever rise; never two rows equal in all three."""
        before, after = self.part(slice(None, -1)), self.part(slice(1, None))
        return bool(np.all((after.at > before.at) | ((after.at == before.at) & after.later_than(before))))

    def part(self, rows: slice) -> _Rows:
        return _Rows(self.at[rows], self.number[rows], self.available[rows], self.event[rows])


def _order_of_places(keys: Ints, places: Ints, left_out: int = 0) -> Ints:
    """The positions that sort by place, without the first ``left_out``. When rows are in the order of time already, it
    is enough to sort their keys, which takes a third of the time."""
    order = order_of(keys)[left_out:]
    by_key = places[order]
    return order if np.all(by_key[1:] >= by_key[:-1]) else order_of(places)[left_out:]


def _join(parts: list[_Rows]) -> _Rows:
    fields = ("at", "number", "available", "event")
    return _Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def _last_above(values: Ints, first: Ints, last: Ints, bounds: Ints) -> Ints:
    """For each search the last position in [first, last] whose value is above the bound; -1 for none.

    By halving steps over the maxima of 1, 2, 4, ... values that end at each position.
    """
    maxima, width = [values], 1
    longest = int((last - first).max(initial=0)) + 1
    while 2 * width <= longest:
        wider = maxima[-1].copy()
        wider[width:] = np.maximum(wider[width:], maxima[-1][:-width])
        maxima.append(wider)
        width *= 2
    at = last.copy()
    for level in reversed(range(len(maxima))):
        size = 1 << level
        whole = at - size + 1 >= first
        at = np.where(whole & (maxima[level][np.maximum(at, 0)] <= bounds), at - size, at)
    return np.where((at >= first) & (values[np.maximum(at, 0)] > bounds), at, -1)
