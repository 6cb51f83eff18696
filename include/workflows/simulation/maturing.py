"""Realised losses of a stream: as its labels mature, and of whole spans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration
from include.domain.losses import DayLoss, weighted_day, weighted_sums
from include.domain.simulation.outcome import DayCost
from include.workflows.simulation.replayed_candidate import ReplayedCandidate, losses_of
from include.workflows.simulation.stream import DAY_US, Stream, day_name, microseconds

if TYPE_CHECKING:
    import numpy as np


@dataclass(slots=True, eq=False)
class ServingCandidate:
    """A champion, from when it serves, and its losses on the labels matured so far."""

    candidate: ReplayedCandidate
    since: datetime
    losses: dict[int, DayLoss] = field(default_factory=dict)
    sums: dict[int, np.ndarray[Any, Any]] = field(default_factory=dict)
    """With weights what the losses are made of, as ``weighted_sums``."""

    @property
    def matured(self) -> tuple[DayLoss, ...]:
        return tuple(self.losses[day] for day in sorted(self.losses))


class Maturing:
    """Adds to a champion's losses the rows whose labels have matured since the last call, each once."""

    def __init__(self, stream: Stream, model: ModelDeclaration) -> None:
        import numpy as np

        delay = microseconds_of(model)
        self._stream, self._model = stream, model
        # A cohort is half-open: a row exactly ``delay`` old is in tomorrow's.
        matures = np.maximum(stream.event_us + delay + 1, stream.known_us)
        # A day is settled some days after its label windows closed; what comes later changes nothing any more.
        settles = (stream.day + 1 + model.drift.performance.settles_days) * DAY_US + delay
        usable = stream.counts & (matures <= settles)
        matures = np.where(usable, matures, np.iinfo(np.int64).max)
        self._order = np.argsort(matures, kind="stable")
        self._times = matures[self._order]
        self._seen = 0

    def until(self, moment: datetime, epoch: ServingCandidate) -> None:
        import numpy as np

        end = int(self._times.searchsorted(microseconds(moment), side="right"))
        rows = np.sort(self._order[self._seen : end])
        self._seen = end
        rows = rows[self._stream.event_us[rows] >= microseconds(epoch.since)]
        if not len(rows):
            return
        losses = losses_of(self._model, self._stream, rows, epoch.candidate.scores(rows))
        weights = self._stream.weighed(rows)
        if weights is not None:
            self._weighed(epoch, self._stream.day[rows], losses, weights)
            return
        for day, count, total, squares in by_day(self._stream.day[rows], losses):
            old = epoch.losses.get(day)
            if old is None:
                epoch.losses[day] = DayLoss(day_name(day), count, total, squares)
            else:
                epoch.losses[day] = DayLoss(old.day, old.rows + count, old.total + total, old.squares + squares)

    @staticmethod
    def _weighed(
        epoch: ServingCandidate,
        days: np.ndarray[Any, Any],
        losses: np.ndarray[Any, Any],
        weights: np.ndarray[Any, Any],
    ) -> None:
        first = int(days.min())
        sums = weighted_sums(days - first, int(days.max()) - first + 1, losses, weights)
        for i in sums[0].nonzero()[0]:
            day = first + int(i)
            epoch.sums[day] = epoch.sums[day] + sums[:, i] if day in epoch.sums else sums[:, i]
            epoch.losses[day] = weighted_day(day_name(day), epoch.sums[day])


def by_day(days: np.ndarray[Any, Any], losses: np.ndarray[Any, Any]) -> Iterator[tuple[int, int, float, float]]:
    """Day, rows, sum and sum of squares."""
    import numpy as np

    first = int(days.min())
    counts = np.bincount(days - first)
    totals = np.bincount(days - first, weights=losses)
    squares = np.bincount(days - first, weights=losses * losses)
    for i in np.flatnonzero(counts):
        yield first + int(i), int(counts[i]), float(totals[i]), float(squares[i])


def realised(stream: Stream, model: ModelDeclaration, rows: slice, scores: np.ndarray[Any, Any]) -> Iterator[DayCost]:
    """The realised loss of each day of the rows, on those that ever got a label."""
    import numpy as np

    labelled = np.flatnonzero(stream.counts[rows])
    if len(labelled):
        losses = losses_of(model, stream, labelled + rows.start, scores[labelled])
        losses = losses * stream.shares(labelled + rows.start)
        for day, count, total, _ in by_day(stream.day[rows][labelled], losses):
            yield DayCost(day_name(day), count, total)


def microseconds_of(model: ModelDeclaration) -> int:
    """The label delay."""
    return model.label.delay // timedelta(microseconds=1)
