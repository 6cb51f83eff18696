"""The keeper: looks who is champion, gets and checks the model, and only then tells the workers.

``python -m include.serving.keeper CONFIG``; the supervisor starts it. Everything heavy is imported here and not in a
worker. Where the ledger or MLflow is away, what is published stays, and a restart finds it in the route's file.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from include.adapters import files
from include.adapters.route_file import RouteWriter
from include.domain.faults import crashpoint
from include.domain.packed.reader import NotAnswerable
from include.domain.serving.route import RouteBehind, ServedModel
from include.serving.models import PackedRefused, checked

if TYPE_CHECKING:
    from include.adapters.ledger import Ledger
    from include.domain.promotion import Epoch

LOOK_S = 0.05
"""How often SQLite's counter of changes is read."""
AGAIN_S = 1.0
"""How often the ledger is read whatever its counter says, and where it has none."""


class KeeperConfig(msgspec.Struct, frozen=True):
    """What the keeper is told."""

    folder: str
    route: str
    models_folder: str
    """Where packed files are kept, by digest."""
    declared: list[str]


class Changes:
    """Says whether the ledger may have changed: by SQLite's counter, else by the time."""

    def __init__(self, url: str) -> None:
        self._path = url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else ""
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._file = 0
        self._due = 0.0

    def looked(self) -> bool:
        """Whether it is worth reading the ledger now."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + AGAIN_S
            self._counter()
            return True
        return self._path != "" and self._counter()

    def _counter(self) -> bool:
        try:
            file = os.stat(self._path).st_ino if self._path else 0
            if not self._path:
                return False
            if self._connection is None or file != self._file:
                self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=0.05)
                self._file = file
            version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except (sqlite3.Error, OSError):
            self._connection = None
            return False
        changed, self._version = version != self._version, version
        return changed


class Keeper:
    """Publishes what the ledger says, as soon as it can be answered."""

    def __init__(self, config: KeeperConfig) -> None:
        self.config = config
        self.writer = RouteWriter(Path(config.route))
        self.problems: dict[str, str] = {}
        self.unreachable_since: float | None = None
        self._said = ""
        self._whole: set[str] = set()
        """The packed files that this keeper has checked."""
        self._failed: dict[str, tuple[str, float]] = {}
        """By model: the digest that could not be got, and when it is tried again."""

    def look(self) -> bool:
        """Read the ledger once and publish what changed; whether something did."""
        from include.adapters.ledger import LedgerError
        from include.workflows import stores

        try:
            with stores.open_ledger() as ledger:
                changed = self._brought_up(ledger)
        except (LedgerError, OSError) as error:
            self.unreachable_since = self.unreachable_since or time.monotonic()
            self.problems["ledger"] = str(error)
            return False
        self.unreachable_since = None
        self.problems.pop("ledger", None)
        return changed

    def say(self) -> None:
        """Write down what there is to say, for every worker's status."""
        away = self.unreachable_since
        said = {
            "seen_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "pid": os.getpid(),
            "problems": self.problems,
            "ledger_unreachable_s": 0.0 if away is None else round(time.monotonic() - away, 1),
        }
        text = json.dumps(said)
        if text != self._said:
            files.write_text(Path(self.config.folder) / "keeper.json", text)
            self._said = text

    def _brought_up(self, ledger: Ledger) -> bool:
        held = dict(self.writer.current().models)
        wanted = {name: each for name, each in held.items() if name in self.config.declared}
        for name in self.config.declared:
            head = ledger.deployments.champion(name)
            has = held.get(name)
            if head is None:
                self.problems[name] = "it has no champion yet"
                if has is not None:
                    self.problems[name] = "the ledger knows no champion of it; it was restored from an older copy"
                continue
            if has is not None and head.revision < has.route_revision:
                self.problems[name] = (
                    f"the ledger says revision {head.revision}, and {has.route_revision} is served: it was restored "
                    "from an older copy. What is served stays; run `slipway reconcile`"
                )
                continue
            same = has is not None and (has.route_revision, has.digest) == (head.revision, head.digest)
            if has is not None and same and self._is_whole(has):
                self.problems.pop(name, None)
                continue
            served = self._got(ledger, name, head)
            if served is not None:
                wanted[name] = served
        if wanted == held:
            return False
        crashpoint("keeper.loaded")
        try:
            self.writer.publish(wanted, datetime.now(UTC))
        except RouteBehind as error:
            self.problems["route"] = str(error)
            return False
        crashpoint("keeper.published")
        return True

    def _is_whole(self, has: ServedModel) -> bool:
        """Whether the packed file of what is served is still the one that was checked, and answers as it did; looked
        at once by each keeper. One that does not is removed, and made again."""
        if has.by == "pipeline":
            return has.digest in self._whole or self._is_whole_pipeline(has)
        if has.packed_sha256 not in self._whole:
            try:
                checked(Path(has.packed), has.packed_sha256)
            except (PackedRefused, NotAnswerable, OSError, ValueError, KeyError):
                Path(has.packed).unlink(missing_ok=True)
                return False
            self._whole.add(has.packed_sha256)
        return True

    def _is_whole_pipeline(self, has: ServedModel) -> bool:
        try:
            whole = hashlib.sha256(Path(has.pipeline).read_bytes()).hexdigest() == has.digest
        except OSError:
            return False
        if whole:
            self._whole.add(has.digest)
        return whole

    def _got(self, ledger: Ledger, name: str, head: Epoch) -> ServedModel | None:
        """The new champion, checked; None, and why in the problems, where it cannot be had now."""
        from include.serving.preparing import prepared

        failed = self._failed.get(name)
        if failed is not None and failed[0] == head.digest and time.monotonic() < failed[1]:
            return None
        try:
            served = prepared(ledger, name, head, Path(self.config.models_folder))
        except Exception as error:  # noqa: BLE001 - whatever one model's file or MLflow raises, the others are served
            text = " ".join((str(error).strip() or type(error).__name__).split())
            self.problems[name] = f"revision {head.revision} ({head.to_candidate}) cannot be served: {text}"
            self._failed[name] = (head.digest, time.monotonic() + 10.0)
            return None
        self._failed.pop(name, None)
        self.problems.pop(name, None)
        if served.by == "pipeline":
            print(f"{name}: revision {head.revision} is answered by its pipeline. {served.why_pipeline}", flush=True)
        return served


def run(config: KeeperConfig) -> None:
    """Keep the route until SIGTERM."""
    from include.config.settings import settings

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keeper, changes = Keeper(config), Changes(settings().ledger_url)
    said = 0.0
    while not stop.is_set():
        if changes.looked():
            keeper.look()
        if time.monotonic() - said > 1.0:
            keeper.say()
            said = time.monotonic()
        stop.wait(LOOK_S)


if __name__ == "__main__":
    run(msgspec.json.decode(sys.argv[1], type=KeeperConfig))
