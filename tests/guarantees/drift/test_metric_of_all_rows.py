"""A metric of all rows together, recall or an AUC, held between two windows once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from include.domain.drift.once import ScoredRows, metric_fall
from include.domain.gap import Tolerated
from include.domain.metrics import Task, metric_of

RECALL = "recall(threshold=0.4)"


def rows(seed: int, count: int = 1000, *, blurred: float = 0.0, windows: int | None = None, day: float = 0.0):
    """Answers of a calibrated model; ``blurred`` of them say nothing, and ``day`` is how much days differ."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1.2, 2.0, count)
    window = None if windows is None else np.repeat(np.arange(windows), count // windows)
    shift = 0.0 if window is None else day * rng.standard_normal(windows)[window]
    y = (rng.random(count) < np.clip(p + shift, 0.01, 0.99)).astype(float)
    scores = np.where(rng.random(count) < blurred, rng.permutation(p), p)
    return ScoredRows(y, scores, window)


def out(reference: ScoredRows, current: ScoredRows, name: str = RECALL, **changed: float):
    return metric_fall(
        Task.BINARY,
        metric_of(Task.BINARY, name),
        reference,
        current,
        tolerance=Tolerated(changed.pop("tolerance", 0.0)),
        **changed,
    )


@pytest.mark.parametrize("name", [RECALL, pytest.param("roc_auc", marks=pytest.mark.slow)])
def test_windows_of_the_same_rate_are_out_of_band_as_often_as_declared(name):
    tries, alpha = 500, 0.05
    found = sum(bool(out(rows(2 * i), rows(2 * i + 1), name, alpha=alpha).out_of_band) for i in range(tries))
    assert found <= binom.isf(0.001, tries, alpha)
    assert binom.cdf(found, tries, 2 * alpha) < 0.05  # twice the promise would not be seen so seldom


def test_days_that_differ_are_held_against_days_and_not_against_rows():
    tries, alpha = 120, 0.05
    by_days = by_rows = 0
    for i in range(tries):
        past, now = rows(3 * i, 4000, windows=20, day=0.2), rows(3 * i + 1, 200, windows=1, day=0.2)
        by_days += bool(out(past, now, alpha=alpha, min_rows=100).out_of_band)
        by_rows += bool(out(ScoredRows(past.y, past.scores), now, alpha=alpha, min_rows=100).out_of_band)
    assert by_days <= binom.isf(0.001, tries, alpha)
    assert by_rows > 2 * alpha * tries


@pytest.mark.parametrize(("name", "side"), [(RECALL, "down to"), ("roc_auc", "down to"), ("ece", "up to")])
def test_a_model_that_got_worse_is_out_of_band_on_the_side_that_is_worse(name, side):
    found = out(rows(1, 4000), rows(2, 4000, blurred=0.6), name)
    assert found.out_of_band is True
    assert side in found.reason
    better = out(rows(2, 4000, blurred=0.6), rows(1, 4000), name)
    assert better.out_of_band is False


def test_the_tolerance_is_in_the_metrics_unit_and_widens_the_band_by_itself():
    narrow, wide = (out(rows(1, 4000), rows(2, 4000, blurred=0.6), tolerance=t) for t in (0.0, 0.5))
    assert narrow.allowed - wide.allowed == pytest.approx(0.5)
    assert (narrow.out_of_band, wide.out_of_band) == (True, False)


def test_rows_that_show_no_spread_are_no_band_of_no_width():
    y = np.repeat([0.0, 1.0], 300)
    sure = ScoredRows(y, np.where(y == 1, 0.9, 0.1))
    one_missed = ScoredRows(y, np.where(np.arange(600) == 599, 0.1, sure.scores))
    found = out(sure, one_missed)
    assert (found.reference_risk, found.risk) == (1.0, pytest.approx(299 / 300))
    assert found.out_of_band is False
    assert found.allowed == pytest.approx(1 + np.log(0.05) / 300)


@pytest.mark.parametrize(
    ("reference", "current", "said"),
    [
        (rows(1), rows(2, 200), "measured on 200 labelled rows against 1000; at least 300 of each are needed"),
        (rows(1), ScoredRows(np.zeros(400), np.full(400, 0.3)), "of the current rows is no evidence"),
        (ScoredRows(np.eye(1, 400)[0], np.full(400, 0.5)), rows(2), "of the reference rows is no evidence"),
    ],
    ids=["few rows", "no positive now", "one positive before"],
)
def test_what_says_nothing_is_not_judged(reference, current, said):
    found = out(reference, current)
    assert found.out_of_band is None
    assert said in found.reason
