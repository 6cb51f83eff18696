"""How much farther apart a candidate puts two groups: by definition, one block left out at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from math import hypot, sqrt

import numpy as np
import pytest
from scipy.stats import binomtest, t

from include.domain.blocks import Blocks
from include.domain.comparison import tango_upper
from include.domain.gates.farthest_apart import LIKELY, POOLED_FROM, GroupRates, Rate, farthest
from include.domain.gates.grouping import Grouping
from include.domain.gates.pooling import Departures

ALPHA, DAYS = 0.1, 7


def made_of(
    count: int, *, rows: int = 420, theirs: bool = True, margin: float = 0.0, champion_apart: float = 0.1
) -> GroupRates:
    """Rates of ``count`` groups beside one that has too few rows; every fifth row has no rate."""
    rng = np.random.default_rng(count)
    codes = np.append(rng.integers(0, count + 1, rows - count - 1), np.arange(count + 1)).astype(np.intp)
    groups = Grouping("origin", tuple("ABCDEFGH"[: count + 1]), codes)
    ours, other = rng.random(rows) + 0.2 * codes, rng.random(rows) + champion_apart * codes
    rate = Rate(np.arange(rows) % 5 > 0, ours, other if theirs else None)
    supported = [n for n in range(count + 1) if n != 1]
    return GroupRates(groups, supported, {"selection": rate, "precision": rate}, margin)


def days_of(among: GroupRates) -> Blocks:
    return Blocks.of(np.arange(len(among.groups.codes)) % DAYS)


def by_leaving_out(among: GroupRates, pair: tuple[int, int], sign: int) -> tuple[float, float]:
    """``ours + sign * theirs`` in the first group less in the second, and its jackknife error, row by row."""
    rate, days = among.rates["selection"], days_of(among).codes
    values = rate.ours + sign * rate.theirs

    def gap(kept):
        first, second = (values[kept & rate.chosen & (among.groups.codes == group)].mean() for group in pair)
        return first - second

    whole = gap(days >= 0)
    return whole, sqrt((DAYS - 1) / DAYS * sum((gap(days != day) - whole) ** 2 for day in range(DAYS)))


def expected(among: GroupRates, pair: tuple[int, int]) -> tuple[float, float, float]:
    """Of ``|ours| - |theirs|`` apart, the smaller of both signs of the champion's distance; Student's t of the days."""
    tests = 2 * len(among.supported) * (len(among.supported) - 1)
    found = []
    for apart, error in (by_leaving_out(among, pair, sign) for sign in (-1, 1)):
        below, above = t.isf(ALPHA / tests, DAYS - 1) * error, t.isf(ALPHA / 2, DAYS - 1) * error
        found.append((apart, apart - below, apart + above))
    return tuple(map(min, zip(*found, strict=True)))


def pooled(among: GroupRates) -> Departures:
    """How far each group was moved from the mean of all their rows, by leaving out one day after the other."""
    rate, days, codes = among.rates["selection"], days_of(among).codes, among.groups.codes
    values = rate.ours - rate.theirs
    chosen = rate.chosen & np.isin(codes, among.supported)

    def means(kept):
        return np.array([values[kept & chosen & (codes == group)].mean() for group in among.supported])

    whole = means(days >= 0)
    rows = np.array([float((chosen & (codes == group)).sum()) for group in among.supported])
    return Departures.jackknifed(
        np.array([means(days != day) - whole for day in range(DAYS)]),
        whole - values[chosen].mean(),
        rows,
        scale=LIKELY * among.margin,
        least=1 / (rows.sum() + 2),
    )


@pytest.mark.parametrize("count", [2, 3, 4])
def test_it_is_the_pair_whose_bound_is_largest_of_those_that_have_enough_rows(count):
    among = made_of(count)
    found = farthest(among, "selection", days_of(among), alpha=ALPHA, decisions=False)
    by_pair = {pair: expected(among, pair) for pair in permutations(among.supported, 2)}
    pair = max(by_pair, key=lambda each: by_pair[each][2])
    assert (found.rate, found.high, found.low) == ("selection", *pair)
    assert (found.measured, found.below, found.above) == pytest.approx(by_pair[pair])


def test_without_a_champion_nothing_is_farther_apart_than_it_is():
    among = made_of(3, theirs=False)
    found = farthest(among, "selection", days_of(among), alpha=ALPHA, decisions=False)
    assert (found.measured, found.above) == pytest.approx((0, 0))


def test_a_group_that_a_day_holds_all_rows_of_gives_no_bounds():
    among = made_of(2)
    last = among.supported[-1]
    one_day = np.where(among.groups.codes == last, 0, np.arange(len(among.groups.codes)) % DAYS)
    assert farthest(among, "selection", Blocks.of(one_day), alpha=ALPHA, decisions=False) is None
    not_compared = np.where(among.groups.codes == 1, 0, np.arange(len(among.groups.codes)) % DAYS)
    assert farthest(among, "selection", Blocks.of(not_compared), alpha=ALPHA, decisions=False) is not None


@pytest.mark.parametrize("champion_apart", [0.1, -0.1], ids=["the champion's order", "the order turned round"])
@pytest.mark.parametrize("margin", [0.02, 0.2])
def test_from_five_groups_on_how_far_each_was_moved_is_judged_with_the_others(margin, champion_apart):
    among = made_of(POOLED_FROM, margin=margin, champion_apart=champion_apart)
    bounds = pooled(among).pair_bounds(1 - ALPHA)
    for i, j in permutations(range(POOLED_FROM), 2):
        apart, error = by_leaving_out(among, (among.supported[i], among.supported[j]), 1)
        bounds[i, j] = min(bounds[i, j], apart + t.isf(ALPHA / 2, DAYS - 1) * error)
    np.fill_diagonal(bounds, -np.inf)
    found = farthest(among, "selection", days_of(among), alpha=ALPHA, decisions=False)
    assert found.above == pytest.approx(bounds.max(), rel=1e-6)


def test_five_groups_that_were_not_moved_at_all_may_have_been_by_what_so_many_rows_hide():
    among = made_of(POOLED_FROM, margin=0.1)
    rate = among.rates["selection"]
    among = replace(among, rates={"selection": replace(rate, theirs=rate.ours)})
    bounds = pooled(among).pair_bounds(1 - ALPHA)
    found = farthest(among, "selection", days_of(among), alpha=ALPHA, decisions=False)
    assert found.measured == 0
    assert found.above == pytest.approx(bounds[found.high - (found.high > 1), found.low - (found.low > 1)], rel=1e-9)
    assert found.above > 0


def test_two_groups_that_move_together_day_by_day_have_no_spread():
    """The difference of two equal moves is not below zero by rounding, of which there would be no root."""
    for seed in range(20):
        among = made_of(2)
        each = np.random.default_rng(seed).random(420 // 2)
        codes = np.repeat([0, 2], 210).astype(np.intp)
        ours = np.concatenate([each, each + 0.1])
        rate = Rate(np.ones(420, dtype=np.bool_), ours, np.zeros(420))
        among = GroupRates(Grouping("origin", ("A", "B", "C"), codes), [0, 2], {"selection": rate})
        days = Blocks.of(np.tile(np.arange(210) % DAYS, 2))
        found = farthest(among, "selection", days, alpha=ALPHA, decisions=False)
        assert (found.below, found.above) == pytest.approx((0.1, 0.1), abs=1e-6)


# --- decisions -------------------------------------------------------------------------------------------------------


def each_day_alike(*groups: list[tuple[int, int, int]]) -> GroupRates:
    """Two groups with the same rows on each day: ``(rows, ours, theirs)`` by group."""
    codes, ours, theirs = [], [], []
    for code, kinds in enumerate(groups):
        for rows, one, other in kinds:
            codes += [code] * rows
            ours += [float(one)] * rows
            theirs += [float(other)] * rows
    every = np.tile(np.array([codes, ours, theirs], dtype=np.float64), DAYS)
    chosen = np.ones(every.shape[1], dtype=np.bool_)
    among = GroupRates(Grouping("origin", ("A", "B"), every[0].astype(np.intp)), [0, 1], {})
    rate = Rate(chosen, every[1], every[2])
    return replace(among, rates={"selection": rate, "precision": rate})


def judged(among: GroupRates):
    rows = len(among.groups.codes)
    days = Blocks.of(np.repeat(np.arange(DAYS), rows // DAYS))
    return farthest(among, "selection", days, alpha=ALPHA, decisions=True)


def wilson(share: float, rows: int, alpha: float) -> tuple[float, float]:
    """How far below and above the share its one-sided bounds are."""
    found = binomtest(round(share * rows), rows).proportion_ci(1 - 2 * alpha, method="wilson")
    return share - found.low, found.high - share


def test_decisions_that_days_show_no_spread_of_reach_as_far_as_tangos_bound_allows():
    """The champion answers A oftener; of 350 rows of A, 21 were gained and 7 lost, of 280 of B 14 lost."""
    among = each_day_alike(
        [(3, 1, 0), (1, 0, 1), (44, 1, 1), (2, 0, 0)],
        [(2, 0, 1), (18, 1, 1), (20, 0, 0)],
    )
    level, among_four = ALPHA / 2, ALPHA / 4
    apart = 14 / 350 + 14 / 280
    up = hypot(tango_upper(21, 7, 350, level) - 14 / 350, tango_upper(14, 0, 280, level) - 14 / 280)
    down = hypot(tango_upper(7, 21, 350, among_four) + 14 / 350, tango_upper(0, 14, 280, among_four) + 14 / 280)
    found = judged(among)
    assert (found.high, found.low) == (0, 1)
    assert (found.measured, found.below, found.above) == pytest.approx((apart, apart - down, apart + up))


def test_where_the_champions_order_turned_round_the_bounds_are_those_of_two_sums_of_shares():
    """A is answered on 50% by the candidate and 30% by the champion, B on 40% and 60%."""
    among = each_day_alike(
        [(15, 1, 1), (10, 1, 0), (25, 0, 0)],
        [(20, 1, 1), (10, 0, 1), (20, 0, 0)],
    )

    def reach(level: float, shares: tuple[float, float]) -> tuple[float, float]:
        return tuple(map(sum, zip(*(wilson(share, 350, level) for share in shares), strict=True)))

    found = judged(among)
    assert (found.high, found.low) == (0, 1)
    assert found.measured == pytest.approx(-0.2)
    assert found.above == pytest.approx(-0.2 + hypot(reach(ALPHA / 2, (0.5, 0.3))[1], reach(ALPHA / 2, (0.4, 0.6))[0]))
    assert found.below == pytest.approx(-0.2 - hypot(reach(ALPHA / 4, (0.5, 0.3))[0], reach(ALPHA / 4, (0.4, 0.6))[1]))
