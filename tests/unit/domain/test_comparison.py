"""Paired comparison: against slow references, a published example and the bootstrap; and closed when unsure."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import nan

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from include.domain.blocks import Blocks, block_statistic, bootstrap, estimate, jackknife_error
from include.domain.comparison import BadLevel, PairedComparison, PairedScores, bootstrap_upper, compare, tango_upper
from include.domain.day_means import DaySpread
from include.domain.delong import delong, placements
from include.domain.metrics import METRICS, ShapesDiffer, Task, metric_of


def rivals(rows=1000, *, days=None, candidate=0.9, champion=1.0, rounded=None, seed=1):
    """Labels, candidate's and champion's probabilities, and the days: two correlated scores of given separation."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.3).astype(float)
    shared = rng.standard_normal(rows)
    scores = [norm.cdf(k * y + 0.7 * shared + 0.7 * rng.standard_normal(rows) - 1) for k in (candidate, champion)]
    if rounded is not None:
        scores = [s.round(rounded) for s in scores]
    return y, *scores, None if days is None else rng.integers(0, days, rows)


def slow_delong(y, first, second):
    """The definition: every positive against every negative, and the covariance of their kernels."""
    kernels = []
    for score in (first, second):
        up, down = score[y == 1][:, None], score[y == 0][None, :]
        kernels.append((up > down) + 0.5 * (up == down))
    difference = kernels[0] - kernels[1]
    m, n = difference.shape
    variance = difference.mean(axis=1).var(ddof=1) / m + difference.mean(axis=0).var(ddof=1) / n
    return kernels[0].mean(), kernels[1].mean(), np.sqrt(variance)


@pytest.mark.parametrize("rounded", [None, 1], ids=["distinct scores", "many ties"])
def test_fast_delong_equals_its_definition(rounded):
    y, candidate, champion, _ = rivals(400, rounded=rounded)
    fast = delong(y, candidate, champion)
    assert (fast.first, fast.second, fast.error) == pytest.approx(slow_delong(y, candidate, champion), abs=1e-12)


def test_delong_agrees_with_the_published_error_of_hanley_and_mcneils_tomography_ratings():
    # Hanley and McNeil (1982), Radiology 143:29-36, table I: 58 normal and 51 abnormal images, rated 1 to 5. The area
    # is 0.893; DeLong's error of it is 0.0307 (Stata's reference manual, roctab).
    ratings = np.arange(1.0, 6.0)
    y = np.repeat([0.0, 1.0], [58, 51])
    score = np.concatenate([np.repeat(ratings, [33, 6, 6, 11, 2]), np.repeat(ratings, [3, 2, 2, 11, 33])])
    up, down = placements(y, score)
    assert up.mean() == pytest.approx(0.8932, abs=5e-5)
    assert np.sqrt(up.var(ddof=1) / 51 + down.var(ddof=1) / 58) == pytest.approx(0.0307, abs=5e-5)
    assert delong(y, score, np.zeros(109)).error == pytest.approx(0.0307, abs=5e-5)


def test_delong_agrees_with_the_paired_bootstrap_of_rows():
    y, candidate, champion, _ = rivals(500)
    rows = Blocks(np.arange(500), 500)
    metric = metric_of(Task.BINARY, "roc_auc")
    first, second = (block_statistic(metric, y, s, rows) for s in (candidate, champion))
    drawn = bootstrap(first, 500, 2000) - bootstrap(second, 500, 2000)
    assert delong(y, candidate, champion).error == pytest.approx(drawn.std(), rel=0.06)


UNLIKE = ("ece", "mape", "poisson_deviance")  # bins of all rows; labels or predictions of 0
ALL_METRICS = [(task, name) for task in (Task.BINARY, Task.REGRESSION) for name in METRICS[task] if name not in UNLIKE]


@pytest.mark.parametrize(("task", "name"), ALL_METRICS)
@pytest.mark.parametrize("rounded", [None, 1], ids=["distinct scores", "many ties"])
def test_counting_blocks_equals_repeating_their_rows(task, name, rounded):
    y, score, _, days = rivals(400, days=5, rounded=rounded)
    metric, blocks = metric_of(task, name), Blocks.of(days)
    counts = np.random.default_rng(0).multinomial(5, np.full(5, 0.2), 20).astype(float)
    repeated = [np.concatenate([np.flatnonzero(days == d) for d in range(5) for _ in range(int(c[d]))]) for c in counts]
    expected = [metric.value(y[rows], score[rows]) for rows in repeated]
    assert block_statistic(metric, y, score, blocks)(counts) == pytest.approx(expected, abs=1e-12)


def test_the_ece_of_all_rows_is_the_metric_itself():
    y, score, _, days = rivals(400, days=5)
    metric = metric_of(Task.BINARY, "ece")
    assert estimate(block_statistic(metric, y, score, Blocks.of(days)), 5) == pytest.approx(metric.value(y, score))


def test_the_bound_is_that_of_the_days_that_the_jackknife_leaves_out():
    y, candidate, champion, days = rivals(600, days=8)
    d = (y - candidate) ** 2 - (y - champion) ** 2
    left_out = np.array([d[days != g].mean() for g in range(8)])
    spread = DaySpread.of(7 * (d.mean() - left_out))
    assert spread.plain == pytest.approx(np.sqrt(7 / 8 * np.sum((left_out - d.mean()) ** 2)))
    found = compare(PairedScores(Task.BINARY, y, candidate, champion, days), "brier")
    assert found.difference == pytest.approx(d.mean())
    assert found.high == pytest.approx(d.mean() + spread.half(0.05, upper=True), rel=1e-3)
    assert (found.blocks, found.rows, found.lag) == (8, 600, pytest.approx(spread.lag))
    assert found.effective_days == pytest.approx(spread.effective_days)


def test_days_that_hide_how_rows_differ_are_no_narrower_than_independent_rows():
    # Every day is the same, so that days alone would have no spread at all.
    worse = np.tile([0.0, 0.0, 0.0, 1.0], 70)
    y, days = np.zeros(280), np.repeat(range(14), 20)
    found = compare(PairedScores(Task.REGRESSION, y, worse, np.zeros(280), days), "mae")
    rows = compare(PairedScores(Task.REGRESSION, y, worse, np.zeros(280)), "mae")
    assert (found.low, found.high) == (pytest.approx(rows.low), pytest.approx(rows.high))
    assert found.low < found.difference < found.high


def test_the_rows_in_words_say_what_days_are_worth_that_resemble_each_other():
    found = PairedComparison("brier", 0.2, 0.2, 0.0, -0.1, 0.1, 1400, 14, 0.05, "m", lag=0.3, effective_days=7.54)
    assert found.about == "1,400 rows of 14 days that are worth 7.5 independent ones (lag-1 correlation 0.30)"
    assert replace(found, lag=0.0, effective_days=14.0).about == "1,400 rows of 14 days"
    assert replace(found, blocks=None, lag=None, effective_days=None).about == "1,400 rows"


@pytest.mark.parametrize("name", METRICS[Task.BINARY])
@pytest.mark.parametrize("days", [None, 20], ids=["independent rows", "days"])
def test_the_difference_is_positive_where_the_candidate_is_worse_whatever_the_direction(name, days):
    y, candidate, champion, labels = rivals(4000, days=days, candidate=0.2)
    found = compare(PairedScores(Task.BINARY, y, candidate, champion, labels), name)
    metric = metric_of(Task.BINARY, name)
    assert found.low < found.difference < found.high
    assert found.difference == pytest.approx(metric.worse_sign * (found.candidate - found.champion))
    swapped = compare(PairedScores(Task.BINARY, y, champion, candidate, labels), name)
    assert swapped.difference == pytest.approx(-found.difference)


@pytest.mark.parametrize("name", ["brier", "rmse", "average_precision"])
def test_the_jackknife_agrees_with_the_bootstrap_where_there_are_many_days(name):
    task = Task.REGRESSION if name == "rmse" else Task.BINARY
    y, candidate, champion, days = rivals(3000, days=60)
    metric, blocks = metric_of(task, name), Blocks.of(days)
    first, second = (block_statistic(metric, y, s, blocks) for s in (candidate, champion))
    drawn = bootstrap(first, 60, 2000) - bootstrap(second, 60, 2000)
    error = jackknife_error(lambda counts: first(counts) - second(counts), 60)
    assert error == pytest.approx(drawn.std(), rel=0.08)


def test_the_reported_bootstrap_is_the_quantile_of_resampled_days():
    y, candidate, champion, days = rivals(2000, days=40)
    found = compare(PairedScores(Task.BINARY, y, candidate, champion, days), "brier")
    shown = bootstrap_upper(
        PairedScores(Task.BINARY, y, candidate, champion, days), "brier", alpha=0.05, resamples=2000
    )
    assert found.difference < shown < found.high
    assert shown == pytest.approx(found.high, rel=0.3)


# --- accuracy --------------------------------------------------------------------------------------------------------


def slow_score_statistic(b, c, n, difference):
    """The score statistic with the discordant shares found by maximising the likelihood numerically."""

    def minus_log_likelihood(q):
        p, rest = q + difference, 1 - 2 * q - difference
        return -(b * np.log(p) + c * np.log(q) + (n - b - c) * np.log(rest))

    low, high = max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12
    q = minimize_scalar(minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    return (b - c - n * difference) / np.sqrt(n * (2 * q + difference - difference**2))


@pytest.mark.parametrize(("b", "c", "n"), [(12, 5, 300), (3, 9, 200), (40, 38, 1000), (2, 1, 500)])
def test_tangos_bound_is_where_the_score_test_stops_rejecting(b, c, n):
    upper = tango_upper(b, c, n, 0.05)
    assert slow_score_statistic(b, c, n, upper) == pytest.approx(-norm.ppf(0.95), abs=1e-3)


def test_no_disagreement_at_all_still_leaves_a_possible_difference():
    assert tango_upper(0, 0, 300, 0.05) == pytest.approx(norm.ppf(0.95) ** 2 / (300 + norm.ppf(0.95) ** 2), rel=1e-6)
    assert tango_upper(10, 0, 10, 0.05) == 1


@pytest.mark.parametrize("days", [None, np.arange(300) % 10], ids=["independent rows", "days"])
def test_agreeing_on_every_decision_does_not_make_the_accuracies_equal_for_certain(days):
    y = np.tile([0.0, 1.0, 1.0], 100)
    candidate, champion = np.tile([0.2, 0.8, 0.4], 100), np.tile([0.1, 0.9, 0.3], 100)
    found = compare(PairedScores(Task.BINARY, y, candidate, champion, days), "accuracy")
    assert found.difference == 0
    assert found.high == pytest.approx(0.0089, abs=1e-4)


def test_accuracy_of_many_classes_is_compared_too():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 900)
    good = np.full((900, 3), 0.2)
    good[np.arange(900), y] = 0.6
    bad = good.copy()
    bad[:90] = [1.0, 0.0, 0.0]
    found = compare(PairedScores(Task.MULTICLASS, y, bad, good), "accuracy")
    assert found.candidate == pytest.approx(1 - np.mean(y[:90] != 0) * 0.1)
    assert found.low > 0


# --- closed when unsure ----------------------------------------------------------------------------------------------


def spoiled(values, value, rows=3):
    changed = np.array(values, dtype=float)
    changed[:rows] = value
    return changed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            {"candidate": nan}, "of the candidate's scores, 3 of 1,000 scores are missing or infinite", id="nan"
        ),
        pytest.param(
            {"champion": nan}, "of the champion's scores, 3 of 1,000 scores are missing or infinite", id="champion"
        ),
        pytest.param({"y": nan}, "3 of 1,000 labels are missing or infinite", id="label"),
        pytest.param({"candidate": 1.5}, "of the candidate's scores, 3 of 1,000 scores are no probability", id="range"),
    ],
)
def test_f051_a_value_that_is_missing_leaves_nothing_compared(change, reason):
    y, candidate, champion, _ = rivals()
    parts = {"y": y, "candidate": candidate, "champion": champion}
    parts |= {name: spoiled(parts[name], value) for name, value in change.items()}
    found = compare(PairedScores(Task.BINARY, **parts), "brier")
    assert found.difference is found.low is found.high is None
    assert found.reason.startswith(reason)


def test_without_the_champions_scores_nothing_is_compared_and_the_candidate_is_still_shown():
    y, candidate, _, _ = rivals()
    found = compare(PairedScores(Task.BINARY, y, candidate, None), "roc_auc")
    assert found.candidate is not None
    assert (found.high, found.reason) == (None, "there are no scores of the champion on these rows")


def test_one_class_leaves_no_ranking_to_compare():
    _, candidate, champion, _ = rivals(300)
    assert compare(PairedScores(Task.BINARY, np.zeros(300), candidate, champion), "roc_auc").reason == (
        "all 300 labels are of one class (0)"
    )


def test_a_handful_of_positives_is_too_few_for_a_ranking_metric():
    _, candidate, champion, _ = rivals(300)
    found = compare(PairedScores(Task.BINARY, (np.arange(300) < 19).astype(float), candidate, champion), "roc_auc")
    assert found.reason == "the rarer class has 19 rows; at least 20 are needed"


def test_two_days_cannot_show_how_much_days_differ():
    y, candidate, champion, days = rivals(days=2)
    found = compare(PairedScores(Task.BINARY, y, candidate, champion, days), "brier")
    assert found.reason == "the rows are of 2 days; at least 3 are needed to see how much days differ"


def test_all_positives_on_one_day_cannot_be_compared_over_days():
    y = np.repeat([1.0, 0.0, 0.0, 0.0], 50)
    _, candidate, champion, _ = rivals(200)
    found = compare(PairedScores(Task.BINARY, y, candidate, champion, np.repeat(range(4), 50)), "roc_auc")
    assert found.reason == "leaving out one day leaves rows of a single class only"


def test_two_perfect_rankings_have_no_spread_to_judge_by():
    y = np.tile([0.0, 1.0], 100)
    assert "perfectly" in compare(PairedScores(Task.BINARY, y, 0.9 * y, y), "roc_auc").reason


@pytest.mark.parametrize(("alpha", "parts"), [(0.0, 1), (0.5, 1), (nan, 1), (0.05, 0)])
def test_an_alpha_that_is_no_error_rate_is_refused(alpha, parts):
    y, candidate, champion, _ = rivals(100)
    with pytest.raises(BadLevel):
        compare(PairedScores(Task.BINARY, y, candidate, champion), "brier", alpha=alpha, parts=parts)


def test_each_attempt_on_the_same_rows_spends_alpha():
    y, candidate, champion, _ = rivals()
    once, third = (compare(PairedScores(Task.BINARY, y, candidate, champion), "brier", parts=k) for k in (1, 3))
    alone = compare(PairedScores(Task.BINARY, y, candidate, champion), "brier", alpha=0.05 / 3)
    assert third.high == alone.high > once.high
    assert third.alpha == pytest.approx(0.05 / 3)


def test_correlated_days_make_the_bound_wider_than_independent_rows_would():
    rng = np.random.default_rng(5)
    days = np.repeat(range(14), 100)
    y = rng.normal(size=1400)
    champion, candidate = (y + rng.normal(size=1400) + rng.normal(size=14)[days] for _ in range(2))
    by_days = compare(PairedScores(Task.REGRESSION, y, candidate, champion, days), "rmse")
    by_rows = compare(PairedScores(Task.REGRESSION, y, candidate, champion), "rmse")
    assert by_days.high - by_days.difference > 3 * (by_rows.high - by_rows.difference)


def test_hundreds_of_days_are_joined_with_their_neighbours():
    y, candidate, champion, days = rivals(4000, days=365)
    assert compare(PairedScores(Task.BINARY, y, candidate, champion, days), "roc_auc").blocks == 60


def test_a_smaller_margin_needs_more_rows_and_no_margin_has_no_answer():
    y, candidate, champion, _ = rivals(2000)
    wide, narrow, none = (
        compare(PairedScores(Task.BINARY, y, candidate, champion), "roc_auc", margin=m).sufficient_rows
        for m in (0.02, 0.01, 0.0)
    )
    assert narrow == pytest.approx(4 * wide, rel=0.05)
    assert none is None


@pytest.mark.parametrize(("name", "days"), list(product(METRICS[Task.BINARY], (None, 7))))
def test_a_comparison_repeated_gives_the_same_numbers_to_the_bit(name, days):
    y, candidate, champion, labels = rivals(days=days)
    one, again = (
        compare(PairedScores(Task.BINARY, y, candidate, champion, labels), name, margin=0.02) for _ in range(2)
    )
    assert one == again


class TestTheRowsInWords:
    COMPARED = PairedComparison("brier", 0.2, 0.2, 0.0, -0.1, 0.1, 1400, 20, 0.05, "m", lag=0.03, effective_days=19.0)

    def test_days_are_worth_less_from_a_twentieth_less_on(self):
        assert "worth 19.0 independent ones" in self.COMPARED.about
        assert replace(self.COMPARED, effective_days=19.001).about == "1,400 rows of 20 days"

    def test_days_of_which_nobody_said_what_they_are_worth_are_only_counted(self):
        assert replace(self.COMPARED, lag=None, effective_days=None).about == "1,400 rows of 20 days"


@pytest.mark.parametrize("name", ["days", "champion", "candidate", "weight"])
def test_what_is_of_other_rows_is_refused(name):
    y, candidate, champion, days = rivals(100, days=5)
    given = {"y": y, "candidate": candidate, "champion": champion, "days": days, "weight": np.ones(100)}
    with pytest.raises(ShapesDiffer, match=rf"{name} has shape \(99,\); it must be \(100,\)"):
        compare(PairedScores(Task.BINARY, **(given | {name: given[name][:99]})), "brier")
