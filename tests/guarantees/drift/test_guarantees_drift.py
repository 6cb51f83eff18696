"""What docs/statistics.md, 1 and docs/statistics.md, 3 promise, measured: fixed seeds, defaults, binomial bounds.

A rate that is promised to be at most p is taken as kept when as many alarms, or more, would come in more than one of a
thousand repetitions of an honest test.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from include.domain.drift.input_drift import DriftRules, input_drift
from include.domain.drift.profile import FeatureKind, count_window
from include.domain.drift.reference import build_profile
from include.domain.drift.sequences import bernstein_evidence, t_evidence

pytestmark = pytest.mark.slow

Q = 0.05


def at_most(rate, runs):
    return stats.binom.isf(0.001, runs, rate)


def kinds_of(frame):
    return {n: FeatureKind.NUMERIC if frame[n].dtype.kind == "f" else FeatureKind.CATEGORICAL for n in frame.columns}


# --- no drift, exchangeable rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("truly_drifted", [0, 30])
def test_of_300_features_the_share_of_false_alarms_is_at_most_q(truly_drifted):
    """Key one alone, the floor being as good as off: the second key can only take alarms away."""
    rng = np.random.default_rng(1)
    names = [f"x{i}" for i in range(300)]
    shares = []
    for _ in range(6):
        profile = build_profile(
            pd.DataFrame(rng.normal(size=(4000, 300)), columns=names), dict.fromkeys(names, FeatureKind.NUMERIC)
        )
        for _ in range(6):
            values = rng.normal(size=(1000, 300))
            values[:, :truly_drifted] += 0.4
            found = input_drift(
                profile,
                count_window(profile, pd.DataFrame(values, columns=names)),
                rules=DriftRules(effect_at_least=1e-9),
            )
            alarms = [f.drifted for f in found.features]
            shares.append(sum(alarms[truly_drifted:]) / max(sum(alarms), 1))
            assert sum(alarms[:truly_drifted]) >= 0.9 * truly_drifted
    bound = Q + 3 * np.std(shares) / math.sqrt(len(shares)) if truly_drifted else at_most(Q, 36) / 36
    assert np.mean(shares) <= bound


def a_sensor(rows, rng):
    """Every awkward sort of column at once: heavy tails, mostly missing, few and many categories, a rare one, ties."""
    categories = {
        f"c{k}": rng.choice(np.array([f"v{i}" for i in range(k)]), rows, p=weights)
        for k, weights in ((k, 1 / np.arange(1, k + 1) / (1 / np.arange(1, k + 1)).sum()) for k in (5, 50, 500, 2000))
    }
    return pd.DataFrame(
        {
            "normal": rng.normal(size=rows),
            "cauchy": rng.standard_cauchy(rows),
            "lognormal": np.exp(3 * rng.normal(size=rows)),
            "missing": np.where(rng.random(rows) < 0.4, np.nan, rng.normal(size=rows)),
            "ties": np.round(rng.exponential(1.0, rows)),
            **categories,
        }
    )


@pytest.mark.parametrize(("rows", "references", "windows"), [(500, 20, 10), (5000, 10, 10), (500_000, 1, 4)])
def test_the_whole_sensor_is_quiet_at_its_rate_whatever_the_columns(rows, references, windows):
    rng = np.random.default_rng(rows)
    alarms = 0
    for _ in range(references):
        reference = a_sensor(max(rows, 10_000), rng)
        profile = build_profile(reference, kinds_of(reference))
        for _ in range(windows):
            found = input_drift(profile, count_window(profile, a_sensor(rows, rng)))
            assert not found.drifted
            # Of 50 categories more than half of few rows have a rare value; so they have of more categories.
            assert {f.name for f in found.blind} <= {"c50", "c500", "c2000"}
            alarms += any(f.drifted for f in found.features)
    assert alarms <= at_most(Q, references * windows)


def rounded_up_to(edges):
    """The chance that a rounded exponential is below each edge."""
    whole = np.ceil(edges)
    return np.where(whole >= 1, -np.expm1(0.5 - np.maximum(whole, 1)), 0.0)


BELOW = {
    "normal": stats.norm.cdf,
    "cauchy": stats.cauchy.cdf,
    "lognormal": stats.lognorm(3).cdf,
    "missing": stats.norm.cdf,
    "ties": rounded_up_to,
}
"""By numeric column of ``a_sensor``, the chance of a value below each edge."""


def drawn_again(profile, rows, rng):
    """The same sensor, whose bins are drawn by their true chances: as exchangeable rows are counted, without them."""
    features = []
    for feature in profile.features:
        if feature.kind is FeatureKind.NUMERIC:
            missing = 0.4 if feature.name == "missing" else 0.0
            bins = np.diff(BELOW[feature.name](np.array(feature.edges)), prepend=0.0, append=1.0) * (1 - missing)
        else:
            weights = 1 / (1 + np.array([int(c.removeprefix("v")) for c in feature.categories]))
            missing, bins = 0.0, weights / weights.sum()
        *counts, gone = rng.multinomial(rows, np.append(np.maximum(bins, 0.0), missing))
        features.append(replace(feature, counts=tuple(map(int, counts)), missing=int(gone), windows=()))
    return replace(profile, rows=rows, features=tuple(features))


@pytest.mark.parametrize("rows", [500, 5000, 500_000])
def test_key_one_alone_keeps_the_rate_of_the_whole_sensor_whatever_the_columns(rows):
    """Four hundred windows, the floor being as good as off: where nothing drifts any alarm at all is a false one."""
    rng = np.random.default_rng(rows + 1)
    frame = a_sensor(100_000, rng)
    frame["c2000"] = rng.permutation(np.arange(100_000) % 2000)
    frame["c2000"] = "v" + frame["c2000"].astype(str)  # every category is named, so none is unseen
    like = build_profile(frame, kinds_of(frame))
    alarms = 0
    for _ in range(20):
        profile = drawn_again(like, max(rows, 20_000), rng)
        for _ in range(20):
            found = input_drift(profile, drawn_again(like, rows, rng), rules=DriftRules(effect_at_least=1e-9))
            alarms += any(f.drifted for f in found.features)
    assert alarms <= at_most(Q, 400)


def test_with_correlated_rows_the_whole_sensor_is_quiet_at_twice_its_rate_once_it_knows_ordinary_days():
    """Rows of one day share its level, in every one of ten features."""
    rng = np.random.default_rng(2)
    names, days = [f"x{i}" for i in range(10)], [f"2013-05-{d:02d}" for d in range(1, 31)]

    def of_days(count):
        level = np.repeat(rng.normal(0, 0.4, (count, 10)), 400, axis=0)
        return pd.DataFrame(level + rng.normal(size=level.shape), columns=names)

    alarms = 0
    for _ in range(15):
        profile = build_profile(of_days(30), dict.fromkeys(names, FeatureKind.NUMERIC), days=list(np.repeat(days, 400)))
        for _ in range(10):
            alarms += any(f.drifted for f in input_drift(profile, count_window(profile, of_days(1))).features)
    assert alarms <= at_most(2 * Q, 150)


# --- power ------------------------------------------------------------------------------------------------------------


def fifty(rows, rng):
    return pd.DataFrame(rng.normal(size=(rows, 50)), columns=[f"x{i}" for i in range(50)])


def shifted_by_a_fifth(frame, rng):
    frame["x0"] += 0.2


def five_percent_missing(frame, rng):
    frame.loc[rng.random(len(frame)) < 0.05, "x1"] = np.nan


def five_points_more(frame, rng):
    frame["flag"] = rng.random(len(frame)) < 0.25


@pytest.mark.parametrize(
    ("change", "name"), [(shifted_by_a_fifth, "x0"), (five_percent_missing, "x1"), (five_points_more, "flag")]
)
def test_a_change_in_one_of_fifty_features_is_found_at_five_thousand_rows(change, name):
    rng = np.random.default_rng(3)
    reference = fifty(20_000, rng)
    reference.loc[rng.random(20_000) < 0.01, "x1"] = np.nan
    reference["flag"] = rng.random(20_000) < 0.2
    kinds = {n: FeatureKind.BOOLEAN if n == "flag" else FeatureKind.NUMERIC for n in reference.columns}
    profile = build_profile(reference, kinds)
    found = 0
    for _ in range(40):
        current = fifty(5000, rng)
        current.loc[rng.random(5000) < 0.01, "x1"] = np.nan
        current["flag"] = rng.random(5000) < 0.2
        change(current, rng)
        drift = {f.name: f.drifted for f in input_drift(profile, count_window(profile, current)).features}
        found += drift[name] is True
    assert found >= 0.95 * 40


def test_a_shift_of_a_fiftieth_in_a_million_rows_is_no_alarm():
    rng = np.random.default_rng(4)
    profile = build_profile(pd.DataFrame({"x": rng.normal(size=1_000_000)}), {"x": FeatureKind.NUMERIC})
    for _ in range(3):
        current = count_window(profile, pd.DataFrame({"x": rng.normal(0.02, 1, 1_000_000)}))
        feature = input_drift(profile, current).features[0]
        assert feature.adjusted_p < 1e-6
        assert feature.drifted is False


# --- at any time ------------------------------------------------------------------------------------------------------

LOOKS = 10_000
RUNS = 300
ALPHA = 0.05


def test_a_sequence_of_bounded_losses_is_ever_wrong_at_most_alpha_of_the_times_over_ten_thousand_looks():
    """A look after each matured row. Where the mean is hardly above the truth the evidence is far from 1/alpha."""
    rng = np.random.default_rng(5)
    logged = 2 * math.log(1 / ALPHA)
    rho = 1000 * 0.16 / (logged + math.log1p(logged))
    wrong = 0
    for _ in range(RUNS):
        losses = (rng.random(LOOKS) < 0.2).astype(float)
        count = np.arange(1, LOOKS + 1)
        total = np.cumsum(losses - 0.2)
        guess = np.concatenate([[0.5], np.cumsum(losses)[:-1] / count[:-1]])
        variance = np.cumsum((losses - guess) ** 2)
        suspect = np.flatnonzero(total > 1.8 * np.sqrt(variance))
        wrong += any(bernstein_evidence(total[i], variance[i], rho) >= -math.log(ALPHA) for i in suspect)
    assert wrong <= at_most(ALPHA, RUNS)


def test_a_sequence_of_days_is_ever_wrong_at_most_alpha_of_the_times_over_ten_thousand_looks():
    """The reference's own uncertainty, of fourteen days, is in it."""
    rng = np.random.default_rng(6)
    wrong = 0
    for _ in range(RUNS):
        past, days = rng.normal(size=14), rng.normal(size=LOOKS)
        count = np.arange(1, LOOKS + 1)
        mean = np.cumsum(days) / count
        spread = ((past - past.mean()) ** 2).sum() + np.cumsum(days**2) - count * mean**2
        freedom, effective = 14 + count - 2, 1 / (1 / 14 + 1 / count)
        t = (mean - past.mean()) / np.sqrt(spread / freedom / effective)
        # One-sided evidence is at most 2 exp(t^2 / 2 (f + 1) / f): below 2.0 it cannot be twenty.
        wrong += any(
            t_evidence(float(t[i]), float(freedom[i]), float(effective[i]), 1.0) >= -math.log(ALPHA)
            for i in np.flatnonzero(t > 2.0)
        )
    assert wrong <= at_most(ALPHA, RUNS)


# --- faults -----------------------------------------------------------------------------------------------------------


def test_f106_a_weekend_is_held_against_weekends():
    """Half as many commuters on Saturdays and Sundays: no drift, on any day of eight further weeks; a Tuesday like a
    Sunday is."""
    rng = np.random.default_rng(7)
    days = pd.date_range("2013-01-07", periods=84).strftime("%Y-%m-%d").tolist()

    def traffic(names, as_weekday=None):
        weekday = [pd.Timestamp(d).weekday() if as_weekday is None else as_weekday for d in names]
        level = np.repeat(np.where(np.array(weekday) >= 5, -1.0, 0.0) + rng.normal(0, 0.05, len(names)), 300)
        return pd.DataFrame({"commuters": level + rng.normal(size=len(level))})

    profile = build_profile(traffic(days), {"commuters": FeatureKind.NUMERIC}, days=list(np.repeat(days, 300)))
    later = pd.date_range("2013-04-01", periods=56).strftime("%Y-%m-%d").tolist()
    alarms = sum(
        bool(input_drift(profile, count_window(profile, traffic([d])), rules=DriftRules(day=d)).features[0].drifted)
        for d in later
    )
    assert alarms <= at_most(Q, 56)
    tuesdays = [d for d in later if pd.Timestamp(d).weekday() == 1]
    found = [
        input_drift(profile, count_window(profile, traffic([d], as_weekday=6)), rules=DriftRules(day=d))
        .features[0]
        .drifted
        for d in tuesdays
    ]
    assert all(found)
    blind = [
        input_drift(profile, count_window(profile, traffic([d], as_weekday=6))).features[0].drifted for d in tuesdays
    ]
    assert not all(blind)  # held against all days a Sunday's traffic on a Tuesday would pass
