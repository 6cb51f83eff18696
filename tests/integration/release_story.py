"""One model's way from its first candidate to a second champion, kept before each step, to be gone back to."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from journey_world import LENIENT, MODEL, NOW, JourneyWorld
from mlflow_server import MlflowServer
from on_databases import follow

from include.adapters.ledger import Ledger
from include.adapters.registry import HISTORY
from include.config.settings import settings
from include.workflows import tasks

SHADOW = {"max_days": 4, "disagreement": [0.00001, 0.2], "p99_delta_at_most": 0.5, "min_days": 1, "min_rows": 100}


def emptied(folder: Path) -> None:
    """Remove the folder. A process that was killed may write its last file while it is being removed."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    shutil.rmtree(folder)


@dataclass
class Moment:
    """The world as it was just before a step, on disk and in MLflow."""

    folder: Path

    @property
    def mlflow(self) -> Path:
        return self.folder / "mlflow.db"


@dataclass
class Story:
    """One model's way, kept before each step of interest."""

    world: JourneyWorld
    server: MlflowServer
    kept: Path
    moments: dict[str, Moment] = field(default_factory=dict)
    references: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: dict[int, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    """The drift report and decision of each day of March, where the story has any."""

    def keep(self, name: str) -> None:
        moment = Moment(self.kept / name)
        shutil.copytree(settings().home, moment.folder / "home")
        shutil.copyfile(self.world.root / "source.db", moment.folder / "source.db")
        with closing(self._mlflow()) as live, closing(sqlite3.connect(moment.mlflow)) as copy:
            live.backup(copy)
        self.moments[name] = moment

    def back_to(self, name: str) -> None:
        moment = self.moments[name]
        emptied(settings().home)
        shutil.copytree(moment.folder / "home", settings().home)
        shutil.copyfile(moment.folder / "source.db", self.world.root / "source.db")
        with closing(self._mlflow()) as live, closing(sqlite3.connect(moment.mlflow)) as copy:
            copy.backup(live)
        follow(settings().home)

    def _mlflow(self) -> sqlite3.Connection:
        return sqlite3.connect(self.server.home / "mlflow.db", timeout=30)


def tell(world: JourneyWorld, server: MlflowServer, kept: Path) -> Story:
    """A first champion, then a second: kept before each step of the second journey, and before a rollback."""
    world.declare(world.model, shadow=SHADOW)
    made = Story(world, server, kept)
    first = world.open("first", 13)
    made.references["first"] = first
    assert world.to_shadow(first)
    assert world.judge("shadow_gate", first)["passed"]
    made.keep("first promotion")
    tasks.promote(first, NOW)
    tasks.close_journey(first)
    world.next_day(16)
    second = world.open("second", 17)
    made.references["second"] = second
    world.train(second)
    tasks.evaluate(second)
    assert world.judge_after("evaluate", second)
    made.keep("registration")
    register_twice(made)
    made.keep("registration beside a twin")
    made.back_to("registration")
    tasks.register_challenger(second, NOW)
    tasks.open_shadow_window(second)
    world.next_day(17)
    assert world.judge("shadow_gate", second)["passed"]
    made.keep("promotion")
    tasks.promote(second, NOW)
    made.keep("close of the winner")
    tasks.close_journey(second)
    shutil.rmtree(settings().artifacts / "models")
    made.keep("rollback")
    return made


def tell_of_a_refit(world: JourneyWorld, server: MlflowServer, kept: Path) -> Story:
    """Two champions that raced and were fitted again on everything, one after the other: kept before each step of the
    second that a journey without race and refit has not."""
    fits = {**MODEL["training"], "refit": "all", "race": {"recipes": ["window", "expanding"]}}
    world.declare(world.model, shadow=SHADOW, training=fits, gates={**LENIENT, "smoke_gate": {}})
    made = Story(world, server, kept)
    world.first_champion()
    world.next_day(16)
    second = world.open("second", 17)
    made.references["second"] = second
    tasks.build_training_set(second)
    if not world.judge_after("build_training_set", second):
        raise RuntimeError("the gate of the data stopped the second candidate")
    made.keep("fit")
    tasks.train(second)
    tasks.evaluate(second)
    if not world.judge_after("evaluate", second):
        raise RuntimeError("a gate of the recipe stopped the second candidate")
    made.keep("refit")
    tasks.refit(second)
    made.keep("registration")
    tasks.register_challenger(second, NOW)
    if not world.judge_after("register_challenger", second):
        raise RuntimeError("a gate of the file stopped the second candidate")
    tasks.open_shadow_window(second)
    world.next_day(17)
    if not world.judge("shadow_gate", second)["passed"]:
        raise RuntimeError("the shadow gate stopped the second candidate")
    made.keep("promotion")
    tasks.promote(second, NOW)
    tasks.close_journey(second)
    shutil.rmtree(settings().artifacts / "models")
    made.keep("rollback")
    return made


def register_twice(story: Story) -> None:
    """Two versions of the second candidate, as a lost reply leaves them."""
    candidate = story.world.candidate(story.references["second"])
    run = str(candidate.facts.mlflow_run_id)
    source = str(story.world.registry.logged_model(run))
    from mlflow import MlflowClient

    client = MlflowClient(story.server.url, story.server.url)
    for _ in range(2):
        client.create_model_version(
            story.world.model,
            source,
            run,
            tags={"slipway.candidate": candidate.candidate_id},
            model_id=source.removeprefix("models:/"),
        )


def left(world: JourneyWorld) -> dict[str, Any]:
    """What a step left, without the times at which it wrote."""
    with Ledger.open(settings().ledger_url) as ledger:
        history = ledger.history(world.model)
        candidates = [
            (c.candidate_id, c.state, c.outcome, c.facts, [t.event for t in ledger.explain(c.candidate_id).transitions])
            for c in history.candidates
        ]
        epochs = [(e.revision, e.kind, e.to_candidate, e.digest, e.run_id) for e in history.epochs]
        route = ledger.routes.heads([world.model]).get(world.model)
    registered = world.registry.registered(world.model)
    return {
        "candidates": candidates,
        "epochs": epochs,
        "route": None if route is None else (route[0].route_revision, route[0].revision, route[0].champion_id),
        "aliases": dict(registered.aliases),
        # The hash of the chain is over the times too, and a task that failed in between has entries of its own. That
        # the note is part of the chain is what a later promotion asks.
        "tags": {name: "noted" if name == HISTORY else text for name, text in registered.tags.items()},
        "versions": world.versions_in_mlflow(),
    }
