"""A feature without a value says why: late, past its ttl, or keys that never meet, for the view that it is of."""

from __future__ import annotations

import json

import pytest
from feature_world import STATION_LEVEL, STATION_LEVEL_SQL, TRIP_PLAN, TRIP_PLAN_SQL, World, days, filled_world

from include.cli import main
from include.config import loader
from include.domain.gates import TrainingDataRules, TrainingDataSummary, training_data_gate
from include.workflows.scoring import nearest_rows

world = filled_world(1, 6)
WINDOW = days(2, 5)


def cause(world: World, view: str = "station_level") -> str:
    known = world.declared
    return nearest_rows.near(known.model("trip_late"), known.view(view), WINDOW, known).cause


def declare_level(world: World, sql: str = STATION_LEVEL_SQL, **changes: object) -> None:
    world.declare_view(STATION_LEVEL, sql, **changes)
    for view in ("trip_plan", "station_level"):
        world.materialize(view, days(1, 6))


def test_what_is_answered_shows_the_row_before_and_the_row_after(world):
    declare_level(world)
    known = world.declared
    found = nearest_rows.near(known.model("trip_late"), known.view("station_level"), WINDOW, known)
    one = next(each for each in found.nearest if each.asked.hour == 6 and each.asked.day == 3)
    assert one.outcome(found.ttl) == "answers"
    assert one.before is not None
    assert (one.before.event.hour, one.before.available.hour, one.before.available.minute) == (5, 5, 30)
    assert one.after is not None
    assert (one.after.event.hour, one.after.available.hour, one.after.available.minute) == (6, 6, 30)


@pytest.mark.parametrize(
    ("right", "wrong", "changes", "told"),
    [
        pytest.param(
            "WHERE reading.read_at >= start",
            "WHERE date_part('hour', reading.read_at) = 0 AND reading.read_at >= start",
            {},
            "the newest known row was past its ttl:",
            id="past its ttl",
        ),
        pytest.param(
            "SELECT reading.station,",
            "SELECT upper(reading.station) AS station,",
            {},
            "its keys never meet those of 'trip_plan': station is string such as",
            id="keys in capitals",
        ),
        pytest.param(
            "any_value(reading.level) AS level, avg(past.level)",
            "CAST(NULL AS DOUBLE) AS level, CAST(any_value(NULL) AS DOUBLE)",
            {"quality": {**STATION_LEVEL["quality"], "max_null_share": {}}},
            "are answered by a row, which holds no value itself",
            id="rows without a value",
        ),
    ],
)
def test_the_cause_is_named_with_the_days_that_have_rows(world, right, wrong, changes, told):
    declare_level(world, STATION_LEVEL_SQL.replace(right, wrong), **changes)
    said = cause(world)
    assert said.startswith("it has ")
    assert "5 days from 2024-03-01 to 2024-03-05" in said
    assert told in said


def test_rows_that_are_known_after_they_are_asked_for_are_told_by_how_much(world):
    late = TRIP_PLAN_SQL.replace("known_at AS available_time", "starts_at + INTERVAL 1 HOUR AS available_time")
    world.declare_view(TRIP_PLAN, late)
    world.materialize("trip_plan", days(1, 6))
    assert cause(world, "trip_plan") == (
        "it has 18 rows on 3 days from 2024-03-02 to 2024-03-04, and 18 of 18 requests that were looked at were asked "
        "before any row was available, by 3h in the median; compare available_time in features.sql and delay with lead"
    )


def test_keys_that_differ_in_capitals_are_said_to(world):
    declare_level(world, STATION_LEVEL_SQL.replace("reading.station,", "upper(reading.station) AS station,", 1))
    assert "they differ in upper case or blanks only; cast or trim one of them in its SQL" in cause(world)


def test_the_gate_names_the_view_and_the_cause():
    counted = TrainingDataSummary(
        9,
        9,
        2,
        {"level": 1.0, "mean": 1.0, "order": 0.0},
        empty_because=dict.fromkeys(("level", "mean"), "view 'v': late"),
    )
    found = training_data_gate(TrainingDataRules(min_rows=1), counted)
    reason = next(each.reason for each in found.criteria if each.criterion == "empty features")
    assert reason == "No value at all in level, mean (view 'v': late)."


def test_the_command_says_it_for_each_view_and_ends_with_1_where_one_answers_none(world, monkeypatch, capsys):
    declare_level(world, STATION_LEVEL_SQL.replace("reading.station,", "upper(reading.station) AS station,", 1))
    monkeypatch.setattr(loader, "ROOT", world.root / "declared")
    loader.declarations.cache_clear()
    try:
        world.declare_model(training={"window_days": 2, "holdout_days": 2, "min_rows": 5})
        assert main(["why", "trip_late", "--as-of", "2024-03-06T12:00", "--rows", "2"]) == 1
        said = capsys.readouterr().out
        assert main(["why", "trip_late", "--as-of", "2024-03-06T12:00", "--json"]) == 1
        data = json.loads(capsys.readouterr().out)
    finally:
        loader.declarations.cache_clear()
    assert "trip_plan: 12 of 12 requests that were looked at are answered." in said
    assert "station_level: 0 of 12 requests that were looked at are answered." in said
    assert "they differ in upper case or blanks only" in said
    assert said.count("nearest before") == 4
    assert [each["answered"] for each in data["views"]] == [12, 0]
