"""A request is its keys and its event time: one entity may be asked about every hour.

Whether a station's level will be high is asked each hour, for two stations. What was high an hour ago mostly is not
now, so a label or an answer that lands on another hour of its station is seen at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from feature_world import CALENDAR, READINGS, days, naive
from invariants import check_invariants
from journey_world import LENIENT, MODEL, JourneyWorld, at, journey_world, key

from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore
from include.config import declarations
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows import tasks
from include.workflows.drift import reference, sensor
from include.workflows.evidence import shadow_window
from include.workflows.explain import consistency
from include.workflows.journey.step import Journey
from include.workflows.scoring import request_ids

STATIONS = ("north", "south")
AHEAD = {
    "name": "station_ahead",
    "description": "The next hour of each station, and its last level.",
    "owner": "sensors",
    "calendar": CALENDAR,
    "keys": ["station"],
    "ttl": "3h",
    "columns": [{"name": "last_level"}],
    "carries": [],
    "source": [{"table": "readings", "time": "read_at", "known": "known_at", "lookback": "1h"}],
    "quality": {
        "expectations": [
            {"expectation": "expect_column_values_to_be_between", "kwargs": {"column": "last_level", "min_value": -100}}
        ]
    },
}
AHEAD_SQL = """
SELECT station, level AS last_level, read_at + INTERVAL 1 HOUR AS event_time, known_at AS available_time
FROM readings, interval_ WHERE read_at + INTERVAL 1 HOUR >= start AND read_at + INTERVAL 1 HOUR < "end"
"""
HIGH_SQL = """
SELECT station, CASE WHEN level > 0 THEN 'late' ELSE 'on_time' END AS label, read_at AS event_time,
       known_at AS available_time
FROM readings
"""
HIGH = {
    "description": "Will the level be high in the next hour?",
    "entity": {"view": "station_ahead", "lead": "15m"},
    "label": {
        **MODEL["label"],
        "delay": "1h",
        "source": [{"table": "readings", "time": "read_at", "known": "known_at"}],
    },
    "views": [{"view": "station_ahead", "features": ["last_level"]}],
    "gates": LENIENT,
    "shadow": {**MODEL["shadow"], "min_rows": 50, "min_days": 2, "disagreement": [0.0, 0.5]},
    "drift": {**MODEL["drift"], "performance": {**MODEL["drift"]["performance"], "min_rows": 20}},
}


def swings(number: int) -> Iterator[tuple[str, int, float]]:
    """Station, hour and level of a day: a high level is followed by a low one nine times in ten."""
    rng = np.random.default_rng(number)
    for station in STATIONS:
        sign = 1.0
        for hour in range(24):
            sign = -sign if rng.random() < 0.9 else sign
            yield station, hour, float(sign * (1 + rng.random()))


def fill(world: JourneyWorld, first: int, end: int) -> None:
    readings = []
    for number in range(first, end):
        for station, hour, level in swings(number):
            made = naive(at(number, hour))
            known = made + timedelta(minutes=30)
            readings.append({"station": station, "read_at": made, "level": level, "known_at": known})
    world.insert(READINGS, readings)


def next_day(world: JourneyWorld, number: int) -> None:
    fill(world, number, number + 1)
    staged = tasks.materialize("station_ahead", key(number), {}, f"features-{number}", at(number + 1))
    assert tasks.audit(staged, at(number + 1))["passed"]
    tasks.publish(staged, {})
    world.score(number)


@pytest.fixture
def world(published_days, tmp_path, mlflow_server) -> Iterator[JourneyWorld]:
    """A world whose champion has served two days of 48 requests for two entities."""
    with journey_world(published_days, tmp_path, mlflow_server.url) as made:
        made.remove(READINGS, READINGS.c.station != "")
        fill(made, 1, 16)
        made.declare_view(AHEAD, AHEAD_SQL)
        made.declare(made.model, HIGH_SQL, **HIGH)
        made.materialize("station_ahead", days(1, 16))
        made.champion_id = made.first_champion().candidate_id
        for number in (13, 14):
            made.score(number)
        yield made
        check_invariants(made)


def truth(start: int, end: int) -> pd.Series:
    """The label of each hour of each station, by station and hour."""
    return pd.Series(
        {
            (station, pd.Timestamp(at(number, hour))): float(level > 0)
            for number in range(start, end)
            for station, hour, level in swings(number)
        }
    )


def log(world: JourneyWorld, start: int, end: int, candidate_id: str) -> pd.DataFrame:
    rows = OfflineStore(settings().store).read_predictions(world.model, Interval(at(start), at(end)), candidate_id)
    return rows.to_pandas().set_index(["station", "event_time"]).sort_index()


def test_every_hour_is_a_request_of_its_own(world):
    rows = log(world, 13, 15, world.champion_id)
    assert len(rows) == 2 * 48
    assert rows["request_id"].is_unique
    assert rows["request_id"].loc["north"].iloc[5] == "north|2024-03-13T05:00:00Z"


def test_losses_are_of_each_hour_s_own_label(world):
    model = declarations().model(world.model)
    with Ledger.open(settings().ledger_url) as ledger:
        epoch = ledger.deployments.champion_at(world.model, at(13))
    losses, cohorts, _ = reference.matured(model, epoch, Interval(at(15), at(16)))
    rows = log(world, 13, 15, world.champion_id)
    brier = (rows["score"] - truth(13, 15).reindex(rows.index)) ** 2
    by_hand = brier.groupby(rows.index.get_level_values("event_time").strftime("%Y-%m-%d")).mean()
    assert {each.day: each.mean for each in losses} == pytest.approx(by_hand.to_dict())
    assert [(each.day, each.rows, each.labelled) for each in cohorts] == [
        ("2024-03-13", 48, 48),
        ("2024-03-14", 48, 48),
    ]


def test_the_shadow_window_compares_hour_by_hour(world):
    journey = world.open("second", 14)
    assert world.to_shadow(journey)
    for number in (16, 17):
        next_day(world, number)
    challenger = str(journey["candidate_id"])
    with Ledger.open(settings().ledger_url) as ledger:
        window = ledger.shadow.window(challenger)
        model = declarations().model(world.model)
        evidence = shadow_window._evidence(Journey(model, ledger.candidates.get(challenger), ledger), window)
    assert evidence.asked == len(evidence.champion) == len(evidence.challenger) == 2 * 48
    ours, theirs = (log(world, 16, 18, each) for each in (world.champion_id, challenger))
    assert sorted(evidence.champion) == sorted(ours["score"])
    apart = np.sort(np.abs(evidence.champion - evidence.challenger))
    assert apart == pytest.approx(np.sort(np.abs(ours["score"] - theirs["score"])))
    by_hand = (ours["score"] - truth(16, 18).reindex(ours.index)) ** 2
    assert np.sort((evidence.champion - evidence.y) ** 2) == pytest.approx(np.sort(by_hand))


def test_drift_and_consistency_read_every_request_once(world):
    made = sensor.measure(world.model, "2024-03-14", "drift")
    with Ledger.open(settings().ledger_url) as ledger:
        report = ledger.drift.get(made["report_id"]).report
    assert report["rows"] == 48
    found = consistency.check(world.model, Interval(at(13), at(15)))
    assert (found.is_consistent, found.requests, found.unserved, found.unknown) == (True, 2 * 48, 0, 0)


def test_composite_keys_never_share_an_id_and_times_are_exact(world, monkeypatch):
    model = declarations().model(world.model)
    view = declarations().view("station_ahead").model_copy(update={"keys": ["a", "b"]})
    monkeypatch.setitem(declarations().views, "station_ahead", view)
    moments = pd.to_datetime(["2024-03-14T05:00:00Z", "2024-03-14T05:00:00.000001Z"], utc=True, format="ISO8601")
    rows = pd.DataFrame({"a": ["x|y", "x"], "b": ["z", "y|z"], "event_time": moments})
    assert request_ids.request_ids(model, rows) == [
        "x%7Cy|z|2024-03-14T05:00:00Z",
        "x|y%7Cz|2024-03-14T05:00:00.000001Z",
    ]
    assert request_ids.request_ids(model, rows.iloc[:0]) == []
    whole = pd.DataFrame({"a": [7.0, 8.0], "b": [1, 2], "event_time": moments})
    assert request_ids.request_ids(model, whole)[0] == "7|1|2024-03-14T05:00:00Z"
    halves = whole.assign(a=[7.5, 8.0])
    assert request_ids.request_ids(model, halves)[1] == "8|2|2024-03-14T05:00:00.000001Z"
