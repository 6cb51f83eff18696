"""A real Airflow and a real MLflow with the real flights, off every outside network, for all end-to-end tests."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import PATIENCE_S, eventually

from include.adapters.airflow_api import AirflowApi
from include.adapters.ledger import Ledger
from include.adapters.nycflights import load_flights
from include.adapters.ports import free_ports
from include.adapters.registry import CHALLENGER, CHAMPION, Registry
from include.config import Declarations, loader
from include.config.settings import PROJECT, settings
from include.workflows.services.components import Services
from include.workflows.services.demonstration import Demonstration, Plan
from include.workflows.services.environment import Place, Ports
from include.workflows.services.supervisor import dag_ids, running_services
from include.workflows.services.watchdog import Patience

STAGE = pytest.StashKey[ExitStack]()
HISTORY = ("2013-03-01", "2013-04-15")
"""The days loaded in bulk; the first champions are as of the end."""
DAYS = ("2013-04-15", "2013-04-16")
"""The days that are replayed one by one, before the second champion's own."""
JOURNEY = "api__issue-7"
"""The run that makes the second champion of ``flight_delay``."""

SMALLER = {
    # A journey of a few seconds: five weeks of flights instead of fifteen.
    "window_days: 90": "window_days: 28",
    "holdout_days: 14": "holdout_days: 7",
    "min_rows: 20000": "min_rows: 5000",
    "min_rows: 5000": "min_rows: 1000",
    # These tests are about the way, not about whether two neighbouring weeks differ, or what seven days can tell.
    "alpha: 0.05": "alpha: 0.4",
    "{metric: brier, margin: 0.005}": "{metric: brier, margin: 0.2}",
    "strict: {margin: 0.01, large_rows: 3000}": "strict: {margin: 0.2, large_rows: 300}",
    "small: {floor: 0.02}": "small: {floor: 0.2}",
    "{metric: mae, margin: 0.25}": "{metric: mae, margin: 10}",
    "baseline_by: [origin, dest]": "baseline_by: []",
    "at_least: 0.65": "at_least: 0.5",
    "at_most: 0.20": "at_most: 0.3",
    "at_most: 9.0": "at_most: 30.0",
    # One day in shadow.
    "min_rows: 4000": "min_rows: 300",
    "min_days: 5": "min_days: 1",
    "disagreement: [0.002, 0.15]": "disagreement: [0.00001, 0.9]",
    "disagreement: [0.2, 8.0]": "disagreement: [0.00001, 90]",
    "p99_delta_at_most: 0.5": "p99_delta_at_most: 1.0",
    "p99_delta_at_most: 30.0": "p99_delta_at_most: 300.0",
}


class Quiet:
    """A replay nobody watches."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def now(self, text: str) -> None: ...

    def line(self, text: str) -> None:
        self.lines.append(text)


@dataclass
class Stage:
    """The running services, with history loaded and first champions promoted."""

    services: Services
    api: AirflowApi
    replay: Demonstration
    told: Quiet
    outside_log: Path
    registry: Registry
    declared: Declarations
    secrets: tuple[str, ...] = ()
    scored_in_history: tuple[str, ...] = ()
    """The runs of ``score_flight_delay`` there were when history was loaded and nothing else had happened."""

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with Ledger.open(settings().ledger_url) as ledger:
            yield ledger

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        return {t.task_id: t.state for t in self.api.task_instances(dag_id, run_id)}

    def token(self, user: str = "admin") -> str:
        """A fresh token of one of the stage's users."""
        body = {"username": user, "password": self.services.passwords[user]}
        answer = httpx.post(f"{self.services.airflow_url}/auth/token", json=body, timeout=PATIENCE_S)
        return str(answer.json()["access_token"])

    def last_lines(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Of the newest try: a task that was cleared while it waited has an empty log of the one before."""
        newest = next(ti.try_number for ti in self.api.task_instances(dag_id, run_id) if ti.task_id == task_id)
        return "\n".join(self.api.log(dag_id, run_id, task_id, newest))

    def run(
        self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None, timeout_s: float = PATIENCE_S, **more: Any
    ) -> str:
        """Trigger, wait, and return the run's state."""
        self.api.trigger(dag_id, run_id, conf, **more)
        return str(self.api.wait(dag_id, run_id, timeout_s).state)


@contextmanager
def declared_smaller(home: Path, **environment: str) -> Iterator[Path]:
    """The project's declarations for journeys of a few seconds, as this process's own; with more environment."""
    declared = home / "declared"
    for folder in ("models", "features"):
        shutil.copytree(PROJECT / "include" / folder, declared / folder)
    for file in (declared / "models").glob("*/model.yaml"):
        text = file.read_text()
        for old, new in SMALLER.items():
            text = text.replace(old, new)
        file.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SLIPWAY_DECLARATIONS": str(declared), **environment}.items():
            patch.setenv(name, value)
        patch.setattr(loader, "ROOT", declared)
        loader.declarations.cache_clear()
        yield declared
    loader.declarations.cache_clear()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """One for all files of this folder. It ends with their last test, not with the session: it changes the process."""
    with ExitStack() as closing:
        request.config.stash[STAGE] = closing
        yield closing.enter_context(running_stage(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def replayed(stage: Stage) -> list[str]:
    """``DAYS`` are published, scored and judged; what the replay said about them."""
    before = len(stage.told.lines)
    for day in DAYS:
        stage.replay.replay_day(day)
    return stage.told.lines[before:]


@dataclass(frozen=True)
class SecondChampion:
    """What was seen while ``JOURNEY`` made it."""

    challenger_in_shadow: int | None
    """The version the challenger alias had while the journey waited for its day."""
    ended: str
    revision: int
    effective_from: str
    candidate_id: str
    alias: int | None
    challenger_afterwards: int | None


@pytest.fixture(scope="session")
def second_champion(stage: Stage, replayed: list[str]) -> SecondChampion:
    """A retrain by API that went through shadow and was promoted; 17 April is the newest day."""
    dag_id = "retrain_flight_delay"
    conf = {"as_of": "2013-04-17", "reason": "Try the way", "requested_by": "ana", "issue": "OPS-7"}
    stage.api.trigger(dag_id, JOURNEY, conf)
    eventually(lambda: stage.task_states(dag_id, JOURNEY)["shadow_window"] == "deferred")
    in_shadow = stage.registry.alias("flight_delay", CHALLENGER)
    stage.replay.replay_day("2013-04-17")
    ended = str(stage.api.wait(dag_id, JOURNEY, PATIENCE_S).state)
    with stage.ledger() as ledger:
        head = ledger.deployments.champion("flight_delay")
    assert head is not None
    return SecondChampion(
        challenger_in_shadow=in_shadow,
        ended=ended,
        revision=head.revision,
        effective_from=head.effective_from.isoformat(),
        candidate_id=head.to_candidate,
        alias=stage.registry.alias("flight_delay", CHAMPION),
        challenger_afterwards=stage.registry.alias("flight_delay", CHALLENGER),
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    yield
    if nextitem is None or nextitem.path.parent != item.path.parent:
        item.config.stash.get(STAGE, ExitStack()).close()


@contextmanager
def running_stage(home: Path) -> Iterator[Stage]:
    airflow_port, mlflow_port = free_ports(2)
    place = Place(home, ports=Ports(airflow_port, mlflow_port))
    outside = home / "outside.log"
    with declared_smaller(
        home,
        SLIPWAY_HOME=str(home),
        MLFLOW_TRACKING_URI=place.mlflow_url,
        SLIPWAY_TEST_OUTSIDE_LOG=str(outside),
        PYTHONPATH=str(Path(__file__).parent / "loopback_only"),
    ):
        load_flights(settings().source_url)
        # A busy machine is no dead one, and the watchdog is not what is tried here.
        patience = Patience(silent_for_s=180.0, young_for_s=180.0)
        with running_services(place, expected_dags=dag_ids(), patience=patience) as services, services.api() as api:
            told = Quiet()
            replay = Demonstration(api, Plan(HISTORY[0], HISTORY[1], "2013-05-01"), told)
            for dag_id in api.dags():
                api.unpause(dag_id)
            replay.load_history()
            scored = tuple(run.run_id for run in api.dag_runs("score_flight_delay"))
            replay.train_first_champions()
            yield Stage(
                services=services,
                api=api,
                replay=replay,
                told=told,
                outside_log=outside,
                registry=Registry(place.mlflow_url),
                declared=loader.declarations(),
                secrets=tuple(services.passwords.values()),
                scored_in_history=scored,
            )
