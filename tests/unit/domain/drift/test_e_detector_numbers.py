"""The e-detector's numbers on few days, worked out by hand or by the closed form of one sequence at a time."""

import math
from fractions import Fraction

import numpy as np
import pytest

from include.domain.drift import e_detector
from include.domain.drift.e_detector import lag_of, rise, rise_evidence
from include.domain.drift.sequences import t_evidence

QUIET = np.array([0.10, 0.14, 0.11, 0.16, 0.12, 0.15, 0.09, 0.13, 0.14, 0.10, 0.12, 0.16, 0.11, 0.13, 0.15, 0.12])


def worth(reference) -> float:
    lag = lag_of(np.asarray(reference))
    return (1 - lag) / (1 + lag)


def by_sequence(reference, current, worth) -> list[float]:
    """The log evidence of each start, one t test at a time."""
    reference, found, k = np.asarray(reference), [], len(reference)
    for start in range(len(current)):
        days = np.asarray(current[start:])
        n = len(days)
        squares = ((reference - reference.mean()) ** 2).sum() + ((days - days.mean()) ** 2).sum()
        effective = worth / (1 / k + 1 / n)
        t = (days.mean() - reference.mean()) / math.sqrt(squares / (k + n - 2) / effective)
        found.append(float(t_evidence(t, max(worth * (k + n) - 2, 1.0), effective, 2.0)))
    return found


@pytest.mark.parametrize("shift", [0.0, 0.02, -0.04], ids=["level", "risen", "fallen"])
@pytest.mark.parametrize("worth", [1.0, 0.5, 0.1], ids=lambda w: f"a day is worth {w}")
def test_every_start_has_the_evidence_of_its_own_t_test(shift, worth):
    current = QUIET[:6] + shift
    assert rise_evidence(QUIET, current, worth) == pytest.approx(by_sequence(QUIET, current, worth), abs=1e-9)


def test_the_evidence_of_a_day_is_summed_over_the_starts():
    current = QUIET[:6] + 0.01
    found = rise(QUIET, current, run_length_days=365)
    assert found.log_evidence == pytest.approx(
        math.log(sum(math.exp(e) for e in by_sequence(QUIET, current, worth(QUIET))))
    )
    assert (found.alarm, found.shown, found.effective_days) == (False, 0, pytest.approx(worth(QUIET) * 16))


@pytest.mark.parametrize(
    ("reference", "days", "needed"),
    [
        pytest.param(QUIET, 6, 3.0, id="far"),
        pytest.param(QUIET, 6, 0.5, id="near"),
        pytest.param(np.array([0.10, 0.11, 0.12, 0.13, 0.14]), 2, 0.02, id="hardly any freedom is left"),
    ],
)
def test_where_the_mean_lies_at_the_distance_its_own_evidence_is_what_is_needed(reference, days, needed):
    current = np.array([0.11, 0.09, 0.12, 0.10, 0.13, 0.14])[:days]
    quiet = rise(reference, current, run_length_days=1e6)
    own = rise_evidence(reference, current, worth(reference))[0]
    found = rise(reference, current, run_length_days=math.exp(needed + quiet.log_evidence - own))
    assert (found.alarm, found.shown) == (False, 0)
    assert found.share == len(reference) / (len(reference) + days)
    moved = current - current.mean() + found.usual + found.half
    assert rise_evidence(reference, moved, worth(reference))[0] == pytest.approx(needed, abs=1e-6)


def test_no_distance_is_needed_where_other_starts_have_the_evidence():
    current = np.array([0.02, 0.01, 0.02, 0.01, 0.15, 0.16])
    own, total = rise_evidence(QUIET, current, worth(QUIET))[0], rise(QUIET, current, run_length_days=1e9).log_evidence
    assert own < -1
    found = rise(QUIET, current, run_length_days=math.exp(total - own - 0.5))
    assert (found.alarm, found.half) == (False, 0.0)


def test_a_sum_that_just_reaches_the_run_length_is_an_alarm():
    current = QUIET[:6] + 0.03
    total = rise(QUIET, current, run_length_days=1e6).log_evidence
    run_length = math.exp(total)
    while math.log(run_length) < total:
        run_length = math.nextafter(run_length, math.inf)
    assert math.log(run_length) == total
    assert rise(QUIET, current, run_length_days=run_length).alarm
    assert not rise(QUIET, current, run_length_days=run_length * 1.001).alarm


@pytest.mark.parametrize(("reference", "current", "judged"), [(5, 2, True), (4, 2, False), (5, 1, False)])
def test_five_reference_days_and_two_others_are_the_fewest(reference, current, judged):
    found = rise(QUIET[:reference], QUIET[:current], run_length_days=365)
    assert (found.alarm is None) is not judged
    if not judged:
        assert (found.log_evidence, found.shown, found.half, found.share) == (-math.inf, 0, math.inf, 0.5)
        assert math.isnan(found.usual)
        assert math.isnan(found.mean)
        assert found.effective_days == pytest.approx(worth(QUIET[:reference]) * reference)


def test_days_older_than_sixty_join_the_reference_two_at_the_least():
    quiet = np.resize(QUIET, 62)
    assert rise(QUIET, quiet[:61], run_length_days=365).shown == 0
    found = rise(QUIET, quiet, run_length_days=365)
    assert found.shown == 2
    assert found.usual == pytest.approx((QUIET.sum() + 0.10 + 0.14) / 18)


def test_the_first_day_of_a_rise_is_counted_from_the_first_day_that_was_given():
    found = rise(QUIET, np.concatenate([np.resize(QUIET, 70), np.resize(QUIET, 10) + 0.1]), run_length_days=365)
    assert (found.alarm, found.since, found.shown) == (True, 70, 70)


def test_older_days_that_are_an_alarm_themselves_do_not_join():
    found = rise(QUIET, np.concatenate([np.full(20, 0.3), np.resize(QUIET, 60)]), run_length_days=365)
    assert found.shown < 20
    assert found.usual == pytest.approx(QUIET.mean())


@pytest.mark.parametrize("unit", [1.0, 1e-6], ids=["a loss of a tenth", "a loss of ten millionths"])
@pytest.mark.parametrize(
    ("reference", "at_most"),
    [
        pytest.param([0.1] * 29 + [0.15], 0.1 + 1.5 * 0.05, id="half as far again as the worst day"),
        pytest.param([0.1, 0.2] * 5, 0.15 + 4 * 0.05 * math.sqrt(10 / 9), id="four standard deviations"),
        pytest.param([0.1] * 10, 9.0, id="without limit after days that are all equal"),
        pytest.param([0.0] * 10, 9.0, id="without limit after days without any loss"),
    ],
)
def test_no_day_counts_as_more_than(reference, at_most, unit):
    found = rise(np.array(reference) * unit, np.array([9.0, 9.0]) * unit, run_length_days=1e9)
    assert found.mean == pytest.approx(at_most * unit)


def test_days_without_any_spread_have_finite_evidence():
    risen, fallen = (rise_evidence(np.full(10, 0.1), np.full(3, level), 1.0) for level in (0.2, 0.05))
    assert np.isfinite(risen).all()
    assert (risen > 5).all()
    assert (fallen < 0).all()


@pytest.mark.parametrize(
    ("days", "lag"),
    [
        pytest.param([1, 2, 3], Fraction(3, 10), id="three days say nothing"),
        pytest.param([0, 1, 1, 0], Fraction(42, 180), id="-1/4 on four days, corrected to 0"),
        pytest.param([0, 1, 1, 0, 0], Fraction(55, 190), id="1/30 on five days, corrected to 0.26"),
        pytest.param([1, 2, 3, 4, 5], Fraction(87, 190), id="0.4 on five days, corrected to more than 0.9"),
        pytest.param([0, 1, 0, 1, 0, 1], Fraction(42, 200), id="a day unlike its neighbours counts once"),
        pytest.param([0, 1, 1, 1, 1, 1, 0], Fraction(8, 35), id="-2/35 on seven days, corrected to 3/35"),
        pytest.param([7, 7, 7, 7, 7, 7], Fraction(3, 10), id="equal days say nothing"),
        pytest.param([0, 0, 0, 0, 0, 0], Fraction(3, 10), id="nor do days without a loss"),
    ],
)
def test_the_lag_of_few_days_is_corrected_for_its_bias_and_drawn_towards_the_prior(days, lag):
    assert lag_of(np.array(days, float)) == pytest.approx(float(lag), abs=1e-12)


def test_the_lag_does_not_depend_on_how_small_the_days_differ():
    pattern = np.array([0, 1, 1, 0, 0.0])
    assert lag_of(0.1 + 1e-6 * pattern) == pytest.approx(55 / 190, abs=1e-6)
    assert [lag_of(np.full(n, 1e-8)) for n in range(4, 40)] == [e_detector.PRIOR_LAG] * 36
