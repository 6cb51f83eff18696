"""What the Dag files define: parsed as Airflow parses them, in a process of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from include.adapters.ledger import Scope
from include.workflows.alerts.outages import whose
from include.workflows.pairs import CHECKS
from tests.dags.parsed import PROJECT, Parsed, parse

PER_VIEW = ("features_",)
PER_MODEL = ("score_", "drift_", "retrain_", "rollback_", "consistency_")
SELFTEST = "gate_selftest"


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    return parse(tmp_path_factory.mktemp("airflow"))


@pytest.fixture
def declarations(tmp_path: Path) -> Path:
    """A copy of the project's declarations that a test may change."""
    root = tmp_path / "declared"
    for folder in ("models", "features"):
        shutil.copytree(PROJECT / "include" / folder, root / folder)
    return root


def names(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("*/*.yaml")}


def test_every_view_and_every_model_has_its_dags_and_no_file_fails(parsed):
    views, models = names(PROJECT / "include" / "features"), names(PROJECT / "include" / "models")
    assert parsed.errors == {}
    per_view, per_model = {f"features_{v}" for v in views}, {f"{kind}{m}" for kind in PER_MODEL for m in models}
    assert parsed.ids() == per_view | per_model | {"ahead_flight_delay", SELFTEST, "housekeeping", "watch"}


def test_a_model_that_answers_ahead_has_a_run_for_each_answer_time_and_closes_its_days_as_before(parsed):
    dag = parsed.dags["ahead_flight_delay"]
    assert (dag["timetable"], dag["catchup"]) == ("CronPartitionTimetable", False)
    assert set(dag["tasks"]) == {"answer"}
    assert parsed.dags["score_flight_delay"]["tasks"]["score"]["outlets"] == ["flight_delay.scored"]


def test_what_fails_in_a_model_s_dag_is_told_as_the_model_s(parsed):
    """The id of a Dag is its kind, one word, and the name of its model; whoever reads the id finds both."""
    for name in names(PROJECT / "include" / "models"):
        of_it = [dag_id for dag_id in parsed.ids() if dag_id.endswith(f"_{name}")]
        assert len(of_it) > 4
        assert {whose(dag_id, "any") for dag_id in of_it} == {(Scope.MODEL, name)}


def test_housekeeping_runs_every_night_and_catches_up_nothing(parsed):
    dag = parsed.dags["housekeeping"]
    assert (dag["timetable"], dag["catchup"]) == ("CronTriggerTimetable", False)
    compared = {f"compare_{check.name}" for check in CHECKS if check.name != "registry"}
    assert set(dag["tasks"]) == {
        "end_stranded_journeys",
        "reconcile_aliases",
        "remove_old_journal",
        "report_lapsed_overrides",
        "send_notices",
        *compared,
    }


def test_the_watch_runs_every_ten_minutes_and_is_on_from_the_start(parsed):
    dag = parsed.dags["watch"]
    assert (dag["timetable"], dag["catchup"], dag["paused"]) == ("CronTriggerTimetable", False, False)


def test_f190_every_step_of_every_dag_tells_when_it_fails_for_good_and_when_it_works_again(parsed):
    untold = [
        f"{dag_id}/{task_id}"
        for dag_id, dag in parsed.dags.items()
        for task_id, task in dag["tasks"].items()
        if "Works" not in task["told_of"]["success"]
        # An escalation is red by design, and told as what it is.
        or ("Tell" if task_id == "escalate" else "Failed") not in task["told_of"]["failure"]
    ]
    assert untold == []


def test_parsing_loads_no_heavy_library(parsed):
    assert parsed.heavy == []


def test_every_dag_explains_itself_and_is_tagged_with_its_model_or_view(parsed):
    assert all(dag["doc"] for dag in parsed.dags.values())
    assert all(any(tag in dag_id for tag in dag["tags"]) for dag_id, dag in parsed.dags.items())


def test_every_dag_says_whose_it_is_with_a_way_to_reach_them(parsed):
    assert {
        name: dag["owner_links"] for name, dag in parsed.dags.items() if not dag["owner_links"].get(dag["owner"])
    } == {}


def test_the_journey_is_the_chain_of_the_design(parsed):
    tasks = parsed.dags["retrain_flight_delay"]["tasks"]
    chain = [
        "open_journey",
        "build_training_set",
        ("training_data_gate", "leakage_gate"),
        "train",
        "evaluate",
        ("threshold_gate", "champion_gate", "slice_gate", "latency_gate", "signature_gate"),
        "register_challenger",
        "smoke_gate",
        "shadow_window",
        "shadow_gate",
        "promote",
        "close_journey",
    ]
    flat = [task for step in chain for task in (step if isinstance(step, tuple) else (step,))]
    assert set(tasks) == set(flat)
    for before, after in pairwise(chain):
        for task in after if isinstance(after, tuple) else (after,):
            assert set(before if isinstance(before, tuple) else (before,)) <= set(tasks[task]["after"])


def test_f188_the_closing_step_goes_on_trying_for_more_than_an_hour(parsed):
    for dag_id in parsed.ids("retrain_"):
        for name in ("close_journey", "shadow_window"):
            task = parsed.dags[dag_id]["tasks"][name]
            # Airflow waits at least this long before each further try; chance only makes it longer.
            waits = [min(task["max_delay_s"], task["delay_s"] * task["backoff"] ** n) for n in range(task["retries"])]
            assert sum(waits) > 3600, (dag_id, name, sum(waits))


def test_close_journey_is_a_teardown_so_that_a_rejected_journeys_run_is_red(parsed):
    tasks = parsed.dags["retrain_flight_delay"]["tasks"]
    assert tasks["close_journey"]["teardown"]
    assert tasks["open_journey"]["setup"]


def test_each_gate_is_a_task_of_its_own_so_that_the_grid_names_what_failed(parsed):
    tasks = parsed.dags["retrain_flight_delay"]["tasks"]
    gates = {task for task, facts in tasks.items() if facts["kind"] == "GateOperator"}
    offline = {"threshold_gate", "champion_gate", "slice_gate", "latency_gate", "signature_gate"}
    assert gates == {"training_data_gate", "leakage_gate", *offline, "smoke_gate", "shadow_gate"}


def test_no_field_of_a_gates_form_is_filled_in_with_what_the_journey_was_started_with(parsed):
    journey = parsed.dags["retrain_flight_delay"]
    asked = {field for task in journey["tasks"].values() for field in task["asks"]}
    assert asked == {"approval_reason"}
    assert not asked & set(journey["params"])


def test_f047_a_fit_has_the_time_that_its_declaration_gives_it(declarations, tmp_path):
    file = declarations / "models" / "air_time" / "model.yaml"
    file.write_text(file.read_text().replace("training:\n", "training:\n  timeout: 20m\n"))
    dags = parse(tmp_path, declarations).dags
    assert dags["retrain_air_time"]["tasks"]["train"]["limit_s"] == 20 * 60
    assert dags["retrain_flight_delay"]["tasks"]["train"]["limit_s"] == 2 * 60 * 60, "the default"


def test_a_gate_that_only_the_tier_names_is_a_task_too(declarations, tmp_path):
    tiers = declarations / "models" / "tiers.yaml"
    tiers.write_text("experimental: {gates: {signature_gate: {}}}", encoding="utf-8")
    tasks = parse(tmp_path, declarations).dags["retrain_air_time"]["tasks"]
    assert tasks["signature_gate"]["kind"] == "GateOperator"
    assert "signature_gate" in tasks["register_challenger"]["after"]


def test_an_optional_gate_is_a_task_where_it_is_declared_and_nowhere_else(declarations, tmp_path):
    file = declarations / "models" / "air_time" / "model.yaml"
    optional = "gates:\n  leakage_gate: {}\n  smoke_gate: {}\n  signature_gate: {mode: advisory}\n"
    text = re.sub(
        r"^  (leakage_gate|slice_gate|latency_gate|signature_gate|smoke_gate):.*\n(    .*\n)*",
        "",
        file.read_text(),
        flags=re.M,
    )
    file.write_text(text.replace("gates:\n", optional))
    tasks = parse(tmp_path, declarations).dags["retrain_air_time"]["tasks"]
    assert {"training_data_gate", "leakage_gate"} <= set(tasks["train"]["after"])
    assert {"champion_gate", "signature_gate", "threshold_gate"} <= set(tasks["register_challenger"]["after"])
    assert "smoke_gate" in tasks["shadow_window"]["after"]
    assert "register_challenger" in tasks["smoke_gate"]["after"]
    assert not {"slice_gate", "latency_gate"} & set(tasks)


def test_a_backfill_can_never_start_a_training(parsed):
    for dag_id in parsed.ids("retrain_"):
        assert "backfill" not in parsed.dags[dag_id]["run_types"]


def test_a_journey_starts_by_drift_by_api_and_by_the_declared_cron(parsed):
    assert parsed.dags["retrain_flight_delay"]["timetable"] == "CronTriggerTimetable"
    assert parsed.dags["retrain_air_time"]["timetable"] == "NullTimetable"
    assert parsed.dags["retrain_flight_delay"]["run_types"] == ["manual", "operator_triggered", "scheduled"]
    assert "trigger_retrain" in parsed.dags["drift_flight_delay"]["tasks"]


def test_f009_feature_dags_are_partitioned_by_day_so_no_run_has_an_interval_without_width(parsed):
    for dag_id in parsed.ids("features_"):
        assert parsed.dags[dag_id]["timetable"] == "CronPartitionTimetable"


def test_nothing_is_scheduled_after_the_source_has_ended(parsed):
    scheduled = [
        *parsed.ids("features_"),
        *parsed.ids("ahead_"),
        *parsed.ids("retrain_"),
        *parsed.ids("consistency_"),
    ]
    assert {parsed.dags[dag_id]["end"] for dag_id in scheduled} == {"2014-01-01T00:00:00+00:00"}
    assert not any(parsed.dags[dag_id]["catchup"] for dag_id in scheduled)


def test_a_model_is_scored_once_every_view_it_reads_has_the_day(parsed):
    assert parsed.dags["score_air_time"]["listens_to"] == [
        "flight_schedule.partition",
        "origin_weather.partition",
        "route_record.partition",
    ]
    assert parsed.dags["score_air_time"]["tasks"]["score"]["outlets"] == ["air_time.scored"]
    assert parsed.dags["drift_air_time"]["listens_to"] == ["air_time.scored"]


def test_f124_a_broken_declaration_takes_away_its_own_dags_only_and_is_shown_as_an_import_error(declarations, tmp_path):
    file = declarations / "models" / "air_time" / "model.yaml"
    file.write_text(file.read_text().replace("window_days: 90", "window_dayz: 90"))
    broken = parse(tmp_path, declarations)
    assert not {dag_id for dag_id in broken.dags if dag_id.endswith("_air_time")}
    assert broken.ids("retrain_") == {"retrain_flight_delay"}
    assert set(broken.errors) == {"declarations.py"}
    assert "training.window_dayz is not a field" in broken.errors["declarations.py"]
    assert "Did you mean 'window_days'?" in broken.errors["declarations.py"]


def test_a_third_model_is_added_by_a_folder_and_is_collected_where_it_is_asked_online(declarations, tmp_path):
    third = declarations / "models" / "arrival"
    shutil.copytree(declarations / "models" / "flight_delay", third)
    file = third / "model.yaml"
    online = file.read_text().replace("score: {ahead: 1d, every: 1h}", "serving: {mode: online}")
    file.write_text(online.replace("name: flight_delay", "name: arrival"))
    more = parse(tmp_path, declarations)
    assert more.errors == {}
    its_own = {dag_id for dag_id in more.ids() if dag_id.endswith("_arrival")}
    assert its_own == {f"{kind}arrival" for kind in PER_MODEL if kind != "score_"} | {
        "collect_arrival",
        "live_arrival",
    }
    collects = more.dags["collect_arrival"]
    assert collects["listens_to"] == more.dags["score_flight_delay"]["listens_to"]
    assert collects["tasks"]["collect"]["outlets"] == more.dags["drift_arrival"]["listens_to"] == ["arrival.scored"]
    assert more.dags["live_arrival"]["tasks"]["collect_so_far"]["outlets"] == []


def test_a_model_that_is_asked_online_takes_traffic_by_steps_before_it_is_promoted(declarations, parsed, tmp_path):
    file = declarations / "models" / "flight_delay" / "model.yaml"
    online = file.read_text().replace("score: {ahead: 1d, every: 1h}", "serving: {mode: online}")
    file.write_text(online)
    tasks = parse(tmp_path, declarations).dags["retrain_flight_delay"]["tasks"]
    assert tasks["canary"]["kind"] == "CanaryOperator"
    assert "shadow_gate" in tasks["canary"]["after"]
    assert "canary" in tasks["canary_gate"]["after"]
    assert "canary_gate" in tasks["promote"]["after"]
    file.write_text(online + "\ncanary: null\n")
    for dags in (parsed, parse(tmp_path, declarations)):
        assert not {"canary", "canary_gate"} & set(dags.dags["retrain_flight_delay"]["tasks"])


def test_a_model_that_asks_for_a_person_gets_the_approval_before_the_promotion(declarations, tmp_path):
    file = declarations / "models" / "air_time" / "model.yaml"
    file.write_text(file.read_text() + "\npromotion:\n  approval: always\n")
    asked = parse(tmp_path, declarations)
    assert "approval" in asked.dags["retrain_air_time"]["tasks"]["promote"]["after"]
    assert "approval" not in asked.dags["retrain_flight_delay"]["tasks"]


def test_the_selftest_has_a_task_for_each_model_and_none_waits_for_another(parsed):
    tasks = parsed.dags[SELFTEST]["tasks"]
    assert set(tasks) == {f"selftest_{name}" for name in names(PROJECT / "include" / "models")}
    assert {facts["kind"] for facts in tasks.values()} == {"SelftestOperator"}
    assert not any(facts["after"] for facts in tasks.values())


def test_the_selftest_runs_weekly_and_catches_nothing_up(parsed):
    assert parsed.dags[SELFTEST]["timetable"] == "CronTriggerTimetable"
    assert not parsed.dags[SELFTEST]["catchup"]
    assert parsed.dags[SELFTEST]["start"] is None


def test_a_broken_declaration_takes_its_model_out_of_the_selftest_and_leaves_the_others(declarations, tmp_path):
    file = declarations / "models" / "air_time" / "model.yaml"
    file.write_text(file.read_text().replace("window_days: 90", "window_dayz: 90"))
    assert set(parse(tmp_path, declarations).dags[SELFTEST]["tasks"]) == {"selftest_flight_delay"}


def test_a_selftest_that_fails_is_red_for_good_and_its_matrix_is_the_last_thing_in_the_log(tmp_path):
    code = """
from slipway_airflow.selftest import SelftestOperator
from slipway_airflow.gates import show_table_last
found = {"passed": False, "table": "the matrix", "problems": ["champion_gate let 'constant' pass."], "rows": ""}
task = SelftestOperator(task_id="selftest_m", model="m", run=lambda model: found)
try:
    task.execute({})
except SystemExit as ended:
    print(type(ended).__name__, ended)
assert task.on_failure_callback == [show_table_last] or show_table_last in task.on_failure_callback
assert len(task.on_failure_callback) == 2
task.on_failure_callback[-1]({"task": task})
"""
    said = _said(code, tmp_path).splitlines()
    assert said[-2:] == ["TaskRefused champion_gate let 'constant' pass.", "the matrix"]


def test_a_selftest_that_holds_is_green_with_its_matrix(tmp_path):
    code = """
from slipway_airflow.selftest import SelftestOperator
found = {"passed": True, "table": "the matrix", "problems": [], "rows": "made"}
print(SelftestOperator(task_id="selftest_m", model="m", run=lambda model: found).execute({}))
"""
    assert _said(code, tmp_path).splitlines()[-2:] == ["the matrix", "{'passed': True, 'rows': 'made'}"]


def _said(code: str, home: Path) -> str:
    """What the code prints in a process of its own, with the plugins on its path."""
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")]),
    }
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_dag_files_are_thin():
    for file in (PROJECT / "dags").glob("*.py"):
        text = file.read_text()
        assert len(text.splitlines()) <= 100, f"{file.name} is longer than a screen"
        assert "SELECT" not in text


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ("postgres://ana:s%40cret@db:5432/flights", "postgresql+psycopg://ana:s%40cret@db:5432/flights"),
        ('{"conn_type": "sqlite", "host": "/data/source.db"}', "sqlite:////data/source.db"),
    ],
)
def test_the_source_may_be_named_by_an_airflow_connection(tmp_path, connection, url):
    code = """
import os
from slipway_airflow.connections import use_source_connection
use_source_connection()
print(os.environ["SLIPWAY_SOURCE_URL"])
"""
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONN_FLIGHTS": connection,
        "SLIPWAY_SOURCE_CONN": "flights",
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")]),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == url
