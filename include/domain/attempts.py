"""How often a model's candidates were judged on days that overlap, and what of alpha that leaves for the next.

Each candidate that is judged on the same days is one more chance to be lucky, and so is one on days of which half are
new: a recipe that is worse by the margin and judged every week on the newest two weeks passes at least once a year in
nine of ten. So attempts on overlapping days are a *chain*, which has one budget: the first has alpha, and all those
after it together a quarter of alpha (docs/adr/0043 has the table that the quarter was chosen by).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from include.domain.intervals import DAY, Interval, midnight

RETRIES_SHARE = 4
"""All attempts after the first have alpha divided by this together."""


def parts_of(number: int) -> int:
    """Into how many parts alpha is divided at this attempt of a chain, of which it has one. The k-th has alpha divided
    by 4 k (k - 1): of the ones after the first, that adds up to a quarter of alpha however many there are.

    Raises:
        ValueError: the number is below 1.

    >>> [parts_of(k) for k in (1, 2, 3, 10)]
    [1, 8, 24, 360]
    """
    if number < 1:
        raise ValueError(f"attempt {number}: the first is 1")
    return 1 if number == 1 else RETRIES_SHARE * number * (number - 1)


@dataclass(frozen=True, slots=True)
class JudgedAttempt:
    """One candidate as the champion gate judged it.

    Attributes:
        candidate_id: whose.
        as_of: the journey's time, UTC.
        held_out: the days it was judged on.
        champion: the candidate id it was compared with; None without one, or where that is not known any more.
        changed_on: the first day of what it was to cure; None where no alarm asked for it.
    """

    candidate_id: str
    as_of: datetime
    held_out: Interval
    champion: str | None = None
    changed_on: date | None = None


@dataclass(frozen=True, slots=True)
class Attempts:
    """The chain of attempts that a candidate is the newest of.

    Attributes:
        number: which attempt it is, from 1.
        earlier: the candidate ids before it, in the order they were judged.
        fresh_from: the first day that none of them, itself included, was judged on; None where days are not known.
        fresh_as_of: from when on a journey like this one is judged on days from then on; None as well.
    """

    number: int = 1
    earlier: tuple[str, ...] = ()
    fresh_from: date | None = None
    fresh_as_of: date | None = None

    def __post_init__(self) -> None:
        parts_of(self.number)

    @property
    def parts(self) -> int:
        """Into how many parts alpha is divided, of which this attempt has one."""
        return parts_of(self.number)

    def spent(self, alpha: float) -> float:
        """What of alpha the chain has spent, this attempt included; at most five quarters of alpha.

        >>> [round(Attempts(k).spent(0.05), 5) for k in (1, 2, 52)]
        [0.05, 0.05625, 0.06226]
        """
        return alpha + alpha / RETRIES_SHARE * (1 - 1 / self.number)

    def left(self, alpha: float) -> float:
        """What all later attempts of the chain have together."""
        return alpha * (1 + 1 / RETRIES_SHARE) - self.spent(alpha)

    def as_json(self, alpha: float) -> dict[str, Any]:
        """What was spent of ``alpha``, what is left, and when it is whole again, for the notes of a gate."""
        return {
            "attempt": self.number,
            "earlier": list(self.earlier),
            "alpha": alpha / self.parts,
            "spent": self.spent(alpha),
            "left": self.left(alpha),
            "fresh_from": self.fresh_from and self.fresh_from.isoformat(),
            "fresh_as_of": self.fresh_as_of and self.fresh_as_of.isoformat(),
        }

    def sentence(self, alpha: float) -> str | None:
        """What a retry costs and when it costs nothing again; None for a first attempt."""
        if self.number == 1:
            return None
        said = (
            f"It is attempt {self.number} on days that overlap: of alpha {alpha:g} it has {alpha / self.parts:.3g}, "
            f"and those after it have {self.left(alpha):.3g} together"
        )
        if self.fresh_from is None or self.fresh_as_of is None:
            return f"{said}."
        return (
            f"{said}; alpha is whole again for days from {self.fresh_from} on, which a journey as of "
            f"{self.fresh_as_of} or later is judged on."
        )


FIRST = Attempts()
"""Of a candidate that no other was judged before, on days that are not named."""


def attempts_up_to(mine: JudgedAttempt, earlier: Sequence[JudgedAttempt]) -> Attempts:
    """The chain of an attempt.

    An earlier attempt is in the chain where its held-out days overlap those of one that is in it, and

    - the champion is the same, and was judged before it: after a promotion the question is another one; and
    - for a candidate that an alarm asked for, it had learned from days after the change: one that had not was no
      attempt at curing it.

    On the very same days each counts, whatever it met and learned.

    Args:
        mine: the newest one.
        earlier: those before it, in the order they were judged; another one of the same candidate does not count.

    >>> from datetime import UTC
    >>> def judged(day: int) -> JudgedAttempt:
    ...     end = datetime(2013, 6, day, tzinfo=UTC)
    ...     return JudgedAttempt(f"c{day}", end, Interval(end - 7 * DAY, end), "champion")
    >>> weekly = [judged(8), judged(12)]
    >>> attempts_up_to(judged(16), weekly).earlier
    ('c8', 'c12')
    >>> attempts_up_to(judged(24), weekly).number
    1
    """
    others, found, reached = _chain(mine, earlier)
    chain = tuple(dict.fromkeys(one.candidate_id for one in others if one.candidate_id in found))
    ahead: timedelta = reached.end - mine.held_out.start
    fresh = midnight(mine.as_of + ahead)
    return Attempts(
        number=len(chain) + 1,
        earlier=chain,
        fresh_from=reached.end.date(),
        fresh_as_of=(fresh if fresh == mine.as_of + ahead else fresh + DAY).date(),
    )


def judged_until(mine: JudgedAttempt, earlier: Sequence[JudgedAttempt]) -> date | None:
    """The first day that no attempt before it in its chain was judged on; None for a first attempt."""
    others, found, _ = _chain(mine, earlier)
    return max((one.held_out.end.date() for one in others if one.candidate_id in found), default=None)


def _chain(mine: JudgedAttempt, earlier: Sequence[JudgedAttempt]) -> tuple[list[JudgedAttempt], set[str], Interval]:
    """The other attempts, the ids of those in its chain, and all days that the chain was judged on."""
    others = [one for one in earlier if one.candidate_id != mine.candidate_id]
    found = {one.candidate_id for one in others if one.held_out == mine.held_out}
    reached = mine.held_out
    asked = [one for one in _since_its_promotion(mine, others) if one.candidate_id not in found]
    asked = [one for one in asked if _same_question(mine, one)]
    grown = True
    while grown:
        grown = False
        for one in [each for each in asked if each.candidate_id not in found]:
            if one.held_out.start < reached.end and reached.start < one.held_out.end:
                found.add(one.candidate_id)
                ends = max(reached.end, one.held_out.end)
                reached, grown = Interval(min(reached.start, one.held_out.start), ends), True
    return others, found, reached


def _since_its_promotion(mine: JudgedAttempt, others: list[JudgedAttempt]) -> list[JudgedAttempt]:
    """Those that were judged after the champion was: it was no attempt at being better than itself, and neither was
    what came before it."""
    places = [place for place, one in enumerate(others) if one.candidate_id == mine.champion]
    return others[places[-1] + 1 :] if places else others


def _same_question(mine: JudgedAttempt, other: JudgedAttempt) -> bool:
    if other.champion is not None and mine.champion != other.champion:
        return False
    return mine.changed_on is None or other.held_out.start.date() > mine.changed_on
