"""A light world whose model answers ahead: its trips are known a day before they start."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pandas as pd
from feature_world import STATION_LEVEL, STATION_LEVEL_SQL, TRIP_PLAN, TRIP_PLAN_SQL
from journey_world import NOW, at
from light_world import LightWorld
from sqlalchemy import update

from include.adapters.ledger.tables import partitions
from include.config import declarations, loader
from include.domain.intervals import Interval
from include.workflows import stores, tasks
from include.workflows.features import staging
from include.workflows.scoring import ahead

SCORE = {"ahead": "1d", "every": "1h"}


def answers_ahead(world: LightWorld, **score: Any) -> None:
    """The model answers ahead from now on, and its views are as if they had always been declared for it."""
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL, ahead="2d", delay="1s", stream={"every": "1s"})
    world.declare_view(STATION_LEVEL, STATION_LEVEL_SQL, delay="30m", stream={"every": "10s"})
    world.declare(world.model, score={**SCORE, **score})
    with world.held.ledger.database.engine.begin() as connection:
        for view in declarations().views.values():
            changed = update(partitions).where(partitions.c.view == view.name)
            connection.execute(changed.values(code_hash=staging.definition(view)))
    loader.declarations.cache_clear()


def runs_of(first: datetime, end: datetime) -> list[datetime]:
    """The answer times in ``[first, end)``: half past each hour, when the readings of the full hour are known."""
    return [moment.to_pydatetime() for moment in pd.date_range(first, end, freq="1h", inclusive="left")]


def answer(world: LightWorld, moments: Iterable[datetime], run_id: str = "runs") -> dict[str, Any]:
    """The runs of these moments, all at once."""
    return ahead.score_ahead(world.model, list(moments), run_id)


def answer_hour(world: LightWorld, moment: datetime, run_id: str = "hour") -> dict[str, Any]:
    """One run of the Dag."""
    return dict(tasks.score_ahead(world.model, moment.strftime("%Y-%m-%dT%H:%M:%S"), {}, run_id, NOW))


def fill(world: LightWorld, first: int, end: int) -> None:
    """The source learns the trips, readings and results of the days; nothing is published."""
    world.fill_days(first, end)


def log_of(world: LightWorld, day: int, role: str = "served") -> pd.DataFrame:
    """The day's answers in the prediction log, by request."""
    rows = stores.offline_store().read_predictions(world.model, Interval.of_day(at(day).date()))
    assert rows is not None
    frame = rows.to_pandas()
    return frame[frame["role"] == role].set_index("trip_id")


def given_ahead(world: LightWorld, day: int) -> pd.DataFrame:
    """Every answer that was given ahead to rows of the day, in the order of the runs."""
    rows = stores.ahead_tables().read(world.model, Interval.of_day(at(day).date()), at(day - 2))
    assert rows is not None
    return rows.to_pandas()
