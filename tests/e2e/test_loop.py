"""The whole way in a real Airflow, driven over REST. What a test builds on is a fixture, so each also runs alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
from invariants import check_invariants
from waiting import PATIENCE_S, eventually

from include.adapters.offline_store import OfflineStore
from include.adapters.registry import CHAMPION
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows import gates as registered
from tests.e2e.conftest import DAYS, JOURNEY

pytestmark = pytest.mark.e2e


def table_versions(stage):
    store = OfflineStore(settings().store)
    return {view.name: store.current_version(view) for view in stage.declared.views.values()}


BESIDE = ("attempts", "alembic_version", "known_rights", "notices", "outages", "outage_items", "beats")
"""Tables that say nothing of models and views: who tried, who may, what people were told, and when the watch ran."""


def ledger_rows(stage):
    from sqlalchemy import inspect, text

    with stage.ledger() as ledger, ledger.database.engine.connect() as connection:
        names = [n for n in inspect(connection).get_table_names() if n not in BESIDE]
        return {n: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{n}"')))) for n in names}


def predictions(model, start=DAYS[0], end="2013-05-01"):
    log = OfflineStore(settings().store).read_predictions(model, Interval.between(start, end))
    return None if log is None else log.to_pandas()


def test_history_in_bulk_starts_no_scoring_and_the_first_champions_stand(stage):
    assert stage.scored_in_history == ()
    with stage.ledger() as ledger:
        for model in stage.declared.models:
            first = ledger.deployments.epochs(model)[0]
            assert (first.revision, first.kind.value) == (1, "bootstrap")
            assert int(first.model_version) in {v.number for v in stage.registry.versions(model)}
    check_invariants(stage)


def test_a_day_is_materialized_scored_and_judged_and_says_what_was_decided(stage, replayed):
    assert [line.split()[:2] for line in replayed[-2:]] == [[DAYS[1], "air_time"], [DAYS[1], "flight_delay"]]
    assert "log" in replayed[-1]
    scored = predictions("flight_delay", DAYS[0], "2013-04-17")
    assert set(scored["role"]) == {"served"}
    assert len(scored) > 1000
    with stage.ledger() as ledger:
        assert [d.day for d in ledger.drift.decisions("flight_delay")][:2] == list(DAYS)
    check_invariants(stage)


def test_a_retrain_by_api_goes_to_shadow_without_holding_a_worker_and_is_promoted_when_its_day_is_over(
    stage, second_champion
):
    seen = second_champion
    assert seen.challenger_in_shadow == 2
    assert (seen.ended, seen.revision) == ("success", 2)
    with stage.ledger() as ledger:
        assert ledger.candidates.get(seen.candidate_id).run_id == JOURNEY
    assert seen.effective_from == "2013-04-18T00:00:00+00:00"
    assert (seen.alias, seen.challenger_afterwards) == (2, None)
    check_invariants(stage)


def test_mlflow_tells_the_whole_story_from_the_run_page(stage, second_champion):
    from mlflow import MlflowClient

    with stage.ledger() as ledger:
        candidate = ledger.candidates.get(second_champion.candidate_id)
    client = MlflowClient(stage.registry.url)
    run = client.get_run(candidate.facts.mlflow_run_id)
    gates = {name.removeprefix("slipway.gate.") for name in run.data.tags if name.startswith("slipway.gate.")}
    assert gates == set(registered.modes(stage.declared.models["flight_delay"]))
    tags = run.data.tags
    assert (tags["slipway.run_id"], tags["slipway.issue"]) == (JOURNEY, "OPS-7")
    assert tags["slipway.requested_by"] == "admin (who says: ana)"
    assert {"candidate_brier", "champion_brier", "baseline_brier", "candidate_roc_auc"} <= set(run.data.metrics)
    assert run.data.params["training_set_hash"] == candidate.facts.training_set_hash
    assert run.inputs.dataset_inputs[0].dataset.digest == candidate.facts.training_set_hash[:36]
    assert "delta_table_versions" in run.inputs.dataset_inputs[0].dataset.source
    assert {f.path for f in client.list_artifacts(run.info.run_id, "curves")} >= {
        "curves/roc.png",
        "curves/precision_recall.png",
        "curves/calibration.png",
    }
    version = client.get_model_version("flight_delay", str(second_champion.alias))
    assert version.tags["slipway.digest"] == candidate.facts.artifact_digest


def test_f001_a_partition_run_again_changes_nothing(stage, replayed):
    before, versions = ledger_rows(stage), table_versions(stage)
    for attempt in range(3):
        state = stage.run("features_origin_weather", f"again-{attempt}", partition_key=f"{DAYS[0]}T00:00:00")
        assert state == "success"
    assert table_versions(stage) == versions
    after = ledger_rows(stage)
    assert {name: [row for row in after[name] if row not in rows] for name, rows in before.items()} == {
        name: [] for name in before
    }
    assert after == before
    check_invariants(stage)


def test_a_whole_day_run_again_changes_nothing(stage, replayed):
    before, versions, answers = ledger_rows(stage), table_versions(stage), predictions("flight_delay")
    for view in stage.declared.views:
        stage.api.trigger(f"features_{view}", "whole-day", partition_key=f"{DAYS[1]}T00:00:00")
    for view in stage.declared.views:
        assert stage.api.wait(f"features_{view}", "whole-day", PATIENCE_S).state == "success"
    eventually(
        lambda: len(stage.api.dag_runs("drift_flight_delay", states=["success"], partition_key=DAYS[1])) == 2,
        PATIENCE_S,
    )
    assert table_versions(stage) == versions
    after = ledger_rows(stage)
    assert {name: [row for row in after[name] if row not in rows] for name, rows in before.items()} == {
        name: [] for name in before
    }
    assert after == before
    assert predictions("flight_delay").equals(answers)
    check_invariants(stage)


def test_a_whole_journey_run_again_changes_nothing(stage, second_champion):
    before, alias = ledger_rows(stage), stage.registry.alias("flight_delay", CHAMPION)
    tasks = stage.task_states("retrain_flight_delay", JOURNEY)
    stage.api.clear("retrain_flight_delay", JOURNEY, list(tasks), only_failed=False)
    assert stage.api.wait("retrain_flight_delay", JOURNEY, PATIENCE_S).state == "success"
    assert ledger_rows(stage) == before
    assert stage.registry.alias("flight_delay", CHAMPION) == alias
    check_invariants(stage)


def test_f003_f004_a_backfill_newest_first_and_in_parallel_leaves_the_bytes_the_history_left(stage):
    before, versions = ledger_rows(stage), table_versions(stage)
    dag_id, days = "features_origin_traffic", ("2013-04-03", "2013-04-05")
    body = {"first": f"{days[0]}T00:00:00Z", "last": f"{days[1]}T00:00:00Z"}
    stage.api.create_backfill(dag_id, **body, reprocess="completed", max_active_runs=3)
    eventually(lambda: len(stage.api.dag_runs(dag_id, states=["success"], partition_key="2013-04-0")) == 3)
    assert table_versions(stage) == versions
    after = ledger_rows(stage)
    assert {name: [row for row in after[name] if row not in rows] for name, rows in before.items()} == {
        name: [] for name in before
    }
    assert after == before
    check_invariants(stage)


def test_the_command_line_backfills_too(stage):
    argv = [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", "features_origin_weather"]
    argv += ["--from-date", "2013-03-05", "--to-date", "2013-03-05", "--reprocess-behavior", "completed"]
    done = subprocess.run(
        argv, env=stage.services.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr[-800:]
    eventually(
        lambda: len(stage.api.dag_runs("features_origin_weather", states=["success"], partition_key="2013-03-05")) == 1
    )


def test_a_range_is_scored_and_judged_when_its_form_asks_for_it(stage, second_champion):
    conf = {"start": "2013-04-18", "end": "2013-04-20", "start_scoring": True}
    for view in stage.declared.views:
        stage.api.trigger(f"features_{view}", "scored-range", conf)
    for view in stage.declared.views:
        assert stage.api.wait(f"features_{view}", "scored-range", PATIENCE_S).state == "success"
    for day in ("2013-04-18", "2013-04-19"):
        eventually(
            lambda day=day: stage.api.dag_runs("drift_flight_delay", states=["success"], partition_key=day), PATIENCE_S
        )
    answered = predictions("flight_delay")
    of_range = answered[answered["event_time"].dt.strftime("%Y-%m-%d") >= "2013-04-18"]
    with stage.ledger() as ledger:
        first, second = (str(e.model_version) for e in ledger.deployments.epochs("flight_delay")[-2:])
    served = of_range[of_range["role"] == "served"]
    assert set(served["model_version"]) == {second}
    # What was due on the day before the promotion had been answered by the former champion; nothing judges that.
    before = of_range[of_range["role"] == "also_served"]
    assert set(before["model_version"]) == {first}
    assert set(before["prediction_time"].dt.strftime("%Y-%m-%d")) == {"2013-04-17"}
    assert set(before["request_id"]) <= set(served["request_id"])
    check_invariants(stage)


def test_a_backfill_of_a_retrain_dag_is_refused(stage):
    from include.adapters.airflow_api import AirflowRefused

    with pytest.raises(AirflowRefused, match=r"backfill|schedule"):
        stage.api.create_backfill("retrain_flight_delay", "2013-04-01T00:00:00Z", "2013-04-02T00:00:00Z")


def test_f128_all_of_this_asked_nobody_outside_this_machine(stage):
    reached = stage.outside_log.read_text() if stage.outside_log.exists() else ""
    assert reached == ""
    check_invariants(stage)
