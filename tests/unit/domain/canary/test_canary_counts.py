"""From rows of live traffic to what a step of a rollout is judged by."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from include.domain.canary import counts as counting
from include.domain.canary import stretches as stretching
from include.domain.canary.counts import RolloutCounts
from include.domain.canary.evidence import Paired
from include.domain.canary.first_times import FirstTimes, is_followed, unit_number
from include.domain.canary.harm import Harmed, harm_evidence, reached
from include.domain.canary.live_rows import LiveRow, ModelAnswer
from include.domain.canary.log_counts import LogCounts
from include.domain.canary.mismatch import Exposed, mismatch_evidence
from include.domain.canary.stretches import Stretch
from include.domain.canary.units import PPM, place, within
from include.domain.canary.wires import Wire, Wired

WIRE, HOUR = Wire(5, 20), timedelta(hours=1)
FINE, SICK = ModelAnswer(False, 100, 0.25, "0"), ModelAnswer(True, 100)


def begun(*shares: int, wire: Wire = WIRE) -> RolloutCounts:
    """Counts of a rollout whose steps had these shares, from revisions 10, 20 and so on."""
    counts = RolloutCounts(1, wire, shares)
    for step, share in enumerate(shares):
        counts.begin(Stretch(10 * (step + 1), share))
    return counts


def row(n: int, *, unit: str | None = "", revision: int = 10, share: int = 50_000, ours=None, theirs=FINE) -> LiveRow:
    return LiveRow(f"asked {n}", f"unit {n}" if unit == "" else unit, revision, share, ours is not None, ours, theirs)


def drawn(n: int, share: int, *, ours: ModelAnswer = FINE, theirs: ModelAnswer = FINE) -> LiveRow:
    """The row of a unit that is drawn by the share."""
    is_in = within(place("salt", f"unit {n}"), share)
    return row(n, share=share, ours=ours if is_in else None, theirs=theirs)


class TestUnitsCountOnceAtTheirFirstTime:
    def test_a_unit_is_exposed_once_by_the_share_at_which_it_came_first(self):
        counts = begun(50_000, 500_000)
        for n, (unit, revision, ours) in enumerate(
            [("a", 10, None), ("a", 10, None), ("a", 20, FINE), ("b", 20, FINE), ("c", 10, FINE), ("c", 20, FINE)]
        ):
            counts.add(row(n, unit=unit, revision=revision, share=50_000 if revision == 10 else 500_000, ours=ours))
        assert counts.evidence(HOUR).exposed == (Exposed(50_000, 1, 1), Exposed(500_000, 1, 0))

    def test_f155_a_unit_that_repeats_what_fails_is_harmed_once_and_its_requests_are_shown(self):
        counts = begun(50_000)
        for n in range(50):
            counts.add(row(n, unit="hot", ours=SICK))
        for n in range(50, 60):
            counts.add(row(n, theirs=SICK))
        assert counts.evidence(HOUR).failed == (Harmed(50_000, 1, 10),)
        assert counts.evidence(HOUR).canary == (1, 1)
        assert counts.now.rows_a_unit(is_canary=True) == 50
        assert counts.now.rows_a_unit(is_canary=False) == 1

    def test_a_unit_that_failed_by_the_champion_is_not_harmed_again_by_the_canary(self):
        counts = begun(50_000, 500_000)
        counts.add(row(1, unit="a", theirs=SICK))
        counts.add(row(2, unit="a", revision=20, share=500_000, ours=SICK))
        assert counts.evidence(HOUR).failed == (Harmed(50_000, 0, 1), Harmed(500_000, 0, 0))
        assert counts.evidence(HOUR).canary == (1, 1), "of this step it is counted"

    def test_what_is_sent_again_counts_once(self):
        counts = begun(50_000)
        assert counts.add(row(1, ours=SICK))
        assert not any(counts.add(row(1, ours=SICK)) for _ in range(30))
        assert counts.repeated == 30
        assert counts.evidence(HOUR).rows == 1
        assert counts.evidence(HOUR).wired is Wired.QUIET

    def test_what_is_sent_again_after_others_counts_once_until_as_many_rows_as_are_remembered_came(self, monkeypatch):
        monkeypatch.setattr(counting, "ASKED", 3)
        counts = begun(50_000)
        assert all(counts.add(row(n)) for n in (1, 2, 3, 4, 5))
        assert [counts.add(row(n)) for n in (1, 3, 4)] == [False] * 3
        assert counts.add(row(6))
        assert [counts.add(row(n)) for n in (4, 6, 1)] == [False, False, True]

    def test_so_much_is_remembered(self):
        counts = begun(50_000)
        assert (counts.exposed.most, counts.failed.most, counts.slow.most) == (100_000, 50_000, 50_000)
        assert counting.ASKED == 50_000

    def test_f154_a_row_without_a_unit_is_the_champions_and_counted_but_no_unit(self):
        counts = begun(50_000)
        assert counts.add(row(1, unit=None))
        assert counts.without_unit == 1
        assert counts.evidence(HOUR).exposed == (Exposed(50_000, 0, 0),)

    def test_a_row_whose_time_was_over_before_any_model_was_asked_blames_none_and_is_exposed(self):
        counts = begun(50_000)
        assert counts.add(LiveRow("a", "u", 10, 50_000, True, None, None))
        assert counts.add(LiveRow("b", "v", 10, 50_000, False, None, None))
        found = counts.evidence(HOUR)
        assert (found.exposed, found.canary, found.champion) == ((Exposed(50_000, 1, 1),), (0, 0), (0, 0))

    def test_rows_under_a_share_that_no_step_has_are_none_of_the_rollout(self):
        counts = begun(50_000)
        assert [counts.add(row(n, share=n)) for n in (49_999, 50_000, 1_000_000)] == [False, True, False]
        assert counts.outside == 2
        with pytest.raises(ValueError, match="no step of rollout 1 has a share of 7 millionths"):
            counts.begin(Stretch(11, 7))

    def test_the_first_row_of_a_revision_begins_it_and_late_rows_of_one_before_are_no_evidence_of_its_step(self):
        counts = RolloutCounts(1, WIRE, (50_000, 500_000))
        counts.add(row(1, revision=20, share=500_000, ours=FINE))
        counts.add(row(2, revision=10, ours=SICK))
        found = counts.evidence(HOUR)
        assert (found.step, found.rows, found.canary) == (1, 1, (0, 1))
        assert found.failed == (Harmed(50_000, 1, 0), Harmed(500_000, 0, 0))

    def test_a_step_without_a_row_yet_is_not_judged_by_the_step_before(self):
        counts = begun(50_000, 500_000)
        counts.add(row(1, ours=FINE))
        before = counts.as_bytes()
        counts.begin(Stretch(20, 500_000))
        counts.begin(Stretch(10, 50_000))
        assert counts.as_bytes() == before
        assert (counts.evidence(HOUR).step, counts.evidence(HOUR).rows) == (1, 0)

    def test_before_any_share_there_is_no_evidence(self):
        with pytest.raises(ValueError, match="no share of rollout 1"):
            RolloutCounts(1, WIRE, (50_000,)).evidence(HOUR)


class TestTheOrderOfRowsHasNoPart:
    def test_two_workers_segments_give_the_same_counts_in_every_order(self):
        rng = Random(1)
        rows = [
            LiveRow(
                f"asked {n}",
                f"unit {rng.randrange(150)}",
                *rng.choice(((10, 50_000), (20, 500_000))),
                rng.random() < 0.5,
                rng.choice((None, FINE, SICK, replace(FINE, us=900, score=rng.random()))),
                rng.choice((FINE, SICK, replace(FINE, us=900, score=rng.random()))),
            )
            for n in range(2_000)
        ]
        seen = set()
        for _ in range(5):
            counts = begun(50_000, 500_000, wire=Wire(10_000, 10_000))
            counts.slow_from_us = 500.0
            for each in rows:
                counts.add(each)
            seen.add(repr(counts.evidence(HOUR)))
            rng.shuffle(rows)
        assert len(seen) == 1


class TestTheHardWire:
    def test_f083_five_of_the_last_twenty_that_only_the_canary_failed_on_trip_it_and_it_stays_so(self):
        counts = begun(50_000)
        for n in range(5):
            assert counts.evidence(HOUR).wired is Wired.QUIET
            counts.add(row(2 * n, ours=SICK))
            counts.add(row(2 * n + 1, ours=FINE))
        assert counts.evidence(HOUR).wired is Wired.CANARY
        for n in range(100, 140):
            counts.add(row(n, ours=FINE))
        assert counts.evidence(HOUR).wired is Wired.CANARY

    def test_f085_rows_that_both_failed_on_blame_neither(self):
        counts = begun(50_000)
        for n in range(5):
            counts.add(row(n, ours=SICK, theirs=SICK))
        assert counts.evidence(HOUR).wired is Wired.BOTH

    @pytest.mark.parametrize(("sick", "said"), [(5, Wired.BOTH), (4, Wired.CANARY)])
    def test_f085_a_champion_that_is_over_the_wire_on_its_own_rows_is_sick_too(self, sick, said):
        counts = begun(50_000)
        for n in range(sick):
            counts.add(row(n, theirs=SICK))
        for n in range(10, 15):
            counts.add(row(n, ours=SICK))
        assert counts.evidence(HOUR).wired is said

    def test_a_resumed_step_begins_with_fresh_rows_and_the_same_harmed_units(self):
        counts = begun(50_000)
        for n in range(5):
            counts.add(row(n, ours=SICK))
        counts.begin(Stretch(12, 50_000))
        found = counts.evidence(HOUR)
        assert (found.wired, found.rows, found.canary, found.step) == (Wired.QUIET, 0, (0, 0), 0)
        assert found.failed == (Harmed(50_000, 5, 0),)


class TestSlowAnswers:
    def test_f084_slow_is_slower_than_the_champions_99th_percentile_before_the_step(self):
        counts = RolloutCounts(1, WIRE, (50_000,))
        for us in range(1, 1_001):
            counts.usual(us)
        for n, us in enumerate((980, 1_020, 5_000)):
            counts.add(row(n, ours=replace(FINE, us=us)))
        counts.add(row(9, theirs=replace(FINE, us=5_000)))
        assert counts.evidence(HOUR).slow == (Harmed(50_000, 2, 1),)

    def test_what_takes_just_as_long_is_not_slow(self):
        counts = begun(50_000)
        counts.slow_from_us = 500.0
        for n, us in enumerate((499, 500, 501)):
            counts.add(row(n, ours=replace(FINE, us=us)))
        assert counts.evidence(HOUR).slow == (Harmed(50_000, 1, 0),)

    def test_it_is_the_99th_percentile_and_not_the_slowest_answer(self):
        counts = RolloutCounts(1, WIRE, (50_000,))
        for us in (100,) * 1_990 + (9_000,) * 10:
            counts.usual(us)
        counts.add(row(1, ours=replace(FINE, us=200)))
        assert counts.evidence(HOUR).slow == (Harmed(50_000, 1, 0),)

    def test_what_the_champion_takes_later_does_not_move_it_within_a_step(self):
        counts = RolloutCounts(1, WIRE, (50_000, 500_000))
        for _ in range(1_000):
            counts.usual(100)
        counts.begin(Stretch(10, 50_000))
        before = counts.slow_from_us
        for _ in range(1_000):
            counts.usual(9_000)
        assert counts.slow_from_us == before
        counts.begin(Stretch(20, 500_000))
        assert counts.slow_from_us > 8_000

    def test_without_a_thousand_times_of_the_champion_nothing_can_be_called_slow(self):
        counts = begun(50_000)
        for n in range(999):
            counts.add(row(n))
        assert counts.evidence(HOUR).slow is None
        counts.add(row(999))
        assert counts.evidence(HOUR).slow == (Harmed(50_000, 0, 0),)

    def test_rows_of_larger_requests_have_no_time_of_their_own(self):
        counts = begun(50_000)
        for n in range(2_000):
            counts.add(row(n, theirs=replace(FINE, us=None)))
        assert counts.evidence(HOUR).slow is None


class TestBothModelsOnTheSameRows:
    def test_the_mean_the_99th_percentile_and_the_decisions_are_of_rows_that_both_answered(self):
        counts = begun(50_000)
        for n in range(99):
            counts.add(row(n, ours=replace(FINE, score=0.5)))
        counts.add(row(99, ours=replace(FINE, score=0.75, predicted="1")))
        counts.add(row(100, ours=SICK))
        counts.add(row(101))
        found = counts.evidence(HOUR)
        assert found.rows == 101
        assert found.paired is not None
        assert (found.paired.rows, found.paired.mean_delta, found.paired.decisions_differ) == (100, 0.2525, 0.01)
        assert 0.25 <= (found.paired.p99_delta or 0) <= 0.25 * 1.02

    def test_the_99th_percentile_is_neither_the_smallest_nor_the_largest_difference(self):
        counts = begun(50_000)
        for n, moved in enumerate((0.0625,) * 100 + (0.125,) * 98 + (0.5,)):
            counts.add(row(n, ours=replace(FINE, score=0.25 + moved)))
        assert 0.125 <= (counts.evidence(HOUR).paired.p99_delta or 0) <= 0.125 * 1.02

    def test_of_several_classes_the_one_that_moved_most_counts_and_a_regression_decides_nothing(self):
        counts = begun(50_000)
        ours, theirs = ModelAnswer(False, 1, (0.5, 0.25, 0.25)), ModelAnswer(False, 1, (0.25, 0.625, 0.125))
        counts.add(row(1, ours=ours, theirs=theirs))
        found = counts.evidence(HOUR).paired
        assert found == Paired(1, 0.375, found.p99_delta, None)

    def test_scores_of_other_classes_are_not_compared(self):
        counts = begun(50_000)
        counts.add(row(1, ours=ModelAnswer(False, 1, (0.5, 0.5))))
        assert counts.evidence(HOUR).paired is None

    def test_what_people_meet_for_the_first_time_is_told_apart_from_later(self):
        counts = begun(50_000)
        counts.slow_from_us = 500.0
        for n in range(8):
            counts.add(row(n, unit="u", ours=SICK if n == 0 else replace(FINE, us=900 if n == 7 else 100, score=0.5)))
        seen = {name: (of.rows, of.failed, of.slow, of.compared, of.delta) for name, of in counts.by_exposure.items()}
        assert seen == {
            "canary, first": (1, 1, 0, 0, 0.0),
            "canary, second to fifth": (4, 0, 0, 4, 1.0),
            "canary, later": (3, 0, 1, 3, 0.75),
        }


class TestAllTrafficAfterAPromotion:
    def test_only_rows_on_which_one_of_the_two_failed_speak_and_half_of_them_are_expected(self):
        counts = begun(PPM)
        for n in range(3):
            counts.add(row(n, share=PPM, ours=SICK))
            counts.add(row(10 + n, share=PPM, ours=SICK, theirs=SICK))
        counts.add(row(20, share=PPM, ours=FINE, theirs=SICK))
        found = counts.evidence(HOUR)
        assert found.failed == (Harmed(500_000, 3, 1),)
        counts.add(replace(row(30, share=PPM, ours=SICK), champion=None))
        assert counts.evidence(HOUR).failed == found.failed, "where one was not asked neither is alone"
        assert (found.exposed, found.slow) == ((), None)


class TestMemory:
    def test_as_many_units_as_are_remembered_are_all_counted(self):
        seen = FirstTimes(most=3)
        for n in range(3):
            seen.add(unit_number(f"u{n}"), 0, False)
        assert (seen.halvings, len(seen.seen), seen.counts) == (0, 3, {0: [0, 3]})

    def test_beyond_what_is_remembered_half_of_the_units_are_counted_and_their_shares_stay(self):
        seen = FirstTimes(most=1_000)
        units = [unit_number(f"u{n}") for n in range(20_000)]
        for n, unit in enumerate(units):
            seen.add(unit, 0, n % 4 == 0)
        assert len(seen.seen) <= 1_000
        assert seen.halvings == 5
        ours, theirs = seen.counts[0]
        assert 1_000 < ours + theirs < 8_000
        assert not reached(mismatch_evidence([Exposed(250_000, ours, theirs)]), 0.001)
        before = [ours, theirs]
        for n, unit in enumerate(units):
            seen.add(unit, 0, n % 4 == 0)
        assert seen.counts[0] == before, "each is counted once, whether it is remembered or not"

    def test_units_of_a_step_are_halved_together_with_what_failed(self, monkeypatch):
        monkeypatch.setattr(stretching, "MOST_UNITS", 1_000)
        counts = begun(50_000)
        for n in range(8_000):
            counts.add(row(n, theirs=SICK if n % 10 == 0 else FINE))
        failed, units = counts.evidence(HOUR).champion
        assert 400 < units <= 1_000
        followed = [n for n in range(8_000) if is_followed(unit_number(f"unit {n}"), counts.now.halvings)]
        assert (failed, units) == (sum(n % 10 == 0 for n in followed), len(followed))

    def test_a_long_rollout_keeps_no_more_than_its_bounds(self, monkeypatch):
        monkeypatch.setattr(counting, "UNITS", 500)
        monkeypatch.setattr(counting, "ASKED", 500)
        monkeypatch.setattr(stretching, "MOST_UNITS", 500)
        bounded = {"exposed": FirstTimes(500), "failed": FirstTimes(100), "slow": FirstTimes(100)}
        counts = RolloutCounts(1, WIRE, (50_000,), **bounded)
        sizes, asked = [], 0
        for n in range(30_000):
            counts.add(drawn(n, 50_000, theirs=SICK if n % 3 else FINE, ours=SICK if n % 3 else FINE))
            asked = max(asked, len(counts.times_asked))
            if n % 10_000 == 9_999:
                sizes.append(len(counts.as_bytes()))
        assert max(sizes) < 60_000
        assert asked <= 2 * 500 + 10
        followed = next(n for n in range(30_000) if unit_number(f"unit {n}") in counts.exposed.seen)
        before = sum(of.rows for name, of in counts.by_exposure.items() if name.endswith("second to fifth"))
        counts.add(replace(drawn(followed, 50_000), asked_id="again"))
        after = sum(of.rows for name, of in counts.by_exposure.items() if name.endswith("second to fifth"))
        assert after == before + 1, "what is followed is not forgotten with the others"
        assert not reached(harm_evidence(counts.evidence(HOUR).failed), 0.009)

    def test_quantiles_are_the_upper_edge_of_two_percent_and_none_of_nothing(self):
        empty, zeros, huge = LogCounts(), LogCounts(), LogCounts()
        assert empty.quantile(0.99) is None
        for _ in range(10):
            zeros.add(0.0)
            huge.add(1e300)
        assert zeros.quantile(0.99) == 0.0
        assert huge.quantile(0.99) == pytest.approx(1e15, rel=0.03)
        huge.halve()
        assert huge.of == 5


class TestARestartedProcess:
    def test_it_goes_on_where_the_one_before_was_killed(self):
        rows = [drawn(n % 700, 200_000, ours=SICK if n % 7 == 0 else FINE) for n in range(2_000)]
        rows = [replace(each, asked_id=f"a{n % 1_900}") for n, each in enumerate(rows)]
        whole, broken = begun(200_000), begun(200_000)
        for n, each in enumerate(rows):
            whole.add(each)
            broken.add(each)
            if n % 211 == 0:
                broken = RolloutCounts.from_bytes(broken.as_bytes())
        assert broken == whole

    def test_bytes_of_something_else_are_refused(self):
        with pytest.raises(ValueError, match=r"."):
            RolloutCounts.from_bytes(b"nothing")
