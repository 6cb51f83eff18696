"""How a message says a number of things."""

from __future__ import annotations


def count_of(number: int, thing: str) -> str:
    """A number with its noun; many are the noun with an s.

    >>> count_of(1, "day"), count_of(0, "day"), count_of(1200, "row")
    ('1 day', '0 days', '1,200 rows')
    """
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
