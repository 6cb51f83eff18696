"""Which two groups the candidate may have moved farthest apart, and the bounds of by how much.

The gap itself makes a poor test statistic: it is never below zero, so noise inflates it, and a fair champion's most,
which hides a worse candidate; and the pair of groups that is measured farthest apart need not be the true one. So every
ordered pair of groups is tested, and all must pass: the bound of how much farther apart the candidate puts them than
the champion does. Then no two groups, and so not the gap either, are farther apart by more than the margin, but with a
probability of alpha (tests/guarantees/gates/test_guarantees_slices.py). The champion's distance is an absolute value,
hence two bounds for each pair, at half of alpha each, of which the smaller holds.

That all pairs must pass by themselves stops equal models too: of six groups there are thirty pairs, and by chance some
two move apart. From ``POOLED_FROM`` groups on, how far the candidate moved each is judged with how far it moved the
others (``pooling``), at alpha: docs/adr/0042 has what that passes and what it stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from include.domain.blocks import Blocks
from include.domain.comparison import tango_upper
from include.domain.gates.grouping import Grouping
from include.domain.gates.pooling import Departures
from include.domain.metrics import Floats, Ints
from include.domain.weights import effective_rows

POOLED_FROM = 5
"""Of fewer groups each pair is judged by itself, and passes while farther apart by the margin at most alpha of the
time."""
LIKELY = 0.25
"""Times the margin: how far groups are thought to be moved before anything is seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """One rate: the values whose mean over the ``chosen`` rows of a group it is, by each model."""

    chosen: NDArray[np.bool_]
    ours: Floats
    theirs: Floats | None
    weight: Floats | None = None
    """How much each row counts, ``(n,)``, above 0; None where all count the same."""

    def means(self, groups: Grouping, values: Floats) -> Floats:
        """The mean of the chosen values in each group, ``(g,)``; NaN where none is chosen."""
        codes, count = groups.codes[self.chosen], len(groups.names)
        counted = None if self.weight is None else self.weight[self.chosen]
        rows = np.bincount(codes, counted, count)
        values = values[self.chosen] if counted is None else values[self.chosen] * counted
        return np.asarray(
            np.divide(np.bincount(codes, values, count), rows, out=np.full(count, np.nan), where=rows > 0)
        )

    def rows_in(self, groups: Grouping) -> Ints:
        """How many chosen rows each group has; with weights what they are worth, rounded down, ``(g,)``."""
        chosen = Grouping(groups.column, groups.names, groups.codes[self.chosen])
        return chosen.counted(None if self.weight is None else self.weight[self.chosen])


@dataclass(frozen=True, slots=True, eq=False)
class GroupRates:
    """What is compared between the groups of one column: each rate by its name, in the groups that have enough rows."""

    groups: Grouping
    supported: list[int]
    """Positions of those groups in ``groups.names``; at least two."""
    rates: dict[str, Rate]
    margin: float = 0.0
    """How much farther apart is tolerated."""

    @property
    def tests(self) -> int:
        """How many ordered pairs of groups are tested, over all rates."""
        return len(self.rates) * len(self.supported) * (len(self.supported) - 1)


@dataclass(frozen=True, slots=True)
class Farther:
    """The pair of groups that may be farthest beyond the champion's distance: by how much, and the bounds of that."""

    rate: str
    high: int
    low: int
    measured: float
    below: float
    above: float


def farthest(among: GroupRates, name: str, blocks: Blocks, *, alpha: float, decisions: bool) -> Farther | None:
    """The ordered pair with the largest upper bound of one rate; None where leaving out a block leaves a group empty.

    The upper bounds are at ``alpha / 2`` each, all of which must hold to pass; the lower ones at ``alpha`` over the
    number of tests, any of which is enough to fail.

    Args:
        among: every rate that is tested, this one included.
        name: which rate.
        blocks: the rows' days, or groups of rows, that are left out in turn.
        alpha: the probability of passing a candidate that is too far apart.
        decisions: whether the values are 0 and 1, so that bounds for shares apply too.
    """
    rate, groups, supported = among.rates[name], among.groups, among.supported
    theirs = rate.theirs if rate.theirs is not None else rate.ours
    place = np.full(len(groups.names), -1)
    place[supported] = np.arange(len(supported))
    rows = rate.chosen & (place[groups.codes] >= 0)
    member, block = place[groups.codes[rows]], blocks.codes[rows]
    one, other = rate.ours[rows], theirs[rows]
    weight = np.ones(len(one)) if rate.weight is None else _scaled(rate.weight[rows])
    count = len(supported)
    rows_of = np.bincount(block * count + member, minlength=blocks.count * count).reshape(blocks.count, count)
    if bool(np.any(rows_of.sum(axis=0) == rows_of)):
        return None
    sizes = np.bincount(block * count + member, weight, blocks.count * count).reshape(blocks.count, count)
    levels = (alpha / 2, alpha / among.tests)
    bounds = []
    for sign in (-1, 1):
        mean, error = _jackknifed((one + sign * other) * weight, block, member, sizes)
        apart = mean[:, None] - mean[None, :]
        up, down = (float(stdtrit(blocks.count - 1, 1 - level)) * error for level in levels)
        if decisions:
            least = [_reach_of_decisions(one, other, member, weight, level, sign) for level in levels]
            up = np.maximum(up, np.hypot(least[0][0][:, None], least[0][1][None, :]))
            down = np.maximum(down, np.hypot(least[1][1][:, None], least[1][0][None, :]))
        above = apart + up
        if sign < 0 and count >= POOLED_FROM:
            above = _pooled((one - other) * weight, block, member, sizes, among.margin).pair_bounds(1 - alpha)
        bounds.append((apart, apart - down, above))
    measured, below, above = (np.minimum(bounds[0][i], bounds[1][i]) for i in range(3))
    np.fill_diagonal(above, -np.inf)
    high, low = np.unravel_index(int(above.argmax()), above.shape)
    at = (high, low)
    return Farther(name, supported[high], supported[low], float(measured[at]), float(below[at]), float(above[at]))


def _jackknifed(values: Floats, block: Ints, member: Ints, sizes: NDArray[Any]) -> tuple[Floats, Floats]:
    """Each group's mean ``(g,)``, and the jackknife error over blocks of the difference of two of them, ``(g, g)``."""
    blocks, count = sizes.shape
    sums = np.bincount(block * count + member, values, blocks * count).reshape(blocks, count)
    total, rows = sums.sum(axis=0), sizes.sum(axis=0)
    mean: Floats = total / rows
    moved = (total - sums) / (rows - sizes) - mean
    squares = (blocks - 1) / blocks * (moved.T @ moved)
    own = np.diag(squares)
    return mean, np.sqrt(np.maximum(own[:, None] + own[None, :] - 2 * squares, 0))


def _pooled(worse: Floats, block: Ints, member: Ints, sizes: NDArray[Any], margin: float) -> Departures:
    """How far each group's mean was moved from that of all of them."""
    blocks, count = sizes.shape
    sums = np.bincount(block * count + member, worse, blocks * count).reshape(blocks, count)
    total, rows = sums.sum(axis=0), sizes.sum(axis=0)
    mean = total / rows
    moved = (total - sums) / (rows - sizes) - mean
    apart = mean - float(mean @ rows) / float(rows.sum())
    least = 1 / (float(rows.sum()) + 2)
    return Departures.jackknifed(moved, apart, rows.astype(np.float64), scale=LIKELY * margin, least=least)


def _reach_of_decisions(
    one: Floats, other: Floats, member: Ints, weight: Floats, alpha: float, sign: int
) -> tuple[Floats, Floats]:
    """How far above and below each group's mean of ``one + sign * other`` its bounds must at least be, ``(g,)`` each.

    Where decisions are rarely different, or rarely positive, a sample may show no spread at all. Score bounds are
    better there: Tango's of a paired difference, Wilson's of each share of a sum. A pair's are put together by MOVER
    (Zou and Donner 2008, "Construction of confidence limits about effect measures: a general approach", Statistics in
    Medicine 27:1693-1702).
    """
    count = int(member.max()) + 1
    up, down = np.empty(count), np.empty(count)
    for g in range(count):
        ours, theirs, each = one[member == g], other[member == g], _scaled(weight[member == g])
        n = float(each.sum())
        if sign < 0:
            more, fewer = float(each[ours > theirs].sum()), float(each[ours < theirs].sum())
            up[g] = tango_upper(more, fewer, n, alpha) - (more - fewer) / n
            down[g] = tango_upper(fewer, more, n, alpha) - (fewer - more) / n
        else:
            reach = [_wilson(float(each @ share) / n, n, alpha) for share in (ours, theirs)]
            down[g], up[g] = (sum(r[i] for r in reach) for i in (0, 1))
    return up, down


def _scaled(weight: Floats) -> Floats:
    """The weights in proportion, together as many as their rows are worth."""
    return np.asarray(weight * (effective_rows(weight) / weight.sum()), dtype=np.float64)


def _wilson(share: float, rows: float, alpha: float) -> tuple[float, float]:
    """How far below and above an observed share its one-sided bounds are.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22:209-212.
    """
    z2 = float(ndtri(1 - alpha)) ** 2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = float(np.sqrt(z2 * (share * (1 - share) / rows + z2 / (4 * rows * rows)))) / (1 + z2 / rows)
    return share - (middle - half), middle + half - share
