"""Sorting integers by position, quickly and stably."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def order_of(values: Ints) -> Ints:
    """The positions that sort ``values``; equal ones keep their order.

    With its position in its lowest bits, sorting the values themselves gives their order too, which is faster than
    sorting positions. Where the bits do not suffice, positions are sorted.

    >>> order_of(np.array([30, 10, 30, 20])).tolist()
    [1, 3, 0, 2]
    """
    bits = len(values).bit_length()
    if len(values) and int(values.min()) >= -(1 << (62 - bits)) and int(values.max()) < 1 << (62 - bits):
        packed = (values << bits) | np.arange(len(values))
        packed.sort()
        return packed & ((1 << bits) - 1)
    return np.argsort(values, kind="stable")


def ranks(values: Ints) -> tuple[Ints, int]:
    """Small integers that compare as ``values`` do, and how many different ones there are.

    >>> found, count = ranks(np.array([700, -3, 700, 12]))
    >>> found.tolist(), count
    ([2, 0, 2, 1], 3)
    """
    distinct, places = np.unique(values, return_inverse=True)
    return places.astype(np.int64), max(len(distinct), 1)
