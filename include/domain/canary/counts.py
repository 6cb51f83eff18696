"""From rows of live traffic to what a step of a rollout is judged by: one fold for the guard, the gate and a replay.

It takes rows one by one, in nearly any order: counts of units are those of the earliest time it happened to each, and
sums do not depend on the order. What does depend on it are the hard wire, which is about the *last* rows, and what a
unit's first and later rows did. A row that comes again, by its ``asked_id``, counts once among 50,000 at least.

Memory is bounded, however long a rollout lasts: of units at most 100,000 are remembered, and of harmed ones 50,000 for
each kind of harm; beyond, half of all units are followed, and half of those (``first_times``). That is some 40 MB at
most. ``as_bytes`` keeps everything, so that a process that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from include.domain.canary.evidence import Paired, StepEvidence
from include.domain.canary.first_times import FirstTimes, unit_number
from include.domain.canary.harm import Harmed
from include.domain.canary.live_rows import LiveRow, ModelAnswer
from include.domain.canary.log_counts import LogCounts
from include.domain.canary.mismatch import Exposed
from include.domain.canary.stretches import Stretch, StretchCounts
from include.domain.canary.units import PPM
from include.domain.canary.wires import Wire

UNITS, HARMED, ASKED = 100_000, 50_000, 50_000
"""How many units, harmed units of a kind, and asked ids are remembered."""
LEAST_TIMES = 1_000
"""Of fewer answers no 99th percentile is taken."""
EXPOSURES = ("first", "second to fifth", "later")
"""How often a unit had asked when a row of it was answered."""


@dataclass(slots=True)
class ExposureCounts:
    """Rows of one arm, by how often their units had asked before: where people meet something new, it shows here."""

    rows: int = 0
    failed: int = 0
    slow: int = 0
    compared: int = 0
    delta: float = 0.0
    """The sum of the differences of both models on the rows compared."""


@dataclass(slots=True)
class RolloutCounts:
    """What was counted of one rollout."""

    number: int
    wire: Wire
    shares: tuple[int, ...]
    """Of the steps, in millionths."""
    stretches: dict[int, Stretch] = field(default_factory=dict)
    """By the revision of the route."""
    newest: int | None = None
    """The revision of the newest stretch."""
    now: StretchCounts = field(default_factory=StretchCounts)
    """Of the newest stretch."""
    exposed: FirstTimes = field(default_factory=lambda: FirstTimes(UNITS))
    failed: FirstTimes = field(default_factory=lambda: FirstTimes(HARMED))
    slow: FirstTimes = field(default_factory=lambda: FirstTimes(HARMED))
    times_asked: dict[int, int] = field(default_factory=dict)
    """By unit that is followed, how many of its rows came."""
    by_exposure: dict[str, ExposureCounts] = field(default_factory=dict)
    """By arm and ``EXPOSURES``, as ``canary, first``."""
    champion_times: LogCounts = field(default_factory=LogCounts)
    slow_from_us: float | None = None
    """What takes longer than that is slow: the champion's 99th percentile, frozen before the stretch; None while it is
    not known."""
    asked: set[int] = field(default_factory=set)
    asked_before: set[int] = field(default_factory=set)
    """The ids of the 50,000 rows before those of ``asked``."""
    repeated: int = 0
    """Rows that had come already."""
    outside: int = 0
    """Rows asked under a share that no step has."""
    without_unit: int = 0

    def usual(self, us: int) -> None:
        """One answer of the champion before the rollout, or beside it, and how long it took, in microseconds."""
        self.champion_times.add_recent(us)
        if self.slow_from_us is None and self.stretches:
            self._freeze()

    def begin(self, stretch: Stretch) -> None:
        """From a revision of the route on, units are drawn by this share. The first row of a revision begins it too;
        where none came yet, what is known of the step before is no evidence of this one. Once more changes nothing.

        Raises:
            ValueError: no step has this share.
        """
        if stretch.share_ppm not in self.shares:
            raise ValueError(f"no step of rollout {self.number} has a share of {stretch.share_ppm} millionths")
        if stretch.revision in self.stretches:
            return
        self.stretches[stretch.revision] = stretch
        if self.newest is None or stretch.revision > self.newest:
            self.newest, self.now, self.slow_from_us = stretch.revision, StretchCounts(), None
            self._freeze()

    @property
    def stretch(self) -> Stretch:
        """The newest.

        Raises:
            ValueError: none was begun.
        """
        if self.newest is None:
            raise ValueError(f"no share of rollout {self.number} was begun")
        return self.stretches[self.newest]

    def add(self, row: LiveRow) -> bool:
        """Count a row; whether it counted."""
        if row.share_ppm not in self.shares:
            self.outside += 1
            return False
        self.begin(Stretch(row.revision, row.share_ppm))
        if not self._is_new(row.asked_id):
            self.repeated += 1
            return False
        at, is_newest = row.revision, row.revision == self.newest
        if is_newest:
            self.now.last(self.wire, row)
        if not row.is_canary and row.champion is not None and row.champion.us is not None:
            self.usual(row.champion.us)
        if row.unit is None:
            self.without_unit += 1
            return True
        unit, is_canary = unit_number(row.unit), row.is_canary
        self.exposed.add(unit, at, is_canary)
        answer = row.canary if is_canary else row.champion
        if answer is None:
            return True
        slow = self._is_slow(answer)
        if is_newest:
            self.now.unit(unit, is_canary=is_canary, failed=answer.failed)
        if self.stretches[at].is_all:
            self._harmed_alone(unit, at, row)
        else:
            if answer.failed:
                self.failed.add(unit, at, is_canary)
            if slow:
                self.slow.add(unit, at, is_canary)
        self._exposure(unit, row, answer, slow)
        return True

    def evidence(self, elapsed: timedelta) -> StepEvidence:
        """What the newest stretch is judged by.

        Args:
            elapsed: how long the step's share has been open, without the time it was held.

        Raises:
            ValueError: no share was begun.
        """
        stretch, now = self.stretch, self.now
        slow = None
        if self.slow_from_us is not None and not stretch.is_all:
            slow = tuple(self._harmed(self.slow))
        return StepEvidence(
            number=self.number,
            step=self.shares.index(stretch.share_ppm),
            elapsed=elapsed,
            rows=now.rows,
            canary=now.rate(is_canary=True),
            champion=now.rate(is_canary=False),
            failed=tuple(self._harmed(self.failed)),
            slow=slow,
            exposed=tuple(Exposed(*each) for each in self._by_share(self.exposed) if each[0] < PPM),
            wired=now.wired,
            paired=self._paired(),
        )

    def as_bytes(self) -> bytes:
        """Everything, to go on with later."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> RolloutCounts:
        """
        Raises:
            ValueError: these bytes are no counts of this version.
        """
        return msgspec.msgpack.decode(data, type=cls)

    # --- within ------------------------------------------------------------------------------------------------------

    def _is_new(self, asked_id: str) -> bool:
        number = unit_number(asked_id)
        if number in self.asked or number in self.asked_before:
            return False
        self.asked.add(number)
        if len(self.asked) >= ASKED:
            self.asked_before, self.asked = self.asked, set()
        return True

    def _is_slow(self, answer: ModelAnswer) -> bool:
        return self.slow_from_us is not None and answer.us is not None and answer.us > self.slow_from_us

    def _freeze(self) -> None:
        if self.champion_times.of >= LEAST_TIMES:
            self.slow_from_us = self.champion_times.quantile(0.99)

    def _harmed_alone(self, unit: int, at: int, row: LiveRow) -> None:
        """Where both answer every row, there is no draw: of the rows on which just one failed, half are the canary's
        if it is equal."""
        if row.canary is None or row.champion is None or row.canary.failed == row.champion.failed:
            return
        self.failed.add(unit, at, row.canary.failed)

    def _exposure(self, unit: int, row: LiveRow, answer: ModelAnswer, slow: bool) -> None:
        if unit not in self.exposed.seen:
            if len(self.times_asked) > 2 * UNITS:
                self.times_asked = {u: n for u, n in self.times_asked.items() if u in self.exposed.seen}
            return
        asked = self.times_asked[unit] = self.times_asked.get(unit, 0) + 1
        arm, which = "canary" if row.is_canary else "champion", EXPOSURES[(asked > 1) + (asked > 5)]
        counts = self.by_exposure.setdefault(f"{arm}, {which}", ExposureCounts())
        counts.rows += 1
        counts.failed += answer.failed
        counts.slow += slow
        delta = None if row.canary is None or row.champion is None else row.canary.distance(row.champion)
        if delta is not None:
            counts.compared += 1
            counts.delta += delta

    def _by_share(self, seen: FirstTimes) -> list[tuple[int, int, int]]:
        """Each share in the order of their first stretch, with the canary's units and the champion's."""
        found: dict[int, list[int]] = {}
        for revision in sorted(self.stretches):
            ours, theirs = seen.counts.get(revision, (0, 0))
            of = found.setdefault(self.stretches[revision].share_ppm, [0, 0])
            of[0] += ours
            of[1] += theirs
        return [(share, *counts) for share, counts in found.items()]  # type: ignore[misc]

    def _harmed(self, seen: FirstTimes) -> Iterable[Harmed]:
        for share, ours, theirs in self._by_share(seen):
            yield Harmed(PPM // 2 if share == PPM else share, ours, theirs)

    def _paired(self) -> Paired | None:
        now = self.now
        if now.compared == 0:
            return None
        differ = now.differ / now.decided if now.decided else None
        return Paired(now.compared, now.mean_delta, now.deltas.quantile(0.99), differ)
