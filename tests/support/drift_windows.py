"""Windows of features, and what drift says of one against another."""

import numpy as np
import pandas as pd

from include.domain.drift.input_drift import DriftRules, input_drift
from include.domain.drift.profile import FeatureKind, count_window
from include.domain.drift.reference import build_profile

DAYS = [f"2013-05-{d:02d}" for d in range(1, 31)]


def columns(rows, features, seed, *, shifted_by_sd=0.0, shifted=0):
    values = np.random.default_rng(seed).normal(size=(rows, features))
    values[:, :shifted] += shifted_by_sd
    return pd.DataFrame(values, columns=[f"x{i}" for i in range(features)])


def numeric_kinds(frame):
    return dict.fromkeys(frame.columns, FeatureKind.NUMERIC)


def judged(reference, current, kinds=None, *, importances=None, **rules):
    profile = build_profile(reference, kinds or numeric_kinds(reference))
    return input_drift(profile, count_window(profile, current), DriftRules(**rules), importances=importances)


def one(reference, current, kind, **options):
    return judged(pd.DataFrame({"x": reference}), pd.DataFrame({"x": current}), {"x": kind}, **options).features[0]


def weather(days, rows, rng, shift=0.0):
    """Rows of one day share its weather: the day's mean moves by half a standard deviation."""
    level = rng.normal(0, 0.5, days) + shift
    return pd.DataFrame({"temp": (level[:, None] + rng.normal(size=(days, rows))).ravel()})
