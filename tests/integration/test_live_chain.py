"""Stream, serve, shadow, collect, drift, retrain and promote as one chain, with the processes that `slipway up` starts
and none of them spared: each is killed in the middle, and no answer that was acknowledged is lost.

The world is small (120 trips a day), and everything is real but Airflow: its tasks are called in its order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from feature_world import (
    STATION_LEVEL,
    STATION_LEVEL_SQL,
    TRIP_PLAN,
    TRIP_PLAN_SQL,
    a_world,
    at,
    days,
)
from journey_world import LENIENT, NOW, VIEWS, JourneyWorld, key, living_in
from mlflow_server import MlflowServer
from waiting import eventually

from include.adapters.data_clock import SetClock
from include.config import declarations
from include.config.settings import PROJECT, settings
from include.domain.intervals import Interval
from include.workflows import tasks
from include.workflows.explain import live
from include.workflows.services.live_traffic import JournalSeen, LiveTraffic

pytestmark = pytest.mark.slow

MODEL = "trip_chain"
FIRST, LAST = 16, 20
"""The days that are answered live: ``[FIRST, LAST)``."""
STREAM = {"delay": "31m", "stream": {"every": "10s", "lateness": "2h"}}


@dataclass
class Chain:
    """The world's home, its processes, and the client that asks."""

    world: JourneyWorld
    served: SetClock
    streamed: SetClock
    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    traffic: LiveTraffic = field(init=False)
    seen: JournalSeen = field(init=False)

    def start(self, name: str, *argv: str) -> None:
        """A verb of the command line as a process of its own."""
        with (self.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "include.cli", *argv],
                cwd=PROJECT,
                env={**os.environ, "SLIPWAY_SERVE_CLOCK": self.served.name, "SLIPWAY_CLOCK": self.streamed.name},
                stdout=log,
                stderr=log,
            )

    def begin(self) -> None:
        self.start("stream", "stream")
        self.start("serve", "serve", "--port", "0", "--workers", "2")
        self.start("shadow", "shadow", MODEL)
        about = settings().home / "serve" / "service.json"
        eventually(lambda: about.exists())
        model, known = declarations().model(MODEL), declarations()
        self.traffic = LiveTraffic(
            home=settings().home,
            port=json.loads(about.read_text())["port"],
            models=[model],
            views=[known.view(name) for name in VIEWS],
            due=trips,
            served=self.served,
            streamed=self.streamed,
            stop=threading.Event(),
            log=self.logs,
        )
        self.seen = JournalSeen(settings().home / "journal", lambda: datetime.now(UTC))

    def kill(self, name: str, *again: str) -> None:
        """Kill -9, and start it again as the watchdog of `slipway up` does."""
        self.running[name].kill()
        self.running[name].wait(60)
        self.start(name, *again)

    def day(self, number: int, *meanwhile: Callable[[], None]) -> None:
        """One day live; what is done ``meanwhile`` is spread over its requests."""
        before, failed = self.traffic.counts.asked, list[BaseException]()

        def ask() -> None:
            try:
                self.traffic.day(day_of(number), self.seen)
            except BaseException as error:  # noqa: BLE001 - the test raises it
                failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        for place, act in enumerate(meanwhile, start=1):
            due = before + 100 * place // (len(meanwhile) + 1)
            eventually(lambda due=due: failed or self.traffic.counts.asked >= due)
            act()
        thread.join(600)
        assert failed == []
        assert not thread.is_alive()

    def close_day(self, number: int) -> dict[str, Any]:
        """What Airflow does of a day that is over: publish, collect, judge."""
        self.world.publish_day(number)
        collected = tasks.collect(MODEL, key(number), f"collect-{number}", datetime.now(UTC))
        assert collected["skipped"] is None
        tasks.measure_drift(MODEL, key(number), f"drift-{number}")
        return dict(collected["facts"])

    def killed_at(self, point: str, task: str) -> None:
        """A task of the command's own process, killed at a crash point."""
        call = f"from datetime import UTC, datetime\nfrom include.workflows import tasks\n{task}"
        env = {**os.environ, "FAULT_CRASH": point}
        assert subprocess.run([sys.executable, "-c", call], cwd=PROJECT, env=env).returncode == -signal.SIGKILL

    def ask(self, trip: str) -> dict[str, Any]:
        body = {"keys": {"trip_id": trip}}
        reply = httpx.post(f"http://127.0.0.1:{self.traffic.port}/v1/models/{MODEL}/predict", json=body, timeout=60)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def end(self) -> None:
        self.traffic.close()
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(120)


def day_of(number: int) -> Interval:
    return Interval.of_day(at(number).date())


def trips(start: datetime, end: datetime) -> list[tuple[str, datetime]]:
    """The trips that start in ``[start, end)``."""
    from feature_world import TRIPS
    from sqlalchemy import create_engine, select

    inside = [moment.replace(tzinfo=None) for moment in (start, end)]
    query = select(TRIPS.c.trip_id, TRIPS.c.starts_at).where(
        TRIPS.c.starts_at >= inside[0], TRIPS.c.starts_at < inside[1]
    )
    engine = create_engine(settings().source_url)
    with engine.connect() as connection:
        found = [(row[0], row[1].replace(tzinfo=UTC)) for row in connection.execute(query)]
    engine.dispose()
    return found


@contextmanager
def small_world(root: Path, server: MlflowServer) -> Iterator[JourneyWorld]:
    """Fifteen published days, five more in the source, and an online model whose views have streams."""
    with pytest.MonkeyPatch.context() as patch:
        made = a_world(root, patch)
        made.declare_view({**TRIP_PLAN, **STREAM, "ahead": "1d"}, TRIP_PLAN_SQL)
        made.declare_view({**STATION_LEVEL, **STREAM}, STATION_LEVEL_SQL)
    with living_in(root, server.url):
        world = JourneyWorld(root, model=MODEL)
        world.declare(MODEL, gates=LENIENT, serving={"mode": "online", "deadline": "20s"}, canary=None)
        world.fill_days(1, LAST + 1)
        for view in VIEWS:
            world.materialize(view, days(1, FIRST))
        yield world


@pytest.fixture
def chain(tmp_path: Path, mlflow_server: MlflowServer) -> Iterator[Chain]:
    with small_world(tmp_path, mlflow_server) as world:
        clocks = [SetClock(tmp_path / name, at(FIRST)) for name in ("served.clock", "streamed.clock")]
        logs = tmp_path / "logs"
        logs.mkdir()
        made = Chain(world, clocks[0], clocks[1], logs)
        try:
            yield made
        finally:
            made.end()
            for each in clocks:
                each.close()


def test_i14_the_whole_chain_promotes_a_successor_that_answers_and_loses_no_acknowledged_row(chain):
    world = chain.world
    first = world.first_champion("first", FIRST)
    chain.begin()

    # The champion answers a day live, and its stream is killed in the middle of it.
    chain.day(FIRST, lambda: chain.kill("stream", "stream"))
    facts = chain.close_day(FIRST)
    assert (facts["champion"], facts["gone"]) == (first.candidate_id, [])

    # A retrain; its challenger answers from the window's first row on, though it began when that was asked already.
    reference = world.open("second", FIRST + 1)
    assert world.to_shadow(reference)
    challenger = str(reference["candidate_id"])
    chain.day(FIRST + 1, lambda: chain.kill("shadow", "shadow", MODEL))
    # Killed between its answers and their features, a collection is simply made again.
    world.publish_day(FIRST + 1)
    chain.killed_at(
        "collecting.served.kept", f"tasks.collect({MODEL!r}, {key(FIRST + 1)!r}, 'collect', datetime.now(UTC))"
    )
    [beside] = tasks.collect(MODEL, key(FIRST + 1), "collect-again", datetime.now(UTC))["facts"]["shadow"]
    assert (beside["candidate_id"], beside["answered"], beside["days"]) == (challenger, 120, 1)

    # A worker and the keeper are killed under load.
    chain.day(FIRST + 2, lambda: kill_children(chain, "include.serving.worker"), lambda: kill_keeper(chain))
    [beside] = chain.close_day(FIRST + 2)["shadow"]
    assert (beside["answered"], beside["days"], beside["closed"]) == (120, 2, True)

    # The gate judges what was answered live; the promotion is killed, and made again.
    assert world.judge("shadow_gate", reference)["passed"]
    chain.killed_at(
        "ledger.promote.committed",
        f"tasks.promote({dict(reference)!r}, datetime({NOW.year}, {NOW.month}, {NOW.day}, {NOW.hour}, tzinfo=UTC))",
    )
    tasks.promote(reference, NOW)
    tasks.close_journey(reference)

    # The successor answers over HTTP, without a restart of anything.
    chain.day(FIRST + 3)
    facts = chain.close_day(FIRST + 3)
    assert chain.ask(f"{FIRST + 3}-119")["served_by"] == challenger
    assert facts["champion"] == challenger
    # Of its first day ten trips were asked about the evening before, when the former champion still served.
    assert facts["also_served"] == {first.candidate_id: 10}

    # I14: every answer that a client received is in the log, once.
    whole = Interval(at(FIRST), at(LAST))
    acknowledged = chain.traffic.acknowledged(whole.end)
    assert len(acknowledged) == 4 * 120 - 10, "the first ten trips of the first day were due before the replay began"
    assert chain.traffic.counts.refused == {}
    assert set(acknowledged) <= live.logged_ids(MODEL, whole.days)

    # Each served answer is found again in batch, and can be held against it.
    held = live.against_batch(MODEL, whole)
    assert (held.rows, held.compared) == (460, 460)


def kill_children(chain: Chain, module: str) -> None:
    """Kill -9 of the first process of the service that runs the module; its silence is dated three minutes back."""
    victim = next(pid for pid in children_of(chain.running["serve"].pid) if module in command_of(pid))
    os.kill(victim, signal.SIGKILL)
    old = (datetime.now(UTC) - timedelta(minutes=3)).timestamp()
    eventually(lambda: str(victim) not in map(str, children_of(chain.running["serve"].pid)))
    for segment in (settings().home / "journal").glob(f"*.{victim}.*"):
        os.utime(segment, (old, old))


def kill_keeper(chain: Chain) -> None:
    victim = next(pid for pid in children_of(chain.running["serve"].pid) if "include.serving.keeper" in command_of(pid))
    os.kill(victim, signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")
    except OSError:
        return ""
