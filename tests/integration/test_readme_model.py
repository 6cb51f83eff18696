"""The model of docs/add-a-model.md as it is written, on the demonstration's flights: it trains, passes its gates and
serves."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from invariants import check_invariants
from journey_world import JourneyWorld, living_in
from mlflow_server import MlflowServer

from include.adapters.nycflights import load_flights
from include.adapters.registry import CHAMPION
from include.config import loader
from include.config.settings import PROJECT, settings
from include.domain.intervals import Interval
from include.workflows import tasks

pytestmark = pytest.mark.slow
NAME = "very_late"
AS_OF = "2013-06-01"
OPENED = datetime(2013, 6, 1, tzinfo=UTC)


def declared_as_written(folder: Path) -> None:
    """Both blocks of "Add a model", below the names that it gives them."""
    page = (PROJECT / "docs/add-a-model.md").read_text(encoding="utf-8")
    folder.mkdir(parents=True)
    for language, file in (("yaml", "model.yaml"), ("sql", "label.sql")):
        block = re.search(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        assert block is not None
        (folder / file).write_text(block[1], encoding="utf-8")


def passes(world: JourneyWorld, step: str, reference: dict[str, object]) -> None:
    for gate in tasks.gates_after(loader.declarations().model(NAME), step):
        judged = world.judge(gate, reference)
        assert judged["passed"], judged["table"]


def test_the_model_to_add_as_it_is_written_trains_passes_its_gates_and_is_promoted(
    tmp_path: Path, mlflow_server: MlflowServer
) -> None:
    declared = tmp_path / "declared"
    shutil.copytree(PROJECT / "include/features", declared / "features")
    declared_as_written(declared / "models" / NAME)
    with living_in(tmp_path, mlflow_server.url):
        model = loader.declarations().model(NAME)
        load_flights(settings().source_url)
        world = JourneyWorld(tmp_path, model=NAME)
        for use in model.views:
            world.materialize(use.view, Interval.between("2013-02-01", AS_OF))
        # What the page says to type: slipway retrain very_late --as-of 2013-06-01 --reason "first champion".
        conf = {"as_of": AS_OF, "reason": "first champion"}
        reference = dict(tasks.open_journey(NAME, "first", "manual", conf, OPENED, "admin"))
        tasks.build_training_set(reference)
        passes(world, "build_training_set", reference)
        tasks.train(reference)
        tasks.evaluate(reference)
        passes(world, "evaluate", reference)
        tasks.register_challenger(reference, OPENED)
        passes(world, "register_challenger", reference)
        tasks.open_shadow_window(reference)
        assert world.to_the_end(reference)["state"] == "champion"
        assert world.registry.alias(NAME, CHAMPION) == 1
        scored = tasks.score(NAME, "2013-05-31T00:00:00", "score-31")
        assert scored["skipped"] == f"{NAME} has no champion on 2013-05-31, so there is nothing to score with."
        for use in model.views:
            world.materialize(use.view, Interval.of_day(AS_OF))
        assert tasks.score(NAME, f"{AS_OF}T00:00:00", "score-1")["facts"]["rows"] > 500
        check_invariants(world)
