"""The same Dags where one machine is outgrown: CeleryExecutor, Redis and Postgres, as docker-compose.yaml has them.

There is no container here: its services run as processes, with the commands and the environments of the file.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from invariants import check_invariants
from sqlalchemy import create_engine, text
from waiting import PATIENCE_S

from include.adapters.airflow_api import AirflowApi, AirflowUnreachable
from include.adapters.ledger import Ledger
from include.adapters.registry import CHAMPION, Registry
from include.config import loader
from include.config.settings import settings
from include.workflows.services.demonstration import Demonstration, Plan
from include.workflows.services.supervisor import dag_ids
from tests.distributed.compose_natively import Composed
from tests.e2e.conftest import HISTORY, Quiet, declared_smaller

# To start eight services and train both models takes minutes; the same Dags on one machine are in tests/e2e.
pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.slow]
DAY = HISTORY[1]


def until(composed: Composed, what: str, holds: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Wait for a condition; the services' last words when it does not come."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:g} s.\n{composed.last_words()}")
        time.sleep(0.5)


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    postgres, redis = os.environ.get("SLIPWAY_TEST_POSTGRES"), os.environ.get("SLIPWAY_TEST_REDIS")
    if not (postgres and redis):
        pytest.skip("SLIPWAY_TEST_POSTGRES and SLIPWAY_TEST_REDIS are not both set")
    home = tmp_path_factory.mktemp("composed")
    made = Composed(home, postgres, redis.rpartition("/")[0] + "/15")
    own = made.environment("worker")
    shared = {n: own[n] for n in own if n.startswith("SLIPWAY_")} | {"MLFLOW_TRACKING_URI": own["MLFLOW_TRACKING_URI"]}
    with declared_smaller(home, **shared) as declared:
        made.extra = {"SLIPWAY_DECLARATIONS": str(declared)}
        with made.running():
            yield made


@pytest.fixture(scope="module")
def api(composed: Composed) -> Iterator[AirflowApi]:
    """A client of the running Airflow, once everything is healthy and every Dag is listed."""

    def healthy() -> bool:
        try:
            return set(client.health().components.values()) == {"healthy"} and set(dag_ids()) <= set(client.dags())
        except AirflowUnreachable:
            return False

    password = composed.secrets["SLIPWAY_AIRFLOW_PASSWORD"]
    with AirflowApi(f"http://127.0.0.1:{composed.ports['api-server']}", "admin", password) as client:
        until(composed, "healthy, with every Dag", healthy)
        yield client


def test_the_worker_answers_its_health_check(composed: Composed, api: AirflowApi) -> None:
    said = composed.services["worker"]["healthcheck"]["test"][1].replace("$$", "$")
    environment = {**composed.environment("worker"), "HOSTNAME": os.uname().nodename}

    def answers() -> bool:
        return subprocess.run(["bash", "-c", said], env=environment, capture_output=True, check=False).returncode == 0

    until(composed, "the worker's ping", answers)


def test_history_champions_and_a_day_go_through_workers(composed: Composed, api: AirflowApi) -> None:
    replay = Demonstration(api, Plan(*HISTORY, "2013-05-01"), Quiet())
    for dag_id in api.dags():
        api.unpause(dag_id)
    replay.load_history()
    replay.train_first_champions()
    replay.replay_day(DAY)
    declared, registry = loader.declarations(), Registry(settings().mlflow_url)
    with Ledger.open(settings().ledger_url) as ledger:
        for model in declared.models:
            head = ledger.deployments.champion(model)
            assert registry.alias(model, CHAMPION) == int(str(head.model_version)) == 1
            assert [d.day for d in ledger.drift.decisions(model)] == [DAY]
    assert settings().ledger_url.startswith("postgresql")


def test_every_task_was_a_workers(composed: Composed, api: AirflowApi) -> None:
    engine = create_engine(composed.environment("scheduler")["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.connect() as connection:
        ran = connection.execute(
            text("SELECT count(*) FROM task_instance WHERE state = 'success' AND start_date IS NOT NULL")
        ).scalar()
        by_celery = connection.execute(text("SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'")).scalar()
    engine.dispose()
    assert by_celery >= 20
    assert by_celery >= ran * 0.5


def test_what_they_left_is_whole(composed: Composed, api: AirflowApi) -> None:
    class World:
        declared = loader.declarations()
        registry = Registry(settings().mlflow_url)
        secrets = tuple(v for name, v in composed.secrets.items() if "PASSWORD" not in name)

    check_invariants(World())
