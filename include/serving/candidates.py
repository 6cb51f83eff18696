"""The keeper's candidates: loaded and tried before they have a share, and without one as soon as anything says so.

A candidate is loaded beside everything else, so that a rollback never waits for it. It has a share only when every
worker has loaded it: a share that only some of them give would not be the declared one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from include.adapters.boot_clock import boot_id, boot_seconds
from include.domain.serving.route import CanaryArm, ServedModel
from include.serving.declared_terms import as_declared_now
from include.serving.said import WorkersSaid

if TYPE_CHECKING:
    from include.adapters.ledger import Ledger, RouteRecord
    from include.domain.promotion import Epoch
    from include.serving.trying import TriedBeside

AGAIN_S = 10.0
"""After so long a candidate that could not be loaded is tried again."""
ASK_S = 0.2
"""How often it is looked whether the workers have loaded a candidate."""
Key = tuple[str, int, str]
"""A candidate, the number of its rollout, and the digest of the champion beside it."""


@dataclass(slots=True)
class _Lease:
    """A renewal as this keeper saw it, in seconds of the machine's clock."""

    renewed_at: datetime | None
    seen_s: float
    until_s: float


class Candidates:
    """The candidates of one keeper."""

    def __init__(self, folder: Path, clock: Callable[[], float] = boot_seconds) -> None:
        """``folder``: where packed files are made; ``clock``: of leases."""
        self._folder, self.now = folder, clock
        self.problems: dict[str, str] = {}
        """By model, why its candidate has no share here."""
        self._loading: dict[str, tuple[Key, Future[TriedBeside]]] = {}
        self._tried: dict[str, tuple[Key, TriedBeside]] = {}
        self._failed: dict[str, tuple[Key, float]] = {}
        self._leases: dict[str, tuple[tuple[str, int], _Lease]] = {}
        self._waits = False
        self._ask_at = 0.0
        self._looked_s: float | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="candidate")

    def due(self) -> bool:
        """Whether there is something to do although the ledger has not changed."""
        if any(future.done() for _, future in self._loading.values()):
            return True
        return self._waits and time.monotonic() >= self._ask_at

    def close(self, *, wait: bool = False) -> None:
        """Load nothing more; ``wait``: until what is being loaded is."""
        self._pool.shutdown(wait=wait, cancel_futures=True)

    def begin_look(self) -> None:
        """Before all models are looked at: the ledger was just read."""
        self._waits, self._ask_at = False, time.monotonic() + ASK_S

    def end_look(self, looked_s: float) -> None:
        """After all: as of when, by the clock of leases, the ledger was read."""
        self._looked_s = looked_s

    def served_as(self, model: str, candidate: str, digest: str) -> ServedModel | None:
        """A candidate that is loaded, for when it becomes champion."""
        known = self._tried.get(model)
        found = None if known is None else known[1].served
        return found if found is not None and (found.candidate, found.digest) == (candidate, digest) else None

    def arm(
        self,
        ledger: Ledger,
        route: RouteRecord,
        champion: tuple[Epoch, ServedModel],
        held: CanaryArm | None,
        told: Callable[[], WorkersSaid],
    ) -> CanaryArm | None:
        """The candidate beside the champion as it is published; None where there is none, or it is not loaded."""
        head, served = champion
        model = served.model
        if route.canary_id is None or route.number is None:
            self._forget(model)
            return None
        # The lease is looked at from the beginning, however long the candidate takes to be loaded.
        lease, now = self._lease(route, held), self.now()
        found = self._found(route, head, served, held)
        if found is None:
            return None
        arm = CanaryArm(
            served=msgspec.structs.replace(
                as_declared_now(found.served), revision=route.revision, route_revision=route.route_revision
            ),
            number=route.number,
            salt=str(route.salt),
            share_ppm=route.share_ppm,
            lease_s=float(route.lease_s or 0.0),
            until_s=lease.until_s,
            boot=boot_id(),
            renewed_at=route.renewed_at,
            one_s=found.one_s,
            more_s=found.more_s,
        )
        opens = route.share_ppm > 0 and not (held is not None and held.is_of == arm.is_of and held.share_ppm > 0)
        self.problems.pop(model, None)
        if opens:
            why = _not_everywhere(told(), arm)
            if why:
                self._waits = True
                self.problems[model] = why
                arm = msgspec.structs.replace(arm, share_ppm=0)
        if route.share_ppm > 0 and now >= lease.until_s and now - lease.seen_s >= arm.lease_s:
            _expire(ledger, route)
        return arm

    # --- loading -----------------------------------------------------------------------------------------------------

    def _found(
        self, route: RouteRecord, head: Epoch, champion: ServedModel, held: CanaryArm | None
    ) -> TriedBeside | None:
        model, now = champion.model, time.monotonic()
        key: Key = (str(route.canary_id), int(route.number or 0), champion.digest)
        known = self._tried.get(model)
        if known is not None and known[0] == key:
            return known[1]
        failed = self._failed.get(model)
        if failed is not None and failed[0] == key and now < failed[1]:
            return None
        loading = self._loading.get(model)
        if loading is not None and loading[0] == key:
            if not loading[1].done():
                # What this keeper's forerunner had tried stays meanwhile.
                return _as_tried(held, key)
            del self._loading[model]
            return self._taken(model, key, loading[1])
        self._loading[model] = key, self._pool.submit(_load, self._folder, route, head, champion)
        self.problems[model] = f"{key[0]} is being loaded"
        return _as_tried(held, key)

    def _taken(self, model: str, key: Key, future: Future[TriedBeside]) -> TriedBeside | None:
        try:
            made = future.result()
        except Exception as error:  # noqa: BLE001 - whatever its file or MLflow raises, the champion is served
            text = " ".join((str(error).strip() or type(error).__name__).split())
            self.problems[model] = f"{key[0]} has no share here, because it cannot answer beside the champion: {text}"
            self._failed[model] = key, time.monotonic() + AGAIN_S
            return None
        self._failed.pop(model, None)
        self._tried[model] = key, made
        return made

    def _forget(self, model: str) -> None:
        """Its rollout is over. What was loaded stays for when it has become champion."""
        self.problems.pop(model, None)
        self._failed.pop(model, None)
        self._leases.pop(model, None)
        self._loading.pop(model, None)

    # --- the lease ---------------------------------------------------------------------------------------------------

    def _lease(self, route: RouteRecord, held: CanaryArm | None) -> _Lease:
        """Until when the share is held. A renewal that was seen counts from the last look before it, by the machine's
        clock alone; only a keeper that has just begun has to take the ledger's time for it."""
        of, now, lease_s = (str(route.canary_id), int(route.number or 0)), self.now(), float(route.lease_s or 0.0)
        known = self._leases.get(route.model)
        if known is not None and known[0] == of and known[1].renewed_at == route.renewed_at:
            return known[1]
        if held is not None and (*held.is_of, held.renewed_at, held.boot) == (*of, route.renewed_at, boot_id()):
            until = min(held.until_s, now + lease_s)
        elif self._looked_s is not None:
            until = self._looked_s + lease_s
        else:
            age = 0.0 if route.renewed_at is None else (datetime.now(UTC) - route.renewed_at).total_seconds()
            until = now + min(lease_s, max(0.0, lease_s - age))
        made = _Lease(route.renewed_at, now, until)
        self._leases[route.model] = of, made
        return made


def _expire(ledger: Ledger, route: RouteRecord) -> None:
    """Say in the ledger that the lease is over, for every host; where that is away, the lease ends here anyway."""
    from include.adapters.ledger import LedgerError

    with contextlib.suppress(LedgerError):
        ledger.rollouts.expire(str(route.canary_id), int(route.number or 0), "the keeper of the service")


def _not_everywhere(told: WorkersSaid, arm: CanaryArm) -> str:
    """Which workers have not loaded the candidate, in a sentence; empty when all have, or none runs yet."""
    wanted = (arm.served.candidate, arm.number, arm.served.digest)
    having = sum(
        each["workers"] for each in told.served.get(arm.served.model, []) if _says(each.get("canary", {})) == wanted
    )
    if having >= told.running:
        return ""
    return f"{told.running - having} of {told.running} workers have not loaded {arm.served.candidate}; it has no share"


def _says(canary: dict[str, Any]) -> tuple[Any, Any, Any]:
    return canary.get("candidate"), canary.get("number"), canary.get("digest")


def _as_tried(held: CanaryArm | None, key: Key) -> TriedBeside | None:
    from include.serving.trying import TriedBeside

    return None if held is None or held.is_of != key[:2] else TriedBeside(held.served, held.one_s, held.more_s)


def _load(folder: Path, route: RouteRecord, head: Epoch, champion: ServedModel) -> TriedBeside:
    """The candidate, checked as a champion is, and tried beside the present one.

    Raises:
        NotBeside, ModelFileRefused, VersionMissing, Unavailable, LedgerError: when it cannot be had.
    """
    from include.serving.preparing import prepared
    from include.serving.trying import NotBeside, tried
    from include.workflows import stores
    from include.workflows.scoring import fitted_models

    def pipeline() -> Path:
        fitted_models.load(stores.registry(), head.model, int(str(as_head.model_version)), as_head.digest)
        return fitted_models.copy_of(as_head.digest)

    with stores.open_ledger() as ledger:
        facts = ledger.candidates.get(str(route.canary_id)).facts
        rollout = next((each for each in ledger.rollouts.of(str(route.canary_id)) if each.number == route.number), None)
        if rollout is None or facts.serving_digest != rollout.digest:
            raise NotBeside("its file is not the one that was judged for this rollout")
        as_head = replace(
            head, to_candidate=rollout.candidate_id, digest=rollout.digest, model_version=facts.model_version
        )
        served = prepared(ledger, route, as_head, folder)
    return tried(served, champion, pipeline)
