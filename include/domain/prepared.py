"""Journeys that an estimate alone asked for. They may prepare a candidate before any label comes, and they count for
nothing else: they are not futile, open no breaker, use no budget and no cooldown of an alarm that labels raised,
and give way to one. Among themselves they have the same budget, and a cooldown that doubles each time labels
contradict one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_PAUSE_DAYS = 365


@dataclass(frozen=True, slots=True)
class PreparedJourneys:
    """What is known of them when a report is decided about.

    Attributes:
        last_started: None when there was none.
        in_30_days: how many started in the 30 days before.
        contradicted: how many in a row, up to the last that is over, were stopped.
        in_flight: whether the journey under way is one.
    """

    last_started: datetime | None = None
    in_30_days: int = 0
    contradicted: int = 0
    in_flight: bool = False

    def pause_days(self, cooldown_days: int) -> int:
        """Days from the start of the last one to that of the next.

        >>> [PreparedJourneys(contradicted=n).pause_days(7) for n in range(4)]
        [7, 14, 28, 56]
        """
        return int(min(max(cooldown_days, 1) * 2 ** min(self.contradicted, 10), LONGEST_PAUSE_DAYS))


def prepared_of(ended: Iterable[tuple[datetime, bool | None]], now: datetime, *, in_flight: bool) -> PreparedJourneys:
    """Sum them up.

    Args:
        ended: when each started, in order, and whether it was stopped: True by a gate or by labels, False when it was
            promoted, None when it is under way, broke or gave way.
        now: the end of the judged day.
        in_flight: whether the journey under way is one of them.

    >>> at = datetime(2024, 1, 1)
    >>> found = prepared_of([(at, False), (at, True), (at, None)], at + timedelta(days=31), in_flight=True)
    >>> found.in_30_days, found.contradicted
    (0, 1)
    """
    journeys = [*ended]
    contradicted = 0
    for _, stopped in journeys:
        if stopped is not None:
            contradicted = contradicted + 1 if stopped else 0
    return PreparedJourneys(
        last_started=max((start for start, _ in journeys), default=None),
        in_30_days=sum(start > now - timedelta(days=30) for start, _ in journeys),
        contradicted=contradicted,
        in_flight=in_flight,
    )
