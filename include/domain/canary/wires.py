"""The hard wire: so many failures among the canary's last rows end its share at once, without statistics.

Both models answer each row of the canary's share, so a failure of both is known to be of neither: it blames the
features, the machine or the request, and not the canary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Wire:
    """``failures`` among the last ``of`` rows."""

    failures: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.failures <= self.of <= 10_000:
            raise ValueError(f"{self.failures} of {self.of}: give 1 to 10,000 rows, and no more failures than rows")

    def __str__(self) -> str:
        return f"{self.failures} of {self.of}"


class Wired(Enum):
    """What the wire says of the last rows."""

    QUIET = "quiet"
    CANARY = "canary"
    """The canary failed where the champion did not: its share ends."""
    BOTH = "both"
    """Both failed on the same rows: the share ends too, and the canary is not blamed."""


def wire_of(text: str) -> Wire:
    """
    Raises:
        ValueError: the text is not such as ``5 of 20``.

    >>> wire_of("5 of 20")
    Wire(failures=5, of=20)
    """
    found = re.fullmatch(r"\s*(\d{1,6})\s+of\s+(\d{1,6})\s*", text)
    if found is None:
        raise ValueError(f"{text!r} is no such text as '5 of 20'")
    return Wire(int(found[1]), int(found[2]))


def wired(wire: Wire, rows: Iterable[tuple[bool, bool]]) -> Wired:
    """What the newest rows say, each as (the canary failed, the champion failed), the newest last.

    >>> wired(Wire(2, 3), [(True, False), (False, False), (True, False)])
    <Wired.CANARY: 'canary'>
    >>> wired(Wire(2, 3), [(True, False), (False, False), (False, False), (True, False)])
    <Wired.QUIET: 'quiet'>
    """
    last = list(rows)[-wire.of :]
    if sum(ours and not theirs for ours, theirs in last) >= wire.failures:
        return Wired.CANARY
    if sum(ours and theirs for ours, theirs in last) >= wire.failures:
        return Wired.BOTH
    return Wired.QUIET
