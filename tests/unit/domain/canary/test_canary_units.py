"""Which arm a unit is in: the same everywhere, monotone in the share, and in the share as often as declared."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from scipy.stats import binom

from include.domain.canary.units import PPM, new_salt, place, unit_text, within

UNITS = [f"flight {i}" for i in range(10_000)]
PLACES = {unit: place("a salt", unit) for unit in UNITS}


class TestUnitsOfACanary:
    @pytest.mark.parametrize("ppm", [10_000, 50_000, 250_000, 500_000])
    def test_f093_ten_thousand_units_come_into_the_share_within_three_sigma(self, ppm):
        share, n = ppm / PPM, len(UNITS)
        inside = sum(within(PLACES[unit], ppm) for unit in UNITS)
        assert abs(inside - n * share) <= 3 * (n * share * (1 - share)) ** 0.5

    @pytest.mark.slow
    @pytest.mark.parametrize("ppm", [10_000, 500_000])
    def test_f153_a_million_units_come_into_the_share_within_three_sigma_for_each_of_three_salts(self, ppm):
        share, n = ppm / PPM, 1_000_000
        for salt in ("one", "two", "three"):
            inside = sum(within(place(salt, str(unit)), ppm) for unit in range(n))
            assert abs(inside - n * share) <= 3 * (n * share * (1 - share)) ** 0.5

    def test_f093_another_process_draws_the_same_places(self):
        asked = (
            "from include.domain.canary.units import place; print(place('a salt', 'flight 7'), place('a salt', 'é'))"
        )
        told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
        assert [int(one) for one in told] == [PLACES["flight 7"], place("a salt", "é")]

    def test_the_place_is_what_it_was_in_every_version_before(self):
        assert place("a salt", "flight 7") == 222415522529438841

    def test_f153_raising_the_share_keeps_every_unit_and_lowering_it_takes_none_in(self):
        shares = (0, 1, 10_000, 100_000, 500_000, 999_999, PPM)
        inside = [{unit for unit in UNITS if within(PLACES[unit], ppm)} for ppm in shares]
        assert all(less <= more for less, more in pairwise(inside))
        assert (len(inside[0]), len(inside[-1])) == (0, len(UNITS))

    def test_another_rollout_draws_other_units(self):
        other = {unit for unit in UNITS if within(place("another salt", unit), 100_000)}
        both = sum(within(PLACES[unit], 100_000) for unit in other)
        assert both <= binom.ppf(0.9999, len(other), 0.1)

    def test_every_rollout_has_a_salt_of_its_own(self):
        assert len({new_salt() for _ in range(100)}) == 100

    @pytest.mark.parametrize("given", [None, True, [], {}, "", float("nan"), float("inf")])
    def test_what_is_no_unit_is_drawn_by_nothing(self, given):
        assert unit_text(given) is None

    def test_the_last_place_below_the_share_is_in_and_the_share_itself_is_not(self):
        edge = (1 << 64) // 4
        assert (within(edge - 1, 250_000), within(edge, 250_000)) == (True, False)
