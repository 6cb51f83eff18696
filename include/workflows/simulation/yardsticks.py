"""What a policy is compared with: the cost of schedules without evidence, and of a course that knows the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration
from include.domain.intervals import DAY, Interval
from include.domain.shadow import Window, window_state
from include.domain.simulation.hindsight import HalvedDays
from include.domain.simulation.outcome import DayCost, PolicyKind, PolicyOutcome
from include.workflows.simulation.candidates import ReplayedCandidates
from include.workflows.simulation.progress import SimulationProgress
from include.workflows.simulation.replayed_candidate import ReplayedCandidate
from include.workflows.simulation.stream import DAY_US, Stream, day_name, microseconds

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """What the declared policy is compared with.

    Attributes:
        every: retrain every so many days, at once and after the shadow days; several give several yardsticks, none
            gives none.
        fits_at_most: ``always`` retrains each day, or on so many days evenly spaced where there are more; 0 leaves
            ``always`` out.
        hindsight: whether the cheapest sequence of all models of this run is sought.
        price: of one retrain, in units of the summed loss, for every policy; None takes the declared one.
    """

    every: tuple[int, ...] = (30,)
    fits_at_most: int = 120
    hindsight: bool = True
    price: float | None = None


class Compared:
    """The yardsticks of one declaration over one stream."""

    def __init__(
        self,
        model: ModelDeclaration,
        stream: Stream,
        interval: Interval,
        candidates: ReplayedCandidates,
        first: ReplayedCandidate,
        screen: SimulationProgress,
    ) -> None:
        import numpy as np

        self.model, self.stream, self.interval = model, stream, interval
        self._candidates, self._screen = candidates, screen
        self._rows = stream.rows(interval)
        self._first_day = microseconds(interval.start) // DAY_US
        self._days = len(interval.days)
        known = stream.counts
        self._labelled = np.bincount(stream.day[self._rows][known[self._rows]] - self._first_day, minlength=self._days)
        # Every other labelled row, over the whole stream: of one row a day every other day's.
        self._even = np.cumsum(known) % 2 == 0
        even = known[self._rows] & self._even[self._rows]
        self._even_labelled = np.bincount(stream.day[self._rows][even] - self._first_day, minlength=self._days)
        self._models: list[tuple[int, ReplayedCandidate]] = [(0, first)]
        """Each with the first day it may serve."""
        self._losses: dict[int, np.ndarray[Any, Any]] = {}

    def all_of(self, asked: Yardsticks, price: float) -> list[PolicyOutcome]:
        """Never, each schedule with and without shadow days, always, and the best course in hindsight."""
        found = [self.schedule("never retrain", PolicyKind.NEVER, [])]
        for days in asked.every:
            moments = every(self.interval, days)
            found.append(self.schedule(f"every {days} days", PolicyKind.EVERY, moments))
            found.append(self.schedule(f"every {days} days, after shadow", PolicyKind.EVERY_SHADOWED, moments))
        if asked.fits_at_most:
            step = -(-self._days // asked.fits_at_most)
            name = "always" if step == 1 else f"always (every {step} days)"
            found.append(self.schedule(name, PolicyKind.ALWAYS, every(self.interval, step)))
        if asked.hindsight:
            found.append(self.hindsight(price))
        return found

    def schedule(self, name: str, kind: PolicyKind, moments: Sequence[datetime]) -> PolicyOutcome:
        import numpy as np

        self._screen.begin(name, len(moments) + 1)
        served, trained = [self._models[0]], list[str]()
        for moment in moments:
            made = self._candidates.of(self.model, self.stream, moment)
            day = (moment - self.interval.start) // DAY
            if made.pipeline is not None:
                trained.append(made.name)
                if all(made is not known for _, known in self._models):
                    self._models.append((day, made))
                serves = day + (self._shadow_days(day) if kind is PolicyKind.EVERY_SHADOWED else 0)
                if serves < self._days:
                    served.append((serves, made))
            self._screen.step()
        totals = np.zeros(self._days)
        ends = [*(day for day, _ in served[1:]), self._days]
        for (day, made), end in zip(served, ends, strict=True):
            totals[day:end] = self._loss_of(made)[day:end]
        self._screen.step()
        return self._outcome(name, kind, totals, trained, served, len(moments) - len(trained))

    def _shadow_days(self, day: int) -> int:
        """How many days from this one on a candidate's shadow window is open; without gates a short one ends it too."""
        rows = seen = 0
        counts = self._rows_a_day()
        for later in range(day, self._days):
            if counts[later]:
                rows, seen = rows + int(counts[later]), seen + 1
                matured = max(seen - self.model.delay_days, 0)
                state = window_state(self.model.shadow.rules(), rows=rows, days=seen, matured_days=matured)
                if state is not Window.OPEN:
                    return later + 1 - day
        return self._days - day

    def _rows_a_day(self) -> np.ndarray[Any, Any]:
        import numpy as np

        return np.bincount(self.stream.day[self._rows] - self._first_day, minlength=self._days)

    def hindsight(self, price: float) -> PolicyOutcome:
        """Over every model of this run that could have served, the variants' own included."""
        import numpy as np

        known = {id(made) for _, made in self._models}
        for made in self._candidates.made_for(self.stream, self.model):
            if id(made) not in known and self.interval.start < made.as_of < self.interval.end:
                self._models.append(((made.as_of - self.interval.start) // DAY, made))
        self._screen.begin("best in hindsight", len(self._models))
        halves = []
        for _, made in self._models:
            halves.append(self._halves_of(made))
            self._screen.step()
        whole, even = np.stack(halves, axis=1)
        counts = (self._labelled - self._even_labelled).astype(float), self._even_labelled.astype(float)
        best = HalvedDays(whole - even, even, *counts).course(np.array([day for day, _ in self._models]), price=price)
        starts = [0, *(np.flatnonzero(np.diff(best.served)) + 1)]
        served = [(int(day), self._models[int(best.served[day])][1]) for day in starts]
        switched = [day_name(self._first_day + day) for day, _ in served[1:]]
        return self._outcome("best in hindsight", PolicyKind.HINDSIGHT, best.loss_by_day, switched, served, 0)

    def _loss_of(self, made: ReplayedCandidate) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = self._halves_of(made)[0]
        return found

    def _halves_of(self, made: ReplayedCandidate) -> np.ndarray[Any, Any]:
        """``(2, days)``: the summed loss of each day's labelled rows, of all and of the even ones."""
        if id(made) not in self._losses:
            self._screen.note(f"scoring with the model as of {made.name}")
            self._losses[id(made)] = made.daily_losses(self._rows, self._even, self._first_day, self._days)
        return self._losses[id(made)]

    def _outcome(
        self,
        name: str,
        kind: PolicyKind,
        totals: np.ndarray[Any, Any],
        trained: Sequence[str],
        served: Sequence[tuple[int, ReplayedCandidate]],
        not_trained: int,
    ) -> PolicyOutcome:
        days = tuple(
            DayCost(day_name(self._first_day + i), int(n), float(totals[i])) for i, n in enumerate(self._labelled) if n
        )
        notes = (f"{not_trained} times the rows would not do to train on.",) if not_trained else ()
        return PolicyOutcome(
            name=name,
            kind=kind,
            metric=self.model.drift.performance.metric,
            price=0.0,
            retrained_on=tuple(trained),
            days=days,
            serving=tuple((day_name(self._first_day + day), made.name) for day, made in served),
            notes=notes,
        )


def every(interval: Interval, days: int) -> list[datetime]:
    """The moments after the start at which a schedule retrains."""
    moments = []
    moment = interval.start + timedelta(days=days)
    while moment < interval.end:
        moments.append(moment)
        moment += timedelta(days=days)
    return moments
