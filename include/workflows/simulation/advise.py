"""Advice from one's own past: a small grid of settings on its first part, and the best of them on the rest.

One thing is varied at a time, and what was best is kept for the next: the training window, the tolerance, the cadence.
So the number of replays is bounded, whatever is declared, and the candidates of equal settings are fitted once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from include.config import ModelDeclaration
from include.config.base import amount_and_share
from include.config.types import FeatureView
from include.domain.intervals import Interval
from include.domain.simulation.advice import (
    AdviceAnswer,
    GainOverDays,
    Trial,
    answer_of,
    cheapest,
    gain_over_days,
    parts_of,
)
from include.domain.simulation.outcome import PolicyKind, PolicyOutcome
from include.domain.simulation.price import RetrainPrice, price_of
from include.workflows.simulation.candidates import ReplayedCandidates
from include.workflows.simulation.policy import DeclaredPolicy
from include.workflows.simulation.progress import Silent, SimulationProgress
from include.workflows.simulation.run import first_champion, loss_of_a_day
from include.workflows.simulation.settings import DECLARED, Variant, variants
from include.workflows.simulation.stream import Stream
from include.workflows.simulation.yardsticks import Compared

NEVER = "never retrain"
CADENCES: Mapping[str, str] = {"every week": "0 6 * * 1", "every month": "0 6 1 * *", "every quarter": "0 6 1 */3 *"}
"""Schedules beside the alarms, which a cron can say."""
LEAST_WINDOW_DAYS = 5
HARDLY_EVER = ("drift.estimated.acts=false", "drift.retrain.cooldown_days=365", "drift.retrain.budget_per_month=1")
"""The nearest to never that a declaration can say: at most one journey a year, and alarms are still reported."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What was tried, and what came of it.

    Attributes:
        chosen_on: the days that chose.
        confirmed_on: the days that confirmed.
        price: of one retrain, the same for all.
        trials: in the order they were tried; the first is what is declared.
        chosen: the cheapest of them.
        gain: of the chosen over the declared, on the days that confirm; None where it is the declared one.
        rest: what the declared, the chosen one and never retraining cost on the days that confirm.
        fits: how many candidates were fitted.
    """

    what: str
    metric: str
    chosen_on: Interval
    confirmed_on: Interval
    price: RetrainPrice
    trials: tuple[Trial, ...]
    chosen: Trial
    gain: GainOverDays | None
    rest: Mapping[str, float]
    fits: int

    @property
    def answer(self) -> AdviceAnswer:
        return answer_of(self.trials[0], self.chosen, self.gain)

    @property
    def settings(self) -> tuple[str, ...]:
        """To declare; none where nothing is to be changed."""
        return self.chosen.settings if self.answer is AdviceAnswer.CHANGE else ()


def advise(
    what: str,
    model: ModelDeclaration,
    views: dict[str, FeatureView] | None,
    stream: Stream,
    interval: Interval,
    *,
    price: float | None = None,
    screen: SimulationProgress | None = None,
) -> Advice:
    """Try settings on the first part of the interval, and compare the cheapest with the declared one on the rest.

    Args:
        what: the model's name, or the file's.
        model: what is declared.
        views: those of the project; None where the model was made from a table.
        stream: the past.
        interval: whole days.
        price: of one retrain; None takes the declared one, or a share of the first champion's daily loss.
        screen: where progress is shown.

    Raises:
        PastTooShort: when there are too few days to choose on some and confirm on others.
        CannotSimulate: when no first champion can be trained for either part.
    """
    screen = screen or Silent()
    first_part, rest = parts_of(interval)
    candidates = ReplayedCandidates(screen.note)
    first = first_champion(candidates, model, stream, first_part)
    asked = price_of(price, model.training.price, loss_of_a_day(first))
    run = _Replays(stream, candidates, asked.amount, screen)
    tried: list[tuple[Trial, Variant | None]] = []

    def try_out(name: str, settings: tuple[str, ...]) -> None:
        if all(settings != trial.settings for trial, _ in tried):
            variant = variants(model, [list(settings)] if settings else [], views)[-1]
            tried.append((_trial(name, settings, run.replay(variant, first_part)), variant))

    try_out(DECLARED, ())
    for choices in (_windows(model), _tolerances(model), _cadences()):
        best = cheapest([trial for trial, _ in tried]).settings
        for choice in choices:
            settings = _with(best, choice)
            try_out(", ".join(settings), settings)
    never = run.never(model, first_part)
    tried.append((_trial(NEVER, HARDLY_EVER, never), None))
    trials = tuple(trial for trial, _ in tried)
    chosen = cheapest(trials)
    declared_rest, never_rest = run.replay(Variant(DECLARED, model), rest), run.never(model, rest)
    costs, gain = {DECLARED: declared_rest.cost, NEVER: never_rest.cost}, None
    if chosen is not trials[0]:
        variant = next(v for trial, v in tried if trial is chosen)
        chosen_rest = run.replay(variant, rest) if variant is not None else never_rest
        costs[chosen.name] = chosen_rest.cost
        gain = gain_over_days(declared_rest.costs_by_day(rest.days), chosen_rest.costs_by_day(rest.days))
    return Advice(
        what=what,
        metric=declared_rest.metric,
        chosen_on=first_part,
        confirmed_on=rest,
        price=asked,
        trials=trials,
        chosen=chosen,
        gain=gain,
        rest=costs,
        fits=len(candidates),
    )


def _windows(model: ModelDeclaration) -> list[tuple[str, ...]]:
    days = model.training.window_days
    return [(f"training.window_days={n}",) for n in (days // 2, 2 * days) if n >= LEAST_WINDOW_DAYS]


def _tolerances(model: ModelDeclaration) -> list[tuple[str, ...]]:
    amount, share = amount_and_share(model.drift.performance.tolerance)
    unit = "" if share is None else "%"
    given = amount if share is None else 100 * share
    return [(f"drift.performance.tolerance={times * given:.6g}{unit}",) for times in (0.5, 2.0) if given]


def _cadences() -> list[tuple[str, ...]]:
    return [*((f"training.schedule={cron}",) for cron in CADENCES.values()), HARDLY_EVER]


def _with(settings: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    """The settings, those of the same path replaced."""
    paths = {setting.partition("=")[0] for setting in more}
    return (*(s for s in settings if s.partition("=")[0] not in paths), *more)


def _trial(name: str, settings: tuple[str, ...], outcome: PolicyOutcome) -> Trial:
    return Trial(name, settings, outcome.total_loss, outcome.retrains, outcome.cost)


class _Replays:
    """Policies over one stream at one price, that share their candidates."""

    def __init__(
        self, stream: Stream, candidates: ReplayedCandidates, price: float, screen: SimulationProgress
    ) -> None:
        self._stream, self._candidates, self._price, self._screen = stream, candidates, price, screen

    def replay(self, variant: Variant, interval: Interval) -> PolicyOutcome:
        first = first_champion(self._candidates, variant.model, self._stream, interval)
        self._screen.begin(variant.name, len(interval.days))
        policy = DeclaredPolicy(variant.name, variant.model, self._stream, self._candidates, interval, first)
        return policy.run(lambda _: self._screen.step()).priced(self._price)

    def never(self, model: ModelDeclaration, interval: Interval) -> PolicyOutcome:
        first = first_champion(self._candidates, model, self._stream, interval)
        compared = Compared(model, self._stream, interval, self._candidates, first, self._screen)
        return compared.schedule(NEVER, PolicyKind.NEVER, []).priced(self._price)
