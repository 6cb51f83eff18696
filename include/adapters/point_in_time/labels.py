"""Each request's label: that of the same keys and the same event time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from include.adapters.point_in_time.keys import TIMES, Keys, KeysTold
from include.domain.errors import Refusal
from include.domain.ordering import Ints, order_of
from include.domain.point_in_time import NEVER


class LabelGivenTwice(Refusal, ValueError):
    """label.sql gives more than one label for the same entity and event time."""

    def __init__(self, requests: int, joined: int) -> None:
        super().__init__(
            f"label.sql gives several labels for one row: {requests} requests became {joined} rows. "
            "Give one label for each entity and event time."
        )


def with_labels(
    requests: pa.Table, labels: pa.Table, *, keys: Sequence[str], told: list[KeysTold] | None = None
) -> pa.Table:
    """Columns ``label`` and ``available_time`` for each request, in the requests' order; missing where none was given.

    ``told`` gets the remarks about keys whose types differ.

    Raises:
        LabelGivenTwice: when an entity and event time has more than one.
        KeysOfTwoKinds: when a key is of types that have no value in common.
    """
    known = Keys(requests, keys)
    asked, given = _moments(requests), _moments(labels)
    codes = known.of(labels)
    if told is not None:
        told += known.told
    can = np.flatnonzero((codes >= 0) & (given != NEVER))
    one_of = OneInteger(known.codes, asked)
    wanted, has = one_of(known.codes, asked), one_of(codes[can], given[can])
    order = order_of(has)
    has, at = has[order], np.zeros(len(wanted), np.int64)
    # One that is larger than all others would be searched behind the end.
    fits = np.flatnonzero(wanted >= 0) if len(has) else at[:0]
    at[fits] = np.minimum(np.searchsorted(has, wanted[fits]), len(has) - 1)
    fits = fits[has[at[fits]] == wanted[fits]]
    if np.any((has[1:] == has[:-1]) & (has[1:] >= 0)):
        rows = int((np.searchsorted(has, wanted[fits], side="right") - at[fits] - 1).sum())
        if rows:
            raise LabelGivenTwice(len(wanted), len(wanted) + rows)
    found = np.full(len(wanted), -1, np.int64)
    found[fits] = can[order[at[fits]]]
    return labels.select(["label", "available_time"]).take(pa.array(found, mask=found < 0))


class OneInteger:
    """Key and time of rows as one integer that only the same key and the same time have; -1 for a row that equals none
    of the rows it was made for, which are given first."""

    def __init__(self, codes: Ints, times: Ints) -> None:
        real = times[times != NEVER]
        self._first, last = (int(real.min()), int(real.max())) if len(real) else (0, 0)
        self._unit = next(unit for unit in (1_000_000, 1_000, 1) if not np.any((real - self._first) % unit))
        self._ticks = (last - self._first) // self._unit + 1
        self._times: Ints | None = None
        if (int(codes.max(initial=0)) + 1) * self._ticks >= 1 << 62:
            self._times = np.unique(real)
            self._ticks = len(self._times)

    def __call__(self, codes: Ints, times: Ints) -> Ints:
        if self._times is not None:
            ticks = np.minimum(np.searchsorted(self._times, times), self._ticks - 1)
            inside = self._times[ticks] == times
        else:
            since = np.maximum(times, self._first) - self._first
            ticks, odd = np.divmod(since, self._unit)
            inside = (times >= self._first) & (ticks < self._ticks) & (odd == 0)
        return np.where((codes >= 0) & inside, codes * self._ticks + np.minimum(ticks, self._ticks - 1), -1)


def _moments(rows: pa.Table) -> Ints:
    whole = rows.column("event_time").cast(TIMES).cast(pa.int64())
    moments: Ints = (whole.fill_null(NEVER) if whole.null_count else whole).to_numpy()
    return moments
