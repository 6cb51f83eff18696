"""The examples of the documentation that need a running Airflow, as they are written: only addresses, passwords and the
folder of the programs are put in. Runs last of this folder, because it publishes months that the other files count on
not being there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_examples import examples
from waiting import PATIENCE_S, eventually

from include.config.settings import PROJECT
from tests.e2e.conftest import HISTORY

# Five months are published and a journey is trained on them: minutes.
pytestmark = pytest.mark.e2e
RETRAIN = "retrain_flight_delay"
WITH_STATUS = """curl() {
  case "$*" in *auth/token*) command curl "$@";; *) command curl -w '\\nstatus %{http_code}\\n' "$@";; esac
}
"""


def shell(stage, text):
    """Run it in bash from the project's folder; what curl fetched is followed by its status."""
    for old, new in {
        "http://127.0.0.1:8080": stage.services.airflow_url,
        "localhost:8080": stage.services.airflow_url.removeprefix("http://"),
        "THE PRINTED ONE": stage.services.passwords["admin"],
        ".venv/bin/": f"{Path(sys.executable).parent}/",
    }.items():
        text = text.replace(old, new)
    environment = {**os.environ, "URL": stage.services.airflow_url, "TOKEN": stage.token()}
    return subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", WITH_STATUS + text],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def answered(stage, text):
    """Status and body of every call of a block of curl."""
    ended = shell(stage, text)
    assert ended.returncode == 0, ended.stderr
    parts = re.split(r"\nstatus (\d+)\n", ended.stdout)
    return [(int(status), json.loads(body)) for body, status in zip(parts[::2], parts[1::2], strict=False)]


def written(key):
    return examples()[key].text


def begun(stage, block):
    """Status and body of a call that starts a run. Airflow on SQLite answers 500, and starts nothing, where its
    database was locked for three seconds: the call is then made again, as a person would."""
    for _ in range(5):
        ((status, body),) = answered(stage, block)
        if status != 500:
            break
    return status, body


@pytest.fixture(scope="module")
def published(stage):
    """January to May of every view, by the page's own call; what came back for the view that it names."""
    block = written("docs/retrain.md > Backfill > 3")
    status, run = begun(stage, block)
    runs = [("features_origin_weather", run["dag_run_id"])]
    for view in stage.declared.views:
        if view != "origin_weather":
            _, another = begun(stage, block.replace("origin_weather", view))
            runs.append((f"features_{view}", another["dag_run_id"]))
    assert {stage.api.wait(*each, PATIENCE_S).state for each in runs} == {"success"}
    return status


@pytest.fixture(scope="module")
def asked(stage, published):
    """What the calls of "Retrain by API" answered, with no other journey under way."""
    with stage.ledger() as ledger:
        live = ledger.candidates.live("flight_delay")
    if live is not None:
        stage.api.set_run_state(RETRAIN, live.run_id, "failed")
        eventually(lambda: stage.api.dag_run(RETRAIN, live.run_id).finished)
    first = answered(stage, written("docs/retrain.md > Retrain by API"))
    again = answered(stage, written("docs/retrain.md > Retrain by API"))
    return first, again


@pytest.mark.slow
def test_a_long_range_in_one_pass_is_taken_as_it_is_written(published):
    assert published == 200


@pytest.mark.slow
def test_the_retrain_page_s_call_starts_a_run_once_and_is_polled(stage, asked):
    (started, polled), (again, _) = asked
    assert (started[0], started[1]["state"], started[1]["dag_run_id"]) == (200, "queued", "ops-12")
    assert (polled[0], polled[1]["dag_run_id"]) == (200, "ops-12")
    assert again[0] == 409
    eventually(lambda: stage.task_states(RETRAIN, "ops-12")["open_journey"] in ("success", "failed"))
    with stage.ledger() as ledger:
        request = ledger.candidates.of_run("flight_delay", "ops-12").request
    assert (request.reason, request.issue) == ("new carrier at EWR", "OPS-12")


CALL = """curl -s "$URL/api/v2/dags/DAG/dagRuns" HEADER -H "Content-Type: application/json" -d 'BODY'"""
ASKS = {"as_of": "2013-06-01", "reason": "new carrier at EWR"}


@pytest.mark.parametrize(
    ("status", "dag_id", "user", "body"),
    [
        pytest.param(400, RETRAIN, "admin", {"logical_date": None, "conf": {**ASKS, "reasn": "x"}}, id="unknown field"),
        pytest.param(400, RETRAIN, "admin", {"logical_date": None, "conf": {**ASKS, "as_of": 7}}, id="wrong type"),
        pytest.param(400, RETRAIN, "admin", {"logical_date": None, "conf": {**ASKS, "as_of": "soon"}}, id="no date"),
        pytest.param(
            400, RETRAIN, "admin", {"logical_date": None, "conf": {**ASKS, "as_of": "2031-01-01"}}, id="future"
        ),
        pytest.param(400, RETRAIN, "admin", {"logical_date": None, "conf": {"as_of": "2013-06-01"}}, id="no reason"),
        pytest.param(422, RETRAIN, "admin", {"conf": ASKS}, id="no logical date"),
        pytest.param(401, RETRAIN, None, {"logical_date": None, "conf": ASKS}, id="no token"),
        pytest.param(403, RETRAIN, "nobody", {"logical_date": None, "conf": ASKS}, id="a token of nobody"),
        pytest.param(403, RETRAIN, "viewer", {"logical_date": None, "conf": ASKS}, id="may not"),
        pytest.param(404, "retrain_nobody", "admin", {"logical_date": None, "conf": ASKS}, id="no such Dag"),
    ],
)
@pytest.mark.slow
def test_the_table_of_answers_is_true(stage, published, status, dag_id, user, body):
    token = "nonsense" if user == "nobody" else stage.token(user) if user else ""
    header = f'-H "Authorization: Bearer {token}"' if user else ""
    runs = len(stage.api.dag_runs(RETRAIN))
    call = CALL.replace("DAG", dag_id, 1).replace("HEADER", header).replace("BODY", json.dumps(body))
    ((found, _),) = answered(stage, call)
    assert found == status
    assert f"\n| {status} | " in (PROJECT / "docs/retrain.md").read_text(encoding="utf-8")
    assert len(stage.api.dag_runs(RETRAIN)) == runs


@pytest.mark.slow
def test_the_calls_of_the_pages_rest_answer_and_a_journey_under_way_is_refused(stage, asked):
    block = written("docs/pages.md > REST")
    block = block.replace("…", stage.services.passwords["operator"]).replace("2013-06-17", "2013-06-01")
    # The first call shows how one gets a token, and prints it.
    token, calls = block.split("curl -s localhost", 1)
    assert "access_token" in json.loads(shell(stage, token).stdout)
    models, retrain = answered(stage, "curl -s localhost" + calls)
    assert models[0] == 200
    assert {"flight_delay", "air_time"} <= set(re.findall(r"flight_delay|air_time", json.dumps(models[1])))
    eventually(lambda: stage.task_states(RETRAIN, "ops-12")["open_journey"] in ("success", "failed"))
    with stage.ledger() as ledger:
        live = ledger.candidates.live("flight_delay")
    assert retrain[0] in ((409,) if live is not None else (202, 409)), retrain


@pytest.mark.slow
def test_both_backfills_are_taken_as_they_are_written(stage, published):
    ((status, backfill),) = answered(stage, written("docs/retrain.md > Backfill"))
    assert (status, backfill["dag_id"]) == (200, "features_origin_weather")
    eventually(lambda: stage.api.backfill_complete(backfill["id"]))
    ports = stage.services.place.ports
    command = written("docs/retrain.md > Backfill > 2").replace(
        "slipway env", f"slipway env --airflow-port {ports.airflow} --mlflow-port {ports.mlflow}"
    )
    ended = shell(stage, command)
    assert ended.returncode == 0, ended.stderr[-2000:]
    with stage.ledger() as ledger:
        newest = ledger.partitions.get("origin_weather", 1, "2013-06-07")
    assert newest is not None


@pytest.mark.parametrize(
    "key",
    ["docs/runbook/housekeeping.md > `housekeeping`", "docs/runbook/repair.md > `compare_…` and `slipway repair`"],
)
@pytest.mark.slow
def test_what_the_runbook_says_to_type_by_hand_runs(stage, key):
    for command in examples()[key].commands:
        ended = shell(stage, command)
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        assert ended.stdout


def test_the_runbooks_rollback_is_taken_by_rest_and_on_the_command_line(stage, second_champion):
    typed = shell(stage, written("docs/runbook/rollback.md > Rollback"))
    assert (
        re.match(r"rollback_flight_delay \S+ (started|was there already)", typed.stdout)
        or "nothing to roll back to" in typed.stderr
    ), typed
    ((status, run),) = answered(stage, written("docs/runbook/rollback.md > Rollback > 2"))
    assert (status, run["dag_id"]) == (200, "rollback_flight_delay")
    assert stage.api.wait("rollback_flight_delay", run["dag_run_id"], PATIENCE_S).finished
    assert HISTORY[1] < second_champion.effective_from
