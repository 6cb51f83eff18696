"""The e-detector on what a cheap correction gains."""

import numpy as np
import pytest

from include.domain.drift.gain_detector import DaySums, GainDetector, corrected, correction, day_sums, overdispersion

ROWS = 200


def a_day(
    rng: np.random.Generator, *, effect: float = 1.0, noise: float = 1.0, shock: float = 0.0, shift: float = 0.0
) -> DaySums:
    """A champion that answers ``x0``, on a day whose labels follow ``effect`` of it."""
    x = rng.standard_normal((ROWS, 3)) + shift
    answer = x[:, 0]
    y = effect * x[:, 0] + shock * rng.standard_normal() + noise * rng.standard_normal(ROWS)
    return day_sums(np.column_stack([np.ones(ROWS), answer, x]), y - answer)


def told(days, **kw) -> GainDetector:
    detector = GainDetector(1460.0, **kw)
    for day in days:
        detector.add(day)
    return detector


def test_a_change_of_effect_is_found_within_days_and_dated():
    rng = np.random.default_rng(1)
    days = [a_day(rng) for _ in range(60)]
    assert told(days).alarm is False
    days += [a_day(rng, effect=0.4) for _ in range(8)]
    found = told(days)
    assert found.alarm is True
    assert 57 <= found.since <= 62


def test_harder_rows_that_no_input_explains_are_no_alarm():
    rng = np.random.default_rng(2)
    days = [a_day(rng) for _ in range(40)] + [a_day(rng, noise=2.0) for _ in range(60)]
    assert told(days).alarm is False


def test_inputs_that_move_without_the_concept_are_no_alarm():
    rng = np.random.default_rng(3)
    days = [a_day(rng, shift=np.sin(i / 30)) for i in range(200)]
    assert told(days).alarm is False


@pytest.mark.parametrize("lag", [0.0, 0.5])
@pytest.mark.parametrize(("years", "at_most"), [(4, 2), pytest.param(12, 7, marks=pytest.mark.slow)])
def test_days_that_differ_and_resemble_their_neighbours_raise_at_most_one_alarm_a_year(lag, years, at_most):
    rng = np.random.default_rng([4, int(10 * lag)])
    alarmed = 0
    for _ in range(years):
        shocks = np.empty(365)
        shocks[0] = rng.standard_normal()
        for i in range(1, 365):
            shocks[i] = lag * shocks[i - 1] + np.sqrt(1 - lag * lag) * rng.standard_normal()
        detector = GainDetector(1460.0, sways=[a_day(rng, shock=0.15).sway for _ in range(30)])
        for shock in shocks:
            x = rng.standard_normal((50, 3))
            residual = 0.3 * shock + rng.standard_normal(50)
            detector.add(day_sums(np.column_stack([np.ones(50), x]), residual))
            if detector.alarm:
                alarmed += 1
                break
    # One alarm a year would be 2.5 of 4, and 7.6 of 12; twice that 10.4.
    assert alarmed <= at_most


def test_what_the_champions_own_rows_ask_for_is_no_news():
    rng = np.random.default_rng(5)
    learned = [a_day(rng, effect=1.5) for _ in range(30)]
    later = [a_day(rng, effect=1.5) for _ in range(60)]
    assert told(later).alarm is True
    assert told(later, known=correction(learned)).alarm is False


def test_corrected_sums_are_the_sums_of_corrected_residuals():
    rng = np.random.default_rng(6)
    z, r, known = rng.standard_normal((50, 4)), rng.standard_normal(50), rng.standard_normal((4, 1))
    found, direct = corrected(day_sums(z, r), known), day_sums(z, r - (z @ known)[:, 0])
    assert found.b == pytest.approx(direct.b)
    assert found.squares == pytest.approx(direct.squares)


def test_no_correction_can_be_judged_on_the_first_days():
    rng = np.random.default_rng(7)
    assert told([a_day(rng) for _ in range(3)]).alarm is None
    assert told([]).since is None


def test_the_state_is_bounded_by_the_starts_and_not_by_the_days():
    rng = np.random.default_rng(8)
    detector = told([a_day(rng) for _ in range(400)])
    assert len(detector._starts) <= 30 + 120 // 4


def test_independent_rows_are_not_overdispersed():
    rng = np.random.default_rng(9)
    assert overdispersion([a_day(rng).sway for _ in range(200)]) == pytest.approx(1.1, abs=0.3)
    assert overdispersion([a_day(rng, shock=0.3).sway for _ in range(200)]) > 10
