"""Evidence from counts: its values, what may be counted, and the hard wire."""

from __future__ import annotations

import math

import numpy as np
import pytest

from include.domain.canary.harm import ODDS, Harmed, harm_evidence, harm_evidences, reached
from include.domain.canary.mismatch import Exposed, mismatch_evidence, mismatch_evidences
from include.domain.canary.wires import Wire, Wired, wire_of, wired


def likelihood_ratio(odds: float, share: float, canary: int, champion: int) -> float:
    chance = odds * share / (1 - share + odds * share)
    return (chance / share) ** canary * ((1 - chance) / (1 - share)) ** champion


class TestEvidenceOfHarm:
    def test_it_is_the_mean_likelihood_ratio_over_the_odds(self):
        plain = sum(likelihood_ratio(odds, 0.05, 4, 7) for odds in ODDS) / len(ODDS)
        assert harm_evidence([Harmed(50_000, 4, 7)]) == pytest.approx(math.log(plain))

    def test_shares_of_one_rollout_are_multiplied_odds_by_odds(self):
        steps = [Harmed(10_000, 1, 3), Harmed(100_000, 2, 5)]
        each = [np.prod([likelihood_ratio(o, s.share_ppm / 1e6, s.canary, s.champion) for s in steps]) for o in ODDS]
        assert harm_evidence(steps) == pytest.approx(math.log(np.mean(each)))

    def test_its_mean_over_the_draw_is_one(self):
        """The property that makes it valid: under equality the next harmed unit changes it by 1 in the mean."""
        for share, canary, champion in ((0.01, 0, 0), (0.3, 5, 2)):
            x, y = np.array([canary, canary + 1, canary]), np.array([champion, champion, champion + 1])
            now, hit, missed = np.exp(harm_evidences(x, y, share))
            assert share * hit + (1 - share) * missed == pytest.approx(now)

    def test_many_counts_are_what_each_is_alone(self):
        found = harm_evidences([0, 3, 8], [0, 40, 1], 0.25)
        assert found == pytest.approx([harm_evidence([Harmed(250_000, x, y)]) for x, y in ((0, 0), (3, 40), (8, 1))])

    def test_a_canary_that_fails_less_gives_evidence_below_one(self):
        assert harm_evidence([Harmed(250_000, 0, 40)]) < 0

    def test_f171_no_harm_for_a_week_is_no_evidence_and_a_million_failures_are_finite(self):
        assert harm_evidence([Harmed(50_000, 0, 0)]) == 0
        assert math.isfinite(harm_evidence([Harmed(50_000, 10**6, 0)]))
        assert not reached(harm_evidence([Harmed(50_000, 0, 10**6)]), 0.5)

    def test_it_is_reached_at_one_over_alpha(self):
        assert reached(-math.log(0.01), 0.01)
        assert not reached(math.log(99.9), 0.01)

    @pytest.mark.parametrize("given", [(0, 1, 1), (1_000_000, 1, 1), (500, -1, 0), (500, 0, -1)])
    @pytest.mark.parametrize("kind", [Harmed, Exposed])
    def test_a_share_without_two_arms_and_a_negative_count_are_refused(self, kind, given):
        with pytest.raises(ValueError, match=r"(0|1000000) millionths is compared with nothing|^-1 .*no count"):
            kind(*given)

    def test_the_smallest_and_the_largest_share_with_two_arms_are_compared(self):
        assert [kind(ppm, 0, 0).share_ppm for kind in (Harmed, Exposed) for ppm in (1, 999_999)] == [1, 999_999] * 2


class TestEvidenceOfAMismatch:
    def test_units_as_declared_speak_against_it_and_others_for_it(self):
        assert mismatch_evidence([Exposed(50_000, 500, 9_500)]) < 0
        assert mismatch_evidence([Exposed(50_000, 700, 9_300)]) > math.log(1000)
        assert mismatch_evidence([Exposed(50_000, 320, 9_680)]) > math.log(1000)

    def test_it_is_one_before_the_first_unit_and_changes_by_one_in_the_mean(self):
        assert mismatch_evidence([]) == 0
        now, hit, missed = np.exp(mismatch_evidences([40, 41, 40], [900, 900, 901], 0.05))
        assert 0.05 * hit + 0.95 * missed == pytest.approx(now)

    def test_it_is_the_likelihood_under_a_mixture_worth_a_thousand_units_over_that_of_the_share(self):
        def logarithm_of_beta(a: float, b: float) -> float:
            return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

        first = logarithm_of_beta(50 + 70, 950 + 830) - logarithm_of_beta(50, 950)
        then = logarithm_of_beta(200 + 30, 800 + 90) - logarithm_of_beta(200, 800)
        plain = first - 70 * math.log(0.05) - 830 * math.log(0.95) + then - 30 * math.log(0.2) - 90 * math.log(0.8)
        assert mismatch_evidence([Exposed(50_000, 70, 830), Exposed(200_000, 30, 90)]) == pytest.approx(plain)

    def test_the_share_that_was_observed_is_none_without_units(self):
        assert (Exposed(50_000, 0, 0).share, Exposed(50_000, 1, 3).share) == (None, 0.25)


class TestHardWire:
    OURS, BOTH, FINE, THEIRS = (True, False), (True, True), (False, False), (False, True)

    def test_so_many_failures_among_the_last_rows_are_the_canarys(self):
        assert wired(Wire(3, 5), [self.OURS, self.FINE, self.OURS, self.FINE, self.OURS]) is Wired.CANARY

    def test_one_row_further_back_does_not_count(self):
        assert wired(Wire(3, 5), [self.OURS, self.FINE, self.FINE, self.OURS, self.FINE, self.OURS]) is Wired.QUIET

    def test_f085_where_both_fail_neither_is_blamed(self):
        assert wired(Wire(3, 5), [self.BOTH] * 3) is Wired.BOTH
        assert wired(Wire(3, 5), [self.BOTH] * 2) is Wired.QUIET

    def test_a_canary_that_fails_beside_failures_of_both_is_blamed_for_its_own(self):
        assert wired(Wire(2, 5), [self.BOTH, self.BOTH, self.OURS, self.FINE, self.OURS]) is Wired.CANARY

    def test_failures_of_the_champion_alone_are_not_counted(self):
        assert wired(Wire(1, 5), [self.THEIRS] * 5) is Wired.QUIET

    def test_fewer_rows_than_the_wire_looks_at_can_trip_it(self):
        assert wired(Wire(2, 20), [self.OURS, self.OURS]) is Wired.CANARY
        assert wired(Wire(2, 20), []) is Wired.QUIET

    def test_it_looks_at_up_to_ten_thousand_rows_and_every_one_of_them_may_have_to_fail(self):
        assert wire_of("1 of 1") == Wire(1, 1)
        assert wire_of(" 10000 of 10000 ") == Wire(10_000, 10_000)

    @pytest.mark.parametrize(
        "text", ["", "5", "5 of", "5 of 10001", "6 of 5", "0 of 5", "-1 of 5", "5 of 20000", "5 in 20"]
    )
    def test_a_text_that_is_no_wire_is_refused_with_what_is_allowed(self, text):
        with pytest.raises(ValueError, match=r"5 of 20|give 1 to 10,000 rows"):
            wire_of(text)
