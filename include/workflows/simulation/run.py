"""Every variant and every yardstick over one stream, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.config import ModelDeclaration
from include.domain.errors import Refusal
from include.domain.intervals import DAY, Interval, midnight
from include.domain.journey import training_windows
from include.domain.simulation.outcome import PolicyOutcome
from include.domain.simulation.price import RetrainPrice, price_of
from include.domain.verdicts import GateResult, Verdict
from include.workflows import gates
from include.workflows.gates.training_data import on as training_data_gate
from include.workflows.simulation.candidates import ReplayedCandidates
from include.workflows.simulation.leaks import leaks
from include.workflows.simulation.policy import DeclaredPolicy
from include.workflows.simulation.progress import Silent, SimulationProgress
from include.workflows.simulation.replayed_candidate import ReplayedCandidate
from include.workflows.simulation.settings import Variant
from include.workflows.simulation.stream import EPOCH, Stream
from include.workflows.simulation.yardsticks import Compared, Yardsticks

MAX_DAYS = 20_000


class CannotSimulate(Refusal, ValueError):
    """A range, a stream or options from which nothing can be simulated."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """All policies on one range. ``price`` is what each retrain costs all of them; ``first_gates`` judged the champion
    that the first variant and the yardsticks begin with."""

    what: str
    interval: Interval
    price: RetrainPrice
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

    Yardsticks deploy without gates what is trained as of the start of a day: at once, so that day is the first it
    serves, or after the declared shadow days. Every policy begins with a champion of its own settings as of the
    interval's start, which costs nothing.

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
        first = first_champion(candidates, variant.model, stream, interval)
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
    declared = {v.model.training.price for v in variants}
    if asked.price is None and len(declared) > 1:
        remarks.append("The variants declare other prices of a retrain; all are charged that of the first.")
    price = price_of(asked.price, model.training.price, loss_of_a_day(first))
    outcomes += Compared(model, stream, interval, candidates, first, screen).all_of(asked, price.amount)
    remarks += not_replayed(model)
    screen.note("looking for leaks")
    remarks += leaks(model, first)
    priced = tuple(o.priced(price.amount) for o in outcomes)
    if not any(o.rows for o in priced):
        raise CannotSimulate(f"No row of {interval} ever got a label, so no loss can be realised. Give another range.")
    return Simulation(
        what, interval, price, priced, len(candidates), first.name, firsts[0][1], tuple(dict.fromkeys(remarks))
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


def loss_of_a_day(first: ReplayedCandidate) -> float:
    """The summed loss of one day of a model, on the days it held out; 0 where it answers none of their rows."""
    import numpy as np

    losses = first.losses(first.holdout, first.holdout_scores())
    days = len(np.unique(first.stream.day[first.holdout]))
    losses = losses * first.stream.shares(first.holdout)
    return float(losses.sum()) / days if days and np.isfinite(losses).all() else 0.0


def first_champion(
    candidates: ReplayedCandidates, model: ModelDeclaration, stream: Stream, interval: Interval
) -> ReplayedCandidate:
    """The champion as of the interval's start.

    Raises:
        CannotSimulate: when the rows before it will not do to train one.
    """
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
