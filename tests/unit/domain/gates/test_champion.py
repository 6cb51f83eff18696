"""The champion gate: who need only be measured better than the naive baseline, and how a margin is written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from include.domain.gates import ChampionRules, ComparisonRule, Evidence, Mode, Verdict, champion_gate
from include.domain.metrics import Task
from include.domain.own_metrics import per_row, whole

DAYS = np.repeat(np.arange(10), 30)
HARD = np.random.default_rng(3).normal(size=10)[DAYS]
NEARLY = np.random.default_rng(4).normal(scale=0.01, size=300)
RULES = ChampionRules((ComparisonRule("mae", 0.05),), beat_baseline_on="mae", min_rows=100)


def errors(candidate, champion, *, baseline):
    """Ten days of 30 rows whose label is 0, so that each prediction is the model's error."""
    return Evidence(Task.REGRESSION, np.zeros(300), candidate, champion, baseline, DAYS)


def doubtful(mean):
    """The errors of a baseline so different from day to day that nothing shows whether it is beaten."""
    return mean + HARD


def judged(rules, on):
    result = champion_gate(rules, on, mode=Mode.BLOCKING, has_champion=True)
    line = next(c for c in result.criteria if c.criterion == "baseline mae")
    assert line.low < 0 < line.high, "these days cannot tell whether the baseline is beaten"
    assert line.measured < line.baseline, "it is measured worse"
    return line.verdict, line.allowed


MEASURED, BEATEN = "measured better than baseline", "better than baseline"


class TestWhoIsShownToBeBetterThanTheChampionNeedOnlyBeMeasuredBetterThanTheBaseline:
    def test_a_small_gain_is_one_where_it_is_certain(self):
        on = errors(5.0 + NEARLY, np.full(300, 5.5), baseline=doubtful(5.3))
        assert judged(RULES, on) == (Verdict.PASS, MEASURED)

    def test_a_gain_in_one_metric_is_enough_where_the_others_are_within_their_margins(self):
        # 60 % of the rows without an error and 40 % with 3.5: mae 1.4 instead of 2, rmse 2.2 instead of 2.
        few_large = np.tile([0.0, 0.0, 0.0, 3.5, 3.5], 60) + NEARLY
        rules = replace(RULES, comparisons=(*RULES.comparisons, ComparisonRule("rmse", 1.0)))
        on = errors(few_large, np.full(300, 2.0), baseline=doubtful(1.6))
        assert judged(rules, on) == (Verdict.PASS, MEASURED)

    def test_it_is_not_where_another_comparison_is_not_passed(self):
        rules = replace(RULES, comparisons=(*RULES.comparisons, ComparisonRule("rmse", 100.0, superiority=True)))
        on = errors(5.0 + NEARLY, np.full(300, 9.0), baseline=doubtful(5.3))
        assert judged(rules, on) == (Verdict.INCONCLUSIVE, BEATEN)

    def test_as_good_on_every_row_is_not_better(self):
        # The errors are the champion's with the other sign: the bound of the difference is 0 itself.
        candidate = 5.0 + NEARLY
        on = errors(candidate, -candidate, baseline=doubtful(5.3))
        assert judged(RULES, on) == (Verdict.INCONCLUSIVE, BEATEN)


@pytest.mark.parametrize(("decorated", "told"), [(per_row, True), (whole, False)], ids=["of each row", "of all rows"])
def test_of_a_team_s_own_metric_the_bootstrap_is_told_where_thousands_of_resamples_are_quick(decorated, told):
    @decorated(better="lower")
    def cost(labels, scores):
        missed = np.abs(labels - scores)
        return missed if told else float(missed.mean())

    rules = ChampionRules((ComparisonRule(cost, 0.05),), beat_baseline_on="mae", min_rows=100, resamples=200)
    on = errors(5.0 + NEARLY, np.full(300, 5.5), baseline=doubtful(5.3))
    found = champion_gate(rules, on, mode=Mode.BLOCKING, has_champion=True)
    (note,) = (note for name, note in found.notes["comparisons"].items() if name.endswith("cost"))
    assert ("bootstrap_high" in note) is told


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        pytest.param(ComparisonRule("mae", 0.123456), "worse than champion by <= 0.123456", id="an amount"),
        pytest.param(ComparisonRule("mae", 0.123456, share=0.1), "worse than champion by <= 0.123", id="a share"),
    ],
)
def test_a_margin_is_written_as_it_was_declared_and_one_that_was_worked_out_in_three_digits(rule, allowed):
    assert rule.allowed() == allowed
