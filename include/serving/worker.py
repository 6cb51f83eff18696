"""One worker process: ``python -m include.serving.worker CONFIG``; the supervisor starts it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from include.adapters.data_clock import DataClock
from include.adapters.hot_features import HotFeatures
from include.adapters.journal import Journal, JournalLater
from include.adapters.route_file import RouteReader
from include.serving import tokens
from include.serving.answering import Answerer
from include.serving.app import App, AppLimits
from include.serving.counters import ENDS, Counters, added_up, exposition, labelled
from include.serving.models import Models
from include.serving.outcomes import FOLDER as OUTCOMES
from include.serving.outcomes import Books
from include.serving.said import say
from include.serving.shown import ShownWorker, View, served_now, share_gauges, shares

LOOK_S = 0.25
"""How often a worker looks whether there is something to say."""
MARK_S = 5.0
"""How often a worker says up to when its answers are written."""
IDLE_MARK_S = 60.0
"""How often it says so when no request comes. That a day of the data is over it says at once: the day is closed only
when every worker has."""

LOAD_S = 45.0
"""How long a worker waits with its first request until its pipelines are loaded."""


class WorkerConfig(msgspec.Struct, frozen=True):
    """What a worker is told; everything else it reads from the route."""

    home: str
    folder: str
    """Of this run of the service: counters, the keeper's word, who is ready."""
    route: str
    instance: str
    online_url: str
    declared: list[str]
    handle: int
    """The listening socket, inherited."""
    clock: str = ""
    in_flight: int = 256
    body_s: float = 10.0
    """How long a body may take to come."""
    drain_s: float = 5.0


class RunView(View):
    """What the folder of the run says: all workers' counters, and the keeper's last word."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._folder = Path(config.folder)

    def declared(self) -> list[str]:
        return self._config.declared

    def keeper(self) -> dict[str, Any]:
        """What the keeper last said; empty before that."""
        try:
            return dict(json.loads((self._folder / "keeper.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def status(self, app: ShownWorker) -> dict[str, Any]:
        said = self.keeper()
        return {
            "instance": self._config.instance,
            "pid": os.getpid(),
            "served": served_now(app),
            "canary": shares(app, added_up(self._folder)),
            "problems": {**said.get("problems", {}), **app.models.problems},
            "ledger_unreachable_s": said.get("ledger_unreachable_s"),
            "keeper_seen_at": said.get("seen_at"),
            "draining": app.draining,
        }

    def metrics(self, app: ShownWorker) -> str:
        gauges = {
            labelled("slipway_route_revision", model=name): float(each.served.route_revision)
            for name, each in app.models.current().items()
        }
        for name, each in app.models.current().items():
            gauges[labelled("slipway_by_pipeline", model=name)] = float(each.served.by == "pipeline")
        counted = added_up(self._folder)
        gauges |= share_gauges(app, counted)
        unreachable = self.keeper().get("ledger_unreachable_s")
        if unreachable is not None:
            gauges["slipway_ledger_unreachable_seconds"] = float(unreachable)
        return exposition(counted, gauges)


def run(config: WorkerConfig) -> None:
    """Answer until SIGTERM; then stop accepting, finish what was begun, and end."""
    import uvicorn
    import uvloop

    started = datetime.now(UTC)
    clock = DataClock.read(config.clock)
    journal = Journal(Path(config.home) / "journal", config.instance, started, clock.now)
    outcomes = JournalLater(lambda: Journal(Path(config.home) / OUTCOMES, config.instance, started, clock.now))
    counters = Counters(Path(config.folder) / f"{os.getpid()}{ENDS}")
    models = Models(RouteReader(Path(config.route)))
    models.current()
    app = App(
        models,
        Answerer(HotFeatures(config.online_url), journal, counters, clock.now),
        Books(journal, outcomes, clock.now),
        counters,
        tokens.read(tokens.file_in(Path(config.home))),
        RunView(config),
        AppLimits(in_flight=config.in_flight, body_s=config.body_s),
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(config.drain_s)),
        )
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(server, app, journal, config, clock))
    finally:
        models.end()
        journal.mark(clock.now(), ends=True)
        journal.close()
        outcomes.close()


async def _serve(server: Any, app: App, journal: Journal, config: WorkerConfig, clock: DataClock) -> None:
    listening = socket.socket(fileno=config.handle)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def drain() -> None:
        app.draining = True
        stop.set()

    server.install_signal_handlers = lambda: None
    server.capture_signals = _no_signals
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain)
    # A worker that takes the place of another one answers all that it answered, from its first request on.
    until = loop.time() + LOAD_S
    while app.models.waiting() and not stop.is_set() and loop.time() < until:
        await asyncio.sleep(0.02)
    if stop.is_set():
        return
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    (Path(config.folder) / f"{os.getpid()}.ready").touch()
    marking = asyncio.create_task(_mark(journal, clock, app, Path(config.folder)))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    marking.cancel()
    # No new connection comes here any more; those that are open end with their next reply, or when time is up.
    for each in server.servers:
        each.close()
    until = loop.time() + config.drain_s
    while server.server_state.connections and loop.time() < until:
        await asyncio.sleep(0.01)
    server.should_exit = True
    await serving


async def _mark(journal: Journal, clock: DataClock, app: App, folder: Path) -> None:
    """Say up to when all answers are written, in the journal; that and by whom one answers, in a file of the run."""
    written, since, day = -1, 0.0, clock.now().date()
    said: dict[str, Any] = {}
    while True:
        now, served = app.answerer.written_until(clock.now()), served_now(app)
        over = now.date() > day
        marks = over or (since >= MARK_S and journal.rows != written) or since >= IDLE_MARK_S
        if marks:
            journal.mark(now)
            written, since, day = journal.rows, 0.0, now.date()
        if marks or served != said:
            said = served
            with contextlib.suppress(OSError):  # a full disk; what is answered is in the journal
                await asyncio.to_thread(say, folder, served, now)
        await asyncio.sleep(LOOK_S)
        since += LOOK_S


class _no_signals:
    """The worker's own handlers stay."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    run(msgspec.json.decode(sys.argv[1], type=WorkerConfig))
