"""Airflow and MLflow as `slipway up` starts them: ready, watched, driven over REST, and gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from waiting import PATIENCE_S, eventually

from include.adapters.airflow_api import AirflowApi, AirflowRefused, AlreadyThere, DagRun
from include.adapters.ports import PortTaken, free_ports
from include.adapters.processes import Lock, members
from include.workflows.services.environment import Place, Ports
from include.workflows.services.startup import StopRequested
from include.workflows.services.supervisor import AlreadyRunning, read_running, running_services
from include.workflows.services.watchdog import Patience

TOY_DAGS = '''
"""Toy Dags."""

import pendulum
from airflow.sdk import Asset, CronPartitionTimetable, PartitionedAssetTimetable, dag, task
from airflow.providers.standard.operators.hitl import ApprovalOperator

ROWS = Asset("toy.rows")


@dag(dag_id="toy_chain", schedule=None)
def toy_chain():
    @task
    def step(before=None):
        import sys

        return sorted({"pandas", "mlflow", "great_expectations", "deltalake", "duckdb", "sklearn"} & set(sys.modules))

    step(step())


@dag(
    dag_id="toy_rows",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2013, 1, 1),
    end_date=pendulum.datetime(2014, 1, 1),
    catchup=False,
)
def toy_rows():
    @task(outlets=[ROWS])
    def publish(dag_run=None):
        return dag_run.partition_key

    publish()


@dag(dag_id="toy_scores", schedule=PartitionedAssetTimetable(assets=ROWS))
def toy_scores():
    @task
    def score(dag_run=None):
        return dag_run.partition_key

    score()


@dag(dag_id="toy_question", schedule=None)
def toy_question():
    ApprovalOperator(task_id="ask", subject="May it?", fail_on_reject=True)


toy_chain(), toy_rows(), toy_scores(), toy_question()
'''
DAGS = ("toy_chain", "toy_question", "toy_rows", "toy_scores")


def a_place(folder: Path) -> Place:
    airflow, mlflow = free_ports(2)
    (folder / "dags").mkdir(parents=True)
    (folder / "plugins").mkdir()
    (folder / "dags" / "toy.py").write_text(TOY_DAGS, encoding="utf-8")
    return Place(folder / "home", ports=Ports(airflow, mlflow), dags=folder / "dags", plugins=folder / "plugins")


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    place = a_place(tmp_path_factory.mktemp("services"))
    patience = Patience(check_every_s=2.0, young_for_s=20.0, silent_for_s=10.0)
    with running_services(place, expected_dags=DAGS, patience=patience) as running:
        sessions = [running.pid(name) for name in running.names]
        with running.api() as api:
            for dag in DAGS:
                api.unpause(dag)
        yield running
    # I12: no process, lock or lease is left behind.
    assert members(sessions) == set()
    assert read_running(place.home) is None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", place.ports.airflow)) != 0


@pytest.fixture
def api(services):
    with services.api() as client:
        yield client


pytestmark = pytest.mark.e2e


def test_everything_is_healthy_and_every_dag_is_listed(services, api):
    assert services.missing_dags == ()
    assert api.health().healthy
    assert set(api.dags()) == set(DAGS)
    assert services.mlflow_answers()


def test_nothing_listens_beyond_this_machine(services):
    sockets = set()
    for pid in members([services.pid(name) for name in services.names]):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                sockets.add(os.readlink(handle).removeprefix("socket:[").removesuffix("]"))
    addresses = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in sockets:
                addresses.add(words[1])
    ports = services.place.ports
    assert addresses == {f"0100007F:{port:04X}" for port in (ports.airflow, ports.mlflow)}


def test_a_task_finds_the_heavy_libraries_loaded(api):
    api.trigger("toy_chain", "warm")
    assert api.wait("toy_chain", "warm", PATIENCE_S).state == "success"
    loaded = api.xcom("toy_chain", "warm", "step")
    assert loaded == ["deltalake", "duckdb", "great_expectations", "mlflow", "pandas", "sklearn"]


def test_the_same_run_id_starts_one_run(api):
    first, second = (api.trigger("toy_chain", "once") for _ in range(2))
    assert (first[1], second[1]) == (True, False)
    assert len([run for run in api.dag_runs("toy_chain") if run.run_id == "once"]) == 1


def test_a_partition_is_run_by_its_key_and_starts_what_waits_for_it(api):
    key = "2013-01-05T00:00:00"
    run, _ = api.trigger("toy_rows", "day-2013-01-05", partition_key=key)
    assert run.partition_key == key
    assert api.wait("toy_rows", run.run_id, PATIENCE_S).state == "success"
    scored = eventually(lambda: api.dag_runs("toy_scores", partition_key="2013-01-05", states=["success"]))
    assert [run.partition_key for run in scored] == [key]
    assert api.asset_events(source_dag_id="toy_rows")[0]["partition_key"] == key


@pytest.mark.parametrize(
    ("dag", "key", "reason"),
    [
        ("toy_rows", "2013-01-05", "does not match the timetable's key_format"),
        ("toy_chain", "2013-01-05T00:00:00", "is not a partitioned Dag"),
        ("no_such_dag", None, "not found"),
    ],
)
def test_a_wrong_trigger_is_refused_with_the_reason(api, dag, key, reason):
    with pytest.raises(AirflowRefused, match=reason):
        api.trigger(dag, "wrong", partition_key=key)


@pytest.mark.slow
def test_a_backfill_runs_each_partition_and_one_at_a_time_per_dag(api):
    backfill = api.create_backfill("toy_rows", "2013-02-01T00:00:00Z", "2013-02-02T00:00:00Z")
    with pytest.raises(AlreadyThere, match="already a running backfill"):
        api.create_backfill("toy_rows", "2013-02-01T00:00:00Z", "2013-02-02T00:00:00Z")
    with pytest.raises(AirflowRefused, match="does not support backfills"):
        api.create_backfill("toy_scores", "2013-02-01T00:00:00Z", "2013-02-02T00:00:00Z")

    def both() -> list[DagRun] | None:
        runs = api.dag_runs("toy_rows", partition_key="2013-02", states=["success"])
        return runs if len(runs) == 2 else None

    done = eventually(both)
    assert {run.partition_key for run in done} == {"2013-02-01T00:00:00", "2013-02-02T00:00:00"}
    # Airflow itself looks every 30 s.
    assert eventually(lambda: api.backfill_complete(backfill))


def test_a_question_is_answered_once(api):
    api.trigger("toy_question", "ask-me")
    (question,) = eventually(lambda: api.questions("toy_question", "ask-me"))
    assert question.options == ("Approve", "Reject")
    api.answer(question, "Approve")
    with pytest.raises(AlreadyThere):
        api.answer(question, "Reject")
    assert api.wait("toy_question", "ask-me", PATIENCE_S).state == "success"


def test_a_viewer_may_look_and_not_start(services):
    with services.api("viewer") as viewer:
        assert set(viewer.dags()) == set(DAGS)
        with pytest.raises(AirflowRefused) as caught:
            viewer.trigger("toy_chain", "not-mine")
    assert caught.value.status == 403


def test_there_is_no_default_password(services):
    with AirflowApi(services.airflow_url, "admin", "admin") as stranger, pytest.raises(AirflowRefused):
        stranger.dags()
    assert services.place.passwords_file.stat().st_mode & 0o777 == 0o600


def test_a_second_start_in_the_same_home_is_refused(services):
    other = Place(services.place.home, ports=Ports(*free_ports(2)))
    with pytest.raises(AlreadyRunning, match=f"already run in process {os.getpid()}"), running_services(other):
        pass


@pytest.mark.slow
def test_f120_a_killed_scheduler_is_back_within_a_minute_and_works(services, api):
    before = services.pid("scheduler")
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: "scheduler" in services.children and services.pid("scheduler") != before)
    assert members([before]) == set()
    api.trigger("toy_chain", "after-the-kill")
    assert api.wait("toy_chain", "after-the-kill", PATIENCE_S).state == "success"
    assert services.restarts["scheduler"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("killed", [["triggerer"], ["dag-processor"], ["mlflow"], ["api-server"], ["all of them"]])
def test_f119_what_is_killed_while_nothing_runs_is_back_within_a_minute_and_works(services, killed):
    names = services.names if killed == ["all of them"] else killed
    before, counted = {name: services.pid(name) for name in names}, dict(services.restarts)
    began = time.monotonic()
    for name in names:
        os.kill(before[name], signal.SIGKILL)
    # The promise is about the process; how long its start takes is the machine's.
    assert eventually(
        lambda: (
            all(name in services.children for name in names)
            and all(services.pid(name) != before[name] for name in names)
        ),
        every_s=0.05,
    )
    assert time.monotonic() - began < 60
    # The watchdog starts first and counts after.
    assert eventually(lambda: all(services.restarts.get(name, 0) > counted.get(name, 0) for name in names))
    assert {name: services.restarts[name] - counted.get(name, 0) for name in names} == dict.fromkeys(names, 1)
    # Nothing of the old ones goes on beside the new ones (I12).
    assert members(before.values()) == set()
    assert services.given_up == {}
    with services.api() as api:
        assert eventually(lambda: _healthy(api))
        assert eventually(services.mlflow_answers)
        run = "after-" + "-".join(killed).replace(" ", "-")
        api.trigger("toy_chain", run)
        assert api.wait("toy_chain", run, PATIENCE_S).state == "success"


@pytest.mark.slow
def test_a_hanging_api_server_is_restarted(services):
    before = services.pid("api-server")
    os.kill(before, signal.SIGSTOP)
    assert eventually(lambda: "api-server" in services.children and services.pid("api-server") != before)
    with services.api() as api:
        assert eventually(lambda: _healthy(api))


def _healthy(api: AirflowApi) -> bool:
    try:
        return api.health().healthy
    except RuntimeError:
        return False


# --- before anything runs --------------------------------------------------------------------------------------------


def test_a_taken_port_is_said_before_anything_is_started(tmp_path):
    place = a_place(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.ports.mlflow))
        taken.listen()
        with pytest.raises(PortTaken, match="for MLflow is in use"), running_services(place):
            pass
    assert not (place.home / "logs").exists()


def test_a_start_that_is_stopped_leaves_nothing_behind(tmp_path):
    place = a_place(tmp_path)
    stop = threading.Event()
    threading.Timer(2.0, stop.set).start()
    with pytest.raises(StopRequested), running_services(place, stop=stop):
        pass
    # Taking the home's lock proves that nobody holds it any more.
    Lock(place.home / "services.lock").release()
