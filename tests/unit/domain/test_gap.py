"""Losses that are tolerated as a share of the gap between a model and the naive baseline."""

import numpy as np
import pytest
from pydantic import ValidationError

from include.config.base import amount_and_share
from include.config.champion_gate import DeclaredComparison
from include.config.drift import DeclaredPerformance
from include.config.slice_gate import SliceGate, SmallTier, StrictTier
from include.domain.gap import Gap, Tolerated
from include.domain.gates import ChampionRules, ComparisonRule, Evidence, SliceRules, champion_gate, slice_gate
from include.domain.gates.anchor import AnchorEvidence
from include.domain.gates.champion import EarlierWindow
from include.domain.losses import DayLoss
from include.domain.metrics import Metric, Task
from include.domain.performance import realised_performance
from include.domain.risk_bounds import Band
from include.domain.verdicts import Direction, GateResult, Mode, Verdict

ROWS = 4000


def evidence(*, worse: float = 0.0, champion: float = 0.2, naive: float = 0.3) -> Evidence:
    """Mean absolute errors that are known: the champion's, the candidate's ``worse`` above it, and the baseline's."""
    wobble = np.where(np.arange(ROWS) % 2, 0.01, -0.01)
    y = np.zeros(ROWS)
    return Evidence(Task.REGRESSION, y, champion + worse + wobble, champion - wobble, np.full(ROWS, naive))


def judged(share: float | None, margin: float = 0.0, **shown: float) -> GateResult:
    rules = ChampionRules((ComparisonRule("mae", margin, share=share),), "mae")
    return champion_gate(rules, evidence(**shown), mode=Mode.BLOCKING, has_champion=True)


def test_a_relative_margin_is_that_share_of_how_much_better_than_the_baseline_the_champion_is():
    line = judged(0.1, worse=0.005).criteria[0]
    assert line.verdict is Verdict.PASS
    assert line.margin == pytest.approx(0.1 * (0.3 - 0.2))
    assert line.allowed == "worse than champion by <= 0.01"
    assert line.reason.endswith("so it is not worse by more than 0.01 (10 % of the gap of 0.1).")


def test_the_same_loss_is_beyond_the_same_share_of_a_smaller_gap():
    assert judged(0.1, worse=0.005, naive=0.22).criteria[0].verdict is Verdict.FAIL


def test_of_an_absolute_margin_the_report_says_the_share_too():
    found = judged(None, 0.01, worse=0.005)
    assert found.criteria[0].allowed == "worse than champion by <= 0.01"
    assert found.criteria[0].reason.endswith("so it is not worse by more than 0.01 (10 % of the gap of 0.1).")
    assert found.notes["margins"]["mae"] == {
        "margin": 0.01,
        "share": None,
        "gap": pytest.approx(0.1),
        "to_perfect": pytest.approx(0.2, abs=0.011),
    }


@pytest.mark.parametrize(("worse", "verdict"), [(0.005, Verdict.FAIL), (-0.005, Verdict.PASS)])
def test_where_the_champion_is_no_better_than_the_baseline_nothing_is_tolerated(worse, verdict):
    line = judged(0.5, worse=worse, naive=0.15).criteria[0]
    assert (line.verdict, line.margin) == (verdict, 0.0)
    assert "0 (50 % of the gap to the naive baseline, and there is none: it is no worse)" in line.reason


def test_a_baseline_without_a_value_leaves_a_relative_margin_inconclusive_and_an_absolute_one_as_it_is():
    rng = np.random.default_rng(3)
    p = rng.beta(2, 3, ROWS)
    y = rng.random(ROWS) < p
    name = "precision(threshold=0.5)"
    # The mean label is below the threshold, so the baseline answers no row positive: it has no precision.
    seen = Evidence(Task.BINARY, y, p, np.clip(p + 1e-6, 0, 1), np.full(ROWS, 0.4))

    def of(rule: ComparisonRule):
        rules = ChampionRules((rule,), "brier")
        return champion_gate(rules, seen, mode=Mode.BLOCKING, has_champion=True).criteria[0]

    found = of(ComparisonRule(name, 0.0, share=0.05))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "the baseline has no such value on these rows. Declare it in the metric's unit." in found.reason
    assert of(ComparisonRule(name, 0.5)).verdict is Verdict.PASS


def test_where_more_is_better_the_gap_is_what_the_champion_has_more():
    rng = np.random.default_rng(4)
    p = rng.beta(2, 3, ROWS)
    y = rng.random(ROWS) < p
    seen = Evidence(Task.BINARY, y, p, p + 1e-9, np.full(ROWS, 0.4))
    rule = ComparisonRule("roc_auc", 0.0, share=0.1).on(seen)
    ranks = np.argsort(np.argsort(p)) + 1
    positives = int(y.sum())
    area = (ranks[y].sum() - positives * (positives + 1) / 2) / (positives * (ROWS - positives))
    assert rule.margin == pytest.approx(0.1 * (area - 0.5))


def test_a_gain_that_an_alarm_asks_for_keeps_the_shares_of_the_other_margins():
    rules = ChampionRules((ComparisonRule("mae", 0.0, share=0.1),), "mae").gaining("mae").on(evidence())
    margin, gain = rules.comparisons
    assert (margin.margin, gain.limit) == (pytest.approx(0.01), 0.0)
    assert [rule.margin for rule in rules.tolerated.comparisons] == [pytest.approx(0.01)]


class TestAChampionThatIsNoBetterThanTheBaseline:
    """It has nothing of which a share could be lost."""

    def found(self, rules: ChampionRules) -> list[str]:
        useless = evidence(worse=-0.1, champion=0.4, naive=0.3)
        result = champion_gate(rules, useless, mode=Mode.BLOCKING, has_champion=True)
        return [line.criterion for line in result.criteria]

    def test_beside_a_gain_that_must_be_shown_no_margin_is_asked_for_in_the_same_metric(self):
        rules = ChampionRules((ComparisonRule("mae", 0.0, share=0.1), ComparisonRule("rmse", 0.0, share=0.1)), "mae")
        assert self.found(rules.gaining("mae")) == ["rmse", "gain in mae", "baseline mae"]

    def test_of_the_anchor_and_on_the_window_before_the_drift_its_margin_is_asked_for_as_ever(self):
        useless = evidence(worse=-0.2, champion=0.4, naive=0.3)
        found = champion_gate(
            ChampionRules((ComparisonRule("mae", 0.0, share=0.1),), "mae").gaining("mae"),
            useless,
            mode=Mode.BLOCKING,
            has_champion=True,
            earlier=EarlierWindow(useless),
            anchor=AnchorEvidence("c0", useless),
        )
        by_name = {line.criterion: line.verdict for line in found.criteria}
        assert list(by_name) == ["gain in mae", "anchor mae", "replay mae", "baseline mae"]
        assert set(by_name.values()) == {Verdict.PASS}

    def test_beside_one_that_is_only_measured_the_margin_of_nothing_stays(self):
        rules = ChampionRules((ComparisonRule("mae", 0.0, share=0.1),), "mae")
        assert self.found(rules.gaining("mae", dated=False)) == ["mae", "gain in mae", "baseline mae"]

    def test_a_margin_that_was_declared_as_an_amount_stays(self):
        rules = ChampionRules((ComparisonRule("mae", 0.01),), "mae")
        assert self.found(rules.gaining("mae")) == ["mae", "gain in mae", "baseline mae"]

    def test_one_that_is_better_at_all_has_something_to_lose_and_one_that_is_equal_has_not(self):
        rules = [ComparisonRule("mae", 0.0, share=0.1, gap=Gap(above)) for above in (-0.1, 0.0, 1e-9, 0.5)]
        assert [rule.nothing_to_lose for rule in rules] == [True, True, False, False]
        alarmed = ChampionRules((ComparisonRule("mae", 0.0, share=0.1),), "mae").gaining("mae")
        better = evidence(worse=-0.1, champion=0.2, naive=0.3)
        found = champion_gate(alarmed, better, mode=Mode.BLOCKING, has_champion=True)
        assert [line.criterion for line in found.criteria] == ["mae", "gain in mae", "baseline mae"]

    def test_without_an_alarm_nothing_may_be_lost(self):
        rules = ChampionRules((ComparisonRule("mae", 0.0, share=0.1),), "mae")
        assert self.found(rules) == ["mae", "baseline mae"]


def test_margins_of_slices_are_shares_of_the_gap_of_all_rows():
    rules = SliceRules("mae", 0.0, 0.0, by=("where",), large_rows=2000, margin_share=0.1, floor_share=0.5)
    where = np.where(np.arange(ROWS) < 3000, "a", "b")
    found = slice_gate(rules, evidence(worse=0.005), {"where": where}, mode=Mode.BLOCKING, has_champion=True)
    assert found.notes["margins"]["strict"] == {
        "margin": pytest.approx(0.01),
        "share": 0.1,
        "gap": pytest.approx(0.1),
        "to_perfect": pytest.approx(0.2, abs=0.011),
    }
    assert sorted(line.margin for line in found.criteria) == pytest.approx([0.01, 0.05])
    # Not a small one: it is shown to be worse, which the floor does not excuse.
    assert {line.criterion: line.verdict for line in found.criteria}["where=a mae"] is Verdict.PASS
    without = Evidence(Task.REGRESSION, np.zeros(ROWS), np.full(ROWS, 0.2), np.full(ROWS, 0.1))
    unknown = slice_gate(rules, without, {"where": where}, mode=Mode.BLOCKING, has_champion=True).criteria
    assert "mae has no margin in slices" in unknown[0].reason or "mae has no margin in slices" in unknown[-1].reason


def test_of_a_model_nearer_to_perfect_than_to_the_baseline_a_share_is_of_its_own_loss():
    """A tenth of how much better than nothing it is would be half of all it loses."""
    line = judged(0.1, worse=0.015, champion=0.2, naive=1.2).criteria[0]
    assert (line.verdict, line.margin) == (Verdict.PASS, pytest.approx(0.1 * 0.2))
    assert line.reason.endswith("by more than 0.02 (10 % of the 0.2 to a perfect model, less than the gap of 1).")
    assert judged(0.1, worse=0.03, champion=0.2, naive=1.2).criteria[0].verdict is Verdict.FAIL


def test_where_more_is_better_the_distance_to_a_perfect_model_is_what_is_missing_to_the_best_value():
    rng = np.random.default_rng(5)
    y = rng.random(ROWS) < 0.3
    ranked = y + rng.normal(0, 0.25, ROWS)
    seen = Evidence(Task.BINARY, y, ranked, ranked, np.full(ROWS, 0.3))
    rule = ComparisonRule("roc_auc", 0.0, share=0.1).on(seen)
    assert rule.gap is not None
    assert rule.gap.above_naive + rule.gap.to_perfect == pytest.approx(0.5)
    assert rule.margin == pytest.approx(0.1 * rule.gap.to_perfect)
    assert rule.margin < 0.001


def test_of_a_metric_without_a_best_value_a_share_is_of_the_gap_alone():
    unbounded = Metric("profit", Direction.AT_LEAST, 0, np.inf, lambda y, s: float(np.mean(s)))
    seen = Evidence(Task.REGRESSION, np.zeros(ROWS), np.full(ROWS, 9.0), np.full(ROWS, 9.0), np.full(ROWS, 1.0))
    assert ComparisonRule(unbounded, 0.0, share=0.1).on(seen).margin == pytest.approx(0.8)


# --- the tolerance of the sensor -------------------------------------------------------------------------------------


def days(*means: float) -> tuple[DayLoss, ...]:
    return tuple(DayLoss(f"2013-01-{i + 1:02d}", 100, 100 * m, 100 * m * m) for i, m in enumerate(means))


def test_a_report_says_the_tolerance_both_as_an_amount_and_as_a_share():
    usual = days(*(0.1 + 0.001 * (i % 3) for i in range(14)))
    relative = realised_performance(usual, usual, Band("mae", 0.004, share=0.1, gap=Gap(0.04)), min_rows=100)
    absolute = realised_performance(usual, usual, Band("mae", 0.01, gap=Gap(0.04)), min_rows=100)
    assert "tolerance 0.004 (10 % of the gap of 0.04)" in relative.reason
    assert "tolerance 0.01 (25 % of the gap of 0.04)" in absolute.reason
    assert (relative.tolerance, relative.tolerance_share, relative.gap) == (0.004, 0.1, 0.04)


def test_a_report_of_before_shares_is_read():
    usual = days(*(0.1 + 0.001 * (i % 3) for i in range(14)))
    found = realised_performance(usual, usual, Band("mae", 0.01), min_rows=100)
    old = {k: v for k, v in found.as_json().items() if k not in ("tolerance_share", "gap", "to_perfect")}
    assert type(found).from_json(old) == found


def test_both_figures_are_said_in_words_and_a_share_of_nothing_is_nothing():
    assert str(Tolerated.of(0.01, None, None)) == "0.01"
    assert str(Tolerated.of(0.0, 0.1, Gap(-0.02))).startswith("0 (10 % of the gap")
    assert str(Tolerated.of(0.0, 0.1, None)) == "0 (10 % of the gap to the naive baseline, which was not measured)"
    assert Tolerated.of(0.0, 0.1, None).amount == 0
    assert Tolerated.of(0.0, 0.1, None).unmeasured
    assert not Tolerated.of(0.0, 0.1, Gap(0.0)).unmeasured


@pytest.mark.parametrize("gap", [Gap(0.0), Gap(-0.02), Gap(-0.02, 0.3), Gap(0.1, 0.0)])
def test_of_a_gap_of_nothing_an_amount_is_no_share(gap):
    assert str(Tolerated.of(0.01, None, gap)) == "0.01"


def test_an_amount_of_nothing_is_said_without_a_share():
    assert str(Tolerated.of(0.0, None, Gap(0.04))) == "0"


def test_of_no_gap_at_all_a_share_is_said_to_be_nothing():
    assert str(Tolerated.of(0.0, 0.1, Gap(0.0))).endswith("and there is none: it is no worse)")


def test_halfway_between_baseline_and_perfect_a_share_is_said_to_be_of_the_gap():
    assert not Gap(0.1, 0.1).nearly_perfect
    assert str(Tolerated.of(0.0, 0.1, Gap(0.1, 0.1))) == "0.01 (10 % of the gap of 0.1)"


# --- as it is declared -----------------------------------------------------------------------------------------------


def test_what_is_left_out_is_a_share_and_a_number_means_what_it_always_did():
    assert DeclaredComparison(metric="brier").margin == "5%"
    assert DeclaredPerformance(metric="brier").tolerance == "10%"
    assert (StrictTier().margin, SmallTier().floor) == ("10%", "50%")
    assert DeclaredPerformance(metric="brier", tolerance=0.01).model_dump()["tolerance"] == 0.01
    assert DeclaredComparison(metric="brier", margin=0).margin == 0.0


@pytest.mark.parametrize(("written", "read"), [("5%", (0.0, 0.05)), (" 2.5 % ", (0.0, 0.025)), (0.01, (0.01, None))])
def test_a_share_is_written_with_a_percent_sign(written, read):
    assert amount_and_share(DeclaredComparison(metric="brier", margin=written).margin) == pytest.approx(read)


@pytest.mark.parametrize("metric", ["ece", "recall(threshold=0.3)", "precision(threshold=0.5)", "macro_precision"])
def test_a_metric_of_which_ignoring_the_inputs_may_be_best_needs_an_amount(metric):
    with pytest.raises(ValidationError, match=r"margin is a share of the gap .*give a number in the metric's unit"):
        DeclaredComparison(metric=metric)
    assert DeclaredComparison(metric=metric, margin=0.02).margin == 0.02
    with pytest.raises(ValidationError, match=r"small.floor is a share"):
        SliceGate(metric=metric, strict={"margin": 0.02})


@pytest.mark.parametrize("written", [-0.1, "-1%", "101%", "a%", "%", "five", float("nan"), float("inf"), True, None])
def test_anything_else_is_refused_with_what_is_allowed(written):
    with pytest.raises(ValidationError, match="a number of 0 or more in the metric's unit, or a share of the gap"):
        DeclaredComparison(metric="brier", margin=written)
