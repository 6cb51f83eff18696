"""A small world for whole journeys: trips that are late the more often the larger their order is.

A day has 120 trips, every tenth of them cancelled, and 48 readings. Everything a journey touches is real: the source,
the Delta tables, the ledger, an MLflow server. Each world declares a model of its own name, so that worlds can share
one server.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from feature_world import (
    READINGS,
    RESULTS,
    TRIP_LATE,
    TRIP_LATE_SQL,
    TRIPS,
    World,
    a_world,
    at,
    days,
    naive,
)
from memory_registry import MemoryRegistry
from sqlalchemy import update

from include.adapters.ledger import Candidate
from include.adapters.registry import ModelRegistry
from include.config import loader
from include.config.settings import settings
from include.domain.authority import Person
from include.workflows import stores, tasks

FIRST_DAY, END_DAY = 1, 16
"""The days of March 2024 that a fresh world has published: ``[FIRST_DAY, END_DAY)``."""
TRIPS_A_DAY = 120
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The moment overrides are measured at."""
SECRET = "correct-horse-battery-staple-5513"
"""Planted in the environment; no output may hold it (I11)."""
CRITERIA = [{"metric": "roc_auc", "at_least": 0.6}, {"metric": "brier", "at_most": 0.3}]
MODEL: dict[str, Any] = {
    **TRIP_LATE,
    "estimator": {
        "path": "sklearn.linear_model.LogisticRegression",
        # The default of 100 is just about enough for these rows, and not on every machine.
        "params": {"max_iter": 2000},
        "encode": "one_hot",
        "impute": True,
    },
    "training": {"window_days": 6, "holdout_days": 3, "min_rows": 200, "seed": 3},
    "gates": {
        "threshold_gate": {"min_rows": 100, "criteria": CRITERIA},
        "champion_gate": {
            "min_rows": 100,
            "comparisons": [{"metric": "brier", "margin": 0.05}],
            "beat_baseline_on": "brier",
        },
    },
    "shadow": {
        "min_rows": 200,
        "min_days": 2,
        "max_days": 4,
        "disagreement": [0.00001, 0.2],
        "p99_delta_at_most": 0.5,
    },
    "drift": {
        "inputs": {"min_rows": 50},
        "predictions": {"min_rows": 50},
        "performance": {"metric": "brier", "tolerance": 0.02, "min_rows": 100, "unit": "row"},
    },
}
LENIENT = {**MODEL["gates"], "champion_gate": {**MODEL["gates"]["champion_gate"], "alpha": 0.3}}
"""Gates for journeys that must get through: three held-out days seldom tell at the usual level."""
VIEWS = ("trip_plan", "station_level")

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


OPERATING = ("ada", "bob", "eve", "judge")
"""The users who operate every model of the world; others may only look."""


@dataclass(frozen=True)
class RunPage:
    """What MLflow shows of one run."""

    tags: dict[str, str]
    metrics: dict[str, float]


@dataclass
class JourneyWorld(World):
    """The world of one test, its models and what is needed to drive a journey through them."""

    registry: ModelRegistry = field(default_factory=lambda: stores.registry())
    secrets: tuple[str, ...] = (SECRET,)
    model: str = ""

    # --- what is declared and published ------------------------------------------------------------------------------

    def declare(self, name: str, label_sql: str = TRIP_LATE_SQL, **changes: Any) -> None:
        """Declare a model, and make this process and its journeys see it."""
        folder = self.root / "declared" / "models" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.yaml").write_text(yaml.safe_dump({**MODEL, "name": name, **changes}), encoding="utf-8")
        (folder / "label.sql").write_text(label_sql, encoding="utf-8")
        loader.declarations.cache_clear()
        self.let_operate(name, *OPERATING)

    def let_operate(self, model: str, *names: str) -> None:
        """As if each had just acted through Airflow, which lets them operate the model."""
        with stores.open_ledger() as ledger:
            for name in names:
                ledger.rights.saw(model, Person(name, frozenset({"op"}), operator=True))

    def fill_days(
        self,
        first: int,
        end: int,
        *,
        effect: float = 2.0,
        orders: tuple[float, float] = (0.0, 1.0),
        labels: bool = True,
    ) -> None:
        """Trips, results and readings of the days ``[first, end)``.

        ``effect`` is how strongly the order makes late, ``orders`` the mean and standard deviation of the orders, and
        without ``labels`` the source never learns how the trips ended.
        """
        trips, results, readings = [], [], []
        for number in range(first, end):
            rng = np.random.default_rng(number)
            order = orders[0] + orders[1] * rng.standard_normal(TRIPS_A_DAY)
            late = rng.random(TRIPS_A_DAY) < 1 / (1 + np.exp(1.0 - effect * order))
            for k in range(TRIPS_A_DAY):
                start = naive(at(number, 24 * k / TRIPS_A_DAY))
                trip = {"trip_id": f"{number:02d}-{k:03d}", "starts_at": start}
                station = "north" if k % 2 else "south"
                known = start - timedelta(days=1)
                trips.append({**trip, "station": station, "order": float(order[k]), "known_at": known})
                if k % 10 and labels:
                    outcome = "late" if late[k] else "on_time"
                    results.append({**trip, "outcome": outcome, "known_at": start + timedelta(hours=2)})
            for hour in range(24):
                made = naive(at(number, hour))
                for station, offset in (("north", 0.0), ("south", 100.0)):
                    level = offset + 10 * rng.random()
                    known = made + timedelta(minutes=30)
                    readings.append({"station": station, "read_at": made, "level": level, "known_at": known})
        self.insert(TRIPS, trips)
        if results:
            self.insert(RESULTS, results)
        self.insert(READINGS, readings)

    def next_day(self, number: int, *, score: bool = True, **how: Any) -> dict[str, Any]:
        """What the Dags do of a day: fill, materialize, audit, publish each view, score with every model."""
        self.fill_days(number, number + 1, **how)
        self.publish_day(number)
        return self.score(number) if score else {}

    def publish_day(self, number: int) -> None:
        for view in VIEWS:
            staged = tasks.materialize(view, key(number), {}, f"features-{number}", NOW)
            judged = tasks.audit(staged, NOW)
            if not judged["passed"]:
                raise RuntimeError(str(judged["reason"]))
            tasks.publish(staged, {})

    def score(self, number: int, model: str | None = None) -> dict[str, Any]:
        return dict(tasks.score(model or self.model, key(number), f"score-{number}"))

    # --- a journey, task by task as its Dag calls them ----------------------------------------------------------------

    def open(self, run_id: str, day: int, model: str | None = None, **conf: Any) -> dict[str, Any]:
        """Open a journey as of the start of ``day``."""
        sent = {"as_of": at(day).isoformat(), "reason": "a test asks", **conf}
        return dict(tasks.open_journey(model or self.model, run_id, "manual", sent, NOW, "ada"))

    def train(self, reference: Mapping[str, Any]) -> None:
        """Training set, its gate, and the fit."""
        tasks.build_training_set(reference)
        self.judge_after("build_training_set", reference)
        tasks.train(reference)

    def judge(self, gate: str, reference: Mapping[str, Any]) -> dict[str, Any]:
        return dict(tasks.judge(gate)(reference, NOW))

    def judge_after(self, step: str, reference: Mapping[str, Any]) -> bool:
        """Every declared gate that follows the step, as the Dag has them; whether all passed."""
        gates = tasks.gates_after(loader.declarations().model(str(reference["model"])), step)
        passed = [self.judge(gate, reference)["passed"] for gate in gates]
        return all(passed)

    def to_shadow(self, reference: Mapping[str, Any]) -> bool:
        """From the training set to the shadow window; False when a gate stopped it."""
        tasks.build_training_set(reference)
        if not self.judge_after("build_training_set", reference):
            return False
        tasks.train(reference)
        tasks.evaluate(reference)
        if not self.judge_after("evaluate", reference):
            return False
        if tasks.refits(loader.declarations().model(str(reference["model"]))):
            tasks.refit(reference)
        tasks.register_challenger(reference, NOW)
        if not self.judge_after("register_challenger", reference):
            return False
        tasks.open_shadow_window(reference)
        return True

    def to_the_end(self, reference: Mapping[str, Any]) -> dict[str, Any]:
        """From the shadow gate to the closed journey."""
        if self.judge("shadow_gate", reference)["passed"]:
            tasks.promote(reference, NOW)
        return dict(tasks.close_journey(reference))

    def first_champion(self, run_id: str = "first", day: int = 13) -> Candidate:
        """A whole first deployment, effective from ``day`` on."""
        reference = self.open(run_id, day)
        if not self.to_shadow(reference):
            raise RuntimeError("the first candidate was stopped by a gate")
        self.to_the_end(reference)
        return self.candidate(reference)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def candidate(self, reference: Mapping[str, Any]) -> Candidate:
        with stores.open_ledger() as ledger:
            return ledger.candidates.get(str(reference["candidate_id"]))

    def rows_of_ledger(self) -> dict[str, list[Any]]:
        """Every row of every table of the ledger but the attempts handed out, which count each try, and the heartbeats
        of the Dags that guard, which follow the clock: an Airflow of another test may beat in between."""
        from sqlalchemy import inspect, text

        with stores.open_ledger() as ledger, ledger.database.engine.connect() as connection:
            apart = {"attempts", "beats", "alembic_version"}
            names = [n for n in inspect(connection).get_table_names() if n not in apart]
            return {n: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{n}"')))) for n in sorted(names)}

    def table_versions(self) -> dict[str, int]:
        """The version of every Delta table of the store."""
        from deltalake import DeltaTable

        found = sorted(p.parent for p in Path(settings().store).rglob("_delta_log"))
        return {str(p.relative_to(settings().store)): DeltaTable(str(p)).version() for p in found}

    def versions_in_mlflow(self, model: str | None = None) -> list[tuple[int, str]]:
        """Version and source of everything registered under the model's name."""
        name = model or self.model
        if isinstance(self.registry, MemoryRegistry):
            known = self.registry.models.get(name)
            return sorted((number, held.source) for number, held in known.versions.items()) if known else []
        found = self._mlflow().search_model_versions(f"name='{name}'")
        return sorted((int(v.version), str(v.source)) for v in found)

    def runs_in_mlflow(self, model: str | None = None) -> list[Any]:
        """The runs of the model's candidates, as MLflow's client gives them."""
        client = self._mlflow()
        experiment = client.get_experiment_by_name(model or self.model)
        return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))

    def page_of(self, run_id: str) -> RunPage:
        """What is shown of the candidate that this journey's run made."""
        if isinstance(self.registry, MemoryRegistry):
            made = self.registry.runs.values()
            pages = [RunPage(r.tags, r.metrics) for r in made if r.experiment == self.model]
        else:
            pages = [RunPage(r.data.tags, r.data.metrics) for r in self.runs_in_mlflow()]
        return next(page for page in pages if page.tags["slipway.run_id"] == run_id)

    @staticmethod
    def _mlflow() -> Any:
        from mlflow import MlflowClient

        return MlflowClient(settings().mlflow_url, settings().mlflow_url)

    def set_outcomes(self, first: int, end: int, outcome: str) -> None:
        """Give every result of the days ``[first, end)`` the same outcome."""
        inside = (RESULTS.c.starts_at >= naive(at(first))) & (RESULTS.c.starts_at < naive(at(end)))
        self._write(lambda connection: connection.execute(update(RESULTS).where(inside).values(outcome=outcome)))


def key(number: int) -> str:
    """The partition key of the day, as Airflow writes it."""
    return f"{at(number):%Y-%m-%dT%H:%M:%S}"


def published(folder: Path) -> Path:
    """A home and a source with the days ``[FIRST_DAY, END_DAY)`` of both views, published in bulk."""
    with pytest.MonkeyPatch.context() as patch:
        made = a_world(folder, patch)
        grown = JourneyWorld(made.root)
        grown.fill_days(FIRST_DAY, END_DAY)
        for view in VIEWS:
            grown.materialize(view, days(FIRST_DAY, END_DAY))
    return folder


@contextlib.contextmanager
def journey_world(base: Path, root: Path, mlflow_url: str, model: str | None = None) -> Iterator[JourneyWorld]:
    """A copy of ``base`` with a model of its own, or with the ``model`` it has, as the whole process sees it."""
    shutil.copytree(base, root, dirs_exist_ok=True)
    if model is None:
        shutil.rmtree(root / "declared" / "models")
    with living_in(root, mlflow_url):
        world = JourneyWorld(root, model=model or f"trip_late_{uuid.uuid4().hex[:8]}")
        if model is None:
            world.declare(world.model)
        yield world


def champion_that_served(base: Path, root: Path, mlflow_url: str, *days_served: int) -> tuple[Path, str, str]:
    """``root`` with a copy of ``base`` whose first champion served these days, to be copied; its model, and the
    champion's candidate id."""
    with journey_world(base, root, mlflow_url) as made:
        champion = made.first_champion()
        for number in days_served:
            made.score(number)
        return root, made.model, champion.candidate_id


@contextlib.contextmanager
def living_in(root: Path, mlflow_url: str) -> Iterator[None]:
    """This process and its children take the world below ``root`` for theirs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SLIPWAY_LEDGER_URL", "SLIPWAY_ONLINE_URL", "SLIPWAY_STORE"):
            patch.delenv(name, raising=False)
        patch.setenv("SLIPWAY_HOME", str(root / "home"))
        patch.setenv("SLIPWAY_SOURCE_URL", f"sqlite:///{root / 'source.db'}")
        patch.setenv("SLIPWAY_DECLARATIONS", str(root / "declared"))
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_url)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setattr(loader, "ROOT", root / "declared")
        loader.declarations.cache_clear()
        try:
            yield
        finally:
            loader.declarations.cache_clear()


@contextlib.contextmanager
def registry_in_memory() -> Iterator[MemoryRegistry]:
    """The use cases of this process have a registry in memory; no MLflow is needed."""
    registry = MemoryRegistry()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "registry", lambda: registry)
        yield registry
