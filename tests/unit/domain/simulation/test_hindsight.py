"""Hindsight that does not profit from the noise it chose by."""

import numpy as np
import pytest

from include.domain.simulation.hindsight import HalvedDays, cheapest_course

MODELS, DAYS = 8, 200
ALWAYS = np.zeros(MODELS, dtype=np.intp)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(10.0, 1.0, (MODELS, DAYS))


def test_equal_models_cost_in_hindsight_what_one_of_them_costs():
    costs = [cheapest_course(noise(2 * s), noise(2 * s + 1), ALWAYS, price=0.0, dwell_days=1).loss for s in range(20)]
    assert np.mean(costs) == pytest.approx(10.0 * DAYS, rel=0.005)


def test_chosen_and_judged_by_the_same_rows_equal_models_look_far_better_than_they_are():
    same = noise(1)
    assert cheapest_course(same, same, ALWAYS, price=0.0, dwell_days=1).loss < 0.9 * 10.0 * DAYS


@pytest.mark.parametrize("dwell", [1, 7, 30])
def test_every_model_stays_for_the_days_it_must(dwell):
    served = cheapest_course(noise(3), noise(4), ALWAYS, price=0.0, dwell_days=dwell).served
    edges = np.flatnonzero(np.diff(served)) + 1
    assert len(edges)
    assert np.diff([*edges, DAYS]).min() >= dwell


def test_no_model_serves_before_its_first_day():
    losses = np.full((2, 100), 5.0)
    losses[1] = 1.0
    served = cheapest_course(losses, losses, np.array([0, 60]), price=2.0, dwell_days=5).served
    assert np.flatnonzero(served == 1).tolist() == list(range(60, 100))


def test_a_gain_below_the_price_is_left():
    losses = np.full((2, 100), 5.0)
    losses[1] = 4.9
    assert cheapest_course(losses, losses, ALWAYS[:2], price=11.0).switches == 0
    assert cheapest_course(losses, losses, ALWAYS[:2], price=8.0).switches == 1


def halved(losses: np.ndarray, days: int, rows_a_day: int) -> HalvedDays:
    """From ``(models, rows)``, every other row in either half."""
    even = np.arange(losses.shape[1]) % 2 == 0
    daily = [(losses * half).reshape(len(losses), days, rows_a_day).sum(axis=2) for half in (~even, even)]
    rows = [half.reshape(days, rows_a_day).sum(axis=1).astype(float) for half in (~even, even)]
    return HalvedDays(*daily, *rows)


@pytest.mark.parametrize("rows_a_day", [1, 2, 3, 40])
def test_equal_models_of_few_rows_a_day_cost_in_hindsight_what_one_of_them_costs(rows_a_day):
    rng, days = np.random.default_rng(5), 120
    ratios = []
    for _ in range(30):
        rows = rng.exponential(1.0, (MODELS, days * rows_a_day))
        ratios.append(halved(rows, days, rows_a_day).course(ALWAYS, price=0.0).loss / (days * rows_a_day))
    error = np.std(ratios) / np.sqrt(len(ratios))
    assert abs(np.mean(ratios) - 1.0) < 4 * error
    assert 4 * error < 0.2


def test_a_course_that_never_leaves_the_first_model_costs_what_that_model_costs():
    rows = np.random.default_rng(2).exponential(1.0, (1, 600))
    found = halved(rows, 60, 10).course(np.array([0]), price=1.0)
    assert found.loss == pytest.approx(rows.sum())
    assert found.switches == 0


def test_what_a_switch_gains_is_read_off_the_even_rows():
    rows = np.full((2, 400), 3.0)
    rows[1, 1::2] = 1.0  # the odd rows choose the second model
    rows[1, ::2] = 2.0
    found = halved(rows, 40, 10).course(np.array([0, 20]), price=1.0)
    assert found.served.tolist() == [0] * 20 + [1] * 20
    assert found.loss == pytest.approx(3.0 * 400 - 1.0 * 200)


def test_a_stay_whose_labels_are_all_of_one_half_is_judged_by_that_half():
    losses = np.full((1, 20), 3.0)
    none, some = np.zeros(20), np.full(20, 2.0)
    assert HalvedDays(losses, np.zeros((1, 20)), some, none).course(np.array([0]), price=0.0).loss == 60.0
    assert HalvedDays(np.zeros((1, 20)), np.zeros((1, 20)), none, none).course(np.array([0]), price=0.0).loss == 0.0
