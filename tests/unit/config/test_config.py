"""Declarations: what a user reads who wrote one wrongly, and that it costs nobody else anything.

Every message names file and line, field, value and what is allowed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from include.config import BadDeclaration, Declarations, UnknownName, declarations, loader, read_declarations
from include.config.settings import PROJECT
from include.domain.errors import Refusal

VIEW = """\
name: trip_plan
description: The trips planned for a day.
owner: planning
calendar: {starts: 2024-03-01, ends: 2025-01-01}
keys: [trip_id]
ttl: 1d
columns:
  - {name: station, kind: categorical}
  - {name: weight}
source:
  - {table: trips, time: starts_at, known: known_at}
quality:
  min_rows: 3
  max_null_share:
    weight: 0.1
  expectations:
    - expectation: expect_column_values_to_be_in_set
      kwargs: {column: station, value_set: [north, south]}
"""
LEVEL = """\
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
MODEL = """\
name: trip_late
description: Will a trip be late?
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
  encode: one_hot
training:
  window_days: 10
  holdout_days: 2
  min_rows: 5
gates:
  threshold_gate:
    criteria:
      - {metric: roc_auc, at_least: 0.6}
  champion_gate:
    comparisons:
      - {metric: brier, margin: 0.01}
    beat_baseline_on: brier
shadow:
  min_rows: 5
  min_days: 1
  max_days: 3
  disagreement: [0.001, 0.2]
  p99_delta_at_most: 0.5
drift:
  performance: {metric: brier, tolerance: 0.01}
"""


class Folder:
    """A folder of declarations: two views, and the models ``trip_late`` and ``other``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.view("trip_plan", VIEW)
        self.view("station_level", LEVEL)
        self.model("trip_late", MODEL)
        self.model("other", MODEL.replace("name: trip_late", "name: other"))

    def view(self, name: str, text: str) -> Path:
        return self._write(self.root / "features" / name, "view.yaml", text, "features.sql")

    def model(self, name: str, text: str) -> Path:
        return self._write(self.root / "models" / name, "model.yaml", text, "label.sql")

    def read(self) -> Declarations:
        return read_declarations(self.root)

    @staticmethod
    def _write(folder: Path, file: str, text: str, sql: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / sql).write_text("SELECT 1", encoding="utf-8")
        (folder / file).write_text(text, encoding="utf-8")
        return folder / file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr(loader, "ROOT", tmp_path / "include")
    return Folder(tmp_path / "include")


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) >= 1, f"{old!r} is not in the text"
    return text.replace(old, new, 1)


def problems(declared: Declarations, file: Path) -> list[str]:
    return declared.broken[file].problems


M = "include/models/trip_late/model.yaml"
V = "include/features/station_level/view.yaml"


def test_what_is_declared_well_is_read(folder):
    declared = folder.read()
    assert declared.broken == {}
    assert list(declared.models) == ["other", "trip_late"]
    assert declared.model("trip_late").features == ["station", "weight", "level"]
    assert declared.model("trip_late").label_sql == declared.view("trip_plan").sql == "SELECT 1"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        pytest.param(
            "window_days: 10",
            "window_day: 10",
            [
                f"{M}:22: training.window_days is missing; it has no default.",
                f"{M}:23: training.window_day is not a field; allowed are: window_days, holdout_days, min_rows, seed, "
                "race, refit, schedule, price, timeout. Did you mean 'window_days'?",
            ],
            id="misspelt field",
        ),
        pytest.param(
            "window_days: 10",
            "window_days: ten",
            [
                f"{M}:23: training.window_days is 'ten'; input should be a valid integer, unable to parse string as an "
                "integer."
            ],
            id="wrong type",
        ),
        pytest.param(
            "window_days: 10",
            "window_days: 0",
            [f"{M}:23: training.window_days is 0; input should be greater than or equal to 1."],
            id="below its least",
        ),
        pytest.param(
            "window_days: 10",
            "window_days: 10\n  timeout: 0m",
            [f"{M}:24: training.timeout is '0m'; a fit needs some time; give for example 30m or 2h."],
            id="no time to fit",
        ),
        pytest.param(
            "task: binary",
            "task: binray",
            [f"{M}:3: task is 'binray'; it is one of binary, multiclass, regression. Did you mean 'binary'?"],
            id="unknown enum",
        ),
        pytest.param(
            "lead: 2h",
            "lead: two hours",
            [
                f"{M}:7: entity.lead is 'two hours'; 'two hours' is not a duration. Write a whole number and a unit: "
                "30m, 2h or 7d."
            ],
            id="no duration",
        ),
        pytest.param(
            "  delay: 6h\n", "", [f"{M}:8: label.delay is missing; it has no default."], id="a field left out"
        ),
        pytest.param(
            "{metric: roc_auc, at_least: 0.6}",
            "{metric: roc_auc}",
            [
                f"{M}:29: gates.threshold_gate.criteria.0 is {{'metric': 'roc_auc'}}; give exactly one of at_least and "
                "at_most."
            ],
            id="no bound",
        ),
        pytest.param(
            "{metric: roc_auc, at_least: 0.6}",
            "{metric: roc_auc, at_least: .nan}",
            [f"{M}:29: gates.threshold_gate.criteria.0.at_least is nan; input should be a finite number."],
            id="nan is no bound",
        ),
        pytest.param(
            "criteria:\n      - {metric: roc_auc, at_least: 0.6}",
            "criteria: []",
            [f"{M}:28: gates.threshold_gate.criteria is []; list should have at least 1 item after validation, not 0."],
            id="a gate without criteria",
        ),
        pytest.param(
            "{metric: roc_auc, at_least: 0.6}",
            "{metric: mae, at_most: 9}",
            [
                f"{M}:29: gates.threshold_gate.criteria.0.metric is 'mae'; a binary model is measured by one of "
                "roc_auc, log_loss, brier, accuracy, average_precision, ece, precision, recall, f_beta, "
                "balanced_accuracy, cost, or one of your own by its import path."
            ],
            id="a metric of another task",
        ),
        pytest.param(
            "{metric: roc_auc, at_least: 0.6}",
            "{metric: precision, at_least: 0.6}",
            [
                f"{M}:29: gates.threshold_gate.criteria.0.metric is 'precision', and precision needs threshold, a "
                "number between 0 and 1, both excluded; write {name: precision, threshold: ...}."
            ],
            id="a metric without its setting",
        ),
        pytest.param(
            "{metric: roc_auc, at_least: 0.6}",
            "{metric: {name: f_beta, beta: 2, threshold: 3}, at_least: 0.6}",
            [
                f"{M}:29: gates.threshold_gate.criteria.0.metric is {{'name': 'f_beta', 'beta': 2, 'threshold': 3}}; "
                "threshold of f_beta is 3; it must be a number between 0 and 1, both excluded."
            ],
            id="a setting that cannot be",
        ),
        pytest.param(
            "{metric: roc_auc, at_least: 0.6}",
            "{metric: {name: cost, threshold: 0.2, matrix: [[0, 1, 1], [5, 0, 1], [1, 1, 0]]}, at_most: 1}",
            [f"{M}:29: gates.threshold_gate.criteria.0.metric has a cost matrix of 3 classes; label.classes has 2."],
            id="a cost matrix of other classes",
        ),
        pytest.param(
            "{metric: brier, tolerance: 0.01}",
            "{metric: {name: recall, threshold: 0.3}, tolerance: 0.01}",
            [
                f"{M}:41: drift.performance.metric is 'recall(threshold=0.3)'; a binary model's loss is one of brier, "
                "log_loss, error, cost, or one of your own by its import path: it must have a value for each row."
            ],
            id="a watched metric that is no loss of each row",
        ),
        pytest.param(
            "{metric: brier, tolerance: 0.01}",
            "{metric: mae, tolerance: 0.01}",
            [
                f"{M}:41: drift.performance.metric is 'mae'; a binary model's loss is one of brier, log_loss, error, "
                "cost, or one of your own by its import path: it must have a value for each row."
            ],
            id="a loss of another task",
        ),
        pytest.param(
            "  classes: [on_time, late]\n",
            "",
            [f"{M}:8: label.classes is missing; a classifier names its classes in the order of its outputs."],
            id="a classifier without classes",
        ),
        pytest.param(
            "disagreement: [0.001, 0.2]",
            "disagreement: [0.2, 0.001]",
            [f"{M}:38: disagreement is [lowest, highest]: the first must be below the second."],
            id="reversed pair",
        ),
        pytest.param(
            "path: sklearn.linear_model.LogisticRegression",
            "path: LogisticRegression",
            [
                f"{M}:20: estimator.path is 'LogisticRegression'; string should match pattern "
                r"'^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$'."
            ],
            id="no import path",
        ),
        pytest.param(
            "features: [level]",
            "features: [levle]",
            [f"{M}:17: views.1.features has 'levle'; station_level has: level. Did you mean 'level'?"],
            id="a feature the view does not have",
        ),
        pytest.param(
            "view: station_level",
            "view: station_levels",
            [
                f"{M}:17: views.1.view is 'station_levels'; usable views are: station_level, trip_plan. "
                "Did you mean 'station_level'?"
            ],
            id="a view nobody declared",
        ),
        pytest.param(
            "  - view: station_level\n",
            "  - view: station_level\n    version: 2\n",
            [f"{M}:17: views.1.version is 2; station_level is declared in version 1."],
            id="a version that is not there",
        ),
        pytest.param(
            "features: [station, weight]",
            "features: [station, weight, station]",
            [f"{M}:14: feature 'station' is taken twice; a feature name must be unique within the model."],
            id="a feature twice",
        ),
        pytest.param(
            "entity:\n  view: trip_plan",
            "entity:\n  view: trip_plans",
            [
                f"{M}:6: entity.view is 'trip_plans', which is not among the views the model reads: trip_plan, "
                "station_level. Did you mean 'trip_plan'?"
            ],
            id="an entity it does not read",
        ),
        pytest.param(
            "name: trip_late",
            "name: trip_later",
            [f"{M}:1: name is 'trip_later'; it must be the folder's name, 'trip_late'."],
            id="another name than the folder's",
        ),
        pytest.param(
            "name: trip_late",
            "name: Trip-Late",
            [f"{M}:1: name is 'Trip-Late'; it must be a small letter, then small letters, digits and _."],
            id="a name that is none",
        ),
        pytest.param(
            "classes: [on_time, late]",
            "classes: [no, yes]",
            [
                f"{M}:11: label.classes.0 is False, which is how YAML reads no, off or false; put the word in quotes.",
                f"{M}:11: label.classes.1 is True, which is how YAML reads yes, on or true; put the word in quotes.",
            ],
            id="classes that YAML takes for booleans",
        ),
        pytest.param(
            "task: binary",
            "task: [binary",
            [f"{M}:4: this is not YAML: expected ',' or ']', but got ':'."],
            id="no yaml",
        ),
        pytest.param(
            MODEL, "- a\n- b\n", [f"{M}: the file must be a mapping of fields, not list."], id="a list of things"
        ),
        pytest.param(MODEL, "", [f"{M}: the file must be a mapping of fields, not NoneType."], id="an empty file"),
    ],
)
def test_a_wrong_model_is_named_by_line_field_value_and_what_is_allowed(folder, old, new, line):
    file = folder.model("trip_late", changed(MODEL, old, new))
    declared = folder.read()
    assert problems(declared, file) == line
    assert list(declared.models) == ["other"], "the other model is not touched"
    assert list(declared.views) == ["station_level", "trip_plan"]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        pytest.param(
            "ttl: 3h",
            "ttl: 3",
            [f"{V}:6: ttl is 3; '3' is not a duration. Write a whole number and a unit: 30m, 2h or 7d."],
            id="a number for a duration",
        ),
        pytest.param(
            "{name: level}",
            "{name: level, kind: number}",
            [f"{V}:8: columns.0.kind is 'number'; it is one of numeric, categorical, boolean. Did you mean 'numeric'?"],
            id="unknown kind",
        ),
        pytest.param(
            "{name: level}",
            "{name: station}",
            [f"{V}:1: column 'station' is declared twice; each key, feature and carried column needs its own name."],
            id="a column twice",
        ),
        pytest.param(
            "{name: level}",
            "{name: 'level; DROP TABLE trips'}",
            [
                f"{V}:8: columns.0.name is 'level; DROP TABLE trips'; it must be a letter or _, then letters, digits "
                "and _; rename the column in the SQL with AS."
            ],
            id="sql in a name",
        ),
        pytest.param(
            "expectations:\n    - expectation: expect_column_values_to_not_be_null\n      kwargs: {column: level}",
            "expectations: []",
            [f"{V}:12: quality.expectations is []; list should have at least 1 item after validation, not 0."],
            id="f048 an empty suite",
        ),
        pytest.param(
            "starts: 2024-03-01",
            "starts: 2024-03-01, ends: 2024-02-01",
            [
                f"{V}:4: calendar is {{'starts': datetime.date(2024, 3, 1), 'ends': datetime.date(2024, 2, 1)}}; "
                "ends must be after starts."
            ],
            id="ends before it starts",
        ),
        pytest.param(
            "starts: 2024-03-01",
            "starts: March",
            [f"{V}:4: calendar.starts is 'March'; input should be a valid date or datetime, input is too short."],
            id="no date",
        ),
        pytest.param(
            "owner: sensors",
            "ownr: sensors",
            [
                f"{V}:1: owner is missing; it has no default.",
                f"{V}:3: ownr is not a field; allowed are: name, description, owner, version, calendar, keys, ttl, "
                "delay, ahead, stream, columns, carries, source, recheck, quality, notify, freshness. Did you mean "
                "'owner'?",
            ],
            id="misspelt field",
        ),
    ],
)
def test_a_wrong_view_is_named_and_breaks_only_the_models_that_read_it(folder, old, new, line):
    folder.model("other", MODEL_OF_TRIP_PLAN_ONLY)
    file = folder.view("station_level", changed(LEVEL, old, new))
    declared = folder.read()
    assert problems(declared, file) == line
    assert list(declared.views) == ["trip_plan"]
    assert list(declared.models) == ["other"]
    reader = folder.root / "models" / "trip_late" / "model.yaml"
    assert problems(declared, reader) == [
        f"{M}:17: views.1.view is 'station_level', whose own file is broken; mend that file."
    ]


MODEL_OF_TRIP_PLAN_ONLY = MODEL.replace("name: trip_late", "name: other").replace(
    "  - view: station_level\n    features: [level]\n", ""
)


def test_a_missing_query_is_named(folder):
    (folder.root / "models" / "trip_late" / "label.sql").unlink()
    (folder.root / "features" / "station_level" / "features.sql").unlink()
    declared = folder.read()
    assert problems(declared, folder.root / "features" / "station_level" / "view.yaml") == [
        f"{V}: features.sql is missing beside it; write the query there."
    ]
    assert problems(declared, folder.root / "models" / "trip_late" / "model.yaml") == [
        f"{M}: label.sql is missing beside it; write the query there."
    ]


def test_a_view_whose_key_the_entity_does_not_give_cannot_be_joined(folder):
    folder.view("station_level", changed(LEVEL, "keys: [station]", "keys: [sensor]"))
    declared = folder.read()
    assert problems(declared, folder.root / "models" / "trip_late" / "model.yaml") == [
        f"{M}:17: views.1.view 'station_level' is joined by 'sensor', which 'trip_plan' does not give; it gives: "
        "station, trip_id, weight."
    ]


def test_everything_wrong_is_said_at_once(folder):
    text = changed(changed(MODEL, "task: binary", "task: binray"), "window_days: 10", "window_days: 0")
    file = folder.model("trip_late", text)
    assert [p.partition(": ")[0] for p in problems(folder.read(), file)] == [f"{M}:3", f"{M}:23"]


def test_a_broken_declaration_is_a_refusal_with_one_line_for_each_thing_wrong(folder):
    file = folder.model("trip_late", changed(MODEL, "task: binary", "task: binray"))
    error = folder.read().broken[file]
    assert isinstance(error, BadDeclaration)
    assert isinstance(error, Refusal)
    assert str(error) == f"{M}:3: task is 'binray'; it is one of binary, multiclass, regression. Did you mean 'binary'?"


def test_a_third_model_is_added_by_a_folder(folder):
    folder.model("weather_closes", MODEL.replace("name: trip_late", "name: weather_closes"))
    declared = folder.read()
    assert list(declared.models) == ["other", "trip_late", "weather_closes"]
    assert declared.broken == {}


def test_an_unknown_name_is_answered_with_those_there_are(folder):
    declared = folder.read()
    with pytest.raises(UnknownName) as unknown:
        declared.model("trip_lat")
    assert str(unknown.value) == (
        "There is no model 'trip_lat'; declared are: other, trip_late. Did you mean 'trip_late'?"
    )
    with pytest.raises(UnknownName) as unknown:
        declared.view("zzz")
    assert str(unknown.value) == "There is no view 'zzz'; declared are: station_level, trip_plan."


def test_what_the_project_declares_is_well_declared():
    declared = declarations()
    assert declared.broken == {}
    assert {"flight_delay", "air_time"} <= set(declared.models)
    shared = {use.view for use in declared.models["flight_delay"].views} & {
        use.view for use in declared.models["air_time"].views
    }
    assert shared, "the two models share views"


def test_reading_the_declarations_imports_nothing_heavy():
    heavy = "pandas sklearn mlflow great_expectations sqlalchemy duckdb deltalake pyarrow scipy numpy matplotlib"
    code = (
        "import sys; from include.config import declarations; declarations(); "
        f"print([m for m in {heavy.split()} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
