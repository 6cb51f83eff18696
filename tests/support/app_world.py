"""One worker's application in this process: a small packed model, an online store in a dict, a journal in a list."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.adapters import estimators, packing
from include.adapters.boot_clock import boot_id
from include.adapters.hot_features import FeaturesUnreachable, HotRow
from include.adapters.journal import JournalUnwritable
from include.adapters.route_file import RouteReader, RouteWriter
from include.domain.journal.records import AnswerRecord, OutcomeRecord, Record
from include.domain.serving.route import CanaryArm, ServedFeature, ServedModel, ServedView
from include.serving.answering import Answerer
from include.serving.app import App, AppLimits
from include.serving.counters import ENDS, Counters, added_up
from include.serving.models import Models
from include.serving.outcomes import Books
from include.serving.shown import View
from include.serving.tokens import Tokens

NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)
KINDS = {"station": "categorical", "order": "numeric", "level": "numeric"}
LEASE_S = 120.0
FEATURES = {"station": "north", "order": 0.5, "level": 12.0}


@pytest.fixture(scope="session")
def packed_bytes() -> dict[int, bytes]:
    """Two packed models that answer otherwise."""
    made = {}
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(
            {
                "station": rng.choice(["north", "south"], 200),
                "order": rng.normal(size=200),
                "level": rng.normal(10, 3, 200),
            }
        )
        label = (frame["order"] + 0.1 * frame["level"] > 1).to_numpy().astype(int)
        path = "sklearn.ensemble.HistGradientBoostingClassifier"
        spec = estimators.EstimatorSpec(path, {"max_iter": 3}, "ordinal", False, KINDS, seed=seed)
        pipeline = estimators.fit(estimators.build(spec), frame, label)
        arrays = packing.packed_arrays(pipeline, KINDS, learned=[0, 1], classes=2, example=frame.head(4))
        made[seed] = packing.written(arrays)
    return made


class FakeStore:
    """Rows by view and key."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, Any], HotRow] = {}
        self.down = False

    def row(self, view: str, version: int, keys: Sequence[Any]) -> HotRow | None:
        if self.down:
            raise FeaturesUnreachable("the test took it away")
        return self.rows.get((view, keys[0]))

    def put(self, view: str, key: Any, at: datetime, *, available: datetime | None = None, **features: Any) -> None:
        self.rows[view, key] = HotRow(features, at, available or at, "a test")


class FakeJournal:
    """Records in a list."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.full = self.disk_fails = False
        self.waiting: list[Callable[[bool], None]] | None = None
        """Those who wait for a disk that the test holds; None where it is there at once."""

    def append(self, records: Sequence[Record]) -> None:
        if self.full:
            raise JournalUnwritable(28, "full")
        self.records += [each for each in records if isinstance(each, AnswerRecord | OutcomeRecord)]

    def when_on_disk(self, told: Callable[[bool], None]) -> None:
        if self.waiting is None:
            told(not self.disk_fails)
        else:
            self.waiting.append(told)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class AppWorld:
    folder: Path
    packed: dict[int, bytes]
    store: FakeStore = field(default_factory=FakeStore)
    journal: FakeJournal = field(default_factory=FakeJournal)
    outcomes: FakeJournal = field(default_factory=FakeJournal)
    now: datetime = NOON
    lease_now: float = 1_000.0
    """The machine's clock of leases, in seconds."""
    tokens: Tokens = field(default_factory=lambda: Tokens({}))
    limits: AppLimits = field(default_factory=AppLimits)

    def __post_init__(self) -> None:
        self.writer = RouteWriter(self.folder / "route.bin")
        self.counters = Counters(self.folder / f"1{ENDS}")
        self.publish(1)
        self.app = self.new_app()

    def new_app(self) -> App:
        models = Models(RouteReader(self.folder / "route.bin"))
        answerer = Answerer(self.store, self.journal, self.counters, lambda: self.now, lambda: self.lease_now)
        books = Books(self.journal, self.outcomes, lambda: self.now)
        return App(models, answerer, books, self.counters, self.tokens, View(), self.limits)

    def served(self, revision: int, seed: int = 1, **changes: Any) -> ServedModel:
        file = self.folder / f"{seed}.npz"
        file.write_bytes(self.packed[seed])
        day = timedelta(days=1).total_seconds()
        values: dict[str, Any] = {
            "model": "trip_late",
            "task": "binary",
            "classes": ["on_time", "late"],
            "features": [ServedFeature(name, kind) for name, kind in KINDS.items()],
            "views": [
                ServedView("trip_plan", 1, ["trip_id"], ["station", "order"], day, is_entity=True, missing="refuse"),
                ServedView("station_level", 2, ["station"], ["level"], 3 * 3600.0),
            ],
            "candidate": f"c{revision}",
            "digest": f"digest-{seed}",
            "revision": revision,
            "route_revision": revision,
            "version": revision,
            "packed": str(file),
            "packed_sha256": hashlib.sha256(self.packed[seed]).hexdigest(),
            "deadline_s": 5.0,
        }
        return ServedModel(**{**values, **changes})

    def publish(self, revision: int, seed: int = 1, **changes: Any) -> None:
        served = self.served(revision, seed, **changes)
        self.writer.publish({served.model: served}, NOON)

    def publish_canary(self, share_ppm: int, *, champion: int = 1, seed: int = 2, **changes: Any) -> CanaryArm:
        """The champion of a revision, and beside it the candidate ``c9`` with this share and a whole lease."""
        by = {"unit": changes.pop("unit", "trip_id")}
        of_arm = {
            name: changes.pop(name) for name in ("salt", "number", "until_s", "one_s", "more_s") if name in changes
        }
        served = self.served(champion, 1, **by, **changes.pop("of_champion", {}))
        candidate = self.served(champion, seed, **{"candidate": "c9", "version": 9, **by, **changes})
        arm = CanaryArm(
            served=candidate,
            share_ppm=share_ppm,
            lease_s=LEASE_S,
            boot=boot_id(),
            until_s=self.lease_now + LEASE_S,
            **{"number": 3, "salt": "salt", **of_arm},
        )
        self.writer.publish({served.model: served}, NOON, {served.model: arm})
        return arm

    def candidate_is(self, form: Any) -> None:
        """Let the candidate that is loaded answer by something else."""
        loaded = self.app.models.current()["trip_late"]
        assert loaded.canary is not None
        beside = replace(loaded.canary, form=form)
        self.app.models._loaded = {"trip_late": replace(loaded, canary=beside)}

    def push_a_trip(self) -> None:
        self.store.put("trip_plan", "t-1", NOON + timedelta(hours=2), available=NOON, station="north", order=0.5)
        self.store.put("station_level", "north", NOON - timedelta(minutes=1), level=12.0)

    def ask(self, body: Any, path: str = "/v1/models/trip_late/predict", **headers: str) -> Reply:
        """POST a body: bytes as they are, anything else as JSON."""
        return self.send("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), **headers)

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, b"", **headers)

    def send(self, method: str, path: str, body: bytes, **headers: str) -> Reply:
        return asyncio.run(self.sent(method, path, body, headers))

    async def sent(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        said: list[Any] = []
        given = [(k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in headers.items()]

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        path, _, query = path.partition("?")
        scope = {"type": "http", "method": method, "path": path, "headers": given, "query_string": query.encode()}
        await self.app(scope, receive, send)
        start, end = said
        return Reply(start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, end["body"])

    def counted(self) -> dict[str, float]:
        return added_up(self.folder)


@pytest.fixture
def new_app_world(tmp_path: Path, packed_bytes: dict[int, bytes]) -> Callable[..., AppWorld]:
    return lambda **changes: AppWorld(tmp_path, packed_bytes, **changes)


@pytest.fixture
def app_world(new_app_world: Callable[..., AppWorld]) -> AppWorld:
    return new_app_world()
