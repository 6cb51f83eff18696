"""What matured labels say of a canary: three verdicts, and a level that holds however many days are looked at."""

from __future__ import annotations

import numpy as np
import pytest

from include.domain.gates.canary_labels import MaturedRows, judge_labels
from include.domain.gates.champion_rules import ComparisonRule
from include.domain.metrics import Task
from include.domain.verdicts import Verdict

BRIER = ComparisonRule("brier", 0.01)


def rows(worse: float, *, days: int = 6, a_day: int = 400, seed: int = 7) -> MaturedRows:
    """Labels drawn by a probability that the champion knows, and the canary misses by so much on every row."""
    rng = np.random.default_rng(seed)
    n = days * a_day
    p = rng.uniform(0.1, 0.9, n)
    y = (rng.uniform(size=n) < p).astype(float)
    canary = np.clip(p + worse * rng.choice([-1, 1], n) + rng.normal(0, 0.01, n), 0, 1)
    day = np.repeat([f"2024-03-{d + 1:02d}" for d in range(days)], a_day)
    return MaturedRows(Task.BINARY, y, canary, p, day)


@pytest.mark.parametrize(("worse", "verdict"), [(0.0, Verdict.PASS), (0.45, Verdict.FAIL), (0.1, Verdict.INCONCLUSIVE)])
def test_it_passes_only_what_is_shown_to_be_within_the_margin(worse, verdict):
    result, kept = judge_labels(BRIER, rows(worse), alpha=0.025, min_rows=500)
    assert result.verdict is verdict, result.reason
    assert (result.criterion, kept["rows"], kept["blocks"]) == ("matured brier", 2_400, 6)


def test_each_further_day_has_a_smaller_part_of_alpha_and_all_together_have_no_more():
    levels = [judge_labels(BRIER, rows(0.0, days=k), alpha=0.025, min_rows=500)[1]["alpha"] for k in range(3, 9)]
    assert levels == pytest.approx([0.025 / (k * (k + 1)) for k in range(3, 9)])
    assert sum(0.025 / (k * (k + 1)) for k in range(1, 10_000)) <= 0.025


def test_f172_labels_that_never_come_are_no_evidence():
    none = MaturedRows(Task.BINARY, np.empty(0), np.empty(0), np.empty(0), np.empty(0, dtype=str))
    result, _ = judge_labels(BRIER, none, alpha=0.025, min_rows=500)
    assert (result.verdict, result.rows) == (Verdict.INCONCLUSIVE, 0)


def test_two_days_or_too_few_rows_are_no_evidence():
    for few in (rows(0.0, days=2), rows(0.0, days=6, a_day=50)):
        assert judge_labels(BRIER, few, alpha=0.025, min_rows=500)[0].verdict is Verdict.INCONCLUSIVE


def test_f173_a_canary_that_got_easy_units_does_not_look_better():
    """Both answered the same rows, so that it does not matter which these are."""
    easy = rows(0.1)
    chosen = np.abs(easy.champion - 0.5) > 0.35
    parts = (easy.y[chosen], easy.canary[chosen], easy.champion[chosen], easy.days[chosen])
    result, _ = judge_labels(BRIER, MaturedRows(Task.BINARY, *parts), alpha=0.025, min_rows=100)
    assert result.verdict is not Verdict.PASS
    assert result.measured > result.champion
