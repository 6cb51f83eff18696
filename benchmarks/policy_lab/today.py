"""Today's default policy, by the product's own domain code: sensor, rules, windows and champion gate.

What a made world cannot ask about is left out: input drift, broken data, the estimated lane, machines and people.
:mod:`tests.unit.benchmarks.test_policy_lab` holds it against ``slipway simulate`` on one world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.policy_lab.models import Model, Rows, Shelf
from benchmarks.policy_lab.yardsticks import (
    HOLDOUT_DAYS,
    SHADOW_DAYS,
    WINDOW_DAYS,
    Run,
    candidate_rows,
    first_day,
)
from include.config.base import amount_and_share
from include.config.champion_gate import ChampionGate, DeclaredComparison
from include.config.drift import DeclaredPerformance
from include.domain.comparison import PairedScores, compare
from include.domain.decision import Action, Decision, decide
from include.domain.drift.report import Flags, ScoredDay
from include.domain.gap import Gap, Tolerated
from include.domain.history import Ending, History, PastJourney, futile_streak, with_incident
from include.domain.incident import Incident, IncidentPace
from include.domain.journey import training_windows
from include.domain.losses import DayLoss
from include.domain.metrics import Task
from include.domain.performance import RealisedPerformance, realised_performance
from include.domain.risk_bounds import Band
from include.domain.situation import Policy, Situation

EPOCH = date(2021, 1, 1)
GAIN_ALPHA = ChampionGate.model_fields["gain_alpha"].default
PACE: dict[str, Any] = {}
HALF_LIFE_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class Declared:
    """What may be declared of how a candidate is made.

    Attributes:
        recipes: who races after an alarm, by the product's names.
        refit: whether what serves learns from all matured rows, and only its twin is judged.
        blocks: how many forward blocks the judged days are split into.
        tolerance: how much worse than the reference is in band, as a declaration has it.
        margin: the loss against the champion that the gate tolerates, likewise.
    """

    recipes: tuple[str, ...] = ("window", "since_change")
    refit: bool = False
    blocks: int = 1
    tolerance: float | str = DeclaredPerformance.model_fields["tolerance"].default
    margin: float | str = DeclaredComparison.model_fields["margin"].default


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A candidate: the rows of the model that is judged, and of the one that serves."""

    twin: Rows
    served: Rows


@dataclass(slots=True)
class _Journey:
    as_of: int
    made: _Fitted
    ending: Ending = Ending.LIVE
    serves_from: int = 0
    met: _Fitted | None = None


@dataclass(slots=True, eq=False)
class Today:
    """One replay of the default policy over one stream."""

    shelf: Shelf
    declared: Declared = Declared()
    champion: _Fitted = field(init=False)
    since: int = field(init=False)
    flags: list[Flags] = field(default_factory=list)
    journeys: list[_Journey] = field(default_factory=list)
    asked: list[Decision] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)
    incident: Incident | None = None
    held_out: dict[_Fitted, range] = field(default_factory=dict)
    former: list[_Fitted] = field(default_factory=list)
    winners: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def run(self) -> Run:
        first, last = first_day(self.shelf), self.shelf.stream.days
        rows = candidate_rows(self.shelf, first)
        served = Rows(rows.first + HOLDOUT_DAYS, rows.last + HOLDOUT_DAYS) if self.declared.refit else rows
        self.champion, self.since = _Fitted(rows, served), first
        serving = [(first, served)]
        loss = np.empty(last - first)
        for day in range(first, last):
            live = next((j for j in self.journeys if j.ending is Ending.LIVE), None)
            if live is not None and live.serves_from == day:
                live.ending = Ending.PROMOTED
                self.former.append(self.champion)
                self.champion, self.since = live.made, day
                self.flags = []
                serving.append((day, self.champion.served))
            loss[day - first] = self.shelf.fit(self.champion.served).loss[day]
            decision = self._decide(day)
            if decision.action is Action.RETRAIN:
                changed = decision.incident.changed_on if decision.incident and decision.incident.is_open else None
                self._start(day + 1, changed)
        return Run(
            "today", loss, len(self.journeys), len(self.journeys), tuple(serving), tuple(self.alarms), tuple(self.log)
        )

    def _decide(self, day: int) -> Decision:
        realised = self._realised(day)
        self.flags = [*self.flags[-2:], Flags(_name(day), realised=realised.out_of_band)]
        if self.flags[-1].realised:
            self.alarms.append(day)
        past = [PastJourney(_moment(j.as_of), True, j.ending) for j in self.journeys]
        streak = futile_streak(past)
        live = any(j.ending is Ending.LIVE for j in self.journeys)
        now = _moment(day + 1)
        without = Situation(
            now=now,
            flags=tuple(self.flags),
            policy=Policy(pace=IncidentPace(label_delay=timedelta(days=self.shelf.stream.delay_days), **PACE)),
            last_journey_started=max((j.as_of for j in past), default=None),
            in_flight="a journey" if live else None,
            started_in_30_days=sum(j.as_of > now - timedelta(days=30) for j in past),
            futile_streak=streak,
        )
        scored = ScoredDay("made", str(self.champion), _name(day))
        decision = decide(with_incident(without, History(past, incident=self.incident), scored, realised))
        self.incident = decision.incident
        self.log.append(f"{day}: {decision.rule} {decision.name}: {decision.reason}")
        return decision

    def _realised(self, day: int) -> RealisedPerformance:
        judged, serving = self.shelf.fit(self.champion.twin), self.shelf.fit(self.champion.served)
        matured = range(self.since, day + 1 - self.shelf.stream.delay_days)
        ends = self.champion.twin.last
        reference = self.held_out.get(self.champion, range(ends, ends + HOLDOUT_DAYS))
        return realised_performance(
            self._losses(judged, reference),
            self._losses(serving, matured),
            band=Band(
                metric="mse" if self.shelf.stream.task == "regression" else "brier",
                tolerance=self._tolerated(self.declared.tolerance, judged, self.champion.twin, reference),
            ),
            min_rows=100,
        )

    def _losses(self, model: Model, days: range) -> list[DayLoss]:
        counts = self.shelf.counts
        return [DayLoss(_name(d), int(counts[d]), float(model.loss[d]), 0.0) for d in days]

    def _start(self, as_of: int, changed_on: str | None) -> None:
        changed = date.fromisoformat(changed_on) if changed_on else None
        delay = timedelta(days=self.shelf.stream.delay_days)
        judged = max((self.held_out[j.made].stop for j in self.journeys if j.met == self.champion), default=None)
        until = _date(judged) if judged is not None else None
        windows = training_windows(_moment(as_of), WINDOW_DAYS, HOLDOUT_DAYS, delay, changed, until)
        train, holdout = (range(_day(w.start), _day(w.end)) for w in (windows.train, windows.holdout))
        made = self._raced(train, holdout, _day_of(changed) if changed else None)
        journey = _Journey(as_of, made, serves_from=as_of + SHADOW_DAYS, met=self.champion)
        self.journeys.append(journey)
        self.held_out[made] = holdout
        if not self._passes(made, holdout, gains=changed is not None):
            journey.ending = Ending.FUTILE

    def _raced(self, train: range, holdout: range, change: int | None) -> _Fitted:
        """The candidate of the recipe that is the best on the newest days since the change, each day by a fit on older
        ones."""
        after = train.stop - change if change is not None else 0
        if change is None or change <= train.start or after < 2:
            return self._made("window", train, holdout, train.start)
        judged = range(train.stop - max(after // 3, 1), train.stop)
        found: dict[tuple[str, _Fitted], float] = {}
        for name in self.declared.recipes:
            if name != "former":
                total = 0.0
                for block in np.array_split(np.asarray(judged), min(self.declared.blocks, len(judged))):
                    twin = _rows_of(name, train, int(block[0]), change)
                    total += float(self.shelf.fit(twin).loss[block[0] : block[-1] + 1].sum())
                found[name, self._made(name, train, holdout, change)] = total
                continue
            for former in self.former[-3:]:
                if former != self.champion and former.served.last <= judged.start:
                    loss = float(self.shelf.fit(former.served).loss[judged.start : judged.stop].sum())
                    found["former", _Fitted(former.served, former.served)] = loss
        winner, made = min(found, key=lambda key: found[key])
        self.winners.append(winner)
        return made

    def _made(self, name: str, train: range, holdout: range, change: int) -> _Fitted:
        twin = _rows_of(name, train, train.stop, change)
        if not self.declared.refit:
            return _Fitted(twin, twin)
        later = range(train.start + len(holdout), holdout.stop)
        return _Fitted(twin, _rows_of(name, later, holdout.stop, change))

    def _passes(self, made: _Fitted, holdout: range, *, gains: bool) -> bool:
        """Whether the candidate is shown, on its holdout, to be no worse than the champion by the margin, better than a
        baseline that ignores the features, and where an alarm asked for it better than the champion. A champion that
        has learned from these rows is judged by its twin."""
        held = self.shelf.stream.rows(holdout.start, holdout.stop)
        champion = self.champion
        other = champion.served if champion.served.last <= holdout.start else champion.twin
        candidate, opponent = (self.shelf.fit(r).answers[held] for r in (made.twin, other))
        days = np.repeat(np.arange(len(holdout)), np.diff(self.shelf.stream.start)[holdout.start : holdout.stop])
        judged = _Judged(self.shelf, held, candidate, days)
        margin = self._tolerated(self.declared.margin, self.shelf.fit(other), made.twin, holdout)
        high = judged.upper(opponent)
        # A champion that is no better than the baseline has no margin; beside a gain none is asked for.
        nothing_to_lose = margin == 0.0 and isinstance(self.declared.margin, str)
        if high > margin and not (gains and nothing_to_lose):
            return False
        better = high < 0 or (gains and judged.upper(opponent, GAIN_ALPHA) < 0)
        if gains and not better:
            return False
        baseline = self._baseline(made.twin, candidate)
        return judged.upper(baseline) < 0 or (better and judged.measured(baseline) < 0)

    def _tolerated(self, declared: float | str, model: Model, learned: Rows, days: range) -> float:
        """The amount: a share is of how much better than the learned mean label the model is on the days' rows."""
        amount, share = amount_and_share(declared)
        held = self.shelf.stream.rows(days.start, days.stop)
        answers = model.answers[held]
        naive, own = (
            float(self.shelf.losses(found, held).mean()) for found in (self._baseline(learned, answers), answers)
        )
        return Tolerated.of(amount, share, Gap(naive - own, own)).amount

    def _baseline(self, rows: Rows, candidate: NDArray[Any]) -> NDArray[Any]:
        """The learned labels' mean, or the shares of their classes, for every row."""
        learned = self.shelf.stream.y[self.shelf.stream.rows(rows.first, rows.last)]
        if candidate.ndim == 1:
            return np.full(len(candidate), learned.mean())
        shares = np.bincount(learned.astype(int), minlength=candidate.shape[1]) / len(learned)
        return np.broadcast_to(shares, candidate.shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """A candidate's answers on its held-out rows, and their days."""

    shelf: Shelf
    held: slice
    candidate: NDArray[Any]
    days: NDArray[Any]

    def measured(self, other: NDArray[Any]) -> float:
        """How much worse it is than the other on these rows."""
        ours, theirs = (float(self.shelf.losses(a, self.held).mean()) for a in (self.candidate, other))
        return ours - theirs

    def upper(self, other: NDArray[Any], alpha: float = 0.05) -> float:
        """The upper bound of how much worse it is than the other."""
        y, task = self.shelf.stream.y[self.held], Task(self.shelf.stream.task)
        if np.array_equal(self.candidate, other):
            return 0.0
        paired, metric = PairedScores(task, y, self.candidate, other, self.days), "brier"
        if task is not Task.BINARY:
            # Each row's difference as a regression's absolute error, which the comparison takes by days the same way.
            ours, theirs = (self.shelf.losses(answers, self.held) for answers in (self.candidate, other))
            paired, metric = PairedScores(Task.REGRESSION, np.zeros(len(y)), ours, theirs, self.days), "mae"
        high = compare(paired, metric, alpha=alpha).high
        return np.inf if high is None else float(high)


def _day_of(day: date) -> int:
    return (day - EPOCH).days


def _day(moment: datetime) -> int:
    return _day_of(moment.date())


def _date(day: int) -> date:
    return EPOCH + timedelta(days=day)


def _name(day: int) -> str:
    return _date(day).isoformat()


def _moment(day: int) -> datetime:
    return datetime(2021, 1, 1, tzinfo=UTC) + timedelta(days=day)


def _rows_of(recipe: str, train: range, last: int, change: int) -> Rows:
    """What a recipe learns from of the days before ``last``."""
    if recipe == "since_change":
        return Rows(change, last)
    if recipe == "expanding":
        return Rows(0, last)
    return Rows(train.start, last, HALF_LIFE_DAYS if recipe == "recent_weighted" else None)


def today(shelf: Shelf) -> Run:
    """The default policy on the stream."""
    return Today(shelf).run()


def declared(name: str, options: Declared) -> Callable[[Shelf], Run]:
    """The default policy with other entrants or with a refit."""
    return lambda shelf: replace(Today(shelf, options).run(), name=name)
