"""Every variant and every yardstick over one stream, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from include.config import ModelDeclaration
from include.domain.errors import Refusal
from include.domain.intervals import DAY, Interval, midnight
from include.domain.journey import training_windows
from include.domain.simulation.hindsight import best_in_hindsight
from include.domain.simulation.outcome import DayCost, PolicyKind, PolicyOutcome
from include.domain.verdicts import GateResult, Verdict
from include.workflows import gates
from include.workflows.gates.training_data import on as training_data_gate
from include.workflows.simulation.candidates import ReplayedCandidate, ReplayedCandidates
from include.workflows.simulation.leaks import leaks
from include.workflows.simulation.policy import DeclaredPolicy
from include.workflows.simulation.settings import Variant
from include.workflows.simulation.stream import DAY_US, EPOCH, Stream, day_name, microseconds

if TYPE_CHECKING:
    import numpy as np

MAX_DAYS = 20_000


class CannotSimulate(Refusal, ValueError):
    """A range, a stream or options from which nothing can be simulated."""


class SimulationProgress(Protocol):
    """Where a simulation says how far it is."""

    def begin(self, what: str, steps: int) -> None: ...
    def step(self) -> None: ...
    def note(self, text: str) -> None: ...


class Silent:
    """A screen that shows nothing."""

    def begin(self, what: str, steps: int) -> None:
        """Say nothing."""

    def step(self) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """What the declared policy is compared with.

    Attributes:
        every: retrain every so many days; several give several yardsticks, none gives none.
        fits_at_most: ``always`` retrains each day, or on so many days evenly spaced where there are more; 0 leaves
            ``always`` out.
        hindsight: whether the cheapest sequence of all models of this run is sought.
        price: of one retrain, in units of the summed loss; the declared policy pays it too.
    """

    every: tuple[int, ...] = (30,)
    fits_at_most: int = 120
    hindsight: bool = True
    price: float = 0.0


@dataclass(frozen=True, slots=True)
class Simulation:
    """All policies on one range. ``first_gates`` judged the champion that the first variant and the yardsticks begin
    with."""

    what: str
    interval: Interval
    price: float
    policies: tuple[PolicyOutcome, ...]
    fits: int
    first_champion: str
    first_gates: tuple[GateResult, ...]
    remarks: tuple[str, ...]


def simulate(
    what: str,
    variants: Sequence[Variant],
    stream_of: Callable[[ModelDeclaration], Stream],
    interval: Interval,
    *,
    yardsticks: Yardsticks | None = None,
    screen: SimulationProgress | None = None,
    taken: Sequence[str] = (),
) -> Simulation:
    """Replay each variant over the interval, and the yardsticks beside the first of them.

    Yardsticks deploy at once and without gates what is trained as of the start of a day; that day is the first it
    serves. Every policy begins with a champion of its own settings as of the interval's start, which costs nothing.

    Args:
        what: the model's name, or the file's.
        variants: what is replayed; the first gives the yardsticks their estimator and windows.
        stream_of: the stream a variant reads.
        interval: whole days.
        yardsticks: what to compare with; None takes all.
        screen: where progress is shown.
        taken: remarks on how the rows were read.

    Raises:
        CannotSimulate: when there is nothing to simulate.
    """
    screen, asked = screen or Silent(), yardsticks or Yardsticks()
    if len(interval.days) > MAX_DAYS:
        raise CannotSimulate(f"{interval} has {len(interval.days):,} days; at most {MAX_DAYS:,} are simulated.")
    candidates = ReplayedCandidates(screen.note)
    outcomes: list[PolicyOutcome] = []
    remarks: list[str] = list(taken)
    firsts: list[tuple[ReplayedCandidate, tuple[GateResult, ...]]] = []
    for variant in variants:
        stream = stream_of(variant.model)
        first = _first_champion(candidates, variant.model, stream, interval)
        screen.begin(variant.name, len(interval.days))
        policy = DeclaredPolicy(variant.name, variant.model, stream, candidates, interval, first)
        firsts.append((first, tuple(policy.gates_before_shadow(first, None))))
        outcomes.append(policy.run(lambda _: screen.step()))
    model, stream, first = variants[0].model, stream_of(variants[0].model), firsts[0][0]
    measured = {v.model.drift.performance.metric for v in variants}
    if len(measured) > 1:
        remarks.append(
            f"The variants measure other losses ({', '.join(sorted(measured))}): their costs do not compare."
        )
    compared = _Compared(model, stream, interval, candidates, first, screen)
    outcomes.append(compared.schedule("never retrain", PolicyKind.NEVER, []))
    for days in asked.every:
        outcomes.append(compared.schedule(f"every {days} days", PolicyKind.EVERY, _every(interval, days)))
    if asked.fits_at_most:
        step = -(-len(interval.days) // asked.fits_at_most)
        name = "always" if step == 1 else f"always (every {step} days)"
        outcomes.append(compared.schedule(name, PolicyKind.ALWAYS, _every(interval, step)))
    if asked.hindsight:
        outcomes.append(compared.hindsight(asked.price))
    remarks += not_replayed(model)
    screen.note("looking for leaks")
    remarks += leaks(model, first)
    priced = tuple(replace(o, price=asked.price) for o in outcomes)
    if not any(o.rows for o in priced):
        raise CannotSimulate(f"No row of {interval} ever got a label, so no loss can be realised. Give another range.")
    return Simulation(
        what, interval, asked.price, priced, len(candidates), first.name, firsts[0][1], tuple(dict.fromkeys(remarks))
    )


def range_of(stream: Stream, model: ModelDeclaration, start: datetime | None, end: datetime | None) -> Interval:
    """The days to simulate: by default from the first day a champion can be trained for, to the table's last.

    Raises:
        CannotSimulate: when the table is too short for its windows, or the range lies outside.
    """
    training = model.training
    if not len(stream.y):
        raise CannotSimulate("The table has no rows.")
    first, last = (midnight(EPOCH + timedelta(microseconds=int(stream.event_us[i]))) for i in (0, -1))
    history = timedelta(days=training.window_days + training.holdout_days) + model.label.delay
    earliest = first + history
    if earliest != midnight(earliest):
        earliest = midnight(earliest) + DAY
    begin, stop = start or earliest, end or last + DAY
    needs = (
        f"a training window of {training.window_days} days, a holdout of {training.holdout_days} and a label delay of "
        f"{_duration(model.label.delay)}"
    )
    if begin >= stop:
        raise CannotSimulate(
            f"The rows are of {first:%Y-%m-%d} to {last:%Y-%m-%d}, and {needs} leave no day to simulate before "
            f"{stop:%Y-%m-%d}. Give a shorter --train-window, --holdout or --label-delay, or an earlier --from."
        )
    if begin > last or stop <= first:
        raise CannotSimulate(
            f"The rows are of {first:%Y-%m-%d} to {last:%Y-%m-%d}; --from {begin:%Y-%m-%d} and --to {stop:%Y-%m-%d} "
            "lie outside. Choose days inside."
        )
    return Interval(begin, stop)


def _first_champion(
    candidates: ReplayedCandidates, model: ModelDeclaration, stream: Stream, interval: Interval
) -> ReplayedCandidate:
    first = candidates.of(model, stream, interval.start)
    if first.pipeline is None:
        windows = training_windows(
            interval.start, model.training.window_days, model.training.holdout_days, model.label.delay
        )
        why = next(
            c.reason for c in training_data_gate(first.model, first.counted).criteria if c.verdict is not Verdict.PASS
        )
        raise CannotSimulate(
            f"No first champion can be trained as of {interval.start:%Y-%m-%d}: {why.rstrip('.')} (training window "
            f"{windows.train.start:%Y-%m-%d} to {windows.train.end:%Y-%m-%d}, holdout to "
            f"{windows.holdout.end:%Y-%m-%d}). Give a later --from, or change the windows or training.min_rows."
        )
    return first


def _every(interval: Interval, days: int) -> list[datetime]:
    """The moments after the start at which a yardstick retrains."""
    moments = []
    moment = interval.start + timedelta(days=days)
    while moment < interval.end:
        moments.append(moment)
        moment += timedelta(days=days)
    return moments


class _Compared:
    """The yardsticks: the cost of schedules without evidence, and of one that knows the future."""

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
        labelled = np.isfinite(stream.y[self._rows])
        self._labelled = np.bincount(stream.day[self._rows][labelled] - self._first_day, minlength=self._days)
        self._models: list[tuple[int, ReplayedCandidate]] = [(0, first)]
        """Each with the first day it may serve."""
        self._losses: dict[int, np.ndarray[Any, Any]] = {}

    def schedule(self, name: str, kind: PolicyKind, moments: Sequence[datetime]) -> PolicyOutcome:
        import numpy as np

        self._screen.begin(name, len(moments) + 1)
        served = [self._models[0]]
        for moment in moments:
            made = self._candidates.of(self.model, self.stream, moment)
            day = (moment - self.interval.start) // DAY
            if made.pipeline is not None:
                served.append((day, made))
                if all(made is not known for _, known in self._models):
                    self._models.append((day, made))
            self._screen.step()
        totals = np.zeros(self._days)
        ends = [*(day for day, _ in served[1:]), self._days]
        for (day, made), end in zip(served, ends, strict=True):
            totals[day:end] = self._loss_of(made)[day:end]
        self._screen.step()
        return self._outcome(name, kind, totals, len(served) - 1, served, len(moments) - len(served) + 1)

    def hindsight(self, price: float) -> PolicyOutcome:
        """Over every model of this run that could have served, the variants' own included."""
        import numpy as np

        known = {id(made) for _, made in self._models}
        for made in self._candidates.made_for(self.stream, self.model):
            if id(made) not in known and self.interval.start < made.as_of < self.interval.end:
                self._models.append(((made.as_of - self.interval.start) // DAY, made))
        self._screen.begin("best in hindsight", len(self._models))
        rows = []
        for _, made in self._models:
            rows.append(self._loss_of(made))
            self._screen.step()
        losses = np.stack(rows)
        best = best_in_hindsight(losses, np.array([day for day, _ in self._models]), price)
        starts = [0, *(np.flatnonzero(np.diff(best.served)) + 1)]
        served = [(int(day), self._models[int(best.served[day])][1]) for day in starts]
        totals = losses[best.served, np.arange(self._days)]
        return self._outcome("best in hindsight", PolicyKind.HINDSIGHT, totals, best.switches, served, 0)

    def _loss_of(self, made: ReplayedCandidate) -> np.ndarray[Any, Any]:
        if id(made) not in self._losses:
            self._screen.note(f"scoring with the model as of {made.name}")
            self._losses[id(made)] = made.daily_losses(self._rows, self._first_day, self._days)
        return self._losses[id(made)]

    def _outcome(
        self,
        name: str,
        kind: PolicyKind,
        totals: np.ndarray[Any, Any],
        retrains: int,
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
            retrains=retrains,
            days=days,
            serving=tuple((day_name(self._first_day + day), made.name) for day, made in served),
            notes=notes,
        )


def not_replayed(model: ModelDeclaration) -> list[str]:
    """The parts of the declaration that have no meaning without the machine or the person."""
    left_out = [gate for gate in gates.declared(model) if gate.looks_at and not gate.replayable]
    not_asked = [gate.name for gate in left_out if not gate.own]
    not_pure = [gate.name for gate in left_out if gate.own]
    remarks = []
    if not_asked:
        remarks.append(f"Not replayed, because they judge a machine and an artifact: {', '.join(not_asked)}.")
    if not_pure:
        remarks.append(f"Not replayed, because gates.own does not say that they are pure: {', '.join(not_pure)}.")
    if model.promotion.approval == "always":
        remarks.append("A person approves each promotion; here each is taken as approved.")
    return remarks


def _duration(delay: timedelta) -> str:
    hours = delay.total_seconds() / 3600
    return f"{hours / 24:g} days" if hours % 24 == 0 else f"{hours:g} hours"
