"""The supervisor: holds the port, starts the keeper and the workers, starts again what ended, and ends all in order."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from include.adapters import files
from include.adapters.data_clock import DataClock
from include.adapters.journal.segments import instance_name
from include.adapters.processes import AlreadyHeld, Child, Command, Lock, ProcessGuard, end_sessions
from include.adapters.route_file import RouteWriter
from include.config.settings import PROJECT, Settings
from include.domain.errors import Refusal, Unavailable
from include.serving import tokens
from include.serving.breakers import GUARD_FOLDER, GuardConfig
from include.serving.keeper import KeeperConfig
from include.serving.worker import WorkerConfig

READY_S = 60.0
"""How long a worker may take to be ready on a busy machine."""


class CannotServe(Refusal):
    """The service may not start like this."""


class ServePortTaken(Unavailable):
    """Another process has the port, or serves this home already."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What is asked for on the command line."""

    host: str = "127.0.0.1"
    port: int = 8100
    workers: int = 1
    drain_s: float = 5.0
    clock: str = ""
    in_flight: int = 256


@dataclass(slots=True)
class Supervisor:
    """One running service of a home."""

    settings: Settings
    declared: list[str]
    options: ServeOptions
    say: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)
    reload: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    _workers: list[Child] = field(default_factory=list)
    _keeper: Child | None = None
    _canary_guard: Child | None = None
    """What watches candidates; ``_guard`` is what ends the children when this process is killed."""
    _guard: ProcessGuard | None = None
    _folder: Path = field(default_factory=Path)
    _socket: socket.socket | None = None
    _not_before: float = 0.0

    def run(self) -> None:
        """Serve until ``stop`` is set.

        Raises:
            CannotServe: when whoever reaches the address could ask without a token; or the clock is none.
            ServePortTaken: when another one serves.
        """
        home = self.settings.home / "serve"
        if self.options.host not in ("127.0.0.1", "::1", "localhost") and not self._tokens():
            raise CannotServe(
                f"Whoever reaches {self.options.host} could ask, because there is no token. Make one: "
                "`slipway serve token NAME`, or listen on 127.0.0.1."
            )
        DataClock.read(self.options.clock)
        try:
            lock = Lock(home / "serve.lock")
        except AlreadyHeld as held:
            raise ServePortTaken(f"Process {held.pid} serves {self.settings.home} already; end it first.") from None
        try:
            self._listen()
            self._begin(home, lock)
            while not self.stop.is_set():
                self._watch()
                if self.reload.is_set():
                    self.reload.clear()
                    self._roll()
                self.stop.wait(0.1)
        finally:
            self._end(home)
            lock.release()

    def _tokens(self) -> tokens.Tokens:
        return tokens.read(tokens.file_in(self.settings.home))

    def _listen(self) -> None:
        family = socket.AF_INET6 if ":" in self.options.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self.options.host, self.options.port))
        except OSError as error:
            listening.close()
            raise ServePortTaken(f"{self.options.host}:{self.options.port} cannot be used: {error.strerror}.") from None
        listening.listen(2048)
        self._socket, self.port = listening, listening.getsockname()[1]

    def _begin(self, home: Path, lock: Lock) -> None:
        for old in home.glob("run-*"):
            shutil.rmtree(old, ignore_errors=True)
        self._folder = home / f"run-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        self._folder.mkdir(parents=True)
        RouteWriter(home / "route.bin")
        self._guard = ProcessGuard(keeps_open=[lock.fileno()])
        self._keeper = self._start("serve-keeper", self._keeper_command())
        self._canary_guard = self._start("serve-guard", self._guard_command())
        self._workers = [self._start_worker() for _ in range(self.options.workers)]
        self._wait_until_ready(self._workers)
        about = {"host": self.options.host, "port": self.port, "pid": os.getpid(), "models": self.declared}
        files.write_text(home / "service.json", json.dumps(about))
        self.say(f"serving {', '.join(self.declared)} on http://{self.options.host}:{self.port}; Ctrl-C ends it")

    def _watch(self) -> None:
        """Start again what ended, at most every second."""
        if time.monotonic() < self._not_before:
            return
        ended = [child for child in self._workers if child.exit_code() is not None]
        keeper = self._keeper
        if keeper is not None and keeper.exit_code() is not None:
            self.say(f"the keeper ended with {keeper.exit_code()} and is started again: {keeper.last_words()}")
            self._forget(keeper)
            self._keeper = self._start("serve-keeper", self._keeper_command())
            self._not_before = time.monotonic() + 1.0
        watching = self._canary_guard
        if watching is not None and watching.exit_code() is not None:
            self.say(f"the guard ended with {watching.exit_code()} and is started again: {watching.last_words()}")
            self._forget(watching)
            self._canary_guard = self._start("serve-guard", self._guard_command())
            self._not_before = time.monotonic() + 1.0
        for child in ended:
            self.say(f"a worker ended with {child.exit_code()} and is started again: {child.last_words()}")
            self._forget(child)
            self._workers.remove(child)
            self._workers.append(self._start_worker())
            self._not_before = time.monotonic() + 1.0
        if self._guard is not None and not self._guard.alive():
            self._guard = ProcessGuard()
            for each in (*self._workers, self._keeper, self._canary_guard):
                if each is not None:
                    self._guard.watch(each.pid)

    def _roll(self) -> None:
        """New workers first; only when they are ready the old ones are told to end."""
        old = self._workers
        new = [self._start_worker() for _ in range(self.options.workers)]
        if not self._wait_until_ready(new):
            self.say("the new workers were not ready in time; the old ones go on")
            self._end_children(new)
            return
        self._workers = new
        self._end_children(old)
        self.say(f"reloaded: {len(new)} new workers answer")

    def _wait_until_ready(self, children: Iterable[Child]) -> bool:
        waiting = list(children)
        until = time.monotonic() + READY_S
        while waiting and time.monotonic() < until and not self.stop.is_set():
            waiting = [
                child
                for child in waiting
                if not (self._folder / f"{child.pid}.ready").exists() and child.exit_code() is None
            ]
            time.sleep(0.02)
        return not waiting

    def _end_children(self, children: list[Child]) -> None:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
        until = time.monotonic() + self.options.drain_s + 5.0
        for child in children:
            child.wait(max(0.1, until - time.monotonic()))
        end_sessions({child.pid for child in children}, 0.0)
        for child in children:
            child.wait(1.0)
            self._forget(child)

    def _end(self, home: Path) -> None:
        """Workers first, so that what they have begun is answered."""
        (home / "service.json").unlink(missing_ok=True)
        if self._socket is not None:
            self._socket.close()
        self._end_children(self._workers)
        self._end_children([child for child in (self._keeper, self._canary_guard) if child is not None])
        if self._guard is not None:
            self._guard.close()

    # --- children ----------------------------------------------------------------------------------------------------

    def _start(self, name: str, argv: tuple[str, ...], handles: tuple[int, ...] = ()) -> Child:
        child = Child(
            Command(
                name=name,
                argv=(sys.executable, "-m", *argv),
                folder=PROJECT,
                environment={**os.environ, "SLIPWAY_HOME": str(self.settings.home), "PYTHONUNBUFFERED": "1"},
                log=self.settings.home / "logs" / f"{name}.log",
                handles=handles,
            )
        )
        if self._guard is not None:
            self._guard.watch(child.pid)
        return child

    def _start_worker(self) -> Child:
        handle = -1 if self._socket is None else self._socket.fileno()
        config = WorkerConfig(
            home=str(self.settings.home),
            folder=str(self._folder),
            route=str(self.settings.home / "serve" / "route.bin"),
            instance=self._instance(),
            online_url=self.settings.online_url,
            declared=self.declared,
            handle=handle,
            clock=self.options.clock,
            in_flight=self.options.in_flight,
            drain_s=self.options.drain_s,
        )
        argv = ("include.serving.worker", msgspec.json.encode(config).decode())
        return self._start("serve-worker", argv, (handle,))

    def _instance(self) -> str:
        return instance_name(f"{socket.gethostname()}:{self.port}")

    def _keeper_command(self) -> tuple[str, ...]:
        home = self.settings.home / "serve"
        config = KeeperConfig(
            str(self._folder), str(home / "route.bin"), str(home / "models"), self.declared, self._instance()
        )
        return "include.serving.keeper", msgspec.json.encode(config).decode()

    def _guard_command(self) -> tuple[str, ...]:
        home = self.settings.home / "serve"
        config = GuardConfig(
            str(home / GUARD_FOLDER), str(home / "route.bin"), str(self.settings.home / "journal"), self._instance()
        )
        return "include.serving.guard", msgspec.json.encode(config).decode()

    def _forget(self, child: Child) -> None:
        if self._guard is not None:
            self._guard.forget(child.pid)
