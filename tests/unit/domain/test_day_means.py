"""Bounds of a figure over days: their error rates, by the kinds of days there are."""

from dataclasses import replace

import numpy as np
import pytest
from kinds_of_days import many_days
from scipy import fft, stats

from include.domain.day_means import LEAST_DAYS, LEAST_EFFECTIVE_DAYS, DaySpread, waves

ALPHA = 0.05


def test_both_bounds_are_one_formula_mirrored():
    x = many_days(np.random.default_rng(3), 14, 0.3, "skewed")[0]
    one, mirrored = DaySpread.of(x - x.mean()), DaySpread.of(x.mean() - x)
    assert one.half(ALPHA, upper=True) == pytest.approx(mirrored.half(ALPHA, upper=False))
    assert one.half(ALPHA, upper=True) > one.half(ALPHA, upper=False)


def test_days_that_resemble_their_neighbours_are_worth_fewer():
    alike = DaySpread.of(many_days(np.random.default_rng(2), 400, 0.5, "normal")[0])
    assert alike.lag == pytest.approx(0.5, abs=0.15)
    assert alike.effective_days == pytest.approx(400 / 3, rel=0.4)
    assert alike.slow > 1.3 * alike.plain


def test_days_in_turns_are_worth_no_more_than_there_are():
    assert DaySpread.of(np.array([1.0, -1.0] * 7)).effective_days == 14


def test_two_days_are_not_judged():
    assert DaySpread.of(np.array([1.0, -1.0, 0.0])).why_too_few is None
    assert LEAST_DAYS == 3
    why = DaySpread.of(np.array([1.0, -1.0])).why_too_few
    assert why == "the rows are of 2 days; at least 3 are needed to see how much days differ"


def test_each_day_that_is_missing_of_six_makes_the_bound_wider():
    spread = DaySpread(days=6, freedom=2, slow=1.0, plain=1.0, skew=0.0, lag=0.0)
    widths = [replace(spread, days=n).half(ALPHA, upper=True) for n in (7, 6, 5, 4, 3)]
    assert [w / widths[0] for w in widths] == pytest.approx([1.0, 1.0, 1.15, 1.3, 1.45])


def test_many_days_that_are_worth_few_are_not_judged():
    spread = DaySpread.of(np.linspace(-1, 1, 14))
    assert spread.effective_days < LEAST_EFFECTIVE_DAYS
    assert spread.why_too_few == (
        "the 14 days resemble their neighbours (lag-1 correlation 0.79) and are worth 1.7 independent ones; at least "
        "1.75 are needed"
    )


def test_equal_days_have_no_width():
    spread = DaySpread.of(np.zeros(10))
    assert (spread.half(ALPHA, upper=True), spread.half(ALPHA, upper=False), spread.effective_days) == (0, 0, 10)


def test_days_without_a_sign_of_resemblance_are_asked_for_twice_the_waves():
    rng = np.random.default_rng(4)
    found = [DaySpread.of(x - x.mean()) for x in many_days(rng, 14, 0.0, "normal")[:50]]
    assert {(s.lag < 0, s.freedom) for s in found} == {(True, 8), (False, 4)}


def test_there_are_never_more_waves_than_days_allow():
    assert all(2 <= waves(n) < n for n in range(3, 400))


# --- the parts of a spread -------------------------------------------------------------------------------------------


def wavy(count: int, lag: float, offset: float = 0.0) -> np.ndarray:
    return many_days(np.random.default_rng(6), count, lag, "skewed")[0] + offset


@pytest.mark.parametrize("offset", [0.0, 0.4])
@pytest.mark.parametrize(("count", "lag"), [(2, 0.0), (7, 0.5), (14, 0.0), (28, 0.4)])
def test_the_slow_error_is_that_of_the_first_cosine_waves_and_the_plain_one_the_textbooks(count, lag, offset):
    """The waves are those of the orthonormal cosine transform; an offset of the influences makes both errors wider."""
    x = wavy(count, lag)
    x += offset - x.mean()
    found, apart = DaySpread.of(x), x - x.mean()
    taken = fft.dct(apart, norm="ortho")[1 : found.freedom + 1]
    bias = offset**2 / (count - 1)
    assert found.days == count
    assert found.slow == pytest.approx(np.sqrt((taken**2).mean() / count + bias))
    assert found.plain == pytest.approx(np.sqrt(stats.sem(x) ** 2 + bias))
    assert found.skew == pytest.approx(stats.skew(x) / np.sqrt(count), abs=1e-12)
    assert found.lag == pytest.approx(float(apart[1:] @ apart[:-1]) / float(apart @ apart))
    assert found.freedom == min(waves(count) * (2 if found.lag < 0 else 1), count - 1)


@pytest.mark.parametrize(("days", "count"), [(2, 2), (5, 2), (10, 3), (100, 15), (365, 35)])
def test_so_many_waves_are_taken_of_so_many_days(days, count):
    assert waves(days) == count


def test_days_that_are_equal_but_not_zero_keep_what_their_offset_says():
    found = DaySpread.of(np.full(5, 0.3))
    assert (found.days, found.freedom, found.skew, found.lag) == (5, 2, 0, 0)
    assert (found.slow, found.plain) == pytest.approx((0.15, 0.15))


SPREAD = DaySpread(days=14, freedom=4, slow=0.02, plain=0.03, skew=0.0, lag=0.2)
T = stats.t.isf(ALPHA, 4)
JOHNSON = (2 * T**2 + 1) / 6


@pytest.mark.parametrize(
    ("changed", "upper", "lower"),
    [
        pytest.param({}, T * 0.02, T * 0.02, id="no skewness: Student's t of the slow error"),
        pytest.param(
            {"skew": 0.1},
            T * 0.02 + 3 * 0.1 * JOHNSON * 0.03,
            T * 0.02 - 0.5 * 0.1 * JOHNSON * 0.02,
            id="out by three times Johnson's term of the larger error, in by half of it of the smaller",
        ),
        pytest.param(
            {"skew": 0.1, "slow": 0.03, "plain": 0.02},
            T * 0.03 + 3 * 0.1 * JOHNSON * 0.03,
            T * 0.03 - 0.5 * 0.1 * JOHNSON * 0.02,
            id="whichever of them is the larger",
        ),
        pytest.param(
            {"skew": -0.1},
            T * 0.02 - 0.5 * 0.1 * JOHNSON * 0.02,
            T * 0.02 + 3 * 0.1 * JOHNSON * 0.03,
            id="a long tail below",
        ),
        pytest.param(
            {"skew": 0.02, "row_skew": 0.1},
            T * 0.02 + 3 * 0.1 * JOHNSON * 0.03,
            T * 0.02 - 0.5 * 0.02 * JOHNSON * 0.02,
            id="rows show a longer tail than the days",
        ),
        pytest.param(
            {"skew": 0.1, "row_skew": 0.06},
            T * 0.02 + 3 * 0.1 * JOHNSON * 0.03,
            T * 0.02 - 0.5 * 0.1 * JOHNSON * 0.02,
            id="a shorter one",
        ),
        pytest.param({"row_skew": 0.05}, T * 0.02, T * 0.02, id="one too short to count"),
        pytest.param(
            {"row_skew": -0.1}, T * 0.02, T * 0.02 + 3 * 0.1 * JOHNSON * 0.03, id="a long tail below, of the rows"
        ),
        pytest.param({"skew": 9.0}, T * 0.02 + 3 * 9 * JOHNSON * 0.03, 0, id="never below the figure itself"),
    ],
)
def test_a_bound_moves_out_on_the_side_of_the_long_tail_and_in_on_the_other(changed, upper, lower):
    spread = replace(SPREAD, **changed)
    assert (spread.half(ALPHA, upper=True), spread.half(ALPHA, upper=False)) == pytest.approx((upper, lower))


@pytest.mark.parametrize(("lag", "days"), [(-0.5, 14), (0.0, 14), (0.5, 14 / 3), (1.0, 0), (1.2, 0)])
def test_days_are_worth_what_their_resemblance_leaves(lag, days):
    assert replace(SPREAD, lag=lag).effective_days == pytest.approx(days)


@pytest.mark.parametrize(
    ("changed", "judged"),
    [
        ({"days": 3, "lag": 0.0}, True),
        ({"days": 2, "lag": 0.0}, False),
        ({"days": 7, "lag": 0.6}, True),  # worth 1.75
        ({"days": 7, "lag": 0.61}, False),
    ],
)
def test_three_days_that_are_worth_as_much_as_one_and_three_quarters_are_judged(changed, judged):
    assert (replace(SPREAD, **changed).why_too_few is None) is judged


def test_only_days_in_turns_are_asked_for_twice_the_waves():
    neither = DaySpread.of(np.tile([1.0, 0.0, -1.0, 0.0], 4))
    assert (neither.lag, neither.freedom) == (0, waves(16))
    assert DaySpread.of(np.tile([1.0, -0.01, -1.0, 0.0], 4)).freedom == 2 * waves(16)


@pytest.mark.parametrize(("skew", "slow", "plain"), [(0.1, 0.02, 0.03), (-0.1, 0.02, 0.03), (0.1, 0.03, 0.02)])
@pytest.mark.parametrize("alpha", [0.1, 0.05, 0.005])
def test_far_out_a_bound_is_not_made_narrower_than_at_one_in_twenty(alpha, skew, slow, plain):
    """Beyond that level each further error is the larger one, and the tail on the other side takes no more off."""
    spread = replace(SPREAD, slow=slow, plain=plain, skew=skew)
    out, near = stats.t.isf(alpha, 4), stats.t.isf(max(alpha, 0.05), 4)
    larger, smaller = max(slow, plain), min(slow, plain)
    student = near * slow + (out - near) * larger
    longer = student + 3 * 0.1 * (2 * out**2 + 1) / 6 * larger
    shorter = student - 0.5 * 0.1 * (2 * near**2 + 1) / 6 * smaller
    expected = (longer, shorter) if skew > 0 else (shorter, longer)
    assert (spread.half(alpha, upper=True), spread.half(alpha, upper=False)) == pytest.approx(expected)
