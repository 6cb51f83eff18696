"""The keeper: looks who is champion, gets and checks the model, and only then tells the workers.

``python -m include.serving.keeper CONFIG``; the supervisor starts it. Everything heavy is imported here and not in a
worker. Where the ledger or MLflow is away, what is published stays, and a restart finds it in the route's file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from include.adapters import files
from include.adapters.route_file import RouteWriter
from include.domain.faults import crashpoint
from include.domain.packed.reader import NotAnswerable
from include.domain.serving.route import CanaryArm, Route, RouteBehind, ServedModel, as_ended
from include.serving.breakers import GUARD_FOLDER, GuardFiles
from include.serving.candidates import Candidates
from include.serving.changes import Changes
from include.serving.counters import added_up, by_model
from include.serving.declared_terms import as_declared_now
from include.serving.models import PackedRefused, arm_of, checked
from include.serving.rollout_keeper import RolloutKeeper
from include.serving.said import told_by_workers

if TYPE_CHECKING:
    from include.adapters.ledger import Ledger, RouteRecord
    from include.domain.promotion import Epoch

    Heads = Mapping[str, tuple[RouteRecord, Epoch]]

LOOK_S = 0.05
"""How often it is looked whether the ledger has changed."""
PREPARED = 3
"""How many champions of a model are known well enough that a rollback to one of them asks and reads nothing."""
SAY_S = 10.0
"""How often the instance says in the ledger that it is there, also where nothing has changed."""


class KeeperConfig(msgspec.Struct, frozen=True):
    """What the keeper is told."""

    folder: str
    route: str
    models_folder: str
    """Where packed files are kept, by digest."""
    declared: list[str]
    instance: str = ""
    """The service, by host and port; empty where nothing is said in the ledger."""


class Keeper:
    """Publishes what the ledger says, as soon as it can be answered."""

    def __init__(self, config: KeeperConfig) -> None:
        self.config = config
        self.writer = RouteWriter(Path(config.route))
        guard_folder = Path(config.route).parent / GUARD_FOLDER
        self.rollouts = RolloutKeeper(GuardFiles(guard_folder), self.writer, config.instance)
        self.problems: dict[str, str] = {}
        self.unreachable_since: float | None = None
        self._said = self._told = ""
        self._tell_at = 0.0
        self._started = datetime.now(UTC)
        self._whole: set[str] = set()
        """The packed files that this keeper has checked."""
        self._prepared: dict[str, list[ServedModel]] = {}
        """By model, the last champions that were prepared here, the newest first."""
        self._failed: dict[str, tuple[str, float]] = {}
        """By model: the digest that could not be got, and when it is tried again."""
        self.candidates = Candidates(Path(config.models_folder))

    def look(self) -> bool:
        """Read the ledger once and publish what changed; whether something did."""
        from include.adapters.ledger import LedgerError
        from include.workflows import stores

        try:
            with stores.open_ledger() as ledger:
                self.rollouts.tell(ledger)
                changed = self._brought_up(ledger)
                self._say_in(ledger)
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
            "problems": self._all_problems(),
            "ledger_unreachable_s": 0.0 if away is None else round(time.monotonic() - away, 1),
        }
        text = json.dumps(said)
        if text != self._said:
            files.write_text(Path(self.config.folder) / "keeper.json", text)
            self._said = text

    def _all_problems(self) -> dict[str, str]:
        """Those of the models, and of the candidates beside them."""
        return self.problems | {arm_of(name): why for name, why in self.candidates.problems.items()}

    def end(self) -> None:
        """Say in the ledger that the instance ends; where that is away, its silence says so."""
        from include.adapters.ledger import LedgerError
        from include.workflows import stores

        self.candidates.close()
        if self.config.instance:
            with contextlib.suppress(LedgerError, OSError), stores.open_ledger() as ledger:
                ledger.instances.end(self.config.instance)

    def _say_in(self, ledger: Ledger) -> None:
        """Who answers in the workers, as they say themselves; when that has changed, and every ten seconds."""
        if not self.config.instance:
            return
        told = told_by_workers(Path(self.config.folder))
        key = json.dumps([told.served, self._all_problems()], sort_keys=True)
        if key == self._told and time.monotonic() < self._tell_at:
            return
        from include.adapters.ledger import InstanceRecord

        counted = by_model(added_up(Path(self.config.folder)))
        seen = self.rollouts.seen()
        models = {
            name: {
                "served": told.served.get(name, []),
                "counts": counted.get(name, {}),
                **({"problem": self.problems[name]} if name in self.problems else {}),
                **({"guard": seen[name]} if name in seen else {}),
                **self._canary_said(name),
            }
            for name in self.config.declared
        }
        ledger.instances.say(
            InstanceRecord(self.config.instance, socket.gethostname(), self._started, models, told.written_until)
        )
        self._told, self._tell_at = key, time.monotonic() + SAY_S

    def _canary_said(self, name: str) -> dict[str, Any]:
        """The candidate beside the model's champion as this instance publishes it, and why it has no share here."""
        arm, why = self.writer.current().arms.get(name), self.candidates.problems.get(name)
        said: dict[str, Any] = {} if why is None else {"why": why}
        if arm is not None:
            said |= {"candidate": arm.served.candidate, "number": arm.number, "share_ppm": arm.share_ppm}
            said |= {"ended": arm.ended} if arm.ended else {}
        return {"canary": said} if said else {}

    def _brought_up(self, ledger: Ledger) -> bool:
        now, looked_s = self.writer.current(), self.candidates.now()
        held = dict(now.models)
        heads = ledger.routes.heads(self.config.declared)
        crashpoint("keeper.seen")
        self._lower_first(heads, now)
        self.rollouts.prepare(ledger, {name: route for name, (route, _) in heads.items()})
        wanted = {name: each for name, each in held.items() if name in self.config.declared}
        for name in self.config.declared:
            found, has = heads.get(name), held.get(name)
            if found is None:
                self.problems[name] = "it has no champion yet"
                if has is not None:
                    self.problems[name] = "the ledger knows no champion of it; it was restored from an older copy"
                continue
            route, head = found
            if has is not None and route.route_revision < has.route_revision:
                self.problems[name] = (
                    f"the ledger says revision {route.route_revision}, and {has.route_revision} is served: it was "
                    "restored from an older copy. What is served stays; run `slipway reconcile`"
                )
                continue
            same = has is not None and (has.route_revision, has.digest) == (route.route_revision, head.digest)
            if has is not None and same and self._is_whole(has):
                self.problems.pop(name, None)
                wanted[name] = as_declared_now(has)
                continue
            served = self._got(ledger, name, route, head)
            if served is not None:
                wanted[name] = served
        arms = self.rollouts.guarded(self._arms(ledger, heads, wanted, now))
        self.candidates.end_look(looked_s)
        now = self.writer.current()  # the guard may have ended a share meanwhile, or given one back
        arms = {name: as_ended(arm, now.arms.get(name)) for name, arm in arms.items()}
        if wanted == held and arms == now.arms:
            return False
        crashpoint("keeper.loaded")
        return self._published(wanted, arms)

    def _published(self, models: dict[str, ServedModel], arms: dict[str, CanaryArm]) -> bool:
        try:
            self.writer.publish(models, datetime.now(UTC), arms)
        except RouteBehind as error:
            self.problems["route"] = str(error)
            return False
        crashpoint("keeper.published")
        return True

    def _arms(self, ledger: Ledger, heads: Heads, wanted: dict[str, ServedModel], now: Route) -> dict[str, CanaryArm]:
        """The candidate beside each champion that is published as the ledger has it."""
        self.candidates.begin_look()
        arms = {}
        for name, served in wanted.items():
            found, held = heads.get(name), now.arms.get(name)
            if found is None or (served.route_revision, served.digest) != (found[0].route_revision, found[1].digest):
                continue
            told = partial(told_by_workers, Path(self.config.folder))
            arm = self.candidates.arm(ledger, found[0], (found[1], served), held, told)
            if arm is not None:
                arms[name] = arm
        return arms

    def _lower_first(self, heads: Heads, now: Route) -> None:
        """Take shares away before anything else, where the ledger has taken them away. Only where the champion changes
        and is here already both are published together."""
        arms = {}
        for name, arm in now.arms.items():
            route, head = heads.get(name, (None, None))
            share = 0
            if route is not None and (route.canary_id, route.number) == arm.is_of:
                share = min(arm.share_ppm, route.share_ppm)
            has = now.models.get(name)
            together = (
                route is not None
                and head is not None
                and (has is None or has.digest != head.digest)
                and self._all_are_here(heads, now)
            )
            lowered = share != arm.share_ppm and not together
            arms[name] = msgspec.structs.replace(arm, share_ppm=share) if lowered else arm
        if arms != now.arms:
            self._published(dict(now.models), arms)

    def _all_are_here(self, heads: Heads, now: Route) -> bool:
        """Whether no champion has to be prepared, which takes long."""
        return all(
            name in now.models and self._prepared_before(name, route, head) is not None
            for name, (route, head) in heads.items()
        )

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

    def _prepared_before(self, name: str, route: RouteRecord, head: Epoch) -> ServedModel | None:
        """The same file of the same candidate, which is champion, was it a while ago, or was beside it, under its new
        revision."""
        beside = self.candidates.served_as(name, head.to_candidate, head.digest)
        for served in (self.writer.current().models.get(name), beside, *self._prepared.get(name, ())):
            same = served is not None and (served.candidate, served.digest) == (head.to_candidate, head.digest)
            if served is not None and same and self._is_whole(served):
                return msgspec.structs.replace(
                    as_declared_now(served), revision=head.revision, route_revision=route.route_revision
                )
        return None

    def _got(self, ledger: Ledger, name: str, route: RouteRecord, head: Epoch) -> ServedModel | None:
        """The new champion, checked; None, and why in the problems, where it cannot be had now."""
        from include.serving.preparing import prepared

        failed = self._failed.get(name)
        if failed is not None and failed[0] == head.digest and time.monotonic() < failed[1]:
            return None
        before = self._prepared_before(name, route, head)
        if before is not None:
            self.problems.pop(name, None)
            return before
        try:
            served = prepared(ledger, route, head, Path(self.config.models_folder))
        except Exception as error:  # noqa: BLE001 - whatever one model's file or MLflow raises, the others are served
            text = " ".join((str(error).strip() or type(error).__name__).split())
            self.problems[name] = f"revision {head.revision} ({head.to_candidate}) cannot be served: {text}"
            self._failed[name] = (head.digest, time.monotonic() + 10.0)
            return None
        self._failed.pop(name, None)
        self.problems.pop(name, None)
        self._prepared[name] = [served, *self._prepared.get(name, [])][:PREPARED]
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
        if changes.looked() or keeper.candidates.due():
            keeper.look()
        if time.monotonic() - said > 1.0:
            keeper.say()
            keeper.rollouts.watched()
            said = time.monotonic()
        stop.wait(LOOK_S)
    changes.close()
    keeper.end()


if __name__ == "__main__":
    run(msgspec.json.decode(sys.argv[1], type=KeeperConfig))
