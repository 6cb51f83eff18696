"""What a caller of the REST API gets for a bad request, and what the person on call may and may not do.

Shares the stage of the other files; what a test needs to have happened before is a fixture.
"""

from __future__ import annotations

import json
import time

import httpx
import pytest
from invariants import check_invariants
from waiting import PATIENCE_S, eventually

from include.adapters.airflow_api import AirflowRefused
from tests.e2e.conftest import HISTORY
from tests.e2e.test_loop import ledger_rows

pytestmark = pytest.mark.e2e
RETRAIN = "retrain_air_time"
GOOD = {"as_of": "2013-04-17", "reason": "A test asks"}
KNOWN = {**GOOD, "as_of": HISTORY[1]}
"""Good on a stage where nothing was replayed yet."""
CODE = "{{ ti.xcom_pull('x') }} <script>alert(1)</script> $(rm -rf /) ' OR 1=1"


@pytest.fixture
def post(stage):
    """POST raw bytes to the retrain Dag's runs; gives the answer and the seconds it took."""
    answer = httpx.post(
        f"{stage.services.airflow_url}/auth/token",
        json={"username": "admin", "password": stage.services.passwords["admin"]},
        timeout=PATIENCE_S,
    )
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}", "Content-Type": "application/json"}

    def send(content: bytes, dag_id: str = RETRAIN):
        began = time.monotonic()
        reply = httpx.post(
            f"{stage.services.airflow_url}/api/v2/dags/{dag_id}/dagRuns",
            content=content,
            headers=headers,
            timeout=PATIENCE_S,
        )
        return reply, time.monotonic() - began

    return send


@pytest.fixture
def under_way(stage, second_champion):
    """The run of a journey of ``air_time`` that has opened and not ended; its reason looks like code."""
    with stage.ledger() as ledger:
        live = ledger.candidates.live("air_time")
    if live is not None:
        return live.run_id
    run_id = f"asked-{len(stage.api.dag_runs(RETRAIN))}"
    stage.api.trigger(RETRAIN, run_id, {**GOOD, "reason": CODE})
    eventually(lambda: stage.task_states(RETRAIN, run_id)["open_journey"] in ("success", "failed"))
    return run_id


def end(stage, run_id):
    """It waits in shadow for days that do not come; ended by hand it leaves no candidate in flight."""
    eventually(lambda: stage.task_states(RETRAIN, run_id)["shadow_window"] == "deferred")
    stage.api.set_task_state(RETRAIN, run_id, "shadow_window", "failed")
    assert stage.api.wait(RETRAIN, run_id, PATIENCE_S).state == "failed"


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        pytest.param(
            {**GOOD, "as_of": 20130415},
            "as_of is 20130415; it must be text with a date or time",
            id="a number for a date",
        ),
        pytest.param(
            {**KNOWN, "supersede": "yes"}, "supersede is 'yes'; it must be true or false", id="text for a boolean"
        ),
        pytest.param({**KNOWN, "supersede": 1}, "supersede is 1; it must be true or false", id="one for true"),
        pytest.param(
            {**KNOWN, "trigger": "whim"},
            "trigger is 'whim'; allowed are: drift, schedule, api",
            id="unknown word of a closed set",
        ),
        pytest.param(
            {**KNOWN, "reason": "x" * 501}, "it has 501 characters; at most 500 are allowed", id="a reason without end"
        ),
    ],
)
def test_f109_a_wrong_type_is_refused_at_once_and_the_field_is_named(stage, conf, reason):
    before = len(stage.api.dag_runs(RETRAIN))
    with pytest.raises(AirflowRefused, match=reason) as refused:
        stage.api.trigger(RETRAIN, "never", conf)
    assert refused.value.status == 400
    assert len(stage.api.dag_runs(RETRAIN)) == before
    check_invariants(stage)


@pytest.mark.parametrize(
    ("name", "conf", "line"),
    [
        ("bad-date", {**GOOD, "as_of": "garbage"}, "as_of is 'garbage'; write a date or time in ISO 8601"),
        ("unknown-key", {**GOOD, "reasn": "x"}, "there is no such field; allowed are: as_of, reason, requested_by"),
        ("future", {**GOOD, "as_of": "2031-01-01"}, "it is after the newest data; the latest allowed is 2013-04-"),
        ("no-date", {"reason": "x y z"}, "as_of is missing; say as of when to train the model"),
        ("no-reason", {"as_of": "2013-04-15"}, "reason is missing; it is required: 1 to 500 characters of text"),
        ("sql", {**GOOD, "as_of": "2013-04-15'; DROP TABLE candidates; --"}, "write a date or time in ISO 8601"),
    ],
)
def test_f109_f111_what_the_schema_lets_pass_is_refused_with_one_line_and_leaves_no_run(stage, name, conf, line):
    before, runs = ledger_rows(stage), len(stage.api.dag_runs(RETRAIN))
    with pytest.raises(AirflowRefused) as refused:
        stage.api.trigger(RETRAIN, f"bad__{name}", conf)
    assert refused.value.status == 400
    assert line in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert len(stage.api.dag_runs(RETRAIN)) == runs
    assert ledger_rows(stage) == before
    check_invariants(stage)


def test_f111_a_reason_that_looks_like_code_is_kept_as_it_is(stage, under_way):
    with stage.ledger() as ledger:
        assert ledger.candidates.of_run("air_time", under_way).request.reason == CODE


def test_a_repeated_key_starts_nothing_new_and_a_second_journey_is_refused_with_the_firsts_name(stage, under_way):
    _, started = stage.api.trigger(RETRAIN, under_way, GOOD)
    assert not started
    assert stage.run(RETRAIN, "second", GOOD, PATIENCE_S) == "success", "nothing to mend, so nothing red"
    assert set(stage.task_states(RETRAIN, "second").values()) == {"skipped"}
    assert f"air_time has a journey under way: run {under_way}" in stage.last_lines(RETRAIN, "second", "open_journey")


def test_supersede_replaces_the_journey_under_way(stage, under_way):
    stage.api.trigger(RETRAIN, "newer", {**GOOD, "supersede": True})
    assert stage.api.wait(RETRAIN, under_way, PATIENCE_S).state == "failed"
    with stage.ledger() as ledger:
        assert ledger.candidates.of_run("air_time", under_way).state.value == "superseded"
        assert ledger.candidates.live("air_time").run_id == "newer"
    end(stage, "newer")
    with stage.ledger() as ledger:
        assert ledger.candidates.live("air_time") is None
    check_invariants(stage)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(
            json.dumps({"logical_date": None, "conf": {"reason": "x" * 10_000_000}}).encode(), 413, id="10 MB"
        ),
        pytest.param(b'{"logical_date":null,"conf":{"a":' + b"[" * 20000 + b"]" * 20000 + b"}}", 400, id="20,000 deep"),
        pytest.param(b'{"logical_date":null,"conf":{"a":"\xff\xfe"}}', 400, id="no UTF-8"),
        pytest.param(b'{"logical_date":null,"conf":{"as_of":NaN}}', 400, id="NaN"),
        pytest.param(b'{"logical_date":null,"conf":{"as_of":1e400}}', 400, id="1e400"),
        pytest.param(b'{"logical_date":null,"bogus":1}', 422, id="unknown key of the body"),
        pytest.param(b'{"conf":{}}', 422, id="no logical date"),
    ],
)
def test_f110_what_is_too_large_too_deep_or_no_json_is_refused_at_once_and_stores_nothing(stage, post, content, status):
    before = len(stage.api.dag_runs(RETRAIN))
    reply, took = post(content)
    assert reply.status_code == status
    assert took < 10, "refused from its first bytes: working it off would take minutes"
    assert len(stage.api.dag_runs(RETRAIN)) == before
    check_invariants(stage)


def test_f110_an_unknown_model_is_not_found(stage, post):
    reply, _ = post(b'{"logical_date":null}', "retrain_nobody")
    assert reply.status_code == 404


def published_rows(stage):
    """What the ledger knows of published days; journeys of other tests go on beside a feature run."""
    return {name: rows for name, rows in ledger_rows(stage).items() if name.startswith("partition")}


@pytest.mark.parametrize(
    ("name", "conf", "line"),
    [
        ("f010", {}, "The run has no partition and start and end are missing. Give both"),
        ("f010-half", {"start": "2013-04-01"}, "The run has no partition and end is missing"),
        ("f011-reversed", {"start": "2013-04-05", "end": "2013-04-01"}, "is empty: its end must be after its start"),
        ("f011-future", {"start": "2031-01-01", "end": "2031-01-03"}, "is outside the days there are: [2013-01-01"),
        ("f011-half-day", {"start": "2013-04-01T12:00", "end": "2013-04-03"}, "is not the start of a UTC day"),
    ],
)
def test_f010_f011_a_feature_run_without_a_proper_window_fails_before_it_reads(stage, name, conf, line):
    before = published_rows(stage)
    assert stage.run("features_origin_weather", name, conf, PATIENCE_S) == "failed"
    log = stage.last_lines("features_origin_weather", name, "materialize")
    assert line in log
    assert "Task failed with exception" not in log
    assert published_rows(stage) == before
    check_invariants(stage)


def test_f008_an_empty_day_is_recorded_as_empty_and_is_no_failure(stage):
    key = "2013-12-31T00:00:00"
    assert stage.run("features_origin_weather", "f008", partition_key=key) == "success"
    with stage.ledger() as ledger:
        found = ledger.partitions.get("origin_weather", 1, "2013-12-31")
    assert (found.status.value, found.rows) == ("EMPTY", 0)
    check_invariants(stage)


def test_a_rollback_needs_a_reason_and_then_restores_the_previous_champion_at_once(stage, second_champion):
    with pytest.raises(AirflowRefused, match="reason is missing; say why the champion must go"):
        stage.api.trigger("rollback_flight_delay", "no-reason", {})
    conf = {"reason": "The new one is worse at LGA", "requested_by": "ana"}
    assert stage.run("rollback_flight_delay", "back", conf, PATIENCE_S) == "success"
    with stage.ledger() as ledger:
        head = ledger.deployments.champion("flight_delay")
    assert (head.revision, head.kind.value) == (3, "rollback")
    assert stage.registry.alias("flight_delay", "champion") == 1
    assert stage.run("rollback_flight_delay", "again", conf, PATIENCE_S) == "failed"
    check_invariants(stage)


@pytest.fixture(scope="module")
def hopeless(stage, second_champion):
    """A journey whose threshold gate is red, as it was seen before anybody touched it: the gate, its log, its state."""
    with stage.ledger() as ledger:
        live = ledger.candidates.live("air_time")
    if live is not None:
        end(stage, live.run_id)
    file = stage.services.place.home / "declared" / "models" / "air_time" / "model.yaml"
    lenient = file.read_text()
    strict = lenient.replace("at_most: 30.0", "at_most: 0.5")
    assert strict != lenient
    file.write_text(strict)
    try:
        assert stage.run(RETRAIN, "hopeless", GOOD, PATIENCE_S) == "failed"
    finally:
        file.write_text(lenient)
    gate = next(t for t in stage.api.task_instances(RETRAIN, "hopeless") if t.task_id == "threshold_gate")
    lines = [line for line in stage.api.log(RETRAIN, "hopeless", "threshold_gate") if not line.startswith("::")]
    with stage.ledger() as ledger:
        return gate, lines, ledger.candidates.of_run("air_time", "hopeless").state.value


def test_a_failed_gate_is_red_without_a_retry_and_its_log_ends_in_the_table(stage, hopeless):
    gate, lines, state = hopeless
    assert (gate.state, gate.try_number) == ("failed", 1)
    assert "docs/runbook/threshold_gate.md" in lines[-1]
    assert lines[-2].startswith("data verdict: FAIL (threshold_gate, blocking) because mae")
    header = next(line for line in lines if line.startswith("criterion"))
    assert header.split() == ["criterion", "measured", "allowed", "rows", "champion", "verdict"]
    assert state == "rejected"
    check_invariants(stage)


def test_f059_marking_a_red_gate_green_promotes_nothing(stage, hopeless):
    before = ledger_rows(stage)["deployment_history"]
    stage.api.set_task_state(RETRAIN, "hopeless", "threshold_gate", "success")
    stage.api.clear(RETRAIN, "hopeless", ["register_challenger"], only_failed=False, downstream=True)
    assert stage.api.wait(RETRAIN, "hopeless", PATIENCE_S).state == "failed"
    assert "threshold_gate is FAIL" in stage.last_lines(RETRAIN, "hopeless", "register_challenger")
    assert ledger_rows(stage)["deployment_history"] == before
    check_invariants(stage)
