"""A policy as a combination of parts, day by day.

At the end of a day the sensor tests the matured days. An alarm opens an incident with a change point; a journey of
the incident starts once enough days have matured since then, and again after twice as long each time, until a whole
training window lies after the change. A journey races recipes on the newest matured days, refits the winner, and its
model serves after the shadow days.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from benchmarks.policy_lab.models import Floats, Rows, Shelf
from benchmarks.policy_lab.scene import Member, Scene
from benchmarks.policy_lab.sensors import Alarm, NoSensor, Sensor
from benchmarks.policy_lab.yardsticks import SHADOW_DAYS, WINDOW_DAYS, Run, candidate_rows, first_day, price_of


@dataclass(frozen=True, slots=True)
class Parts:
    """One combination. Durations are in days.

    Attributes:
        name: as the table has it.
        sensor: makes a fresh sensor.
        race: recipes: ``window``, ``change``, ``expanding``, ``recent`` (newer days count more), ``month``,
            ``week`` (a month in which newer days count more), ``former``.
        refit: whether the winner learns from all matured rows before it serves.
        pool: how many of the last models serve together.
        gate: ``none``; ``no_worse`` by a margin; ``gain`` (shown better on rows after the change); ``worth`` (its
            expected gain over the horizon is more than the price).
        follow: whether an incident's journeys are repeated.
        every: a journey so many days after the last one; None has none.
        backs_off: whether ``every`` doubles after each scheduled journey that was not better, up to ``latest``, and
            halves after one that was, down to ``soonest``; an alarm sets it back.
        spacing: how many times as long each wait between the journeys of an incident is.
        wait_days, wait_rows: fewest matured days and rows after the change before a journey starts.
        horizon: over which a gain is counted against the price.
    """

    name: str
    sensor: Callable[[], Sensor] = NoSensor
    race: tuple[str, ...] = ("window",)
    refit: bool = True
    pool: int = 1
    gate: str = "worth"
    follow: bool = True
    every: int | None = None
    backs_off: bool = False
    soonest: int = 7
    latest: int = 240
    spacing: float = 2.0
    wait_days: int = 4
    wait_rows: int = 300
    horizon: int = 60
    eagerness: float = 1.0
    alpha: float = 0.1
    follow_gate: str = ""
    """Of the journeys that follow a promotion within an incident; empty is ``gate``."""


@dataclass(slots=True)
class Incident:
    opened: int
    change: int
    next_known: int
    promoted: bool = False
    journeys: int = 0


@dataclass(slots=True)
class Pending:
    member: Member
    serves_from: int


@dataclass(slots=True, eq=False)
class Engine:
    """One replay of one combination."""

    parts: Parts
    shelf: Shelf
    scene: Scene = field(init=False)
    sensor: Sensor = field(init=False)
    incident: Incident | None = None
    pending: Pending | None = None
    retrains: int = 0
    fits: set[Rows] = field(default_factory=set)
    alarms: list[int] = field(default_factory=list)
    serving: list[tuple[int, Rows]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    price: float = field(init=False)
    _last: int = field(init=False)
    _gap: int = field(init=False)

    def __post_init__(self) -> None:
        self.scene = Scene(self.shelf, first_day(self.shelf), self.parts.pool, eagerness=self.parts.eagerness)
        self.sensor, self.price = self.parts.sensor(), price_of(self.shelf)
        self._last, self._gap = self.scene.first, self.parts.every or 0

    def run(self) -> Run:
        scene, days = self.scene, self.shelf.stream.days
        rows = candidate_rows(self.shelf, scene.first)
        scene.members.append(Member(rows, rows))
        self.serving.append((scene.first, rows))
        self.sensor.reset(scene, scene.first)
        for day in range(scene.first, days):
            if self.pending is not None and self.pending.serves_from == day:
                self._promote(day)
            scene.serve(day)
            self._end_of(day)
        loss = scene.loss[scene.first :]
        return Run(
            self.parts.name,
            loss,
            self.retrains,
            len(self.fits),
            tuple(self.serving),
            tuple(self.alarms),
            tuple(self.log),
        )

    def _promote(self, day: int) -> None:
        if self.pending is None:
            return
        member, self.pending = self.pending.member, None
        self.scene.members.append(member)
        self.serving.append((day, member.rows))
        self.sensor.reset(self.scene, member.rows.last if self.parts.pool == 1 else day)

    def _end_of(self, day: int) -> None:
        known = self.scene.known(day)
        alarm = self.sensor.look(self.scene, known)
        if self.pending is not None:
            return
        if alarm is not None and (self.incident is None or self._is_new(alarm, self.incident)):
            self.alarms.append(day)
            self.incident = Incident(day, alarm.since, alarm.since + self.parts.wait_days)
            self._gap = min(self._gap, self.parts.every or 0)
            self.log.append(f"{day}: alarm since {alarm.since}")
        incident = self.incident
        if incident is not None:
            since = known - incident.change
            if known >= incident.next_known and since * self.shelf.stream.rows_a_day >= self.parts.wait_rows:
                if incident.journeys and not incident.promoted:
                    if alarm is None:
                        # The cause is over, and nothing was changed: a passing event.
                        self.incident = None
                        return
                    # The days matured since then may date the change better.
                    incident.change = min(alarm.since, known - self.parts.wait_days)
                won = self._journey(day + 1, known, incident.change)
                incident.journeys += 1
                incident.promoted = incident.promoted or won
                incident.next_known = known + int(self.parts.wait_days * self.parts.spacing**incident.journeys)
                if since >= WINDOW_DAYS or not self.parts.follow:
                    self.incident = None
                    if not won:
                        self.sensor.answered(self.scene, known)
                return
        if self.parts.every and day + 1 - self._last >= self._gap:
            won = self._journey(day + 1, known, None)
            if self.parts.backs_off:
                self._gap = max(self._gap // 2, self.parts.soonest) if won else min(2 * self._gap, self.parts.latest)

    @staticmethod
    def _is_new(alarm: Alarm, incident: Incident) -> bool:
        """Whether the alarm is of another change than the incident's: after a promotion the sensor tests only the new
        model; before it, the same evidence may move its change point."""
        return incident.promoted and alarm.since > incident.change

    # --- a journey ---------------------------------------------------------------------------------------------------

    def _journey(self, as_of: int, known: int, change: int | None) -> bool:
        self._last = as_of
        following = self.incident is not None and self.incident.promoted
        judged = range(max(known - 14, 0), known)
        if change is not None:
            # Two thirds of the days after the change are learned from, the newest third judges.
            judged = range(known - min(max((known - change) // 3, 2), 14), known)
        entrants = self._entrants(judged, known, change)
        losses = {m: self._loss_of(m, judged, known) for m in entrants}
        best = min(entrants, key=lambda m: losses[m][np.isfinite(losses[m])].mean())
        self.retrains += best.recipe != "former"
        span = slice(judged.start, judged.stop)
        serving = self.scene.fresh_loss(self.scene.champion, judged.start, judged.stop)
        if self.parts.pool > 1:
            serving = np.where(np.isfinite(self.scene.loss[span]), self.scene.loss[span], serving)
        gain = (serving - losses[best]) / self.shelf.counts[span]
        passes = self._passes(gain[np.isfinite(gain)], change is not None, following)
        self.log.append(f"{as_of}: {best.recipe} {best.rows} gain {np.nanmean(gain):.4f} {'won' if passes else 'lost'}")
        if passes:
            self.pending = Pending(best, as_of + SHADOW_DAYS)
        return passes

    def _entrants(self, judged: range, known: int, change: int | None) -> list[Member]:
        found = []
        for recipe in self.parts.race:
            if recipe == "former":
                found += [Member(m.rows, m.twin, "former") for m in self.scene.members[:-1]]
                continue
            if recipe == "change" and change is None:
                continue
            end = known if self.parts.refit else judged.start
            found.append(Member(_rows_of(recipe, end, change), _rows_of(recipe, judged.start, change), recipe))
        return found or [Member(_rows_of("window", known, None), _rows_of("window", judged.start, None))]

    def _loss_of(self, member: Member, judged: range, known: int) -> Floats:
        """The daily loss of an entrant on the judged days: of a recipe by two forward blocks."""
        del known
        if member.recipe == "former":
            return self.scene.fresh_loss(member, judged.start, judged.stop)
        self.fits |= {member.rows, member.twin}
        return self.shelf.fit(member.twin).loss[judged.start : judged.stop]

    def _passes(self, gain: Floats, drifted: bool, following: bool) -> bool:
        gate = (self.parts.follow_gate if following else "") or self.parts.gate
        if gate == "none":
            return True
        if len(gain) < 2:
            return False
        mean, error = float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain)))
        low = mean - float(stdtrit(len(gain) - 1, 1 - self.parts.alpha)) * error
        reference = self.price / 0.9 / self.shelf.stream.rows_a_day
        if gate == "no_worse":
            return low > -0.05 * reference
        if gate == "gain":
            return low > 0
        if gate == "mean":
            return mean > 0
        if gate == "worth_mean":
            return mean > self.price / (self.parts.horizon * self.shelf.stream.rows_a_day)
        worth = self.price / (self.parts.horizon * self.shelf.stream.rows_a_day)
        return mean > worth and (low > 0 or drifted)


def _rows_of(recipe: str, end: int, change: int | None) -> Rows:
    if recipe == "change" and change is not None:
        return Rows(change, end)
    if recipe == "expanding":
        return Rows(0, end)
    if recipe == "month":
        return Rows(max(end - 30, 0), end)
    if recipe == "week":
        return Rows(max(end - 30, 0), end, 4.0)
    if recipe == "recent":
        return Rows(max(end - WINDOW_DAYS, 0), end, 15.0)
    return Rows(max(end - WINDOW_DAYS, 0), end)


def policy(parts: Parts) -> Callable[[Shelf], Run]:
    """The combination as a policy of the study."""
    return lambda shelf: Engine(parts, shelf).run()
