"""Small tables with a turn in them, and simulations of a policy over them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd

from include.domain.simulation.outcome import PolicyKind, PolicyOutcome
from include.workflows.simulation.run import Simulation, range_of, simulate
from include.workflows.simulation.settings import TableModel, declared_for, variants
from include.workflows.simulation.stream import Columns, from_frame
from include.workflows.simulation.yardsticks import Yardsticks

ROWS_A_DAY = 60
ESTIMATOR = "sklearn.linear_model.LogisticRegression"
KINDS = {"a": "numeric", "b": "numeric"}
ALONE = Yardsticks((), 0, hindsight=False)
"""The declared policy beside never retraining: the others cost more fits than it does."""
EAGER = [
    "drift.performance.min_rows=100",
    "drift.performance.tolerance=0.02",
    "drift.retrain.cooldown_days=3",
    "shadow.min_rows=100",
    "gates.champion_gate.comparisons.0.margin=0.02",
]


def a_table(days: int, *, turns_on: int | None = None, useless_from: int | None = None, seed: int = 3) -> pd.DataFrame:
    """``y`` follows ``a``; from the day ``turns_on`` on the other way round, from ``useless_from`` on no more."""
    rng = np.random.default_rng(seed)
    n = days * ROWS_A_DAY
    a, b = rng.standard_normal((2, n))
    day = np.arange(n) // ROWS_A_DAY
    slope = np.where(day < (days if turns_on is None else turns_on), 2.0, -2.0)
    slope = np.where(day < (days if useless_from is None else useless_from), slope, 0.0)
    y = (rng.random(n) < 1 / (1 + np.exp(-slope * a))).astype(int)
    t = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n) * 86_400 // ROWS_A_DAY, unit="s")
    return pd.DataFrame({"t": t, "a": a, "b": b, "y": y})


def simulated(
    table: pd.DataFrame, *settings: str, yardsticks: Yardsticks = ALONE, price: float | None = 0.0, delay_days: int = 2
) -> Simulation:
    past = from_frame(table, Columns("t", "y"), KINDS, classifier=True)
    given = TableModel(ESTIMATOR, {}, "y", timedelta(days=delay_days), train_days=20, holdout_days=7)
    model = declared_for(given, past.stream)
    changed = {s.partition("=")[0]: s for s in (*EAGER, *settings)}
    chosen = variants(model, [list(changed.values())], None)[1]
    stream = past.delayed(model.label.delay)
    interval = range_of(stream, chosen.model, None, None)
    return simulate("a table", [chosen], lambda _: stream, interval, yardsticks=replace(yardsticks, price=price))


def policy(found: Simulation, kind: PolicyKind) -> PolicyOutcome:
    return next(p for p in found.policies if p.kind is kind)
