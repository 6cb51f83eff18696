"""How a message says a number of things."""

from __future__ import annotations


def bounds_in_words(low: float, high: float) -> str:
    """Between which bounds a loss differs: each end says its side.

    >>> bounds_in_words(-0.0274, 0.0068), bounds_in_words(0.011, 0.0212), bounds_in_words(-0.0127, -0.0056)
    ('from 0.0274 better to 0.0068 worse', '0.011 to 0.0212 worse', '0.0056 to 0.0127 better')
    """
    if low < 0 < high:
        return f"from {-low:.4g} better to {high:.4g} worse"
    if high <= 0 and low < 0:
        return f"{abs(high):.4g} to {-low:.4g} better"
    return f"{low:.4g} to {high:.4g} worse"


def count_of(number: int, thing: str) -> str:
    """A number with its noun; many are the noun with an s.

    >>> count_of(1, "day"), count_of(0, "day"), count_of(1200, "row")
    ('1 day', '0 days', '1,200 rows')
    """
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
