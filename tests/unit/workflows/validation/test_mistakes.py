"""What people write wrongly, and what they read then: each mistake is named with its file, its line, its value, what is
allowed and a way out, and nothing has run.

Every case changes one place of declarations that are right, and that a source with tables and without a row answers.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from include.workflows.validation import declared

SOURCE = """
CREATE TABLE trips (trip_id TEXT, station TEXT, weight REAL, starts_at TIMESTAMP, known_at TIMESTAMP, photo BLOB);
CREATE TABLE readings (station TEXT, read_at TIMESTAMP, level REAL, known_at TIMESTAMP);
CREATE TABLE results (trip_id TEXT, starts_at TIMESTAMP, outcome TEXT, known_at TIMESTAMP);
"""
TRIP_VIEW = """\
name: trip_plan
description: The trips planned for a day.
owner: planning
calendar: {starts: 2024-03-01, cron: "0 0 * * *"}
keys: [trip_id]
ttl: 1d
columns:
  - {name: station, kind: categorical}
  - {name: weight}
source:
  - {table: trips, time: starts_at, known: known_at}
quality:
  max_null_share: {weight: 0.1}
  expectations:
    - expectation: expect_column_values_to_be_in_set
      kwargs: {column: station, value_set: [north, south]}
    - expectation: expect_column_values_to_be_between
      kwargs: {column: weight, min_value: 0, max_value: 100}
"""
TRIP_SQL = """\
-- One row per planned trip.
SELECT
    trips.trip_id,
    trips.station,
    trips.weight,
    trips.starts_at AS event_time,
    trips.known_at AS available_time
FROM trips
CROSS JOIN interval_
WHERE trips.starts_at >= interval_.start AND trips.starts_at < interval_."end"
"""
LEVEL_VIEW = """\
name: station_level
description: The level of each station.
owner: sensors
calendar: {starts: 2024-03-01}
keys: [station]
ttl: 3h
columns:
  - {name: level}
source:
  - {table: readings, time: read_at, known: known_at, lookback: 3h}
quality:
  expectations:
    - expectation: expect_column_values_to_not_be_null
      kwargs: {column: level}
"""
LEVEL_SQL = """\
SELECT
    readings.station,
    readings.level,
    readings.read_at AS event_time,
    readings.known_at AS available_time
FROM readings
CROSS JOIN interval_
WHERE readings.read_at >= interval_.start AND readings.read_at < interval_."end"
"""
MODEL = """\
name: trip_late
description: Will a trip be late? Asked two hours before it starts.
task: binary
owners: {model: m, data: d, on_call: o}
entity:
  view: trip_plan
  lead: 2h
label:
  name: late
  delay: 6h
  classes: [on_time, late]
  source:
    - {table: results, time: starts_at, known: known_at}
views:
  - view: trip_plan
    features: [station, weight]
  - view: station_level
    features: [level]
estimator:
  path: sklearn.linear_model.LogisticRegression
  params: {max_iter: 200}
  impute: true
training:
  window_days: 10
  holdout_days: 7
  min_rows: 5
  schedule: "0 6 1 * *"
gates:
  threshold_gate:
    criteria:
      - {metric: roc_auc, at_least: 0.6}
  champion_gate:
    comparisons: [{metric: brier, margin: 0.01}]
    beat_baseline_on: brier
  slice_gate: {by: [station], metric: brier}
shadow:
  min_rows: 5
  min_days: 1
  max_days: 3
  disagreement: [0.001, 0.2]
  p99_delta_at_most: 0.5
drift:
  performance: {metric: brier, tolerance: 0.01}
"""
LABEL_SQL = """\
SELECT
    results.trip_id,
    results.outcome AS label,
    results.starts_at AS event_time,
    results.known_at AS available_time
FROM results
"""
VIEW, SQL = "features/trip_plan/view.yaml", "features/trip_plan/features.sql"
YAML, LABEL = "models/trip_late/model.yaml", "models/trip_late/label.sql"
RIGHT = {
    VIEW: TRIP_VIEW,
    SQL: TRIP_SQL,
    "features/station_level/view.yaml": LEVEL_VIEW,
    "features/station_level/features.sql": LEVEL_SQL,
    YAML: MODEL,
    LABEL: LABEL_SQL,
}
LINEAR = "sklearn.linear_model.LogisticRegression"

IN_SQL = [
    pytest.param(
        SQL, "trips.weight,", "trips.wieght AS weight,",
        ":5: no column 'wieght' is there; trips has: trip_id, station, weight, starts_at, known_at. "
        "Did you mean 'weight'?",
        id="a column that no table has",
    ),
    pytest.param(
        SQL, "FROM trips", "FROM trip",
        ":8: the table 'trip' is not declared; source of view.yaml has: trips, and every query may read interval_. "
        "Did you mean 'trips'?",
        id="a table that is not declared",
    ),
    pytest.param(
        SQL, "FROM trips", "FROM sales.trips",
        ":8: the table 'sales.trips' is not declared",
        id="a table of another schema",
    ),
    pytest.param(
        SQL, "    trips.weight,\n", "",
        ":1: it gives no 'weight', which is declared; it gives: trip_id, station, event_time, available_time.",
        id="a declared column that is not given",
    ),
    pytest.param(
        SQL, "    trips.weight,\n", "    trips.weight,\n    trips.known_at AS seen,\n",
        ":6: it gives a column 'seen', which view.yaml does not declare; declared are: trip_id, station, weight, "
        "event_time, available_time. Leave it out, or declare it in columns or carries.",
        id="a column that is not declared",
    ),
    pytest.param(
        SQL, "    trips.weight,\n", "    trips.weight,\n    trips.weight * 2,\n",
        ":6: it gives a column",
        id="a column without a name",
    ),
    pytest.param(
        SQL, "    trips.starts_at AS event_time,\n", "",
        ":1: it gives no 'event_time', which dates each row; it gives: trip_id, station, weight, available_time.",
        id="no event time",
    ),
    pytest.param(
        SQL, "AS event_time", "AS evnt_time",
        ":6: it gives no 'event_time', which dates each row; it gives: trip_id, station, weight, evnt_time, "
        "available_time. Did you mean 'evnt_time'?",
        id="a misspelt event time",
    ),
    pytest.param(
        SQL, "trips.starts_at AS event_time", "CAST(trips.starts_at AS DATE) AS event_time",
        ":6: event_time is date32[day]; it must be a TIMESTAMPTZ: write (CAST(column AS TIMESTAMP)) AT TIME ZONE 'UTC'",
        id="a date where a time belongs",
    ),
    pytest.param(
        SQL, "trips.starts_at AS event_time", "CAST(trips.starts_at AS TIMESTAMP) AS event_time",
        ":6: event_time is a time without a zone; it must be a TIMESTAMPTZ: write column AT TIME ZONE 'UTC' AS",
        id="a time without a zone",
    ),
    pytest.param(
        SQL, "trips.weight,", "trips.station AS weight,",
        ":5: 'weight' is text, and is declared numeric; write CAST(... AS DOUBLE), or declare another kind.",
        id="text for a number",
    ),
    pytest.param(
        SQL, "trips.station,", "trips.weight AS station,",
        ":4: 'station' is double, and is declared categorical; write CAST(... AS VARCHAR), or declare another kind.",
        id="a number for a category",
    ),
    pytest.param(
        SQL, "    trips.station,\n", "    trips.station,\n    trips.station,\n",
        ":4: it gives 'station' twice; give each column once.",
        id="a column given twice",
    ),
    pytest.param(
        SQL, '"end"\n', '"end";\n\nSELECT 1\n',
        ":12: it has 2 statements, the second begins here; write one SELECT.",
        id="two statements",
    ),
    pytest.param(
        SQL, "trips.known_at AS available_time", "now() AS available_time",
        ":7: now() gives another result in another run; every time comes from the rows or interval_.",
        id="the clock, as a function",
    ),
    pytest.param(
        SQL, 'interval_."end"', 'interval_."end"\n    AND trips.known_at < current_timestamp',
        ":11: current_timestamp gives another result in another run",
        id="the clock, as a word",
    ),
    pytest.param(
        SQL, "trips.weight,", "trips.weight + random() AS weight,",
        ":5: random() gives another result in another run",
        id="chance",
    ),
    pytest.param(
        SQL, "FROM trips\n", "FROM trips TABLESAMPLE 10%\n",
        ":8: a sample of rows gives another result in another run",
        id="a sample",
    ),
    pytest.param(
        SQL, "    trips.weight,\n", "    trips.weight\n",
        ":6: syntax error at or near \".\"; write one SELECT that DuckDB can parse.",
        id="a forgotten comma",
    ),
    pytest.param(
        SQL, TRIP_SQL, "DELETE FROM trips\n",
        ":1: it does something else than to select; write one SELECT.",
        id="a statement that changes rows",
    ),
    pytest.param(SQL, TRIP_SQL, "-- later\n", ":1: it has no statement; write one SELECT.", id="nothing yet"),
    pytest.param(
        SQL, "trips.weight,", "ruond(trips.weight) AS weight,",
        ":5: DuckDB has no function 'ruond'. Did you mean 'round'?",
        id="a misspelt function",
    ),
    pytest.param(
        SQL, "FROM trips\n", "FROM trips\nCROSS JOIN read_csv('/etc/passwd') AS other\n",
        ":9: DuckDB says: Cannot access file",
        id="a file of the machine",
    ),
    pytest.param(
        SQL, "trips.weight,", "octet_length(trips.photo) AS weight,",
        ":5: no column 'photo' is there",
        id="a column of a type that cannot be read",
    ),
    pytest.param(
        LABEL, "AS label", "AS lable",
        ":3: it gives no 'label', which is declared; it gives: trip_id, lable, event_time, available_time. "
        "Did you mean 'lable'?",
        id="a label of another name",
    ),
    pytest.param(
        LABEL, "results.outcome", "results.outcom",
        ":3: no column 'outcom' is there; results has: trip_id, starts_at, outcome, known_at. Did you mean 'outcome'?",
        id="a label of a column that is not there",
    ),
    pytest.param(
        LABEL, "FROM results\n", "FROM results\nWHERE results.known_at < today()\n",
        ":7: today() gives another result in another run",
        id="labels by the clock",
    ),
    pytest.param(
        LABEL, "results.trip_id,", "CAST(results.starts_at AS DATE) AS trip_id,",
        ":2: 'trip_id' is date32[day], and string in 'trip_plan'; the two never meet: cast one of them.",
        id="a label whose key can never be the entity's",
    ),
]  # fmt: skip

IN_YAML = [
    pytest.param(
        VIEW, "table: trips", "table: trip",
        ":11: source.0.table is 'trip'; the source has: readings, results, trips. Did you mean 'trips'?",
        id="a table that the source has not",
    ),
    pytest.param(
        VIEW, "time: starts_at", "time: start_at",
        ":11: source.0.time is 'start_at'; trips has: trip_id, station, weight, starts_at, known_at, photo. "
        "Did you mean 'starts_at'?",
        id="a time that the table has not",
    ),
    pytest.param(
        YAML, "known: known_at", "known: knwon_at",
        ":13: source.0.known is 'knwon_at'; results has: trip_id, starts_at, outcome, known_at. "
        "Did you mean 'known_at'?",
        id="a label's known that the table has not",
    ),
    pytest.param(
        VIEW, "time: starts_at", "time: station, columns: [photo]",
        ":11: The source's column trips.photo cannot be read",
        id="a declared column of a type that cannot be read",
    ),
    pytest.param(
        VIEW, "ttl: 1d", "tll: 1d",
        ":6: tll is not a field; allowed are: name, description, owner",
        id="a field that there is not",
    ),
    pytest.param(YAML, "  delay: 6h\n", "", ":8: label.delay is missing; it has no default.", id="a missing field"),
    pytest.param(
        YAML, "  min_rows: 5\n  schedule", "  min_rows: 5\n  min_rows: 50\n  schedule",
        ":27: training.min_rows is given twice, lines 26 and 27.",
        id="a key given twice",
    ),
    pytest.param(
        YAML, "[on_time, late]", "[no, yes]",
        ":11: label.classes.0 is False, which is how YAML reads no, off or false; put the word in quotes.",
        id="classes that YAML reads as booleans",
    ),
    pytest.param(
        VIEW, "value_set: [north, south]", "value_set: [NO, SE]",
        ":16: quality.expectations.0: value_set has False, which is how YAML reads no, off or false, and station is "
        "not boolean; quote it.",
        id="a country that YAML reads as a boolean",
    ),
    pytest.param(
        VIEW, '"0 0 * * *"', '"0 24 * * *"',
        ":4: calendar.cron is '0 24 * * *'; it is no cron; write five fields",
        id="a cron that is none",
    ),
    pytest.param(
        VIEW, '"0 0 * * *"', '"0 * * * *"',
        ":4: calendar is {'starts': datetime.date(2024, 3, 1), 'cron': '0 * * * *'}; "
        "cron is '0 * * * *', which fires 24 times a day; a partition is a "
        'day, so write "0 0 * * *".',
        id="a cron that makes more than a partition a day",
    ),
    pytest.param(
        YAML, '"0 6 1 * *"', "monthly",
        ":27: training.schedule is 'monthly'; it is no cron; write five fields",
        id="a schedule that is no cron",
    ),
    pytest.param(
        VIEW, "expect_column_values_to_be_between", "expect_column_values_between",
        ":17: quality.expectations.1: Great Expectations has no 'expect_column_values_between'. "
        "Did you mean 'expect_column_values_to_be_between'?",
        id="an expectation that there is not",
    ),
    pytest.param(
        VIEW, "min_value: 0", "minimum: 0",
        ":18: quality.expectations.1: kwargs has 'minimum', which expect_column_values_to_be_between does not take; "
        "it takes: column, mostly, row_condition, condition_parser, min_value, max_value, strict_min, strict_max.",
        id="an argument that the expectation does not take",
    ),
    pytest.param(
        VIEW, "kwargs: {column: weight, ", "kwargs: {",
        ":17: quality.expectations.1: kwargs gives no column, which expect_column_values_to_be_between needs.",
        id="an argument that the expectation needs",
    ),
    pytest.param(
        VIEW, "column: weight, min", "column: wait, min",
        ":18: quality.expectations.1: column is 'wait', which is no column; they are: station, weight, trip_id, "
        "event_time, available_time.",
        id="an expectation of a column that there is not",
    ),
    pytest.param(
        VIEW, "min_value: 0, max_value: 100", "min_value: 100, max_value: 0",
        ":18: quality.expectations.1: min_value is 100 and max_value is 0; nothing is between them, so no day would "
        "pass.",
        id="a range that is the wrong way round",
    ),
    pytest.param(
        VIEW, "min_value: 0, max_value: 100", "min_value: 0, mostly: 95",
        ":18: quality.expectations.1: mostly is 95; ensure this value is less than or equal to 1.0.",
        id="a percentage where a share belongs",
    ),
    pytest.param(
        VIEW, "{weight: 0.1}", "{wieght: 0.1}",
        ":13: quality.max_null_share bounds 'wieght', which is no column; they are: trip_id, station, weight",
        id="a bound on a column that there is not",
    ),
    pytest.param(
        YAML, "at_least: 0.6", "at_most: 0.6",
        ":31: gates.threshold_gate.criteria.0 is {'metric': 'roc_auc', 'at_most': 0.6}; "
        "at_most is 0.6, and of roc_auc more is better: the better candidate would fail; give at_least.",
        id="a threshold on the wrong side",
    ),
    pytest.param(
        YAML, "at_least: 0.6", "at_least: 60",
        ":31: gates.threshold_gate.criteria.0 is {'metric': 'roc_auc', 'at_least': 60}; "
        "at_least is 60, and roc_auc is never above 1: no candidate could pass; give a share, such as 0.6.",
        id="a threshold that nothing can reach",
    ),
    pytest.param(
        YAML, "- {metric: roc_auc, at_least: 0.6}", "- {metric: brier, at_most: -1}",
        ":31: gates.threshold_gate.criteria.0 is {'metric': 'brier', 'at_most': -1}; "
        "at_most is -1, and brier is never below 0: no candidate could pass; give 0 or more.",
        id="a bound below what the metric can be",
    ),
    pytest.param(
        YAML, "metric: roc_auc", "metric: roc_acu",
        ":31: gates.threshold_gate.criteria.0.metric is 'roc_acu'; a binary model is measured by one of roc_auc,",
        id="a metric that there is not",
    ),
    pytest.param(
        YAML, "{metric: brier, tolerance: 0.01}", "{metric: brief, tolerance: 0.01}",
        ":43: drift.performance.metric is 'brief'; a binary model's loss is one of brier, log_loss, error, cost",
        id="a loss that there is not",
    ),
    pytest.param(
        YAML, "by: [station]", "by: [staton]",
        ":35: gates.slice_gate.by.0 is 'staton', which the model takes from no view; its features are: station, "
        "weight, level. Did you mean 'station'?",
        id="a slice by a column that is no feature",
    ),
    pytest.param(
        YAML, "[0.001, 0.2]", "[0.2, 0.001]",
        ":40: disagreement is [lowest, highest]: the first must be below the second.",
        id="a disagreement that is the wrong way round",
    ),
    pytest.param(
        YAML, "max_days: 3", "max_days: 0",
        ":39: shadow.max_days is 0; input should be greater than or equal to 1.",
        id="a window of no days",
    ),
    pytest.param(
        YAML, "task: binary", "task: binery",
        ":3: task is 'binery'; it is one of binary, multiclass, regression. Did you mean 'binary'?",
        id="a task that there is not",
    ),
    pytest.param(
        YAML, "lead: 2h", "lead: 2",
        ":7: entity.lead is 2;",
        id="a length without its unit",
    ),
    pytest.param(
        YAML, "- view: station_level", "- view: station_levle",
        ":17: views.1.view is 'station_levle'; usable views are: station_level, trip_plan. "
        "Did you mean 'station_level'?",
        id="a view that there is not",
    ),
    pytest.param(
        YAML, "features: [level]", "features: [levl]",
        ":17: views.1.features has 'levl'; station_level has: level. Did you mean 'level'?",
        id="a feature that the view has not",
    ),
    pytest.param(
        YAML, "  view: trip_plan\n  lead", "  view: trip_paln\n  lead",
        ":6: entity.view is 'trip_paln', which is not among the views the model reads: trip_plan, station_level. "
        "Did you mean 'trip_plan'?",
        id="an entity that is no view of the model",
    ),
    pytest.param(
        YAML, LINEAR, "lightgbn.LGBMClassifier",
        ":20: estimator.path 'lightgbn.LGBMClassifier' cannot be imported (No module named 'lightgbn')",
        id="a package that is not installed",
    ),
    pytest.param(
        YAML, LINEAR, "sklearn.linear_model.LogisticRegresion",
        ":20: estimator.path 'sklearn.linear_model.LogisticRegresion' cannot be imported",
        id="a misspelt class",
    ),
    pytest.param(
        YAML, LINEAR, "sklearn.linear_model.LinearRegression",
        ":21: estimator.params has 'max_iter', which LinearRegression does not take; it takes: copy_X",
        id="a parameter that the estimator does not take",
    ),
    pytest.param(
        YAML, LINEAR + "\n  params: {max_iter: 200}", "sklearn.linear_model.LinearRegression",
        ":20: estimator.path is 'sklearn.linear_model.LinearRegression': LinearRegression is a regressor, and task is "
        "binary; name a classifier.",
        id="a regressor for classes",
    ),
    pytest.param(
        YAML, LINEAR, "sklearn.svm.LinearSVC",
        ":20: estimator.path is 'sklearn.svm.LinearSVC': LinearSVC gives no probabilities",
        id="a classifier without probabilities",
    ),
    pytest.param(
        YAML, "max_iter: 200", "max_itr: 200",
        ":21: estimator.params has 'max_itr', which LogisticRegression does not take; it takes: C,",
        id="a misspelt parameter",
    ),
    pytest.param(
        YAML, "max_iter: 200", "max_iter: -5",
        ":21: estimator.params: The 'max_iter' parameter of LogisticRegression must be",
        id="a parameter out of its range",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A source that has the tables and no row."""
    file = tmp_path_factory.mktemp("source") / "source.db"
    connection = sqlite3.connect(file)
    connection.executescript(SOURCE)
    connection.close()
    return f"sqlite:///{file}"


@pytest.fixture
def root(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the declarations as they are right; the settings name the source."""
    monkeypatch.setenv("SLIPWAY_SOURCE_URL", source)
    for name, text in RIGHT.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path


def with_a_mistake(root: Path, name: str, right: str, wrong: str) -> Path:
    file = root / name
    text = file.read_text(encoding="utf-8")
    assert right in text, "the case changes nothing"
    file.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    return file


def test_what_is_right_is_bound_to_its_source_and_can_be_used(root):
    found = declared.validate(root)
    assert (found.problems, found.not_bound) == ((), None)
    assert (found.views, found.models) == (("station_level", "trip_plan"), ("trip_late",))


def test_there_are_44_mistakes_and_more_of_which_14_and_more_are_in_sql():
    assert len(IN_SQL) >= 14
    assert len(IN_SQL) + len(IN_YAML) >= 44


@pytest.mark.slow
@pytest.mark.parametrize(("name", "right", "wrong", "told"), [*IN_SQL, *IN_YAML])
def test_a_mistake_is_told_with_file_and_line_in_one_sentence(root, name, right, wrong, told):
    file = with_a_mistake(root, name, right, wrong)
    found = declared.validate(root)
    assert any(line.startswith(f"{file}{told}") for line in found.problems), "\n".join(found.problems)
    for line in found.problems:
        assert line.endswith((".", "?"))
        assert "\n" not in line
        assert ".." not in line.replace("...", "")


@pytest.mark.parametrize("name", [SQL, LABEL, VIEW, YAML])
def test_a_file_in_another_encoding_is_told_with_its_line(root, name):
    file = root / name
    file.write_bytes(file.read_bytes() + "# für\n".encode("latin-1"))
    line = len(RIGHT[name].splitlines()) + 1
    assert any(
        each.startswith(f"{file}:{line}: the byte 0xfc is no UTF-8; save") for each in declared.validate(root).problems
    )
