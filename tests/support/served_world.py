"""A small home that can be served online: two models' files, a ledger that knows them, and rows of the online store.

The model is ``trip_late`` of ``feature_world``; nothing of it needs MLflow, because its files are on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from feature_world import STATION_LEVEL, STATION_LEVEL_SQL, TRIP_LATE, TRIP_LATE_SQL, TRIP_PLAN, TRIP_PLAN_SQL
from ledger_fixtures import challenger, promote

from include.adapters import estimators, model_files
from include.adapters.ledger import Ledger, RollbackRequest
from include.adapters.online_store import OnlineStore
from include.config import declarations, loader
from include.config.settings import settings
from include.domain.authority import OPERATORS, Person
from include.workflows.scoring import fitted_models

MODEL = "trip_late"
KINDS = {"station": "categorical", "order": "numeric", "level": "numeric", "mean_level_3h": "numeric"}
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)
ROW = {"station": "north", "order": 0.5, "level": 12.0, "mean_level_3h": 11.0}
FRESH = {"delay": "30s", "stream": {"every": "10s"}}
CALENDAR = {"starts": "2024-03-01"}


@dataclass
class ServedWorld:
    """One home below a folder."""

    home: Path
    environment: dict[str, str]

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with Ledger.open(settings().ledger_url) as opened:
            yield opened

    def promote_another(self, seed: int, path: str = BOOSTING) -> str:
        """Fit, register and promote; the candidate's id."""
        digest = self.model_file(seed, path)
        with self.ledger() as ledger:
            candidate = challenger(ledger, f"run-{seed}", digest=digest, model=MODEL)
            promote(ledger, candidate)
            return candidate.candidate_id

    def roll_back(self) -> str:
        """The champion before, again; its id."""
        with self.ledger() as ledger:
            head = ledger.deployments.champion(MODEL)
            assert head is not None
            asked = RollbackRequest(MODEL, "it is worse", f"rollback-{head.revision}")
            by = Person("ada", frozenset({"op"}), operator=True)
            return ledger.deployments.rollback(asked, by=by, approvers=OPERATORS).epoch.to_candidate

    def model_file(self, seed: int, path: str = BOOSTING) -> str:
        """Fit a model and keep its file on this machine; its digest."""
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(
            {
                "station": rng.choice(["north", "south"], 400),
                "order": rng.normal(size=400),
                "level": rng.normal(10, 3, 400),
                "mean_level_3h": rng.normal(10, 3, 400),
            }
        )
        label = (frame["order"] + 0.1 * frame["level"] + rng.normal(size=400) > 1).to_numpy().astype(int)
        boosts = path == BOOSTING
        params = {"max_iter": 5} if boosts else {}
        spec = estimators.EstimatorSpec(path, params, "ordinal", not boosts, KINDS, seed=seed)
        pipeline = estimators.fit(estimators.build(spec), frame, label)
        file = self.home / f"made-{seed}.skops"
        model_files.untrusted_free(pipeline, file)
        digest = model_files.digest(file)
        fitted_models.keep(file, digest)
        return digest

    def push(self, view: str, rows: list[dict[str, Any]]) -> None:
        """Rows of the online store: keys, features, event_time and available_time."""
        OnlineStore(settings().online_url).push(declarations().view(view), pa.Table.from_pylist(rows), "a test")

    def push_a_trip(self, at: datetime, trip: str = "t-1", station: str = "north") -> None:
        """A trip that starts two hours after ``at``, and the level of its station a minute before."""
        self.push(
            "trip_plan",
            [
                {
                    "trip_id": trip,
                    "station": station,
                    "order": 0.5,
                    "event_time": at + timedelta(hours=2),
                    "available_time": at - timedelta(days=1),
                }
            ],
        )
        self.push(
            "station_level",
            [
                {
                    "station": station,
                    "level": 12.0,
                    "mean_level_3h": 11.0,
                    "event_time": at - timedelta(minutes=1),
                    "available_time": at - timedelta(seconds=30),
                }
            ],
        )


def served_home(folder: Path, **serving: object) -> ServedWorld:
    """Declarations and an empty home. The caller sets ``environment`` in this process too."""
    declared = folder / "declared"
    plan = {**TRIP_PLAN, **FRESH, "calendar": CALENDAR, "ahead": "7d"}
    level = {**STATION_LEVEL, **FRESH, "calendar": CALENDAR}
    _write(declared / "features" / "trip_plan", "view.yaml", plan, "features.sql", TRIP_PLAN_SQL)
    _write(declared / "features" / "station_level", "view.yaml", level, "features.sql", STATION_LEVEL_SQL)
    model = {**TRIP_LATE, "serving": {"mode": "online", "deadline": "5s", **serving}}
    _write(declared / "models" / MODEL, "model.yaml", model, "label.sql", TRIP_LATE_SQL)
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    return ServedWorld(home, {"SLIPWAY_HOME": str(home), "SLIPWAY_DECLARATIONS": str(declared)})


def enter(world: ServedWorld) -> None:
    """Make this process the world's; for scripts, as a test has ``monkeypatch``."""
    os.environ.update(world.environment)
    loader.ROOT = Path(world.environment["SLIPWAY_DECLARATIONS"])
    loader.declarations.cache_clear()


def _write(folder: Path, name: str, content: dict[str, Any], sql_name: str, sql: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    (folder / sql_name).write_text(sql, encoding="utf-8")
