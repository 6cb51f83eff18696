"""How likely an equal model passes: pairs made of the last holdout, and what would help."""

from __future__ import annotations

import numpy as np
import pytest

from include.domain.gates import (
    ChampionRules,
    ComparisonRule,
    Evidence,
    Mode,
    SliceRules,
    champion_gate,
    slice_gate,
)
from include.domain.gates.equal_models import ENOUGH, equal_models, passes_of
from include.domain.metrics import Task


def holdout(rows=4000, *, days=14, apart=0.05, worse=0.0, seed=1):
    """Two models whose scores differ from the truth by noise of that size; the candidate's are off by ``worse``."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 3, rows)
    y = (rng.random(rows) < p).astype(float)
    one, other = (np.clip(p + apart * rng.standard_normal(rows) + by, 0, 1) for by in (worse, 0.0))
    return Evidence(Task.BINARY, y, one, other, np.full(rows, 0.25), rng.integers(0, days, rows))


def passed(margin, evidence, *, resamples=60):
    rules = ChampionRules((ComparisonRule("brier", margin),), "brier", min_rows=100)
    pairs = equal_models(evidence, {}, resamples=resamples)
    return passes_of([champion_gate(rules, pair, mode=Mode.BLOCKING, has_champion=True) for pair, _ in pairs])


def test_the_pairs_are_of_whole_days_and_neither_model_is_better():
    evidence, differences = holdout(apart=0.1), []
    for pair, columns in equal_models(evidence, {"day": evidence.days}, resamples=200):
        assert set(columns["day"].tolist()) <= set(evidence.days.tolist())
        assert len(np.unique(pair.days)) == 14
        differences.append(np.mean((pair.candidate - pair.y) ** 2 - (pair.champion - pair.y) ** 2))
    assert abs(np.mean(differences)) < 4 * np.std(differences) / np.sqrt(200)


def test_a_wide_margin_lets_an_equal_model_pass_and_a_narrow_one_says_what_would_help():
    wide, narrow = passed(0.05, holdout()), passed(0.0001, holdout())
    assert wide.passed >= ENOUGH > narrow.passed
    assert wide.line.startswith("champion_gate: an equal model passes with a probability of about")
    assert narrow.stopped_by == "brier"
    assert "more held-out days, or a margin of" in narrow.line


def test_the_margin_that_is_named_would_do():
    narrow = passed(0.0001, holdout())
    named = float(narrow.helps.split("a margin of ")[1].split()[0])
    assert passed(named * 1.05, holdout()).passed >= ENOUGH - 0.1


def test_a_worse_candidate_does_not_make_its_equals_worse():
    assert abs(passed(0.02, holdout(worse=0.02)).passed - passed(0.02, holdout()).passed) <= 0.2


def test_slices_are_drawn_with_their_rows():
    evidence = holdout()
    where = np.where(np.arange(4000) % 2 == 0, "a", "b")
    rules = SliceRules("brier", 0.05, 0.05, by=("where",), min_rows=300)
    found = passes_of(
        [
            slice_gate(rules, pair, columns, mode=Mode.BLOCKING, has_champion=True)
            for pair, columns in equal_models(evidence, {"where": where}, resamples=20)
        ]
    )
    assert (found.gate, found.passed >= ENOUGH, found.resamples) == ("slice_gate", True, 20)


def test_without_a_champion_there_are_no_equal_models():
    alone = Evidence(Task.BINARY, [0, 1], [0.2, 0.3], days=[0, 1])
    with pytest.raises(ValueError, match="a candidate and a champion on rows of days"):
        next(equal_models(alone, {}, resamples=1))
