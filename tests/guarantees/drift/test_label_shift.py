"""Were only the classes' shares to have changed: what they would be, and what the loss would be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from include.domain.drift.calibration import expected_losses
from include.domain.drift.estimate_reference import classifier_reference
from include.domain.drift.label_shift import LabelShift, label_shift, shifted_shares
from include.domain.losses import row_losses

ROWS = 6000


def rows_of(rng: np.random.Generator, shares, count: int = ROWS):
    """Labels with these shares, and scores calibrated where the shares are equal among the classes' usual ones."""
    y = rng.choice(len(shares), size=count, p=shares)
    return y, rng.normal(1.5 * y, 1.0)


def scores_under(x: np.ndarray, usual) -> np.ndarray:
    """The true probabilities of the classes where they have their usual shares, ``(n, classes)``."""
    logits = stats.norm.logpdf(x[:, None], 1.5 * np.arange(len(usual)), 1.0) + np.log(usual)
    return special.softmax(logits, axis=1)


@pytest.mark.parametrize(
    ("usual", "now"),
    [((0.84, 0.16), (0.6, 0.4)), ((0.5, 0.5), (0.9, 0.1)), ((0.6, 0.3, 0.1), (0.2, 0.3, 0.5))],
)
@pytest.mark.parametrize("metric", ["brier", "log_loss"])
def test_the_corrected_estimate_finds_the_new_shares_and_the_realised_loss(metric, usual, now):
    rng = np.random.default_rng([3, len(usual)])
    y, x = rows_of(rng, usual, 20_000)
    scores = scores_under(x, usual)
    scores = scores[:, 1] if len(usual) == 2 else scores
    reference = classifier_reference(metric, [f"2024-01-{i % 14 + 1:02d}" for i in range(len(y))], y, scores)
    later, x = rows_of(rng, now)
    answers = scores_under(x, usual)
    answers = answers[:, 1] if len(usual) == 2 else answers
    found = reference.label_shift(metric, answers)
    assert found is not None
    assert found.shown
    assert found.shares == pytest.approx(now, abs=0.03)
    realised = float(row_losses(metric, later, answers).mean())
    uncorrected = float(expected_losses(metric, answers, reference.calibration(answers)).mean())
    assert abs(found.risk - realised) < 0.25 * abs(uncorrected - realised) + 0.01
    assert found.risk == pytest.approx(realised, rel=0.06)


def test_shares_that_did_not_change_are_rarely_called_changed():
    """The promise is 1 %; a rate of twice that would break the bound."""
    rng, runs, called = np.random.default_rng(8), 1500, 0
    for _ in range(runs):
        _, x = rows_of(rng, (0.7, 0.3), 500)
        called += shifted_shares(scores_under(x, (0.7, 0.3)), (0.7, 0.3))[1]
    assert called <= stats.binom.ppf(0.99, runs, 0.01)
    assert called < stats.binom.ppf(0.01, runs, 0.02) + 10


def test_a_certain_answer_is_taken_as_nearly_certain():
    p = np.array([[0.0, 1.0]] * 50 + [[1.0, 0.0]] * 50)
    shares, _ = shifted_shares(p, (0.9, 0.1))
    assert np.isfinite(shares).all()
    assert shares == pytest.approx([0.5, 0.5], abs=0.02)


def test_a_class_without_a_held_out_row_has_no_corrected_estimate():
    rng = np.random.default_rng(2)
    y, x = rows_of(rng, (1.0, 0.0), 200)
    scores = scores_under(x, (0.8, 0.2))[:, 1]
    reference = classifier_reference("brier", ["2024-01-01"] * 100 + ["2024-01-02"] * 100, y, scores)
    assert reference.label_shift("brier", scores) is None


def test_it_is_the_same_after_it_was_kept():
    found = label_shift("brier", np.array([0.2, 0.7]), np.array([0.2, 0.7]), (0.6, 0.4))
    assert LabelShift.from_json(found.as_json()) == found
