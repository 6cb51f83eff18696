"""Bounds of rates, and how many rows a step needs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from include.domain.canary.power import rows_needed, wire_chance
from include.domain.canary.rates import added_at_most, rate_at_least, rate_at_most
from include.domain.canary.wires import Wire


class TestBoundsOfARate:
    @pytest.mark.parametrize(("count", "of"), [(0, 50), (3, 3_000), (20, 400), (90, 400)])
    def test_they_enclose_what_was_seen_and_narrow_with_rows_and_alpha(self, count, of):
        low, high = rate_at_least(count, of, 0.05), rate_at_most(count, of, 0.05)
        assert low <= count / of < high
        assert rate_at_most(10 * count, 10 * of, 0.05) < high
        assert rate_at_most(count, of, 0.2) < high < rate_at_most(count, of, 0.01)

    @pytest.mark.parametrize(("count", "of", "alpha"), [(0, 500, 0.05), (3, 3_000, 0.02), (90, 400, 0.05)])
    def test_at_them_the_likelihood_under_the_mixture_is_so_many_times_that_of_the_rate(self, count, of, alpha):
        def logarithm_of_beta(a: float, b: float) -> float:
            return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

        mixed = logarithm_of_beta(0.5 + count, 50 + of - count) - logarithm_of_beta(0.5, 50)
        for rate in {rate_at_least(count, of, alpha), rate_at_most(count, of, alpha)} - {0.0}:
            alone = count * math.log(rate) + (of - count) * math.log1p(-rate)
            assert math.exp(mixed - alone) == pytest.approx(1 / alpha, rel=1e-6)

    def test_the_bound_of_the_difference_gives_each_arm_half_of_alpha(self):
        canary, champion = (3, 400), (9, 900)
        assert added_at_most(canary, champion, 0.1) == rate_at_most(*canary, 0.05) - rate_at_least(*champion, 0.05)

    def test_they_are_wider_than_a_bound_for_one_look(self):
        assert rate_at_most(0, 1_000, 0.05) > 1 - 0.05 ** (1 / 1_000)

    def test_nothing_counted_excludes_nothing(self):
        assert (rate_at_least(0, 0, 0.05), rate_at_most(0, 0, 0.05)) == (0, 1)
        assert added_at_most((0, 0), (0, 0), 0.05) == 1

    def test_a_rate_of_one_has_no_upper_bound_and_a_lower_one(self):
        assert rate_at_most(100, 100, 0.05) == 1
        assert 0.1 < rate_at_least(100, 100, 0.05) < 1

    @pytest.mark.parametrize("given", [(2, 1), (-1, 1), (0, -1)])
    def test_what_is_no_count_is_refused(self, given):
        for bound in (rate_at_most, rate_at_least):
            with pytest.raises(ValueError, match="no count"):
                bound(*given, 0.05)


class TestRowsThatAStepNeeds:
    @pytest.mark.parametrize(("ppm", "margin"), [(10_000, 0.02), (100_000, 0.004), (500_000, 0.002)])
    def test_an_equal_canary_is_shown_four_times_in_five_by_them(self, ppm, margin):
        rows = rows_needed(ppm, margin, 0.001, 0.05)
        assert rows is not None
        rng, runs, others = np.random.default_rng(6), 500, int(rows * (1e6 - ppm) / ppm)
        ours, theirs = rng.binomial(rows, 0.001, runs), rng.binomial(others, 0.001, runs)
        shown = sum(
            added_at_most((int(x), rows), (int(y), others), 0.05) <= margin for x, y in zip(ours, theirs, strict=True)
        )
        assert shown >= binom.ppf(0.001, runs, 0.8)
        mean = (round(rows / 4_000), rows // 4), (round(others / 4_000), others // 4)
        assert added_at_most(*mean, 0.05) > margin, "a quarter of the rows would be enough"

    def test_a_smaller_margin_and_more_failures_need_more(self):
        needed = [rows_needed(50_000, m, p, 0.05) for m, p in ((0.02, 0.001), (0.01, 0.001), (0.01, 0.01))]
        assert needed == sorted(needed)
        assert len(set(needed)) == 3

    def test_a_margin_that_ten_million_rows_do_not_show_needs_none_that_can_be_named(self):
        assert rows_needed(10_000, 0.0, 0.001, 0.05) is None
        assert rows_needed(10_000, 1e-6, 0.01, 0.05) is None


class TestChanceOfTheHardWire:
    @pytest.mark.parametrize(("wire", "rate"), [(Wire(3, 10), 0.02), (Wire(2, 5), 0.01), (Wire(1, 20), 0.0005)])
    def test_it_is_an_upper_bound_and_not_a_useless_one(self, wire, rate):
        rng, runs, rows = np.random.default_rng(7), 2_000, 500
        failed = (rng.random((runs, rows)) < rate).cumsum(axis=1)
        before = np.pad(failed, ((0, 0), (wire.of, 0)))[:, :rows]
        tripped = ((failed - before) >= wire.failures).any(axis=1).mean()
        chance = wire_chance(wire, rate, rows)
        assert tripped <= chance + 3 * (chance / runs) ** 0.5
        assert chance <= 3 * tripped + 0.01

    def test_it_is_no_more_than_certain(self):
        assert wire_chance(Wire(1, 20), 0.5, 1_000) == 1.0
