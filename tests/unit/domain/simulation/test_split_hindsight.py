"""Hindsight that does not profit from the noise it chose by."""

import numpy as np
import pytest

from include.domain.simulation.split_hindsight import cheapest_course

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
