"""Sensors: from matured days to "something changed, since this day"."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.policy_lab.models import Floats
from benchmarks.policy_lab.scene import Scene
from include.domain.drift.e_detector import expected_loss, rise
from include.domain.drift.gain_detector import DaySums, GainDetector, correction, day_sums


@dataclass(frozen=True, slots=True)
class Alarm:
    """``since`` is the first day that the change point is believed to be."""

    since: int
    evidence: float


class Sensor(Protocol):
    """Called with each matured day in order."""

    def reset(self, scene: Scene, first: int) -> None:
        """A new model serves: test only days from ``first`` on."""

    def look(self, scene: Scene, known: int) -> Alarm | None:
        """With all days before ``known`` matured."""

    def answered(self, scene: Scene, known: int) -> None:
        """A journey asked for by an alarm found nothing better."""


@dataclass(slots=True)
class NoSensor:
    def reset(self, scene: Scene, first: int) -> None:
        """Nothing is kept."""

    def look(self, scene: Scene, known: int) -> Alarm | None:
        return None

    def answered(self, scene: Scene, known: int) -> None:
        """Nothing is kept."""


@dataclass(slots=True, eq=False)
class LossSensor:
    """An e-detector on the daily mean loss: the sum over start days of the evidence of a rise since then, against the
    reference's days; an alarm where it reaches the declared run length.

    ``control`` subtracts from each day's loss what the model's own probabilities say it should be (the estimate of
    performance without labels), so that hard days, which are hard for every model, are no evidence.
    ``anchored`` keeps the first champion's reference for ever; otherwise each model brings the days it was judged on.
    """

    run_length_days: float = 730.0
    starts: int = 60
    grows: bool = True
    """Whether accepted days join the reference once they are older than all starts."""
    control: bool = False
    anchored: bool = False
    _reference: list[float] = field(default_factory=list)
    _days: list[tuple[int, float]] = field(default_factory=list)
    _next: int = 0

    def reset(self, scene: Scene, first: int) -> None:
        self._days, self._next = [], first
        if self._reference and self.anchored:
            return
        champion = scene.champion
        begin = max(champion.twin.last, 0)
        end = max(first, begin + 3) if len(scene.members) > 1 else begin + 14
        self._reference = [v for d in range(begin, end) if np.isfinite(v := self._value(scene, d))]

    def answered(self, scene: Scene, known: int) -> None:
        """A journey found nothing better: the matured days are the reference from now on."""
        self._reference = [v for _, v in self._days[-14:]] if len(self._days) > 2 else self._reference
        self._days, self._next = [], known

    def _value(self, scene: Scene, day: int) -> float:
        member = scene.champion
        fresh = member.rows if day >= member.rows.last else member.twin
        if scene.pool_size > 1 and day in scene.served:
            answers, loss = scene.served[day], float(scene.loss[day])
        else:
            span = scene.shelf.stream.rows(day, day + 1)
            answers, loss = scene.shelf.fit(fresh).answers[span], float(scene.shelf.fit(fresh).loss[day])
        if self.control and scene.shelf.stream.task != "regression":
            expected = expected_loss("brier", answers)
            loss -= 0.0 if expected is None else float(expected.sum())
        return loss / float(scene.shelf.counts[day])

    def look(self, scene: Scene, known: int) -> Alarm | None:
        while self._next < known:
            self._days.append((self._next, self._value(scene, self._next)))
            self._next += 1
        while len(self._days) > self.starts:
            old = self._days.pop(0)
            if self.grows:
                self._reference.append(old[1])
        if len(self._days) < 2 or len(self._reference) < 3:
            return None
        found = rise(self._reference, [v for _, v in self._days], run_length_days=self.run_length_days)
        if not found.alarm or found.since is None:
            return None
        return Alarm(self._days[found.since][0], found.log_evidence)


@dataclass(slots=True, eq=False)
class GainSensor:
    """An e-detector on what a cheap correction would have gained; see the product's ``gain_detector``."""

    run_length_days: float = 730.0
    _detector: GainDetector = field(default_factory=lambda: GainDetector(math.inf))
    _scale: tuple[Floats, Floats] | None = None
    _first: int = 0
    _next: int = 0

    def reset(self, scene: Scene, first: int) -> None:
        member = scene.champion
        learned = range(max(member.rows.first, member.rows.last - 60), member.rows.last)
        if self._scale is None:
            x = scene.shelf.stream.x[scene.shelf.stream.rows(learned.start, learned.stop)]
            spread = x.std(axis=0)
            self._scale = (x.mean(axis=0), np.where(spread > 0.01, spread, 0.3))
        answers = scene.shelf.fit(member.rows).answers
        sums = [self._sums(scene, day, answers) for day in learned]
        self._begin(first, correction(sums), [s.sway for s in sums])

    def answered(self, scene: Scene, known: int) -> None:
        """A journey found nothing better: a retrain cannot reach the gain of the correction so far."""
        answers = scene.shelf.fit(scene.champion.rows).answers
        sums = [self._sums(scene, day, answers) for day in range(max(self._first, known - 30), known)]
        self._begin(known, correction(sums) if sums else self._detector.known, [])

    def _begin(self, first: int, known: Floats | None, sways: list[Floats]) -> None:
        earlier = self._detector.sways[-120:]
        self._detector = GainDetector(self.run_length_days, known, earlier + sways)
        self._first = self._next = first

    def _sums(self, scene: Scene, day: int, answers: NDArray[Any]) -> DaySums:
        stream = scene.shelf.stream
        span = stream.rows(day, day + 1)
        p = scene.served[day] if scene.pool_size > 1 and day in scene.served else answers[span]
        centre, spread = self._scale or (0.0, 1.0)
        x = np.clip((stream.x[span] - centre) / spread, -5, 5)
        if stream.task == "multiclass":
            hot = stream.y[span][:, None] == np.arange(p.shape[1])
            return day_sums(np.column_stack([np.ones(len(x)), p[:, 1:], x]), (hot - p) / np.sqrt(2))
        return day_sums(np.column_stack([np.ones(len(x)), p, x]), stream.y[span] - p)

    def look(self, scene: Scene, known: int) -> Alarm | None:
        answers = scene.shelf.fit(scene.champion.rows).answers
        while self._next < known:
            self._detector.add(self._sums(scene, self._next, answers))
            self._next += 1
        if not self._detector.alarm or self._detector.since is None:
            return None
        return Alarm(self._first + self._detector.since, self._detector.log_evidence)


@dataclass(slots=True, eq=False)
class EitherSensor:
    """The louder of two."""

    first: Sensor
    second: Sensor

    def reset(self, scene: Scene, first: int) -> None:
        self.first.reset(scene, first)
        self.second.reset(scene, first)

    def answered(self, scene: Scene, known: int) -> None:
        self.first.answered(scene, known)
        self.second.answered(scene, known)

    def look(self, scene: Scene, known: int) -> Alarm | None:
        found = [a for s in (self.first, self.second) if (a := s.look(scene, known)) is not None]
        return max(found, key=lambda a: a.evidence, default=None)
