"""A time in which a rollout had one share without interruption, and what is counted of it alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from include.domain.canary.first_times import is_followed
from include.domain.canary.live_rows import LiveRow
from include.domain.canary.log_counts import LogCounts
from include.domain.canary.units import PPM
from include.domain.canary.wires import Wire, Wired, wired

MOST_UNITS = 100_000
_FINE = 2.0**60
_LARGEST = 1e280


class Stretch(msgspec.Struct, frozen=True):
    """The time of one revision of the route."""

    revision: int
    share_ppm: int
    """In (0, 1,000,000] millionths; all after a promotion, when both models answer and nothing is drawn."""

    @property
    def is_all(self) -> bool:
        return self.share_ppm == PPM


@dataclass(slots=True)
class StretchCounts:
    """What is counted of the newest stretch. A step that was held begins again with these."""

    rows: int = 0
    """Of the canary's share, that both models were asked."""
    units: dict[int, tuple[bool, bool, int]] = field(default_factory=dict)
    """By unit, whether it is in the canary, whether it failed, and how many rows it asked."""
    halvings: int = 0
    tallies: list[list[int]] = field(default_factory=lambda: [[0, 0, 0], [0, 0, 0]])
    """Of the units in the champion's share and in the canary's: how many, how many failed, and their rows."""
    lasts: list[tuple[bool, bool]] = field(default_factory=list)
    """The newest rows of the canary's share: whether the canary failed, and the champion."""
    others: list[bool] = field(default_factory=list)
    """The newest rows of the champion's share: whether it failed."""
    wired: Wired = Wired.QUIET
    compared: int = 0
    delta_sum: int = 0
    """Of the differences, in parts of 2**-60, so that the order of rows has no part in it."""
    deltas: LogCounts = field(default_factory=LogCounts)
    decided: int = 0
    differ: int = 0

    @property
    def mean_delta(self) -> float:
        """The mean difference of both models on the rows compared, of which there must be one."""
        return self.delta_sum / self.compared / _FINE

    def last(self, wire: Wire, row: LiveRow) -> None:
        """One more row: for the hard wire, and compared where both models gave a score."""
        if not row.is_canary:
            if row.champion is not None:
                self.others.append(row.champion.failed)
                del self.others[: -wire.of]
            return
        if row.canary is None:
            return
        if row.champion is not None:
            self.rows += 1
            self._compare(row)
        self.lasts.append((row.canary.failed, row.champion is not None and row.champion.failed))
        del self.lasts[: -wire.of]
        if self.wired is Wired.QUIET:
            self.wired = self._wired(wire)

    def _wired(self, wire: Wire) -> Wired:
        """Where the champion is over the wire at the same time, on these rows or on its own, both are."""
        found = wired(wire, self.lasts)
        champions = max(sum(self.others), sum(theirs for _, theirs in self.lasts))
        return Wired.BOTH if found is Wired.CANARY and champions >= wire.failures else found

    def _compare(self, row: LiveRow) -> None:
        if row.canary is None or row.champion is None:
            return
        delta = row.canary.distance(row.champion)
        if delta is None:
            return
        self.compared += 1
        self.delta_sum += int(min(delta, _LARGEST) * _FINE)
        self.deltas.add(delta)
        if row.canary.predicted is not None and row.champion.predicted is not None:
            self.decided += 1
            self.differ += row.canary.predicted != row.champion.predicted

    def unit(self, unit: int, *, is_canary: bool, failed: bool) -> None:
        """One more row of a unit. Beyond 100,000 units, half of them are counted, those before too."""
        if not is_followed(unit, self.halvings):
            return
        was = self.units.get(unit)
        if was is not None:
            self._tally(was, -1)
        canary, broke, rows = was or (False, False, 0)
        self.units[unit] = (canary or is_canary, broke or failed, rows + 1)
        self._tally(self.units[unit], 1)
        while len(self.units) > MOST_UNITS:
            self.halvings += 1
            self.units = {each: found for each, found in self.units.items() if is_followed(each, self.halvings)}
            self.tallies = [[0, 0, 0], [0, 0, 0]]
            for found in self.units.values():
                self._tally(found, 1)

    def _tally(self, unit: tuple[bool, bool, int], by: int) -> None:
        of = self.tallies[unit[0]]
        of[0] += by
        of[1] += by * unit[1]
        of[2] += by * unit[2]

    def rate(self, *, is_canary: bool) -> tuple[int, int]:
        """Of the arm's units, how many failed, and how many there are."""
        units, failed, _ = self.tallies[is_canary]
        return failed, units

    def rows_a_unit(self, *, is_canary: bool) -> float | None:
        """How many rows a unit of the arm asked in the mean: clients that repeat what fails show here; None without."""
        units, _, rows = self.tallies[is_canary]
        return rows / units if units else None
