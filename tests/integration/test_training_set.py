"""Training sets and scoring rows on a small source: what was known when, which labels count, and the same bytes
again."""

from __future__ import annotations

from pathlib import Path

import pytest
from feature_world import (
    READINGS,
    RESULTS,
    STATION_LEVEL,
    STATION_LEVEL_SQL,
    TRIP_LATE_SQL,
    TRIP_PLAN,
    TRIPS,
    World,
    a_world,
    at,
    day,
    days,
    naive,
)

from include.adapters.offline_store import OfflineStore, TableMissing
from include.adapters.point_in_time import LabelGivenTwice
from include.config.settings import settings
from include.workflows.features.staged import NotAudited
from include.workflows.features.staging import DefinitionChanged
from include.workflows.features.view_rows import ViewRowsWrong
from include.workflows.journey import fact_files, facts
from include.workflows.journey.facts import TrainingSet
from include.workflows.scoring import point_in_time_rows, training_sets
from include.workflows.scoring.matured_labels import BadLabels
from include.workflows.scoring.training_sets import TrainingSetDamaged

LATER = at(20)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = a_world(tmp_path, monkeypatch)
    made.fill(1, 6)
    for view in ("trip_plan", "station_level"):
        made.materialize(view, days(1, 6))
    return made


def build(world: World, interval=None, as_of=LATER, **options) -> TrainingSet:
    declared = world.declared
    return training_sets.build(declared.model("trip_late"), interval or days(2, 6), as_of, declared=declared, **options)


def frame(made: TrainingSet):
    return training_sets.read(made).to_pandas().set_index("trip_id")


def test_every_row_carries_what_was_available_two_hours_before_its_trip(world):
    row = frame(build(world)).loc["03-2"]  # starts at 08:00, asked at 06:00: the reading of 05:00 was known at 05:30
    assert row["prediction_time"] == at(3, 6)
    assert (row["level"], row["label"]) == (30 + 5 + 100, "on_time")
    assert row["mean_level_3h"] == pytest.approx(30 + 4 + 100)


def test_the_columns_are_keys_times_features_and_label_in_the_models_order(world):
    rows = training_sets.read(build(world))
    assert rows.column_names == [
        "trip_id",
        "event_time",
        "prediction_time",
        "station",
        "order",
        "level",
        "mean_level_3h",
        "label",
    ]
    assert rows.column("event_time").to_pylist() == sorted(rows.column("event_time").to_pylist())


def test_a_cancelled_trip_is_counted_as_never_labelled_and_is_no_row(world):
    made = build(world)
    assert (made.rows, made.never_labelled, made.not_matured) == (4 * 5, 4, 0)
    assert made.label_counts == {"on_time": 12, "late": 8}
    assert "03-5" not in frame(made).index


def test_only_cohorts_whose_window_closed_count(world):
    # At 12:00 of day 5 a trip that started by 06:00 has closed (6 h); one that started at 08:00 has landed and not
    # closed.
    made = build(world, days(5, 6), as_of=at(5, 12))
    assert list(frame(made).index) == ["05-0", "05-1"]
    # Trips whose prediction is due only after 12:00 are not there at all; the third and fourth have not closed.
    assert (made.never_labelled, made.not_matured) == (0, 2)


def test_a_label_known_only_after_the_as_of_time_is_not_a_label_yet(world):
    world.change(RESULTS, RESULTS.c.trip_id == "03-1", known_at=naive(at(10)))
    assert "03-1" not in frame(build(world, as_of=at(9))).index
    assert "03-1" in frame(build(world, as_of=at(11))).index


def test_scoring_rows_are_the_training_rows_without_their_label(world):
    declared = world.declared
    scored = point_in_time_rows.features_for(
        declared.model("trip_late"), days(2, 6), LATER, declared=declared
    ).to_pandas()
    trained = frame(build(world))
    assert len(scored) == 24  # the cancelled ones too: nobody knew
    both = scored.set_index("trip_id").loc[trained.index]
    assert both.equals(trained.drop(columns="label"))


def test_a_row_is_scored_only_once_its_prediction_is_due(world):
    declared = world.declared
    due = point_in_time_rows.features_for(declared.model("trip_late"), day(3), at(3, 6), declared=declared)
    assert due.column("trip_id").to_pylist() == [
        "03-0",
        "03-1",
        "03-2",
    ]  # asked two hours before 01:00, 04:30 and 08:00


def test_the_same_request_gives_the_same_bytes_even_after_new_publishes(world):
    first = build(world)
    bytes_then = Path(first.path).read_bytes()
    Path(first.path).unlink()
    world.change(READINGS, READINGS.c.station == "north", level=5.0)
    world.materialize("station_level", days(1, 6), "run-2")
    pinned = build(world, versions=first.table_versions)
    assert pinned == first
    assert Path(pinned.path).read_bytes() == bytes_then
    newest = build(world)
    assert newest.content_hash != first.content_hash
    assert newest.table_versions["station_level"] > first.table_versions["station_level"]


def test_f003_a_training_set_does_not_depend_on_how_the_days_were_published(world, tmp_path, monkeypatch):
    bulk = build(world)
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    for number in (4, 1, 5, 2, 3):
        world.materialize("station_level", day(number))
        world.materialize("trip_plan", day(number))
    assert build(world).content_hash == bulk.content_hash


def test_a_row_past_its_ttl_counts_as_missing_and_its_trip_stays(world):
    world.remove(READINGS, READINGS.c.read_at >= naive(at(4)), READINGS.c.read_at < naive(at(5)))
    world.materialize("station_level", day(4), "run-2")
    made = build(world)
    assert made.rows == 20
    rows = frame(made)
    # The last reading is of 23:00 on day 3, fresh for three hours: only the trip at 01:00, asked at 23:00, still has
    # the one of 22:00.
    assert rows["level"].loc[["04-0", "04-1", "04-2"]].isna().tolist() == [False, True, True]


def test_an_entity_nobody_ever_saw_has_missing_features(world):
    late_plan = {
        "trip_id": "03-x",
        "starts_at": naive(at(3, 9)),
        "station": "süd",
        "order": 0.0,
        "known_at": naive(at(2)),
    }
    world.insert(TRIPS, [late_plan])
    result = {"trip_id": "03-x", "starts_at": naive(at(3, 9)), "outcome": "late", "known_at": naive(at(3, 11))}
    world.insert(RESULTS, [result])
    world.materialize("trip_plan", day(3), "run-2")
    row = frame(build(world)).loc["03-x"]
    assert row[["level", "mean_level_3h"]].isna().all()


def test_what_the_spine_did_not_know_in_time_is_missing_even_in_its_own_row(world):
    world.change(TRIPS, TRIPS.c.trip_id == "03-2", known_at=naive(at(3, 7)))  # planned after it was asked about
    world.materialize("trip_plan", day(3), "run-2")
    row = frame(build(world)).loc["03-2"]
    assert row[["station", "order", "level"]].isna().all()  # without a station, there is no level to look up


def test_an_interval_without_events_is_a_training_set_without_rows(world):
    made = build(world, day(15))
    assert (made.rows, made.label_counts, made.first_event) == (0, {"on_time": 0, "late": 0}, None)
    assert training_sets.read(made).column_names[-1] == "label"


def test_a_view_that_was_never_published_is_missing(world):
    world.declare_view(STATION_LEVEL, STATION_LEVEL_SQL, version=2)
    views = [
        {"view": "trip_plan", "features": ["station"]},
        {"view": "station_level", "version": 2, "features": ["level"]},
    ]
    world.declare_model(views=views)
    with pytest.raises(TableMissing, match=r"station_level/v2\. Materialize"):
        build(world)


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        pytest.param(
            TRIP_LATE_SQL.replace("outcome AS", "'lost' AS"),
            BadLabels,
            "Label 'label' has 'lost' .* the classes are: on_time, late",
            id="class",
        ),
        pytest.param(TRIP_LATE_SQL.replace("AS label", "AS lable"), BadLabels, "does not give label", id="column"),
        pytest.param(
            TRIP_LATE_SQL.replace("known_at AS", "known_at::TIMESTAMP AS"), BadLabels, "TIMESTAMPTZ", id="zone"
        ),
        pytest.param(f"{TRIP_LATE_SQL} UNION ALL {TRIP_LATE_SQL}", LabelGivenTwice, "several labels", id="twice"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(world, sql, error, message):
    world.declare_model(sql)
    with pytest.raises(error, match=message):
        build(world)


def test_a_number_that_is_no_number_is_no_label_of_a_regression(world):
    changes = {
        "task": "regression",
        "label": {"name": "x", "delay": "6h", "source": [{"table": "results", "time": "starts_at"}]},
        "gates": {
            "threshold_gate": {"criteria": [{"metric": "mae", "at_most": 9}]},
            "champion_gate": {"comparisons": [{"metric": "mae", "margin": 1}], "beat_baseline_on": "mae"},
        },
        "drift": {"performance": {"metric": "mae", "tolerance": 1}},
    }
    world.declare_model(TRIP_LATE_SQL.replace("outcome AS", "CAST('nan' AS DOUBLE) AS"), **changes)
    with pytest.raises(BadLabels, match="20 labels are NaN or infinite"):
        build(world)


def test_a_file_that_was_changed_is_not_trained_on(world):
    made, other = build(world), build(world, days(3, 6))
    Path(made.path).write_bytes(Path(other.path).read_bytes())
    with pytest.raises(TrainingSetDamaged, match="not what was built"):
        training_sets.read(made)
    Path(made.path).write_bytes(b"")
    with pytest.raises(TrainingSetDamaged, match="Build it again"):
        training_sets.read(made)


def test_what_is_known_of_a_set_survives_its_file(world):
    made = build(world)
    fact_files.write(world.root, facts.TrainingSets(made, made))
    assert fact_files.read(world.root, facts.TrainingSets).holdout == made
    assert (
        OfflineStore(settings().store).current_version(world.declared.view("trip_plan"))
        == made.table_versions["trip_plan"]
    )


# --- keys of two types -----------------------------------------------------------------------------------------------


TRIPS_BY_NUMBER = """
SELECT CAST(replace(trip_id, '-', '') AS BIGINT) AS trip_id, station, "order", starts_at AS event_time,
       known_at AS available_time
FROM trips, interval_ WHERE starts_at >= start AND starts_at < "end"
"""
LEVEL_BY_TRIP = """
SELECT {key} AS trip_id, "order" AS level, "order" AS mean_level_3h, starts_at AS event_time,
       known_at AS available_time
FROM trips, interval_ WHERE starts_at >= start AND starts_at < "end"
"""


def by_trip(world: World, key: str) -> None:
    """The trips keyed by number, and a second view that keys them as ``key`` says; labels keyed by text."""
    world.declare_view(TRIP_PLAN, TRIPS_BY_NUMBER, version=2)
    source = TRIP_PLAN["source"]
    view = {**STATION_LEVEL, "keys": ["trip_id"], "ttl": "9d", "source": source, "version": 2}
    expectation = {"expectation": "expect_column_values_to_be_between", "kwargs": {"column": "level", "min_value": 0}}
    quality = {"expectations": [expectation]}
    world.declare_view({**view, "quality": quality}, LEVEL_BY_TRIP.format(key=key))
    uses = [
        {"view": "trip_plan", "version": 2, "features": ["station", "order"]},
        {"view": "station_level", "version": 2, "features": ["level", "mean_level_3h"]},
    ]
    key_as_text = "SELECT CAST(CAST(replace(trip_id, '-', '') AS INT) AS VARCHAR) trip_id"
    sql = TRIP_LATE_SQL.replace("SELECT trip_id", key_as_text)
    world.declare_model(sql, views=uses)
    for name in ("trip_plan", "station_level"):
        world.materialize(name, days(1, 6), "keyed")


NUMBER = "CAST(replace(trip_id, '-', '') AS INT)"


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(f"CAST({NUMBER} AS VARCHAR)", id="text"),
        pytest.param(f"CAST({NUMBER} AS DOUBLE)", id="double"),
        pytest.param(f"CAST({NUMBER} AS DECIMAL(9, 2))", id="decimal"),
        pytest.param(NUMBER, id="integer"),
    ],
)
def test_f201_a_number_is_the_same_key_in_every_type_for_views_and_labels(world, key):
    by_trip(world, key)
    made = build(world)
    rows = frame(made)
    assert made.rows == 20
    assert rows["level"].equals(rows["order"].rename("level"))
    assert made.key_remarks == ()


def test_f201_a_key_that_cannot_be_of_the_requests_type_matches_nothing_and_is_told(world, capsys):
    by_trip(world, f"CASE WHEN trip_id LIKE '%-0' THEN 'GUEST-' || trip_id ELSE CAST({NUMBER} AS VARCHAR) END")
    made = build(world)
    assert frame(made)["level"].isna().sum() == 4, "the first trip of each day"
    (remark,) = made.key_remarks
    assert remark.startswith(
        "5 of 29 rows of view 'station_level' have a trip_id that view 'trip_plan', whose trip_id is int64, cannot "
        "have, for example 'GUEST-01-0'; they match nothing."
    )
    assert remark in capsys.readouterr().out
    rows = point_in_time_rows.features_for(world.declared.model("trip_late"), day(3), LATER, declared=world.declared)
    assert rows.num_rows == 6
    assert "GUEST" in capsys.readouterr().out, "whoever scores is told as well"


def test_f201_keys_without_a_common_value_are_refused_with_both_views_the_key_and_a_value(world):
    by_trip(world, "starts_at")
    with pytest.raises(
        point_in_time_rows.KeysNotComparable,
        match=r"cannot join view 'station_level' to view 'trip_plan': the key 'trip_id' is int64 in view 'trip_plan' "
        r"and timestamp\[us, tz=UTC\] in view 'station_level', for example '2024-03-",
    ):
        build(world)


def test_a_key_as_a_double_past_2_to_the_53_is_not_published(world):
    with pytest.raises(ViewRowsWrong, match=r"the key 'trip_id' is double and has 30 values .* past 2\^53"):
        by_trip(world, f"CAST({NUMBER} + 9007199254740993 AS DOUBLE)")


def test_a_key_that_is_no_number_counts_as_missing_before_the_gate(world):
    with pytest.raises(NotAudited, match="30 missing key values: trip_id on 2024-03-01"):
        by_trip(world, "'NaN'::DOUBLE")


def test_training_uses_no_row_before_serving_could_have_had_it(tmp_path, monkeypatch):
    """The reading of 05:00 is known at 05:30. A view that promises its rows within 61 minutes gives a trip asked at
    06:00 the reading of 04:00, because the other could first be counted on at 06:01."""
    world = a_world(tmp_path, monkeypatch)
    world.declare_view(STATION_LEVEL, STATION_LEVEL_SQL, delay="61m")
    world.fill(1, 6)
    for view in ("trip_plan", "station_level"):
        world.materialize(view, days(1, 6))
    assert frame(build(world)).loc["03-2", "level"] == 30 + 4 + 100
    world.declare_view(STATION_LEVEL, STATION_LEVEL_SQL, delay="60m", version=2)
    world.declare_model(
        views=[
            {"view": "trip_plan", "features": ["station", "order"]},
            {"view": "station_level", "version": 2, "features": ["level", "mean_level_3h"]},
        ]
    )
    world.materialize("station_level", days(1, 6), run_id="run-2")
    assert frame(build(world)).loc["03-2", "level"] == 30 + 5 + 100


def test_a_changed_delay_changes_what_is_learned_and_needs_a_new_version(world):
    world.declare_view(STATION_LEVEL, STATION_LEVEL_SQL, delay="61m")
    with pytest.raises(DefinitionChanged, match="Raise version to 2"):
        world.materialize("station_level", days(1, 2), run_id="again")
