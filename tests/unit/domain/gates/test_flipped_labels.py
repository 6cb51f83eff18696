"""Labels that one source turned over teach a candidate wrong, and rows held out that are right show it."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from include.domain.gates import ChampionRules, ComparisonRule, Evidence, Mode, Verdict, champion_gate
from include.domain.metrics import Task

ROWS, HELD_OUT, DAYS = 20_000, 10_000, 40


def world(seed: int, rows: int):
    """Two features and a label that they tell, not for sure."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 2))
    return x, (rng.random(rows) < 1 / (1 + np.exp(1 - 3 * x[:, 0] - x[:, 1]))).astype(float)


def judged(flipped_share: float):
    """The champion learned from right labels, the candidate from others of the same world, of which one source's, the
    surest ``flipped_share`` of all, are turned over."""
    x, y = world(1, ROWS)
    champion = LogisticRegression().fit(x, y)
    x, y = world(2, ROWS)
    surest = np.argsort(x[:, 0])[: int(flipped_share * ROWS)]
    y[surest] = 1 - y[surest]
    candidate = LogisticRegression().fit(x, y)
    golden, truth = world(3, HELD_OUT)
    return Evidence(
        Task.BINARY,
        truth,
        candidate=candidate.predict_proba(golden)[:, 1],
        champion=champion.predict_proba(golden)[:, 1],
        baseline=np.full(HELD_OUT, truth.mean()),
        days=np.arange(HELD_OUT) % DAYS,
    )


RULES = ChampionRules(comparisons=(ComparisonRule("brier", 0.002),), beat_baseline_on="brier")


def test_f035_a_candidate_taught_by_five_per_cent_of_labels_turned_over_is_stopped_on_rows_that_are_right():
    result = champion_gate(RULES, judged(0.05), mode=Mode.BLOCKING, has_champion=True)
    assert result.verdict is not Verdict.PASS
    assert any("brier" in criterion.criterion for criterion in result.criteria if criterion.verdict is Verdict.FAIL)


def test_f035_its_twin_with_right_labels_passes():
    result = champion_gate(RULES, judged(0.0), mode=Mode.BLOCKING, has_champion=True)
    assert result.verdict is Verdict.PASS
