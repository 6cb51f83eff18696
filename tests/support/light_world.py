"""The world of whole journeys without a server and without a ledger's file: what a test of a use case runs on.

The ledger and the registry are in memory; the tables and the journeys' folders are small files below the test's own
folder. One model's way is told once, with the real steps, and kept at its ``MOMENTS``; a test begins at one of them
with a copy of its own, which takes milliseconds.
"""

from __future__ import annotations

import fcntl
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from journey_world import LENIENT, MODEL, NOW, JourneyWorld, at, living_in, published
from memory_ledger import MemoryLedger, content_of
from memory_registry import MemoryRegistry

from include.adapters import estimators, model_files
from include.adapters.ledger import Facts
from include.adapters.sql_engine import OpenDatabases, running
from include.config.settings import settings
from include.domain.lifecycle import Event
from include.workflows import stores, tasks
from include.workflows.pages import sources
from include.workflows.scoring import challenger_process

NOWHERE = "http://127.0.0.1:9"
"""Where an MLflow would be, were it asked over the network."""
SHADOW = {"max_days": 4, "disagreement": [0.00001, 0.2], "p99_delta_at_most": 0.5, "min_days": 1, "min_rows": 100}
EVALUATED = "evaluated"
REFIT_TRAINING = {**MODEL["training"], "refit": "all"}
GATES_OF_A_REFIT = {**MODEL["gates"], "latency_gate": {"p99_ms_at_most": 5000, "repeats": 20}, "leakage_gate": {}}


@dataclass
class LightWorld(JourneyWorld):
    """A journey's world whose ledger and registry are in memory."""

    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    held: MemoryLedger = field(default_factory=MemoryLedger)
    secrets: tuple[str, ...] = ()
    """None is planted: what looks for one starts a process."""
    references: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the journeys told so far are known by, by run id."""

    def declare(self, name: str, *args: Any, **changes: Any) -> None:
        """Declare a model; its shadow window is full after one day, and its gates are lenient, unless it is
        said otherwise."""
        super().declare(name, *args, **{"shadow": SHADOW, "gates": LENIENT, **changes})

    def tags_of(self, reference: dict[str, Any]) -> dict[str, str]:
        """The tags of a candidate's run page."""
        return self.registry.runs[str(self.candidate(reference).facts.mlflow_run_id)].tags

    def evaluated(self, run_id: str, *, user: str | None = "ada", day: int = 13, **conf: Any) -> dict[str, Any]:
        """A candidate that was opened by this request and has learned and measured what the tale's first one did, of
        which no gate has judged anything yet."""
        sent = {"as_of": at(day).isoformat(), "reason": "a test asks", **conf}
        reference = dict(tasks.open_journey(self.model, run_id, "manual", sent, NOW, user))
        like, made = self.candidate(self.references["r"]), str(reference["candidate_id"])
        journeys = settings().artifacts / "journeys"
        shutil.copytree(journeys / like.candidate_id, journeys / made, dirs_exist_ok=True)
        run = self.registry.candidate_run(self.model, made, {})
        self.registry.runs[run].models = list(self.registry.runs[str(like.facts.mlflow_run_id)].models)
        facts = Facts(like.facts.artifact_digest, like.facts.training_set_hash, mlflow_run_id=run)
        self.held.ledger.candidates.advance(made, Event.TRAIN, actor="train", reason="as the first one", facts=facts)
        return reference

    def judge_offline(self, reference: dict[str, Any]) -> list[bool]:
        """Every gate before the registration, whatever the one before said: as when red ones are marked green."""
        gates = ("training_data_gate", "threshold_gate", "champion_gate")
        return [bool(self.judge(gate, reference)["passed"]) for gate in gates]


@contextmanager
def ledger_of_this_process(held: MemoryLedger) -> Iterator[None]:
    """The use cases of this process open this ledger; another process cannot see it."""
    with pytest.MonkeyPatch.context() as patch:
        # Whoever opens the ledger past ``stores`` is told that there is none at this address.
        patch.setenv("SLIPWAY_LEDGER_URL", "memory://")
        patch.setattr(stores, "open_ledger", held.opened)
        patch.setattr(sources, "open_ledger", held.opened)
        yield


OPEN = OpenDatabases()
"""The databases in memory that this process's worlds run their small queries in: to open one takes longer than most."""
opened_anew = running.connect


@contextmanager
def _connected(memory_limit: str | None = None, **how: Any) -> Iterator[Any]:
    with OPEN.one() if memory_limit is None and not how else opened_anew(memory_limit, **how) as connection:
        yield connection


@contextmanager
def living_lightly(world: LightWorld) -> Iterator[LightWorld]:
    """This process takes the world for its own."""
    with living_in(world.root, NOWHERE), ledger_of_this_process(world.held), pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "registry", lambda: world.registry)
        patch.setattr(running, "connect", _connected)
        patch.setattr(challenger_process, "scores_of", _answered_here)
        yield world


def _answered_here(
    model_file: Path, digest: str, rows: pd.DataFrame, *, kinds: Mapping[str, str], classes: int | None, **_: Any
) -> Any:
    """A challenger's answers without the process of its own, which takes two seconds to start."""
    pipeline = model_files.load(model_file, digest)
    return estimators.predict(pipeline, estimators.as_input(rows.reset_index(drop=True), kinds), classes=classes)


# --- the tale --------------------------------------------------------------------------------------------------------


def _evaluated(world: LightWorld) -> None:
    reference = world.references["r"] = world.open("r", 13)
    tasks.build_training_set(reference)
    tasks.train(reference)
    tasks.evaluate(reference)


def _refitted_in_shadow(world: LightWorld) -> None:
    world.declare(world.model, training=REFIT_TRAINING, gates=GATES_OF_A_REFIT)
    reference = world.references["r"]
    world.judge_offline(reference)
    tasks.refit(reference)
    tasks.register_challenger(reference, NOW)
    if not world.judge_after("register_challenger", reference):
        raise RuntimeError("r was stopped by a gate of its file")
    tasks.open_shadow_window(reference)
    _passes(world, "r")


def _first_champion(world: LightWorld) -> None:
    world.judge_offline(world.references["r"])
    _to_the_end(world, "r")
    world.next_day(16)


def _second_in_shadow(world: LightWorld) -> None:
    _to_shadow(world, "second", 17)


def _second_judged(world: LightWorld) -> None:
    world.next_day(17)
    _passes(world, "second")


def _the_17th_published(world: LightWorld) -> None:
    world.next_day(17, score=False)


def _second_champion(world: LightWorld) -> None:
    tasks.promote(world.references["second"], NOW)
    tasks.close_journey(world.references["second"])
    world.next_day(18)


def _third_judged(world: LightWorld) -> None:
    _to_shadow(world, "third", 19)
    world.next_day(19)
    _passes(world, "third")


def _third_champion(world: LightWorld) -> None:
    tasks.promote(world.references["third"], NOW)
    tasks.close_journey(world.references["third"])
    world.next_day(20)


def _to_shadow(world: LightWorld, run_id: str, day: int) -> None:
    world.references[run_id] = world.open(run_id, day)
    if not world.to_shadow(world.references[run_id]):
        raise RuntimeError(f"{run_id} was stopped by a gate")


def _to_the_end(world: LightWorld, run_id: str) -> None:
    reference = world.references[run_id]
    tasks.register_challenger(reference, NOW)
    tasks.open_shadow_window(reference)
    _passes(world, run_id)
    tasks.promote(reference, NOW)
    tasks.close_journey(reference)


def _passes(world: LightWorld, run_id: str) -> None:
    if not world.judge("shadow_gate", world.references[run_id])["passed"]:
        raise RuntimeError(f"{run_id} did not pass its shadow window")


Step = Callable[[LightWorld], None]


@dataclass(frozen=True)
class Moment:
    """Where the tale may be gone on with.

    Attributes:
        before: the moment that it is told from; None where the tale begins.
        step: what happens between the two.
    """

    before: str | None = None
    step: Step | None = None


MOMENTS = {
    "published": Moment(),
    EVALUATED: Moment("published", _evaluated),
    "refitted in shadow": Moment(EVALUATED, _refitted_in_shadow),
    "first champion": Moment(EVALUATED, _first_champion),
    "second in shadow": Moment("first champion", _second_in_shadow),
    "second judged": Moment("second in shadow", _second_judged),
    "second champion": Moment("second judged", _second_champion),
    "the 17th published": Moment("first champion", _the_17th_published),
    "the 17th published in shadow": Moment("second in shadow", _the_17th_published),
    "third judged": Moment("second champion", _third_judged),
    "third champion": Moment("third judged", _third_champion),
}
"""Each is told from another:

- published: the views have the days ``[FIRST_DAY, END_DAY)``, and the model is declared;
- evaluated: candidate ``r`` as of the 13th is trained and measured, and no gate has judged it;
- refitted in shadow: ``r`` was fitted again on all matured rows, and its shadow window passed;
- first champion: ``r`` serves since the 13th, and has scored the 16th;
- second in shadow: ``second``, as of the 17th, runs beside it and has seen no day;
- second judged: it has seen the 17th, and its gate passed;
- second champion: it is promoted, and has scored the 18th;
- third judged, third champion: the same again, as of the 19th, the 20th scored;
- the 17th published, the 17th published in shadow: after the first champion, or with ``second`` in shadow, the views
  have the 17th too, and nobody has scored it.
"""


def told(moment: str, before: str) -> Callable[[Step], Step]:
    """A moment of a test module's own: what the decorated step makes of the moment before, told once for its tests."""

    def known(step: Step) -> Step:
        MOMENTS[moment] = Moment(before, step)
        return step

    return known


@dataclass
class Tale:
    """One model's way, told as far as somebody asks, once for all processes that share the folder."""

    folder: Path
    model: str = "trip_late"

    @contextmanager
    def at(self, moment: str, root: Path) -> Iterator[LightWorld]:
        """A world of one's own at the moment, below ``root``."""
        self._told(moment)
        with self._world(moment, root) as world:
            yield world

    def _told(self, moment: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            way, name = [moment], MOMENTS[moment].before
            while name is not None:
                way.append(name)
                name = MOMENTS[name].before
            for each in reversed(way):
                if not self._kept(each).exists():
                    self._tell(each)

    def _tell(self, name: str) -> None:
        root = self.folder / f"{name} being told"
        before, step = MOMENTS[name].before, MOMENTS[name].step
        if before is None or step is None:
            published(_made(root))
            ledger = root / "home" / "ledger.db"
            held = MemoryLedger(content_of(ledger))
            for file in ledger.parent.glob("ledger.db*"):
                file.unlink()
            shutil.rmtree(root / "declared" / "models")
            world = LightWorld(root, model=self.model, held=held)
            with living_lightly(world):
                world.declare(self.model)
            self._keep(name, world)
            held.close()
            return
        with self._world(before, root) as world:
            step(world)
            self._keep(name, world)

    def _keep(self, name: str, world: LightWorld) -> None:
        (world.root / "memory").write_bytes(
            pickle.dumps((str(world.root), world.held.content(), world.registry, world.references))
        )
        world.root.rename(self._kept(name))

    def _kept(self, name: str) -> Path:
        return self.folder / name.replace(" ", "_")

    @contextmanager
    def _world(self, moment: str, root: Path) -> Iterator[LightWorld]:
        shutil.copytree(self._kept(moment), root, dirs_exist_ok=True)
        before, content, registry, references = pickle.loads((root / "memory").read_bytes())
        # What a step kept names the training set's file by its whole path.
        for file in (root / "home" / "work").rglob("*.json"):
            file.write_text(file.read_text(encoding="utf-8").replace(before, str(root)), encoding="utf-8")
        with MemoryLedger(content) as held:
            world = LightWorld(root, model=self.model, registry=registry, held=held, references=references)
            with living_lightly(world):
                yield world


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
