"""To whom something happened for the first time, by share and arm, in bounded memory.

Units are remembered as numbers of 64 bits, drawn by another hash than their arm. When more than ``most`` are known,
from then on only the half of all units with the smaller numbers is counted, and so on: which half a unit is in says
nothing of its arm or of what it suffers, so what is counted later is as good evidence as what was counted before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

_BITS = 64


def unit_number(unit: str) -> int:
    """The unit as a number of 64 bits, the same everywhere; it says nothing of its place in a rollout."""
    text = unit.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8, person=b"slipway-unit").digest(), "big")


def is_followed(number: int, halvings: int) -> bool:
    """Whether a unit is among those that are still counted after so many halvings."""
    return number >> (_BITS - halvings) == 0


@dataclass(slots=True)
class FirstTimes:
    """Units, each once, at the earliest of the stretches (by revision of the route) in which it happened to them.

    The counts do not depend on the order in which units are added, as long as no more than ``most`` are.

    >>> seen = FirstTimes(most=100)
    >>> for stretch, is_canary in ((1, True), (0, False), (0, False)):
    ...     seen.add(unit_number("u"), stretch, is_canary)
    >>> seen.counts
    {0: [0, 1]}
    """

    most: int
    halvings: int = 0
    seen: dict[int, int] = field(default_factory=dict)
    """By unit, twice the stretch, and one more for the canary's."""
    counts: dict[int, list[int]] = field(default_factory=dict)
    """By stretch, units of the canary and of the champion."""

    def add(self, unit: int, stretch: int, is_canary: bool) -> None:
        """It happened to the unit."""
        if not is_followed(unit, self.halvings):
            return
        found, before = 2 * stretch + is_canary, self.seen.get(unit)
        if before is not None and before <= found:
            return
        if before is not None:
            self._count(before, -1)
        self._count(found, 1)
        self.seen[unit] = found
        while len(self.seen) > self.most:
            self.halvings += 1
            self.seen = {each: code for each, code in self.seen.items() if is_followed(each, self.halvings)}

    def _count(self, code: int, by: int) -> None:
        of = self.counts.setdefault(code >> 1, [0, 0])
        of[1 - (code & 1)] += by
        if of == [0, 0]:
            del self.counts[code >> 1]
