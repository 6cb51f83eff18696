"""The e-detector of the daily loss: what it promises on quiet years, and what it finds at any age."""

import numpy as np
import pytest
from scipy import stats

from include.domain.drift.e_detector import expected_loss, lag_of, rise
from include.domain.drift.sequences import t_evidence

RUN_LENGTH = 1460.0
REFERENCE, STARTS = 14, 60


def days(rng: np.random.Generator, count: int, *, lag: float = 0.0, kind: str = "normal") -> np.ndarray:
    z = np.empty(count)
    z[0] = rng.standard_normal()
    for i in range(1, count):
        z[i] = lag * z[i - 1] + np.sqrt(1 - lag * lag) * rng.standard_normal()
    if kind == "skewed":
        z = (np.exp(0.8 * z) - np.exp(0.32)) / np.sqrt((np.exp(0.64) - 1) * np.exp(0.64))
    if kind == "weekly":
        z = z + (np.arange(count) % 7 >= 5)
    if kind == "t3":
        z = z / np.sqrt(rng.chisquare(3, count))
    return 0.15 + 0.02 * z


def first_alarm(losses: np.ndarray, look_every: int = 3) -> int | None:
    """The day of the first alarm after the reference, older days joining it; looked at every third day."""
    for end in range(REFERENCE + 2, len(losses) + 1, look_every):
        begin = max(REFERENCE, end - STARTS)
        if rise(losses[:begin], losses[begin:end], run_length_days=RUN_LENGTH).alarm:
            return end - REFERENCE
    return None


UNCHANGED = [(0.0, "normal"), (0.3, "normal"), (0.5, "normal"), (0.3, "weekly"), (0.0, "skewed"), (0.3, "t3")]


@pytest.mark.parametrize(
    ("lag", "kind", "years"),
    [
        # Skewed days come nearest to one alarm a year: fewer years would not tell it from two.
        *((lag, kind, 40 if kind == "skewed" else 12) for lag, kind in UNCHANGED),
        *(pytest.param(lag, kind, 80, marks=pytest.mark.slow) for lag, kind in UNCHANGED),
    ],
)
def test_a_model_that_does_not_change_raises_at_most_one_alarm_a_year(lag, kind, years):
    rng = np.random.default_rng([7, int(10 * lag), len(kind)])
    alarmed = sum(first_alarm(days(rng, REFERENCE + 365, lag=lag, kind=kind)) is not None for _ in range(years))
    # One alarm a year on average is a share of 1 - 1/e with any; twice that is 0.86, which would break the bound.
    one_a_year = 1 - np.exp(-1.0)
    assert alarmed <= stats.binom.ppf(0.99, years, one_a_year)
    assert alarmed < stats.binom.ppf(0.01, years, 1 - np.exp(-2.0))


def found_within(fortnight: int, age: int, rise_by: float) -> float:
    rng = np.random.default_rng([11, age])
    hits = 0
    for _ in range(60):
        losses = days(rng, REFERENCE + age + fortnight)
        losses[REFERENCE + age :] += 0.02 * rise_by
        end = len(losses)
        begin = max(REFERENCE, end - STARTS)
        hits += bool(rise(losses[:begin], losses[begin:end], run_length_days=RUN_LENGTH).alarm)
    return hits / 60


def test_a_champion_of_two_years_is_watched_at_least_as_sharply_as_a_new_one():
    new, old = found_within(14, 0, 3.0), found_within(14, 730, 3.0)
    assert old >= 0.9
    assert old >= 0.9 * new
    assert found_within(14, 730, 1.5) >= 0.9


def test_the_change_point_is_the_first_day_of_the_rise():
    rng = np.random.default_rng(3)
    off = []
    for _ in range(40):
        losses = days(rng, 14 + 50)
        losses[14 + 40 :] += 0.06
        off.append(abs(rise(losses[:14], losses[14:], run_length_days=RUN_LENGTH).since - 40))
    assert np.median(off) <= 1


def test_one_catastrophic_day_is_no_alarm():
    rng = np.random.default_rng(5)
    losses = days(rng, 44)
    losses[-1] = 5.0
    assert rise(losses[:14], losses[14:], run_length_days=RUN_LENGTH).alarm is False


def test_a_fall_is_no_rise():
    losses = days(np.random.default_rng(6), 44)
    losses[24:] -= 0.1
    assert rise(losses[:14], losses[14:], run_length_days=RUN_LENGTH).alarm is False


@pytest.mark.parametrize(("reference", "current"), [(4, 30), (14, 1), (0, 0)])
def test_too_few_days_are_not_judged(reference, current):
    found = rise(np.full(reference, 0.1), np.full(current, 0.2), run_length_days=RUN_LENGTH)
    assert found.alarm is None
    assert found.since is None


def test_independent_days_give_the_evidence_of_the_closed_form():
    from include.domain.drift import e_detector

    rng = np.random.default_rng(9)
    reference, current = rng.normal(0, 1, 20), np.clip(rng.normal(0.5, 0.3, 12), None, 1.0)
    found = e_detector.rise_evidence(reference, current, worth=1.0)[0]
    pooled = (((reference - reference.mean()) ** 2).sum() + ((current - current.mean()) ** 2).sum()) / 30
    effective = 1 / (1 / 20 + 1 / 12)
    t = (current.mean() - reference.mean()) / np.sqrt(pooled / effective)
    assert found == pytest.approx(t_evidence(t, 30, effective, e_detector.SCALE), abs=1e-9)


def test_the_lag_is_found_where_there_are_days_enough():
    rng = np.random.default_rng(10)
    for lag in (0.0, 0.5):
        assert lag_of(days(rng, 2000, lag=lag)) == pytest.approx(lag, abs=0.06)


def test_the_expected_loss_is_the_loss_on_average():
    rng = np.random.default_rng(12)
    p = rng.dirichlet([1, 2, 3], 200_000)
    y = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)
    brier = ((p - np.eye(3)[y]) ** 2).sum(axis=1) / 2
    assert brier.mean() == pytest.approx(expected_loss("brier", p).mean(), rel=0.01)
    assert -np.log(p[np.arange(len(p)), y]).mean() == pytest.approx(expected_loss("log_loss", p).mean(), rel=0.01)
    assert (p.argmax(axis=1) != y).mean() == pytest.approx(expected_loss("error", p).mean(), rel=0.01)
    assert expected_loss("mae", p) is None
